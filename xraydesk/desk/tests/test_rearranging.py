"""The board proposes who gives way, shows it as ghosts, does it by one key and undoes it by one button."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.contact.models import Notice
from xraydesk.desk.proposals import unsigned
from xraydesk.desk.tests.minute import begun
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.models import Fact
from xraydesk.journey.book import propose_places
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.scheduling.engine.place import Place
from xraydesk.scheduling.models import Booking, Rearrangement
from xraydesk.scheduling.queries import live_booking
from xraydesk.staff.models import Technologist

pytestmark = pytest.mark.django_db
MIN = timedelta(minutes=1)


@pytest.fixture
def site() -> Site:
    return make_site()


def soon() -> datetime:
    return begun() + 10 * MIN


def full(site: Site) -> list[Exam]:
    found = []
    for room in ("XR1", "XR2"):
        for number in range(12):
            exam = make_exam(site)
            make_booking(exam, room=room, start=soon() + (number - 1) * 10 * MIN)
            found.append(exam)
    return found


def stat(site: Site) -> Exam:
    exam = make_exam(site, priority="stat", due_at=clock.now() + 60 * MIN)
    exam.order.patient_class = "E"
    exam.order.save()
    return exam


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def proposal_of(text: str) -> str:
    found = re.search(r'name="proposal" value="([^"]+)"', text)
    assert found
    return found.group(1)


def post(client: Client, **fields: Any) -> HttpResponse:
    return client.post("/rearrangements", fields)  # type: ignore[return-value]


def test_a_stat_without_a_place_is_proposed_one_with_ghosts_and_reasons(site: Site) -> None:
    full(site)
    exam = stat(site)
    text = page(signed_in(site), f"/?exam={exam.accession}")
    assert "Proposal 1 of " in text
    assert f'id="g-{exam.accession}"' in text
    assert 'class="ghost"' in text
    assert "Why so" in text
    assert "Without anybody moving" in text
    assert 'data-key="Enter">Accept' in text
    following = re.search(r'href="(/\?exam=[^"]+option=2[^"]*)" data-key="n"', text)
    assert following
    other = page(signed_in(site), following.group(1).replace("&amp;", "&"))
    assert "Proposal 2 of " in other
    assert unsigned(proposal_of(other)) != unsigned(proposal_of(text))


def test_accepting_is_one_post_and_undoing_another(site: Site) -> None:
    booked = full(site)
    exam = stat(site)
    client = signed_in(site)
    before = {b.exam_id: (b.room_id, b.during.lower) for b in Booking.objects.all()}
    text = page(client, f"/?exam={exam.accession}")
    answer = post(client, proposal=proposal_of(text), back=f"/?exam={exam.accession}")
    assert (answer.status_code, answer["Location"]) == (303, f"/?exam={exam.accession}")
    assert live_booking(exam.pk) is not None
    after = page(client, answer["Location"])
    assert "placed anew" in after
    kept = Rearrangement.objects.get()
    assert f"/rearrangements/{kept.pk}/undo" in after
    assert kept.by == "user:coordinator-T"
    assert Notice.objects.count() == sum(
        bool(m["before"]) and m["before"]["start"] != m["after"]["start"] for m in kept.moves
    )
    assert client.post(f"/rearrangements/{kept.pk}/undo").status_code == 303
    assert live_booking(exam.pk) is None
    now = {b.exam_id: (b.room_id, b.during.lower) for b in Booking.objects.filter(state="booked")}
    assert now == before
    assert len(booked) == len(now)


def test_two_coordinators_at_once_the_later_one_is_told_and_shown_anew(site: Site) -> None:
    full(site)
    one, other = stat(site), stat(site)
    first, second = signed_in(site), signed_in(site)
    mine = proposal_of(page(first, f"/?exam={one.accession}"))
    theirs = proposal_of(page(second, f"/?exam={other.accession}"))
    post(first, proposal=mine)
    answer = post(second, proposal=theirs, back=f"/?exam={other.accession}")
    assert Rearrangement.objects.count() == 1
    assert live_booking(other.pk) is None
    text = page(second, answer["Location"])
    assert re.search(r"meanwhile|has changed", text)
    assert "Proposal 1 of " in text, "proposed again"
    assert post(second, proposal=proposal_of(text)).status_code == 303
    assert live_booking(other.pk) is not None


def test_what_was_not_signed_here_is_not_done(site: Site) -> None:
    exam = stat(site)
    client = signed_in(site)
    form = proposal_of(page(client, f"/?exam={exam.accession}"))
    for wrong in ("", form[:-3], form.swapcase()):
        assert post(client, proposal=wrong).status_code == 303
    assert Rearrangement.objects.count() == 0
    assert "lain open for too long" in page(client, "/")


def test_a_routine_exam_is_asked_about_by_a_key(site: Site) -> None:
    exam = make_exam(site)
    text = page(signed_in(site), f"/?exam={exam.accession}")
    assert "Proposal" not in text
    assert f'href="/?exam={exam.accession}&amp;option=1" data-key="s"' in text
    assert "Proposal 1 of" in page(signed_in(site), f"/?exam={exam.accession}&option=1")


def test_a_booked_exam_can_be_asked_for_sooner(site: Site) -> None:
    exam = stat(site)
    make_booking(exam, room="XR1", start=soon() + 90 * MIN)
    client = signed_in(site)
    text = page(client, f"/?exam={exam.accession}&option=1")
    assert "Sooner: proposal 1 of" in text
    post(client, proposal=proposal_of(text))
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.during.lower < soon()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("room=XR1&until=", "If XR1 is down: proposal 1 of"),
        ("gone=T1", "If Technologist 1 has gone: proposal 1 of"),
        ("porters=20", "Nobody has to move"),
        ("room=XR1&back=23:59", "If XR1 is back at 23:59"),
    ],
)
def test_what_happened_leads_to_one_view_of_what_follows(site: Site, query: str, words: str) -> None:
    full(site)
    assert words in page(signed_in(site), f"/repair?{query}")


def test_a_repair_is_accepted_whole_or_in_part(site: Site) -> None:
    exam, other = make_exam(site), make_exam(site)
    make_booking(exam, room="XR1", start=soon())
    make_booking(other, room="XR1", start=soon() + 30 * MIN)
    client = signed_in(site)
    text = page(client, "/repair?room=XR1")
    post(client, proposal=proposal_of(text), part="1", step=[exam.accession])
    rooms = [live_booking(e.pk).room.code for e in (exam, other)]  # type: ignore[union-attr]
    assert rooms == ["XR2", "XR1"]


@pytest.mark.parametrize(
    "query", ["room=XR1&until=25:99", "porters=none", "porters=9999", "longer=X&minutes=5"]
)
def test_what_cannot_be_read_is_said(site: Site, query: str) -> None:
    answer = signed_in(site).get(f"/repair?{query}")
    assert answer.status_code in (400, 404)


def test_a_stranger_finds_none_of_it(site: Site) -> None:
    exam = stat(site)
    form = proposal_of(page(signed_in(site), f"/?exam={exam.accession}"))
    porter, elsewhere = signed_in(site, Role.PORTER), signed_in(make_site("U"))
    assert porter.get("/repair").status_code == 404
    for client in (porter, elsewhere):
        assert post(client, proposal=form).status_code == 404
    assert live_booking(exam.pk) is None
    assert Client().get("/repair").status_code == 302
    assert elsewhere.get("/repair?room=XR9").status_code == 404
    assert elsewhere.get(f"/repair?longer={exam.accession}&minutes=5").status_code == 404
    post(signed_in(site), proposal=form)
    kept = Rearrangement.objects.get()
    for client in (porter, elsewhere):
        assert client.post(f"/rearrangements/{kept.pk}/undo").status_code == 404
    assert live_booking(exam.pk) is not None
    assert Client().post(f"/rearrangements/{kept.pk}/undo").status_code == 302


def test_a_taken_place_by_hand_says_who_would_give_way_and_does_it(site: Site) -> None:
    booked = full(site)
    exam = stat(site)
    taken = live_booking(booked[3].pk)
    assert taken is not None
    client = signed_in(site)
    at = taken.during.lower.isoformat().replace("+00:00", "Z")
    text = page(client, f"/exams/{exam.accession}/move?room={taken.room.code}&at={at}")
    assert "It cannot be" in text
    assert "If others give way" in text
    post(client, proposal=proposal_of(text))
    here, there = live_booking(exam.pk), live_booking(booked[3].pk)
    assert here is not None
    assert there is not None
    assert (here.room, here.during.lower) == (taken.room, taken.during.lower)
    assert (there.room, there.during.lower) != (taken.room, taken.during.lower)
    assert page(client, f"/exams/{exam.accession}/move?room=XR1&at=soon")


def test_somebody_who_went_home_is_given_nobody_until_they_are_back(site: Site) -> None:
    exam, other = make_exam(site), make_exam(site)
    make_booking(exam, room="XR1", start=soon())
    client = signed_in(site)
    text = page(client, "/repair?gone=T1")
    post(client, proposal=proposal_of(text), part="1", step=[exam.accession])
    booking = live_booking(exam.pk)
    assert booking is not None
    assert booking.technologist is not None
    assert booking.technologist.code == "T2"
    (place,) = _places(other)
    assert Technologist.objects.get(pk=place.technologist_id).code == "T2"
    assert "Technologist 1 is away." in page(client, "/repair")
    assert client.post("/staff/T1/gone", {"back": "1"}).status_code == 303
    assert "is away" not in page(client, "/repair").split("is back")[-1]
    assert client.post("/staff/T2/gone").status_code == 303
    assert Technologist.objects.get(code="T2").away_until is not None
    assert client.post("/staff/T9/gone").status_code == 404
    assert [f.kind for f in Fact.objects.filter(kind__startswith="technologist").order_by("id")] == [
        "technologist gone",
        "technologist back",
        "technologist gone",
    ]


def _places(exam: Exam) -> list[Place]:
    return [p.place for p in propose_places(exam_id=exam.pk, at=clock.now())][:1]
