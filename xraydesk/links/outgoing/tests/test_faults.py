"""A receiver that is slow, late, wrong or gone, by seeds: everything is acknowledged or queued, and every exam's order is kept."""

from __future__ import annotations

import random
from datetime import timedelta
from types import TracebackType

import pytest

from tests.factories import make_exam
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.lib import clock
from xraydesk.links.models import Message
from xraydesk.links.outgoing import send
from xraydesk.links.outgoing.tell import tell
from xraydesk.links.outgoing.tests.test_tell import happened, outlink, told_site
from xraydesk.links.outgoing.wire import Answered, NoAnswer, NotReached
from xraydesk.siteplan.plan import OutlinkPlan, Sends

pytestmark = pytest.mark.django_db
KINDS = (FactKind.EXAM_BEGUN, FactKind.EXAM_ENDED, FactKind.EXAM_DISCONTINUED)


class FaultyReceiver:
    """Takes messages, and does to some what receivers do; `taken` is what it kept, in order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.taken: list[str] = []
        self.choked: set[str] = set()
        self.is_away = False

    def wire(self, to: OutlinkPlan) -> FaultyReceiver:
        return self

    def __enter__(self) -> FaultyReceiver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def ask(self, raw: bytes, *, number: str, sequence: int) -> Answered:
        if self.is_away:
            raise NotReached("no route to host")
        if number in self.choked:
            raise NoAnswer("it hung up before it answered")
        roll = self.random.random()
        if roll < 0.1:
            raise NoAnswer("it did not answer in time")  # and it was not kept
        self.taken.append(number)
        if roll < 0.25:
            raise NoAnswer("it hung up before it answered")  # kept, and the answer lost
        return Answered("AE" if roll < 0.3 else "AA", "no such patient" if roll < 0.3 else "", b"")


def due() -> None:
    Message.objects.update(next_at=clock.now() - timedelta(seconds=1))


def waiting() -> int:
    return Message.objects.filter(state__in=("queued", "sent")).count()


def check(receiver: FaultyReceiver) -> None:
    """Every message is on its way, taken there, or before a person; the messages of each exam came in order."""
    for message in Message.objects.all():
        if message.state == "accepted":
            assert message.control_id in receiver.taken
        elif message.state == "rejected there":
            assert Item.objects.filter(message=message.pk, closed_at=None).exists()
        else:
            assert message.state in ("queued", "sent")
    numbers = {m.control_id: (m.accession, m.pk) for m in Message.objects.all()}
    last: dict[str, int] = {}
    for number in receiver.taken:
        accession, key = numbers[number]
        assert key >= last.get(accession, 0), "an exam's messages came out of order"
        last[accession] = key


@pytest.mark.parametrize("seed", range(1, 5))
def test_whatever_a_receiver_does_nothing_is_lost_and_each_exams_order_is_kept(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 4, 5 and 8 at once, and what a receiver chokes on."""
    receiver = FaultyReceiver(seed)
    monkeypatch.setattr(send, "Wire", receiver.wire)
    site: Site = told_site(outlink(sends=(Sends.STATUS,)))
    exams = [make_exam(site) for _ in range(4)]
    for turn in range(40):
        for exam in receiver.random.sample(exams, 2) if turn < 20 else []:
            tell(happened(exam, receiver.random.choice(KINDS)))
            newest = Message.objects.latest("pk").control_id
            if receiver.random.random() < 0.05:
                receiver.choked.add(newest)
        receiver.is_away = turn in range(5, 8)
        send.send_out(site_id=site.pk, outlink="EHR-OUT")
        check(receiver)
        due()
    for _ in range(60):
        if waiting():
            send.send_out(site_id=site.pk, outlink="EHR-OUT")
            due()
    check(receiver)
    stuck = set(Message.objects.filter(state__in=("queued", "sent")).values_list("control_id", flat=True))
    # Only what has nothing of another exam behind it to tell that it alone is wrong is tried for ever.
    assert not stuck or stuck & receiver.choked
    assert Message.objects.filter(state="accepted").count() > 20
