"""What is taken back, and what it is called from then on."""

from __future__ import annotations

from datetime import date
from itertools import count

from xraydesk.imaging.rejection_rules import (
    CODE_MEANINGS,
    Going,
    Gone,
    Reference,
    RejectionCode,
    as_sent,
    new_numbers,
    note_of_json,
    notes,
)
from xraydesk.imaging.tests.test_rules import IMAGE, image


def test_what_was_corrected_on_its_way_out_is_what_others_have() -> None:
    sent = as_sent(
        image(series_instance_uid="1.3"),
        {"PatientID": "N9", "PatientBirthDate": "19800102", "StudyInstanceUID": "1.2.9", "Unknown": "x"},
    )
    assert (sent.patient_id, sent.patient_birth_date, sent.study_instance_uid) == (
        "N9",
        date(1980, 1, 2),
        "1.2.9",
    )
    assert (sent.patient_name, sent.series_instance_uid) == (IMAGE.patient_name, "1.3")
    assert as_sent(IMAGE, {"PatientBirthDate": ""}).patient_birth_date is None
    assert as_sent(IMAGE, {}) == IMAGE


def test_there_is_one_note_for_each_study_and_set_of_destinations_and_none_for_what_stayed() -> None:
    gone = [
        Gone(1, image(sop_instance_uid="1.1"), ("PACS", "ARCHIVE")),
        Gone(2, image(sop_instance_uid="1.2"), ("ARCHIVE", "PACS")),
        Gone(3, image(sop_instance_uid="1.3"), ("PACS",)),
        Gone(4, image(sop_instance_uid="1.4", study_instance_uid="9.9", patient_birth_date=None), ("PACS",)),
        Gone(5, image(sop_instance_uid="1.5"), ()),
    ]
    made = notes(gone, RejectionCode.WRONG_ENTRY)
    assert [([r.image_id for r in note.references], where) for note, where in made] == [
        ([1, 2], ("ARCHIVE", "PACS")),
        ([3], ("PACS",)),
        ([4], ("PACS",)),
    ]
    first = made[0][0]
    assert (first.patient_id, first.patient_birth_date, first.accession) == ("N1", "19690512", "A1")
    assert first.references[0] == Reference(1, "", IMAGE.sop_class_uid, "1.1")
    assert made[2][0].patient_birth_date == ""
    assert all(note_of_json(note.as_json()) == note for note, _ in made)


def test_every_reason_has_its_meaning() -> None:
    assert set(CODE_MEANINGS) == set(RejectionCode)


def test_what_left_has_new_numbers_and_a_series_stays_together() -> None:
    uids = (str(n) for n in count(1))
    going = [Going(1, "S", True), Going(2, "S", True), Going(3, "T", False), Going(4, "U", False)]
    numbers = new_numbers(going, split_series={"U"}, new_uid=lambda: next(uids))
    assert numbers[1]["SeriesInstanceUID"] == numbers[2]["SeriesInstanceUID"]
    assert numbers[1]["SOPInstanceUID"] != numbers[2]["SOPInstanceUID"]
    assert numbers[3] == {}
    assert set(numbers[4]) == {"SeriesInstanceUID"}
    assert len({uid for wanted in numbers.values() for uid in wanted.values()}) == 4
