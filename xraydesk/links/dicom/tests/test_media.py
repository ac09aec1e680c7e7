"""Discs, folders and zip files of other houses: read without trust, given to a patient, and sent on under our numbers."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt

from tests.factories import AT, make_exam, make_patient
from tests.shared_data import shared_data
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.billing.models import Charge
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, Image, Medium, OutsideStudy, Prior
from xraydesk.journey import outside, outside_report, route
from xraydesk.journey.charge import review_charge
from xraydesk.journey.errors import WrongState
from xraydesk.journey.exam_view import find
from xraydesk.journey.medium import ask_to_bring
from xraydesk.journey.outside_undo import undo_import, who_has
from xraydesk.journey.tests.performing import PACS, site_with_pacs
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import media, medium_files, own_file, send
from xraydesk.links.dicom.media import bring_in, look
from xraydesk.links.dicom.media_codec import DIRECTORY
from xraydesk.links.dicom.medium_files import NoMedium
from xraydesk.links.dicom.room import Room
from xraydesk.links.dicom.spool import SpoolRefused
from xraydesk.links.ehr.tell import RESOURCES
from xraydesk.links.fhir import rows
from xraydesk.links.outgoing.tell import preview
from xraydesk.links.outgoing.told import report_of
from xraydesk.orders.models import Exam
from xraydesk.results.models import Document, Report
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.link_plan import OutlinkPlan, Pushes, Sends

CR = "1.2.840.10008.5.1.4.1.1.1"
BY = "user:kim"


@pytest.fixture
def site(settings: Any, tmp_path: Path) -> Site:
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    return site_with_pacs()


def made(study: str, **values: Any) -> Dataset:
    """A small image of another house."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = CR, new_uid(), f"{study}.1"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientID, ds.IssuerOfPatientID, ds.PatientName = "0815", "ST-MARY", "Prüfer^Ada"
    ds.PatientBirthDate, ds.PatientSex = "19690512", "F"
    ds.AccessionNumber, ds.StudyInstanceUID = "MARY-77", study
    ds.StudyDescription, ds.InstitutionName = "Chest two views", "St. Mary's"
    ds.AcquisitionDate, ds.AcquisitionTime = "20260301", "101500"
    ds.Modality, ds.BodyPartExamined = "CR", "CHEST"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 4, 4, 16, 12, 11
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.PixelData = bytes(range(32))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def disc(folder: Path, *objects: Dataset) -> Path:
    """A disc with these objects and what such discs have beside them."""
    images = folder / "DICOM"
    images.mkdir(parents=True)
    (folder / "AUTORUN.INF").write_text("[autorun]\nopen=viewer.exe\n")
    (folder / "viewer.exe").write_bytes(b"MZ" + bytes(500))
    for number, ds in enumerate(objects):
        ds.save_as(images / f"IM{number:04}", enforce_file_format=True)
    return folder


def directory_of(*files: list[str]) -> Dataset:
    """A DICOMDIR that names these files."""
    directory = Dataset()
    directory.DirectoryRecordSequence = [Dataset() for _ in files]
    for record, parts in zip(directory.DirectoryRecordSequence, files, strict=True):
        record.ReferencedFileID = parts
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID, directory.file_meta.MediaStorageSOPInstanceUID = (
        DIRECTORY,
        new_uid(),
    )
    directory.SOPClassUID, directory.SOPInstanceUID = DIRECTORY, new_uid()
    return directory


def brought(site: Site, path: Path) -> tuple[Medium, list[OutsideStudy]]:
    """What became of a medium, and its studies; NoMedium where it does not come to its end."""
    asked = ask_to_bring(site=site, source="St. Mary's, disc", path=str(path), is_ours=False, at=AT, by=BY)
    bring_in(asked.pk, now=lambda: AT)
    asked.refresh_from_db()
    if asked.state != "done":
        raise NoMedium(asked.why)
    return asked, list(asked.studies.order_by("pk"))


def spooled(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]


@pytest.mark.django_db
def test_a_look_tells_what_is_there_and_keeps_nothing(site: Site, tmp_path: Path) -> None:
    study = new_uid()
    told = look(disc(tmp_path / "cd", made(study), made(study), made(new_uid(), PatientID="4711")))
    assert [(found.header.patient_id, found.objects) for found in told.studies.values()] == [
        ("0815", 2),
        ("4711", 1),
    ]
    assert told.left == {"it is no DICOM": 2}
    assert spooled(tmp_path) == []


@pytest.mark.django_db
def test_what_nobody_can_be_certain_of_waits_for_a_person_once_a_study(site: Site, tmp_path: Path) -> None:
    make_patient(site)
    study = new_uid()
    told, studies = brought(site, disc(tmp_path / "cd", made(study), made(study)))
    assert (told.kept, [one.state for one in studies]) == (2, ["waiting"])
    assert set(Image.objects.values_list("state", "exam")) == {("quarantined", None)}
    item = Item.objects.get(kind="outside images to be taken in", closed_at=None)
    assert (item.data["outside"], item.patient) == (studies[0].pk, None)
    assert "Prüfer" not in item.text


@pytest.mark.django_db
def test_what_is_brought_twice_is_kept_once(site: Site, tmp_path: Path) -> None:
    path = disc(tmp_path / "cd", made(new_uid()))
    brought(site, path)
    told, _ = brought(site, path)
    assert (told.kept, told.known) == (0, 1)
    assert len(spooled(tmp_path)) == Image.objects.count() == Item.objects.count() == 1
    assert Fact.objects.filter(kind="images brought from outside").count() == 1


@pytest.mark.django_db
def test_other_bytes_under_a_number_are_kept_apart_and_never_go_on(site: Site, tmp_path: Path) -> None:
    """Row 33."""
    ds = made(new_uid())
    other = made(ds.StudyInstanceUID, SOPInstanceUID=ds.SOPInstanceUID, BodyPartExamined="HAND")
    _, [study] = brought(site, disc(tmp_path / "cd", ds, other))
    patient = make_patient(site)
    outside.take_in(study_id=study.pk, patient_id=patient.pk, at=AT, by=BY)
    assert list(Image.objects.order_by("copy").values_list("copy", "state")) == [
        (0, "matched"),
        (1, "quarantined"),
    ]


@pytest.mark.django_db
def test_a_study_whose_number_name_and_birth_date_agree_is_taken_in_by_itself(
    site: Site, tmp_path: Path
) -> None:
    patient = make_patient(site, number="N1")
    ds = made(new_uid(), PatientID="N1", IssuerOfPatientID="HOSP")
    _, [study] = brought(site, disc(tmp_path / "cd", ds))
    assert (study.state, study.decided_by) == ("taken in", "rule")
    exam = Exam.objects.get(study_instance_uid=ds.StudyInstanceUID)
    assert (exam.patient, exam.procedure_text) == (patient, "Outside: Chest two views")
    assert not Item.objects.exists()


@pytest.mark.django_db
def test_an_exam_done_elsewhere_is_over_is_planned_nowhere_and_charged_to_nobody(
    site: Site, tmp_path: Path
) -> None:
    _, [study] = brought(site, disc(tmp_path / "cd", made(new_uid())))
    exam = outside.take_in(study_id=study.pk, patient_id=make_patient(site).pk, at=AT, by=BY)
    view = find(site=site, accession=exam.accession)
    assert view is not None
    assert (view.stage, view.room) == ("ended", "")
    assert review_charge(exam_id=exam.pk, at=AT) is None
    assert not Charge.objects.exists()
    assert list(Fact.objects.filter(accession=exam.accession).values_list("kind", flat=True)) == [
        "outside images taken in"
    ]


PDF_CLASS, BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.11"
PDF = b"%PDF-1.4 a report"


def document(study: str, content: bytes = PDF) -> Dataset:
    """A report of another house as an encapsulated PDF."""
    ds = made(study, SOPClassUID=PDF_CLASS, Modality="DOC", DocumentTitle="Chest report")
    del ds.PixelData, ds.Rows, ds.Columns
    ds.EncapsulatedDocument = content
    return ds


def structured(study: str, text: str) -> Dataset:
    """A report of another house as a Basic Text SR."""
    ds = made(study, SOPClassUID=BASIC_TEXT, Modality="SR")
    del ds.PixelData, ds.Rows, ds.Columns
    item = Dataset()
    item.ValueType, item.TextValue = "TEXT", text
    ds.ContentSequence = [item]
    return ds


@pytest.mark.django_db
def test_reports_among_the_images_become_the_report_of_the_exam_and_are_told_on(
    site: Site, tmp_path: Path
) -> None:
    study = new_uid()
    path = disc(tmp_path / "cd", made(study), structured(study, "Lungs are clear."), document(study))
    told, [one] = brought(site, path)
    assert told.kept == 3
    assert not Report.objects.exists()
    exam = outside.take_in(study_id=one.pk, patient_id=make_patient(site).pk, at=AT, by=BY)
    report = Report.objects.get(exam=exam)
    first, second = report.text.split("\n")
    assert (report.state, first) == ("final", "Lungs are clear.")
    assert second.startswith("Kept with the report: application/pdf “Chest report”, mark ")
    assert Fact.objects.filter(kind="report received", accession=exam.accession).count() == 1
    told_on = report_of(exam)
    assert told_on is not None
    assert [(one.kind, one.title, one.content) for one in told_on.documents] == [
        ("application/pdf", "Chest report", PDF)
    ]
    [shown] = rows.reports(site, [report.pk])
    assert base64.b64decode(shown.resource["presentedForm"][1]["data"]) == PDF
    brought(site, path)
    later = disc(tmp_path / "two", document(study, PDF + b", second part"))
    brought(site, later)
    report.refresh_from_db()
    assert (report.state, report.version, report.text.count("Kept with the report")) == ("corrected", 2, 2)
    kept = Document.objects.order_by("pk")
    outside_report.decide_document(document_id=kept[0].pk, is_report=False, at=AT, by=BY)
    report.refresh_from_db()
    assert "Lungs" not in report.text
    for document_id in kept.values_list("pk", flat=True)[1:]:
        outside_report.decide_document(document_id=document_id, is_report=False, at=AT, by=BY)
    report.refresh_from_db()
    assert report.state == "cancelled"
    assert "Kept" not in report.text


@pytest.mark.django_db
def test_a_document_beside_the_images_is_offered_to_the_one_study_and_never_taken_by_itself(
    site: Site, tmp_path: Path
) -> None:
    path = disc(tmp_path / "cd", made(new_uid()))
    (path / "REPORT.PDF").write_bytes(PDF)
    (path / "LICENSE.TXT").write_text("No report.")
    told, studies = brought(site, path)
    assert (told.documents, told.left) == (1, {"it is no DICOM": 3})
    kept = Document.objects.get()
    assert (kept.state, kept.title, kept.exam) == ("offered", "REPORT.PDF", None)
    exam = outside.take_in(study_id=studies[0].pk, patient_id=make_patient(site).pk, at=AT, by=BY)
    assert not Report.objects.exists()
    outside_report.decide_document(document_id=kept.pk, is_report=True, at=AT, by=BY)
    assert "REPORT.PDF" in Report.objects.get(exam=exam).text
    other = disc(tmp_path / "two", made(new_uid()), made(new_uid()))
    (other / "REPORT.PDF").write_bytes(PDF)
    told, studies = brought(site, other)
    assert told.left["it is a document; bring it on the page of its study"] == 1
    assert Document.objects.count() == 1


@pytest.mark.django_db
def test_what_came_with_a_study_that_is_not_taken_in_is_not_kept(site: Site, tmp_path: Path) -> None:
    study = new_uid()
    _, [one] = brought(site, disc(tmp_path / "cd", made(study), document(study)))
    outside.refuse(study_id=one.pk, why="of a cousin", at=AT, by=BY)
    assert not Document.objects.exists()
    brought(site, disc(tmp_path / "two", document(study, PDF + b"2")))
    assert not Document.objects.exists()


@pytest.mark.django_db
def test_an_import_is_taken_back_as_a_whole_before_it_left(site: Site, tmp_path: Path) -> None:
    study, later = new_uid(), make_exam(site)
    _, [one] = brought(site, disc(tmp_path / "cd", made(study), made(study), document(study)))
    exam = outside.take_in(study_id=one.pk, patient_id=later.patient_id, at=AT, by=BY, compared_with=later.pk)
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    with pytest.raises(WrongState, match="Say in a word"):
        undo_import(study_id=one.pk, why=" ", at=AT, by=BY)
    undo_import(study_id=one.pk, why="of a cousin", at=AT, by=BY)
    assert set(Image.objects.values_list("state", "why")) == {("rejected", "of a cousin")}
    assert not Image.everything.filter(note__isnull=False).exists()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"withdrawn"}
    assert not Document.objects.exists()
    assert not Prior.objects.filter(exam=later).exists()
    assert Report.objects.get(exam=exam).state == "cancelled"
    view = find(site=site, accession=exam.accession)
    assert view is not None
    assert view.stage == "cancelled"
    one.refresh_from_db()
    assert (one.state, one.why) == ("not taken in", "taken back: of a cousin")
    kinds = list(Fact.objects.filter(accession=exam.accession).values_list("kind", flat=True))
    assert kinds[-2:] == ["cancelled", "outside images not taken in"]
    with pytest.raises(WrongState, match="not taken in"):
        undo_import(study_id=one.pk, why="again", at=AT, by=BY)
    brought(site, disc(tmp_path / "two", made(study)))
    assert set(Image.objects.values_list("state", flat=True)) == {"rejected"}


@pytest.mark.django_db
def test_an_import_that_left_is_taken_back_from_everybody_who_has_it_also_what_was_on_its_way(
    site: Site, tmp_path: Path
) -> None:
    study = new_uid()
    _, [one] = brought(site, disc(tmp_path / "cd", made(study), made(study)))
    exam = outside.take_in(study_id=one.pk, patient_id=make_patient(site).pk, at=AT, by=BY)
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    first, second = Delivery.objects.order_by("id")
    route.record_sent(delivery_id=first.pk, at=AT, corrections=first.image.corrections)
    assert who_has(one) == ["PACS"]
    undo_import(study_id=one.pk, why="of a cousin", at=AT, by=BY)
    # The second was being sent while a person decided.
    route.record_sent(delivery_id=second.pk, at=AT, corrections=second.image.corrections)
    notes = Image.everything.filter(note__isnull=False).order_by("id")
    assert [note.note["references"][0]["sop_instance_uid"] for note in notes if note.note] == [
        first.image.sop_instance_uid,
        second.image.sop_instance_uid,
    ]
    assert [note.note["code"] for note in notes if note.note] == ["113037", "113038"]
    assert set(Delivery.objects.filter(image__in=notes).values_list("destination", "state")) == {
        ("PACS", "waiting")
    }
    assert who_has(one) == []


@pytest.mark.django_db
def test_taking_a_study_back_leaves_an_exam_of_our_own_as_it_was(site: Site, tmp_path: Path) -> None:
    ours = make_exam(site)
    _, [one] = brought(site, disc(tmp_path / "cd", made(ours.study_instance_uid)))
    outside.take_in(study_id=one.pk, patient_id=ours.patient_id, at=AT, by=BY)
    undo_import(study_id=one.pk, why="not hers", at=AT, by=BY)
    assert Image.objects.get().state == "rejected"
    assert Exam.objects.get(pk=ours.pk).triage == ours.triage


@pytest.mark.django_db
def test_the_same_study_is_decided_once_and_not_under_another_patient(site: Site, tmp_path: Path) -> None:
    """Row 34."""
    ours = make_exam(site)
    _, [study] = brought(site, disc(tmp_path / "cd", made(ours.study_instance_uid)))
    another = make_patient(site)
    with pytest.raises(WrongState, match="another patient"):
        outside.take_in(study_id=study.pk, patient_id=another.pk, at=AT, by=BY)
    assert outside.take_in(study_id=study.pk, patient_id=ours.patient_id, at=AT, by=BY) == ours
    with pytest.raises(WrongState, match="taken in already"):
        outside.refuse(study_id=study.pk, why="twice", at=AT, by=BY)


@pytest.mark.django_db
def test_what_comes_later_of_a_study_goes_where_the_study_went(site: Site, tmp_path: Path) -> None:
    taken, refused = new_uid(), new_uid()
    _, studies = brought(site, disc(tmp_path / "one", made(taken), made(refused, PatientID="4711")))
    by_uid = {study.study_instance_uid: study for study in studies}
    exam = outside.take_in(study_id=by_uid[taken].pk, patient_id=make_patient(site).pk, at=AT, by=BY)
    outside.refuse(study_id=by_uid[refused].pk, why="of a relative", at=AT, by=BY)
    brought(site, disc(tmp_path / "two", made(taken), made(refused, PatientID="4711")))
    states = Image.objects.order_by("pk").values_list("study_instance_uid", "state", "exam")
    assert list(states)[2:] == [(taken, "matched", exam.pk), (refused, "rejected", None)]
    assert not Item.objects.filter(closed_at=None).exists()


@pytest.mark.django_db
def test_a_disc_that_wants_to_do_harm_does_none(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 27 and 29: links, bombs, huge files, paths that lead elsewhere, and objects that lie about themselves."""
    path = disc(
        tmp_path / "cd",
        made(new_uid()),
        made(new_uid(), Rows=30000, Columns=30000),
        made(new_uid(), SOPClassUID="1.2.3"),
        made(new_uid(), SOPInstanceUID="../../x"),
        made(new_uid(), SeriesInstanceUID=""),
    )
    directory = directory_of(["..", "..", "etc", "passwd"], ["DICOM", "IM0099"], ["DICOM", "IM0000"])
    directory.save_as(path / "DICOMDIR", enforce_file_format=True)
    (path / "passwd").symlink_to("/etc/passwd")
    (path / "huge").write_bytes(bytes(3000))
    deep = path
    for _ in range(medium_files.DEPTH_MAX + 1):
        deep = deep / "a"
    deep.mkdir(parents=True)
    monkeypatch.setattr(medium_files, "OBJECT_BYTES_MAX", 2000)
    told, _ = brought(site, path)
    assert (told.kept, told.missing) == (1, 1)
    left = dict(told.left)
    assert left.pop("it is no DICOM") == 2
    assert set(left) == {
        "the DICOMDIR names a file by a path that leads elsewhere",
        "it is a link to somewhere else",
        "it is larger than any object the desk takes",
        "its folder lies too deep",
        "it is DICOM that cannot be taken: its pixels would unpack to more than is taken",
        "it is DICOM that cannot be taken: it is of no kind that is stored",
        "it is DICOM that cannot be taken: it has no number of its own",
        "it is DICOM that cannot be taken: it names no study or series",
    }


@pytest.mark.django_db
def test_a_zip_file_is_unpacked_file_by_file_and_its_names_lead_nowhere(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 27 and 29."""
    source = disc(tmp_path / "cd", made(new_uid()))
    packed = tmp_path / "cd.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        into.write(source / "DICOM" / "IM0000", "../../../etc/cron.d/x")
        into.writestr("bomb", bytes(8_000_000))
        into.writestr("folder/", b"")
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        into.writestr(link, "/etc/passwd")
        into.writestr("large", os.urandom(3000))
    monkeypatch.setattr(medium_files, "OBJECT_BYTES_MAX", 2000)
    told, _ = brought(site, packed)
    assert told.kept == 1
    assert told.left == {
        "it would unpack to far more than it is": 1,
        "it is a link to somewhere else": 1,
        "it is larger than any object the desk takes": 1,
    }
    assert [p for p in spooled(tmp_path) if p.suffix != ".dcm"] == []


@pytest.mark.django_db
def test_a_medium_that_is_none_or_too_much_or_finds_no_room_is_told_so(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = disc(tmp_path / "cd", made(new_uid()))
    with pytest.raises(NoMedium, match="no such folder"):
        brought(site, tmp_path / "nowhere")
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(broken, "w") as into:
        into.write(path / "DICOM" / "IM0000", "one")
    content = bytearray(broken.read_bytes())
    content[250:280] = bytes(30)
    broken.write_bytes(content)
    with pytest.raises(NoMedium, match="broken"):
        brought(site, broken)
    with monkeypatch.context() as small, pytest.raises(NoMedium, match="bring it in parts"):
        small.setattr(medium_files, "FILES_MAX", 1)
        brought(site, path)

    def full(*_: Any, **__: Any) -> None:
        raise SpoolRefused("the disk is full")

    with monkeypatch.context() as disk, pytest.raises(NoMedium, match="the disk is full"):
        disk.setattr(own_file.ObjectWriter, "finish", full)
        brought(site, path)
    with monkeypatch.context() as scratched:
        scratched.setattr(own_file, "_pieces", lambda *_: (_ for _ in ()).throw(OSError(5, "scratched")))
        told, _ = brought(site, path)
        assert told.left["it is DICOM that cannot be taken: the file that it came in cannot be read"] == 1
    monkeypatch.setattr(outside, "STUDY_IMAGES_MAX", 0)
    told, _ = brought(site, path)
    assert told.left["its study has more images than the desk takes in"] == 1
    assert spooled(tmp_path) == []


@pytest.mark.django_db
def test_a_medium_finds_no_more_room_than_machines_do_and_what_was_kept_is_asked_about(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 31."""
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, policies=replace(plan.policies, spool_gigabytes_max=1)))
    site.save()
    brought(site, disc(tmp_path / "one", made(new_uid())))
    Image.objects.update(size_bytes=999_998_500)
    Item.objects.all().delete()
    monkeypatch.setattr(media, "ROOM", Room())
    with pytest.raises(NoMedium, match="all the room that they may here"):
        brought(site, disc(tmp_path / "two", made(new_uid()), made(new_uid())))
    assert (Image.objects.count(), Item.objects.count()) == (2, 1)


@pytest.mark.data
@pytest.mark.django_db
def test_real_files_of_many_makers_come_in_from_a_folder(site: Site, tmp_path: Path) -> None:
    told = look(shared_data("dicom_other"))
    assert {found.header.patient_id for found in told.studies.values()} == {"", "COMMON"}
    assert sum(told.left.values()) + sum(f.objects for f in told.studies.values()) == 12
    images, _ = brought(site, shared_data("dicom_images"))
    assert (images.kept, sum(images.left.values())) == (15, 1)
    directory = look(shared_data("dicom_dir"))
    assert (directory.missing, directory.studies) == (31, {})


class Received:
    """What a PACS got."""

    def __init__(self) -> None:
        self.objects: list[Dataset] = []


@pytest.fixture
def pacs() -> Iterator[tuple[Received, int]]:
    got = Received()

    def keep(event: evt.Event) -> int:
        got.objects.append(event.dataset)
        return 0

    ae = AE(ae_title="PACS")
    ae.supported_contexts = AllStoragePresentationContexts
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    yield got, server.socket.getsockname()[1]
    server.shutdown()


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
def test_a_disc_of_another_house_reaches_the_pacs_under_our_numbers_with_its_own_kept(
    settings: Any, tmp_path: Path, pacs: tuple[Received, int]
) -> None:
    """A disc as dcmmkdir writes it where that is installed; read, decided beside an exam, routed, and there to compare."""
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    got, port = pacs
    site = site_with_pacs(PACS.__class__("PACS", "PACS", "127.0.0.1", port))
    exam = make_exam(site, patient=make_patient(site, number="N1"))
    path = disc(tmp_path / "cd", made(new_uid()))
    if program := shutil.which("dcmmkdir"):
        done = subprocess.run(
            [program, "+r", "-Pgp", "-W", "+I"], cwd=path / "DICOM", capture_output=True, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
    told, [study] = brought(site, path)
    assert (told.kept, told.missing) == (1, 0)
    taken = outside.take_in(
        study_id=study.pk, patient_id=exam.patient_id, at=AT, by=BY, compared_with=exam.pk
    )
    assert Prior.objects.get(exam=exam).state == "coming"
    later = AT + timedelta(minutes=1)
    assert route.queue_deliveries(exam_id=taken.pk, at=later) == 1
    assert send.deliver(exam_id=taken.pk, destination="PACS")
    [sent] = got.objects
    assert (sent.PatientID, sent.IssuerOfPatientID, sent.AccessionNumber) == ("N1", "HOSP", taken.accession)
    assert sent.StudyInstanceUID == study.study_instance_uid
    [other] = sent.OtherPatientIDsSequence
    assert (other.PatientID, other.IssuerOfPatientID) == ("0815", "ST-MARY")
    [before] = sent.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert (before.PatientID, before.AccessionNumber) == ("0815", "MARY-77")
    prior = Prior.objects.get(exam=exam)
    assert (prior.state, prior.where, prior.accession) == ("there", "PACS", taken.accession)


@pytest.mark.django_db
def test_the_ehr_is_told_of_a_study_that_was_taken_in(site: Site, tmp_path: Path) -> None:
    _, [study] = brought(site, disc(tmp_path / "cd", made(new_uid())))
    exam = outside.take_in(study_id=study.pk, patient_id=make_patient(site).pk, at=AT, by=BY)
    fact = Fact.objects.get(accession=exam.accession)
    told = RESOURCES[Pushes.STUDIES](exam, fact)
    assert told is not None
    number, resource = told
    assert (number, resource["resourceType"], resource["numberOfInstances"]) == (
        exam.accession,
        "ImagingStudy",
        1,
    )
    hears = OutlinkPlan("EHR", "127.0.0.1", 1, (Sends.STATUS,), "XRAYDESK", "DEPT", "EHR", "HOSP")
    [(kind, text)] = preview(exam, hears)
    assert kind == "ORM^O01"
    assert "ORC|SC|" in text
    assert "|CM|" in text
