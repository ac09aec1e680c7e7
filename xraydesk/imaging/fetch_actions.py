"""The only writers of studies that are fetched to be compared with. Call inside a transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from xraydesk.imaging.fetch_rules import FETCH_TRANSITIONS, FetchAction, FetchState
from xraydesk.imaging.models import FetchedStudy, Image
from xraydesk.orders.models import Exam


class IllegalFetchAction(Exception):
    """The study does not stand so that this can happen to it."""


def insert_fetch(
    *, exam: Exam, study_instance_uid: str, archive: str, destination: str, at: datetime
) -> FetchedStudy:
    """A study that is to be fetched."""
    return FetchedStudy.objects.create(
        site_id=exam.site_id,
        exam=exam,
        study_instance_uid=study_instance_uid,
        archive=archive,
        destination=destination,
        asked_at=at,
        next_at=at,
    )


def move_fetch(
    fetch: FetchedStudy,
    *,
    action: FetchAction,
    at: datetime,
    why: str = "",
    wait_seconds: int = 0,
    left: int = 0,
) -> None:
    """Take it from one state to the next. Raises IllegalFetchAction where that is not possible."""
    state = FETCH_TRANSITIONS.get((FetchState(fetch.state), action))
    if state is None:
        raise IllegalFetchAction(f"a study that is {fetch.state} cannot be given: {action}")
    fetch.state, fetch.why = state, why[:120]
    if action in (FetchAction.TRY_AGAIN, FetchAction.GIVE_UP):
        fetch.attempts += 1
        fetch.next_at = at + timedelta(seconds=wait_seconds)
    if action is FetchAction.HAND_ON:
        fetch.left = left
    if state in (FetchState.THERE, FetchState.GIVEN_UP):
        fetch.ended_at = at
    fetch.save()


def forget_objects(fetch: FetchedStudy, *, keys: Collection[int]) -> None:
    """Drop the rows of what came of a study that is not sent on; whoever deletes the files does so after that is committed."""
    Image.everything.filter(fetched=fetch, pk__in=list(keys)).delete()
