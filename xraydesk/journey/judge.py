"""Before images go on: was each taken when, and where, its patient was? What speaks against that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import or_

from django.db.models import Q

from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import actions
from xraydesk.imaging.labelled_rules import (
    WAITED_WITHIN,
    Circumstances,
    Performed,
    Waiting,
    findings_of_json,
    heaviest_first,
    holds,
    with_circumstances,
)
from xraydesk.imaging.models import Image, StepExam
from xraydesk.imaging.queries import standing_steps
from xraydesk.imaging.states import ImageAction
from xraydesk.journey.dose import assign_dose
from xraydesk.journey.keys import image_key
from xraydesk.journey.performing import ARRIVAL_IMPLIED, PLACE_BEFORE, tell
from xraydesk.journey.pictures import look_like_others
from xraydesk.journey.policy import policies_of
from xraydesk.orders.models import Exam
from xraydesk.orders.states import Priority
from xraydesk.rooms.models import Modality
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.models import SafetyCheck
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.queries import live_booking
from xraydesk.scheduling.states import LIVE

PORTABLE = "portable"
"""A kind of room that goes to patients: several of them may be where it is."""

EMERGENCY_CLASS = "E"

NOT_EXPOSED = frozenset({"AU", "DOC", "KO", "PR", "REG", "SR"})
"""Modalities (PS3.3 C.7.3.1.1.1) of objects that are written, not taken."""

Shown = Mapping[str, bool]
"""For each machine (AE title) that asked for its worklist lately: whether it was told of the exam."""


def hold_doubtful(exam: Exam, images: Iterable[Image], *, shown: Shown, at: datetime) -> list[Image]:
    """Hold what speaks too much against of an exam's matched images, and ask a person; those that may go on.

    Inside the transaction that holds exam and images. An image that a person decided about is
    not looked at again, and what no machine exposed (a dose report, a document) was made at another time anyhow.
    """
    policies = policies_of(exam.site)
    looked_at = list(images)
    exposed = [i for i in looked_at if i.modality not in NOT_EXPOSED and not is_decided(i)]
    found = circumstances(exam, exposed, shown=shown)
    going = []
    for image in looked_at:
        if image.pk in found:
            findings = with_circumstances(findings_of_json(image.findings), found[image.pk], policies)
            actions.keep_findings(image, findings)
            if holds(findings, policies):
                why = "; ".join(f.sentence for f in heaviest_first(findings))
                _hold(image, exam, why=why, at=at)
                continue
        going.append(image)
    return going


def is_decided(image: Image) -> bool:
    """True where a person said to which exam an image belongs."""
    return image.decided_by.startswith("user:")


def _hold(image: Image, exam: Exam, *, why: str, at: datetime) -> None:
    actions.move_image(image, action=ImageAction.HOLD, at=at, by="rule", why=why)
    assign_dose(site_id=image.site_id, sop_instance_uid=image.sop_instance_uid, exam=None)
    tell(exam, FactKind.IMAGE_HELD, at=at, by="rule", data={"image": image.pk, "why": image.why})
    raise_item(
        site_id=image.site_id,
        kind=ItemKind.LABEL_DOUBT,
        key=image_key(image),
        at=at,
        text=f"An image of exam {exam.accession} {image.why}. Say to which exam it belongs, or reject it.",
        accession=exam.accession,
        patient=exam.patient_id,
        sop_instance_uid=image.sop_instance_uid,
        data={"image": image.pk},
    )


def circumstances(exam: Exam, images: Sequence[Image], *, shown: Shown) -> dict[int, Circumstances]:
    """What is known of when and where each image of one exam was taken, by the image's key; six queries for all."""
    if not images:
        return {}
    machines = Modality.objects.filter(
        site=exam.site_id, ae_title__in={image.calling_ae_title for image in images}
    ).select_related("room")
    rooms = {m.ae_title: m.room for m in machines if m.room.kind != PORTABLE}
    room_ids = {room.pk for room in rooms.values()}
    times = [image.acquired_at for image in images if image.acquired_at]
    own, is_implied, is_moved = _own(exam)
    booking = live_booking(exam.pk)
    arrived_at = booking.arrived_at if booking and not is_implied else None
    identified = SafetyCheck.objects.filter(exam=exam, kind=CheckKind.IDENTITY, passed=True).exists()
    others = _others(exam, room_ids, times)
    waiting = _waiting(exam, room_ids, times)
    others_seen = look_like_others(exam, images)
    is_urgent = exam.priority != Priority.ROUTINE or exam.order.patient_class == EMERGENCY_CLASS
    found = {}
    for image in images:
        room = rooms.get(image.calling_ae_title)
        found[image.pk] = Circumstances(
            taken_at=image.acquired_at,
            received_at=image.received_at,
            patient_id=exam.patient_id,
            room=room.code if room else "",
            own=own,
            others=tuple(step for key, step in others if room and key == room.pk),
            waiting=tuple(one for key, one in waiting if room and key == room.pk),
            arrived_at=arrived_at,
            is_identified=identified,
            is_urgent=is_urgent,
            is_due=_is_due(booking, is_moved, image.acquired_at),
            looks_like=others_seen.get(image.pk, ""),
            was_shown=shown.get(image.calling_ae_title),
        )
    return found


def _is_due(booking: Booking | None, is_moved: bool, taken_at: datetime | None) -> bool:
    """Whether an exam had a place where it was done, about when an image was taken; True where it had none at all."""
    if booking is None or taken_at is None:
        return True
    start, end = booking.during.lower, booking.during.upper
    return not is_moved and start - WAITED_WITHIN <= taken_at <= end + WAITED_WITHIN


def _own(exam: Exam) -> tuple[tuple[Performed, ...], bool, bool]:
    """An exam's steps that count; whether its patient's arrival, and its place there, were only concluded from one of them."""
    steps = standing_steps(exam.pk)
    implied, moved = (
        any(actions.note_about(step, note, exam_id=exam.pk) for step in steps)
        for note in (ARRIVAL_IMPLIED, PLACE_BEFORE)
    )
    return (
        tuple(
            Performed(
                exam_id=exam.pk,
                patient_id=exam.patient_id,
                room=step.room.code if step.room and step.room.kind != PORTABLE else "",
                started_at=step.started_at,
                ended_at=step.ended_at,
                by_hand=step.by_hand,
            )
            for step in steps
        ),
        implied,
        moved,
    )


def _others(exam: Exam, room_ids: set[int], times: Sequence[datetime]) -> list[tuple[int, Performed]]:
    """Steps of other patients in these rooms during these times, each with its room's key."""
    if not room_ids or not times:
        return []
    links = (
        StepExam.objects.filter(
            step__site=exam.site_id, step__room__in=room_ids, voided=False, step__started_at__lte=max(times)
        )
        .filter(Q(step__ended_at=None) | Q(step__ended_at__gte=min(times)))
        .exclude(exam__patient=exam.patient_id)
        .select_related("step__room", "exam")
    )
    return [
        (
            link.step.room.pk,
            Performed(
                link.exam_id,
                link.exam.patient_id,
                link.step.room.code,
                link.step.started_at,
                link.step.ended_at,
            ),
        )
        for link in links
        if link.step.room is not None
    ]


def _waiting(exam: Exam, room_ids: set[int], times: Sequence[datetime]) -> list[tuple[int, Waiting]]:
    """Other patients who were here and had a place in these rooms around these times, each with the room's key."""
    if not room_ids or not times:
        return []
    near = reduce(
        or_, (Q(during__overlap=(at - WAITED_WITHIN, at + WAITED_WITHIN)) for at in {min(times), max(times)})
    )
    booked = list(
        Booking.objects.filter(
            near, site=exam.site_id, room__in=room_ids, state__in=LIVE, arrived_at__lte=max(times)
        )
        .exclude(patient=exam.patient_id)
        .only("exam", "patient", "room", "during", "arrived_at")
    )
    begun: dict[int, datetime] = {}
    steps = StepExam.objects.filter(exam__in=[b.exam_id for b in booked], voided=False)
    for exam_id, started_at in steps.order_by("-step__started_at").values_list("exam", "step__started_at"):
        begun[exam_id] = started_at
    return [
        (
            b.room_id,
            Waiting(
                b.exam_id, b.patient_id, b.during.lower, b.during.upper, b.arrived_at, begun.get(b.exam_id)
            ),
        )
        for b in booked
        if b.exam_id and b.patient_id and b.arrived_at
    ]
