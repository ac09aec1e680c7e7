"""What news of a stay makes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from xraydesk.patients.demographics import VisitDetails
from xraydesk.patients.events import PatientEvent
from xraydesk.patients.visits import ACTIVE, CANCELLED, ENDED, Stay, after, says_something

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
BEFORE = AT - timedelta(days=1)
HERE = Stay(ACTIVE, "I", "W3", "12", BEFORE, None)
GONE = Stay(ENDED, "I", "W3", "12", BEFORE, BEFORE)


@pytest.mark.parametrize(
    ("event", "before", "state", "ended_at"),
    [
        (PatientEvent.ADMIT, None, ACTIVE, None),
        (PatientEvent.ADMIT, GONE, ACTIVE, None),
        (PatientEvent.TRANSFER, HERE, ACTIVE, None),
        (PatientEvent.DISCHARGE, HERE, ENDED, AT),
        (PatientEvent.DISCHARGE, GONE, ENDED, BEFORE),
        (PatientEvent.DISCHARGE, None, ENDED, AT),
        (PatientEvent.REGISTER, None, ACTIVE, None),
        (PatientEvent.ARRIVE, None, ACTIVE, None),
        (PatientEvent.CANCEL_ADMIT, HERE, CANCELLED, None),
        (PatientEvent.CANCEL_TRANSFER, HERE, ACTIVE, None),
        (PatientEvent.CANCEL_DISCHARGE, GONE, ACTIVE, None),
        (PatientEvent.UPDATE, None, ACTIVE, None),
        (PatientEvent.UPDATE, GONE, ENDED, BEFORE),
    ],
)
def test_each_event_makes_its_state(
    event: PatientEvent, before: Stay | None, state: str, ended_at: datetime | None
) -> None:
    stay = after(event, before, VisitDetails(), at=AT)
    assert (stay.state, stay.ended_at) == (state, ended_at)
    assert stay.started_at == (BEFORE if before else AT)


@pytest.mark.parametrize(
    ("before", "said", "where"),
    [
        (HERE, VisitDetails(), ("W3", "12")),
        (HERE, VisitDetails(ward="ICU", bed="2"), ("ICU", "2")),
        (HERE, VisitDetails(ward="ICU"), ("ICU", "")),
        (HERE, VisitDetails(bed="13"), ("W3", "13")),
        (None, VisitDetails(), ("", "")),
    ],
)
def test_a_ward_brings_its_own_bed(before: Stay | None, said: VisitDetails, where: tuple[str, str]) -> None:
    stay = after(PatientEvent.TRANSFER, before, said, at=AT)
    assert (stay.ward, stay.bed) == where


@pytest.mark.parametrize(
    ("event", "before", "said", "patient_class"),
    [
        (PatientEvent.ADMIT, None, "", "I"),
        (PatientEvent.REGISTER, None, "", "O"),
        (PatientEvent.REGISTER, None, "E", "E"),
        (PatientEvent.REGISTER, HERE, "", "I"),
        (PatientEvent.TRANSFER, None, "", ""),
    ],
)
def test_the_class_is_what_is_said_else_what_it_was(
    event: PatientEvent, before: Stay | None, said: str, patient_class: str
) -> None:
    assert after(event, before, VisitDetails(patient_class=said), at=AT).patient_class == patient_class


def test_times_of_the_message_count_before_ours() -> None:
    said = VisitDetails(admitted_at=BEFORE, discharged_at=AT - timedelta(hours=1))
    stay = after(PatientEvent.DISCHARGE, None, said, at=AT)
    assert (stay.started_at, stay.ended_at) == (BEFORE, AT - timedelta(hours=1))


@pytest.mark.parametrize(
    ("event", "said", "something"),
    [
        (PatientEvent.ADMIT, VisitDetails(), True),
        (PatientEvent.UPDATE, VisitDetails(patient_class="O"), False),
        (PatientEvent.UPDATE, VisitDetails(ward="W3"), True),
        (PatientEvent.UPDATE, VisitDetails(bed="1"), True),
        (PatientEvent.UPDATE, VisitDetails(number="V1"), True),
    ],
)
def test_an_update_of_the_person_alone_says_nothing_of_a_stay(
    event: PatientEvent, said: VisitDetails, something: bool
) -> None:
    assert says_something(event, said) is something
