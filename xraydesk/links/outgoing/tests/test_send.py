"""Sending over a real socket to a listener that is slow, late, wrong, away, and back."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_exam, make_site
from tests.running import free_ports
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.billing.models import Charge
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.tests.performing import jobs
from xraydesk.lib import clock
from xraydesk.links import jobs as tasks
from xraydesk.links.models import Message, Paused
from xraydesk.links.outgoing import send, wire
from xraydesk.links.outgoing.tell import tell
from xraydesk.links.outgoing.tests.test_tell import happened, outlink, told_site
from xraydesk.orders.models import Exam
from xraydesk.siteplan.link_plan import Sends
from xraydesk.siteplan.reading import from_json, to_json

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]

Answer = Callable[[str], bytes | None]


def ack(number: str, code: str = "AA", words: str = "") -> bytes:
    return f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|20260302||ACK|1|P|2.5.1\rMSA|{code}|{number}|{words}\r".encode()


class Ehr:
    """A listener that answers as it is told; what it heard is a list of control numbers, in order."""

    def __init__(self, port: int, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.heard: list[str] = []
        self.connections = 0
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        kept = b""
        with contextlib.suppress(OSError):
            connection = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
        with connection, contextlib.suppress(OSError):
            while part := connection.recv(65536):
                kept += part
                while b"\x1c" in kept:
                    frame, _, kept = kept.partition(b"\x1c")
                    number = frame.lstrip(b"\r\n\x0b").split(b"\r")[0].split(b"|")[9].decode()
                    self.heard.append(number)
                    told = self.answer(number)
                    if told is None:
                        return
                    connection.sendall(b"\x0b" + told + b"\x1c\r")


@contextlib.contextmanager
def ehr(port: int, answer: Answer = ack, tls: ssl.SSLContext | None = None) -> Iterator[Ehr]:
    listening = Ehr(port, answer, tls)
    try:
        yield listening
    finally:
        with contextlib.suppress(OSError):
            listening.listener.shutdown(socket.SHUT_RDWR)
        listening.listener.close()


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def queue(site: Site, count: int = 3) -> list[str]:
    """Messages of some exams that began; their control numbers in order."""
    for _ in range(count):
        tell(happened(make_exam(site), FactKind.EXAM_BEGUN))
    return list(Message.objects.filter(direction="out").order_by("id").values_list("control_id", flat=True))


def states() -> list[str]:
    return list(Message.objects.order_by("id").values_list("state", flat=True))


def run(site: Site, name: str = "EHR-OUT") -> None:
    tasks.send_out(site.pk, name)


def due() -> None:
    Message.objects.update(next_at=clock.now() - timedelta(seconds=1))


def test_messages_go_one_after_the_other_over_one_connection(port: int) -> None:
    site = told_site(outlink(port=port))
    wanted = queue(site)
    assert {"site_id": site.pk, "outlink": "EHR-OUT"} in jobs("send_out")
    with ehr(port) as other:
        run(site)
    assert (other.heard, other.connections) == (wanted, 1)
    assert states() == ["accepted"] * 3
    first = Message.objects.order_by("id")[0]
    assert (first.ack, first.attempts, first.answered_at is not None) == ("AA", 1, True)
    run(site)
    assert len(other.heard) == 3


def test_a_system_that_is_away_is_tried_again_with_the_same_number_and_in_order(port: int) -> None:
    """Rows 5 and 8."""
    site = told_site(outlink(port=port))
    wanted = queue(site)
    run(site)
    head = Message.objects.order_by("id")[0]
    assert (head.state, head.attempts) == ("sent", 1)
    assert head.next_at is not None
    assert states()[1:] == ["queued", "queued"]
    assert {"site_id": site.pk, "outlink": "EHR-OUT"} in jobs("send_out_later")
    run(site)
    assert Message.objects.order_by("id")[0].attempts == 1
    due()
    with ehr(port) as other:
        run(site)
    assert other.heard == wanted
    assert states() == ["accepted"] * 3


def test_pauses_grow_to_a_cap_and_nothing_is_given_up(port: int) -> None:
    """Row 5: never a storm."""
    site = told_site(outlink(port=port))
    queue(site, 1)
    pauses = []
    for _ in range(9):
        before = clock.now()
        run(site)
        message = Message.objects.get()
        assert message.next_at is not None
        pauses.append(round((message.next_at - before) / timedelta(seconds=1)))
        due()
    assert pauses == [1, 2, 5, 10, 20, 40, 60, 60, 60]
    assert states() == ["sent"]


def test_a_late_answer_to_an_earlier_message_is_passed_over(port: int) -> None:
    """Row 4."""
    site = told_site(outlink(port=port))
    (number,) = queue(site, 1)

    def late(asked: str) -> bytes:
        return ack("EARLIER") + b"\x1c\r\x0b" + ack(asked)

    with ehr(port, late) as other:
        run(site)
    assert (other.heard, states()) == ([number], ["accepted"])


def test_answers_to_other_messages_alone_are_none(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 4: the connection is closed, and the message is sent again."""
    site = told_site(outlink(port=port))
    (number,) = queue(site, 1)
    many = ack("X1") + (b"\x1c\r\x0b" + ack("X2")) * 5
    with ehr(port, lambda asked: many) as other:
        run(site)
    assert Message.objects.get().why == "it answers other messages than the one that was sent"
    due()
    with ehr(port) as again:
        run(site)
    assert other.heard == again.heard == [number]
    assert states() == ["accepted"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda number: None, "it hung up before it answered"),
        (lambda number: b"nonsense", "its answer is no HL7 v2 message"),
        (lambda number: b"x" * 2_000_000, "its answer is longer than any should be"),
    ],
)
def test_what_is_no_answer_is_none(port: int, answer: Answer, why: str) -> None:
    site = told_site(outlink(port=port))
    queue(site, 1)
    with ehr(port, answer):
        run(site)
    message = Message.objects.get()
    assert (message.state, message.why) == ("sent", why)


def test_a_system_that_does_not_answer_in_time_is_hung_up_on(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 5: one message in flight."""
    monkeypatch.setattr(wire, "ANSWER_SECONDS_MAX", 0.2)
    site = told_site(outlink(port=port))
    queue(site, 2)
    silent = threading.Event()

    def never(number: str) -> None:
        silent.wait(5)

    with ehr(port, never) as other:
        run(site)
        silent.set()
    assert len(other.heard) == 1
    assert Message.objects.order_by("id")[0].why


def test_one_dead_system_holds_up_no_other(port: int) -> None:
    """Row 6."""
    dead = free_ports(1)[0]
    site = told_site(outlink(port=port), outlink("DEAD", dead))
    queue(site, 2)
    run(site, "DEAD")
    with ehr(port) as other:
        run(site)
    assert len(other.heard) == 2
    assert set(Message.objects.filter(link="DEAD").values_list("state", flat=True)) == {"sent", "queued"}


def test_what_was_in_flight_when_the_process_died_goes_again_first(port: int) -> None:
    """Row 8."""
    site = told_site(outlink(port=port))
    wanted = queue(site)
    Message.objects.filter(control_id=wanted[0]).update(state="sent", attempts=1, sent_at=clock.now())
    tasks.resume_sending(0)
    assert {"site_id": site.pk, "outlink": "EHR-OUT"} in jobs("send_out")
    with ehr(port) as other:
        run(site)
    assert other.heard == wanted


def test_after_ten_minutes_of_silence_a_person_is_told_once_and_it_ends_by_itself(port: int) -> None:
    site = told_site(outlink(port=port))
    queue(site, 2)
    Message.objects.update(at=clock.now() - timedelta(minutes=11))
    for _ in range(2):
        run(site)
        due()
    item = Item.objects.get(kind="message could not be sent")
    assert "has taken nothing for ten minutes" in item.text
    assert "2 messages" in item.text
    with ehr(port):
        run(site)
    item.refresh_from_db()
    assert item.closed_how == "it answers again"


def test_an_ehr_that_is_down_for_ten_minutes_and_up_again_hears_everything_once_and_in_order(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 5, 6 and 8: exams go on meanwhile, and another system hears of them at once."""
    other_port = free_ports(1)[0]
    site = told_site(outlink(port=port), outlink("BILLING", port=other_port, sends=(Sends.STATUS,)))
    began = clock.now()
    passed = [timedelta(0)]
    monkeypatch.setattr(clock, "now", lambda: began + passed[0])
    exams: list[Exam] = []
    with ehr(other_port) as other:
        for minute in range(11):
            passed[0] = timedelta(minutes=minute)
            exams.append(make_exam(site))
            tell(happened(exams[-1], FactKind.EXAM_BEGUN))
            if minute:
                tell(happened(exams[-2], FactKind.EXAM_ENDED))
            run(site)
            run(site, "BILLING")
    to_ehr = Message.objects.filter(link="EHR-OUT").order_by("id")
    wanted = list(to_ehr.values_list("control_id", flat=True))
    assert len(wanted) == len(set(wanted)) == 21
    assert other.heard == wanted
    assert set(to_ehr.values_list("state", flat=True)) == {"sent", "queued"}
    assert to_ehr[0].attempts == 11
    assert set(to_ehr.exclude(pk=to_ehr[0].pk).values_list("attempts", flat=True)) == {0}
    passed[0] += timedelta(minutes=1)
    run(site)
    item = Item.objects.get(kind="message could not be sent")
    assert "21 messages" in item.text
    passed[0] += timedelta(minutes=1)
    with ehr(port) as back:
        run(site)
        run(site)
    assert back.heard == wanted
    assert set(Message.objects.values_list("state", flat=True)) == {"accepted"}
    item.refresh_from_db()
    assert item.closed_how == "it answers again"


def test_what_is_refused_there_waits_for_a_person_and_the_rest_goes_on(port: int) -> None:
    site = told_site(outlink(port=port))
    first, second = queue(site, 2)
    with ehr(port, lambda n: ack(n, "AE", "unknown patient") if n == first else ack(n)):
        run(site)
    assert states() == ["rejected there", "accepted"]
    item = Item.objects.get(closed_at=None)
    assert "unknown patient" in item.text
    message = Message.objects.get(control_id=first)
    browser = signed_in(site)
    page = browser.get(reverse("message", args=[message.pk])).content.decode()
    assert "Send again" in page
    browser.post(reverse("message-send-again", args=[message.pk]))
    assert states() == ["queued", "accepted"]
    assert not Item.objects.filter(closed_at=None).exists()
    with ehr(port, lambda n: ack(n, "AR")):
        run(site)
    browser.post(reverse("message-leave", args=[message.pk]))
    assert states()[0] == "withdrawn"
    browser.post(reverse("message-leave", args=[message.pk]))
    assert states()[0] == "withdrawn"
    assert second


def test_a_message_that_is_never_answered_while_others_are_waits_for_a_person_and_the_rest_goes_on(
    port: int,
) -> None:
    site = told_site(outlink(port=port))
    poison, second, third = queue(site, 3)
    first = Exam.objects.order_by("id")[0]
    tell(happened(first, FactKind.EXAM_ENDED))
    # What is told of the same patient does not go past it while it is on its way.
    Message.objects.filter(control_id=second).update(patient=first.patient_id)

    def hangs_up_on_one(number: str) -> bytes | None:
        return None if number == poison else ack(number)

    with ehr(port, hangs_up_on_one) as other:
        for _ in range(send.POISON_ATTEMPTS):
            run(site)
            due()
    assert states() == ["rejected there", "accepted", "accepted", "accepted"]
    assert other.heard[: send.POISON_ATTEMPTS] == [poison] * send.POISON_ATTEMPTS
    last = Message.objects.order_by("id").values_list("control_id", flat=True)[3]
    assert other.heard[send.POISON_ATTEMPTS :] == [third, second, last]
    assert "never answered, while others are" in Item.objects.get(closed_at=None).text


def test_two_messages_that_are_never_answered_do_not_hold_up_each_other(port: int) -> None:
    site = told_site(outlink(port=port))
    poison, also, _ = queue(site, 3)
    with ehr(port, lambda number: None if number in (poison, also) else ack(number)):
        for _ in range(2 * send.POISON_ATTEMPTS):
            run(site)
            due()
        assert states() == ["rejected there", "sent", "accepted"]
        tell(happened(Exam.objects.latest("id"), FactKind.EXAM_ENDED))
        run(site)
    assert states() == ["rejected there", "rejected there", "accepted", "accepted"]


def test_where_no_other_is_answered_either_nothing_is_given_up(port: int) -> None:
    site = told_site(outlink(port=port))
    queue(site, 2)
    with ehr(port, lambda number: None):
        for _ in range(send.POISON_ATTEMPTS + 1):
            run(site)
            due()
    assert states() == ["sent", "sent"]
    Message.objects.update(given=send.POISON_ATTEMPTS)
    run(site)
    assert Message.objects.order_by("id")[0].why.startswith("not reached: ")
    assert Message.objects.order_by("id")[1].given == send.POISON_ATTEMPTS


def test_a_message_that_waited_for_a_long_outage_to_end_is_not_given_up_for_one_answer_that_lacks(
    port: int,
) -> None:
    """Row 6: what went out while nobody listened was never given to anybody."""
    site = told_site(outlink(port=port))
    first, second = queue(site, 2)
    for _ in range(send.POISON_ATTEMPTS + 1):
        run(site)
        due()
    unanswered = [first]

    def lacks_one_answer(number: str) -> bytes | None:
        if number in unanswered:
            unanswered.remove(number)
            return None
        return ack(number)

    with ehr(port, lacks_one_answer) as other:
        for _ in range(2):
            run(site)
            due()
    assert states() == ["accepted", "accepted"]
    assert other.heard == [first, first, second]


def test_a_person_leaves_a_message_that_holds_up_the_others(port: int) -> None:
    site = told_site(outlink(port=port))
    first, second = queue(site, 2)
    run(site)
    stuck = Message.objects.get(control_id=first)
    browser = signed_in(site)
    assert "Leave it" in browser.get(reverse("message", args=[stuck.pk])).content.decode()
    browser.post(reverse("message-leave", args=[stuck.pk]))
    with ehr(port) as other:
        run(site)
    assert other.heard == [second]
    browser.post(reverse("message-send-again", args=[stuck.pk]))
    with ehr(port) as other:
        run(site)
    assert other.heard == [first]


def test_what_goes_to_a_system_is_paused_and_resumed(port: int) -> None:
    site = told_site(outlink(port=port))
    wanted = queue(site, 2)
    browser = signed_in(site)
    browser.post(reverse("link-pause", args=["EHR-OUT"]))
    browser.post(reverse("link-pause", args=["EHR-OUT"]))
    page = reverse("link", args=["out", "EHR-OUT"])
    assert "paused" in browser.get(page).content.decode()
    with ehr(port) as other:
        run(site)
        assert other.heard == []
        browser.post(reverse("link-resume", args=["EHR-OUT"]))
        run(site)
    assert other.heard == wanted


def test_a_links_page_says_how_it_goes_and_what_went_wrong(port: int) -> None:
    site = told_site(outlink(port=port))
    browser = signed_in(site)
    page = reverse("link", args=["out", "EHR-OUT"])
    assert "never used" in browser.get(page).content.decode()
    first, _ = queue(site, 2)
    with ehr(port, lambda n: ack(n, "AE", "no") if n == first else ack(n)):
        run(site)
    html = browser.get(page).content.decode()
    assert "<b>up</b>" in html
    assert "rejected there" in html
    queue(site, 1)
    run(site)
    assert "not answering" in browser.get(page).content.decode()
    heard = reverse("link", args=["in", "EHR"])
    assert "never heard" in browser.get(heard).content.decode()
    Message.objects.create(
        site=site, direction="in", link="EHR", at=clock.now(), state="refused", raw=b"", body_sha256="x"
    )
    assert "refused" in browser.get(heard).content.decode()
    for nothing in (["out", "NOSUCH"], ["in", "EHR-OUT"], ["on", "EHR"]):
        assert browser.get(reverse("link", args=nothing)).status_code == 404


@pytest.mark.parametrize("form", ["link-pause", "link-resume"])
def test_a_stranger_other_roles_and_other_sites_pause_nothing(port: int, form: str) -> None:
    site = told_site(outlink(port=port))
    address = reverse(form, args=["EHR-OUT"])
    assert Client().post(address)["Location"].startswith(reverse("sign-in"))
    assert signed_in(site, Role.RADIOLOGIST).post(address).status_code == 404
    assert signed_in(make_site("O1")).post(address).status_code == 404
    assert Client().get(reverse("link", args=["out", "EHR-OUT"])).status_code == 302
    assert not Paused.objects.exists()


def test_a_folder_takes_each_message_as_a_file_of_its_own_in_order(tmp_path: Path) -> None:
    to = replace(outlink(), host="", folder=str(tmp_path / "drop"))
    site = told_site(to)
    wanted = queue(site, 2)
    run(site)
    assert Message.objects.order_by("id")[0].why.startswith("not reached: ")
    (tmp_path / "drop").mkdir()
    due()
    run(site)
    assert states() == ["accepted"] * 2
    files = sorted((tmp_path / "drop").iterdir())
    assert [file.name.split("-")[1] for file in files] == [f"{number}.hl7" for number in wanted]
    assert files[0].read_bytes() == bytes(Message.objects.order_by("id")[0].raw)


def certificates(folder: Path, name: str) -> tuple[str, str]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]  # noqa: RUF005
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)


@pytest.mark.skipif(
    not shutil.which("openssl"), reason="openssl, which makes the certificates, is not installed"
)
def test_the_desk_shows_its_certificate_where_it_is_asked_for_and_trusts_whom_the_site_file_says(
    port: int, tmp_path: Path
) -> None:
    theirs, ours = certificates(tmp_path, "theirs"), certificates(tmp_path, "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*theirs)
    context.load_verify_locations(ours[0])
    context.verify_mode = ssl.CERT_REQUIRED
    to = replace(outlink(port=port), tls=True, authority=theirs[0])
    site = told_site(to)
    queue(site, 1)
    with ehr(port, tls=context):
        run(site)
        assert states() == ["sent"]
        site.plan = to_json(
            replace(from_json(site.plan), outlinks=(replace(to, certificate=ours[0], key=ours[1]),))
        )
        site.save()
        due()
        run(site)
    assert states() == ["accepted"]


def test_the_page_of_messages_says_who_is_told_and_what_waits(port: int) -> None:
    site = told_site(outlink(port=port))
    queue(site, 2)
    run(site)
    page = signed_in(site).get(reverse("messages")).content.decode()
    assert "2 wait" in page
    assert "tried 1 time" in page
    assert f"127.0.0.1:{port}" in page


def test_a_stranger_other_roles_and_other_sites_decide_nothing(port: int) -> None:
    """Row 57."""
    site = told_site(outlink(port=port))
    queue(site, 1)
    message = Message.objects.get()
    Message.objects.update(state="rejected there")
    forms = [reverse(f"message-{what}", args=[message.pk]) for what in ("send-again", "leave")]
    for form in forms:
        assert Client().post(form)["Location"].startswith(reverse("sign-in"))
        for role in (Role.TECHNOLOGIST, Role.RADIOLOGIST, Role.PORTER, Role.MANAGER, Role.SYSTEM):
            assert signed_in(site, role).post(form).status_code == 404
        assert signed_in(make_site("O" + form[-3:])).post(form).status_code == 404
    assert states() == ["rejected there"]


@pytest.mark.parametrize(("code", "state"), [("AA", "accepted"), ("AE", "held")])
def test_the_answer_to_a_charge_reaches_the_charge(port: int, code: str, state: str) -> None:
    site = told_site(outlink(port=port))
    exam: Exam = make_exam(site)
    now = clock.now()
    charge = Charge.objects.create(
        site=site,
        exam=exam,
        number=f"{exam.accession}-1",
        state="ready",
        code="RX",
        service_at=now,
        made_at=now,
    )
    tell(happened(exam, FactKind.CHARGE_READY, charge=charge.pk))
    with ehr(port, lambda number: ack(number, code, "no such code")):
        run(site)
    charge.refresh_from_db()
    assert charge.state == state


def test_messages_for_a_system_that_the_site_no_longer_names_are_withdrawn(port: int) -> None:
    site = told_site(outlink(port=port))
    queue(site, 2)
    told: Any = site.plan
    told["outlinks"] = []
    site.plan = told
    site.save()
    run(site)
    assert states() == ["withdrawn"] * 2


def test_many_messages_are_sent_in_turns_that_let_others_work(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 7 in small: nothing is skipped."""
    monkeypatch.setattr(send, "MESSAGES_AT_ONCE_MAX", 2)
    site = told_site(outlink(port=port))
    wanted = queue(site, 5)
    with ehr(port) as other:
        for _ in range(3):
            run(site)
    assert other.heard == wanted
