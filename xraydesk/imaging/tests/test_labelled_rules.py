"""Whether an image is labelled right: by its numbers, its patient, what it shows, and when and where it was taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from xraydesk.imaging.header import Header, StepReport
from xraydesk.imaging.labelled_rules import (
    WAY_OF,
    Circumstances,
    Finding,
    Matched,
    Mismatch,
    Moved,
    Performed,
    Waiting,
    Way,
    circumstance_doubts,
    findings_of_json,
    heaviest_first,
    holds,
    match,
    moved_with,
    score,
    step_findings,
    weight_of,
    with_circumstances,
)
from xraydesk.imaging.rules import Candidate, Person, corrections
from xraydesk.imaging.tests.test_rules import ADA, EXAM, IMAGE, OTHER, image
from xraydesk.patients.demographics import Identifier
from xraydesk.siteplan.policies import ALWAYS_HELD, LABEL_WEIGHTS, LabelDoubt, Policies

USUAL = Policies()


def matched(said: Header, exams: Iterable[Candidate], policies: Policies = USUAL) -> Matched | Mismatch:
    return match(said, exams, policies)


def decided(found: Matched | Mismatch) -> tuple[int | None, tuple[str, ...]]:
    assert isinstance(found, Mismatch)
    return found.exam_id, found.reasons


def doubts(said: Header, exam: Candidate = EXAM) -> set[LabelDoubt]:
    return {finding.doubt for finding in matched(said, [exam]).findings}


def test_an_image_with_all_numbers_of_its_exam_is_matched_without_notes() -> None:
    assert matched(IMAGE, [OTHER, EXAM]) == Matched(1)


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
    assert matched(image(**said), [EXAM]) == Matched(1)


def test_a_number_that_stood_for_the_name_on_the_machine_is_no_other_name_and_is_corrected() -> None:
    """A machine that could not show the name was given the number in its place."""
    said = image(patient_name="NO. N1")
    assert matched(said, [EXAM]) == Matched(1)
    assert corrections(said, EXAM)["PatientName"] == ADA.name
    assert LabelDoubt.OTHER_NAME in doubts(image(patient_name="NO. N2"))


def test_a_machine_that_still_knows_the_patient_as_before_a_merge_is_believed_and_its_image_corrected() -> (
    None
):
    before = Person((Identifier("T7", "HOSP", "MR"),), "UNKNOWN^SEVEN", None, "")
    exam = replace(EXAM, patient=replace(ADA, former=(before,)))
    said = image(patient_id="T7", patient_name="UNKNOWN^SEVEN", patient_birth_date=None, patient_sex="")
    assert matched(said, [exam]) == Matched(1)
    wanted = corrections(said, exam)
    assert (wanted["PatientID"], wanted["PatientName"]) == ("N1", "Prüfer^Ada")
    stranger = image(patient_id="T7", patient_name="SOMEBODY^ELSE", patient_birth_date=None, patient_sex="")
    assert isinstance(matched(stranger, [exam]), Mismatch)


def test_an_image_with_a_study_of_its_own_is_found_by_accession_and_noted() -> None:
    found = matched(image(study_instance_uid="7.7", body_part="lower leg"), [EXAM])
    assert isinstance(found, Matched)
    assert found.notes == ("carries a study number of its own",)
    assert [f.sentence for f in found.findings] == ["says lower leg, ordered knee"]


def test_an_image_is_found_by_both_step_numbers_alone_but_not_by_one() -> None:
    said = image(study_instance_uid="", accession="", requested_procedure_id="R1", scheduled_step_id="S1")
    assert isinstance(matched(said, [OTHER, EXAM]), Matched)
    assert isinstance(matched(replace(said, scheduled_step_id=""), [EXAM]), Mismatch)
    assert isinstance(matched(replace(said, scheduled_step_id="S9"), [EXAM]), Mismatch)


def test_an_image_of_no_exam_known_here_claims_none() -> None:
    found = matched(image(study_instance_uid="7.7", accession="X"), [EXAM])
    assert decided(found) == (None, ("no exam here has its study or its accession number",))


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
    assert decided(matched(image(**said), [EXAM, OTHER])) == (1, (reason,))


def test_reasons_name_what_differs_and_never_whom() -> None:
    found = matched(image(patient_id="W1", patient_name="Other^Person"), [EXAM])
    assert isinstance(found, Mismatch)
    assert len(found.reasons) == 2
    assert not any(word in " ".join(found.reasons) for word in ("W1", "Other", "Prüfer", "N1"))


def test_an_image_of_a_cancelled_exam_waits_for_a_person() -> None:
    found = matched(IMAGE, [replace(EXAM, is_cancelled=True)])
    assert decided(found) == (1, ("exam A1 was cancelled and never begun",))


def test_a_patient_without_name_and_birth_date_is_known_by_number_alone() -> None:
    unknown = replace(EXAM, patient=Person((Identifier("N1"),)))
    assert matched(image(patient_id_issuer="ANY"), [unknown]) == Matched(1)


def test_every_doubt_has_a_weight_and_a_way() -> None:
    assert set(LABEL_WEIGHTS) == set(WAY_OF) == set(LabelDoubt)
    assert all(LABEL_WEIGHTS[doubt] >= USUAL.label_limit for doubt in ALWAYS_HELD)


def test_two_agreeing_identifiers_outweigh_a_changed_or_misspelt_family_name() -> None:
    married = matched(image(patient_name="Novak^Ada"), [EXAM])
    assert isinstance(married, Matched)
    assert [(f.doubt, f.weight) for f in married.findings] == [(LabelDoubt.OTHER_FAMILY_NAME, 60)]
    assert corrections(image(patient_name="Novak^Ada"), EXAM) == {"PatientName": "Prüfer^Ada"}
    assert doubts(image(patient_name="Prufen^Ada")) == {LabelDoubt.NEAR_NAME}
    assert doubts(image(patient_name="Novak^Ada", patient_birth_date=None)) == {LabelDoubt.OTHER_NAME}
    assert doubts(image(patient_name="Prufen^Ada", patient_id="W1")) == {
        LabelDoubt.OTHER_NUMBER,
        LabelDoubt.OTHER_NAME,
    }
    both = image(patient_name="Novak^Ada", body_part="lower leg", view_position="OBL")
    knee = replace(EXAM, views=("AP", "LAT"))
    assert isinstance(matched(both, [knee]), Mismatch)


def test_a_name_that_the_patient_had_before_a_merge_is_the_patients() -> None:
    before = Person((Identifier("T7", "HOSP", "MR"),), "Novak^Ada", date(1969, 5, 12), "F")
    exam = replace(EXAM, patient=replace(ADA, former=(before,)))
    assert doubts(image(patient_name="NOVAK^ADA"), exam) == set()


def test_twins_are_two_people() -> None:
    twin = image(patient_name="Prüfer^Ida")
    assert isinstance(matched(twin, [EXAM]), Mismatch)
    assert doubts(twin) == {LabelDoubt.OTHER_NAME}


@pytest.mark.parametrize(
    ("said", "doubt"),
    [
        ({"marker_texts": ("KNEE LAT L",)}, LabelDoubt.OTHER_SIDE_MARKED),
        ({"laterality": "R", "marker_texts": ("L KNEE",)}, LabelDoubt.OTHER_SIDE_MARKED),
        ({"laterality": "L", "marker_texts": ("L KNEE",)}, LabelDoubt.OTHER_SIDE),
        ({"body_part": "CHEST"}, LabelDoubt.OTHER_PART),
    ],
)
def test_another_side_or_part_waits_for_a_person(said: dict[str, Any], doubt: LabelDoubt) -> None:
    found = matched(image(**said), [EXAM])
    assert isinstance(found, Mismatch)
    assert [f.doubt for f in found.findings] == [doubt]


def test_what_a_marker_says_of_a_bilateral_exam_must_be_what_the_header_says() -> None:
    both = replace(EXAM, laterality="B")
    assert doubts(image(laterality="L", marker_texts=("KNEE L",)), both) == set()
    assert doubts(image(laterality="R", marker_texts=("KNEE R",)), both) == set()
    assert doubts(image(laterality="L", marker_texts=("KNEE R",)), both) == {LabelDoubt.SIDES_DISAGREE}
    assert doubts(image(laterality="B", marker_texts=("KNEE R",)), both) == set()
    assert doubts(image(laterality="L", marker_texts=("KNEE R",)), replace(EXAM, laterality="")) == set()


@pytest.mark.parametrize(
    ("said", "found", "is_held"),
    [
        ({"body_part": "LEG"}, set(), False),
        ({"body_part": "PATTERN"}, set(), False),
        ({"body_part": "FEMUR"}, {LabelDoubt.NEAR_PART}, False),
        ({"marker_texts": ("CHEST PA",)}, {LabelDoubt.OTHER_PART_MARKED}, True),
        ({"marker_texts": ("WRIST",)}, {LabelDoubt.OTHER_PART_MARKED}, True),
        (
            {"body_part": "FEMUR", "marker_texts": ("CHEST",)},
            {LabelDoubt.NEAR_PART, LabelDoubt.OTHER_PART_MARKED},
            True,
        ),
        ({"body_part": "CHEST", "marker_texts": ("CHEST",)}, {LabelDoubt.OTHER_PART}, True),
        ({"view_position": "AP"}, set(), False),
        ({"view_position": "OBL"}, {LabelDoubt.OTHER_VIEW}, False),
        ({"view_position": "MORTISE"}, {LabelDoubt.OTHER_VIEW, LabelDoubt.VIEW_OF_OTHER_PART}, True),
        (
            {"marker_texts": ("ankle mortise",)},
            {LabelDoubt.OTHER_PART_MARKED, LabelDoubt.OTHER_VIEW, LabelDoubt.VIEW_OF_OTHER_PART},
            True,
        ),
    ],
)
def test_parts_and_views_weigh_by_how_far_they_lie_from_what_was_asked_for(
    said: dict[str, Any], found: set[LabelDoubt], is_held: bool
) -> None:
    knee = replace(EXAM, views=("PA", "LAT"))
    assert doubts(image(**said), knee) == found
    assert isinstance(matched(image(**said), [knee]), Mismatch) is is_held


def test_a_part_is_read_from_the_procedures_name_where_it_has_no_other() -> None:
    named = replace(EXAM, body_part="", procedure_text="Knee 2 views")
    assert doubts(image(body_part="CHEST"), named) == {LabelDoubt.OTHER_PART}


def test_a_site_weighs_otherwise_but_never_makes_light_of_whose_image_it_is() -> None:
    light = Policies(label_weights={"another part": 0, "another side": 60, "another name": 0})
    assert matched(image(body_part="CHEST"), [EXAM], light) == Matched(1)
    assert isinstance(matched(image(laterality="L"), [EXAM], light), Matched)
    assert isinstance(matched(image(patient_name="Other^Person"), [EXAM], light), Mismatch)
    high = Policies(label_limit=300)
    assert isinstance(matched(image(laterality="L"), [EXAM], high), Matched)
    assert isinstance(matched(image(patient_name="Other^Person"), [EXAM], high), Mismatch)


TAKEN = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "is_with"),
    [
        (Moved(5, "1.2", "XR2"), True),
        (Moved(5, "1.3", "XR1", TAKEN + timedelta(minutes=10)), True),
        (Moved(5, "1.3", "XR1", TAKEN + timedelta(minutes=11)), False),
        (Moved(5, "1.3", "XR2", TAKEN), False),
        (Moved(5, "1.3", "XR1"), False),
    ],
)
def test_what_was_taken_with_an_image_went_with_it(said: Moved, is_with: bool) -> None:
    found = moved_with([said], series_instance_uid="1.2", machine="XR1", taken_at=TAKEN)
    assert found == ({5} if is_with else set())
    assert not moved_with([Moved(5, "", "XR1", TAKEN)], series_instance_uid="", machine="XR1", taken_at=None)


def test_a_straggler_of_what_was_moved_waits_for_a_person() -> None:
    assert decided(match(IMAGE, [EXAM], USUAL, moved_to={EXAM.exam_id + 1})) == (
        EXAM.exam_id,
        ("a person said that what was taken with it belongs to another exam",),
    )
    assert isinstance(match(IMAGE, [EXAM], USUAL, moved_to={EXAM.exam_id}), Matched)


@pytest.mark.parametrize(
    ("said", "sentences"),
    [
        ({}, ()),
        ({"patient_id": "N1", "patient_name": "PRUFER^ADA", "patient_sex": "F"}, ()),
        ({"patient_id": "N1", "patient_sex": "O"}, ()),
        ({"patient_id": "N1", "patient_sex": "M"}, ("it carries another sex",)),
        ({"patient_name": "Prufer^Ada", "patient_birth_date": date(1969, 5, 12)}, ()),
        ({"patient_id": "N2"}, ("it carries another patient number",)),
        (
            {"patient_id": "N1", "patient_name": "Moreau^Claire", "patient_birth_date": date(1981, 7, 4)},
            ("it carries another name", "it carries another birth date"),
        ),
    ],
    ids=[
        "nothing",
        "the same",
        "a sex of nobody",
        "another sex",
        "no number",
        "another number",
        "another person",
    ],
)
def test_a_step_is_of_somebody_else_by_what_it_says_and_not_by_what_it_leaves_out(
    said: dict[str, Any], sentences: tuple[str, ...]
) -> None:
    found = step_findings(StepReport("1.9", **said), ADA, USUAL)
    assert tuple(finding.sentence for finding in found) == sentences


def test_a_picture_never_holds_by_itself() -> None:
    heavy = Policies(label_weights={"another part in the picture": 900})
    seen = Finding(LabelDoubt.OTHER_PART_SEEN, weight_of(LabelDoubt.OTHER_PART_SEEN, heavy), "shows a hand")
    assert seen.weight == 99
    assert not holds([seen, seen], heavy)
    near = Finding(LabelDoubt.NEAR_PART, 30, "says wrist, ordered hand")
    assert holds([seen, near], heavy)


def test_findings_are_kept_with_their_image_and_read_again() -> None:
    found = matched(image(laterality="L", body_part="FEMUR"), [EXAM]).findings
    assert findings_of_json([f.as_json() for f in found]) == found
    assert score(found) == 130
    assert [f.weight for f in heaviest_first(reversed(found))] == [100, 30]
    assert findings_of_json([{"doubt": "of another version", "weight": 1, "sentence": ""}]) == ()
    assert {f.way for f in found} == {Way.ANATOMY}


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ME, ELSE = 1, 2


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def step(start: int, end: int | None, patient: int = ME, room: str = "XR1") -> Performed:
    return Performed(patient, patient, room, at(start), None if end is None else at(end))


def there(**said: Any) -> Circumstances:
    base: dict[str, Any] = {
        "taken_at": NOON,
        "received_at": at(1),
        "patient_id": ME,
        "room": "XR1",
        "own": (step(-5, 5),),
        "arrived_at": at(-20),
    }
    return Circumstances(**(base | said))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, set()),
        ({"own": ()}, set()),
        ({"taken_at": None, "own": (step(-90, -80),)}, set()),
        ({"own": (step(2, None),)}, set()),
        ({"own": (step(3, None),)}, {LabelDoubt.OUTSIDE_ITS_STEP}),
        ({"own": (replace(step(9, None), by_hand=True),)}, set()),
        ({"own": (replace(step(-90, -11), by_hand=True),)}, {LabelDoubt.OUTSIDE_ITS_STEP}),
        ({"own": (step(-90, -80),)}, {LabelDoubt.OUTSIDE_ITS_STEP}),
        ({"own": (step(-90, -80), step(-1, None))}, set()),
        ({"taken_at": at(30), "own": (step(-5, 5),)}, set()),
        ({"arrived_at": at(5)}, set()),
        ({"arrived_at": at(11)}, {LabelDoubt.BEFORE_ARRIVAL}),
        ({"arrived_at": None}, set()),
        ({"room": "XR2"}, {LabelDoubt.OTHER_ROOM}),
        ({"room": ""}, set()),
        ({"room": "XR2", "own": (step(-5, 5, room=""),)}, set()),
        ({"room": "XR2", "own": (step(-5, 5), step(6, 9, room="XR2"))}, set()),
        ({"others": (step(-9, -2, ELSE),)}, set()),
        ({"others": (step(-2, None, ELSE),)}, {LabelDoubt.BOTH_EXAMS_OPEN}),
        ({"others": (step(-2, None, ME),)}, set()),
        (
            {"others": (step(-2, None, ELSE),), "own": (step(-40, -12),)},
            {LabelDoubt.OTHER_EXAM_OPEN, LabelDoubt.OUTSIDE_ITS_STEP},
        ),
        ({"looks_like": "hand"}, {LabelDoubt.OTHER_PART_SEEN}),
        ({"was_shown": True}, set()),
        ({"was_shown": False}, {LabelDoubt.NOT_ON_WORKLIST}),
    ],
)
def test_time_and_place_speak_for_an_image_or_against_it(
    said: dict[str, Any], found: set[LabelDoubt]
) -> None:
    assert {doubt for doubt, _ in circumstance_doubts(there(**said))} == found


WAITED = Waiting(2, ELSE, at(-5), at(10), arrived_at=at(-15))


@pytest.mark.parametrize(
    ("said", "is_doubted"),
    [
        ({}, True),
        ({"arrived_at": at(-1)}, False),
        ({"is_identified": True}, False),
        ({"is_urgent": True}, False),
        ({"waiting": (replace(WAITED, patient_id=ME),)}, False),
        ({"waiting": (replace(WAITED, arrived_at=at(1)),)}, False),
        ({"waiting": (replace(WAITED, begun_at=at(-3)),)}, False),
        ({"waiting": (replace(WAITED, begun_at=at(30)),)}, True),
        ({"waiting": (replace(WAITED, start=at(31), end=at(40)),)}, False),
        ({"waiting": (replace(WAITED, start=at(-60), end=at(-31)),)}, False),
    ],
)
def test_a_wrong_entry_of_the_worklist_is_known_by_who_waited(said: dict[str, Any], is_doubted: bool) -> None:
    """Row 40: nobody saw the entry's patient here, and the one who was here for this room is not begun."""
    base = {"arrived_at": None, "waiting": (WAITED,), "is_due": False}
    found = circumstance_doubts(there(**(base | said)))
    assert [doubt for doubt, _ in found] == ([LabelDoubt.OTHER_WAITED] if is_doubted else [])
    due = circumstance_doubts(there(**(base | said | {"is_due": True})))
    assert [doubt for doubt, _ in due] == ([LabelDoubt.BOTH_DUE] if is_doubted else [])


def test_time_is_looked_at_anew_and_the_header_is_not() -> None:
    header = Finding(LabelDoubt.NEAR_PART, 30, "says wrist, ordered hand")
    before = with_circumstances([header], there(room="XR2", was_shown=False), USUAL)
    assert [f.doubt for f in before] == [
        LabelDoubt.NEAR_PART,
        LabelDoubt.NOT_ON_WORKLIST,
        LabelDoubt.OTHER_ROOM,
    ]
    assert holds(before, USUAL)
    assert with_circumstances(before, there(), USUAL) == (header,)


def test_no_sentence_names_anybody() -> None:
    everything = [
        *matched(
            image(patient_id="W1", patient_name="Other^Person", body_part="CHEST", laterality="L"), [EXAM]
        ).findings,
        *with_circumstances([], there(room="XR2", others=(step(-2, None, ELSE),), was_shown=False), USUAL),
    ]
    said = " ".join(finding.sentence for finding in everything)
    assert not any(word in said for word in ("W1", "Other", "Person", "Prüfer", "N1", "1969"))
