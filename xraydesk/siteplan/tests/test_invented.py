"""Invented people are of ages that departments meet, and are asked about with reasons that fit."""

from __future__ import annotations

from datetime import date
from random import Random

from xraydesk.siteplan.invented import LIMB_REASONS, REASONS, invent, reason_for

TODAY = date(2026, 3, 2)


def test_invented_people_have_lived_and_are_of_both_sexes() -> None:
    random = Random(1)
    people = [invent(random, str(number), TODAY) for number in range(200)]
    assert {one.sex for one in people} == {"F", "M"}
    assert all(date(1928, 1, 1) < one.birth_date < TODAY for one in people)
    assert len({(one.family, one.given) for one in people}) > 100


def test_a_reason_fits_its_part() -> None:
    random = Random(1)
    assert reason_for(random, "Chest") in REASONS["CHEST"]
    assert reason_for(random, "KNEE") in LIMB_REASONS
