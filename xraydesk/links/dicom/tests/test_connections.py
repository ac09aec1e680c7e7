"""Who called and what became of it; trying a connection out; letting somebody in: over real sockets."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationSocket

from tests.factories import AT, make_booking, make_exam, make_site
from tests.running import collect_sockets
from xraydesk.imaging.models import PerformedStep
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links import connections
from xraydesk.links.connections import Caller
from xraydesk.links.dicom import call_log, echo, mpps, worklist
from xraydesk.links.dicom.admission import Verdict
from xraydesk.links.dicom.doctor_rules import clock_ahead_seconds, clock_in_words
from xraydesk.links.dicom.probe import probe
from xraydesk.links.dicom.sop_classes import MODALITY_PERFORMED_STEP
from xraydesk.links.dicom.tests.peers import association_request, listening, read_pdu
from xraydesk.links.dicom.tests.test_images_link import referencing
from xraydesk.links.dicom.tests.test_worklist import MWL, accessions, query
from xraydesk.links.models import AllowedCaller, ConnectionCheck, DicomCall, MachineClock

pytestmark = [
    pytest.mark.link,
    pytest.mark.django_db(transaction=True),
    # pynetdicom leaves its socket to the garbage collector where a peer hangs up on it.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ECHO = "1.2.840.10008.1.1"


@pytest.fixture
def site():
    return make_site()


def desk_at(tmp_path):
    return listening(tmp_path, [echo.SERVICE, worklist.SERVICE, mpps.SERVICE])


def calls() -> dict[tuple[str, str, str], int]:
    return {(c.calling_ae, c.called_ae, c.outcome): c.times for c in DicomCall.objects.all()}


def test_every_kind_of_call_is_counted_once_with_what_became_of_it(tmp_path, site) -> None:
    with desk_at(tmp_path) as desk:
        for _ in range(3):
            desk.associate([MWL]).release()
        desk.associate([ECHO], calling="PROBE").release()
        assert desk.refusal([MWL], calling="STRANGER") == Verdict.CALLING_UNKNOWN.value
        assert desk.refusal([ECHO], called="NOBODY") == Verdict.CALLED_UNKNOWN.value
        raw = desk.raw()
        raw.sendall(association_request([MWL], calling="A/B"))
        assert read_pdu(raw)[0] == 3
        raw.close()
    assert calls() == {
        ("XR1", "XRAYDESK", "TAKEN"): 3,
        ("PROBE", "XRAYDESK", "TAKEN"): 1,
        ("STRANGER", "XRAYDESK", "CALLING_UNKNOWN"): 1,
        ("XR1", "NOBODY", "CALLED_UNKNOWN"): 1,
        ("A/B", "XRAYDESK", "CALLING_UNKNOWN"): 1,
    }
    assert {c.address for c in DicomCall.objects.all()} == {"127.0.0.1"}


def test_somebody_who_is_let_in_may_do_what_a_machine_may_until_it_is_taken_back(tmp_path, site) -> None:
    exam = make_exam(site)
    make_booking(exam)
    with desk_at(tmp_path) as desk:
        assert desk.refusal([MWL], calling="NEWCR") == Verdict.CALLING_UNKNOWN.value
    call = DicomCall.objects.get()
    caller = connections.let_in(site=site, call_id=call.pk, at=AT, by="user:admin")
    assert connections.let_in(site=site, call_id=call.pk, at=AT, by="user:admin") == caller
    with desk_at(tmp_path) as desk:
        association = desk.associate([MWL], calling="NEWCR")
        found = [a for _, a in association.send_c_find(query("XR1"), MWL) if a is not None]
        association.release()
        assert [answer.AccessionNumber for answer in found] == [exam.accession]
    assert connections.keep_out(site=site, caller_id=caller.pk, at=AT, by="user:admin") == "NEWCR"
    with desk_at(tmp_path) as desk:
        assert desk.refusal([MWL], calling="NEWCR") == Verdict.CALLING_UNKNOWN.value
        assert accessions(desk, query("XR1")) == [exam.accession]
    assert (AllowedCaller.objects.get().ended_by, AllowedCaller.objects.count()) == ("user:admin", 1)


def test_only_a_call_that_was_refused_for_its_name_lets_anybody_in(site) -> None:
    other = make_site("O")
    connections.count_calls(site=site, calls={Caller("XR1", "X", "10.0.0.1", "TAKEN"): 1}, at=AT)
    connections.count_calls(site=other, calls={Caller("S", "X", "10.0.0.1", "CALLING_UNKNOWN"): 1}, at=AT)
    connections.count_calls(site=site, calls={Caller("", "X", "10.0.0.1", "CALLING_UNKNOWN"): 1}, at=AT)
    for call in DicomCall.objects.all():
        with pytest.raises(Refused):
            connections.let_in(site=site, call_id=call.pk, at=AT, by="user:admin")
    caller = connections.let_in(
        site=other, call_id=DicomCall.objects.get(site=other).pk, at=AT, by="user:admin"
    )
    with pytest.raises(Refused):
        connections.keep_out(site=site, caller_id=caller.pk, at=AT, by="user:admin")
    assert AllowedCaller.objects.get().ended_at is None


def test_what_is_kept_is_limited_in_number_and_age(site, monkeypatch) -> None:
    monkeypatch.setattr(connections, "CALLS_KEPT_MAX", 5)
    for minute in range(8):
        caller = Caller(f"S{minute}", "X", "10.0.0.1", "CALLING_UNKNOWN")
        connections.count_calls(site=site, calls={caller: 2}, at=AT + timedelta(minutes=minute))
    assert sorted(c.calling_ae for c in DicomCall.objects.all()) == ["S3", "S4", "S5", "S6", "S7"]
    monkeypatch.setattr(connections, "CHECKS_OF_A_CONNECTION_MAX", 2)
    for minute in range(4):
        connections.keep_check(
            site=site, ae_title="PACS", where="h:1", reached=True, echoed=True, said="It answers.",
            at=AT + timedelta(minutes=minute), by="user:a",
        )  # fmt: skip
    assert ConnectionCheck.objects.count() == 2
    connections.forget_old(at=AT + timedelta(days=connections.KEPT_DAYS, minutes=5))
    assert sorted(c.calling_ae for c in DicomCall.objects.all()) == ["S6", "S7"]
    assert not ConnectionCheck.objects.exists()


def test_callers_beyond_counting_are_not_kept_and_what_no_table_holds_is_replaced(site, monkeypatch) -> None:
    monkeypatch.setattr(call_log, "CALLERS_MAX", 2)
    log = call_log.CallLog()
    assert log.note(site, Caller("A", "X", "1", "TAKEN"))
    assert not log.note(site, Caller("B", "X", "1", "TAKEN"))
    assert not log.note(site, Caller("C", "X", "1", "TAKEN"))
    log.note(site, Caller("A", "X", "1", "TAKEN"))
    counted = log.take()
    assert {caller.calling_ae: times for (_, caller), times in counted.items()} == {"A": 2, "B": 1}
    assert log.take() == Counter()
    assert call_log.printable("X\x00R\n1") == "X?R?1"


def test_calls_that_a_database_does_not_take_are_lost_and_nothing_else(site, monkeypatch) -> None:
    def fails(**_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(call_log, "count_calls", fails)
    call_log.write(Counter({(site.pk, Caller("A", "X", "1", "TAKEN")): 1}))
    assert not DicomCall.objects.exists()


def test_a_machines_clock_is_told_by_the_steps_it_reports(tmp_path, site) -> None:
    wall = clock.now().astimezone(ZoneInfo(site.timezone)) - timedelta(minutes=7)
    with desk_at(tmp_path) as desk:
        association = desk.associate([MODALITY_PERFORMED_STEP])
        for _ in range(3):
            told = referencing(
                make_exam(site),
                PerformedProcedureStepStartDate=f"{wall:%Y%m%d}",
                PerformedProcedureStepStartTime=f"{wall:%H%M%S}",
            )
            assert association.send_n_create(told, MODALITY_PERFORMED_STEP, new_uid())[0].Status == 0
        association.release()
    kept = MachineClock.objects.get()
    assert (kept.ae_title, len(kept.ahead_seconds)) == ("XR1", 3)
    assert clock_in_words(clock_ahead_seconds(kept.ahead_seconds)) in {"7 min behind", "8 min behind"}
    connections.told_time_of(site=site, ae_title="XR1", told=AT, at=AT, samples_max=2)
    assert MachineClock.objects.get().ahead_seconds[-1] == 0


def test_a_clock_that_cannot_be_kept_does_not_refuse_the_step(tmp_path, site, monkeypatch) -> None:
    def fails(**_: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(mpps, "told_time_of", fails)
    with desk_at(tmp_path) as desk:
        association = desk.associate([MODALITY_PERFORMED_STEP])
        sent = association.send_n_create(referencing(make_exam(site)), MODALITY_PERFORMED_STEP, new_uid())
        assert sent[0].Status == 0
        association.release()
    assert PerformedStep.objects.count() == 1


# -- trying a connection out -----------------------------------------------------------------


@contextmanager
def peer(*, title: str = "PACS", contexts=(Verification,), **limits) -> Iterator[int]:
    """pynetdicom as a server on a free port."""
    ae = AE(ae_title=title)
    for name, value in limits.items():
        setattr(ae, name, value)
    for context in contexts:
        ae.add_supported_context(context)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda event: 0x0000)]
    )
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()
        server.server_close()


def tried(port: int, called: str = "PACS"):
    try:
        return probe(host="127.0.0.1", port=port, called=called, calling="XRAYDESK")
    finally:
        collect_sockets()


def test_a_peer_that_answers_and_ones_that_do_not_are_told_apart() -> None:
    with peer() as port:
        found = tried(port)
        assert (found.reached, found.echoed, found.said) == (True, True, "It answers.")
    gone = tried(port)
    assert (gone.reached, gone.echoed) == (False, False)
    assert "nothing listens at that port" in gone.said
    with peer(require_calling_aet=["OTHER"]) as port:
        assert "it does not know our AE title XRAYDESK" in tried(port).said
    with peer(require_called_aet=True) as port:
        assert "it is not called WRONG" in tried(port, "WRONG").said
    with peer(contexts=["1.2.840.10008.5.1.4.1.1.1"]) as port:
        found = tried(port)
        assert (found.reached, found.echoed) == (True, False)
    assert "cannot be reached" in probe(host="no.such.host.invalid", port=1, called="P", calling="X").said


def test_a_rejection_that_comes_before_we_have_looked_is_told_as_a_rejection(monkeypatch) -> None:
    prepare = AssociationSocket.__init__

    class SeenLate(threading.Event):
        """Its waiter goes on once the other thread has read the answer and closed the connection."""

        def wait(self, timeout: float | None = None) -> bool:
            is_set = super().wait(timeout)
            end = time.monotonic() + 60
            while self.connection._is_connected and time.monotonic() < end:
                time.sleep(0.001)
            return is_set

    def begin(connection, *arguments, **named) -> None:
        prepare(connection, *arguments, **named)
        if not connection._ready.is_set():
            connection._ready = SeenLate()
            connection._ready.connection = connection

    with peer(require_calling_aet=["OTHER"]) as port:
        monkeypatch.setattr(AssociationSocket, "__init__", begin)
        assert "it does not know our AE title XRAYDESK" in tried(port).said


def test_a_peer_that_hangs_up_is_told_as_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        found = tried(listener.getsockname()[1])
        thread.join(10)
    assert (found.reached, found.echoed) == (True, False)
    assert "no association" in found.said


@pytest.mark.skipif(shutil.which("storescp") is None, reason="dcmtk's storescp is not installed")
def test_dcmtk_answers_the_echo(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen(["storescp", "-od", str(tmp_path), str(port)]) as storescp:
        try:
            end = time.monotonic() + 60
            while not (found := tried(port)).reached:
                assert time.monotonic() < end, "storescp does not listen"
                time.sleep(0.1)
            assert found.said == "It answers."
        finally:
            storescp.terminate()
