"""What pictures look like: kept as images come, learnt from once their exams were read, and said where one looks wrong.

Only a site's own images teach it, and only confirmed ones: sent, read, and of no reader's doubt. Off unless
the site file says otherwise. What a picture looks like never holds an image by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from xraydesk.access.models import Site
from xraydesk.imaging import actions
from xraydesk.imaging.anatomy_rules import in_words, parts_named
from xraydesk.imaging.models import Image, PartModel, SeenPicture
from xraydesk.imaging.states import ImageState
from xraydesk.journey.errors import Refused
from xraydesk.journey.policy import policies_of
from xraydesk.orders.models import Exam
from xraydesk.quality.models import Feedback
from xraydesk.quality.reasons import FeedbackReason
from xraydesk.results.models import Report

PICTURES_KEPT_MAX = 2000
"""Of each part no more are kept."""

PICTURES_AT_ONCE_MAX = 50


class NotEnoughPictures(Refused):
    """There are not enough confirmed images to learn from yet."""


def part_ordered(exam: Exam) -> str:
    """The part that an exam is of, in plain words; "" where it is not known."""
    return in_words(parts_named(exam.procedure.body_part)) if exam.procedure else ""


def to_look_at(exam: Exam) -> list[Image]:
    """Images of an exam that are to be looked at before they go on; none unless the site file says so."""
    if not policies_of(exam.site).look_at_pictures:
        return []
    waiting = Image.objects.filter(exam=exam, state=ImageState.MATCHED, seen_picture=None)
    return list(waiting.exclude(path="").exclude(modality="SR").order_by("id")[:PICTURES_AT_ONCE_MAX])


def keep_look(image: Image, *, features: bytes, exam: Exam, at: datetime) -> None:
    """Keep what an image of an exam looks like."""
    actions.keep_picture(image, part=part_ordered(exam), features=features, at=at)


def confirmed(site: Site) -> QuerySet[SeenPicture]:
    """What may be learnt from: of images that were sent and read and that no reader doubts, the latest first."""
    read = Report.objects.filter(site=site, read_at__isnull=False).values("exam")
    doubted = Feedback.objects.filter(site=site, reason=FeedbackReason.WRONG_LABEL, withdrawn_at=None)
    found = SeenPicture.objects.filter(site=site, image__state=ImageState.SENT, image__exam__in=read)
    return found.exclude(part="").exclude(image__exam__in=doubted.values("exam")).order_by("-at", "-id")


def counts(site: Site) -> dict[str, int]:
    """How many confirmed images there are of each part."""
    return dict(sorted(Counter(confirmed(site).values_list("part", flat=True)).items()))


def learn_parts(*, site: Site, at: datetime, by: str) -> PartModel | None:
    """Learn anew from what is confirmed, of each part the latest; None where there is not enough of it (any more).

    Nothing is locked while it learns. What is more than PICTURES_KEPT_MAX of a part goes first, so that no more is read.
    """
    from xraydesk.imaging.gross_part import NotEnough, learn, read_features

    with transaction.atomic():
        for part in counts(site):
            actions.forget_pictures(site=site, part=part, keep_max=PICTURES_KEPT_MAX)
    rows = confirmed(site).values_list("part", "features")
    try:
        model, calibration = learn([(part, read_features(bytes(kept))) for part, kept in rows])
    except NotEnough:
        return None
    with transaction.atomic():
        return actions.keep_part_model(
            site=site, model=model.as_json(), calibration=asdict(calibration), at=at, by=by
        )


def latest_model(site: Site) -> PartModel | None:
    """What was learnt last; None before that."""
    return PartModel.objects.filter(site=site).order_by("-made_at", "-id").first()


def look_like_others(exam: Exam, images: Iterable[Image]) -> dict[int, str]:
    """The images that look like another part than was ordered, by key, each with that part; none where pictures are not looked at."""
    kept = latest_model(exam.site) if policies_of(exam.site).look_at_pictures else None
    if kept is None:
        return {}
    from xraydesk.imaging.gross_part import looks_like_another, model_of_json, read_features

    model, ordered = model_of_json(kept.model), part_ordered(exam)
    seen = SeenPicture.objects.filter(image__in=[image.pk for image in images])
    found = {
        one.image_id: looks_like_another(model, read_features(bytes(one.features)), ordered) for one in seen
    }
    return {key: part for key, part in found.items() if part}
