"""The only writers of performed steps, images, deliveries and commitments. Call inside a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from xraydesk.access.models import Site
from xraydesk.imaging.header import DOCUMENTS, Header, StepReport, StoredFile
from xraydesk.imaging.labelled_rules import Finding
from xraydesk.imaging.models import (
    Commitment,
    Delivery,
    Image,
    PartModel,
    PerformedStep,
    SeenPicture,
    StepExam,
)
from xraydesk.imaging.rejection_rules import (
    EXPLICIT_LITTLE_ENDIAN,
    KEY_OBJECT_SELECTION,
    RejectionNote,
)
from xraydesk.imaging.route_rules import Way
from xraydesk.imaging.rules import AWAY_ATTEMPTS_MAX, wait_seconds
from xraydesk.imaging.states import (
    IMAGE_TRANSITIONS,
    STEP_TRANSITIONS,
    DeliveryState,
    ImageAction,
    ImageState,
    KeepingState,
    StepAction,
    StepState,
)
from xraydesk.lib.ids import new_uid
from xraydesk.lib.prepared import rows_of
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room

MODELS_KEPT_MAX = 5
RECALL_WHY = "it has what is not to be used any more"


class IllegalImageAction(Exception):
    """The image is not in a state in which this can be done to it."""


class IllegalStepAction(Exception):
    """The performed step is final and can no longer change."""


ENDED_BY_HAND = "ended by hand"
"""Attribute of a modality's step that a person ended; the modality may still say how it ended."""


def insert_step(
    *,
    site: Site,
    report: StepReport,
    exams: Iterable[Exam],
    room: Room | None,
    started_at: datetime,
    by: str,
    by_hand: bool,
) -> PerformedStep:
    """A new step under way, with the exams that it carries out."""
    carried = list(exams)
    step = PerformedStep.objects.create(
        site=site,
        sop_instance_uid=report.sop_instance_uid,
        room=room,
        ae_title=report.ae_title[:16],
        step_id=report.step_id[:16],
        modality=report.modality[:16],
        by_hand=by_hand,
        by=by,
        started_at=started_at,
        referenced_images=list(report.referenced_images),
        attributes=report.attributes,
        simulated=any(exam.simulated for exam in carried),
    )
    StepExam.objects.bulk_create(StepExam(step=step, exam=exam) for exam in carried)
    return step


def tell_step(
    step: PerformedStep,
    *,
    action: StepAction,
    report: StepReport,
    ended_at: datetime | None,
) -> None:
    """Bring a step up to date with what was told of it. Raises IllegalStepAction after its end."""
    state = STEP_TRANSITIONS.get((StepState(step.state), action))
    if state is None:
        raise IllegalStepAction
    step.state = state
    step.ended_at = ended_at
    step.reason_code = report.reason_code[:16]
    step.reason_text = report.reason_text[:200]
    step.referenced_images = list(dict.fromkeys([*step.referenced_images, *report.referenced_images]))
    documents = dict.fromkeys([*step.attributes.get(DOCUMENTS, ()), *report.attributes.get(DOCUMENTS, ())])
    step.attributes = step.attributes | report.attributes | ({DOCUMENTS: [*documents]} if documents else {})
    step.save()


def take_back_hand_ending(step: PerformedStep) -> bool:
    """Let a modality's step that a person ended go on, so that the modality can end it; False where none did."""
    if not step.attributes.pop(ENDED_BY_HAND, ""):
        return False
    step.state, step.ended_at = StepState.IN_PROGRESS, None
    step.save()
    return True


def note_of_exam(step: PerformedStep, note: str, *, exam_id: int, value: int) -> None:
    """Keep something with a step that is about one of its exams."""
    step.attributes = step.attributes | {note: {**step.attributes.get(note, {}), str(exam_id): value}}
    step.save(update_fields=["attributes"])


def note_about(step: PerformedStep, note: str, *, exam_id: int) -> int:
    """What was kept with a step about one of its exams; 0 where nothing was."""
    return int(step.attributes.get(note, {}).get(str(exam_id), 0))


def part_from_step(step: PerformedStep, *, exam_id: int) -> None:
    """One of several exams of a step goes on by itself: the step tells of the others."""
    StepExam.objects.filter(step=step, exam=exam_id).delete()


def void(step: PerformedStep, *, exam_ids: Iterable[int] | None = None) -> None:
    """Say that a step does not count for its exams (or for some of them)."""
    links = StepExam.objects.filter(step=step)
    if exam_ids is not None:
        links = links.filter(exam__in=list(exam_ids))
    links.update(voided=True)


def insert_image(
    *,
    site: Site,
    exam_id: int | None,
    header: Header,
    stored: StoredFile,
    acquired_at: datetime | None,
    calling_ae: str,
    copy: int,
    state: ImageState,
    why: str,
    findings: Sequence[Finding],
    corrections: Mapping[str, str],
    at: datetime,
    simulated: bool,
    outside_id: int | None = None,
    fetched_id: int | None = None,
) -> Image:
    """A received object, as it says of itself.

    `outside_id` is the study of another house that it was brought with, `fetched_id` the one that it was fetched with.
    """
    return Image.objects.create(
        site=site,
        exam_id=exam_id,
        outside_id=outside_id,
        fetched_id=fetched_id,
        sop_instance_uid=header.sop_instance_uid,
        copy=copy,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        study_instance_uid=header.study_instance_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        accession=header.accession[:64],
        patient_id=header.patient_id[:64],
        patient_id_issuer=header.patient_id_issuer[:64],
        patient_name=header.patient_name[:330],
        patient_birth_date=header.patient_birth_date,
        patient_sex=header.patient_sex[:16],
        modality=header.modality[:16],
        body_part=header.body_part[:64],
        view_position=header.view_position[:64],
        laterality=header.laterality[:16],
        acquired_at=acquired_at,
        calling_ae_title=calling_ae[:16],
        header=header_as_json(header),
        path=stored.path,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        state=state,
        why=why[:400],
        findings=[finding.as_json() for finding in findings],
        corrections=dict(corrections),
        received_at=at,
        simulated=simulated,
    )


def keep_findings(image: Image, findings: Sequence[Finding]) -> None:
    """What speaks against an image's label now; written only where it is something else than before."""
    found = [finding.as_json() for finding in findings]
    if image.findings != found:
        image.findings = found
        image.save(update_fields=["findings"])


def keep_picture(image: Image, *, part: str, features: bytes, at: datetime) -> None:
    """Keep what a picture looks like; once for each image."""
    SeenPicture.objects.get_or_create(
        image=image, defaults={"site_id": image.site_id, "part": part[:64], "features": features, "at": at}
    )


def keep_part_model(
    *, site: Site, model: Mapping[str, Any], calibration: Mapping[str, Any], at: datetime, by: str
) -> PartModel:
    """Keep what was learnt; the last MODELS_KEPT_MAX stay."""
    made = PartModel.objects.create(
        site=site, model=dict(model), calibration=dict(calibration), made_at=at, made_by=by
    )
    kept = PartModel.objects.filter(site=site).order_by("-made_at", "-id").values("pk")[:MODELS_KEPT_MAX]
    PartModel.objects.filter(site=site).exclude(pk__in=kept).delete()
    return made


def forget_pictures(*, site: Site, part: str, keep_max: int) -> int:
    """Delete what pictures of a part look like, but for the latest ones; how many."""
    of_part = SeenPicture.objects.filter(site=site, part=part)
    kept = of_part.order_by("-at", "-id").values("pk")[:keep_max]
    return of_part.exclude(pk__in=kept).delete()[0]


def header_as_json(header: Header) -> dict[str, Any]:
    """A header as it is kept with its image: what it does not say is left out."""
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in asdict(header).items()
        if value not in (None, "", ())
    }


def header_of(image: Image) -> Header:
    """The header of a kept image, as it was read."""
    kept: dict[str, Any] = dict(image.header)
    if kept.get("patient_birth_date"):
        kept["patient_birth_date"] = date.fromisoformat(kept["patient_birth_date"])
    if kept.get("acquired_at"):
        kept["acquired_at"] = datetime.fromisoformat(kept["acquired_at"])
    kept["marker_texts"] = tuple(kept.get("marker_texts", ()))
    return Header(**kept)


def how_it_stands(image: Image) -> dict[str, Any]:
    """Where an image stands, as it is kept to be gone back to."""
    return {
        "state": str(image.state),
        "why": image.why,
        "exam": image.exam_id,
        "corrections": image.corrections,
        "decided_by": image.decided_by,
        "decided_at": image.decided_at.isoformat() if image.decided_at else None,
    }


def move_image(
    image: Image,
    *,
    action: ImageAction,
    at: datetime,
    by: str,
    why: str = "",
    exam_id: int | None = None,
    corrections: Mapping[str, str] | None = None,
    keep_before: bool = False,
) -> None:
    """Take an image from one state to the next. Raises IllegalImageAction where that is not possible.

    With `keep_before` it can be taken back.
    """
    state = IMAGE_TRANSITIONS.get((ImageState(image.state), action))
    if state is None:
        raise IllegalImageAction(f"an image that is {image.state} cannot be given: {action}")
    image.before = how_it_stands(image) if keep_before else None
    image.state, image.why = state, why[:400]
    if action is not ImageAction.SEND or not image.decided_by.startswith("user:"):
        # That it arrived is no decision: who made the last one is still asked for afterwards.
        image.decided_at, image.decided_by = at, by
    if exam_id is not None:
        image.exam_id = exam_id
    if corrections is not None:
        image.corrections = dict(corrections)
    image.save()


def insert_note(
    *, about: Image, note: RejectionNote, destinations: Iterable[str], at: datetime, by: str
) -> Image:
    """A rejection note on its way to those who have what it takes back; it waits and is sent as images are."""
    made = Image.everything.create(
        site_id=about.site_id,
        exam_id=about.exam_id,
        sop_instance_uid=new_uid(),
        sop_class_uid=KEY_OBJECT_SELECTION,
        series_instance_uid=new_uid(),
        study_instance_uid=note.study_instance_uid,
        transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
        accession=note.accession,
        patient_id=note.patient_id,
        patient_name=note.patient_name,
        modality="KO",
        note=note.as_json(),
        size_bytes=0,
        state=ImageState.MATCHED,
        received_at=at,
        decided_at=at,
        decided_by=by,
        simulated=about.simulated,
    )
    Delivery.objects.bulk_create(
        Delivery(site_id=about.site_id, image=made, destination=name, next_at=at, why=RECALL_WHY)
        for name in destinations
    )
    return made


def keep_corrections(image: Image, corrections: Mapping[str, str]) -> None:
    """What is corrected in an image on its way out, which nobody has yet."""
    image.corrections = dict(corrections)
    image.save(update_fields=["corrections"])


def take_back_decision(image: Image) -> None:
    """Let an image stand as it did before a person decided about it. Raises IllegalImageAction where that is not kept."""
    if image.before is None:
        raise IllegalImageAction("nothing is kept of how this image stood before")
    kept, image.before = image.before, None
    image.state, image.why, image.exam_id = kept["state"], kept["why"], kept["exam"]
    image.corrections, image.decided_by = kept["corrections"], kept["decided_by"]
    image.decided_at = datetime.fromisoformat(kept["decided_at"]) if kept["decided_at"] else None
    image.save()


def insert_deliveries(*, image: Image, ways: Iterable[Way], at: datetime) -> list[Delivery]:
    """The ways of an image to its destinations; only the new ones, or the ones withdrawn before, are returned."""
    new = []
    known = {one.destination: one for one in rows_of(Delivery, "image_id = $1", [image.pk])}
    for way in ways:
        delivery, made = known.get(way.destination), False
        if delivery is None:
            delivery, made = Delivery.objects.get_or_create(
                image=image,
                destination=way.destination,
                defaults={"site_id": image.site_id, "next_at": at, "why": way.why[:300]},
            )
        if not made and delivery.state == DeliveryState.WITHDRAWN:
            delivery.why = way.why[:300]
            restart_delivery(delivery, at=at)
            made = True
        if made:
            new.append(delivery)
    return new


def withdraw_deliveries(*, image_ids: Sequence[int], also_sent: bool = False) -> int:
    """Stop images that have not left yet; the number of ways stopped.

    With `also_sent` those that have left, or may have, count as stopped too: they go out anew, under new
    numbers, and what was asked and promised of the old ones is over.
    """
    ways = Delivery.objects.filter(image__in=image_ids)
    if also_sent:
        return ways.update(
            state=DeliveryState.WITHDRAWN, may_have_it=False, keeping=KeepingState.NOT_ASKED, ask_at=None
        )
    stopped = [DeliveryState.WAITING, DeliveryState.FAILED]
    return ways.filter(state__in=stopped).update(state=DeliveryState.WITHDRAWN)


def offered(delivery_ids: Sequence[int]) -> None:
    """From now on a destination may have these, whatever becomes of the line."""
    Delivery.objects.filter(pk__in=delivery_ids).update(may_have_it=True)


def not_offered(delivery_ids: Sequence[int]) -> None:
    """These were to be offered, and nothing of them has left."""
    Delivery.objects.filter(pk__in=delivery_ids).update(may_have_it=False)


def delivered(delivery: Delivery, *, at: datetime, is_to_promise: bool = False) -> None:
    """The destination has the image; with `is_to_promise` it is asked whether it keeps it."""
    delivery.state, delivery.sent_at, delivery.last_error = DeliveryState.SENT, at, ""
    delivery.may_have_it = True
    delivery.attempts += 1
    if is_to_promise:
        delivery.keeping, delivery.ask_at = KeepingState.DUE, at
    else:
        delivery.keeping, delivery.ask_at = KeepingState.NOT_ASKED, None
    delivery.save()


def not_delivered(
    delivery: Delivery, *, at: datetime, why: str, may_have_it: bool = False, is_away: bool = False
) -> None:
    """The destination did not take the image, as far as is known; wait longer each time, and give up at the cap.

    Where it `is_away` nothing is given up: it was not asked about this image.
    """
    if not is_away or delivery.attempts < AWAY_ATTEMPTS_MAX:
        delivery.attempts += 1
    delivery.last_error, delivery.may_have_it = why[:300], may_have_it
    wait = wait_seconds(delivery.attempts)
    if wait is None:
        delivery.state = DeliveryState.FAILED
    else:
        delivery.next_at = at + timedelta(seconds=wait)
    delivery.save()


def delivery_refused(delivery: Delivery, *, why: str) -> None:
    """The image must not go there; trying again changes nothing."""
    delivery.state, delivery.last_error = DeliveryState.WITHDRAWN, why[:300]
    delivery.may_have_it = False
    delivery.attempts += 1
    delivery.save()


def restart_delivery(delivery: Delivery, *, at: datetime) -> None:
    """Begin again with an image that was given up or withdrawn."""
    if delivery.state == DeliveryState.WITHDRAWN:
        # Under new numbers, or once more from the start: what was promised of the old one is over.
        delivery.keeping, delivery.keeping_why, delivery.kept_at = KeepingState.NOT_ASKED, "", None
        delivery.promise, delivery.ask_at, delivery.asks, delivery.resends = None, None, 0, 0
        delivery.sent_at = None
    delivery.state, delivery.attempts, delivery.next_at = DeliveryState.WAITING, 0, at
    delivery.available_at = None
    delivery.save()


def insert_commitment(
    *,
    site: Site,
    transaction_uid: str,
    ae_title: str,
    kept: Sequence[tuple[str, str]],
    failed: Sequence[tuple[str, str, int]],
    at: datetime,
) -> Commitment:
    """Keep what a modality asked about and what it is answered; asking again under one number gets a fresh answer.

    `kept` holds (SOP class, SOP instance) pairs, `failed` the same with the reason's code (PS3.3 C.14.1.1).
    """
    commitment, _ = Commitment.objects.update_or_create(
        site=site,
        ae_title=ae_title,
        transaction_uid=transaction_uid,
        defaults={
            "asked_at": at,
            "kept": [list(pair) for pair in kept],
            "failed": [list(triple) for triple in failed],
            "told_at": None,
            "attempts": 0,
        },
    )
    return commitment


def commitment_told(commitment: Commitment, *, at: datetime) -> None:
    """The modality has the answer."""
    commitment.told_at = at
    commitment.attempts += 1
    commitment.save()


def commitment_not_told(commitment: Commitment) -> int | None:
    """The modality did not take the answer: seconds until the next attempt, None where a person must look."""
    commitment.attempts += 1
    commitment.save()
    return wait_seconds(commitment.attempts)
