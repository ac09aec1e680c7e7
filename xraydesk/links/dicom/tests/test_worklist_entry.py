from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from itertools import product

import pytest

from xraydesk.imaging.states import StepState
from xraydesk.links.dicom.elements import Element, Encoder
from xraydesk.links.dicom.reading import decode
from xraydesk.links.dicom.worklist_codec import STEPS
from xraydesk.links.dicom.worklist_entry import (
    SUPPORTED,
    Entry,
    StepStatus,
    described,
    name,
    step_status,
    tree_of_entry,
)

ZONE = timezone(timedelta(hours=-5))
ENTRY = Entry(
    accession="A1",
    study_instance_uid="1.2.3",
    requested_procedure_id="R1",
    scheduled_step_id="S1",
    start=datetime(2026, 3, 2, 10, tzinfo=ZONE),
    end=datetime(2026, 3, 2, 10, 10, tzinfo=ZONE),
    status=StepStatus.SCHEDULED,
    station_ae_titles=("XR1",),
    modality="DX",
    family="Prüfer",
    given="Ada",
    birth_date=date(1969, 5, 12),
    sex="U",
    procedure_code="XRKNEE2",
    procedure_system="L",
    procedure_text="Knee 2 views",
    laterality="L",
    alerts=(("Drug Allergy", "Latex"), ("fall risk", "Fall risk")),
    ward="W3",
    bed="12",
)
EVERYTHING = {tag: Element("SQ" if below is not None else "LO") for tag, below in SUPPORTED.items()}


def test_every_key_that_is_known_is_answered_and_pydicom_reads_it():
    tree = tree_of_entry(ENTRY, EVERYTHING)
    assert tree.keys() == SUPPORTED.keys() - {0x00080005}
    assert tree[STEPS].items[0].keys() == SUPPORTED[STEPS].keys()
    dataset = decode(Encoder(False, ("ISO_IR 192",)).encode(tree), "1.2.840.10008.1.2.1")
    assert dataset.TimezoneOffsetFromUTC == "-0500"
    assert dataset.PatientSex in {"", None}
    assert (dataset.Allergies, dataset.MedicalAlerts) == ("Latex", "Fall risk")
    assert dataset.CurrentPatientLocation == "W3 12"
    (code,) = dataset.RequestedProcedureCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == (
        "XRKNEE2",
        "99XRD",
        "Knee 2 views",
    )
    assert dataset.ScheduledProcedureStepSequence[0].ScheduledProcedureStepEndTime == "101000"


def test_an_entry_without_a_code_or_a_birth_date_is_whole_too():
    bare = replace(ENTRY, procedure_code="", birth_date=None, pregnancy="yes")
    tree = tree_of_entry(bare, EVERYTHING)
    assert tree[0x00321064].items == ()
    assert tree[0x00100030].values == ()
    assert tree[0x001021C0].values == ("3",)


def test_only_what_is_asked_for_is_made():
    assert tree_of_entry(ENTRY, {0x00080050: Element("SH")}).keys() == {0x00080050}
    step = {0x00400001: Element("AE"), 0x00400099: Element("LO")}
    tree = tree_of_entry(ENTRY, {STEPS: Element("SQ", items=(step,))})
    assert tree[STEPS].items[0].keys() == {0x00400001}
    assert tree_of_entry(ENTRY, {STEPS: Element("SQ")})[STEPS].items[0].keys() == SUPPORTED[STEPS].keys()


def test_an_exam_is_described_with_its_side_in_64_characters():
    assert described(ENTRY) == "Knee 2 views, left"
    assert described(replace(ENTRY, laterality="")) == "Knee 2 views"
    long = described(replace(ENTRY, procedure_text="x" * 100, laterality="B"))
    assert len(long) == 64
    assert long.endswith(", both sides")


def test_a_name_cannot_make_components_of_its_own():
    assert name("Pr^ü=fer", "Ada", "", "", "") == "Pr ü fer^Ada"
    assert name("", "Ada", "", "Dr", "") == "^Ada^^Dr"


@pytest.mark.parametrize(
    ("is_cancelled", "is_booked", "has_arrived", "step"),
    [*product([False, True], [False, True], [False, True], [None, *StepState])],
)
def test_the_status_of_a_step_follows_what_was_done_before_what_was_planned(
    is_cancelled, is_booked, has_arrived, step
):
    status = step_status(is_cancelled=is_cancelled, is_booked=is_booked, has_arrived=has_arrived, step=step)
    if step is StepState.IN_PROGRESS:
        assert status is StepStatus.STARTED
    elif step is StepState.COMPLETED:
        assert status is StepStatus.COMPLETED
    elif is_cancelled:
        assert status is StepStatus.CANCELED
    elif is_booked:
        assert status is (StepStatus.ARRIVED if has_arrived else StepStatus.SCHEDULED)
    else:
        assert status is (StepStatus.DISCONTINUED if step else None)
