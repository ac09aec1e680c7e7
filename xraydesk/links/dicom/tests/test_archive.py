"""Archives are asked for earlier studies, and send them where they are read: over real associations."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from tests.factories import AT, make_exam
from tests.running import free_ports, until
from xraydesk.imaging.models import Prior
from xraydesk.journey.priors import look_for_priors, move_prior
from xraydesk.journey.tests.performing import PACS, jobs, site_with_pacs
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import archive as asking
from xraydesk.links.dicom.tests.test_images_link import CR, drawn
from xraydesk.links.jobs import find_priors
from xraydesk.orders.models import Exam
from xraydesk.siteplan.routing_plan import DestinationPlan

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


class Old:
    """An old archive that knows some studies, and moves what it is asked to move or says why not."""

    def __init__(self) -> None:
        self.studies: list[Dataset] = []
        self.moved: list[tuple[str, str]] = []
        self.move_status: int | None = None
        self.find_status: int | None = None
        ae = AE(ae_title="OLD")
        ae.add_supported_context(asking.STUDY_ROOT_FIND)
        ae.add_supported_context(asking.STUDY_ROOT_MOVE)
        handlers = [(evt.EVT_C_FIND, self.find), (evt.EVT_C_MOVE, self.move)]
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]

    def find(self, event: evt.Event) -> Iterator[Any]:
        if self.find_status is not None:
            yield self.find_status, None
            return
        level = event.identifier.QueryRetrieveLevel
        for study in self.studies:
            if level == "STUDY" or study.StudyInstanceUID == event.identifier.StudyInstanceUID:
                yield 0xFF00, study

    def move(self, event: evt.Event) -> Iterator[Any]:
        if self.move_status == 0xA801:
            yield None, None
            return
        if self.move_status is not None:
            raise RuntimeError("the tape is torn")
        self.moved.append((event.identifier.StudyInstanceUID, event.move_destination))
        yield "127.0.0.1", 1
        yield 0


@pytest.fixture
def old() -> Iterator[Old]:
    old = Old()
    yield old
    old.server.shutdown()
    old.server.server_close()


def study(exam: Exam, **values: str) -> Dataset:
    ds = Dataset()
    ds.PatientID, ds.StudyInstanceUID, ds.StudyDate = (
        exam.patient.identifiers.get().value,
        new_uid(),
        "20250301",
    )
    ds.StudyDescription, ds.BodyPartExamined = "Chest of old", "CHEST"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def site_asking(port: int, **more: str):
    return site_with_pacs(PACS, DestinationPlan("OLD", "OLD", "127.0.0.1", port, finds=True, **more))


def beside(exam: Exam) -> list[tuple[str, str, str]]:
    rows = Prior.objects.filter(exam=exam).order_by("id")
    return [(p.words, p.state, p.where) for p in rows]


def test_an_archive_is_asked_and_sends_what_is_compared_where_it_is_read(old: Old) -> None:
    site = site_asking(old.port, moves_to="PACS")
    exam = make_exam(site)
    hers = study(exam)
    old.studies = [
        hers,
        study(exam, BodyPartExamined="FOOT"),
        study(exam, PatientID="SOMEBODY"),
        study(exam, StudyInstanceUID=exam.study_instance_uid),
        study(exam, StudyInstanceUID=make_exam(site, patient=exam.patient).study_instance_uid),
    ]
    look_for_priors(exam_id=exam.pk, at=AT)
    assert jobs("find_priors")[-1] == {"exam_id": exam.pk}
    look_for_priors(exam_id=exam.pk, at=AT)
    find_priors(exam.pk)
    assert old.moved == [(hers.StudyInstanceUID, "PACS")]
    assert beside(exam) == [("Chest of old", "there", "PACS")]
    find_priors(exam.pk)
    assert len(old.moved) == 1


def test_where_it_is_read_is_where_it_is_when_nothing_is_to_be_moved(old: Old) -> None:
    exam = make_exam(site_asking(old.port))
    old.studies = [study(exam)]
    find_priors(exam.pk)
    assert (beside(exam), old.moved) == ([("Chest of old", "there", "OLD")], [])


@pytest.mark.parametrize(("status", "why"), [(0xA801, "it does not know PACS"), (0xC514, "it answered C514")])
def test_what_cannot_be_sent_is_missing_with_the_reason_and_tried_again(
    old: Old, status: int, why: str
) -> None:
    exam = make_exam(site_asking(old.port, moves_to="PACS"))
    old.studies, old.move_status = [study(exam)], status
    find_priors(exam.pk)
    assert beside(exam) == [("Chest of old", "missing", why)]
    prior = Prior.objects.get()
    move_prior(prior_id=prior.pk, action="chase", of="the vendor", at=AT, by="user:c")
    find_priors(exam.pk)
    assert beside(exam)[0][1] == "chased"
    old.move_status = None
    find_priors(exam.pk)
    assert beside(exam) == [("Chest of old", "there", "PACS")]


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_does_not_answer_is_told_of_until_it_does(old: Old) -> None:
    site = site_asking(1)
    exam = make_exam(site)
    find_priors(exam.pk)
    assert beside(exam) == [("whatever OLD has", "missing", "it takes no association")]
    old.find_status = 0xA700
    site.plan["destinations"][1]["port"] = old.port
    site.save()
    find_priors(exam.pk)
    assert beside(exam) == [("whatever OLD has", "missing", "it answered A700")]
    old.find_status = None
    find_priors(exam.pk)
    assert beside(exam) == []
    assert asking.fetch_priors(make_exam(site, procedure=None).pk) == 0
    with pytest.raises(asking.ArchiveAway, match="certificate file"):
        asking.find_studies(
            replace(PACS, tls=True, authority="/no/such.pem"), asking.Asked("1", "", None), calling="X"
        )


@contextmanager
def orthanc(folder: Path, port: int, modalities: dict[str, list[Any]]) -> Iterator[None]:
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed here")
    told = {
        "Name": "old", "StorageDirectory": str(folder / "o"), "IndexDirectory": str(folder / "o"),
        "HttpServerEnabled": False, "DicomPort": port, "DicomAet": "OLD", "DicomCheckCalledAet": False,
        "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowMove": True,
        "DicomModalities": modalities,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(told))
    process = subprocess.Popen(
        ["Orthanc", str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def test_orthanc_is_asked_and_sends_a_study_to_the_pacs(tmp_path: Path) -> None:
    came: list[str] = []

    def take(event: evt.Event) -> int:
        came.append(str(event.dataset.StudyInstanceUID))
        return 0

    pacs = AE(ae_title="PACS")
    pacs.add_supported_context(CR)
    server = pacs.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    (port,) = free_ports(1)
    try:
        with orthanc(tmp_path, port, {"pacs": ["PACS", "127.0.0.1", server.socket.getsockname()[1]]}):
            exam = make_exam(site_asking(port, moves_to="PACS"))
            earlier = drawn(
                exam, StudyInstanceUID=new_uid(), StudyDate="20250301", StudyDescription="Chest of old"
            )
            sender = AE(ae_title="XR1")
            sender.add_requested_context(CR)

            def listens() -> bool:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except OSError:
                    return False
                return True

            def kept() -> bool:
                association = sender.associate("127.0.0.1", port, ae_title="OLD")
                try:
                    return association.is_established and association.send_c_store(earlier).Status == 0
                finally:
                    association.release()

            assert until(listens, 30)
            assert kept()
            find_priors(exam.pk)
            assert beside(exam) == [("Chest of old", "there", "PACS")]
            assert came == [earlier.StudyInstanceUID]
    finally:
        server.shutdown()
        server.server_close()
