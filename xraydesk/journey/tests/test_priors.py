"""Earlier studies beside an exam: found at booking and on arrival, told where they are, and asked for where missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection

from tests.factories import AT, make_booking, make_exam, make_patient
from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, Image, Prior
from xraydesk.imaging.states import StepState
from xraydesk.journey import route
from xraydesk.journey.errors import WrongState
from xraydesk.journey.priors import UnknownPrior, look_for_priors, move_prior, want_prior
from xraydesk.journey.tests.performing import begun, facts, header, received, site_with_pacs, told
from xraydesk.orders.models import Exam
from xraydesk.reactions.table import REACTIONS
from xraydesk.siteplan.reading import from_json, to_json

pytestmark = pytest.mark.django_db
BEFORE = AT - timedelta(days=90)


def done_before(site: Site, patient, *, images: int = 1, code: str = "XRKNEE2", **fields) -> Exam:
    exam = make_exam(site, patient=patient, code=code, **fields)
    uid = begun(site, exam, at=BEFORE)
    for _ in range(images):
        received(site, header(exam), at=BEFORE)
    told(site, uid, StepState.COMPLETED, at=BEFORE)
    return exam


def sent(exam: Exam) -> None:
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    for delivery in Delivery.objects.filter(image__exam=exam):
        route.record_sent(delivery_id=delivery.pk, at=AT)


def beside(exam: Exam) -> list[tuple[str, str, str, str]]:
    look_for_priors(exam_id=exam.pk, at=AT)
    rows = Prior.objects.filter(exam=exam).order_by("id")
    return [(p.accession, p.relevance, p.state, p.where) for p in rows]


def test_what_was_done_before_is_found_with_where_it_is_or_why_it_cannot_be_seen() -> None:
    site = site_with_pacs()
    patient = make_patient(site)
    there = done_before(site, patient, laterality="L", images=2)
    sent(there)
    coming = done_before(site, patient, laterality="R")
    bare = done_before(site, patient, images=0, laterality="B")
    done_before(site, patient, code="XRCHEST2")
    done_before(site, make_patient(site), laterality="L")
    make_exam(site, patient=patient, code="XRKNEE2")
    exam = make_exam(site, patient=patient, code="XRKNEE2", laterality="L")
    make_booking(exam, start=AT + timedelta(days=1))
    assert sorted(beside(exam)) == sorted(
        [
            (there.accession, "the same part", "there", "PACS"),
            (bare.accession, "the same part", "missing", "no image of it came here"),
            (coming.accession, "the other side", "coming", "images of it are on their way"),
        ]
    )
    Image.objects.filter(exam=coming).update(state="held")
    assert (
        coming.accession,
        "the other side",
        "missing",
        "images of it are kept apart or held here",
    ) in beside(exam)
    Image.objects.filter(exam=coming).update(state="matched")
    route.queue_deliveries(exam_id=coming.pk, at=AT)
    Delivery.objects.filter(image__exam=coming).update(state="failed")
    assert (coming.accession, "the other side", "missing", "images of it could not be sent") in beside(exam)
    unknown = make_exam(site, patient=patient, procedure=None)
    assert look_for_priors(exam_id=unknown.pk, at=AT) == 0


def test_whoever_asks_for_what_is_missing_is_named_until_it_is_there() -> None:
    site = site_with_pacs()
    patient = make_patient(site)
    earlier = done_before(site, patient, laterality="L")
    Image.objects.filter(exam=earlier).update(state="held")
    exam = make_exam(site, patient=patient, code="XRKNEE2", laterality="L")
    look_for_priors(exam_id=exam.pk, at=AT)
    (prior,) = Prior.objects.all()
    move_prior(prior_id=prior.pk, action="chase", of="the film library", at=AT, by="user:c")
    assert look_for_priors(exam_id=exam.pk, at=AT) == 1
    prior.refresh_from_db()
    assert (prior.state, prior.chased_by, prior.chased_of) == ("chased", "user:c", "the film library")
    Image.objects.filter(exam=earlier).update(state="matched")
    sent(earlier)
    look_for_priors(exam_id=exam.pk, at=AT)
    prior.refresh_from_db()
    assert (prior.state, prior.where) == ("there", "PACS")
    with pytest.raises(WrongState, match="is there"):
        move_prior(prior_id=prior.pk, action="chase", at=AT, by="user:c")
    with pytest.raises(UnknownPrior):
        move_prior(prior_id=10**9, action="chase", at=AT, by="user:c")


def test_a_study_elsewhere_is_asked_for_in_words_and_comes_or_does_not() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    with pytest.raises(WrongState, match="Write what is wanted"):
        want_prior(exam_id=exam.pk, words="  ", of="", at=AT, by="user:r")
    prior = want_prior(
        exam_id=exam.pk, words="chest, May,  at St. Mary's", of="their PACS", at=AT, by="user:r"
    )
    assert (prior.words, prior.state, prior.study_instance_uid) == ("chest, May, at St. Mary's", "chased", "")
    want_prior(exam_id=exam.pk, words="another", of="", at=AT, by="user:r")
    move_prior(prior_id=prior.pk, action="give up", at=AT, by="user:r")
    move_prior(prior_id=prior.pk, action="chase", of="the patient", at=AT, by="user:c")
    came = move_prior(prior_id=prior.pk, action="come", at=AT, by="user:c")
    assert came.state == "there"
    assert facts(exam) == ["study to compare with"] * 5
    assert "Mary" not in str(list(Fact.objects.values_list("data", flat=True)))


def test_they_are_looked_for_at_booking_on_arrival_and_at_the_end() -> None:
    for kind in (FactKind.EXAM_BOOKED, FactKind.PATIENT_ARRIVED, FactKind.EXAM_ENDED):
        assert "find_priors" in [reaction.__name__ for reaction in REACTIONS[kind]]


def test_archives_are_asked_about_one_exam_after_another_so_that_a_slow_one_holds_no_image_up() -> None:
    site = site_with_pacs()
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, destinations=(replace(plan.destinations[0], finds=True),)))
    site.save()
    for number in ("N1", "N2"):
        look_for_priors(exam_id=make_exam(site, patient=make_patient(site, number=number)).pk, at=AT)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lock, count(*) FROM procrastinate_jobs WHERE task_name = 'find_priors' GROUP BY 1"
        )
        assert cursor.fetchall() == [("find_priors", 2)]
