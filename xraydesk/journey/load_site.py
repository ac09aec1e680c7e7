"""Loading a department: from its plan into the tables, without touching an exam."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from xraydesk.access.catalogue import lock_site, put_locations, put_site, write_version
from xraydesk.access.models import Site
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.models import Delivery, PerformedStep, StepExam
from xraydesk.imaging.states import DeliveryState, StepState
from xraydesk.journey.errors import Refused
from xraydesk.orders.catalogue import put_procedures
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import PatientIdentifier
from xraydesk.rooms.catalogue import put_modalities, put_rooms, put_wards
from xraydesk.rooms.models import Room, Ward
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import OCCUPYING, BookingState
from xraydesk.siteplan.diff import diff
from xraydesk.siteplan.jsonform import NotAPlan, from_json, to_json
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.problems import Problem, field_name
from xraydesk.siteplan.rules import check
from xraydesk.staff.catalogue import put_companions, put_porters, put_technologists

ORPHANS_NAMED_MAX = 5
"""Exams named in one line of a refusal; the rest are counted."""

FACT_LINES_MAX = 100
"""Lines of the difference that the history keeps."""


class PlanDoesNotFit(Refused):
    """The plan's parts do not fit together; `problems` says where and what."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(f"{field_name(p.path)}: {p.what}" for p in problems))
        self.problems = problems


class WouldOrphan(Refused):
    """Something that is still in use would lose its place; `orphans` says what, a line each."""

    def __init__(self, orphans: tuple[str, ...]) -> None:
        super().__init__("Nothing was changed, because this is still in use:\n" + "\n".join(orphans))
        self.orphans = orphans


def load_site(*, plan: SitePlan, at: datetime, by: str, simulated: bool = False) -> list[str]:
    """Bring a site to what its plan says, all of it or nothing; the lines that tell what changed.

    Repeatable: loading the same plan again changes nothing and gives no lines. The first load
    makes the site. What the plan no longer has is retired, not deleted. No exam is touched.

    Raises PlanDoesNotFit where the plan contradicts itself, and WouldOrphan with a list where
    something that it drops is still needed: a room or technologist with bookings to come, a
    procedure or ward with open exams, an AE title with a step under way, a destination that
    images still wait for, the issuer of patients' numbers.
    """
    problems = check(plan, item_kinds=[kind.value for kind in ItemKind])
    if problems:
        raise PlanDoesNotFit(problems)
    with transaction.atomic():
        site = lock_site(code=plan.code)
        before = _plan_before(site)
        if site is not None:
            orphans = tuple(_orphans(site, plan, at))
            if orphans:
                raise WouldOrphan(orphans)
        lines = diff(before, plan)
        if site is not None and before is not None and not lines and to_json(plan) == site.plan:
            return []
        site = _write(plan, simulated)
        version = write_version(site=site, at=at, by=by)
        if lines:
            record(
                site_id=site.pk,
                kind=FactKind.SITE_LOADED,
                at=at,
                by=by,
                data={"changes": len(lines), "lines": lines[:FACT_LINES_MAX], "version": version},
                simulated=site.simulated,
            )
    return lines


def _plan_before(site: Site | None) -> SitePlan | None:
    """The plan of the last load; None where there was none, or an older desk wrote it in another form."""
    if site is None or not site.plan:
        return None
    try:
        return from_json(site.plan)
    except NotAPlan:
        return None


def _write(plan: SitePlan, simulated: bool) -> Site:
    site = put_site(
        code=plan.code,
        fields={
            "name": plan.name,
            "timezone": plan.timezone,
            "assigning_authority": plan.assigning_authority,
            "ae_title": plan.ae_title,
            "plan": to_json(plan),
        },
        simulated=simulated,
    )
    locations = put_locations(site=site, names={p.code: p.name for p in plan.locations})
    rooms = put_rooms(site=site, plans=plan.rooms, locations=locations)
    put_modalities(site=site, plans=plan.modalities, rooms=rooms)
    put_wards(site=site, plans=plan.wards)
    put_technologists(site=site, plans=plan.technologists)
    put_porters(site=site, plans=plan.porters)
    put_companions(site=site, plans=plan.companions)
    put_procedures(site=site, plans=plan.procedures)
    return site


def _orphans(site: Site, plan: SitePlan, at: datetime) -> Iterator[str]:
    yield from _rooms_in_use(site, plan, at)
    yield from _technologists_in_use(site, plan, at)
    yield from _procedures_in_use(site, plan)
    yield from _wards_in_use(site, plan)
    yield from _machines_in_use(site, plan)
    yield from _destinations_in_use(site, plan)
    yield from _issuer_in_use(site, plan)


def _named(accessions: QuerySet[Exam] | QuerySet[Booking] | QuerySet[StepExam], field: str) -> str:
    """`A1, A2 and 3 more`."""
    found = list(accessions.order_by("pk").values_list(field, flat=True)[: ORPHANS_NAMED_MAX + 1])
    if len(found) <= ORPHANS_NAMED_MAX:
        return ", ".join(found)
    return f"{', '.join(found[:ORPHANS_NAMED_MAX])} and {accessions.count() - ORPHANS_NAMED_MAX} more"


def _to_come(site: Site, at: datetime) -> QuerySet[Booking]:
    return Booking.objects.filter(site=site, state=BookingState.BOOKED, during__endswith__gt=at)


def _rooms_in_use(site: Site, plan: SitePlan, at: datetime) -> Iterator[str]:
    kept = {room.code: room for room in plan.rooms}
    # Locked before they are looked at: a booking being made holds its room's row, and is waited for.
    for room in Room.objects.filter(site=site, retired=False).order_by("pk").select_for_update():
        if room.code not in kept:
            bookings = _to_come(site, at).filter(room=room)
            if bookings.exists():
                yield f"room {room.code} has bookings to come: {_named(bookings, 'exam__accession')}; move them first"
            under_way = _under_way(site).filter(step__room=room)
            if under_way.exists():
                yield f"room {room.code} has exams under way: {_named(under_way, 'exam__accession')}; end them first"
        else:
            seated = _to_come(site, at).filter(room=room, seat__gte=kept[room.code].seats)
            if seated.exists():
                yield (
                    f"room {room.code} has bookings beyond {kept[room.code].seats} at once: "
                    f"{_named(seated, 'exam__accession')}; move them first"
                )


def _technologists_in_use(site: Site, plan: SitePlan, at: datetime) -> Iterator[str]:
    kept = [person.code for person in plan.technologists]
    bookings = _to_come(site, at).filter(technologist__isnull=False).exclude(technologist__code__in=kept)
    for code in sorted(set(bookings.values_list("technologist__code", flat=True))):
        theirs = bookings.filter(technologist__code=code)
        yield f"technologist {code} has bookings to come: {_named(theirs, 'exam__accession')}; give them to others first"


def _open_exams(site: Site) -> QuerySet[Exam]:
    """Exams that are still to be done: not cancelled, not completed, not discontinued for good.

    One that was discontinued but keeps its booking is to be done all the same.
    """
    steps = StepExam.objects.filter(exam=OuterRef("pk"), voided=False)
    booked = Booking.objects.filter(exam=OuterRef("pk"), state__in=[state.value for state in OCCUPYING])
    return (
        Exam.objects.filter(site=site)
        .exclude(triage=TriageState.CANCELLED.value)
        .exclude(Exists(steps.filter(step__state=StepState.COMPLETED.value)))
        .exclude(Exists(steps.filter(step__state=StepState.DISCONTINUED.value)) & ~Exists(booked))
    )


def _procedures_in_use(site: Site, plan: SitePlan) -> Iterator[str]:
    kept = {(procedure.system, procedure.code) for procedure in plan.procedures}
    open_exams = _open_exams(site).filter(procedure__isnull=False)
    used = open_exams.order_by().values_list("procedure__system", "procedure__code").distinct()
    for system, code in sorted(set(used) - kept):
        theirs = open_exams.filter(procedure__system=system, procedure__code=code)
        yield f"procedure {code} has open exams: {_named(theirs, 'accession')}; do or cancel them first"


def _wards_in_use(site: Site, plan: SitePlan) -> Iterator[str]:
    before = set(Ward.objects.filter(site=site, retired=False).values_list("code", flat=True))
    for code in sorted(before - {ward.code for ward in plan.wards}):
        theirs = _open_exams(site).filter(order__ward=code)
        if theirs.exists():
            yield f"ward {code} has patients with open exams: {_named(theirs, 'accession')}; do or cancel them first"


def _under_way(site: Site) -> QuerySet[StepExam]:
    return StepExam.objects.filter(step__site=site, voided=False, step__state=StepState.IN_PROGRESS.value)


def _machines_in_use(site: Site, plan: SitePlan) -> Iterator[str]:
    kept = {modality.ae_title for modality in plan.modalities}
    steps = PerformedStep.objects.filter(site=site, state=StepState.IN_PROGRESS.value)
    for ae_title in sorted(set(steps.exclude(ae_title="").values_list("ae_title", flat=True)) - kept):
        exams = _named(_under_way(site).filter(step__ae_title=ae_title), "exam__accession")
        yield f"AE title {ae_title} has a step under way{f' for {exams}' if exams else ''}; end it first"


def _destinations_in_use(site: Site, plan: SitePlan) -> Iterator[str]:
    waiting = Delivery.objects.filter(site=site, state=DeliveryState.WAITING.value).exclude(
        destination__in=[destination.name for destination in plan.destinations]
    )
    for name in sorted(set(waiting.values_list("destination", flat=True))):
        yield f"destination {name} is waited for by {waiting.filter(destination=name).count()} images; send them first"


def _issuer_in_use(site: Site, plan: SitePlan) -> Iterator[str]:
    if site.assigning_authority == plan.assigning_authority:
        return
    carried = PatientIdentifier.objects.filter(site=site, authority=site.assigning_authority).count()
    if carried:
        yield (
            f"{carried} patients' numbers are of the issuer {site.assigning_authority}; "
            f"under {plan.assigning_authority} the same people would be taken for others"
        )
