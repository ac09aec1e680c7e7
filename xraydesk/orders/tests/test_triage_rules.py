"""What triage finds, question by question."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xraydesk.orders import rules
from xraydesk.orders.rules import Code, ExamAsked, Finding, Level, OpenExam, PatientSeen, ProcedureAsked
from xraydesk.orders.states import Priority
from xraydesk.siteplan.policies import Policies

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
CHEST = ProcedureAsked(text="Chest 2 views")
KNEE = ProcedureAsked(text="Knee 2 views", sides=("L", "R", "B"))
ADA = PatientSeen(has_name=True, birth_date=date(1969, 5, 12), sex="F")
EXAM = ExamAsked(
    procedure=CHEST,
    code="XRCHEST2",
    text="Chest 2 views",
    laterality="",
    reason="cough",
    clinical_information="",
    provider="Dr Order",
    patient_class="O",
    ward="",
    requested_at=None,
)
LEFT_KNEE = replace(EXAM, procedure=KNEE, text="Knee 2 views", laterality="L", reason="fall")


def decide(
    exam: ExamAsked = EXAM,
    patient: PatientSeen = ADA,
    others: tuple[OpenExam, ...] = (),
    policies: Policies | None = None,
) -> rules.Decision:
    return rules.triage(
        exam=exam, patient=patient, others=others, policies=policies or Policies(), at=AT, today=TODAY
    )


def of(decision: rules.Decision, code: Code) -> list[Finding]:
    return [f for f in decision.findings if f.code is code]


def level(decision: rules.Decision, code: Code) -> list[Level]:
    return [f.level for f in of(decision, code)]


def test_a_complete_order_needs_no_person() -> None:
    decision = decide()
    assert decision.accepted
    assert decision.reasons == ()
    assert [f.code for f in decision.findings] == [Code.COMPLETE, Code.PROCEDURE, Code.DUPLICATE]


@pytest.mark.parametrize(
    ("exam", "patient", "missing"),
    [
        (EXAM, replace(ADA, has_name=False), "Not said: the patient's name."),
        (EXAM, replace(ADA, birth_date=None), "Not said: the birth date."),
        (EXAM, replace(ADA, sex=""), "Not said: the patient's sex."),
        (
            replace(EXAM, reason="", provider=""),
            replace(ADA, sex=""),
            "Not said: the patient's sex, the reason and who asks.",
        ),
    ],
)
def test_what_is_not_said_is_named_and_asked(exam: ExamAsked, patient: PatientSeen, missing: str) -> None:
    decision = decide(exam, patient)
    assert not decision.accepted
    assert decision.reasons == (missing,)
    assert level(decision, Code.COMPLETE) == [Level.ASK]


@pytest.mark.parametrize(
    ("exam", "missing"),
    [
        (replace(EXAM, reason=""), "Not said: the reason."),
        (replace(EXAM, provider=""), "Not said: who asks."),
        (replace(EXAM, patient_class="I"), "Not said: the ward."),
    ],
)
def test_what_can_be_asked_meanwhile_is_noted_and_holds_nothing_up(exam: ExamAsked, missing: str) -> None:
    decision = decide(exam)
    assert decision.accepted
    assert level(decision, Code.COMPLETE) == [Level.NOTE]
    assert missing in [f.sentence for f in decision.findings]


@pytest.mark.parametrize(
    "exam",
    [replace(EXAM, patient_class="I", ward="W3"), replace(EXAM, reason="", clinical_information="cough")],
    ids=["inpatient with a ward", "reason among the clinical information"],
)
def test_what_is_said_elsewhere_counts(exam: ExamAsked) -> None:
    assert decide(exam).accepted


def test_an_unknown_procedure_is_held_unless_the_site_lets_it_pass() -> None:
    unknown = replace(EXAM, procedure=None, code="X9", text="Skull")
    assert decide(unknown).reasons == ("“Skull” is not on this department's list of exams.",)
    assert decide(unknown, policies=Policies(accept_unknown_procedure=True)).accepted


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        ("X9", "", "“X9” is not on this department's list of exams."),
        ("", "", "An exam without a name is not on this department's list of exams."),
    ],
)
def test_an_unknown_procedure_is_named_by_what_there_is(code: str, text: str, sentence: str) -> None:
    assert decide(replace(EXAM, procedure=None, code=code, text=text)).reasons == (sentence,)


def test_a_duplicate_is_held_and_names_the_other_exam() -> None:
    one = decide(others=(OpenExam("A1", AT),))
    assert one.reasons == ("The same exam is asked for already: A1.",)
    assert "1 exam of" in of(one, Code.DUPLICATE)[0].detail
    two = decide(others=(OpenExam("A1", AT), OpenExam("A2", AT)))
    assert "2 exams of" in of(two, Code.DUPLICATE)[0].detail


@pytest.mark.parametrize(
    ("procedure", "laterality", "level_", "sentence"),
    [
        (KNEE, "", Level.HOLD, "The side is missing: left or right or both sides?"),
        (KNEE, "L", Level.GOOD, "The side is given: left."),
        (replace(KNEE, sides=("L", "R")), "B", Level.HOLD, "Knee 2 views is not offered for both sides."),
        (CHEST, "R", Level.ASK, "A side is given (right), but this exam has none."),
    ],
)
def test_the_side_is_held_against_the_procedure(
    procedure: ProcedureAsked, laterality: str, level_: Level, sentence: str
) -> None:
    (found,) = of(decide(replace(EXAM, procedure=procedure, laterality=laterality)), Code.SIDE)
    assert (found.level, found.sentence) == (level_, sentence)


@pytest.mark.parametrize(
    ("laterality", "text", "reason", "levels"),
    [
        ("L", "Knee 2 views", "fall on the left knee", []),
        ("L", "Knee 2 views", "pain in R knee", [Level.ASK]),
        ("L", "XR KNEE RIGHT", "fall", [Level.ASK]),
        ("R", "Knee", "left knee swollen", [Level.ASK]),
        ("L", "Knee 2 views", "left knee worse than right", [Level.NOTE]),
        ("B", "Knee 2 views", "left knee", []),
        ("B", "Knee 2 views", "bilateral knee pain", []),
        ("L", "Knee right", "pain in R knee", [Level.ASK, Level.ASK]),
    ],
)
def test_a_side_in_the_words_is_compared_with_the_side_ordered(
    laterality: str, text: str, reason: str, levels: list[Level]
) -> None:
    decision = decide(replace(LEFT_KNEE, laterality=laterality, text=text, reason=reason))
    assert level(decision, Code.SIDE_IN_TEXT) == levels


def test_the_words_of_a_contradicted_side_say_both() -> None:
    (found,) = of(decide(replace(LEFT_KNEE, reason="R wrist swollen")), Code.SIDE_IN_TEXT)
    assert found.sentence == "The reason names the right; the order is for the left only."
    (found,) = of(decide(replace(LEFT_KNEE, laterality="R", reason="left wrist")), Code.SIDE_IN_TEXT)
    assert found.sentence == "The reason names the left; the order is for the right only."


@pytest.mark.parametrize(
    ("low", "high", "birth", "level_", "part"),
    [
        (None, None, date(2020, 1, 1), None, ""),
        (None, 17, date(2009, 3, 2), Level.GOOD, "people up to 17 years"),
        (None, 16, date(2009, 3, 2), Level.HOLD, "17 years old; this exam is for people up to 16 years"),
        (18, None, date(2008, 3, 3), Level.HOLD, "17 years old; this exam is for people from 18 years"),
        (18, None, date(2008, 3, 2), Level.GOOD, "people from 18 years"),
        (1, 3, date(2025, 1, 1), Level.GOOD, "people of 1 to 3 years"),
        (2, 3, date(2025, 1, 1), Level.HOLD, "1 year old"),
        (1, 3, None, Level.ASK, "the birth date is not known"),
    ],
)
def test_the_age_is_held_against_the_procedure(
    low: int | None, high: int | None, birth: date | None, level_: Level | None, part: str
) -> None:
    procedure = replace(CHEST, age_min_years=low, age_max_years=high)
    found = of(decide(replace(EXAM, procedure=procedure), replace(ADA, birth_date=birth)), Code.AGE)
    assert [f.level for f in found] == ([level_] if level_ else [])
    assert all(part in f.sentence + f.detail for f in found)


def test_a_birth_date_in_the_future_is_asked() -> None:
    assert level(decide(patient=replace(ADA, birth_date=date(2026, 3, 3))), Code.AGE) == [Level.ASK]


@pytest.mark.parametrize(
    ("wanted", "sex", "levels"),
    [
        ("", "M", []),
        ("F", "F", [Level.GOOD]),
        ("F", "M", [Level.HOLD]),
        ("M", "F", [Level.HOLD]),
        ("F", "O", [Level.NOTE]),
        ("F", "", [Level.NOTE]),
    ],
)
def test_the_sex_is_held_against_the_procedure(wanted: str, sex: str, levels: list[Level]) -> None:
    decision = decide(replace(EXAM, procedure=replace(CHEST, sex=wanted)), replace(ADA, sex=sex))
    assert level(decision, Code.SEX) == levels


@pytest.mark.parametrize(
    ("check", "patient", "levels"),
    [
        (False, replace(ADA, pregnancy="yes"), []),
        (True, replace(ADA, sex="M"), []),
        (True, replace(ADA, pregnancy="yes"), [Level.ASK]),
        (True, replace(ADA, birth_date=date(1996, 1, 1)), [Level.NOTE]),
        (True, replace(ADA, birth_date=date(2020, 1, 1)), []),
        (True, ADA, []),
        (True, replace(ADA, birth_date=None), [Level.NOTE]),
    ],
)
def test_pregnancy_is_looked_at_where_the_exam_asks_for_it(
    check: bool, patient: PatientSeen, levels: list[Level]
) -> None:
    exam = replace(EXAM, procedure=replace(CHEST, pregnancy_check=check))
    assert level(decide(exam, patient), Code.PREGNANCY) == levels


def test_pregnancy_of_an_unknown_procedure_is_not_judged() -> None:
    decision = decide(replace(EXAM, procedure=None), replace(ADA, pregnancy="yes"))
    assert of(decision, Code.PREGNANCY) == []


def test_an_exam_of_somebody_recorded_as_dead_is_held() -> None:
    assert level(decide(patient=replace(ADA, deceased=True)), Code.DECEASED) == [Level.HOLD]


def test_a_time_that_has_passed_is_noted_and_holds_nothing() -> None:
    late = decide(replace(EXAM, requested_at=AT - timedelta(minutes=6)))
    assert late.accepted
    assert level(late, Code.TIME) == [Level.NOTE]
    assert of(decide(replace(EXAM, requested_at=AT - timedelta(minutes=5))), Code.TIME) == []


def test_the_weightiest_finding_comes_first() -> None:
    decision = decide(replace(LEFT_KNEE, laterality="", reason=""), others=(OpenExam("A1", AT),))
    assert [f.level for f in decision.findings] == sorted(
        (f.level for f in decision.findings), key=["hold", "ask", "note", "good"].index
    )


def test_a_finding_is_kept_and_read_again_unchanged() -> None:
    for finding in decide(LEFT_KNEE).findings:
        assert Finding.from_json(finding.as_json()) == finding


_words = st.text(alphabet="LRlr /.abeftghinkstwo", max_size=40)


@given(
    procedure=st.sampled_from(
        [None, CHEST, KNEE, replace(CHEST, sex="F", age_min_years=3, pregnancy_check=True)]
    ),
    laterality=st.sampled_from(["", "L", "R", "B"]),
    text=_words,
    reason=_words,
    birth=st.none() | st.dates(min_value=date(1900, 1, 1), max_value=date(2027, 1, 1)),
    sex=st.sampled_from(["", "F", "M", "O", "U"]),
)
def test_whatever_comes_is_either_accepted_or_held_with_a_reason(  # noqa: PLR0917
    procedure: ProcedureAsked | None,
    laterality: str,
    text: str,
    reason: str,
    birth: date | None,
    sex: str,
) -> None:
    exam = replace(EXAM, procedure=procedure, laterality=laterality, text=text, reason=reason)
    decision = decide(exam, replace(ADA, birth_date=birth, sex=sex))
    assert decision.accepted == (decision.reasons == ())
    assert all(f.sentence.endswith((".", "?")) for f in decision.findings)


def test_by_when_an_exam_is_due() -> None:
    policies, wish = Policies(), AT + timedelta(hours=2)

    def due(priority: Priority, requested_at: datetime | None) -> datetime | None:
        return rules.due_at(priority=priority, requested_at=requested_at, received_at=AT, policies=policies)

    assert due(Priority.STAT, None) == AT + timedelta(minutes=60)
    assert due(Priority.STAT, wish) == wish + timedelta(minutes=60)
    assert due(Priority.URGENT, None) == AT + timedelta(minutes=240)
    assert due(Priority.ROUTINE, wish) is None


@pytest.mark.parametrize(
    ("code", "system", "offered", "meant"),
    [
        ("A", "L", [("A", "L"), ("A", "LN")], ("A", "L")),
        ("A", "LN", [("A", "L")], None),
        ("A", "", [("A", "L")], ("A", "L")),
        ("A", "", [("A", "LN")], ("A", "LN")),
        ("A", "", [("A", "L"), ("A", "LN")], None),
        ("A", "99EHR", [("A", "L"), ("A", "LN")], ("A", "L")),
        ("A", "L", [("A", "LN")], None),
        ("B", "L", [("A", "L")], None),
    ],
)
def test_which_procedure_an_order_means(
    code: str, system: str, offered: list[tuple[str, str]], meant: tuple[str, str] | None
) -> None:
    assert rules.procedure_meant(code=code, system=system, offered=offered) == meant


@pytest.mark.parametrize(
    ("born", "day", "years"),
    [
        (date(2000, 2, 29), date(2026, 2, 28), 25),
        (date(2000, 2, 29), date(2026, 3, 1), 26),
        (date(2000, 3, 2), date(2026, 3, 2), 26),
    ],
)
def test_age_in_whole_years(born: date, day: date, years: int) -> None:
    assert rules.age_years(born, day) == years
