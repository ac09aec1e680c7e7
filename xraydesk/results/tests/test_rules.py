"""Which exam a report is of, whose it must be, and what it changes."""

from __future__ import annotations

from datetime import date

import pytest

from xraydesk.patients.demographics import Identifier
from xraydesk.patients.rules import Match, Matching
from xraydesk.results.reporting import SaidExam, SaidReport
from xraydesk.results.rules import Candidate, Kept, Outcome, Unclear, decide, exam_meant, is_of_patient
from xraydesk.results.states import Category, ReportAction, ReportState

P, F, C, X = (ReportAction.PRELIMINARY, ReportAction.FINAL, ReportAction.CORRECT, ReportAction.CANCEL)
ADA = {"family": "Prüfer", "birth_date": date(1969, 5, 12)}


def said(action: ReportAction, text: str = "Clear lungs.", category: Category | None = None) -> SaidReport:
    return SaidReport(SaidExam(), action, text, "None.", category=category)


def kept(state: ReportState, text: str = "Clear lungs.", *earlier: str, category: int | None = None) -> Kept:
    return Kept(state, text, "None.", category, frozenset((t, "None.") for t in (*earlier, text)))


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        (None, P, ReportState.PRELIMINARY),
        (None, F, ReportState.FINAL),
        (None, C, ReportState.CORRECTED),
        (ReportState.PRELIMINARY, P, ReportState.PRELIMINARY),
        (ReportState.PRELIMINARY, F, ReportState.FINAL),
        (ReportState.FINAL, F, ReportState.CORRECTED),
        (ReportState.FINAL, C, ReportState.CORRECTED),
        (ReportState.FINAL, X, ReportState.CANCELLED),
        (ReportState.CORRECTED, F, ReportState.CORRECTED),
        (ReportState.CANCELLED, F, ReportState.FINAL),
    ],
)
def test_other_words_make_a_new_version(
    before: ReportState | None, action: ReportAction, after: ReportState
) -> None:
    decision = decide(kept(before) if before else None, said(action, "A nodule."))
    assert (decision.outcome, decision.state) == (Outcome.NEW_VERSION, after)


@pytest.mark.parametrize(
    ("before", "action"),
    [
        (ReportState.PRELIMINARY, P),
        (ReportState.FINAL, F),
        (ReportState.CORRECTED, F),
        (ReportState.CORRECTED, C),
        (ReportState.CANCELLED, X),
    ],
)
def test_the_very_same_report_again_changes_nothing(before: ReportState, action: ReportAction) -> None:
    decision = decide(kept(before), said(action))
    assert (decision.outcome, decision.state) == (Outcome.SAME, before)


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        (ReportState.PRELIMINARY, F, ReportState.FINAL),
        (ReportState.FINAL, C, ReportState.CORRECTED),
        (ReportState.CANCELLED, F, ReportState.FINAL),
    ],
)
def test_the_same_words_in_a_new_state_are_a_new_version(
    before: ReportState, action: ReportAction, after: ReportState
) -> None:
    assert decide(kept(before), said(action)).state is after


@pytest.mark.parametrize("before", [ReportState.FINAL, ReportState.CORRECTED])
def test_a_preliminary_report_after_a_final_one_is_late(before: ReportState) -> None:
    decision = decide(kept(before), said(P, "A nodule?"))
    assert (decision.outcome, decision.state) == (Outcome.LATE, before)


def test_a_final_report_whose_words_were_corrected_since_is_late() -> None:
    corrected = kept(ReportState.CORRECTED, "A nodule.", "Clear lungs.")
    assert decide(corrected, said(F, "Clear lungs.")).outcome is Outcome.LATE
    assert decide(corrected, said(C, "Clear lungs.")).outcome is Outcome.NEW_VERSION


def test_what_was_never_said_cannot_be_taken_back() -> None:
    decision = decide(None, said(X))
    assert (decision.outcome, decision.state) == (Outcome.NOTHING, None)


def test_a_flag_that_is_added_to_the_same_words_is_a_new_version() -> None:
    flagged = said(F, category=Category.MINUTES)
    assert decide(kept(ReportState.FINAL), flagged).outcome is Outcome.NEW_VERSION
    assert decide(kept(ReportState.FINAL, category=1), flagged).outcome is Outcome.SAME
    assert decide(kept(ReportState.FINAL, category=1), said(F)).outcome is Outcome.SAME


CHEST, KNEE = Candidate(1, "XRCHEST2"), Candidate(2, "XRKNEE2")


@pytest.mark.parametrize(
    ("named", "code", "meant"),
    [
        ([], "", Unclear.UNKNOWN),
        ([[], []], "", Unclear.UNKNOWN),
        ([[CHEST]], "", 1),
        ([[], [CHEST]], "", 1),
        ([[CHEST], [CHEST, KNEE]], "", 1),
        ([[CHEST], [KNEE]], "", Unclear.CONFLICT),
        ([[CHEST, KNEE]], "xrknee2", 2),
        ([[CHEST, KNEE]], "", Unclear.SEVERAL),
        ([[CHEST, KNEE]], "XRHAND", Unclear.SEVERAL),
        ([[CHEST, Candidate(3, "XRCHEST2")]], "XRCHEST2", Unclear.SEVERAL),
    ],
)
def test_all_numbers_must_agree_on_one_exam(
    named: list[list[Candidate]], code: str, meant: int | Unclear
) -> None:
    assert exam_meant(named, procedure_code=code) == meant


def test_the_number_must_be_the_patients() -> None:
    mine = Matching(Match.ONE, 7)
    assert is_of_patient(mine, patient_id=7, now=ADA, said={})
    assert not is_of_patient(mine, patient_id=8, now=ADA, said={})
    assert not is_of_patient(Matching(Match.CONFLICT), patient_id=7, now=ADA, said={})


def test_a_number_that_is_not_on_file_is_somebody_elses() -> None:
    unknown = Matching(Match.NONE, missing=(Identifier("N9"),))
    assert not is_of_patient(unknown, patient_id=7, now=ADA, said=ADA)


def test_without_a_number_name_and_birth_date_must_not_speak_against_it() -> None:
    nobody = Matching(Match.NONE)
    assert is_of_patient(nobody, patient_id=7, now=ADA, said={"family": "PRUFER"})
    assert not is_of_patient(nobody, patient_id=7, now=ADA, said={"family": "Other"})


def test_a_number_with_another_name_and_another_birth_date_is_somebody_elses() -> None:
    mine = Matching(Match.ONE, 7)
    married = {"family": "Neumann", "birth_date": date(1969, 5, 12)}
    other = {"family": "Neumann", "birth_date": date(2001, 1, 1)}
    assert is_of_patient(mine, patient_id=7, now=ADA, said=married)
    assert not is_of_patient(mine, patient_id=7, now=ADA, said=other)


def test_numbers_are_told_in_words_and_attachments_as_lines() -> None:
    assert SaidExam("A1", "F1", "1.2", "P1").words == "accession A1, filler number F1, order P1, study 1.2"
    assert SaidExam("A1", "F1", "1.2", "P1").numbers == ("A1", "F1", "1.2", "P1")
    assert SaidExam(filler="F1").numbers == ("F1",)
    assert SaidExam().words == "no number at all"
    report = SaidReport(SaidExam(), F, "Clear.", attachments=("application/pdf, mark 1",))
    assert report.whole_text == "Clear.\nKept with the message: application/pdf, mark 1"
