"""Images that can be read: when they were there, who is called for those of a STAT, and who opened them when."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item, reword_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.on_call_rules import OnDuty, call_words, on_duty, whose_turn, words_of
from xraydesk.imaging.states import DeliveryState, ImageState
from xraydesk.journey import performing
from xraydesk.journey.announce import announce
from xraydesk.journey.errors import WrongState
from xraydesk.journey.policy import policies_of
from xraydesk.journey.routed import routed_exams
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority
from xraydesk.results.models import Report
from xraydesk.results.states import READ_STATES
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import from_json
from xraydesk.siteplan.routing_plan import OnCallRole

AT_ONCE_MAX = 200
"""So many STATs are looked at in one round; the next round takes the others."""


def images_reached(*, exam: Exam, destination: str, at: datetime, by: str = "rule") -> bool:
    """A destination took an image: where it has all of the exam now, they can be read. Call inside the transaction.

    Of a destination that `announces` it counts what it said itself. Whoever wants to be told is told (`announce`).
    Told once for the same last image, at the first destination of the house that has all. True where it was told.
    """
    plan = from_json(exam.site.plan) if exam.site.plan else None
    to = next((d for d in plan.destinations if d.name == destination), None) if plan else None
    if plan is None or to is None or to.outside or to.research:
        return False
    outstanding = Delivery.objects.filter(
        image__exam=exam,
        image__fetched=None,
        image__state=ImageState.MATCHED,
        destination=destination,
        state__in=(DeliveryState.WAITING, DeliveryState.FAILED),
    ).exclude(image__modality="DOC", image__calling_ae_title=exam.site.ae_title)
    last = (
        Image.objects.filter(exam=exam, deliveries__destination=destination)
        .exclude(modality="DOC", calling_ae_title=exam.site.ae_title)
        .order_by("received_at", "id")
        .last()
    )
    if last is None or outstanding.exists() or (to.announces and _is_unannounced(exam, destination)):
        return False
    announce(exam=exam, plan=plan, where=to, last=last, at=at)
    told = Fact.objects.filter(
        site=exam.site_id, accession=exam.accession, kind=FactKind.IMAGES_AVAILABLE, data__image=last.pk
    )
    if told.exists():
        return False
    _record(
        exam,
        FactKind.IMAGES_AVAILABLE,
        at=at,
        by=by,
        destination=destination,
        image=last.pk,
        last=last.received_at.isoformat(),
    )
    if exam.priority == Priority.STAT and plan.on_call and not _was_looked_at(exam):
        _call(exam, plan, destination, at=at)
    return True


def _is_unannounced(exam: Exam, destination: str) -> bool:
    """True where the destination did not say yet of every image of an exam that it can be read."""
    sent = Delivery.objects.filter(
        image__exam=exam,
        image__fetched=None,
        destination=destination,
        state=DeliveryState.SENT,
        available_at=None,
    )
    return sent.exclude(image__modality="DOC", image__calling_ae_title=exam.site.ae_title).exists()


def _call(exam: Exam, plan: SitePlan, destination: str, *, at: datetime) -> None:
    """Put before the coordinator whom to call for a STAT: who reads, and the team."""
    duty = _duty(exam, plan, at=at)
    if any(p.role is OnCallRole.READER for p in plan.on_call):
        raise_item(
            site_id=exam.site_id,
            kind=ItemKind.STAT_TO_READ,
            key=_read_key(exam),
            at=at,
            text=call_words(
                duty.readers[0] if duty.readers else None, accession=exam.accession, destination=destination
            ),
            accession=exam.accession,
            patient=exam.patient_id,
            data={"destination": destination},
        )
    if duty.team:
        raise_item(
            site_id=exam.site_id,
            kind=ItemKind.STAT_TEAM_TO_TELL,
            key=_team_key(exam),
            at=at,
            text=f"Tell {' and '.join(map(words_of, duty.team))}: the images of STAT exam {exam.accession} "
            f"are at {destination}.",
            accession=exam.accession,
            patient=exam.patient_id,
        )


def _duty(exam: Exam, plan: SitePlan, *, at: datetime) -> OnDuty:
    wall = clock.in_zone(at, exam.site.timezone).replace(tzinfo=None)
    return on_duty(plan, wall=wall, location=routed_exams([exam], at=at)[exam.pk].location)


@transaction.atomic
def opened(*, exam_id: int, at: datetime, by: str) -> None:
    """Whoever reads has the images of an exam open. Raises WrongState where there are none yet, or it was said already."""
    (exam,) = performing.lock_exams([exam_id])
    if not _told(exam, FactKind.IMAGES_AVAILABLE):
        raise WrongState(f"The images of exam {exam.accession} are nowhere yet where they can be read.")
    if _told(exam, FactKind.IMAGES_OPENED):
        raise WrongState(f"The images of exam {exam.accession} were opened already.")
    _record(exam, FactKind.IMAGES_OPENED, at=at, by=by)
    close_items(site_id=exam.site_id, key=_read_key(exam), at=at, by=by, how="opened")


@transaction.atomic
def somebody_told(*, exam_id: int, team: bool, at: datetime, by: str) -> str:
    """The reader, or the team, of a STAT was told; whom, in words. The reader's item waits on until they open it.

    Raises WrongState where nobody is to be told.
    """
    (exam,) = performing.lock_exams([exam_id])
    key = _team_key(exam) if team else _read_key(exam)
    item = Item.objects.filter(site=exam.site_id, key=key, closed_at=None).first()
    if item is None or not exam.site.plan:
        raise WrongState(f"Nobody is to be told of exam {exam.accession}: it was opened, read, or told.")
    plan = from_json(exam.site.plan)
    duty = _duty(exam, plan, at=at)
    reader = whose_turn(duty.readers, since=item.at, at=at, minutes=policies_of(exam.site).stat_read_minutes)
    whom = " and ".join(p.name for p in duty.team) if team else (reader.name if reader else "somebody")
    _record(exam, FactKind.READER_TOLD, at=at, by=by, to=whom)
    if team:
        close_items(site_id=exam.site_id, key=key, at=at, by=by, how="told")
    else:
        heard = clock.in_zone(at, exam.site.timezone)
        reword_item(
            site_id=exam.site_id,
            key=key,
            text=f"{whom} was told at {heard:%H:%M} of STAT exam {exam.accession}, and has not opened it yet.",
        )
    return whom


@transaction.atomic
def was_read(*, exam_id: int, at: datetime) -> None:
    """A report came: nobody is called any more to open the images."""
    (exam,) = performing.lock_exams([exam_id])
    if Report.objects.filter(exam=exam, state__in=READ_STATES).exists():
        close_items(site_id=exam.site_id, key=_read_key(exam), at=at, by="rule", how="it was read")


def pass_on_unopened(*, site: Site, at: datetime) -> int:
    """Where whoever reads has not opened a STAT in time, the one who covers is called; the number passed on."""
    if not site.plan:
        return 0
    plan = from_json(site.plan)
    minutes = policies_of(site).stat_read_minutes
    items = Item.objects.filter(site=site, kind=ItemKind.STAT_TO_READ, closed_at=None).order_by("at", "id")
    passed = 0
    for item in items[:AT_ONCE_MAX]:
        exam = (
            Exam.objects.filter(site=site, accession=item.accession).select_related("site", "order").first()
        )
        if exam is None:
            continue
        person = whose_turn(_duty(exam, plan, at=at).readers, since=item.at, at=at, minutes=minutes)
        name = person.name if person else ""
        if not name or name == item.data.get("called", _first(exam, plan, item.at)):
            continue
        with transaction.atomic():
            text = call_words(
                person, accession=exam.accession, destination=str(item.data.get("destination", ""))
            )
            changed = Item.objects.select_for_update().filter(pk=item.pk, closed_at=None)
            if changed.update(text=text, data=item.data | {"called": name}):
                _record(exam, FactKind.READER_PASSED, at=at, by="rule", to=name)
                passed += 1
    return passed


def _first(exam: Exam, plan: SitePlan, at: datetime) -> str:
    readers = _duty(exam, plan, at=at).readers
    return readers[0].name if readers else ""


def _was_looked_at(exam: Exam) -> bool:
    return (
        _told(exam, FactKind.IMAGES_OPENED)
        or Report.objects.filter(exam=exam, state__in=READ_STATES).exists()
    )


def _told(exam: Exam, kind: FactKind) -> bool:
    return Fact.objects.filter(site=exam.site_id, accession=exam.accession, kind=kind).exists()


def _record(exam: Exam, kind: FactKind, *, at: datetime, by: str, **data: object) -> None:
    record(
        site_id=exam.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession,
        patient=exam.patient_id,
        data=data,
        simulated=exam.simulated,
    )


def _read_key(exam: Exam) -> str:
    return f"stat to read:{exam.accession}"


def _team_key(exam: Exam) -> str:
    return f"stat team:{exam.accession}"
