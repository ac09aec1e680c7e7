"""Invented people are of ages that departments meet, and are asked about with reasons that fit."""

from __future__ import annotations

from datetime import date
from random import Random
from statistics import median

import pytest

from xraydesk.siteplan.invented import (
    CRITICAL_FINDINGS,
    LIMB_DAP_DGYCM2,
    LIMB_REASONS,
    NORMAL_FINDINGS,
    REASONS,
    TYPICAL_DAP_DGYCM2,
    dap_dgycm2,
    invent,
    reason_for,
    said_of,
)

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


@pytest.mark.parametrize(
    ("part", "typical"), [("Lumbar spine", TYPICAL_DAP_DGYCM2["SPINE"]), ("KNEE", LIMB_DAP_DGYCM2)]
)
def test_dose_lies_about_what_is_typical_of_the_part(part: str, typical: float) -> None:
    random = Random(1)
    assert median(dap_dgycm2(random, part) for _ in range(200)) == pytest.approx(typical, rel=0.1)


def test_what_a_reader_writes_is_of_that_part_and_as_grave_as_it_is() -> None:
    assert said_of("Chest", critical=False) == NORMAL_FINDINGS["CHEST"]
    assert said_of("ABDOMEN", critical=True) == CRITICAL_FINDINGS["ABDOMEN"]
    assert said_of("KNEE", critical=True) == CRITICAL_FINDINGS[""]
