"""Machines and destinations: who calls, who answers, whose clock is off, who was refused; and what to send the vendor."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime

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
    return [
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
        for to in (plan.destinations if plan else ())
    ]


def _checks(member: Member) -> dict[str, ConnectionCheck]:
    newest = ConnectionCheck.objects.filter(site=member.site).order_by("ae_title", "-at", "-id")
    return {check.ae_title: check for check in newest.distinct("ae_title")}


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


@require_POST
@needs(Permission.SEE_MESSAGES)
def check(request: HttpRequest, member: Member) -> SeeOther:
    """Try a connection: does anybody listen, does he answer?"""
    # What speaks DICOM is imported only where it is asked for, as in `worklist`.
    from xraydesk.links.dicom.probe import probe

    ae_title = request.POST.get("ae_title", "")
    found = next(
        (c for c in (*_machines(member), *_destinations(member)) if c.ae_title == ae_title and c.where), None
    )
    if found is None:
        raise Http404
    host, _, port = found.where.rpartition(":")
    outcome = probe(
        host=host,
        port=int(port),
        called=ae_title,
        calling=member.site.ae_title,
        destination=found.plan,
    )
    connections.keep_check(
        site=member.site,
        ae_title=ae_title,
        where=found.where,
        reached=outcome.reached,
        echoed=outcome.echoed,
        said=outcome.said,
        at=clock.now(),
        by=member.who,
    )
    here = reverse("connections")
    said = f"{ae_title}: {outcome.said}"
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
