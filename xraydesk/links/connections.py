"""Who calls over DICOM and what became of it, checks that people asked for, machines' clocks, and who was let in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from xraydesk.access.models import Site
from xraydesk.journey.errors import Refused
from xraydesk.links.models import AllowedCaller, ConnectionCheck, DicomCall, MachineClock

CALLS_KEPT_MAX = 500
"""Rows of calls a site keeps; the ones that were heard of the longest ago go first."""
CHECKS_OF_A_CONNECTION_MAX = 50
KEPT_DAYS = 90


@dataclass(frozen=True)
class Caller:
    """One kind of call: who, whom, from where, and what became of it."""

    calling_ae: str
    called_ae: str
    address: str
    outcome: str


def count_calls(*, site: Site, calls: Mapping[Caller, int], at: datetime) -> None:
    """Add calls to what is kept of a site."""
    is_new = False
    with transaction.atomic():
        for call, times in sorted(calls.items(), key=lambda pair: str(pair[0])):
            key = {
                "site": site,
                "calling_ae": call.calling_ae[:16],
                "called_ae": call.called_ae[:16],
                "address": call.address[:64],
                "outcome": call.outcome,
            }
            if DicomCall.objects.filter(**key).update(at=at, times=F("times") + times):
                continue
            is_new = True
            DicomCall.objects.bulk_create(
                [DicomCall(**key, first_at=at, at=at, times=times)], ignore_conflicts=True
            )
        if is_new:
            mine = DicomCall.objects.filter(site=site)
            kept = mine.order_by("-at", "-id").values("pk")[:CALLS_KEPT_MAX]
            mine.exclude(pk__in=kept).delete()


def keep_check(
    *, site: Site, ae_title: str, where: str, reached: bool, echoed: bool, said: str, at: datetime, by: str
) -> ConnectionCheck:
    """Write down how a check went; of one connection the newest are kept."""
    with transaction.atomic():
        check = ConnectionCheck.objects.create(
            site=site,
            ae_title=ae_title,
            where=where,
            at=at,
            by=by,
            reached=reached,
            echoed=echoed,
            said=said[:300],
        )
        mine = ConnectionCheck.objects.filter(site=site, ae_title=ae_title)
        kept = mine.order_by("-at", "-id").values("pk")[:CHECKS_OF_A_CONNECTION_MAX]
        mine.exclude(pk__in=kept).delete()
    return check


def told_time_of(*, site: Site, ae_title: str, told: datetime, at: datetime, samples_max: int) -> None:
    """A machine told a time that is now, by its clock: keep how far that is from ours."""
    with transaction.atomic():
        MachineClock.objects.bulk_create(
            [MachineClock(site=site, ae_title=ae_title, at=at)], ignore_conflicts=True
        )
        clock = MachineClock.objects.select_for_update().get(site=site, ae_title=ae_title)
        clock.ahead_seconds = [*clock.ahead_seconds, (told - at).total_seconds()][-samples_max:]
        clock.at = at
        clock.save(update_fields=["ahead_seconds", "at"])


def let_in(*, site: Site, call_id: int, at: datetime, by: str) -> AllowedCaller:
    """Let somebody in who called and was refused: from now on that AE title may do what the site's machines may.

    Raises Refused where the call was not refused for its AE title, or is not kept any more.
    """
    with transaction.atomic():
        call = DicomCall.objects.filter(site=site, pk=call_id, outcome="CALLING_UNKNOWN").first()
        if call is None:
            raise Refused("That call is not kept any more, or it was not refused for its AE title.")
        if not call.calling_ae:
            raise Refused("That machine gave no AE title: enter one there, and let it call again.")
        caller, _ = AllowedCaller.objects.get_or_create(
            site=site, ae_title=call.calling_ae, ended_at=None, defaults={"at": at, "by": by}
        )
    return caller


def keep_out(*, site: Site, caller_id: int, at: datetime, by: str) -> str:
    """Take that back and say whom it was: what was sent stays, and from now on the caller is refused again.

    Raises Refused where nobody was let in so.
    """
    caller = AllowedCaller.objects.filter(site=site, pk=caller_id).first()
    if caller is None:
        raise Refused("Nobody was let in so.")
    AllowedCaller.objects.filter(pk=caller_id, ended_at=None).update(ended_at=at, ended_by=by)
    return caller.ae_title


def forget_old(*, at: datetime) -> None:
    """Delete calls and checks that are older than they are kept."""
    DicomCall.objects.filter(at__lte=at - timedelta(days=KEPT_DAYS)).delete()
    ConnectionCheck.objects.filter(at__lte=at - timedelta(days=KEPT_DAYS)).delete()
