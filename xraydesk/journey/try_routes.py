"""Rules of routing tried on a day that was, before they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from xraydesk.access.models import Site
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.route_rules import Gone, Otherwise, elsewhere
from xraydesk.imaging.states import DeliveryState, ImageState
from xraydesk.journey.load_site import load_site
from xraydesk.journey.routed import routed_exams
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.route_text import with_rules

EXAMS_TRIED_MAX = 5000
"""More exams of one day than these are not looked at."""


@dataclass(frozen=True)
class Tried:
    """What rules would have made of a day: how many exams had images, and which would have gone elsewhere."""

    day: date
    exams: int
    otherwise: tuple[Otherwise, ...]


def try_plan(*, site: Site, plan: SitePlan, day: date, at: datetime) -> Tried:
    """Which exams whose images came on a local day would go elsewhere under a plan than they went. Changes nothing."""
    gone = gone_on(site=site, day=day, at=at)
    return Tried(day, len(gone), tuple(elsewhere(gone, plan)))


def gone_on(*, site: Site, day: date, at: datetime) -> list[Gone]:
    """The exams whose images came on a local day and went on, or are about to, in the order they came.

    One whose images were sent and of which nothing says where to (as on the invented days of a demonstration) is left
    out: nobody can tell whether it would go elsewhere. So is one of today whose images wait for their exam to end.
    """
    first, after = clock.day_bounds(day, site.timezone)
    images = (
        Image.objects.filter(
            site=site,
            received_at__gte=first,
            received_at__lt=after,
            state__in=(ImageState.MATCHED, ImageState.SENT),
            exam__isnull=False,
        )
        .exclude(modality="DOC", calling_ae_title=site.ae_title)
        .order_by("id")
        .values_list("exam", "modality", "state")
    )
    modalities: dict[int, dict[str, None]] = {}
    sent: set[int] = set()
    for exam_id, modality, state in images:
        if state == ImageState.SENT:
            sent.add(exam_id or 0)
        if exam_id in modalities or len(modalities) < EXAMS_TRIED_MAX:
            modalities.setdefault(exam_id or 0, {})[modality] = None
    went: dict[int, set[str]] = {}
    ways = Delivery.objects.filter(image__exam__in=list(modalities), image__fetched=None).exclude(
        state=DeliveryState.WITHDRAWN
    )
    for exam_id, destination in ways.values_list("image__exam", "destination").distinct():
        went.setdefault(exam_id or 0, set()).add(destination)
    exams = Exam.objects.filter(pk__in=list(modalities)).select_related("site", "order").in_bulk()
    routed = routed_exams(exams.values(), at=first)
    return [
        Gone(exams[key].accession, routed[key], tuple(modalities[key]), frozenset(went.get(key, ())))
        for key in modalities
        if key in went or (key not in sent and after <= at)
    ]


def day_to_try(*, site: Site, at: datetime) -> date:
    """The day before, or today where nothing says where the images of the day before went."""
    today = clock.local_day(at, site.timezone)
    first, after = clock.day_bounds(today - timedelta(days=1), site.timezone)
    went = Delivery.objects.filter(
        site=site, image__received_at__gte=first, image__received_at__lt=after, image__fetched=None
    )
    return today - timedelta(days=1) if went.exists() else today


def save_rules(*, site: Site, text: str, at: datetime, by: str) -> list[str]:
    """Keep the rules of a text with the site, as loading its file with them would; the lines that tell what changed.

    Raises SiteFileErrors where the text is wrong, and what `load_site` raises.
    """
    plan = with_rules(text, from_json(site.plan))
    return load_site(plan=plan, at=at, by=by, simulated=site.simulated)
