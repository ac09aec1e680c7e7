"""Images for research, without whom they are of: the Basic Application Confidentiality Profile (PS3.15 E.1). Pure.

What is done with each attribute is table E.1-1, as `dicomanonymizer` keeps it; the walk through an object, the
numbers in place of those that are taken away, and what is not sent at all, are ours (docs/decisions/0020).
"""

from __future__ import annotations

import hmac
from base64 import b32encode
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache
from hashlib import sha256

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from xraydesk.imaging.rejection_rules import RejectionNote
from xraydesk.links.dicom.sop_classes import DRAWN_BY_THE_MACHINE

EDITION = "PS3.15 2026c E.1"
BASIC_PROFILE = ("113100", "Basic Application Confidentiality Profile")
MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
"""Codes of PS3.16 CID 7050."""

SHIFT_DAYS_MAX = 3650
PSEUDONYM_LETTERS = 16


class NotForResearch(ValueError):
    """This object may show or tell who it is of, whatever is taken out of its header; its message says why."""


@dataclass(frozen=True)
class Project:
    """What an object is prepared for. `secret` is the site's: with another one, all numbers are others."""

    name: str
    secret: bytes
    shifts_dates: bool = False
    """True where dates are moved by so many days for each patient, in place of being taken away."""

    def number(self, *of: str) -> bytes:
        """32 bytes that stand for something in this project, and tell nothing of it to who lacks the secret."""
        return hmac.new(self.secret, "\0".join((self.name, *of)).encode(), sha256).digest()

    def uid(self, uid: str) -> str:
        """The UID that stands for another: the same for the same one, under the root of UUIDs (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self.number('uid', uid)[:16], 'big')}"

    def pseudonym(self, issuer: str, patient_id: str) -> str:
        """The number that stands for a patient's."""
        return b32encode(self.number("patient", issuer, patient_id)).decode()[:PSEUDONYM_LETTERS]

    def shift(self, issuer: str, patient_id: str) -> timedelta:
        """By how much the dates of one patient are moved into the past: some days to ten years."""
        return timedelta(
            days=1 + int.from_bytes(self.number("days", issuer, patient_id)[:8], "big") % SHIFT_DAYS_MAX
        )


class Do(Enum):
    """What table E.1-1 says of an attribute; of several letters the one that keeps the object whole."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"


@cache
def actions() -> Mapping[tuple[int, int], Do]:
    """What is done with each attribute of the table, by group and element."""
    parts = (
        (table.X_TAGS, Do.REMOVE),
        (table.Z_TAGS, Do.EMPTY),
        (table.X_Z_TAGS, Do.EMPTY),
        (table.D_TAGS, Do.DUMMY),
        (table.Z_D_TAGS, Do.DUMMY),
        (table.X_D_TAGS, Do.DUMMY),
        (table.X_Z_D_TAGS, Do.DUMMY),
        (table.U_TAGS, Do.UID),
    )
    # Sequences of references (X/Z/U*) stay, and their UIDs are replaced as all UIDs inside an object are.
    return {tag: do for tags, do in parts for tag in tags if len(tag) == 2}


_MASKED = tuple(tag for tag in table.X_TAGS if len(tag) == 4)
"""Groups that repeat: curves, and the data and comments of overlays."""

SHIFTED = frozenset(
    {
        "StudyDate",
        "SeriesDate",
        "AcquisitionDate",
        "ContentDate",
        "InstanceCreationDate",
        "AcquisitionDateTime",
        "StudyTime",
        "SeriesTime",
        "AcquisitionTime",
        "ContentTime",
        "InstanceCreationTime",
    }
)
"""When the object was made: kept, moved, where a project wants that. All other dates go as the profile says."""

_STANDARDS = "1.2.840.10008."
"""UIDs below it name kinds of things (PS3.6 annex A), and nobody's."""

_NAMES_A_KIND = ("Class", "Syntax", "CodingScheme", "Context", "Creator")
"""In the keywords of UIDs that name a kind of thing, whoever made it up."""

DUMMIES: Mapping[str, object] = {
    "AS": "000Y",
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "DS": "0",
    "IS": "0",
    "FD": 0.0,
    "FL": 0.0,
    "SL": 0,
    "SS": 0,
    "UL": 0,
    "US": 0,
    "UR": "urn:removed",
}
"""Stands where the profile wants a value and the object none that tells anything, by its VR; a text says REMOVED."""


def for_research(dataset: Dataset, project: Project) -> Dataset:
    """A copy of an image that tells nobody who it is of; raises NotForResearch where that cannot be promised.

    Only images go: reports, documents and marks tell in words. An image that says that text is burned into it does
    not go; one that does not say goes only where a machine drew it itself (CR, DX), and stays silent about it.
    """
    burned_in = str(dataset.get("BurnedInAnnotation") or "").upper()
    if "PixelData" not in dataset:
        raise NotForResearch("it is no image")
    if burned_in == "YES":
        raise NotForResearch("it says that text is burned into the picture")
    if burned_in != "NO" and str(dataset.get("SOPClassUID") or "") not in DRAWN_BY_THE_MACHINE:
        raise NotForResearch("it does not say that no text is burned into the picture")
    issuer, patient_id = str(dataset.get("IssuerOfPatientID") or ""), str(dataset.get("PatientID") or "")
    if not patient_id:
        raise NotForResearch("it carries no patient number to put another one in its place")
    shift = project.shift(issuer, patient_id) if project.shifts_dates else None
    made = deepcopy(dataset)
    _clean(made, project, shift)
    # What was known by the issuer's number is known by the project's.
    made.PatientID = made.PatientName = project.pseudonym(issuer, patient_id)
    _declare(made, project)
    syntax = dataset.file_meta.TransferSyntaxUID
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made


def note_for_research(note: RejectionNote, project: Project) -> RejectionNote:
    """What a rejection note says to a project: the same objects under the numbers that they have there, and nobody's name."""
    pseudonym = project.pseudonym(note.patient_id_issuer, note.patient_id)
    return RejectionNote(
        code=note.code,
        study_instance_uid=project.uid(note.study_instance_uid),
        references=tuple(
            replace(
                one,
                series_instance_uid=project.uid(one.series_instance_uid) if one.series_instance_uid else "",
                sop_instance_uid=project.uid(one.sop_instance_uid),
            )
            for one in note.references
        ),
        patient_id=pseudonym,
        patient_name=pseudonym,
    )


def declare_note(document: Dataset, project: Project) -> None:
    """Say of a rejection note for a project that it tells nobody whose the images are; when it was written goes too."""
    document.ContentDate, document.ContentTime = DUMMIES["DA"], DUMMIES["TM"]
    _declare(document, project)


def _clean(dataset: Dataset, project: Project, shift: timedelta | None) -> None:
    for tag in list(dataset.keys()):
        if _goes_by_itself(tag):
            del dataset[tag]
            continue
        element = dataset[tag]
        do = actions().get((tag.group, tag.element)) or _not_named(element)
        if shift is not None and element.keyword in SHIFTED and _shifted(element, shift):
            continue
        if do is Do.REMOVE or element.VR == "UN" or (element.VR == "SQ" and do is Do.DUMMY):
            del dataset[tag]
        elif do is Do.EMPTY:
            element.value = [] if element.VR == "SQ" else None
        elif do is Do.DUMMY and element.VR != "UI":
            _dummy(dataset, element)
        elif do in (Do.UID, Do.DUMMY):
            _other_uids(element, project)
        elif element.VR == "SQ":
            for item in element.value:
                _clean(item, project, shift)


def _not_named(element: DataElement) -> Do | None:
    """What is done with an attribute of which the table says nothing: persons, addresses and numbers of things go all the same."""
    if element.VR == "PN" or (element.VR == "UR" and element.keyword != "URNCodeValue"):
        return Do.REMOVE
    if element.VR != "UI" or any(word in element.keyword for word in _NAMES_A_KIND):
        return None
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return None if all(str(uid).startswith(_STANDARDS) for uid in values) else Do.UID


def _goes_by_itself(tag: BaseTag) -> bool:
    """Private attributes, and groups that repeat."""
    masked = any(
        tag.group & mask[2] == mask[0] & mask[2] and tag.element & mask[3] == mask[1] & mask[3]
        for mask in _MASKED
    )
    return bool(tag.is_private) or masked


def _dummy(dataset: Dataset, element: DataElement) -> None:
    if element.VR in DUMMIES:
        element.value = DUMMIES[element.VR]
    elif element.VR in ("OB", "OW", "UN", "OF", "OD", "OL", "OV", "AT"):
        del dataset[element.tag]
    else:
        element.value = "REMOVED"


def _other_uids(element: DataElement, project: Project) -> None:
    if isinstance(element.value, MultiValue):
        element.value = [project.uid(str(uid)) for uid in element.value]
    elif element.value:
        element.value = project.uid(str(element.value))


def _shifted(element: DataElement, shift: timedelta) -> bool:
    """Move a date; a time of day stays. False where it is none that can be read, so that it goes as others do."""
    text = str(element.value or "")
    if element.VR == "TM":
        return True
    try:
        day = datetime.strptime(text[:8], "%Y%m%d").date() - shift  # noqa: DTZ007  a date has no zone
    except (ValueError, OverflowError):
        return False
    element.value = f"{_eight(day)}{text[8:]}"
    return True


def _eight(day: date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"


def _declare(dataset: Dataset, project: Project) -> None:
    """Say what was done (PS3.3 C.7.1.1, C.12.1.1.1; codes of PS3.16 CID 7050)."""
    done = (BASIC_PROFILE, MODIFIED_DATES) if project.shifts_dates else (BASIC_PROFILE,)
    codes = []
    for value, meaning in done:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = f"xraydesk, {EDITION}"
    dataset.DeidentificationMethodCodeSequence = codes
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if project.shifts_dates else "REMOVED"
