"""Destinations are asked what they keep over real associations, and answer on the same one, on their own, or wrongly."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from tests.factories import AT, make_exam
from tests.running import free_ports, until
from xraydesk.imaging.models import Delivery, Promise
from xraydesk.imaging.states import StepState
from xraydesk.journey import route
from xraydesk.journey.tests.performing import PACS, begun, site_with_pacs, told
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import commit, mpps, promise, send, store
from xraydesk.links.dicom.sop_classes import STORAGE_COMMITMENT_INSTANCE
from xraydesk.links.dicom.tests.peers import listening
from xraydesk.links.dicom.tests.test_images_link import drawn, stored
from xraydesk.links.jobs import ask_commitment
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def site():
    return site_with_pacs(replace(PACS, commits=True))


@pytest.fixture
def desk(tmp_path, site, settings):
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    with listening(tmp_path, [mpps.SERVICE, store.SERVICE, commit.SERVICE]) as running:
        yield running


def at_port(site, port: int) -> None:
    site.plan = to_json(replace(from_json(site.plan), destinations=(replace(PACS, commits=True, port=port),)))
    site.save()


def at_the_pacs(desk, site, count: int = 1) -> Exam:
    """An exam whose images were sent."""
    exam = make_exam(site)
    uid = begun(site, exam)
    assert set(stored(desk, *(drawn(exam) for _ in range(count)))) == {0}
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=clock.now())
    send.deliver(exam_id=exam.pk, destination="PACS")
    return exam


def keeping() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("keeping", flat=True))


class Keeper:
    """An archive that takes objects, and answers for those that it has, as a test wants."""

    def __init__(self) -> None:
        self.has: set[str] = set()
        self.asked: list[Dataset] = []
        self.status = 0x0000
        self.answers_here = True
        self.told: list[int | None] = []
        ae = AE(ae_title="PACS")
        ae.supported_contexts = AllStoragePresentationContexts
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self.take),
            (evt.EVT_N_ACTION, self.take_question),
            (evt.EVT_DIMSE_SENT, self.sent),
        ]
        self.server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self.server.socket.getsockname()[1]

    def take(self, event: evt.Event) -> int:
        self.has.add(str(event.request.AffectedSOPInstanceUID))
        return 0

    def take_question(self, event: evt.Event) -> tuple[int, None]:
        if self.status == 0:
            self.asked.append(event.action_information)
        return self.status, None

    def sent(self, event: evt.Event) -> None:
        """Once the response to a question has left, the answer follows it on the same association."""
        if self.answers_here and type(event.message).__name__ == "N_ACTION_RSP":
            threading.Thread(target=self.report, args=(event.assoc, self.asked[-1])).start()

    def report(self, association: Any, asked: Dataset, *, transaction_uid: str = "") -> int | None:
        said, kind = Dataset(), 1
        said.TransactionUID = transaction_uid or asked.TransactionUID
        said.ReferencedSOPSequence = []
        failed = []
        for item in asked.ReferencedSOPSequence:
            if item.ReferencedSOPInstanceUID in self.has:
                said.ReferencedSOPSequence.append(item)
            else:
                item.FailureReason, kind = 0x0112, 2
                failed.append(item)
        if failed:
            said.FailedSOPSequence = failed
        status, _ = association.send_n_event_report(
            said, kind, StorageCommitmentPushModel, STORAGE_COMMITMENT_INSTANCE
        )
        self.told.append(status.get("Status"))
        return self.told[-1]

    def report_over(self, port: int, asked: Dataset, *, calling: str = "PACS", **more: str) -> int | None:
        """Answer over an association of its own, in the role of provider; None where it is not taken."""
        ae = AE(ae_title=calling)
        ae.add_requested_context(StorageCommitmentPushModel)
        association = ae.associate(
            "127.0.0.1",
            port,
            ae_title="XRAYDESK",
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        )
        if not association.is_established:
            return None
        try:
            return self.report(association, asked, **more)
        finally:
            association.release()


@pytest.fixture
def keeper(site, monkeypatch) -> Iterator[Keeper]:
    # Long enough on any machine: what a test waits for is the answer.
    monkeypatch.setattr(promise, "ANSWER_HERE_SECONDS", 30)
    keeper = Keeper()
    at_port(site, keeper.port)
    yield keeper
    keeper.server.shutdown()
    keeper.server.server_close()


def test_an_archive_that_answers_at_once_is_heard_on_the_same_association(desk, site, keeper: Keeper) -> None:
    at_the_pacs(desk, site, 2)
    ask_commitment(site.pk, "PACS")
    assert (keeping(), len(keeper.asked)) == (["committed", "committed"], 1)
    assert until(lambda: keeper.told == [0], 20)
    ask_commitment(site.pk, "PACS")
    assert len(keeper.asked) == 1


def test_an_archive_that_answers_later_is_heard_over_an_association_of_its_own(
    desk, site, keeper: Keeper, monkeypatch
) -> None:
    """Row 39: what it does not keep is sent again, and asked about again under a new number."""
    monkeypatch.setattr(promise, "ANSWER_HERE_SECONDS", 0)
    keeper.answers_here = False
    exam = at_the_pacs(desk, site, 2)
    lost = sorted(keeper.has)[0]
    keeper.has.discard(lost)
    ask_commitment(site.pk, "PACS")
    (asked,) = keeper.asked
    assert keeper.report_over(desk.port, asked, transaction_uid=new_uid()) == 0x0115
    assert keeper.report_over(desk.port, asked, calling="STRANGER") is None
    assert keeper.report_over(desk.port, asked) == 0
    assert keeper.report_over(desk.port, asked) == 0
    assert sorted(keeping()) == ["committed", "refused"]
    Delivery.objects.filter(state="waiting").update(next_at=AT)
    send.deliver(exam_id=exam.pk, destination="PACS")
    ask_commitment(site.pk, "PACS")
    assert lost in keeper.has
    assert [i.ReferencedSOPInstanceUID for i in keeper.asked[1].ReferencedSOPSequence] == [lost]
    assert keeper.report_over(desk.port, keeper.asked[1]) == 0
    assert keeping() == ["committed", "committed"]


def test_a_desk_killed_between_the_question_and_the_answer_takes_the_answer(
    desk, site, keeper: Keeper, monkeypatch
) -> None:
    """Row 39: the question was written down before it left."""

    class Killed(BaseException):
        pass

    def killed(**_: Any) -> None:
        raise Killed

    keeper.answers_here = False
    at_the_pacs(desk, site)
    monkeypatch.setattr(promise, "question_taken", killed)
    with pytest.raises(Killed):
        promise.ask(site_id=site.pk, destination="PACS")
    assert Promise.objects.get().taken_at is None
    assert keeper.report_over(desk.port, keeper.asked[0]) == 0
    assert keeping() == ["committed"]


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_question_that_is_refused_or_reaches_nobody_waits_for_its_next_try(
    desk, site, keeper: Keeper
) -> None:
    at_the_pacs(desk, site)
    keeper.status = 0x0213
    ask_commitment(site.pk, "PACS")
    assert (keeping(), Delivery.objects.get().asks) == (["to be asked"], 1)
    Delivery.objects.update(ask_at=AT)
    at_port(site, 1)
    ask_commitment(site.pk, "PACS")
    assert (keeping(), Delivery.objects.get().asks) == (["to be asked"], 2)


def test_orthanc_is_asked_and_answers(desk, site, tmp_path: Path, monkeypatch) -> None:
    """As an archive of its own, over an association that it opens: once all is there, once an image was lost."""
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed here")
    monkeypatch.setattr(promise, "ANSWER_HERE_SECONDS", 30)
    (port, http) = free_ports(2)
    at_port(site, port)
    told_it = {
        "Name": "pacs", "StorageDirectory": str(tmp_path / "o"), "IndexDirectory": str(tmp_path / "o"),
        "HttpPort": http, "AuthenticationEnabled": False, "DicomPort": port, "DicomAet": "PACS",
        "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
        "DicomModalities": {
            "desk": {"AET": "XRAYDESK", "Host": "127.0.0.1", "Port": desk.port, "AllowStorageCommitment": True}
        },
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(told_it))
    process = subprocess.Popen(
        ["Orthanc", str(tmp_path / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    try:
        assert until(listens, 30)
        exam = at_the_pacs(desk, site)
        ask_commitment(site.pk, "PACS")
        assert keeping() == ["committed"]
        second = at_the_pacs(desk, site)
        Delivery.objects.filter(image__exam=second).update(keeping="to be asked", ask_at=AT)
        for delivery in Delivery.objects.filter(image__exam=second):
            # An image that it never had, as if its disk had lost it.
            delivery.image.corrections = {"SOPInstanceUID": new_uid()}
            delivery.image.save()
        ask_commitment(site.pk, "PACS")
        assert keeping() == ["committed", "refused"]
        assert Delivery.objects.get(image__exam=second).keeping_why == "it does not have it"
        assert exam.pk != second.pk
    finally:
        process.terminate()
        process.wait(20)
