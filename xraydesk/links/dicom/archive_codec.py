"""What an archive is asked about a patient's earlier studies, and what it answers (PS3.4 C.6.2). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset

from xraydesk.imaging.prior_rules import Looked, Study
from xraydesk.links.dicom.header_codec import text


class ArchiveAway(Exception):
    """An archive could not be asked, or answered that it could not; the message says why, in words."""


@dataclass(frozen=True)
class Asked:
    """Whose studies are asked for: number and issuer, and the birth date, where known, that answers must agree with."""

    patient_id: str
    issuer: str
    birth_date: date | None


def studies_wanted(asked: Asked) -> Dataset:
    """The identifier of a C-FIND for all studies of a patient."""
    ds = Dataset()
    ds.QueryRetrieveLevel = "STUDY"
    ds.PatientID, ds.IssuerOfPatientID = asked.patient_id, ""
    ds.PatientBirthDate = ds.StudyDate = ds.StudyInstanceUID = ""
    ds.AccessionNumber = ds.StudyDescription = ds.ModalitiesInStudy = ""
    return ds


def series_wanted(study_instance_uid: str) -> Dataset:
    """The identifier of a C-FIND for what the series of a study look at."""
    ds = Dataset()
    ds.QueryRetrieveLevel = "SERIES"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_instance_uid, ""
    ds.Modality = ds.BodyPartExamined = ds.Laterality = ""
    return ds


def study_to_move(study_instance_uid: str) -> Dataset:
    """The identifier of a C-MOVE of a whole study."""
    ds = Dataset()
    ds.QueryRetrieveLevel, ds.StudyInstanceUID = "STUDY", study_instance_uid
    return ds


Said = Mapping[str, str]
"""What an archive says of a study or a series, by keyword, whichever way it was asked; what it does not say is left out."""


def said_in(answer: Dataset) -> Said:
    """What one answer to a C-FIND says."""
    return {keyword: value for keyword in SAID if (value := text(answer, keyword))}


SAID = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "StudyInstanceUID",
    "StudyDate",
    "StudyDescription",
    "BodyPartExamined",
    "Laterality",
)
"""What is read of an answer."""


def is_of(asked: Asked, answer: Said) -> bool:
    """True where an answer is this patient's by number, by issuer and birth date as far as both sides know them.

    An archive may match more than it was asked for, and another issuer may have given out the same number.
    """
    issuer, born = answer.get("IssuerOfPatientID", ""), answer.get("PatientBirthDate", "")
    return (
        answer.get("PatientID", "") == asked.patient_id
        and (not issuer or not asked.issuer or issuer.casefold() == asked.issuer.casefold())
        and (not born or asked.birth_date is None or born == f"{asked.birth_date:%Y%m%d}")
    )


def study_of(answer: Said, series: Sequence[Said]) -> Study | None:
    """A study as an archive tells of it, with the part and side that its series name first; None without UID or date."""
    uid, day = answer.get("StudyInstanceUID", ""), _day(answer.get("StudyDate", ""))
    if not uid or day is None:
        return None
    side = _first(series, "Laterality").upper()
    return Study(
        study_instance_uid=uid,
        looked=Looked(_first(series, "BodyPartExamined"), side if side in ("L", "R", "B") else "", day),
        words=answer.get("StudyDescription", "") or "a study",
    )


def _first(series: Iterable[Said], keyword: str) -> str:
    return next((value for one in series if (value := one.get(keyword, ""))), "")


def _day(written: str) -> date | None:
    try:
        return date(int(written[:4]), int(written[4:6]), int(written[6:8]))
    except ValueError:
        return None
