"""Whose image it is, what is corrected, where it goes, and what follows a discontinuation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from xraydesk.imaging import rules
from xraydesk.imaging.header import Header, ScheduledReference
from xraydesk.imaging.rules import AfterDiscontinuation, Candidate, Person, StepSpan
from xraydesk.imaging.states import StepState
from xraydesk.patients.demographics import Identifier

ADA = Person((Identifier("N1", "HOSP", "MR"),), "Prüfer^Ada", date(1969, 5, 12), "F")
EXAM = Candidate(1, "A1", "1.2.3", "R1", "S1", ADA, laterality="R", body_part="KNEE")
OTHER = Candidate(2, "A2", "1.2.4", "R2", "S2", ADA)
IMAGE = Header(
    sop_instance_uid="1.9",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    study_instance_uid="1.2.3",
    accession="A1",
    patient_id="N1",
    patient_name="PRUFER^ADA",
    patient_birth_date=date(1969, 5, 12),
    patient_sex="F",
    modality="DX",
)


def image(**said: Any) -> Header:
    return replace(IMAGE, **said)


def test_a_matched_image_that_says_the_same_is_not_corrected() -> None:
    assert rules.corrections(IMAGE, EXAM) == {}


def test_everything_that_differs_is_corrected_and_nothing_else() -> None:
    wrong = image(
        patient_id="W1",
        patient_name="Other^Person",
        patient_birth_date=None,
        patient_sex="M",
        accession="",
        study_instance_uid="7.7",
    )
    assert rules.corrections(wrong, EXAM) == {
        "PatientID": "N1",
        "IssuerOfPatientID": "HOSP",
        "PatientName": "Prüfer^Ada",
        "PatientBirthDate": "19690512",
        "PatientSex": "F",
        "AccessionNumber": "A1",
        "StudyInstanceUID": "1.2.3",
    }


def test_what_the_exam_does_not_know_is_left_as_it_came() -> None:
    unknown = replace(EXAM, patient=Person(()))
    assert rules.corrections(image(patient_id="W1", patient_name="Other^Person"), unknown) == {}


def test_side_and_part_are_corrected_as_ordered_where_a_person_says_so() -> None:
    wrong = image(laterality="L", body_part="CHEST")
    assert rules.anatomy_corrections(wrong, EXAM) == {"ImageLaterality": "R", "BodyPartExamined": "KNEE"}
    assert rules.anatomy_corrections(image(laterality="r", body_part="knee"), EXAM) == {}
    both = replace(EXAM, laterality="B", body_part="A PART WITH A LONG NAME")
    assert rules.anatomy_corrections(wrong, both) == {}
    assert rules.anatomy_corrections(wrong, replace(EXAM, laterality="", body_part="")) == {}


def test_a_sex_that_dicom_has_no_letter_for_is_emptied() -> None:
    unknown = replace(EXAM, patient=replace(ADA, sex="U"))
    assert rules.corrections(IMAGE, unknown) == {"PatientSex": ""}


def test_a_performed_step_means_the_exam_that_most_of_its_numbers_name() -> None:
    both = ScheduledReference(accession="A1", study_instance_uid="1.2.4")
    assert rules.named_exam(both, [OTHER, EXAM]) == EXAM
    by_study = ScheduledReference(
        study_instance_uid="1.2.4", requested_procedure_id="R2", scheduled_step_id="S2"
    )
    assert rules.named_exam(by_study, [EXAM, OTHER]) == OTHER
    assert rules.named_exam(ScheduledReference(), [EXAM, OTHER]) is None
    assert rules.named_exam(ScheduledReference(accession="A1"), []) is None


@pytest.mark.parametrize(
    ("code", "after"),
    [
        ("110514", AfterDiscontinuation.REOPEN),
        ("110510", AfterDiscontinuation.END),
        ("110508", AfterDiscontinuation.END),
        ("110501", AfterDiscontinuation.RETRY),
        ("110507", AfterDiscontinuation.RETRY),
        ("", AfterDiscontinuation.RETRY),
    ],
)
def test_the_reason_decides_what_becomes_of_a_discontinued_exam(
    code: str, after: AfterDiscontinuation
) -> None:
    """Row 36: back on the worklist, or reopened with its images held."""
    assert rules.after_discontinuation(code) is after


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def span(voided: bool, start: int, end: int | None, *images: str) -> StepSpan:
    minutes = timedelta(minutes=1)
    return StepSpan(
        StepState.COMPLETED if end else StepState.IN_PROGRESS,
        voided,
        NOON + start * minutes,
        None if end is None else NOON + end * minutes,
        images,
    )


def test_an_image_is_of_a_voided_step_by_name_then_by_time_then_by_there_being_no_other() -> None:
    wrong, right = span(True, 0, 10, "1.9"), span(False, 20, None)
    assert rules.is_of_voided_step("1.9", NOON + timedelta(minutes=30), [wrong, right])
    assert rules.is_of_voided_step("1.8", NOON + timedelta(minutes=5), [wrong, right])
    assert not rules.is_of_voided_step("1.8", NOON + timedelta(minutes=30), [wrong, right])
    assert not rules.is_of_voided_step("1.8", None, [wrong, right])
    assert not rules.is_of_voided_step("1.8", NOON + timedelta(minutes=15), [wrong, right])
    assert rules.is_of_voided_step("1.8", None, [wrong])
    assert not rules.is_of_voided_step("1.8", None, [])


def test_images_go_on_once_something_was_performed_and_nothing_is_under_way() -> None:
    assert rules.may_go_on([StepState.COMPLETED])
    assert rules.may_go_on([StepState.DISCONTINUED])
    assert not rules.may_go_on([StepState.COMPLETED, StepState.IN_PROGRESS])
    assert not rules.may_go_on([])


def test_waiting_doubles_up_to_a_cap_and_ends_with_a_person() -> None:
    """Row 41: capped retries, then an item."""
    waits = [rules.wait_seconds(n) for n in range(1, rules.ATTEMPTS_MAX + 1)]
    assert waits[:3] == [5, 10, 20]
    assert waits[-2] == rules.WAIT_SECONDS_MAX
    assert waits[-1] is None
    assert rules.wait_seconds(0) == 5


def test_a_machine_whose_clock_cannot_be_right_is_dated_by_ours() -> None:
    hour = timedelta(hours=1)
    assert rules.told_time(NOON - hour, at=NOON) == NOON - hour
    assert rules.told_time(NOON + hour, at=NOON) == NOON
    assert rules.told_time(NOON - 200 * hour, at=NOON) == NOON
    assert rules.told_time(None, at=NOON) == NOON
    assert rules.told_time(NOON - 2 * hour, at=NOON, earliest=NOON - hour) == NOON - hour
