"""What was rearranged is listed, the desk's own doing marked, with its undo; and a proposal says why the desk left it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.models import Location, Site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.test_rearranging import MIN, page, post, proposal_of, soon, stat
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.journey.autopilot import let_in
from xraydesk.journey.tests.test_book import set_policies
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking
from xraydesk.siteplan.policies import AutopilotPlan

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    """One full room, and a desk that may act by itself."""
    site = make_site(rooms=1)
    set_policies(site, autopilot=AutopilotPlan(on=True, near_minutes=0, moved_minutes_max=480, moves_max=9))
    for number in range(12):
        make_booking(make_exam(site), start=soon() + (number - 1) * 10 * MIN)
    return site


def by_itself(site: Site) -> tuple[Exam, Rearrangement]:
    exam = stat(site)
    kept = let_in(exam_id=exam.pk, at=clock.now())
    assert kept is not None
    return exam, kept


def test_what_the_desk_did_by_itself_is_marked_and_reached_from_the_board(site: Site) -> None:
    client = signed_in(site)
    assert "by itself" not in page(client, "/")
    exam, kept = by_itself(site)
    board = page(client, "/")
    assert "Rearrangements, 1 by itself" in board
    text = page(client, "/rearrangements")
    assert f'id="r-{kept.pk}"' in text
    assert "by itself" in text
    assert f"/?exam={exam.accession}" in text
    assert f"/rearrangements/{kept.pk}/undo" in text
    assert all(f"/?exam={m['accession']}" in text for m in kept.moves)
    answer = client.post(f"/rearrangements/{kept.pk}/undo", {"back": "/rearrangements"})
    assert (answer.status_code, answer["Location"]) == (303, "/rearrangements")
    assert live_booking(exam.pk) is None
    text = page(client, "/rearrangements")
    assert "undone" in text
    assert "coordinator-T" in text
    assert 'undo"' not in text.split("rearrangement-list")[1]
    assert "by itself" not in page(client, "/")


def test_what_a_person_accepted_bears_their_name(site: Site) -> None:
    set_policies(site)
    client = signed_in(site)
    exam = stat(site)
    post(client, proposal=proposal_of(page(client, f"/?exam={exam.accession}")))
    text = page(client, "/rearrangements")
    assert "coordinator-T" in text
    assert "by itself" not in text
    assert f"A place for exam {exam.accession}" in text


def test_what_has_begun_is_shown_without_an_undo(site: Site) -> None:
    exam, kept = by_itself(site)
    step = PerformedStep.objects.create(
        site=site,
        sop_instance_uid=new_uid(),
        room=Room.objects.get(site=site),
        state="IN PROGRESS",
        by="modality:XR1",
        started_at=clock.now(),
    )
    StepExam.objects.create(step=step, exam=exam)
    text = page(signed_in(site), "/rearrangements")
    assert "begun or moved since" in text
    assert f"/rearrangements/{kept.pk}/undo" not in text


def test_another_day_lists_what_was_done_then(site: Site) -> None:
    _, kept = by_itself(site)
    Rearrangement.objects.update(at=kept.at - timedelta(days=1))
    client = signed_in(site)
    assert "Nothing was rearranged" in page(client, "/rearrangements")
    day = clock.local_day(kept.at - timedelta(days=1), site.timezone)
    assert f'id="r-{kept.pk}"' in page(client, f"/rearrangements?day={day}")
    assert client.get("/rearrangements?day=soon").status_code == 404


def test_a_stranger_another_site_and_another_building_see_none_of_it(site: Site) -> None:
    _, kept = by_itself(site)
    assert Client().get("/rearrangements").status_code == 302
    assert signed_in(site, Role.PORTER).get("/rearrangements").status_code == 404
    assert "Nothing was rearranged" in page(signed_in(make_site("U")), "/rearrangements")
    Location.objects.create(site=site, code="EAST", name="East")
    assert "Nothing was rearranged" in page(signed_in(site, locations=("EAST",)), "/rearrangements")
    assert "by itself" not in page(signed_in(site, locations=("EAST",)), "/")
    technologist = page(signed_in(site, Role.TECHNOLOGIST), "/rearrangements")
    assert f'id="r-{kept.pk}"' in technologist
    assert f"/rearrangements/{kept.pk}/undo" not in technologist


def test_a_proposal_says_which_limit_left_it_to_a_person(site: Site) -> None:
    set_policies(site, autopilot=AutopilotPlan(on=True, near_minutes=600))
    exam = stat(site)
    assert let_in(exam_id=exam.pk, at=clock.now()) is None
    text = page(signed_in(site), f"/?exam={exam.accession}")
    assert "Left to you, as the limits say" in text
    assert "nobody is moved less than 600 before their time" in text
    set_policies(site)
    assert "Left to you" not in page(signed_in(site), f"/?exam={exam.accession}")


def test_what_is_kept_of_a_proposal_names_no_other_patient(site: Site) -> None:
    """Facts and bookings carry accession numbers: one patient's history does not tell another's name."""
    exam, kept = by_itself(site)
    assert "Prüfer" in page(signed_in(site), "/rearrangements")
    said = [*kept.why, *(why for b in Booking.objects.filter(booked_by="autopilot") for why in b.why)]
    assert said
    assert not any(exam.patient.family in sentence for sentence in said)
