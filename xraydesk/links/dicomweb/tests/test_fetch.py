"""Archives that are asked over the web: what is compared is found, fetched, and sent on to where it is read, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

from tests.factories import AT, make_exam
from tests.running import until
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, FetchedStudy, Image, Prior
from xraydesk.imaging.rules import ATTEMPTS_MAX
from xraydesk.journey import prior_images, route
from xraydesk.journey.tests.performing import header, jobs, received, site_with_pacs
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import lanes, spool_sweep
from xraydesk.links.dicom.release import let_go
from xraydesk.links.dicom.tests.test_images_link import Archive, drawn
from xraydesk.links.dicomweb import fetch
from xraydesk.links.jobs import fetch_prior_images, find_priors
from xraydesk.links.outside.tests.http_peer import Asked, Told, peer
from xraydesk.orders.models import Exam
from xraydesk.parties.pacs_web import served
from xraydesk.siteplan.routing_plan import DestinationPlan

pytestmark = [pytest.mark.link, pytest.mark.django_db]

HERE = ("127.0.0.0/8",)
TOKEN = "a-token"


@pytest.fixture(autouse=True)
def room(tmp_path: Path, settings: Any) -> None:
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    settings.XRAYDESK_SPOOL.mkdir()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "shelf").mkdir()


@pytest.fixture
def pacs() -> Iterator[Archive]:
    archive = Archive()
    ae = AE(ae_title="PACS")
    ae.supported_contexts = AllStoragePresentationContexts
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, archive.take)])
    archive.port = server.socket.getsockname()[1]
    yield archive
    server.shutdown()
    server.server_close()


def site_asking(web: str, *, port: int = 1, **more: Any):
    """A department whose old archive is asked over the web, and which reads at its PACS."""
    said = {"finds": True, "moves_to": "PACS", "web": web, "networks": HERE} | more
    return site_with_pacs(
        DestinationPlan("PACS", "PACS", "127.0.0.1", port), DestinationPlan("OLD", "", "", 0, **said)
    )


def earlier(exam: Exam, study: str = "", **values: str) -> Dataset:
    """An object of an earlier study."""
    said = {
        "StudyInstanceUID": study or new_uid(),
        "StudyDate": "20250301",
        "StudyDescription": "Chest of old",
    }
    return drawn(exam, **(said | values))


def on_shelf(tmp_path: Path, *datasets: Dataset) -> Path:
    for ds in datasets:
        ds.save_as(tmp_path / "shelf" / f"{ds.SOPInstanceUID}.dcm", enforce_file_format=True)
    return tmp_path / "shelf"


def beside(exam: Exam) -> list[tuple[str, str, str]]:
    rows = Prior.objects.filter(exam=exam).order_by("id")
    return [(p.words, p.state, p.where) for p in rows]


def files(settings: Any) -> list[str]:
    return [path.name for path in settings.XRAYDESK_SPOOL.rglob("*") if path.is_file()]


def fetched() -> FetchedStudy:
    fetch_prior_images(FetchedStudy.objects.order_by("id").last().pk)
    return FetchedStudy.objects.order_by("id").last()


def test_what_is_compared_is_found_fetched_and_sent_where_it_is_read(
    tmp_path: Path, settings: Any, pacs: Archive
) -> None:
    site = site_asking("", port=pacs.port, web_token=str(tmp_path / "token"))
    exam = make_exam(site)
    study, series = new_uid(), new_uid()
    hers = [
        earlier(exam, study, SeriesInstanceUID=series),
        earlier(exam, study, SeriesInstanceUID=series),
        earlier(exam, study),
    ]
    others = [
        earlier(exam, BodyPartExamined="FOOT"),
        earlier(exam, PatientID="SOMEBODY"),
        earlier(exam, IssuerOfPatientID="ELSEWHERE"),
        earlier(exam, StudyDate="19990301"),
        earlier(exam, exam.study_instance_uid),
    ]
    with served(on_shelf(tmp_path, *hers, *others), authorization=f"Bearer {TOKEN}") as base:
        site.plan["destinations"][1]["web"] = base
        site.save()
        find_priors(exam.pk)
        assert beside(exam) == [("Chest of old", "coming", "OLD is asked for it")]
        (asked,) = jobs("fetch_prior_images")
        find_priors(exam.pk)
        assert len(jobs("fetch_prior_images")) == 1
        fetch_prior_images(asked["fetch_id"])
        assert beside(exam) == [("Chest of old", "coming", "images of it are on their way")]
        assert Image.objects.count() == 0
        assert jobs("deliver")[-1] == {"site_id": site.pk, "destination": "PACS", "lane": 0}
        lanes.run(site_id=site.pk, destination="PACS")
    assert beside(exam) == [("Chest of old", "there", "PACS")]
    assert sorted(ds.SOPInstanceUID for ds in pacs.kept) == sorted(ds.SOPInstanceUID for ds in hers)
    for came in pacs.kept:
        assert came == next(ds for ds in hers if ds.SOPInstanceUID == came.SOPInstanceUID)
    (fact,) = Fact.objects.filter(kind=FactKind.PRIOR_CHANGED)
    assert (fact.accession, fact.data) == (exam.accession, {"state": "there", "to": "PACS"})
    assert not Fact.objects.filter(kind__in=(FactKind.IMAGE_SENT, FactKind.IMAGES_AVAILABLE)).exists()
    # What has a row is not swept; what passed through is let go of at once.
    assert spool_sweep.sweep_kept(settings.XRAYDESK_SPOOL, at=clock.now() + spool_sweep.AGE_MIN * 2) == 0
    assert len(files(settings)) == 3
    assert let_go(settings.XRAYDESK_SPOOL) == 3
    assert files(settings) == []


def test_another_exam_finds_it_there_and_does_not_fetch_it_twice(tmp_path: Path, pacs: Archive) -> None:
    site = site_asking("", port=pacs.port)
    exam = make_exam(site)
    other = make_exam(site, patient=exam.patient)
    with served(on_shelf(tmp_path, earlier(exam))) as base:
        site.plan["destinations"][1]["web"] = base
        site.save()
        find_priors(exam.pk)
        find_priors(other.pk)
        fetched()
        lanes.run(site_id=site.pk, destination="PACS")
        third = make_exam(site, patient=exam.patient)
        find_priors(third.pk)
        assert [beside(one) for one in (exam, other, third)] == [[("Chest of old", "there", "PACS")]] * 3
        assert (len(pacs.kept), FetchedStudy.objects.count()) == (1, 1)
        # A day later nobody knows any more that it is still there.
        FetchedStudy.objects.update(ended_at=AT)
        find_priors(make_exam(site, patient=exam.patient).pk)
        assert FetchedStudy.objects.count() == 2


def test_a_machine_that_sends_what_was_fetched_before_has_sent_an_image_as_any_other(
    tmp_path: Path, pacs: Archive
) -> None:
    site = site_asking("", port=pacs.port)
    exam = make_exam(site)
    with served(on_shelf(tmp_path, earlier(exam))) as base:
        site.plan["destinations"][1]["web"] = base
        site.save()
        find_priors(exam.pk)
        fetched()
    (passing,) = Image.everything.filter(fetched__isnull=False)
    for sent in range(2):
        image = received(site, header(exam, sop_instance_uid=passing.sop_instance_uid), content="the same")
        assert (image.fetched_id, image.copy, Image.objects.count()) == (None, 0, 1), sent
    Image.everything.filter(pk=passing.pk).update(sha256=image.sha256)
    Image.objects.update(sha256="0" * 64)
    again = received(site, header(exam, sop_instance_uid=passing.sop_instance_uid), content="the same")
    assert (again.pk != passing.pk, again.copy) == (True, 1)


def test_where_it_is_read_is_where_it_is_when_nothing_is_to_be_moved(tmp_path: Path) -> None:
    site = site_asking("", moves_to="")
    exam = make_exam(site)
    with served(on_shelf(tmp_path, *(earlier(exam) for _ in range(3)))) as base:
        site.plan["destinations"][1]["web"] = base
        site.save()
        find_priors(exam.pk)
    assert beside(exam) == [("Chest of old", "there", "OLD")] * 3
    assert not FetchedStudy.objects.exists()


def test_an_image_that_the_pacs_does_not_take_waits_for_a_person_and_goes_again(
    tmp_path: Path, pacs: Archive
) -> None:
    site = site_asking("", port=pacs.port)
    exam = make_exam(site)
    with served(on_shelf(tmp_path, earlier(exam))) as base:
        site.plan["destinations"][1]["web"] = base
        site.save()
        find_priors(exam.pk)
        fetched()
    delivery = Delivery.objects.get()
    Delivery.objects.update(attempts=ATTEMPTS_MAX - 1)
    pacs.answers = [0xA700]
    lanes.run(site_id=site.pk, destination="PACS")
    assert beside(exam) == [("Chest of old", "missing", "images of it could not be sent")]
    item = Item.objects.get(closed_at=None)
    assert f"An image that exam {exam.accession} is compared with could not be sent to PACS" in item.text
    route.retry_delivery(delivery_id=delivery.pk, at=clock.now(), by="user:c")
    assert beside(exam) == [("Chest of old", "coming", "images of it are on their way")]
    lanes.run(site_id=site.pk, destination="PACS")
    assert beside(exam) == [("Chest of old", "there", "PACS")]


KILLED = """
import os, signal
import django; django.setup()
from django.conf import settings
from pathlib import Path
settings.XRAYDESK_SPOOL = Path({spool!r})
from xraydesk.links.dicomweb import fetch
whole, count = fetch.prior_images.keep_object, [0]
def kept(**values):
    count[0] += 1
    if count[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(**values)
fetch.prior_images.keep_object = kept
fetch.fetch({key})
"""


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_killed_goes_on_where_it_stopped_and_doubles_nothing(
    tmp_path: Path, settings: Any, pacs: Archive
) -> None:
    """Row 41: killed with SIGKILL between two objects of a series."""
    site = site_asking("", port=pacs.port)
    exam = make_exam(site)
    study, series = new_uid(), new_uid()
    hers = [earlier(exam, study), *(earlier(exam, study, SeriesInstanceUID=series) for _ in range(3))]
    with served(on_shelf(tmp_path, *hers)) as base:
        site.plan["destinations"][1]["web"] = base
        site.save()
        find_priors(exam.pk)
        row = FetchedStudy.objects.get()
        told = connection.settings_dict
        address = f"postgresql://{told['USER']}@/{told['NAME']}?{urlencode({'host': told['HOST']})}"
        killed = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                KILLED.format(spool=str(settings.XRAYDESK_SPOOL), key=row.pk),
            ],
            env=os.environ | {"DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "xraydesk.project.settings"},
            timeout=60,
        )
        assert killed.returncode == -signal.SIGKILL
        assert len(prior_images.objects_here(row.pk)) == 2
        assert not Delivery.objects.exists()
        assert prior_images.resume_fetches(at=clock.now()) == 1
        # The database lets go of what the killed one had in hand in its own time.
        assert until(lambda: fetched().state == "on its way", 20)
        lanes.run(site_id=site.pk, destination="PACS")
    assert beside(exam) == [("Chest of old", "there", "PACS")]
    assert sorted(ds.SOPInstanceUID for ds in pacs.kept) == sorted(ds.SOPInstanceUID for ds in hers)
    # The object that was on the disk and not in the record is swept, as after a C-STORE that was killed (row 32).
    assert len([name for name in files(settings) if name.endswith(".dcm")]) == 5
    assert spool_sweep.sweep_kept(settings.XRAYDESK_SPOOL, at=clock.now() + spool_sweep.AGE_MIN * 2) == 1


# ---- archives that do not do as they should ------------------------------------------------


def part10(ds: Dataset) -> bytes:
    written = BytesIO()
    ds.save_as(written, enforce_file_format=True)
    return written.getvalue()


def in_parts(*bodies: bytes, last: bytes = b"--\r\n") -> Told:
    parts = b"".join(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n%b" % body for body in bodies)
    said = 'multipart/related; type="application/dicom"; boundary=b'
    return Told(200, parts + b"\r\n--b" + last, {"Content-Type": said})


def listed(*datasets: Dataset) -> Told:
    keys = {"00080016": "SOPClassUID", "00080018": "SOPInstanceUID", "0020000E": "SeriesInstanceUID"}
    told = [
        {tag: {"vr": "UI", "Value": [str(ds[keyword].value)]} for tag, keyword in keys.items()}
        for ds in datasets
    ]
    return Told(200, json.dumps(told).encode(), {"Content-Type": "application/dicom+json"})


def after_asking(exam: Exam, study: str, base: str) -> FetchedStudy:
    """The study is asked for, and fetched once."""
    site = exam.site
    site.plan["destinations"][1]["web"] = base
    site.save()
    Prior.objects.create(
        site=site, exam=exam, study_instance_uid=study, relevance="x", state="coming", changed_at=AT
    )
    row = FetchedStudy.objects.create(
        site=site,
        exam=exam,
        study_instance_uid=study,
        archive="OLD",
        destination="PACS",
        asked_at=AT,
        next_at=AT,
    )
    fetch.fetch(row.pk)
    row.refresh_from_db()
    return row


Answer = Callable[[Dataset, Exam], Told]
FINAL, AGAIN = "given up", "asked for"


@pytest.mark.parametrize(
    ("answer", "state", "why"),
    [
        (lambda ds, exam: in_parts(part10(ds), part10(earlier(exam, PatientID="X"))), FINAL, "another study"),
        (lambda ds, exam: in_parts(part10(earlier(exam, ds.StudyInstanceUID))), FINAL, "another series"),
        (lambda ds, exam: in_parts(part10(changed(ds, PatientID="X"))), FINAL, "another patient"),
        (lambda ds, exam: in_parts(part10(changed(ds, PatientBirthDate="19500101"))), FINAL, "another patient"),
        (lambda ds, exam: in_parts(part10(changed(ds, IssuerOfPatientID="X"))), FINAL, "another patient"),
        (lambda ds, exam: in_parts(part10(changed(ds, SOPInstanceUID=new_uid()))), AGAIN, "did not tell of"),
        (lambda ds, exam: in_parts(part10(ds)[:-5]), FINAL, "cannot be taken: it is cut short"),
        (lambda ds, exam: in_parts(b"no DICOM at all"), FINAL, "cannot be taken"),
        (lambda ds, exam: in_parts(part10(ds), last=b""), AGAIN, "broke off"),
        (lambda ds, exam: in_parts(part10(ds), last=b"!"), AGAIN, "broke off"),
        (lambda ds, exam: replace(in_parts(part10(ds)), body=b"\r\n--another\r\n\r\n"), AGAIN, "is broken"),
        (lambda ds, exam: in_parts(), AGAIN, "did not send 1 of the objects"),
        (lambda ds, exam: Told(204), AGAIN, "did not send 1 of the objects"),
        (lambda ds, exam: Told(200, part10(ds), {"Content-Type": "application/dicom"}), AGAIN, "not with parts"),
        (lambda ds, exam: Told(0), AGAIN, "broke off or is none"),
        (lambda ds, exam: Told(302, b"", {"Location": "http://169.254.169.254/"}), AGAIN, "another address"),
        (lambda ds, exam: Told(401), FINAL, "does not know the desk"),
        (lambda ds, exam: Told(503), AGAIN, "fails at it itself (503)"),
    ],
)  # fmt: skip
def test_what_was_not_asked_for_is_refused_and_nothing_of_it_goes_on(
    settings: Any, answer: Answer, state: str, why: str
) -> None:
    """Row 23: a redirect is not followed; and another patient's, study's or series' object, a broken answer, a cut one."""
    exam = make_exam(site_asking(""))
    hers = earlier(exam)
    asked: list[Asked] = []
    listing, objects = listed(hers), answer(hers, exam)

    def told(one: Asked) -> Told:
        asked.append(one)
        return listing if "/instances?" in one.target else objects

    with peer(told) as base:
        row = after_asking(exam, hers.StudyInstanceUID, base)
    assert (row.state, why in row.why) == (state, True), row.why
    assert asked[-1].target == f"/studies/{hers.StudyInstanceUID}/series/{hers.SeriesInstanceUID}"
    assert asked[-1].headers["accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert not Delivery.objects.exists()
    ((_, stands, where),) = beside(exam)
    assert (stands, row.why in where) == ("missing" if state == FINAL else "coming", True)
    if state == FINAL:
        assert (Image.everything.count(), files(settings)) == (0, [])
    assert not [name for name in files(settings) if name.endswith(".part")]


def changed(ds: Dataset, **values: str) -> Dataset:
    """The same object, but for some values."""
    other = deepcopy(ds)
    for keyword, value in values.items():
        setattr(other, keyword, value)
    return other


@pytest.mark.parametrize(
    ("answer", "state", "why"),
    [
        (Told(200, b"[]", {"Content-Type": "text/html"}), AGAIN, "no application/dicom+json"),
        (Told(200, b"<html>", {"Content-Type": "application/json"}), AGAIN, "cannot be read"),
        (Told(204), FINAL, "nothing that can be sent on"),
        (Told(200, b"[{}]", {"Content-Type": "application/dicom+json"}), FINAL, "without numbers"),
        (Told(404), FINAL, "nothing at that address"),
    ],
)
def test_a_study_whose_objects_cannot_be_listed_is_not_fetched(answer: Told, state: str, why: str) -> None:
    exam = make_exam(site_asking(""))
    with peer(lambda asked: answer) as base:
        row = after_asking(exam, "1.2.3", base)
    assert (row.state, why in row.why) == (state, True), row.why


def test_objects_that_are_not_carried_are_told_of_and_the_others_go_on(pacs: Archive) -> None:
    exam = make_exam(site_asking("", port=pacs.port))
    hers = earlier(exam)
    private = changed(hers, SOPClassUID="1.2.3.4", SOPInstanceUID=new_uid())
    with peer(
        lambda asked: (
            listed(hers, private)
            if "/instances?" in asked.target
            else in_parts(part10(private), part10(hers))
        )
    ) as base:
        row = after_asking(exam, hers.StudyInstanceUID, base)
    assert (row.state, row.left, row.why) == ("on its way", 1, "")
    lanes.run(site_id=exam.site_id, destination="PACS")
    assert beside(exam) == [("", "there", "PACS, but for 1 object that is not carried")]


def test_who_cannot_be_fetched_from_is_tried_again_ever_later_and_given_up_in_the_end(settings: Any) -> None:
    exam = make_exam(site_asking(""))
    hers = earlier(exam)
    second = changed(hers, SOPInstanceUID=new_uid())

    def told(asked: Asked) -> Told:
        return (
            listed(hers, second)
            if "/instances?" in asked.target
            else in_parts(part10(hers), part10(second), last=b"")
        )

    with peer(told) as base:
        row = after_asking(exam, hers.StudyInstanceUID, base)
        assert len(prior_images.objects_here(row.pk)) == 1
        for attempt in range(2, ATTEMPTS_MAX + 1):
            assert row.state == AGAIN
            before = clock.now()
            fetch.fetch(row.pk)
            row.refresh_from_db()
            assert (row.attempts, row.state == FINAL or row.next_at > before) == (attempt, True)
    assert row.state == FINAL
    assert (Image.everything.count(), files(settings)) == (0, [])
    ((_, stands, where),) = beside(exam)
    assert (stands, where) == ("missing", "its answer broke off in the midst of its parts")


def test_a_study_that_the_site_file_does_not_have_fetched_any_more_is_given_up() -> None:
    exam = make_exam(site_asking("", web_password="/no/such/file"))
    row = after_asking(exam, "1.2.3", "http://127.0.0.1:1")
    assert (row.state, "token or password cannot be read" in row.why) == (AGAIN, True)
    exam.site.plan["destinations"].pop()
    exam.site.save()
    fetch.fetch(row.pk)
    row.refresh_from_db()
    assert (row.state, row.why) == (FINAL, "the site file does not have it fetched any more")


def test_a_full_spool_keeps_it_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    exam = make_exam(site_asking(""))
    hers = earlier(exam)
    monkeypatch.setattr(fetch.ROOM, "takes", lambda site, size: False)
    with peer(
        lambda asked: listed(hers) if "/instances?" in asked.target else in_parts(part10(hers))
    ) as base:
        row = after_asking(exam, hers.StudyInstanceUID, base)
    assert (row.state, row.why) == (AGAIN, "images take all the room that they may; see What is kept")


def test_an_archive_that_cannot_be_asked_is_told_of_until_it_can(tmp_path: Path) -> None:
    exam = make_exam(site_asking("http://127.0.0.1:1", networks=()))
    find_priors(exam.pk)
    ((words, state, where),) = beside(exam)
    assert (words, state) == ("whatever OLD has", "missing")
    assert "lies within" in where
    exam.site.plan["destinations"][1]["networks"] = list(HERE)
    exam.site.save()
    find_priors(exam.pk)
    assert beside(exam) == [
        ("whatever OLD has", "missing", "the computer is there, but nothing listens at that port")
    ]
    with served(on_shelf(tmp_path, earlier(exam)), authorization="Basic bmFtZTp3b3Jk") as base:
        exam.site.plan["destinations"][1]["web"] = base
        exam.site.save()
        find_priors(exam.pk)
        assert "does not know the desk" in beside(exam)[0][2]
        (tmp_path / "password").write_text("name:word")
        exam.site.plan["destinations"][1]["web_password"] = str(tmp_path / "password")
        exam.site.save()
        find_priors(exam.pk)
    assert beside(exam) == [("Chest of old", "coming", "OLD is asked for it")]


def test_an_archive_that_gives_few_at_a_time_or_the_same_again_is_asked_until_nothing_new_comes() -> None:
    exam = make_exam(site_asking("", moves_to=""))
    number = exam.patient.identifiers.get().value
    studies = [
        {
            "00100020": {"vr": "LO", "Value": [number]},
            "0020000D": {"vr": "UI", "Value": [f"1.2.{n}"]},
            "00080020": {"vr": "DA", "Value": ["20250301"]},
        }
        for n in range(1, 6)
    ]
    series = [{"0020000E": {"vr": "UI", "Value": ["1.3"]}, "00180015": {"vr": "CS", "Value": ["CHEST"]}}]
    asked: list[str] = []

    def told(one: Asked) -> Told:
        asked.append(one.target)
        headers = {
            "Content-Type": "application/dicom+json",
            "Warning": '299 x "there are additional results"',
        }
        if "/series?" in one.target:
            return Told(200, json.dumps(series).encode(), headers)
        offset = int(one.target.rpartition("=")[2])
        page = studies[offset : offset + 2] or studies[:2]
        return Told(200, json.dumps(page).encode(), headers)

    with peer(told) as base:
        exam.site.plan["destinations"][1]["web"] = base
        exam.site.save()
        find_priors(exam.pk)
    assert len(beside(exam)) == 5
    assert len([target for target in asked if target.startswith("/studies?")]) == 4
