"""What machines asked of the worklist and were answered: the newest of each, for whoever looks for an exam there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.expressions import RawSQL

from xraydesk.access.models import Site
from xraydesk.links.models import WorklistQuery

QUERIES_OF_A_STATION_MAX = 20
"""Different queries that are kept of one AE title; one sent again is counted, not kept twice."""
KEPT_DAYS = 7
KEYS_BYTES_MAX = 16_384
"""Of a query that is longer than this no keys are kept."""
LISTED_MAX = 200
"""Of an answer, the accession numbers of so many exams are kept."""


_EARLIER = """
    CASE WHEN accessions = %s::varchar[] THEN earlier ELSE (array(
        SELECT told FROM unnest(accessions || earlier) WITH ORDINALITY AS kept (told, place)
        WHERE told <> ALL (%s::varchar[]) GROUP BY told ORDER BY min(place) LIMIT %s
    )) END"""
"""What a station was told of before, without what it is told now."""


@dataclass(frozen=True)
class Answered:
    """What a machine was answered: the final status (PS3.4 table K.4-2), why, how many exams and which, the first ones."""

    status: int
    comment: str = ""
    count: int = 0
    accessions: tuple[str, ...] = ()


def keep(
    *, site: Site, calling_ae: str, address: str, keys: Mapping[str, Any], answered: Answered, at: datetime
) -> None:
    """Write down a query and its answer; the oldest of the station goes where there are too many.

    What is written is a help for people and may be lost with the power: nobody waits for the disk.
    """
    text = json.dumps(keys, sort_keys=True)
    kept = keys if len(text) <= KEYS_BYTES_MAX else {}
    digest = hashlib.sha256(text.encode()).hexdigest()
    told = {
        "address": address,
        "at": at,
        "status": answered.status,
        "comment": answered.comment[:64],
        "answered": answered.count,
        "accessions": [*answered.accessions[:LISTED_MAX]],
    }
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        mine = WorklistQuery.objects.filter(site=site, calling_ae=calling_ae)
        gone = RawSQL(_EARLIER, (told["accessions"], told["accessions"], LISTED_MAX))  # noqa: S611 - a constant text, every value beside it
        if mine.filter(sha256=digest).update(**told, earlier=gone, times=F("times") + 1):
            return
        row = WorklistQuery(site=site, calling_ae=calling_ae, sha256=digest, keys=kept, first_at=at, **told)
        WorklistQuery.objects.bulk_create([row], ignore_conflicts=True)
        newest = mine.order_by("-at", "-id").values("pk")[:QUERIES_OF_A_STATION_MAX]
        mine.exclude(pk__in=newest).delete()


def of_station(*, site: Site, calling_ae: str, at: datetime) -> list[WorklistQuery]:
    """What a machine asked lately, the newest first."""
    return [
        *WorklistQuery.objects.filter(
            site=site, calling_ae=calling_ae, at__gt=at - timedelta(days=KEPT_DAYS)
        ).order_by("-at", "-id")[:QUERIES_OF_A_STATION_MAX]
    ]


TOLD_WITHIN_HOURS = 12
"""A machine that asked for its worklist in so long was told by it what it does."""


def was_told(*, site: Site, accession: str, at: datetime) -> dict[str, bool]:
    """For each machine that asked for its worklist lately: whether it was told of an exam, now or before.

    A machine whose answers were longer than what is kept of them is left out.
    """
    lately = WorklistQuery.objects.filter(site=site, at__gt=at - timedelta(hours=TOLD_WITHIN_HOURS))
    found: dict[str, bool] = {}
    for row in lately.only("calling_ae", "accessions", "earlier", "answered"):
        told = accession in row.accessions or accession in row.earlier
        if told or (row.answered <= LISTED_MAX and len(row.earlier) < LISTED_MAX):
            found[row.calling_ae] = found.get(row.calling_ae, False) or told
    return found


def forget_old(*, at: datetime) -> int:
    """Delete what is older than it is kept; how many."""
    return WorklistQuery.objects.filter(at__lte=at - timedelta(days=KEPT_DAYS)).delete()[0]
