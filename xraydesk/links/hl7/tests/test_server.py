"""Senders on real sockets, well-behaved and not."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from tests.certificates import certificate_of
from tests.factories import plan_with
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.links.hl7.apply import Steps
from xraydesk.links.hl7.receive import Receiver
from xraydesk.links.hl7.server import NotSafe, run
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.hl7.tests.sent import answers, code, framed, is_closed, order
from xraydesk.links.models import Message
from xraydesk.orders.models import Exam, Order
from xraydesk.project.config import Config

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
Listen = Callable[..., Any]


def test_an_order_is_kept_applied_and_acknowledged(site: Site, listen: Listen) -> None:
    peer = listen().connect()
    peer.sendall(framed(order(control="C1", placer="P7")))
    assert code(answers(peer)[0]) == ("AA", "C1")
    assert Exam.objects.get().order.placer == "P7"
    assert bytes(Message.objects.get().raw) == order(control="C1", placer="P7").encode()


def test_a_frame_may_be_cut_at_every_byte(site: Site, listen: Listen) -> None:
    """Row 9: FS and CR in packets of their own are put together again."""
    peer = listen().connect()
    for byte in framed(order(control="C1")):
        peer.sendall(bytes([byte]))
    assert code(answers(peer)[0]) == ("AA", "C1")


def test_pipelined_frames_are_all_answered_in_order(site: Site, listen: Listen) -> None:
    """Row 10: pipelined frames, LF or NUL between them."""
    peer = listen().connect()
    sent = [framed(order(control=f"C{n}", placer=f"P{n}")) for n in range(20)]
    peer.sendall(b"\n\x00".join(sent))
    assert [code(a) for a in answers(peer, 20)] == [("AA", f"C{n}") for n in range(20)]
    assert Exam.objects.count() == 20


def test_a_frame_that_is_never_ended_is_refused_when_its_time_is_over(site: Site, listen: Listen) -> None:
    """Row 11: a deadline for a frame begun and not ended, and a framing error that a person sees."""
    peer = listen(frame_seconds=0.3).connect()
    started = time.monotonic()
    peer.sendall(b"\x0b" + order(control="C1").encode())
    time.sleep(0.2)
    peer.sendall(b"NTE|1||still here\r")  # dribbling does not move the deadline
    assert code(answers(peer)[0]) == ("AR", "C1")
    assert is_closed(peer)
    assert 0.25 < time.monotonic() - started < 5
    assert "not ended in time" in Item.objects.get().text
    assert not Order.objects.exists()


def test_a_message_without_a_start_of_block_is_refused_and_the_next_one_is_taken(
    site: Site, listen: Listen
) -> None:
    """Row 11: a missing VT."""
    peer = listen().connect()
    peer.sendall(framed(order(control="C1"))[1:] + framed(order(control="C2")))
    assert [code(a) for a in answers(peer, 2)] == [("AR", "C1"), ("AA", "C2")]
    assert "start of block" in Item.objects.get().text


def test_a_message_without_an_end_of_block_is_refused_and_the_next_one_is_taken(
    site: Site, listen: Listen
) -> None:
    """Row 11: a missing FS."""
    peer = listen().connect()
    peer.sendall(framed(order(control="C1"))[:-2] + framed(order(control="C2")))
    assert [code(a) for a in answers(peer, 2)] == [("AR", "C1"), ("AA", "C2")]


def test_noise_is_one_item_and_no_answer_and_harms_nobody(site: Site, listen: Listen) -> None:
    """Row 11: noise."""
    desk = listen()
    for _ in range(3):
        peer = desk.connect()
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n" + framed(order(control="C1")))
        assert code(answers(peer)[0]) == ("AA", "C1")
    assert Item.objects.filter(key__startswith="framing:").count() == 1
    assert Message.objects.filter(control_id="").get().seen == 3


def test_a_sender_who_never_frames_anything_is_hung_up_on(site: Site, listen: Listen) -> None:
    """Row 11: noise without end."""
    peer = listen().connect()
    peer.sendall(b"x\x1c" * 1000)
    assert len(answers(peer, 1000)) == 20
    assert Message.objects.get().seen == 20


def test_a_large_message_is_taken_up_to_the_cap_and_refused_above_it(site: Site, listen: Listen) -> None:
    """Row 12: a PDF in OBX-5 is taken; above the stated cap AR, and the link is closed."""
    peer = listen(frame_bytes_max=2_000_000).connect()
    pdf = "OBX|1|ED|PDF^Request||^application^pdf^Base64^" + "A" * 1_500_000
    peer.sendall(framed(order(control="C1", extra=pdf)))
    assert code(answers(peer)[0]) == ("AA", "C1")
    peer.sendall(framed(order(control="C2", extra=pdf + "A" * 1_000_000))[:2_000_100])
    assert code(answers(peer)[0]) == ("AR", "C2")
    assert is_closed(peer)


def test_nothing_is_acknowledged_while_the_database_is_down_and_the_resend_is_stored(
    site: Site, listen: Listen
) -> None:
    """Row 1: no AA; the sender's resend is stored."""
    down = threading.Event()
    down.set()

    def order_step(**asked: Any) -> Any:
        if down.is_set():
            raise OperationalError("the connection is lost")
        return Steps().order(**asked)

    desk = listen(Receiver(Steps(order=order_step)))
    peer = desk.connect()
    peer.sendall(framed(order(control="C1")))
    assert answers(peer) == []
    assert not Message.objects.exists()
    down.clear()
    peer = desk.connect()
    peer.sendall(framed(order(control="C1")))
    assert code(answers(peer)[0]) == ("AA", "C1")
    assert Message.objects.get().state == "applied"


def test_a_failure_that_nobody_thought_of_gets_no_answer_and_harms_no_other_sender(
    site: Site, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**asked: Any) -> Any:
        raise KeyError

    desk = listen()
    other = desk.connect()
    with monkeypatch.context() as patched:
        patched.setattr("xraydesk.links.messages.keep", broken)
        peer = desk.connect()
        peer.sendall(framed(order(control="C1")))
        assert answers(peer) == []
    other.sendall(framed(order(control="C1")))
    assert code(answers(other)[0]) == ("AA", "C1")


def test_one_message_sent_over_two_connections_at_once_is_applied_once(site: Site, listen: Listen) -> None:
    desk = listen()
    peers = [desk.connect() for _ in range(4)]
    for peer in peers:
        peer.sendall(framed(order(control="C1")))
    assert [code(answers(peer)[0]) for peer in peers] == [("AA", "C1")] * 4
    assert Exam.objects.count() == 1
    assert Message.objects.get().seen == 4


def test_a_sender_that_hangs_up_inside_a_message_leaves_an_item(site: Site, listen: Listen) -> None:
    peer = listen().connect()
    peer.sendall(b"\x0b" + order(control="C1").encode()[:60])
    peer.close()
    _wait_until(Item.objects.exists)
    assert "ended inside the message" in Item.objects.get().text


def test_the_one_who_was_silent_longest_gives_up_his_place(site: Site, listen: Listen) -> None:
    desk = listen(connections_max=2, frame_seconds=0.2)
    first, second = desk.connect(), desk.connect()
    time.sleep(0.3)
    second.sendall(framed(order(control="C1")))
    answers(second)
    third = desk.connect()
    third.sendall(framed(order(control="C2")))
    assert code(answers(third)[0]) == ("AA", "C2")
    assert is_closed(first)


def test_where_all_places_are_in_use_another_sender_is_turned_away(site: Site, listen: Listen) -> None:
    desk = listen(connections_max=1)
    first = desk.connect()
    first.sendall(framed(order(control="C1")))
    answers(first)
    assert is_closed(desk.connect())
    first.sendall(framed(order(control="C2")))
    assert code(answers(first)[0]) == ("AA", "C2")


def test_a_message_under_way_is_answered_before_the_server_stops(site: Site, listen: Listen) -> None:
    begun = threading.Event()

    def slow_step(**asked: Any) -> Any:
        begun.set()
        time.sleep(0.3)
        return Steps().order(**asked)

    desk = listen(Receiver(Steps(order=slow_step)))
    busy, idle = desk.connect(), desk.connect()
    busy.sendall(framed(order(control="C1")) + framed(order(control="C2", placer="P2")))
    assert begun.wait(10)
    stopping = threading.Thread(target=desk._run, args=(desk.server.stop(),))
    stopping.start()
    assert ("AA", "C1") in [code(a) for a in answers(busy, 2)]
    assert is_closed(idle)
    stopping.join(20)


def _answers_at(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_the_process_serves_until_it_is_told_to_end(site: Site, tmp_path: Path) -> None:
    settings = Config(mllp=f"127.0.0.1:{_free_port()}", home=tmp_path)
    heard: list[bytes] = []

    def send() -> None:
        port = int(settings.mllp.rpartition(":")[2])
        _wait_until(lambda: _answers_at(port))
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.sendall(framed(order(control="C1")))
            heard.extend(answers(peer))
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    run(settings)
    sender.join(10)
    assert code(heard[0]) == ("AA", "C1")


def test_a_port_in_use_is_told_at_once(site: Site, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError):
            run(Config(mllp=f"127.0.0.1:{taken.getsockname()[1]}", home=tmp_path))


def test_an_address_beyond_this_machine_needs_tls_or_a_link_in_clear(site: Site, tmp_path: Path) -> None:
    """Row 59: refused, with what to do."""
    with pytest.raises(NotSafe, match="--tls-cert"):
        run(Config(mllp="0.0.0.0:0", home=tmp_path))


def test_a_sender_in_clear_from_elsewhere_is_hung_up_on(
    site: Site, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 59: an allow-list of peers."""
    monkeypatch.setattr("xraydesk.links.hl7.server.is_loopback", lambda address: False)
    monkeypatch.setattr("xraydesk.links.hl7.partners.is_loopback", lambda address: False)
    desk = listen()
    assert is_closed(desk.connect())
    site.plan = plan_with(replace(EHR, insecure=True, peers=("127.0.0.1",)))
    site.save()
    peer = desk.connect()
    peer.sendall(framed(order(control="C1")))
    assert code(answers(peer)[0]) == ("AA", "C1")


def served_over_tls(settings: Config, trust: ssl.SSLContext) -> list[bytes]:
    """What a sender who trusts as `trust` does hears of the desk; nothing where it is hung up on."""
    heard: list[bytes] = []

    def send() -> None:
        port = int(settings.mllp.rpartition(":")[2])
        _wait_until(lambda: _answers_at(port))
        try:
            plain = socket.create_connection(("127.0.0.1", port), 10)
            with trust.wrap_socket(plain, server_hostname="localhost") as peer:
                peer.sendall(framed(order(control="C1")))
                heard.extend(answers(peer))
        except OSError:
            pass  # hung up on
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    run(settings)
    sender.join(10)
    return heard


def test_a_sender_may_speak_tls(site: Site, tmp_path: Path) -> None:
    certificate, key = certificate_of(tmp_path, "localhost")
    settings = Config(mllp=f"0.0.0.0:{_free_port()}", home=tmp_path, tls_cert=certificate, tls_key=key)
    heard = served_over_tls(settings, ssl.create_default_context(cafile=str(certificate)))
    assert code(heard[0]) == ("AA", "C1")


@pytest.mark.parametrize("shows", [True, False])
def test_a_sender_shows_a_certificate_where_the_desk_asks_for_one(
    site: Site, tmp_path: Path, shows: bool
) -> None:
    certificate, key = certificate_of(tmp_path, "localhost")
    theirs = certificate_of(tmp_path, "ehr")
    settings = Config(
        mllp=f"0.0.0.0:{_free_port()}",
        home=tmp_path,
        tls_cert=certificate,
        tls_key=key,
        mllp_client_ca=theirs[0],
    )
    trust = ssl.create_default_context(cafile=str(certificate))
    if shows:
        trust.load_cert_chain(*theirs)
    heard = served_over_tls(settings, trust)
    assert [code(answer) for answer in heard] == ([("AA", "C1")] if shows else [])


def _wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
