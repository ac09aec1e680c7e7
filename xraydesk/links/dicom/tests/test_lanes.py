"""What waits for a destination is sent: the most urgent first, so many associations at once, and on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from tests.factories import make_exam
from tests.running import until
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.states import StepState
from xraydesk.journey import route
from xraydesk.journey.tests.performing import PACS, begun, header, jobs, received, site_with_pacs, told
from xraydesk.lib import clock
from xraydesk.links.dicom import lanes, requisition, spool
from xraydesk.links.dicom.requisition_codec import ENCAPSULATED_PDF
from xraydesk.links.dicom.tests.test_images_link import CR, drawn
from xraydesk.links.jobs import write_requisition
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


class Archive:
    """A PACS that keeps accession numbers in the order they came, and can be told to wait before it answers."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.kept: list[Dataset] = []
        self.at_once = self.at_once_max = 0
        self.before: threading.Event | None = None
        self.then = lambda: None
        ae = AE(ae_title="PACS")
        ae.add_supported_context(CR)
        ae.add_supported_context(ENCAPSULATED_PDF)
        handlers = [
            (evt.EVT_C_STORE, self.take),
            (evt.EVT_ACCEPTED, self.opened),
            (evt.EVT_CONN_CLOSE, self.closed),
        ]
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]

    def opened(self, _: object) -> None:
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)

    def closed(self, _: object) -> None:
        self.at_once -= 1

    def take(self, event: evt.Event) -> int:
        self.came.append(f"{event.dataset.AccessionNumber}/{event.dataset.InstanceNumber}")
        self.kept.append(event.dataset)
        then, self.then = self.then, lambda: None
        then()
        if self.before is not None:
            self.before.wait(20)
        return 0


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.server.shutdown()
    archive.server.server_close()


@pytest.fixture
def site(tmp_path, settings, archive: Archive):
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    settings.XRAYDESK_SPOOL.mkdir()
    return site_with_pacs(replace(PACS, port=archive.port))


def limited(site, **limits: object) -> None:
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, destinations=(replace(plan.destinations[0], **limits),)))
    site.save()


def waiting(site, count: int, settings, *, header_says: dict[str, str] | None = None, **fields) -> Exam:
    """An exam with so many images that wait for the PACS."""
    exam = make_exam(site, **fields)
    for number in range(1, count + 1):
        ds: Dataset = drawn(exam, InstanceNumber=str(number), **(header_says or {}))
        image = received(site, header(exam, sop_instance_uid=ds.SOPInstanceUID))
        ds.save_as(settings.XRAYDESK_SPOOL / image.path, enforce_file_format=True)
        Delivery.objects.create(site=site, image=image, destination="PACS", next_at=clock.now())
    return exam


def test_images_of_a_stat_overtake_between_two_images_of_another_exam(
    site, settings, archive: Archive
) -> None:
    routine = waiting(site, 3, settings)
    urgent = waiting(site, 1, settings, priority="urgent")
    stat: list[Exam] = []

    def comes() -> None:
        try:
            stat.append(waiting(site, 2, settings, priority="stat"))
        finally:
            connection.close()

    archive.then = lambda: setattr(archive, "then", comes)
    lanes.run(site_id=site.pk, destination="PACS")
    assert archive.came == [
        f"{urgent.accession}/1",
        f"{routine.accession}/1",
        f"{stat[0].accession}/1",
        f"{stat[0].accession}/2",
        f"{routine.accession}/2",
        f"{routine.accession}/3",
    ]
    assert set(Image.objects.values_list("state", flat=True)) == {"sent"}


def test_two_lanes_send_two_exams_at_once_and_one_exam_never_in_two(site, settings, archive: Archive) -> None:
    limited(site, associations=2)
    exams = [waiting(site, 2, settings) for _ in range(2)]
    archive.before = threading.Event()

    def run(lane: int) -> None:
        try:
            lanes.run(site_id=site.pk, destination="PACS", lane=lane)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(lane,)) for lane in range(3)]
    for thread in threads:
        thread.start()
    assert until(lambda: len(archive.came) == 2, 20)
    assert {one.split("/")[1] for one in archive.came} == {"1"}
    archive.before.set()
    for thread in threads:
        thread.join(30)
    assert archive.at_once_max == 2
    for exam in exams:
        assert [one for one in archive.came if exam.accession in one] == [
            f"{exam.accession}/1",
            f"{exam.accession}/2",
        ]


def test_a_full_link_is_waited_for_as_a_job_and_not_in_the_workers_place(
    site, settings, archive: Archive
) -> None:
    limited(site, kilobytes_per_second_max=1)
    exam = waiting(site, 2, settings)
    Image.objects.update(size_bytes=60_000)
    lanes.run(site_id=site.pk, destination="PACS")
    assert archive.came == [f"{exam.accession}/1"]
    left = Delivery.objects.get(state="waiting")
    assert (left.attempts, left.last_error) == (0, "")
    assert jobs("deliver")[-1] == {"site_id": site.pk, "destination": "PACS", "lane": 0}
    Delivery.objects.filter(state="sent").update(sent_at=clock.now() - timedelta(seconds=59))
    lanes.run(site_id=site.pk, destination="PACS")
    assert archive.came == [f"{exam.accession}/1", f"{exam.accession}/2"]


def test_a_research_destination_gets_nobodys_images_and_none_with_text_burned_in(
    site, settings, archive: Archive
) -> None:
    limited(site, research="Lungs")
    exam = waiting(site, 1, settings)
    shown = waiting(site, 1, settings, header_says={"BurnedInAnnotation": "YES"})
    lanes.run(site_id=site.pk, destination="PACS")
    (kept,) = archive.kept
    number = exam.patient.identifiers.get().value
    assert number not in str(kept)
    assert "Prüfer" not in str(kept)
    assert (kept.PatientIdentityRemoved, kept.AccessionNumber) == ("YES", "")
    assert kept.StudyInstanceUID != exam.study_instance_uid
    left = Delivery.objects.get(image__exam=shown)
    assert (left.state, left.last_error) == ("withdrawn", "it says that text is burned into the picture")
    assert Image.objects.get(exam=exam).state == "sent"
    assert Image.objects.get(exam=shown).state == "matched"


def test_the_requisition_goes_after_the_images_as_a_document_in_their_study_and_once(
    site, settings, archive: Archive, monkeypatch
) -> None:
    limited(site, history=True)
    exam = make_exam(site, reason="Fell from a ladder #*_", clinical_information="Ünwell since Монday")
    uid = begun(site, exam)
    ds = drawn(exam, InstanceNumber="1")
    image = received(site, header(exam, sop_instance_uid=ds.SOPInstanceUID))
    ds.save_as(settings.XRAYDESK_SPOOL / image.path, enforce_file_format=True)
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=clock.now())
    assert jobs("write_requisition")[-1] == {"exam_id": exam.pk}
    write_requisition(exam.pk)
    assert not requisition.write(exam.pk)
    lanes.run(site_id=site.pk, destination="PACS")
    sent, document = archive.kept
    assert sent.SOPClassUID == CR
    assert document.SOPClassUID == ENCAPSULATED_PDF
    for keyword in ("StudyInstanceUID", "AccessionNumber", "PatientID"):
        assert document[keyword].value == sent[keyword].value, keyword
    pdf = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-")
    assert set(Image.objects.values_list("state", flat=True)) == {"sent"}
    assert len(Fact.objects.filter(kind=FactKind.IMAGES_AVAILABLE)) == 1
    exam.reason = "Another reason"
    exam.save()
    monkeypatch.setattr(spool, "FREE_BYTES_MIN", 1 << 62)
    write_requisition(exam.pk)
    assert Image.objects.count() == 2
    assert "could not be written" in Item.objects.get(kind=ItemKind.REACTION_FAILED).text
    monkeypatch.undo()
    write_requisition(exam.pk)
    assert Image.objects.filter(modality="DOC").count() == 2


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_destination_that_is_down_is_called_once_a_run_and_not_once_an_exam(site, settings) -> None:
    limited(site, port=1)
    waiting(site, 1, settings)
    waiting(site, 1, settings)
    lanes.run(site_id=site.pk, destination="PACS")
    assert sorted(Delivery.objects.values_list("attempts", flat=True)) == [0, 1]


RUN = """
import django; django.setup()
from django.conf import settings
from pathlib import Path
settings.XRAYDESK_SPOOL = Path({spool!r})
from xraydesk.links.dicom import lanes, requisition, spool
lanes.run(site_id={site}, destination="PACS")
"""


def test_a_sender_killed_half_way_is_followed_by_the_next_where_it_stopped(
    site, settings, archive: Archive
) -> None:
    """Row 41: killed with SIGKILL in the middle of an image; what was answered is not sent again."""
    exam = waiting(site, 3, settings)
    told = connection.settings_dict
    address = f"postgresql://{told['USER']}@/{told['NAME']}?{urlencode({'host': told['HOST']})}"
    second = threading.Event()

    def hang() -> None:
        archive.before = second

    archive.then = lambda: setattr(archive, "then", hang)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", RUN.format(spool=str(settings.XRAYDESK_SPOOL), site=site.pk)],
        env=os.environ | {"DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "xraydesk.project.settings"},
    )
    try:
        assert until(lambda: len(archive.came) == 2, 40)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    archive.before = None
    second.set()
    assert list(Delivery.objects.order_by("id").values_list("state", flat=True)) == [
        "sent",
        "waiting",
        "waiting",
    ]
    assert route.resume_deliveries(at=clock.now()) == 1
    assert until(lambda: taken_up(site), 20)
    assert archive.came == [f"{exam.accession}/{number}" for number in (1, 2, 2, 3)]


def taken_up(site) -> bool:
    """Run until the database has let go of what the killed one had in hand."""
    lanes.run(site_id=site.pk, destination="PACS")
    return not Delivery.objects.exclude(state="sent").exists()
