"""What is taken back from those who have an image under the wrong label, and what it is called from then on; pure.

IHE Radiology, Imaging Object Change Management: a rejection note (a Key Object Selection document) says
which objects are not to be used any more, and why. What goes out anew in their place has new numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from xraydesk.imaging.header import Header

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


class RejectionCode(StrEnum):
    """Why objects are not to be used any more (PS3.16 CID 7011)."""

    QUALITY = "113001"
    SAFETY = "113037"
    WRONG_ENTRY = "113038"
    RETENTION = "113039"


CODE_MEANINGS: Mapping[RejectionCode, str] = {
    RejectionCode.QUALITY: "Rejected for Quality Reasons",
    RejectionCode.SAFETY: "Rejected for Patient Safety Reasons",
    RejectionCode.WRONG_ENTRY: "Incorrect Modality Worklist Entry",
    RejectionCode.RETENTION: "Data Retention Policy Expired",
}


@dataclass(frozen=True)
class Reference:
    """One object as it was sent, and which image of ours it is."""

    image_id: int
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class RejectionNote:
    """What a rejection note says: the patient and study as those have it who are told, why, and of which objects."""

    code: RejectionCode
    study_instance_uid: str
    references: tuple[Reference, ...]
    accession: str = ""
    patient_id: str = ""
    patient_id_issuer: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    """As DICOM writes it (DA); empty where it is not known."""
    patient_sex: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it is kept until it was sent."""
        return asdict(self)


def note_of_json(kept: Mapping[str, Any]) -> RejectionNote:
    """A note as it was kept."""
    references = tuple(Reference(**one) for one in kept["references"])
    return RejectionNote(**{**kept, "code": RejectionCode(kept["code"]), "references": references})


@dataclass(frozen=True)
class Gone:
    """An image that left: as it was sent, and who has it."""

    image_id: int
    header: Header
    destinations: tuple[str, ...]


_FIELDS = {
    "PatientID": "patient_id",
    "IssuerOfPatientID": "patient_id_issuer",
    "PatientName": "patient_name",
    "PatientSex": "patient_sex",
    "AccessionNumber": "accession",
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "SOPInstanceUID": "sop_instance_uid",
}


def as_sent(header: Header, corrections: Mapping[str, str]) -> Header:
    """What an image said of itself as it left: its own header, with what was corrected on its way out."""
    changed: dict[str, Any] = {_FIELDS[k]: v for k, v in corrections.items() if k in _FIELDS}
    if "PatientBirthDate" in corrections:
        born = corrections["PatientBirthDate"]
        changed["patient_birth_date"] = date(int(born[:4]), int(born[4:6]), int(born[6:])) if born else None
    return replace(header, **changed)


def notes(gone: Iterable[Gone], code: RejectionCode) -> list[tuple[RejectionNote, tuple[str, ...]]]:
    """The rejection notes for what has left, each with those it goes to: one a study, patient and set of destinations."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[Gone]] = {}
    for one in gone:
        where = tuple(sorted(one.destinations))
        if where:
            groups.setdefault((one.header.study_instance_uid, one.header.patient_id, where), []).append(one)
    made = []
    for (study, patient_id, where), images in groups.items():
        first = images[0].header
        born = first.patient_birth_date
        note = RejectionNote(
            code=code,
            study_instance_uid=study,
            references=tuple(
                Reference(
                    one.image_id,
                    one.header.series_instance_uid,
                    one.header.sop_class_uid,
                    one.header.sop_instance_uid,
                )
                for one in images
            ),
            accession=first.accession,
            patient_id=patient_id,
            patient_id_issuer=first.patient_id_issuer,
            patient_name=first.patient_name,
            patient_birth_date=born.strftime("%Y%m%d") if born else "",
            patient_sex=first.patient_sex,
        )
        made.append((note, where))
    return made


@dataclass(frozen=True)
class Going:
    """An image that somebody says belongs to an exam, as it came: its number and series.

    `has_left` where somebody has it, may have it, or had it before it was taken back.
    """

    image_id: int
    series_instance_uid: str
    has_left: bool


def new_numbers(
    going: Collection[Going], *, split_series: Collection[str], new_uid: Callable[[], str]
) -> dict[int, dict[str, str]]:
    """The new numbers that images need, DICOM keyword to UID, by image.

    What has left needs a number of its own, because whoever has the old one keeps it as rejected;
    its series too, and so does a series of which a part stays where it was (`split_series`):
    no series lies in two studies. Images of one series stay together.
    """
    series: dict[str, str] = {}
    for one in going:
        if one.has_left or one.series_instance_uid in split_series:
            series.setdefault(one.series_instance_uid, new_uid())
    numbers: dict[int, dict[str, str]] = {}
    for one in going:
        wanted = {}
        if one.has_left:
            wanted["SOPInstanceUID"] = new_uid()
        if one.series_instance_uid in series:
            wanted["SeriesInstanceUID"] = series[one.series_instance_uid]
        numbers[one.image_id] = wanted
    return numbers
