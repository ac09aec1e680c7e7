"""What has left under a wrong label is taken back from everybody who has it, and who saw it is written down."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from django.db import transaction

from xraydesk.access.models import RecordRead
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging import actions
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.rejection_rules import Gone, RejectionCode, as_sent, notes
from xraydesk.imaging.states import DeliveryState, KeepingState
from xraydesk.journey.announce import take_back
from xraydesk.journey.turns import defer_delivery

NAMES_KEPT_MAX = 20
"""So many names of those who looked at an exam are written down with a recall; all of them stand in the access log."""


@transaction.atomic
def recall(
    images: Sequence[Image],
    *,
    code: RejectionCode,
    at: datetime,
    by: str,
    as_left: Mapping[int, tuple[dict[str, str], Collection[str]]] | None = None,
) -> set[int]:
    """Tell everybody who has one of these images that it is not to be used any more; the keys of those that had left.

    Inside the transaction that locked the images and before anything of them is changed. The
    rejection notes wait and are sent as images are. `as_left` says under which corrections an
    image left and to whom, where that is not what its row says any more.
    """
    had = as_left or _had(images)
    gone = {
        image.pk: Gone(
            image.pk, as_sent(actions.header_of(image), had[image.pk][0]), tuple(sorted(had[image.pk][1]))
        )
        for image in images
        if had.get(image.pk, ({}, ()))[1]
    }
    by_key = {image.pk: image for image in images}
    for note, destinations in notes(gone.values(), code):
        about = by_key[note.references[0].image_id]
        kept = actions.insert_note(about=about, note=note, destinations=destinations, at=at, by=by)
        gone_there = {one.sop_instance_uid for one in note.references}
        take_back(note=kept, about=about, study=note.study_instance_uid, gone=gone_there, at=at)
        for destination in destinations:
            defer_delivery(site_id=about.site_id, destination=destination)
    for key, one in gone.items():
        _tell(by_key[key], one.destinations, code, at=at, by=by)
    return set(gone)


def _had(images: Sequence[Image]) -> dict[int, tuple[dict[str, str], Collection[str]]]:
    """Who has each image now, or may have it, by its key, with the corrections that it left under.

    Locks their ways out, so that nothing is offered to anybody before what is decided now is so.
    """
    found: dict[int, tuple[dict[str, str], list[str]]] = {i.pk: (dict(i.corrections), []) for i in images}
    for way in Delivery.objects.select_for_update().filter(image__in=list(found)).order_by("id"):
        # Who said that it does not keep an image has had it all the same.
        if way.may_have_it or way.state == DeliveryState.SENT or way.keeping == KeepingState.REFUSED:
            found[way.image_id][1].append(way.destination)
    return {key: (corrections, names) for key, (corrections, names) in found.items()}


def _tell(image: Image, destinations: Collection[str], code: RejectionCode, *, at: datetime, by: str) -> None:
    exam = image.exam
    record(
        site_id=image.site_id,
        kind=FactKind.IMAGE_RECALLED,
        at=at,
        by=by,
        accession=exam.accession if exam else "",
        patient=exam.patient_id if exam else None,
        data={
            "image": image.pk,
            "code": str(code),
            "had": f"sent to {', '.join(destinations)}",
            "seen": seen_by(image, at=at),
        },
        simulated=image.simulated,
    )


def seen_by(image: Image, *, at: datetime) -> str:
    """Who opened the image's exam here since it came, in words; machines of others log their own readers."""
    names = who_saw(image, at=at)
    if not names:
        return "seen by nobody here"
    more = f" and {len(names) - NAMES_KEPT_MAX} more" if len(names) > NAMES_KEPT_MAX else ""
    shown = ", ".join(name.removeprefix("user:") for name in names[:NAMES_KEPT_MAX])
    return f"seen here by {shown}{more}"


def who_saw(image: Image, *, at: datetime) -> list[str]:
    """Who opened the exam that an image is under, or the image, while it was under it."""
    if image.exam is None:
        return []
    since = max((moved_at for _, _, moved_at in moved_from(image)), default=image.received_at)
    return _who_opened(image, image.exam.accession, since, at)


def _who_opened(image: Image, accession: str, since: datetime, until: datetime) -> list[str]:
    reads = RecordRead.objects.filter(site=image.site_id, accession=accession, at__gte=since, at__lte=until)
    return sorted(set(reads.values_list("who", flat=True)))


def moved_from(image: Image) -> list[tuple[str, str, datetime]]:
    """The exams that an image was under before, the first one first: accession number, who saw it there, in words, and until when."""
    facts = Fact.objects.filter(
        site=image.site_id, kind=FactKind.IMAGE_MOVED, at__gte=image.received_at, data__image=image.pk
    )
    return [(f.accession, str(f.data["seen"]), f.at) for f in facts.order_by("at", "id")]


def notes_about(image: Image) -> list[Image]:
    """The rejection notes that speak of an image, the latest first, with their deliveries."""
    found = Image.everything.filter(
        site=image.site_id, note__references__contains=[{"image_id": image.pk}]
    ).prefetch_related("deliveries")
    return list(found.order_by("-received_at", "-id"))
