"""Fifty browsers press at the same moment, over real sockets: one wins, the others are told, and nobody meets an error."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.clients import CLIENTS, People, no_two_at_once, place, proposal_of, site_file
from tests.database import with_tables
from tests.running import running_desk

pytestmark = pytest.mark.link


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    folder = tmp_path_factory.mktemp("fifty")
    file = folder / "site.toml"
    file.write_text(site_file(), encoding="utf-8")
    with running_desk(with_tables(folder), "--site", str(file)) as desk:
        yield People(desk)


@pytest.fixture(scope="module")
def exams(people: People) -> list[str]:
    return people.exams(CLIENTS)


def test_of_fifty_browsers_that_book_one_place_one_has_it_and_the_others_are_offered_others(
    people: People, exams: list[str]
) -> None:
    """Row 42."""
    wanted = place(0)
    told = people.at_once([("POST", f"/exams/{e}/book", {"place": wanted}) for e in exams])
    assert Counter(t.status for t in told) == {303: 1, 409: CLIENTS - 1}
    assert all('name="place"' in t.body for t in told if t.status == 409), "other places are offered"
    assert len(people.places()) == 1


def test_of_fifty_browsers_that_accept_one_proposal_one_does_it_and_nothing_is_half_done(
    people: People, exams: list[str]
) -> None:
    """Rows 42 and 44: a STAT for which others would give way, accepted by fifty at once; then taken back by fifty at once."""
    (stat,) = people.exams(1, priority="S")
    before = people.places()
    proposal = proposal_of(people.get(f"/?exam={stat}&option=1"))
    told = people.at_once([("POST", "/rearrangements", {"proposal": proposal})] * CLIENTS)
    assert {t.status for t in told} == {303}
    after = people.places()
    assert stat in after
    page = people.get("/rearrangements")
    assert page.count('data-l="who"') == 1, "it was done once"
    undo = page.partition("/rearrangements/")[2].partition("/")[0]
    told = people.at_once([("POST", f"/rearrangements/{undo}/undo", {})] * CLIENTS)
    assert {t.status for t in told} == {303}
    assert people.places() == before


def test_fifty_browsers_that_book_move_and_cancel_everywhere_meet_no_deadlock(
    people: People, exams: list[str]
) -> None:
    """Row 43: many writers, many rooms, for three rounds; every answer is a page, and the plan is one."""
    chance = random.Random(1)
    told = []
    for _ in range(3):
        presses = []
        for exam in exams:
            where = place(10 * chance.randrange(12), f"XR{chance.randrange(1, 5)}")
            presses.append(
                chance.choice(
                    [
                        ("POST", f"/exams/{exam}/book", {"place": where}),
                        ("POST", f"/exams/{exam}/book", {"place": where}),
                        ("POST", f"/exams/{exam}/move", {"place": where}),
                        ("POST", f"/exams/{exam}/cancel-booking", {"why": "called"}),
                    ]
                )
            )
        told += people.at_once(presses)
    assert {t.status for t in told} <= {303, 409}
    assert no_two_at_once(people.places())
