"""Whose a study of another house is: certain, offered, and what speaks against it."""

from __future__ import annotations

from datetime import date

import pytest

from xraydesk.imaging.header import Header
from xraydesk.imaging.outside_rules import OFFERED_MAX, Known, differs, offered
from xraydesk.imaging.rules import Person
from xraydesk.patients.demographics import Identifier

BORN = date(1969, 5, 12)
ADA = Person((Identifier("N1", "DEMO"),), "Prüfer^Ada", BORN, "F")


def said(**values: object) -> Header:
    base: dict[str, object] = {
        "patient_id": "N1",
        "patient_id_issuer": "DEMO",
        "patient_name": "PRUEFER^ADA",
        "patient_birth_date": BORN,
        "patient_sex": "F",
    }
    return Header("", "", "", **(base | values))  # type: ignore[arg-type]


def test_number_name_and_birth_date_of_one_patient_are_certain() -> None:
    [only] = offered(said(), [Known(1, ADA)])
    assert (only.patient_id, only.certain, only.why) == (1, True, "the same number, name and birth date")


def test_two_records_that_agree_in_everything_are_certain_of_neither() -> None:
    assert [one.certain for one in offered(said(), [Known(1, ADA), Known(2, ADA)])] == [False, False]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"patient_id_issuer": "OTHER"}, "the same name and birth date"),
        ({"patient_id": ""}, "the same name and birth date"),
        ({"patient_name": "Other^Bob"}, "the same number and birth date"),
        ({"patient_name": ""}, "the same number and birth date"),
        ({"patient_birth_date": None}, "the same number and name"),
        ({"patient_id": "X", "patient_birth_date": None}, "the same name"),
    ],
)
def test_less_than_all_three_is_offered_and_not_certain(values: dict[str, object], why: str) -> None:
    [only] = offered(said(**values), [Known(1, ADA)])
    assert (only.certain, only.why) == (False, why)


def test_the_most_alike_come_first_and_who_agrees_in_nothing_does_not_come() -> None:
    born_that_day = Person((Identifier("N2", "DEMO"),), "Other^Bob", BORN, "M")
    nobody = Person((Identifier("N3", "DEMO"),), "Third^Cid", None, "")
    found = offered(said(), [Known(1, nobody), Known(2, born_that_day), Known(3, ADA)])
    assert [one.patient_id for one in found] == [3, 2]


def test_no_more_than_a_page_can_hold_are_offered() -> None:
    assert len(offered(said(patient_id=""), [Known(n, ADA) for n in range(30)])) == OFFERED_MAX


def test_what_speaks_against_a_patient_is_said_in_words() -> None:
    assert differs(said(), ADA) == ()
    assert differs(said(patient_name="", patient_birth_date=None, patient_sex="", patient_id=""), ADA) == ()
    assert differs(said(patient_name="Prüfert^Ada"), ADA) == ("a name that is nearly the same",)
    other = said(
        patient_name="Other^Bob", patient_birth_date=date(2000, 1, 1), patient_sex="m", patient_id_issuer="X"
    )
    assert differs(other, ADA) == (
        "another name",
        "another birth date",
        "another sex",
        "a number of the same digits that another house gave",
    )
