"""The only writers of studies to compare with. Call inside a transaction."""

from __future__ import annotations

from datetime import datetime

from xraydesk.imaging.models import Prior
from xraydesk.imaging.prior_rules import TRANSITIONS, PriorState, Relevant
from xraydesk.orders.models import Exam


class IllegalPriorAction(Exception):
    """The study does not stand so that this can be said of it."""


ASKED_BY_A_PERSON = (PriorState.CHASED, PriorState.NOT_TO_BE_HAD)


def put_prior(*, exam: Exam, relevant: Relevant, state: PriorState, where: str, at: datetime) -> bool:
    """Keep what is known of one study; True where it is new. What a person said stands until it is there."""
    study = relevant.study
    prior, made = Prior.objects.get_or_create(
        exam=exam,
        study_instance_uid=study.study_instance_uid,
        defaults={
            "site_id": exam.site_id,
            "accession": study.accession,
            "words": study.words[:120],
            "performed_on": study.looked.on,
            "relevance": relevant.why[:80],
            "state": state,
            "where": where[:120],
            "changed_at": at,
        },
    )
    if not made:
        stand(prior, state=state, where=where, at=at)
    return made


def stand(prior: Prior, *, state: PriorState, where: str, at: datetime) -> bool:
    """How it stands with a study now, and where it is or why it is not; True where that is new.

    What a person said of a missing one stands until it is there.
    """
    if prior.state in ASKED_BY_A_PERSON and state is not PriorState.THERE:
        return False
    if (prior.state, prior.where) == (state, where[:120]):
        return False
    prior.state, prior.where, prior.changed_at = state, where[:120], at
    prior.save()
    return True


def insert_wanted(*, exam: Exam, words: str, of: str, at: datetime, by: str) -> Prior:
    """A study elsewhere that a person asks for."""
    return Prior.objects.create(
        site_id=exam.site_id,
        exam=exam,
        words=words,
        relevance="asked for",
        state=PriorState.CHASED,
        where="elsewhere",
        chased_by=by,
        chased_of=of,
        changed_at=at,
    )


def move_prior(prior: Prior, *, action: str, of: str, at: datetime, by: str) -> None:
    """Take it from one state to the next. Raises IllegalPriorAction where that is not possible."""
    state = TRANSITIONS.get((PriorState(prior.state), action))
    if state is None:
        raise IllegalPriorAction
    prior.state, prior.changed_at = state, at
    if state is PriorState.CHASED:
        prior.chased_by, prior.chased_of = by, of
    prior.save()


def put_unasked(*, exam: Exam, words: str, why: str, at: datetime) -> None:
    """Say beside an exam that an archive could not be asked for what it has."""
    Prior.objects.update_or_create(
        exam=exam,
        study_instance_uid="",
        words=words,
        defaults={
            "site_id": exam.site_id,
            "relevance": "not known",
            "state": PriorState.MISSING,
            "where": why[:120],
            "changed_at": at,
        },
    )


def forget_study(*, site_id: int, study_instance_uid: str) -> int:
    """A study is not to be compared with any more; the number of exams that it stood beside."""
    count, _ = Prior.objects.filter(site=site_id, study_instance_uid=study_instance_uid).delete()
    return count
