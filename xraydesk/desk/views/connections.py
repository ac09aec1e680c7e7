"""Machines and destinations: who calls, who answers, whose clock is off, who was refused; and what to send the vendor."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.imaging.models import Delivery
from xraydesk.imaging.states import DeliveryState
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.links import connections
from xraydesk.links.dicom.doctor_rules import call_in_words, clock_ahead_seconds, clock_in_words
from xraydesk.links.models import AllowedCaller, ConnectionCheck, DicomCall, MachineClock
from xraydesk.rooms.models import Modality
from xraydesk.siteplan.reading import from_json
from xraydesk.siteplan.routing_plan import DestinationPlan

if TYPE_CHECKING:
    from xraydesk.links.dicom.probe import Found

AE_TITLE_LENGTH_MAX = 16
WHERE_LENGTH_MAX = 300
REFUSED_SHOWN_MAX = 50
LOG_ROWS_MAX = 5_000


@dataclass(frozen=True)
class Connection:
    """One machine or destination as the page tells of it. `where` is empty where the desk cannot call it."""

    ae_title: str
    called: str
    where: str
    last: DicomCall | None
    clock: str
    check: ConnectionCheck | None
    waiting: int = 0
    plan: DestinationPlan | None = None
    web: str = ""
    """The name of the destination where this is its web address; it is called by that and has no AE title there."""

    @property
    def tls(self) -> bool:
        """True where it is spoken to with TLS over DICOM; a web address says it itself."""
        return self.plan is not None and self.plan.tls and not self.web


@dataclass(frozen=True)
class Stranger:
    """Somebody who called and was refused, and why in words; `may_be_let_in` where a person can change that here."""

    calls: DicomCall
    why: str
    may_be_let_in: bool


@require_safe
@needs(Permission.SEE_MESSAGES)
def connections_page(request: HttpRequest, member: Member) -> HttpResponse:
    """Every machine and destination, how it goes, and who was refused."""
    context = {
        "machines": _machines(member),
        "destinations": _destinations(member),
        "strangers": _strangers(member),
        "let_in": AllowedCaller.objects.filter(site=member.site, ended_at=None).order_by("ae_title"),
        "may_let_in": member.may(Permission.LET_IN),
        "may_keep": member.may(Permission.KEEP_IMAGES),
        "may_route": member.may(Permission.SET_ROUTES),
        "days": connections.KEPT_DAYS,
    }
    return render(request, "desk/connections.html", context)


def _machines(member: Member) -> list[Connection]:
    last: dict[str, DicomCall] = {}
    for call in DicomCall.objects.filter(site=member.site).order_by("at", "id"):
        last[call.calling_ae] = call
    clocks = {row.ae_title: row.ahead_seconds for row in MachineClock.objects.filter(site=member.site)}
    checks = _checks(member)
    rows = Modality.objects.filter(site=member.site, retired=False).select_related("room")
    return [
        Connection(
            ae_title=machine.ae_title,
            called=f"{machine.modality} in {machine.room.code}",
            where=f"{machine.host}:{machine.port}" if machine.host and machine.port else "",
            last=last.get(machine.ae_title),
            clock=clock_in_words(clock_ahead_seconds(clocks.get(machine.ae_title, []))),
            check=checks.get(machine.ae_title),
        )
        for machine in rows.order_by("room__sort", "room", "pk")
    ]


def _destinations(member: Member) -> list[Connection]:
    plan = from_json(member.site.plan) if member.site.plan else None
    checks = _checks(member)
    waiting = Delivery.objects.filter(site=member.site, state=DeliveryState.WAITING)
    destinations = plan.destinations if plan else ()
    taking = [
        Connection(
            ae_title=to.ae_title,
            called=to.name,
            where=f"{to.host}:{to.port}",
            last=None,
            clock="",
            check=checks.get(to.ae_title),
            waiting=waiting.filter(destination=to.name).count(),
            plan=to,
        )
        for to in destinations
        if to.takes_images
    ]
    return taking + [
        Connection(
            ae_title=to.name[:AE_TITLE_LENGTH_MAX],
            called="asked over the web (DICOMweb)",
            where=to.web,
            last=None,
            clock="",
            check=checks.get(to.web[:WHERE_LENGTH_MAX]),
            plan=to,
            web=to.name,
        )
        for to in destinations
        if to.web
    ]


def _checks(member: Member) -> dict[str, ConnectionCheck]:
    """The last check of each connection: by AE title, and of a web address by that."""
    newest = ConnectionCheck.objects.filter(site=member.site).order_by("ae_title", "where", "-at", "-id")
    checks = sorted(newest.distinct("ae_title", "where"), key=lambda check: check.at)
    return {check.where if check.where.startswith("http") else check.ae_title: check for check in checks}


def _strangers(member: Member) -> list[Stranger]:
    known = set(Modality.objects.filter(site=member.site, retired=False).values_list("ae_title", flat=True))
    known |= set(
        AllowedCaller.objects.filter(site=member.site, ended_at=None).values_list("ae_title", flat=True)
    )
    rows = DicomCall.objects.filter(site=member.site).exclude(outcome="TAKEN").order_by("-at", "-id")
    return [
        Stranger(
            calls=call,
            why=_words(call, member, call.calling_ae in known),
            may_be_let_in=call.outcome == "CALLING_UNKNOWN" and call.calling_ae not in {"", *known},
        )
        for call in rows[:REFUSED_SHOWN_MAX]
    ]


def _words(call: DicomCall, member: Member, is_known: bool) -> str:
    return call_in_words(call.outcome, called=call.called_ae, ours=member.site.ae_title, is_known=is_known)


def tried(connection: Connection, *, calling: str) -> Found:
    """What a try of a connection finds out."""
    # What speaks DICOM is imported only where it is asked for, as in `worklist`.
    from xraydesk.links.dicom.probe import probe
    from xraydesk.links.dicomweb.probe import probe as probe_web

    if connection.web and connection.plan is not None:
        return probe_web(connection.plan)
    host, _, port = connection.where.rpartition(":")
    return probe(
        host=host,
        port=int(port),
        called=connection.ae_title,
        calling=calling,
        destination=connection.plan,
    )


@require_POST
@needs(Permission.SEE_MESSAGES)
def check(request: HttpRequest, member: Member) -> SeeOther:
    """Try a connection: does anybody listen, does he answer?"""
    ae_title, web = request.POST.get("ae_title", ""), request.POST.get("web", "")
    every = (*_machines(member), *_destinations(member))
    found = next(
        (c for c in every if c.where and (c.web == web if web else c.ae_title == ae_title and not c.web)),
        None,
    )
    if found is None:
        raise Http404
    outcome = tried(found, calling=member.site.ae_title)
    connections.keep_check(
        site=member.site,
        ae_title=found.ae_title,
        where=found.where[:WHERE_LENGTH_MAX],
        reached=outcome.reached,
        echoed=outcome.echoed,
        said=outcome.said,
        at=clock.now(),
        by=member.who,
    )
    here = reverse("connections")
    said = f"{found.web or ae_title}: {outcome.said}"
    return done(request, said, to=here) if outcome.echoed else refused(request, Refused(said), to=here)


@require_POST
@needs(Permission.LET_IN)
def let_in(request: HttpRequest, member: Member, call_id: int) -> SeeOther:
    """Let somebody in who was refused."""
    here = reverse("connections")
    try:
        caller = connections.let_in(site=member.site, call_id=call_id, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(
        request,
        f"{caller.ae_title} is let in: it may ask for worklists, report steps and send images. It stands in no room.",
        to=here,
        undo=reverse("caller-keep-out", args=[caller.pk]),
    )


@require_POST
@needs(Permission.LET_IN)
def keep_out(request: HttpRequest, member: Member, caller_id: int) -> SeeOther:
    """Refuse somebody again who was let in here."""
    here = reverse("connections")
    try:
        ae_title = connections.keep_out(site=member.site, caller_id=caller_id, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, f"{ae_title} is refused again.", to=here)


@require_safe
@needs(Permission.SEE_MESSAGES)
def log(request: HttpRequest, member: Member) -> HttpResponse:
    """Calls and checks, the newest first, for the vendor's visit: a table that any spreadsheet opens. It names no patient."""
    known = set(Modality.objects.filter(site=member.site).values_list("ae_title", flat=True))
    lines: list[tuple[datetime, list[str]]] = [
        (
            call.at,
            ["call", call.calling_ae, call.address, call.first_at.isoformat(), str(call.times),
             _words(call, member, call.calling_ae in known)],
        )
        for call in DicomCall.objects.filter(site=member.site).order_by("-at", "-id")[:LOG_ROWS_MAX]
    ]  # fmt: skip
    lines += [
        (check.at, ["check", check.ae_title, check.where, check.at.isoformat(), "1", check.said])
        for check in ConnectionCheck.objects.filter(site=member.site).order_by("-at", "-id")[:LOG_ROWS_MAX]
    ]
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="connections.csv"'
    table = csv.writer(response)
    table.writerow(["last", "what", "ae title", "address", "first", "times", "outcome"])
    for at, cells in sorted(lines, key=lambda line: line[0], reverse=True):
        table.writerow([at.isoformat(), *map(_plain, cells)])
    return response


def _plain(cell: str) -> str:
    """A caller chooses its AE title: no cell may begin a formula."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell
