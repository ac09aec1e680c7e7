"""Images for research: nothing in them tells whose they are, and what belongs together still does."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.factories import AT
from xraydesk.access.models import Site
from xraydesk.imaging.models import Image
from xraydesk.imaging.rejection_rules import KEY_OBJECT_SELECTION, Reference, RejectionCode, RejectionNote
from xraydesk.lib.ids import is_uid, new_uid
from xraydesk.links.dicom import send
from xraydesk.links.dicom.deidentify import SHIFT_DAYS_MAX, SHIFTED, NotForResearch, Project, for_research

CR = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
LUNGS = Project("Lungs", b"a secret of this site")
TELLS = "Zzyzx"
"""Stands in every text of the object that may tell something."""


def image(**values: object) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CR, new_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = new_uid(), new_uid()
    ds.PatientID, ds.IssuerOfPatientID = "MR-Zzyzx-1", "HOSP"
    ds.PatientName, ds.PatientBirthDate, ds.PatientSex = f"{TELLS}^Ada", "19690512", "F"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20260302", "101500", "Zzyzx77"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "CR", "CHEST", "PA"
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.PixelData = bytes(range(32))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.SourceApplicationEntityTitle = "ZZYZX"
    return ds


def written(ds: Dataset) -> bytes:
    file = io.BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return file.getvalue()


def value_for(vr: str) -> object:
    texts = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}
    if vr in texts:
        return TELLS
    known: dict[str, object] = {
        "CS": "ZZYZX", "AS": "057Y", "DA": "19991231", "DT": "19991231235959", "TM": "235959",
        "DS": "77", "IS": "77", "UI": "1.2.3.777", "UR": "http://zzyzx.example/", "FD": 7.7, "FL": 7.5,
        "SL": 77, "SS": 77, "UL": 77, "US": 77,
    }  # fmt: skip
    return known.get(vr, b"Zzyzx77 ")


def everything_of_the_table() -> Dataset:
    """An image with every attribute that table E.1-1 names and the dictionary knows, on two levels."""
    ds, inside = image(), Dataset()
    kept = set(ds.keys())
    for tag in table.ALL_TAGS:
        if len(tag) > 2 or tag[0] in (0x0000, 0x0002, 0xFFFA, 0xFFFC):
            continue
        try:
            vr = dictionary_VR(tag).split(" ")[0]
        except KeyError:
            continue
        for where in (ds, inside):
            if where is ds and (tag in kept or not keyword_for_tag(tag)):
                continue
            if vr == "SQ":
                item = Dataset()
                item.add_new((0x0010, 0x0010), "PN", TELLS)
                where.add_new(tag, "SQ", [item])
            else:
                where.add_new(tag, vr, value_for(vr))
    ds.ViewCodeSequence = [inside]
    return ds


def test_nothing_that_the_table_names_is_left_on_any_level() -> None:
    ds = everything_of_the_table()
    assert len(ds) > 400
    made = for_research(ds, LUNGS)
    raw = written(made).upper()
    assert TELLS.upper().encode() not in raw
    for word in (b"19991231", b"235959", b"19690512", b"20260302", b"1.2.3.777", b"057Y", b"HOSP"):
        assert word not in raw, word
    assert made.ViewCodeSequence[0].PatientName in (None, "")
    assert TELLS in str(ds.PatientName)


def test_persons_addresses_and_numbers_of_things_go_though_the_table_is_silent_about_them() -> None:
    source = new_uid()
    ds = image(
        EvaluatorName=f"{TELLS}^Eva",
        RetrieveURL=f"https://pacs.zzyzx.example/studies/{source}",
        VolumeFrameOfReferenceUID=source,
        SOPInstanceUIDOfConcatenationSource=source,
        SOPClassesInStudy=[CR, "1.3.12.2.1107.5.9.1"],
        ContextUID="1.2.840.10008.6.1.2",
    )
    ds.ReferencedImageSequence = [Dataset()]
    ds.ReferencedImageSequence[0].ReferencedSOPClassUID = "1.3.12.2.1107.5.9.1"
    ds.ReferencedImageSequence[0].AssertionUID = source
    ds.ReferencedImageSequence[0].ReferencedColorPaletteInstanceUID = "1.2.840.10008.1.5.1"
    made = for_research(ds, LUNGS)
    raw = written(made)
    for word in (TELLS.upper().encode(), source.encode(), b"HTTPS"):
        assert word not in raw.upper()
    assert made.VolumeFrameOfReferenceUID == LUNGS.uid(source)
    assert (list(made.SOPClassesInStudy), made.ContextUID) == (
        [CR, "1.3.12.2.1107.5.9.1"],
        "1.2.840.10008.6.1.2",
    )
    (item,) = made.ReferencedImageSequence
    assert item.ReferencedSOPClassUID == "1.3.12.2.1107.5.9.1"
    assert item.AssertionUID == LUNGS.uid(source)
    assert item.ReferencedColorPaletteInstanceUID == "1.2.840.10008.1.5.1"


def test_private_attributes_overlays_curves_and_what_no_dictionary_knows_go() -> None:
    ds = image()
    block = ds.private_block(0x0029, "ZZYZX WORKS", create=True)
    block.add_new(0x10, "LO", TELLS)
    ds.add_new((0x6000, 0x3000), "OW", b"Zzyzx7")
    ds.add_new((0x6002, 0x4000), "LT", TELLS)
    ds.add_new((0x5004, 0x0110), "US", 1)
    ds.add_new((0x0008, 0x9FFF), "UN", b"Zzyzx7")
    made = for_research(ds, LUNGS)
    assert b"ZZYZX" not in written(made).upper()
    assert [t for t in made if t.tag.is_private or t.tag.group in (0x6000, 0x6002, 0x5004)] == []


def test_the_picture_and_what_the_research_needs_stay_and_it_says_what_was_done() -> None:
    ds = image()
    made = for_research(ds, LUNGS)
    assert made.PixelData == ds.PixelData
    assert (made.Modality, made.BodyPartExamined, made.ViewPosition, made.Rows) == ("CR", "CHEST", "PA", 4)
    assert made.PatientIdentityRemoved == "YES"
    assert [c.CodeValue for c in made.DeidentificationMethodCodeSequence] == ["113100"]
    assert made.LongitudinalTemporalInformationModified == "REMOVED"
    assert made.StudyDate in (None, "")
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert "SourceApplicationEntityTitle" not in made.file_meta


def test_what_belongs_together_still_does_and_only_within_a_project_and_with_the_secret() -> None:
    first = image()
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CR, first.SOPInstanceUID
    second = image(
        StudyInstanceUID=first.StudyInstanceUID,
        SourceImageSequence=[reference],
        IrradiationEventUID=[first.SOPInstanceUID, "1.2.3"],
    )
    one, two = for_research(first, LUNGS), for_research(second, LUNGS)
    assert one.StudyInstanceUID == two.StudyInstanceUID != first.StudyInstanceUID
    assert two.SourceImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert two.SourceImageSequence[0].ReferencedSOPClassUID == CR
    assert two.IrradiationEventUID[0] == one.SOPInstanceUID
    assert one.PatientID == two.PatientID == str(one.PatientName)
    assert all(is_uid(uid) for uid in (one.SOPInstanceUID, one.StudyInstanceUID, one.SeriesInstanceUID))
    assert for_research(image(PatientID="OTHER"), LUNGS).PatientID != one.PatientID
    assert for_research(image(IssuerOfPatientID="ELSEWHERE"), LUNGS).PatientID != one.PatientID
    for other in (replace(LUNGS, name="Knees"), replace(LUNGS, secret=b"another")):
        elsewhere = for_research(first, other)
        assert {elsewhere.StudyInstanceUID, elsewhere.PatientID}.isdisjoint(
            {one.StudyInstanceUID, one.PatientID}
        )


def test_dates_are_moved_by_as_much_for_all_of_a_patient_and_others_still_go() -> None:
    project = replace(LUNGS, shifts_dates=True)
    may = for_research(image(StudyDate="20260502", AcquisitionDateTime="20260502101500.5"), project)
    march = for_research(image(StudyDate="20260302", ContentDate="20260231", SeriesDate="00010101"), project)

    def day(text: object) -> datetime:
        return datetime.strptime(str(text), "%Y%m%d")

    assert (day(may.StudyDate) - day(march.StudyDate)).days == 61
    moved = (datetime(2026, 5, 2) - day(may.StudyDate)).days
    assert 1 <= moved <= SHIFT_DAYS_MAX
    assert str(may.AcquisitionDateTime) == f"{may.StudyDate}101500.5"
    assert may.StudyTime == "101500"
    assert may.PatientBirthDate in (None, "")
    assert (march.ContentDate, march.SeriesDate) == ("19000101", "19000101")
    assert may.LongitudinalTemporalInformationModified == "MODIFIED"
    assert [c.CodeValue for c in may.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert all(keyword.endswith(("Date", "Time", "DateTime")) for keyword in SHIFTED)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned into"),
        ({"SOPClassUID": SECONDARY_CAPTURE}, "does not say"),
        ({"PatientID": ""}, "no patient number"),
    ],
)
def test_what_may_tell_whose_it_is_all_the_same_is_not_for_research(values: dict[str, str], why: str) -> None:
    with pytest.raises(NotForResearch, match=why):
        for_research(image(**values), LUNGS)


def test_reports_are_not_for_research_and_other_pictures_are_where_they_say_that_nothing_is_burned_in() -> (
    None
):
    report = image()
    del report.PixelData
    with pytest.raises(NotForResearch, match="no image"):
        for_research(report, LUNGS)
    made = for_research(image(SOPClassUID=SECONDARY_CAPTURE, BurnedInAnnotation="NO"), LUNGS)
    assert made.BurnedInAnnotation == "NO"


def test_what_is_empty_stays_so_and_other_kinds_of_dummies_are_of_their_vr() -> None:
    made = for_research(image(FrameOfReferenceUID="", SeriesDate="", ProtocolName=""), LUNGS)
    assert made.FrameOfReferenceUID in (None, "")
    assert made.ProtocolName == "REMOVED"


@pytest.mark.link
def test_dcmtk_reads_what_was_made_and_finds_nobody_in_it(tmp_path: Path) -> None:
    if shutil.which("dcmdump") is None:
        pytest.skip("dcmtk is not installed here")
    path = tmp_path / "made.dcm"
    made = for_research(everything_of_the_table(), LUNGS)
    made.save_as(path, enforce_file_format=True)
    shown = subprocess.run(["dcmdump", "--print-all", str(path)], capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    assert TELLS.casefold() not in shown.stdout.casefold()
    assert made.PatientID in shown.stdout
    assert dcmread(path).PatientID == made.PatientID
    drawn = subprocess.run(
        ["dcm2pnm", "--min-max-window", str(path), str(tmp_path / "made.pgm")], capture_output=True, text=True
    )
    assert (drawn.returncode, drawn.stderr) == (0, "")


def test_a_rejection_note_names_the_objects_as_the_project_knows_them_and_nobody() -> None:
    """What a project has is taken back under the numbers that it was given."""
    original = image()
    sent = for_research(original, LUNGS)
    note = RejectionNote(
        code=RejectionCode.WRONG_ENTRY,
        study_instance_uid=str(original.StudyInstanceUID),
        references=(
            Reference(
                1,
                str(original.get("SeriesInstanceUID") or ""),
                str(original.SOPClassUID),
                str(original.SOPInstanceUID),
            ),
        ),
        accession="A-SECRET",
        patient_id=str(original.PatientID),
        patient_id_issuer=str(original.get("IssuerOfPatientID") or ""),
        patient_name="Secret^Name",
        patient_birth_date="19690512",
        patient_sex="F",
    )
    row = Image(
        site=Site(timezone="UTC"),
        sop_instance_uid=new_uid(),
        series_instance_uid=new_uid(),
        note=note.as_json(),
        received_at=AT,
    )
    told = send._note(row, LUNGS)
    assert told.SOPClassUID == KEY_OBJECT_SELECTION
    [study] = told.CurrentRequestedProcedureEvidenceSequence
    [series] = study.ReferencedSeriesSequence
    [named] = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == told.StudyInstanceUID == sent.StudyInstanceUID
    assert series.SeriesInstanceUID == sent.get("SeriesInstanceUID", "")
    assert named.ReferencedSOPInstanceUID == sent.SOPInstanceUID
    assert told.PatientID == told.PatientName == sent.PatientID
    assert (told.AccessionNumber, told.PatientBirthDate, told.PatientSex) == ("", "", "")
    assert told.ContentDate == "19000101"
    assert told.PatientIdentityRemoved == "YES"
    assert told.SOPInstanceUID != row.sop_instance_uid
    assert send._note(row, LUNGS) == told
    assert "SECRET" not in str(told)
    assert "Secret" not in str(told)
    assert send._note(row, None).AccessionNumber == "A-SECRET"
