"""An image comes in: whose is it? A match goes on; anything else waits for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from django.db import transaction
from django.db.models import QuerySet

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.dose.report import DoseReport
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import actions, queries, retention_actions, rules
from xraydesk.imaging.header import Header, StoredFile
from xraydesk.imaging.labelled_rules import Matched as MatchedImage
from xraydesk.imaging.labelled_rules import Mismatch, Way, findings_of_json, match, moved_with
from xraydesk.imaging.models import Image
from xraydesk.imaging.rejection_rules import Going, RejectionCode, new_numbers
from xraydesk.imaging.states import DeliveryState, ImageAction, ImageState
from xraydesk.journey import performing, recall
from xraydesk.journey.dose import assign_dose, record_dose, report_of_header
from xraydesk.journey.errors import UnknownExam, UnknownImage, WrongState
from xraydesk.journey.keys import delivery_key, image_key, reader_key, standing
from xraydesk.journey.policy import policies_of
from xraydesk.lib import clock, locks
from xraydesk.lib.ids import new_uid
from xraydesk.lib.prepared import rows_of
from xraydesk.orders.models import Exam

COPIES_MAX = 20
"""More different objects under one SOP Instance UID than these are not taken."""

NOT_SAID: Mapping[int, str] = MappingProxyType({})

SAME_NUMBER = "another image with other content has the same number"


class TooManyCopies(Exception):
    """So many different objects carry one SOP Instance UID that their sender is broken."""


@transaction.atomic
def receive_image(
    *,
    site: Site,
    header: Header,
    stored: StoredFile,
    calling_ae: str,
    at: datetime,
    simulated: bool = False,
    dose: DoseReport | None = None,
) -> Image:
    """Take in one object whose file is safely kept, and find its exam.

    The same bytes again change nothing and give the image that is here (its `path` is then
    not the new file's). Other bytes under a known SOP Instance UID are kept beside the first
    and quarantined (row 33 of the faults); so is what contradicts its exam (row 34). `dose`
    is what a dose report says; without it the header's own values are taken.

    Raises TooManyCopies.
    """
    locks.take([f"image:{site.pk}:{header.sop_instance_uid}"])
    numbered = "site_id = $1 AND sop_instance_uid = $2 AND note IS NULL AND fetched_id IS NULL ORDER BY copy"
    known = rows_of(Image, numbered, [site.pk, header.sop_instance_uid])
    same = next((image for image in known if image.sha256 == stored.sha256), None)
    if same is not None:
        return (
            same if same.released_at is None else come_again(same, stored, at=at, by=f"modality:{calling_ae}")
        )
    if len(known) >= COPIES_MAX:
        raise TooManyCopies
    candidates = {c.exam_id: c for c in queries.candidates_for(site=site, header=header)}
    acquired_at = _acquired_at(header, site)
    moved = moved_with(
        queries.moved_by_people(site_id=site.pk, study_instance_uid=header.study_instance_uid),
        series_instance_uid=header.series_instance_uid,
        machine=calling_ae,
        taken_at=acquired_at,
    )
    decision = match(header, candidates.values(), policies_of(site), moved_to=moved)
    # Shared: images of one exam that come over several associations need not wait for each other's commit.
    exam = performing.lock_exams([decision.exam_id], shared=True)[0] if decision.exam_id else None
    state, why = _state(header, acquired_at, decision, is_copy=bool(known))
    matched = state is not ImageState.QUARANTINED and exam is not None
    image = actions.insert_image(
        site=site,
        exam_id=exam.pk if exam else None,
        header=header,
        stored=stored,
        acquired_at=acquired_at,
        calling_ae=calling_ae,
        copy=known[-1].copy + 1 if known else 0,
        state=state,
        why=why,
        findings=decision.findings,
        corrections=rules.corrections(header, candidates[exam.pk]) if matched and exam else {},
        at=at,
        simulated=simulated or bool(exam and exam.simulated),
    )
    by = f"modality:{calling_ae}"
    _tell(image, exam, FactKind.IMAGE_RECEIVED, at=at, by=by)
    _tell(image, exam, _FACTS[state], at=at, by="rule")
    _ask_a_person(image, exam, at=at)
    record_dose(
        site_id=site.pk,
        exam=exam if state is ImageState.MATCHED else None,
        report=dose or report_of_header(header),
        at=at,
        by=by,
        simulated=image.simulated,
    )
    return image


def come_again(image: Image, stored: StoredFile, *, at: datetime, by: str) -> Image:
    """The file of an image is here again that had been let go of: it can be looked at, decided on and sent as before."""
    image = Image.objects.select_for_update(of=("self",)).select_related("exam").get(pk=image.pk)
    if image.released_at is not None:
        retention_actions.come_back(image, path=stored.path, at=at)
        _tell(image, image.exam, FactKind.IMAGE_BACK, at=at, by=by)
    return image


_FACTS = {
    ImageState.MATCHED: FactKind.IMAGE_MATCHED,
    ImageState.HELD: FactKind.IMAGE_HELD,
    ImageState.QUARANTINED: FactKind.IMAGE_QUARANTINED,
}


def _state(
    header: Header,
    acquired_at: datetime | None,
    decision: MatchedImage | Mismatch,
    *,
    is_copy: bool,
) -> tuple[ImageState, str]:
    """Where a new image stands, and why where a person must look."""
    reasons = decision.reasons if isinstance(decision, Mismatch) else ()
    if is_copy:
        reasons = (SAME_NUMBER, *reasons)
    if reasons or decision.exam_id is None:
        return ImageState.QUARANTINED, "; ".join(reasons)
    spans = queries.step_spans(decision.exam_id)
    if rules.is_of_voided_step(header.sop_instance_uid, acquired_at, spans):
        return ImageState.HELD, performing.HELD_WHY
    return ImageState.MATCHED, ""


def _acquired_at(header: Header, site: Site) -> datetime | None:
    wall = header.acquired_at
    return clock.at_wall_time(wall.date(), wall.time(), site.timezone) if wall else None


def _tell(image: Image, exam: Exam | None, kind: FactKind, *, at: datetime, by: str, **more: object) -> None:
    record(
        site_id=image.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession if exam else "",
        patient=exam.patient_id if exam else None,
        data={"image": image.pk} | ({"why": image.why} if image.why else {}) | more,
        simulated=image.simulated,
    )


def _ask_a_person(image: Image, exam: Exam | None, *, at: datetime) -> None:
    """Raise the item of an image that cannot go on by itself."""
    if image.state == ImageState.HELD and exam is not None and image.why == performing.HELD_WHY:
        performing.raise_images_held(exam, at=at)
        return
    if image.state not in (ImageState.QUARANTINED, ImageState.HELD):
        return
    claimed = f"An image claims exam {exam.accession}" if exam else "An image belongs to no exam known here"
    raise_item(
        site_id=image.site_id,
        kind=_item_kind(image),
        key=image_key(image),
        at=at,
        text=f"{claimed}: {image.why}. Say to which exam it belongs, or reject it.",
        accession=exam.accession if exam else "",
        patient=exam.patient_id if exam else None,
        sop_instance_uid=image.sop_instance_uid,
        data={"image": image.pk},
    )


def _item_kind(image: Image) -> ItemKind:
    """What a person has to decide about an image."""
    if image.copy:
        return ItemKind.IMAGE_CONFLICT
    if image.exam_id is None:
        return ItemKind.IMAGE_WITHOUT_EXAM
    whose = any(f.way in (Way.NUMBERS, Way.PATIENT) for f in findings_of_json(image.findings))
    return ItemKind.IMAGE_MISMATCH if whose else ItemKind.LABEL_DOUBT


@transaction.atomic
def belongs_here(
    *,
    image_id: int,
    exam_id: int,
    at: datetime,
    by: str,
    also: Collection[int] = (),
    fix_anatomy: bool = False,
    as_seen: Mapping[int, str] = NOT_SAID,
) -> Image:
    """A person says to which exam an image belongs; what it says otherwise is corrected on its way out (row 40).

    `also` are others that go there with it, in the same step. What has left already is taken back
    from whoever has it, and goes out anew under new numbers. The kept file stays as it came.
    With `fix_anatomy` side and part are corrected as ordered, too.
    `as_seen` is where each image stood (`keys.standing`), by its key, when the person looked.

    Raises UnknownImage, UnknownExam, and WrongState where an image was rejected, is the second of
    a number of which the first goes to the same exam, or stands elsewhere than the person saw.
    """
    images = _locked([image_id, *also], exam_id)
    _refuse_if_decided(images, as_seen)
    exam = Exam.objects.get(pk=exam_id)
    candidate = queries.candidate_of(exam)
    for image in images:
        if exam.site_id != image.site_id:
            raise UnknownExam("There is no such exam here.")
        _refuse_second_of_a_number(image)
        _refuse_what_is_gone(image)
    left = recall.recall(images, code=RejectionCode.WRONG_ENTRY, at=at, by=by)
    numbers = _new_numbers(images, left, exam)
    for image in images:
        said = actions.header_of(image)
        wanted = rules.corrections(said, candidate) | numbers[image.pk]
        if fix_anatomy:
            wanted |= rules.anatomy_corrections(said, candidate)
        before, seen = image.exam, recall.seen_by(image, at=at)
        _move(
            image,
            ImageAction.MATCH,
            at=at,
            by=by,
            exam_id=exam.pk,
            corrections=wanted,
            keep_before=image.pk not in left,
        )
        actions.withdraw_deliveries(image_ids=[image.pk], also_sent=True)
        if before is not None and before != exam:
            _tell(image, before, FactKind.IMAGE_MOVED, at=at, by=by, to=exam.accession, seen=seen)
        _tell(image, exam, FactKind.IMAGE_MATCHED, at=at, by=by)
        if wanted:
            _tell(image, exam, FactKind.IMAGE_CORRECTED, at=at, by=by, corrected=sorted(wanted))
        assign_dose(site_id=image.site_id, sop_instance_uid=image.sop_instance_uid, exam=exam)
        _close(image, before, at=at, by=by, how=f"it belongs to exam {exam.accession}")
    return images[0]


def _refuse_if_decided(images: Sequence[Image], as_seen: Mapping[int, str]) -> None:
    """Two people at one image: the later one is told, and decides on what is so now."""
    for image in images:
        if as_seen.get(image.pk, "") not in ("", standing(image)):
            who = image.decided_by.removeprefix("user:") or "Somebody else"
            which = "this image" if image is images[0] else "an image that was ticked"
            raise WrongState(f"{who} decided about {which} meanwhile: it is {image.state}. Look at it again.")


def _new_numbers(images: Sequence[Image], left: Collection[int], exam: Exam) -> dict[int, dict[str, str]]:
    """New numbers for what left, and for series that do not go to the exam as a whole."""
    series = {image.series_instance_uid for image in images if image.series_instance_uid}
    staying = (
        Image.objects.filter(site=images[0].site_id, series_instance_uid__in=series)
        .exclude(pk__in=[image.pk for image in images])
        .exclude(exam=exam, state__in=(ImageState.MATCHED, ImageState.SENT))
        .exclude(state=ImageState.REJECTED)
    )
    changed = {i.series_instance_uid for i in images if i.study_instance_uid != exam.study_instance_uid}
    split = changed & set(staying.values_list("series_instance_uid", flat=True))
    # What was taken back once, and has not left anew yet, never goes under the number that is taken back.
    going = [
        Going(
            image.pk,
            image.series_instance_uid,
            image.pk in left or "SOPInstanceUID" in image.corrections,
        )
        for image in images
    ]
    return new_numbers(going, split_series=split, new_uid=new_uid)


def _refuse_second_of_a_number(image: Image) -> None:
    """Two objects of one SOP Instance UID cannot both go on: the archive would keep only one of them."""
    if _others_going(image).exists():
        raise WrongState(
            "Another image has the same number and goes on already. Reject one of the two, or have it sent anew."
        )


def _others_going(image: Image) -> QuerySet[Image]:
    going = (ImageState.MATCHED, ImageState.SENT, ImageState.HELD)
    return Image.objects.filter(
        site=image.site_id, sop_instance_uid=image.sop_instance_uid, state__in=going
    ).exclude(pk=image.pk)


def _refuse_what_is_gone(image: Image) -> None:
    """What is no longer here cannot go anywhere else."""
    if image.released_at is not None:
        raise WrongState(
            f"The file of this image is no longer here: {image.released_why}. "
            "Have its machine send it once more, then decide."
        )


@transaction.atomic
def reject_image(
    *,
    image_id: int,
    why: str,
    at: datetime,
    by: str,
    code: RejectionCode = RejectionCode.SAFETY,
    also: Collection[int] = (),
    as_seen: Mapping[int, str] = NOT_SAID,
) -> Image:
    """A person says that an image goes nowhere. It stays in the spool, and its dose counts for nobody.

    Whoever has it already is told so, with `code` as the reason; `also` are others rejected with it.

    Raises UnknownImage, and WrongState where an image was rejected already, or stands elsewhere
    than the person saw (`as_seen`).
    """
    images = _locked([image_id, *also])
    _refuse_if_decided(images, as_seen)
    left = recall.recall(images, code=code, at=at, by=by)
    for image in images:
        before, seen = image.exam, recall.seen_by(image, at=at)
        _move(image, ImageAction.REJECT, at=at, by=by, why=why, keep_before=image.pk not in left)
        actions.withdraw_deliveries(image_ids=[image.pk])
        if not _others_going(image).exists():
            assign_dose(site_id=image.site_id, sop_instance_uid=image.sop_instance_uid, exam=None)
        _tell(image, before, FactKind.IMAGE_REJECTED, at=at, by=by, seen=seen)
        _close(image, before, at=at, by=by, how="it was rejected")
    return images[0]


@transaction.atomic
def undo_decision(*, image_id: int, at: datetime, by: str) -> list[Image]:
    """What a person decided about an image, and about others in the same step, is taken back: they wait as before.

    Raises UnknownImage, and WrongState where one of the images, or word of it, has left meanwhile.
    """
    asked = Image.objects.filter(pk=image_id).first()
    together = decided_together(asked) if asked is not None else []
    before = {image.before["exam"] for image in together if image.before and image.before["exam"]}
    images = _locked([image_id, *(one.pk for one in together if one.pk != image_id)], *before)
    for image in images:
        _take_back(image, at=at, by=by)
    return images


def decided_together(image: Image) -> list[Image]:
    """The images of the step in which a person decided about this one, itself too, as long as it can be taken back."""
    if image.before is None:
        return []
    same = Image.objects.filter(
        site=image.site_id, decided_at=image.decided_at, decided_by=image.decided_by, before__isnull=False
    )
    return list(same.order_by("id"))


def _take_back(image: Image, *, at: datetime, by: str) -> None:
    ways = image.deliveries.select_for_update().order_by("id")
    if any(way.may_have_it or way.state == DeliveryState.SENT for way in ways):
        raise WrongState("The image has left. Decide anew: whoever has it is told.")
    _refuse_what_is_gone(image)
    decided = image.exam
    try:
        actions.take_back_decision(image)
    except actions.IllegalImageAction:
        raise WrongState("There is nothing to take back. Look at the page again.") from None
    actions.withdraw_deliveries(image_ids=[image.pk])
    exam = Exam.objects.get(pk=image.exam_id) if image.exam_id else None
    image.exam = exam
    counts = exam if image.state == ImageState.MATCHED else None
    assign_dose(site_id=image.site_id, sop_instance_uid=image.sop_instance_uid, exam=counts)
    for told in {e.pk: e for e in (decided, exam) if e is not None}.values():
        _tell(image, told, FactKind.DECISION_UNDONE, at=at, by=by)
    _ask_a_person(image, exam, at=at)


@transaction.atomic
def release_held(*, exam_id: int, at: datetime, by: str) -> int:
    """A person says that an exam's held images are its own after all: they go on. The number released.

    Raises UnknownExam.
    """
    (exam,) = performing.lock_exams([exam_id])
    held = list(
        Image.objects.select_for_update(of=("self",)).filter(exam=exam, state=ImageState.HELD).order_by("id")
    )
    for image in held:
        _move(image, ImageAction.RELEASE, at=at, by=by)
        assign_dose(site_id=image.site_id, sop_instance_uid=image.sop_instance_uid, exam=exam)
        _tell(image, exam, FactKind.IMAGE_MATCHED, at=at, by=by)
    _close_held(exam, at=at, by=by, how="they belong to the exam")
    return len(held)


@transaction.atomic
def correct_as_known(*, patient_ids: Collection[int], at: datetime) -> int:
    """A patient is known by another name or number now: what has not left of their images goes out as such. The number changed.

    Who was unknown when the image was taken is named in it. What has left, or may have, stays as whoever has it
    knows it: those are told of the patient (ADT), or a person decides about the image anew.
    """
    waiting = Image.objects.filter(
        exam__patient__in=patient_ids, state__in=(ImageState.MATCHED, ImageState.HELD)
    )
    exams = performing.lock_exams(waiting.order_by().values_list("exam", flat=True).distinct())
    changed = 0
    for exam in exams:
        candidate = queries.candidate_of(exam)
        rows = Image.objects.select_for_update(of=("self",)).select_related("exam").filter(exam=exam)
        for image in rows.filter(state__in=(ImageState.MATCHED, ImageState.HELD)).order_by("id"):
            ways = image.deliveries.select_for_update().order_by("id")
            if any(way.may_have_it or way.state == DeliveryState.SENT for way in ways):
                continue
            asked = {k: v for k, v in image.corrections.items() if k in rules.ASKED_FOR}
            wanted = rules.corrections(actions.header_of(image), candidate) | asked
            if wanted != image.corrections:
                actions.keep_corrections(image, wanted)
                _tell(image, exam, FactKind.IMAGE_CORRECTED, at=at, by="rule", corrected=sorted(wanted))
                changed += 1
    return changed


def _locked(image_ids: Collection[int], *exam_ids: int) -> list[Image]:
    """Images in the order given, locked after their exams and those in `exam_ids`, as every step does."""
    keys = list(dict.fromkeys(image_ids))
    claimed = dict(Image.objects.filter(pk__in=keys).values_list("pk", "exam_id"))
    performing.lock_exams({*exam_ids, *(exam_id for exam_id in claimed.values() if exam_id)})
    locked = Image.objects.select_for_update(of=("self",)).select_related("exam", "site")
    images = {image.pk: image for image in locked.filter(pk__in=keys).order_by("id")}
    if len(images) != len(keys):
        raise UnknownImage("There is no such image here.")
    if any(image.exam_id != claimed[key] for key, image in images.items()):
        raise WrongState("Somebody else decided about this image just now. Look at the page again.")
    if len({image.site_id for image in images.values()}) > 1:
        raise UnknownImage("There is no such image here.")
    return [images[key] for key in keys]


def _move(
    image: Image,
    action: ImageAction,
    *,
    at: datetime,
    by: str,
    why: str = "",
    exam_id: int | None = None,
    corrections: dict[str, str] | None = None,
    keep_before: bool = False,
) -> None:
    try:
        actions.move_image(
            image,
            action=action,
            at=at,
            by=by,
            why=why,
            exam_id=exam_id,
            corrections=corrections,
            keep_before=keep_before,
        )
    except actions.IllegalImageAction:
        raise WrongState(
            f"This image is {image.state} already. Look at the page again; somebody else decided."
        ) from None


def _close(image: Image, exam: Exam | None, *, at: datetime, by: str, how: str) -> None:
    """End the image's own item, and that of the held images of the exam it was under, once none is left."""
    not_taken = [delivery_key(way) for way in image.deliveries.order_by("id")]
    for key in (image_key(image), reader_key(image), *not_taken):
        close_items(site_id=image.site_id, key=key, at=at, by=by, how=how)
    if exam is not None:
        _close_held(exam, at=at, by=by, how=how)


def _close_held(exam: Exam, *, at: datetime, by: str, how: str) -> None:
    if not Image.objects.filter(exam=exam, state=ImageState.HELD).exists():
        key = performing.images_held_key(exam.accession)
        close_items(site_id=exam.site_id, key=key, at=at, by=by, how=how)
