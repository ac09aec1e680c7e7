"""A receiver that does what receivers do wrong, in fast time and by a seed: slow, late, wrong, gone, choking for good."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from types import TracebackType

from django.db.models import Max, QuerySet

from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.kinds import FactKind
from xraydesk.lib import clock
from xraydesk.links.models import Message
from xraydesk.links.outgoing import send
from xraydesk.links.outgoing.tell import tell
from xraydesk.links.outgoing.tests.test_tell import happened
from xraydesk.links.outgoing.wire import Answered, NoAnswer, NotReached
from xraydesk.orders.models import Exam
from xraydesk.siteplan.link_plan import OutlinkPlan

KINDS = (FactKind.EXAM_BEGUN, FactKind.EXAM_ENDED, FactKind.EXAM_DISCONTINUED)
LINK = "EHR-OUT"
LAST_TURNS_MAX = 60


class FaultyReceiver:
    """Takes messages, and does to some what receivers do; `taken` is what it kept, in order.

    What went out before it was there is none of its business.
    """

    def __init__(self, seed: int) -> None:
        self._before = Message.objects.aggregate(last=Max("pk"))["last"] or 0
        self.seed = seed
        self.random = random.Random(seed)
        self.taken: list[str] = []
        self.choked: set[str] = set()
        self._choking: set[str] = set()
        self.is_away = False
        self.counts: Counter[str] = Counter()

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
            self.counts["receiver away"] += 1
            raise NotReached("no route to host")
        if number in self.choked:
            self.counts["receiver choked"] += number not in self._choking  # however often it is tried
            self._choking.add(number)
            raise NoAnswer("it hung up before it answered")
        roll = self.random.random()
        if roll < 0.1:
            self.counts["receiver did not answer"] += 1
            raise NoAnswer("it did not answer in time")  # and it was not kept
        self.taken.append(number)
        if roll < 0.25:
            self.counts["receiver's answer lost"] += 1
            raise NoAnswer("it hung up before it answered")  # kept, and the answer lost
        if roll < 0.3:
            self.counts["receiver refused"] += 1
            return Answered("AE", "no such patient", b"")
        return Answered("AA", "", b"")

    def turn(self, site: Site, exams: list[Exam], *, is_away: bool) -> None:
        """Something happens to two exams, and the desk sends what it has; what must hold is checked."""
        for exam in self.random.sample(exams, 2):
            tell(happened(exam, self.random.choice(KINDS)))
            if self.random.random() < 0.05:
                self.choked.add(Message.objects.latest("pk").control_id)
        self.is_away = is_away
        self._send(site)

    def settle(self, site: Site) -> None:
        """Nothing more happens; the desk sends what it still has."""
        self.is_away = False
        for _ in range(LAST_TURNS_MAX):
            stuck = set(
                self._of(site).filter(state__in=("queued", "sent")).values_list("control_id", flat=True)
            )
            if stuck <= self.choked:
                return
            self._send(site)
        # What has nothing of another exam behind it to tell that it alone is wrong is tried for ever,
        # and what came later of its own exam waits for it.
        assert stuck & self.choked, f"seed {self.seed}: {sorted(stuck)} wait, and nothing holds them up"

    def _send(self, site: Site) -> None:
        send.send_out(site_id=site.pk, outlink=LINK)
        self.check(site)
        waiting = Message.objects.filter(site=site, direction="out", state__in=("queued", "sent"))
        waiting.update(next_at=clock.now() - timedelta(seconds=1))

    def check(self, site: Site) -> None:
        """Every message is on its way, taken there, or before a person; the messages of each exam came in order."""
        taken = set(self.taken)
        numbers: dict[str, tuple[str, int]] = {}
        for message in self._of(site).defer("raw"):
            numbers[message.control_id] = (message.accession, message.pk)
            if message.state == "accepted":
                assert message.control_id in taken
            elif message.state == "rejected there":
                assert Item.objects.filter(message=message.pk, closed_at=None).exists()
            else:
                assert message.state in ("queued", "sent")
        last: dict[str, int] = {}
        for number in self.taken:
            accession, key = numbers.get(number, ("", self._before))
            assert key >= last.get(accession, 0), "an exam's messages came out of order"
            last[accession] = key

    def _of(self, site: Site) -> QuerySet[Message]:
        return Message.objects.filter(site=site, direction="out", pk__gt=self._before)
