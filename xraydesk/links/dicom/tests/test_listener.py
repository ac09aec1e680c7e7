"""The listener over real loopback sockets: associations, limits and deadlines."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.pdu import A_ASSOCIATE_AC

from tests.factories import make_site, plan_with
from xraydesk.attention.models import Item
from xraydesk.links.dicom import admission, echo, worklist
from xraydesk.links.dicom.messages import write_command
from xraydesk.links.dicom.pdus import data_pdus
from xraydesk.links.dicom.server import NotSafe, refuse_exposed
from xraydesk.links.dicom.service import Notify, Response, Service
from xraydesk.links.dicom.sop_classes import (
    MESSAGE_SYNTAXES,
    MODALITY_WORKLIST,
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
)
from xraydesk.links.dicom.tests.peers import association_request, listening, read_pdu, status_of
from xraydesk.project.config import Config
from xraydesk.siteplan.link_plan import LinkPlan

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
VERIFICATION = "1.2.840.10008.1.1"
RELEASE = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"


@pytest.fixture
def site():
    return make_site()


@pytest.fixture
def desk(tmp_path, site):
    with listening(tmp_path, [echo.SERVICE, worklist.SERVICE], dicom_idle_seconds=1.0) as running:
        yield running


def associated(desk, **kwargs):
    """A raw connection with an association."""
    peer = desk.raw()
    peer.sendall(association_request(**kwargs))
    kind, _ = read_pdu(peer)
    assert kind == 2
    return peer


def seconds_until_closed(peer):
    begun = time.monotonic()
    while read_pdu(peer)[0]:
        pass
    return time.monotonic() - begun


def test_a_modality_finds_the_desk_there(desk):
    association = desk.associate([VERIFICATION])
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
    assert association.is_released


@pytest.mark.skipif(shutil.which("echoscu") is None, reason="dcmtk's echoscu is not installed")
def test_echoscu_finds_the_desk_there_though_nobody_knows_it(desk):
    done = subprocess.run(["echoscu", "-aec", "XRAYDESK", "127.0.0.1", str(desk.port)], timeout=30)
    assert done.returncode == 0


def test_another_ae_title_than_a_sites_is_not_here(desk):
    with desk.raw() as peer:
        peer.sendall(association_request(called="NOBODY"))
        assert read_pdu(peer) == (3, b"\x00\x01\x01\x07")


def test_a_stranger_may_verify_and_nothing_else(desk):
    assert desk.associate([VERIFICATION], calling="STRANGER").is_established
    with desk.raw() as peer:
        peer.sendall(association_request(["1.2.840.10008.5.1.4.31"], calling="STRANGER"))
        assert read_pdu(peer) == (3, b"\x00\x01\x01\x03")


def test_a_length_of_four_gigabytes_is_closed_at_the_cap_and_costs_no_memory(desk):
    """Row 24."""
    before = _resident_kb()
    for head in (b"\x01\x00\xff\xff\xff\xff", b"\x04\x00\xff\xff\xff\xff"):
        with desk.raw() as peer:
            peer.sendall(head)
            assert read_pdu(peer)[0] == 7
            peer.close()
    with associated(desk) as peer:
        peer.sendall(b"\x04\x00\xff\xff\xff\xff" + bytes(100_000))
        assert read_pdu(peer)[0] == 7
    assert _resident_kb() - before < 20_000


def _resident_kb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4


def test_idle_sockets_by_the_hundred_are_closed_and_keep_no_modality_out(desk):
    """Row 25: more sockets than places wait in silence, strangers hold associations, and modalities are taken."""
    with ExitStack() as stack:
        silent = [stack.enter_context(desk.raw()) for _ in range(100)]
        for _ in range(20):
            peer = stack.enter_context(desk.raw())
            peer.sendall(association_request(calling="STRANGER"))
        machines = [stack.enter_context(associated(desk, calling=f"XR{1 + n % 2}")) for n in range(20)]
        assert len(machines) == 20
        assert seconds_until_closed(silent[-1]) < 3
        assert seconds_until_closed(machines[-1]) < 3


def test_a_machine_that_never_releases_loses_its_own_oldest_and_keeps_no_other_out(
    tmp_path, site, monkeypatch
):
    """Row 25: places are limited for each peer too."""
    monkeypatch.setattr(admission, "PLACES_OF_ONE_PEER_MAX", 3)
    with listening(tmp_path, [echo.SERVICE, worklist.SERVICE]) as desk, ExitStack() as stack:
        peers = [stack.enter_context(associated(desk)) for _ in range(4)]
        assert read_pdu(peers[0])[0] == 7
        other = stack.enter_context(associated(desk, calling="XR2"))
        for peer in (*peers[1:], other):
            peer.sendall(RELEASE)
            assert read_pdu(peer)[0] == 6


@pytest.mark.parametrize("start", ["before", "within"])
def test_a_dribbling_peer_meets_its_deadline(desk, start):
    """Row 25."""
    peer = desk.raw() if start == "before" else associated(desk)
    wire = (
        association_request()
        if start == "before"
        else struct.pack(">BxLLBB", 4, 1006, 1002, 1, 1) + bytes(1000)
    )
    begun = time.monotonic()
    with peer, pytest.raises(OSError, match=r"reset|pipe|closed"):
        for byte in wire:
            peer.sendall(bytes([byte]))
            time.sleep(0.1)
            if time.monotonic() - begun > 5:
                break
        else:
            raise AssertionError("the whole request was taken")
    assert time.monotonic() - begun < 5


def test_an_association_without_a_request_is_aborted_and_one_that_works_is_not(desk):
    """Row 25."""
    quiet, busy = associated(desk), desk.associate([VERIFICATION])
    for _ in range(4):
        time.sleep(0.5)
        assert busy.send_c_echo().Status == 0
    with quiet:
        assert read_pdu(quiet)[0] == 7
    busy.release()


def test_associations_that_end_in_any_way_leave_nothing(desk):
    """Row 26, in short: threads, sockets and the listener's own lists are as before."""
    associated(desk).close()
    time.sleep(0.2)
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for number in range(300):
        peer = associated(desk)
        if number % 3 == 0:
            peer.sendall(RELEASE)
            assert read_pdu(peer)[0] == 6
        elif number % 3 == 1:
            peer.sendall(ABORT)
        peer.close()
    deadline = time.monotonic() + 10
    while desk.listener._all and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not desk.listener._all
    assert not desk.listener._placed
    assert not desk.listener._waiting
    assert threading.active_count() <= threads + 1
    assert len(os.listdir("/proc/self/fd")) <= files + 2


def test_deflate_is_not_negotiated(desk):
    """Row 27."""
    from pynetdicom import AE

    ae = AE(ae_title="XR1")
    ae.add_requested_context("1.2.840.10008.5.1.4.31", "1.2.840.10008.1.2.1.99")
    association = ae.associate("127.0.0.1", desk.port, ae_title="XRAYDESK")
    assert not association.accepted_contexts
    assert [context.result for context in association.rejected_contexts] == [4]
    association.abort()


@pytest.mark.parametrize("is_implicit", [True, False])
def test_20_000_nested_sequences_are_refused_and_the_listener_lives(desk, is_implicit):
    """Row 28."""
    depth = 20_000
    head = (
        struct.pack("<HHL", 0x40, 0x100, 0xFFFFFFFF)
        if is_implicit
        else struct.pack("<HH2sxxL", 0x40, 0x100, b"SQ", 0xFFFFFFFF)
    )
    item = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    query = (head + item) * depth
    assert _find(desk, query, is_implicit=is_implicit) == 0xC001
    inner = b""
    for _ in range(2_000):  # with lengths that are told, the reader goes down one level at a time
        inner = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
        inner = struct.pack("<HHL", 0x40, 0x100, len(inner)) + inner
    if is_implicit:
        assert _find(desk, inner, is_implicit=True) == 0xA900
    assert desk.associate([VERIFICATION]).send_c_echo().Status == 0


def _find(desk, query, *, is_implicit):
    request = C_FIND()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = 1, MODALITY_WORKLIST, 2
    command = write_command(request, has_data_set=True)
    syntax = "1.2.840.10008.1.2" if is_implicit else "1.2.840.10008.1.2.1"
    with associated(desk, abstract_syntaxes=[MODALITY_WORKLIST], syntax=syntax) as peer:
        for pdu in (
            *data_pdus(1, command, is_command=True, length_max=16_384),
            *data_pdus(1, query, is_command=False, length_max=16_384),
        ):
            peer.sendall(pdu)
        return status_of(peer)


def test_data_before_an_association_and_a_second_request_are_aborted(desk):
    with desk.raw() as peer:
        peer.sendall(struct.pack(">BxLLBB", 4, 8, 4, 1, 3) + b"xx")
        assert read_pdu(peer)[0] == 7
    with associated(desk) as peer:
        peer.sendall(association_request())
        assert read_pdu(peer)[0] == 7
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\x00\x00\x00\x10" + bytes(16), os.urandom(64)):
        with desk.raw() as peer:
            peer.sendall(noise)
            assert read_pdu(peer)[0] in {7, 0}
    with associated(desk) as peer:  # a command on a context that was never agreed
        peer.sendall(struct.pack(">BxLLBB", 4, 8, 4, 99, 3) + b"xx")
        assert read_pdu(peer)[0] == 7
    with associated(desk) as peer:  # data without a command
        peer.sendall(struct.pack(">BxLLBB", 4, 8, 4, 1, 2) + b"xx")
        assert read_pdu(peer)[0] == 7


def test_a_request_is_answered_although_the_peer_wants_to_release_meanwhile(tmp_path, site):
    gate = threading.Event()

    def slow(request):
        gate.wait(10)
        yield Response(0x0000)

    service = Service("slow", slow, frozenset({"C_ECHO"}), (VERIFICATION,), MESSAGE_SYNTAXES)
    with listening(tmp_path, [service]) as desk, associated(desk) as peer:
        command = bytes.fromhex(
            "000000000400000038000000" "0000020012000000" + b"1.2.840.10008.1.1\0".hex()
            + "00000001020000003000" "0000100102000000" "0100" "0000000802000000" "0101"
        )  # fmt: skip
        peer.sendall(struct.pack(">BxLLBB", 4, len(command) + 6, len(command) + 2, 1, 3) + command + RELEASE)
        time.sleep(0.2)
        gate.set()
        assert read_pdu(peer)[0] == 4
        assert read_pdu(peer)[0] == 6


def test_what_a_handler_did_not_expect_is_a_failure_to_the_peer_and_an_item_for_a_person(tmp_path, site):
    """Row 55: neither the answer nor the item says what the error said."""

    def broken(request):
        raise RuntimeError("Prüfer^Ada 1969")
        yield

    service = Service("broken", broken, frozenset({"C_ECHO"}), (VERIFICATION,), MESSAGE_SYNTAXES, 0x0110)
    with listening(tmp_path, [service]) as desk:
        association = desk.associate([VERIFICATION])
        status = association.send_c_echo()
        assert status.Status == 0x0110
        assert "Prüfer" not in str(status)
        assert desk.associate([VERIFICATION]).send_c_echo().Status == 0x0110
    item = Item.objects.get()
    assert "XR1" in item.text
    assert "Prüfer" not in str([item.text, item.data])
    assert item.data["error"].startswith("RuntimeError at test_listener.py:")


def test_an_operation_that_a_service_does_not_have_is_refused(tmp_path, site):
    service = Service("none", echo.echo, frozenset({"N_GET"}), (VERIFICATION,), MESSAGE_SYNTAXES)
    with listening(tmp_path, [service]) as desk:
        assert desk.associate([VERIFICATION]).send_c_echo().Status == 0x0211


@pytest.mark.parametrize("answers", [0x0000, 0x0110, None])
def test_a_notice_goes_over_the_same_association_and_its_answer_comes_back(tmp_path, site, answers):
    from pydicom.dataset import Dataset
    from pynetdicom import evt

    told = []
    done = threading.Event()

    def commit(request):
        yield Response(0x0000)
        notice = Dataset()
        notice.TransactionUID = request.dataset.TransactionUID
        told.append(
            (yield Notify(STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, 1, notice, answer_seconds_max=0.5))
        )
        done.set()

    heard = []

    def on_notice(event):
        heard.append((event.request.EventTypeID, event.event_information.TransactionUID))
        if answers is None:
            time.sleep(1)
        return answers or 0x0000, None

    service = Service("commit", commit, frozenset({"N_ACTION"}), (STORAGE_COMMITMENT,), MESSAGE_SYNTAXES)
    with listening(tmp_path, [service]) as desk:
        association = desk.associate([STORAGE_COMMITMENT], evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_notice)])
        asked = Dataset()
        asked.TransactionUID = "1.2.3.4"
        status, _ = association.send_n_action(asked, 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
        assert status.Status == 0
        assert done.wait(5)
        association.release()
    assert heard == [(1, "1.2.3.4")]
    assert told == [answers]


def test_the_desk_tells_its_limit_and_its_name(desk):
    with desk.raw() as peer:
        peer.sendall(association_request())
        kind, body = read_pdu(peer)
        pdu = A_ASSOCIATE_AC()
        pdu.decode(struct.pack(">BxL", kind, len(body)) + body)
        told = pdu.user_information
        assert told.maximum_length == 1_048_576
        assert told.implementation_version_name == "XRAYDESK_1"
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_an_address_beyond_this_machine_needs_tls_or_a_machine_named_in_clear(site) -> None:
    """Row 59: refused when `xraydesk dicom` is started alone as well, with what to do."""
    beyond = Config(dicom="0.0.0.0:11112")
    with pytest.raises(NotSafe, match="peers"):
        refuse_exposed(beyond)
    refuse_exposed(Config(dicom="127.0.0.1:11112"))
    refuse_exposed(Config(dicom="0.0.0.0:11112", tls_cert=Path("cert.pem"), tls_key=Path("key.pem")))
    machine = LinkPlan("OLD-ROOM", "dicom", "XR1", "", insecure=True, peers=("10.1.2.3",))
    site.plan = plan_with(machine)
    site.save()
    refuse_exposed(beyond)
    site.plan = plan_with(replace(machine, kind="orders"))
    site.save()
    with pytest.raises(NotSafe, match="kind dicom"):
        refuse_exposed(beyond)
