"""Images of other houses on the pages: brought by upload, given to a patient, refused; and who may."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.factories import AT, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image, Medium, OutsideStudy, Prior
from xraydesk.journey.tests.performing import site_with_pacs
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom.media import bring_in
from xraydesk.links.dicom.tests.test_media import directory_of, made
from xraydesk.links.hl7.report_out import DOCUMENTS_OUT_BYTES_MAX
from xraydesk.links.models import Message
from xraydesk.links.outgoing.documents_kept import kept_documents, let_go_of_documents
from xraydesk.links.states import MessageState
from xraydesk.orders.models import Exam
from xraydesk.project import uploads
from xraydesk.results.models import Document, Report

pytestmark = pytest.mark.django_db

PDF = b"%PDF-1.4 a report"


@pytest.fixture
def site(settings: Any, tmp_path: Path) -> Site:
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "uploads")
    return site_with_pacs()


def packed(*studies: str, **said: Any) -> SimpleUploadedFile:
    """A zip file of a disc with one image of each study."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as into:
        for number, study in enumerate(studies):
            one = io.BytesIO()
            made(study, **said).save_as(one, enforce_file_format=True)
            into.writestr(f"DICOM/IM{number}", one.getvalue())
        into.writestr("viewer.exe", b"MZ" + bytes(100))
    return SimpleUploadedFile("disc.zip", content.getvalue())


def uploaded(site: Site, file: SimpleUploadedFile, *, source: str = "St. Mary's") -> str:
    client = signed_in(site)
    answer = client.post(reverse("outside-bring"), {"source": source, "files": [file]}, follow=True)
    under_way = Medium.objects.filter(state="waiting")
    if not under_way:
        return answer.content.decode()
    assert "It came, and is read now." in answer.content.decode()
    bring_in(under_way.get().pk, now=lambda: AT)
    return client.get(reverse("outside")).content.decode()


def test_an_upload_is_kept_and_waits_with_what_it_says_of_its_patient(site: Site) -> None:
    html = uploaded(site, packed(new_uid(), new_uid()))
    assert "2 objects kept." in html
    assert "1 left: it is no DICOM." in html
    assert "Prüfer Ada" in html
    assert "Chest two views, 1 Mar 2026" in html
    assert "Say whose" in signed_in(site).get(reverse("outside")).content.decode()


def test_an_upload_of_single_files_without_a_source_or_without_an_image_is_said(site: Site) -> None:
    assert "Say where the images come from" in uploaded(site, packed(new_uid()), source=" ")
    assert "1 left: it is a document; bring it on the page of its study." in uploaded(
        site, SimpleUploadedFile("letter.pdf", b"%PDF-1.4 and more")
    )
    answer = signed_in(site).post(reverse("outside-bring"), {"source": "St. Mary's"}, follow=True)
    assert "No file came" in answer.content.decode()
    alone = io.BytesIO()
    directory_of().save_as(alone, enforce_file_format=True)
    assert "None of 1 file is" in uploaded(site, SimpleUploadedFile("DICOMDIR", alone.getvalue()))
    assert not Image.objects.exists()


def test_how_far_a_medium_is_stands_on_the_page_and_whoever_brings_in_may_stop_it(
    site: Site, settings: Any
) -> None:
    client = signed_in(site)
    client.post(reverse("outside-bring"), {"source": "St. Mary's", "files": [packed(new_uid(), new_uid())]})
    medium = Medium.objects.get()
    html = client.get(reverse("outside")).content.decode()
    assert "It goes on as soon as the desk has time for it." in html
    assert "data-again" in html
    seen: list[str] = []
    bring_in(
        medium.pk,
        now=lambda: AT,
        tell=lambda *_: seen.append(client.get(reverse("outside")).content.decode()),
    )
    assert "1 of 3 files are read." in seen[0]
    assert "1 object kept." in seen[0]
    assert "data-again" not in client.get(reverse("outside")).content.decode()
    client.post(reverse("outside-bring"), {"source": "again", "files": [packed(new_uid())]})
    address = reverse("outside-stop", args=[Medium.objects.latest("pk").pk])
    for stranger in (signed_in(make_site("X")), signed_in(site, Role.RADIOLOGIST)):
        stranger.post(address)
    assert Medium.objects.latest("pk").state == "waiting"
    assert "Stopped." in client.post(address, follow=True).content.decode()
    assert "over already" in client.post(address, follow=True).content.decode()
    assert not list((settings.XRAYDESK_SPOOL / "brought").iterdir())


def test_an_upload_over_the_limit_comes_as_no_file(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "UPLOAD_BYTES_MAX", 100)
    assert "No file came" in uploaded(site, packed(new_uid()))
    assert not Image.objects.exists()


def test_a_person_sees_the_header_beside_our_patient_and_gives_it(site: Site) -> None:
    exam = make_exam(site, patient=make_patient(site, number="N1"))
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    page = reverse("outside-study", args=[study.pk])
    client = signed_in(site)
    assert "the same name and birth date" in client.get(page).content.decode()
    html = client.get(page, {"patient": exam.patient_id}).content.decode()
    assert "To Prüfer, Ada, MRN N1" in html
    assert "MARY-77" in html
    form = {"patient": exam.patient_id, "beside": exam.accession}
    answer = client.post(reverse("outside-take", args=[study.pk]), form, follow=True)
    study.refresh_from_db()
    assert study.exam is not None
    assert f"It is exam {study.exam.accession} here" in answer.content.decode()
    assert Prior.objects.get(exam=exam).accession == study.exam.accession
    again = client.post(reverse("outside-take", args=[study.pk]), form, follow=True)
    assert "taken in already" in again.content.decode()
    here = client.get(reverse("exam", args=[study.exam.accession])).content.decode()
    assert "There: patient 0815 ST-MARY, accession MARY-77" in here
    assert "Not answered yet" not in here
    patient = client.get(reverse("patient", args=[exam.patient_id])).content.decode()
    assert "MARY-77" in patient
    assert "ST-MARY" in patient


def test_somebody_else_is_found_without_a_name_in_an_address_and_what_differs_is_said(site: Site) -> None:
    make_patient(site, number="N9", family="Other", given="Bob", name_folded="other bob", sex="M")
    uploaded(site, packed(new_uid()))
    page = reverse("outside-study", args=[OutsideStudy.objects.get().pk])
    html = signed_in(site).post(page, {"find": "other"}).content.decode()
    assert "Other, Bob" in html
    assert "another name" in html
    assert "another sex" in html
    assert "Nobody here is found" in signed_in(site).post(page, {"find": "zzz"}).content.decode()


def test_a_report_brought_as_a_file_is_taken_away_from_the_exam_and_run_nowhere(site: Site) -> None:
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    client = signed_in(site)
    address = reverse("outside-document", args=[study.pk])

    def brought(name: str, content: bytes) -> str:
        file = SimpleUploadedFile(name, content, content_type="text/html")
        return client.post(address, {"file": file}, follow=True).content.decode()

    assert "No file came" in client.post(address, follow=True).content.decode()
    assert "It is no PDF" in brought("report.exe", b"MZ\x00")
    assert "stands with the exam" in brought("<b>chest</b>.pdf", PDF)
    client.post(reverse("outside-take", args=[study.pk]), {"patient": make_patient(site).pk})
    kept = Document.objects.get()
    exam = kept.exam
    assert exam is not None
    page = client.get(reverse("exam", args=[exam.accession])).content.decode()
    assert f'href="{reverse("document", args=[kept.pk])}"' in page
    assert "<b>chest" not in page
    answer = client.get(reverse("document", args=[kept.pk]))
    assert (answer.content, answer["Content-Type"]) == (PDF, "application/pdf")
    assert answer["Content-Disposition"] == f'attachment; filename="report-{exam.accession}-{kept.pk}.pdf"'
    assert (answer["X-Content-Type-Options"], answer["Cache-Control"]) == ("nosniff", "no-store")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    for other in (signed_in(make_site(code="three")), signed_in(site, Role.PORTER)):
        assert other.get(reverse("document", args=[kept.pk])).status_code == 404
    decide = reverse("document-decide", args=[kept.pk])
    assert "told to nobody" in client.post(decide, {"is": "none"}, follow=True).content.decode()
    assert Report.objects.get(exam=exam).state == "cancelled"
    undo = reverse("outside-undo", args=[study.pk])
    assert "nobody is told" in client.get(reverse("outside-study", args=[study.pk])).content.decode()
    assert "Say in a word why" in client.post(undo, follow=True).content.decode()
    html = client.post(undo, {"why": "of a cousin"}, follow=True).content.decode()
    assert "It is taken back. It had not left." in html
    assert f'Not taken in: taken back: of a cousin. It was exam <a href="/exams/{exam.accession}"' in html
    stranger = signed_in(make_site(code="two"))
    assert stranger.post(undo).status_code == 404
    assert stranger.post(decide).status_code == 404
    assert stranger.post(address).status_code == 404


def heard(site: Site, exam: Exam, state: MessageState, **said: Any) -> Message:
    """A system that was told of an exam's report."""
    values: dict[str, Any] = {"type": "MDM^T02", "link": "EHR", "at": clock.now(), "body_sha256": ""} | said
    return Message.objects.create(
        site=site, direction="out", accession=exam.accession, state=state, raw=b"", **values
    )


def test_documents_of_outside_reports_go_once_another_system_has_them_and_the_pages_say_till_when(
    site: Site,
) -> None:
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    client = signed_in(site)
    here, kept_page = reverse("outside-study", args=[study.pk]), reverse("kept")

    def html(page: str) -> str:
        return " ".join(signed_in(site, Role.ADMINISTRATOR).get(page).content.decode().split())

    def rounds(days: int) -> int:
        return let_go_of_documents(site, at=clock.now() + timedelta(days=days))

    assert "No document of an outside report is here." in html(kept_page)
    file = SimpleUploadedFile("report.pdf", PDF, content_type="application/pdf")
    client.post(reverse("outside-document", args=[study.pk]), {"file": file})
    assert "kept, because a person says whether it is a report, or whose its study is" in html(here)
    signed_in(site).post(reverse("outside-take", args=[study.pk]), {"patient": make_patient(site).pk})
    exam = Document.objects.get().exam
    assert exam is not None
    assert "No other system has it" in html(kept_page)
    waiting = heard(site, exam, MessageState.QUEUED)
    assert "Another system is still to take it" in html(kept_page)
    waiting.state, waiting.answered_at = MessageState.ACCEPTED, clock.now()
    waiting.save()
    assert "kept till" in html(here)
    assert "the first goes" in html(kept_page)
    assert rounds(29) == 0
    waiting.delete()
    assert "the first goes" in html(kept_page)
    assert rounds(31) == 1
    assert rounds(31) == 0
    one = Document.objects.get()
    assert (bytes(one.content), one.size_bytes, one.released_why) == (b"", len(PDF), "another system has it")
    assert "no longer here since" in html(here)
    page = signed_in(site).get(reverse("exam", args=[exam.accession])).content.decode()
    assert "no longer here: another system has it" in page
    gone = client.get(reverse("document", args=[one.pk]))
    assert (gone.status_code, gone.content) == (
        410,
        b"This document is no longer here: another system has it.",
    )
    assert Fact.objects.get(kind="documents let go").accession == exam.accession
    decide = reverse("document-decide", args=[one.pk])
    client.post(decide, {"is": "none"})
    assert "Bring the file once more" in client.post(decide, {"is": "report"}, follow=True).content.decode()
    client.post(reverse("outside-document", args=[study.pk]), {"file": SimpleUploadedFile("r.pdf", PDF)})
    one.refresh_from_db()
    assert (bytes(one.content), one.released_at) == (PDF, None)
    assert rounds(31) == 1
    assert Document.objects.get().released_why == "it is no report"


def test_a_document_that_is_too_large_to_be_sent_with_its_report_is_nowhere_else(site: Site) -> None:
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    file = SimpleUploadedFile("report.pdf", PDF, content_type="application/pdf")
    signed_in(site).post(reverse("outside-document", args=[study.pk]), {"file": file})
    signed_in(site).post(reverse("outside-take", args=[study.pk]), {"patient": make_patient(site).pk})
    exam = Document.objects.get().exam
    assert exam is not None
    heard(site, exam, MessageState.ACCEPTED)
    Document.objects.update(size_bytes=DOCUMENTS_OUT_BYTES_MAX + 1)
    assert [one.why for one in kept_documents(site, at=clock.now())] == ["no other system has it"]
    assert let_go_of_documents(site, at=clock.now() + timedelta(days=400)) == 0


def test_a_report_of_the_other_house_is_kept_with_its_exam_and_calls_nobody(site: Site) -> None:
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    client = signed_in(site)
    address = reverse("outside-report", args=[study.pk])
    form = {"text": "Large pneumothorax on the left.", "read_by": "Dr Grey, St. Mary's"}
    assert "Say first whose" in client.post(address, form, follow=True).content.decode()
    client.post(reverse("outside-take", args=[study.pk]), {"patient": make_patient(site).pk})
    assert "at most 20,000 letters" in client.post(address, {"text": " "}, follow=True).content.decode()
    assert "told on as reports are" in client.post(address, form, follow=True).content.decode()
    kept = Report.objects.get(exam__outside_studies=study)
    assert (kept.state, kept.text, kept.radiologist_name) == ("final", form["text"], form["read_by"])
    client.post(address, form | {"text": "Large pneumothorax on the right."})
    kept.refresh_from_db()
    assert (kept.state, kept.version) == ("corrected", 2)
    assert not Item.objects.filter(closed_at=None).exists()
    told = Fact.objects.filter(kind="report received", accession=kept.exam.accession)
    assert told.count() == 2
    assert signed_in(make_site("X")).post(address, form).status_code == 404


def test_a_study_is_refused_with_a_word_of_why(site: Site) -> None:
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    address = reverse("outside-refuse", args=[study.pk])
    client = signed_in(site)
    assert "Say in a word why" in client.post(address, {"why": " "}, follow=True).content.decode()
    assert "goes nowhere" in client.post(address, {"why": "of a cousin"}, follow=True).content.decode()
    assert (
        "Not taken in: of a cousin" in client.get(reverse("outside-study", args=[study.pk])).content.decode()
    )
    assert Image.objects.get().state == "rejected"


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.PORTER, Role.MANAGER])
def test_only_who_may_bring_images_in_sees_them(site: Site, role: Role) -> None:
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    addresses = [reverse("outside"), reverse("outside-study", args=[study.pk])]
    assert [signed_in(site, role).get(address).status_code for address in addresses] == [404, 404]


def test_a_stranger_of_another_site_finds_no_such_study(site: Site) -> None:
    uploaded(site, packed(new_uid()))
    study = OutsideStudy.objects.get()
    stranger = signed_in(make_site("X"))
    assert stranger.get(reverse("outside-study", args=[study.pk])).status_code == 404
    for name in ("outside-take", "outside-refuse"):
        assert stranger.post(reverse(name, args=[study.pk]), {"why": "x"}).status_code == 404


@pytest.mark.parametrize("role", [Role.TECHNOLOGIST, Role.ADMINISTRATOR, Role.COORDINATOR])
def test_who_may_bring_images_in_has_the_page_in_the_menu(site: Site, role: Role) -> None:
    answer = signed_in(site, role).get(reverse("outside"))
    assert answer.status_code == 200
    assert 'data-go="outside"' in answer.content.decode()
