"""Asking an EHR what changed since it was asked last, page by page, and taking that in; each version of a thing once."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.lib import clock
from xraydesk.lib.text import shortened
from xraydesk.links.ehr import counterparts, take
from xraydesk.links.ehr.searchset_codec import (
    NotASearchset,
    first_search,
    id_of,
    read_page,
    remote_id,
    search_url,
    updated_at,
)
from xraydesk.links.ehr.session import Session
from xraydesk.links.models import Fetching
from xraydesk.links.outgoing.send import SILENT_MAX, is_paused
from xraydesk.links.outgoing.wire import Later, NoAnswer
from xraydesk.siteplan.link_plan import EhrPlan, Pulls
from xraydesk.siteplan.reading import from_json

log = structlog.get_logger(__name__)

PAGES_AT_ONCE_MAX = 50
"""After so many pages others are asked; the next time it goes on where it was."""

OVERLAP = timedelta(minutes=2)
"""So much is asked for again: what was committed there late has an earlier time than what was fetched already."""

WHY_LENGTH_MAX = 300
ORDER = (Pulls.PATIENTS, Pulls.COVERAGES, Pulls.REQUESTS)


def fetch(*, site_id: int, ehr: str) -> None:
    """Fetch what changed at one EHR; what hinders one type does not hinder the others."""
    site = Site.objects.get(pk=site_id)
    plans = {one.name: one for one in from_json(site.plan).ehrs} if site.plan else {}
    plan = plans.get(ehr)
    if plan is None or is_paused(site, ehr):
        return
    session = Session(plan)
    for kind in ORDER:
        if kind in plan.pulls and not _is_left_alone(site, ehr):
            _fetch_kind(site, plan, kind, session)


def _is_left_alone(site: Site, ehr: str) -> bool:
    """Whether the EHR asked to be asked nothing for a while (Retry-After), and the while is not over."""
    return Fetching.objects.filter(site=site, ehr=ehr, left_alone_until__gt=clock.now()).exists()


def _fetch_kind(site: Site, ehr: EhrPlan, kind: Pulls, session: Session) -> None:
    row, _ = Fetching.objects.get_or_create(site=site, ehr=ehr.name, kind=kind)
    if row.since is None and kind is not Pulls.REQUESTS:
        # Who is known here is looked up when their order comes; what changed before that is in it.
        row.since = clock.now()
    try:
        asked = {row.further}
        for _ in range(PAGES_AT_ONCE_MAX):
            if not _read_page(site, ehr, kind, session, row):
                break
            if row.further in asked:
                row.further, row.latest = "", None
                raise NoAnswer("its pages lead back to one that was read already")
            asked.add(row.further)
    except OSError as away:
        if isinstance(away, Later) and away.seconds_min:
            row.left_alone_until = clock.now() + timedelta(seconds=away.seconds_min)
        _failed(row, ehr, shortened(away.strerror or str(away) or type(away).__name__, WHY_LENGTH_MAX))
        return
    _answered(row, ehr)


def _read_page(site: Site, ehr: EhrPlan, kind: Pulls, session: Session, row: Fetching) -> bool:
    """Take one page in; True where there is another. Raises OSError."""
    since = row.since - OVERLAP if row.since else None
    narrowed = ehr.pulls[kind] if since or kind is not Pulls.REQUESTS else first_search(ehr.pulls[kind])
    url = row.further or search_url(ehr.base, kind, narrowed=narrowed, since=since)
    try:
        page = read_page(session.get(url), here=url)
    except (NotASearchset, NoAnswer) as bad:
        if isinstance(bad, Later) and bad.seconds_min:
            raise
        # A page may be kept there for a while only: the next time it begins anew, and takes nothing twice.
        row.further, row.latest = "", None
        raise NoAnswer(str(bad)) from None
    for resource in page.resources:
        if resource.get("resourceType") != kind:
            continue
        one = take.Fetched(site, ehr, kind, resource)
        _take(one, session)
        told = updated_at(resource)
        if told is not None and (row.latest is None or told > row.latest):
            row.latest = told
    row.further = page.further
    if not page.further:
        row.since, row.latest = max(row.since or row.latest, row.latest) if row.latest else row.since, None
    row.save(update_fields=["since", "latest", "further"])
    return bool(page.further)


def _take(one: take.Fetched, session: Session) -> None:
    if one.remote_id and not take.is_new(one):
        return
    if not take.is_of_somebody_known(one):
        return
    if one.kind is Pulls.REQUESTS:
        _fetch_whose(one, session)
    take.take_in(one, at=clock.now())


def _fetch_whose(one: take.Fetched, session: Session) -> None:
    """An order names its patient by the EHR's id: where they never came, or could not be read, they and who pays for them are read first. Raises OSError."""
    told = one.resource.get("subject")
    remote = remote_id(told.get("reference") if isinstance(told, dict) else None, "Patient", one.ehr.base)
    known = counterparts.of_remote(one.site, one.ehr.name, Pulls.PATIENTS, remote) if remote else None
    if not remote or (known is not None and known.key is not None):
        return
    patient = session.get(f"{one.ehr.base}/Patient/{remote}")
    if not isinstance(patient, dict) or id_of(patient) != remote:
        raise NoAnswer("it answers another patient than was asked for")
    take.take_in(take.Fetched(one.site, one.ehr, Pulls.PATIENTS, patient), at=clock.now())
    if Pulls.COVERAGES in one.ehr.pulls:
        url = f"{one.ehr.base}/Coverage?patient={remote}"
        try:
            page = read_page(session.get(url), here=url)
        except NotASearchset as bad:
            raise NoAnswer(str(bad)) from None
        for resource in page.resources:
            if resource.get("resourceType") == Pulls.COVERAGES:
                _take(take.Fetched(one.site, one.ehr, Pulls.COVERAGES, resource), session)


def silent_key(ehr: str, kind: str) -> str:
    """The key of the item about an EHR that does not answer."""
    return f"ehr:{ehr}:{kind}"


def _failed(row: Fetching, ehr: EhrPlan, why: str) -> None:
    at = clock.now()
    row.failing_since = row.failing_since or at
    row.why = why
    with transaction.atomic():
        row.save(update_fields=["since", "latest", "further", "left_alone_until", "failing_since", "why"])
        if row.failing_since < at - SILENT_MAX:
            raise_item(
                site_id=row.site_id,
                kind=ItemKind.MESSAGE_NOT_SENT,
                key=silent_key(ehr.name, row.kind),
                at=at,
                text=f"{ehr.name} gives no {row.kind} since ten minutes and more ({why}). Orders that are made "
                "there meanwhile come once it answers: see that it runs and lets the desk in.",
            )
    log.info("an EHR was not read", ehr=ehr.name, kind=row.kind)


def _answered(row: Fetching, ehr: EhrPlan) -> None:
    at = clock.now()
    row.answered_at, row.failing_since, row.why = at, None, ""
    with transaction.atomic():
        row.save(update_fields=["since", "latest", "further", "answered_at", "failing_since", "why"])
        close_items(
            site_id=row.site_id,
            key=silent_key(ehr.name, row.kind),
            at=at,
            by="rule",
            how="it answers again",
        )


def worst_of(site: Site, ehr: str) -> tuple[datetime | None, datetime | None, str]:
    """When an EHR answered last, since when it fails, and why; of the type that fares worst."""
    found = list(Fetching.objects.filter(site=site, ehr=ehr))
    failing = sorted((r for r in found if r.failing_since), key=lambda r: r.failing_since or clock.now())
    answered = max((r.answered_at for r in found if r.answered_at), default=None)
    return answered, failing[0].failing_since if failing else None, failing[0].why if failing else ""


def last_call(site: Site, ehr: str) -> datetime | None:
    """When an EHR called last because something had changed there; None where it never did."""
    found: datetime | None = Fetching.objects.filter(site=site, ehr=ehr).aggregate(last=Max("called_at"))[
        "last"
    ]
    return found
