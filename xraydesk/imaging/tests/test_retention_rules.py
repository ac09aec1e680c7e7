"""Which files of images stay, till when and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import AT
from xraydesk.imaging.retention_rules import (
    FREE_BYTES_WARN,
    Kept,
    RetentionPolicy,
    Standing,
    Way,
    percent_used,
    room_in_words,
    safe_since,
    where_it_is,
    why_kept,
)
from xraydesk.imaging.states import DeliveryState, ImageState, KeepingState

POLICY = RetentionPolicy(days=30, unpromised_hours=24)
LONG_AGO = AT - timedelta(days=40)
LATELY = AT - timedelta(days=20)
JUST = AT - timedelta(hours=23)
SENT = Way("PACS", DeliveryState.SENT, sent_at=LONG_AGO)
PROMISED = replace(SENT, commits=True, keeping=KeepingState.COMMITTED, kept_at=LONG_AGO)
OLD = Standing(ImageState.SENT, LONG_AGO, (SENT, PROMISED))


@pytest.mark.parametrize(
    ("way", "since"),
    [
        (SENT, LONG_AGO),
        (replace(SENT, sent_at=JUST), None),
        (replace(SENT, commits=True), None),
        (replace(SENT, commits=True, keeping=KeepingState.ASKED), None),
        (replace(SENT, commits=True, keeping=KeepingState.NOT_KEPT), None),
        (PROMISED, LONG_AGO),
        (replace(PROMISED, keeping=KeepingState.WAIVED, kept_at=JUST), JUST),
        (replace(SENT, is_gone=True), None),
        (replace(PROMISED, is_gone=True), LONG_AGO),
        (replace(SENT, state=DeliveryState.WAITING), None),
        (replace(PROMISED, state=DeliveryState.FAILED), None),
        (Way("PACS", DeliveryState.SENT), None),
    ],
)
def test_an_image_is_safe_where_it_was_promised_or_was_taken_some_time_ago(way, since) -> None:
    assert safe_since(way, POLICY, at=AT) == since


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        (replace(OLD, state=ImageState.QUARANTINED), Kept.UNDECIDED),
        (replace(OLD, state=ImageState.HELD), Kept.UNDECIDED),
        (replace(OLD, state=ImageState.MATCHED), Kept.NOT_SENT),
        (replace(OLD, ways=(SENT, replace(SENT, commits=True))), Kept.NOT_SAFE),
        (replace(OLD, ways=(replace(SENT, state=DeliveryState.WAITING),)), Kept.NOT_SAFE),
        (replace(OLD, ways=()), Kept.NOWHERE),
        (replace(OLD, ways=(replace(SENT, state=DeliveryState.WITHDRAWN),)), Kept.NOWHERE),
        (replace(OLD, ways=(replace(SENT, is_nameless=True),)), Kept.NOWHERE),
        (replace(OLD, ways=(SENT, replace(SENT, is_nameless=True))), Kept.MAY_GO),
        (replace(OLD, is_asked_about=True), Kept.ASKED_ABOUT),
        (replace(OLD, waits_for_priors=True), Kept.PRIORS),
        (replace(OLD, since=LATELY), Kept.DAYS),
        (replace(OLD, ways=(SENT, replace(PROMISED, kept_at=LATELY))), Kept.DAYS),
        (OLD, Kept.MAY_GO),
        (replace(OLD, ways=(SENT, replace(SENT, state=DeliveryState.WITHDRAWN))), Kept.MAY_GO),
        (Standing(ImageState.REJECTED, LONG_AGO, (replace(SENT, commits=True),)), Kept.MAY_GO),
        (Standing(ImageState.REJECTED, LATELY), Kept.DAYS),
        (
            Standing(ImageState.SENT, AT, (replace(SENT, sent_at=AT, commits=True),), is_passing=True),
            Kept.MAY_GO,
        ),
        (Standing(ImageState.MATCHED, LONG_AGO, is_passing=True), Kept.NOT_SENT),
    ],
)
def test_the_first_reason_that_holds_keeps_a_file(standing: Standing, why: Kept) -> None:
    assert why_kept(standing, POLICY, at=AT) is why


def test_files_stay_for_ever_where_the_site_says_so() -> None:
    assert why_kept(OLD, replace(POLICY, days=0), at=AT) is Kept.DAYS


def test_where_an_image_is_that_is_no_longer_here_is_told_in_words() -> None:
    ways = (
        replace(SENT, destination="WS"),
        SENT,
        replace(SENT, destination="X", state=DeliveryState.WITHDRAWN),
    )
    assert where_it_is(ImageState.SENT, ways) == "it is safe at PACS and WS"
    assert where_it_is(ImageState.REJECTED, ways) == "it was rejected, and goes nowhere"


@pytest.mark.parametrize(
    ("used", "free", "limit", "begins"),
    [
        (10, FREE_BYTES_WARN, 0, ""),
        (10, FREE_BYTES_WARN - 1, 0, "The disk that images are kept on has 1"),
        (79_999_999_999, FREE_BYTES_WARN, 100, ""),
        (80_000_000_000, FREE_BYTES_WARN, 100, "The files of images take 80 % of the 100 GB"),
        (100_000_000_000, 0, 100, "The files of images take all of the 100 GB"),
    ],
)
def test_room_that_runs_short_is_told(used: int, free: int, limit: int, begins: str) -> None:
    said = room_in_words(used, free, gigabytes_max=limit, warn_percent=80)
    assert said.startswith(begins)
    assert bool(said) == bool(begins)
    assert percent_used(used, gigabytes_max=limit) == (used // 1_000_000_000 if limit else 0)
