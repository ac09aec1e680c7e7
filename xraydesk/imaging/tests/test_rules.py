"""Whose image it is, what is corrected, where it goes, and what follows a discontinuation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from xraydesk.imaging import rules
from xraydesk.imaging.header import Header, ScheduledReference
from xraydesk.imaging.rules import AfterDiscontinuation, Candidate, Matched, Mismatch, Person, StepSpan
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


def test_an_image_with_all_numbers_of_its_exam_is_matched_without_notes() -> None:
    assert rules.match(IMAGE, [OTHER, EXAM]) == Matched(1)


@pytest.mark.parametrize(
    "said",
    [
        {"accession": ""},
        {"patient_name": ""},
        {"patient_birth_date": None},
        {"patient_sex": "O"},
        {"patient_sex": "2"},
        {"patient_id_issuer": "hosp"},
        {"laterality": "R"},
        {"laterality": "U"},
        {"laterality": "B"},
    ],
)
def test_what_an_image_leaves_out_does_not_hold_it_up(said: dict[str, Any]) -> None:
    assert rules.match(image(**said), [EXAM]) == Matched(1)


def test_a_machine_that_still_knows_the_patient_as_before_a_merge_is_believed_and_its_image_corrected() -> (
    None
):
    before = Person((Identifier("T7", "HOSP", "MR"),), "UNKNOWN^SEVEN", None, "")
    exam = replace(EXAM, patient=replace(ADA, former=(before,)))
    said = image(patient_id="T7", patient_name="UNKNOWN^SEVEN", patient_birth_date=None, patient_sex="")
    assert rules.match(said, [exam]) == Matched(1)
    wanted = rules.corrections(said, exam)
    assert (wanted["PatientID"], wanted["PatientName"]) == ("N1", "Prüfer^Ada")
    stranger = image(patient_id="T7", patient_name="SOMEBODY^ELSE", patient_birth_date=None, patient_sex="")
    assert isinstance(rules.match(stranger, [exam]), Mismatch)


def test_an_image_with_a_study_of_its_own_is_found_by_accession_and_noted() -> None:
    found = rules.match(image(study_instance_uid="7.7", body_part="chest"), [EXAM])
    assert found == Matched(1, ("carries a study number of its own", "says CHEST, ordered KNEE"))


def test_an_image_is_found_by_both_step_numbers_alone_but_not_by_one() -> None:
    said = image(study_instance_uid="", accession="", requested_procedure_id="R1", scheduled_step_id="S1")
    assert isinstance(rules.match(said, [OTHER, EXAM]), Matched)
    assert isinstance(rules.match(replace(said, scheduled_step_id=""), [EXAM]), Mismatch)
    assert isinstance(rules.match(replace(said, scheduled_step_id="S9"), [EXAM]), Mismatch)


def test_an_image_of_no_exam_known_here_claims_none() -> None:
    found = rules.match(image(study_instance_uid="7.7", accession="X"), [EXAM])
    assert found == Mismatch(None, ("no exam here has its study or its accession number",))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"patient_id": "W1"}, "it carries another patient number"),
        ({"patient_id": ""}, "it carries no patient number"),
        ({"patient_id_issuer": "ELSEWHERE"}, "its patient number was issued by somebody else"),
        ({"patient_name": "Other^Person"}, "it carries another name"),
        ({"patient_birth_date": date(1970, 1, 1)}, "it carries another birth date"),
        (
            {"patient_name": "", "patient_birth_date": None},
            "it carries neither a name nor a birth date to compare",
        ),
        ({"patient_sex": "m"}, "it carries another sex"),
        ({"laterality": "L"}, "says left, ordered right"),
        ({"accession": "A9"}, "its accession number is not that of exam A1"),
        ({"accession": "A2"}, "its study is that of exam A1, its accession number that of exam A2"),
    ],
)
def test_what_contradicts_the_exam_waits_for_a_person(said: dict[str, Any], reason: str) -> None:
    """Row 34: a Study Instance UID under another patient is quarantined under the exam that it claims."""
    assert rules.match(image(**said), [EXAM, OTHER]) == Mismatch(1, (reason,))


def test_reasons_name_what_differs_and_never_whom() -> None:
    found = rules.match(image(patient_id="W1", patient_name="Other^Person"), [EXAM])
    assert isinstance(found, Mismatch)
    assert len(found.reasons) == 2
    assert not any(word in " ".join(found.reasons) for word in ("W1", "Other", "Prüfer", "N1"))


def test_an_image_of_a_cancelled_exam_waits_for_a_person() -> None:
    found = rules.match(IMAGE, [replace(EXAM, is_cancelled=True)])
    assert found == Mismatch(1, ("exam A1 was cancelled and never begun",))


def test_a_patient_without_name_and_birth_date_is_known_by_number_alone() -> None:
    unknown = replace(EXAM, patient=Person((Identifier("N1"),)))
    assert rules.match(image(patient_id_issuer="ANY"), [unknown]) == Matched(1)


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
