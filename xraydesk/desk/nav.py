"""The main menu: which pages there are, and for whom."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.attention.models import Item
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.quality.queries import unseen_count
from xraydesk.results.models import Finding
from xraydesk.results.states import FindingState


@dataclass(frozen=True)
class Entry:
    """One page of the menu: its word, the name of its URL, and what one needs to see it."""

    word: str
    url_name: str
    permission: Permission
    within: tuple[str, ...] = ()
    """Where the addresses begin that one reaches through this page alone: the menu tells where one is."""


ENTRIES: tuple[Entry, ...] = (
    Entry("Board", "board", Permission.SEE_BOARD),
    Entry("Attention", "attention", Permission.SEE_PATIENT),
    Entry("Triage", "triage", Permission.TRIAGE, ("/codes",)),
    Entry("Rooms", "rooms", Permission.PERFORM),
    Entry("Results", "results", Permission.SEE_RESULTS),
    Entry("Feedback", "feedback", Permission.SEE_FEEDBACK),
    Entry("Transport", "jobs", Permission.SEE_TRANSPORT),
    Entry("Jobs", "porter", Permission.DO_TRANSPORT),
    Entry("Charges", "charges", Permission.SEE_CHARGES),
    Entry("Today", "measures", Permission.SEE_MEASURES),
    Entry("Order", "order-new", Permission.ORDER),
    Entry("Outside", "outside", Permission.BRING_IN),
    Entry("Day list", "day", Permission.SEE_BOARD),
    Entry(
        "Messages",
        "messages",
        Permission.SEE_MESSAGES,
        ("/links/", "/connections", "/sending", "/kept", "/routing"),
    ),
    Entry("Reads", "reads", Permission.SEE_ACCESS_LOG),
)
"""In the order of the menu. A page that is not about one thing (an exam, a room) stands here."""


@dataclass(frozen=True)
class Shown:
    """An entry as the page shows it; `count` is what waits behind it, None where nothing is counted."""

    word: str
    url: str
    here: bool
    url_name: str
    count: int | None = None


def menu(member: Member, path: str) -> list[Shown]:
    """The entries that `member` may open. The one that `path` lies in is marked as here."""
    wanted = [e for e in ENTRIES if member.may(e.permission)]
    if member.may(Permission.SEE_TRANSPORT):
        # Whoever plans the jobs sees all of them on one page; the phone's page has a link there.
        wanted = [e for e in wanted if e.url_name != "porter"]
    if member.may(Permission.SEE_MEASURES):
        # Readers' words are one of the day's measures to whoever does not make images: Today leads there.
        wanted = [e for e in wanted if e.url_name != "feedback"]
    shown = [(e, reverse(e.url_name)) for e in wanted]
    inside = [url for e, url in shown if url != "/" and path.startswith((url, *e.within))]
    here = max(inside, key=len, default=path if path == "/" else "")
    return [
        Shown(word=e.word, url=url, here=url == here, url_name=e.url_name, count=_count(e, member))
        for e, url in shown
    ]


def _count(entry: Entry, member: Member) -> int | None:
    if entry.url_name == "attention":
        return Item.objects.filter(site=member.site, closed_at=None).count()
    if entry.url_name == "triage":
        return Exam.objects.filter(site=member.site, triage=TriageState.HELD).count()
    if entry.url_name == "results":
        waiting = (FindingState.SUSPECTED, FindingState.OPEN)
        return Finding.objects.filter(site=member.site, state__in=waiting).count()
    if entry.url_name == "feedback" and member.may(Permission.PERFORM):
        return unseen_count(member.site, about=member.who)
    return None
