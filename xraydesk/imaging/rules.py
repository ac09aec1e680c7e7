"""What an exam is to an image, what is corrected on its way out, and where it goes; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from xraydesk.imaging.header import Header, ScheduledReference, StepReport
from xraydesk.imaging.names import same_name
from xraydesk.imaging.states import StepState
from xraydesk.patients.demographics import Identifier
from xraydesk.siteplan.policies import LabelDoubt


@dataclass(frozen=True)
class Person:
    """What the desk knows of a patient: every number, the name as DICOM writes it, birth date and sex.

    `former` is what the same person was known as in records that have since been made one with this.
    """

    identifiers: tuple[Identifier, ...]
    name: str = ""
    birth_date: date | None = None
    sex: str = ""
    former: tuple[Person, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """An exam that an image may belong to. `is_cancelled` is True where it was cancelled and never begun."""

    exam_id: int
    accession: str
    study_instance_uid: str
    requested_procedure_id: str
    scheduled_step_id: str
    patient: Person
    laterality: str = ""
    body_part: str = ""
    procedure_text: str = ""
    views: tuple[str, ...] = ()
    is_cancelled: bool = False


def number_doubt(header: Header | StepReport, patient: Person) -> LabelDoubt | None:
    """What speaks against a patient's number in an image or a step; None where it is one of the patient's."""
    if not header.patient_id:
        return LabelDoubt.NO_NUMBER
    known = [i for i in patient.identifiers if i.value == header.patient_id]
    if not known:
        return LabelDoubt.OTHER_NUMBER
    issuer = header.patient_id_issuer.casefold()
    if issuer and all(i.authority and i.authority.casefold() != issuer for i in known):
        return LabelDoubt.OTHER_ISSUER
    return None


def corrections(header: Header, exam: Candidate) -> dict[str, str]:
    """What must be put right in an image of this exam before it goes on: DICOM keyword to value.

    Only what differs and what the exam knows; empty where the image may go as it came. A
    name that is merely spelt otherwise stays as the machine wrote it.
    """
    wanted: dict[str, str] = {}
    patient = exam.patient
    if patient.identifiers and number_doubt(header, patient):
        wanted["PatientID"] = patient.identifiers[0].value
        wanted["IssuerOfPatientID"] = patient.identifiers[0].authority
    if patient.name and not same_name(header.patient_name, patient.name):
        wanted["PatientName"] = patient.name
    if patient.birth_date and header.patient_birth_date != patient.birth_date:
        wanted["PatientBirthDate"] = patient.birth_date.strftime("%Y%m%d")
    if patient.sex and header.patient_sex.upper() != dicom_sex(patient.sex):
        wanted["PatientSex"] = dicom_sex(patient.sex)
    if header.accession != exam.accession:
        wanted["AccessionNumber"] = exam.accession
    if header.study_instance_uid != exam.study_instance_uid:
        wanted["StudyInstanceUID"] = exam.study_instance_uid
    return wanted


def anatomy_corrections(header: Header, exam: Candidate) -> dict[str, str]:
    """Side and part as ordered, where an image says others and a person says that the order is right; keyword to value."""
    wanted: dict[str, str] = {}
    if exam.laterality in ("L", "R") and header.laterality.upper() != exam.laterality:
        wanted["ImageLaterality"] = exam.laterality
    part = exam.body_part.upper()
    if part and header.body_part.upper() != part and len(part) <= CODE_STRING_LENGTH_MAX:
        wanted["BodyPartExamined"] = part
    return wanted


ASKED_FOR = frozenset({"SOPInstanceUID", "SeriesInstanceUID", "ImageLaterality", "BodyPartExamined"})
"""What is corrected because somebody decided so, whoever the patient is."""

CODE_STRING_LENGTH_MAX = 16
"""PS3.5 table 6.2-1, CS."""


def dicom_sex(sex: str) -> str:
    """The sex as DICOM writes it (PS3.3 C.7.1.1): M, F, O; empty where it is not known."""
    return sex if sex in ("M", "F", "O") else ""


def named_exam(reference: ScheduledReference, candidates: Iterable[Candidate]) -> Candidate | None:
    """The exam that a performed step means: the one that most of its numbers name, the accession number first."""
    best = max(candidates, key=lambda exam: _agreement(reference, exam), default=None)
    return best if best is not None and any(_agreement(reference, best)) else None


def _agreement(reference: ScheduledReference, exam: Candidate) -> tuple[int, bool]:
    by_accession = bool(reference.accession) and reference.accession == exam.accession
    by_study = bool(reference.study_instance_uid) and reference.study_instance_uid == exam.study_instance_uid
    by_step = bool(reference.requested_procedure_id and reference.scheduled_step_id) and (
        reference.requested_procedure_id == exam.requested_procedure_id
        and reference.scheduled_step_id == exam.scheduled_step_id
    )
    return by_accession + by_study + by_step, by_accession


class AfterDiscontinuation(StrEnum):
    """What becomes of an exam whose step was discontinued."""

    REOPEN = "reopen"
    """It was never this exam's step: as before it began, its images held until somebody decides."""
    END = "end"
    """It will not be done: off the worklist."""
    RETRY = "retry"
    """It may yet be done: its booking, and so its place on the worklist, stay."""


WRONG_WORKLIST_ENTRY = "110514"

ENDS_FOR_GOOD = frozenset(
    {
        "110500",  # doctor cancelled procedure
        "110502",  # incorrect procedure ordered
        "110504",  # patient died
        "110505",  # patient refused to continue procedure
        "110508",  # patient pregnant
        "110509",  # change of procedure for correct charging
        "110510",  # duplicate order
        "110511",  # nursing unit cancel
        "110512",  # incorrect side ordered
    }
)
"""Reasons of PS3.16 CID 9300 after which the exam, as it was ordered, is not done."""


def after_discontinuation(reason_code: str) -> AfterDiscontinuation:
    """What becomes of the exam, by the reason's code (PS3.16 CID 9300, 9301); another or none keeps its place."""
    if reason_code == WRONG_WORKLIST_ENTRY:
        return AfterDiscontinuation.REOPEN
    return AfterDiscontinuation.END if reason_code in ENDS_FOR_GOOD else AfterDiscontinuation.RETRY


@dataclass(frozen=True)
class StepSpan:
    """One performed step of an exam. Times are aware; `ended_at` is None while it goes on."""

    state: StepState
    voided: bool
    started_at: datetime
    ended_at: datetime | None
    referenced_images: tuple[str, ...] = ()


def is_of_voided_step(sop_instance_uid: str, acquired_at: datetime | None, steps: Sequence[StepSpan]) -> bool:
    """True where an image comes from a step that was begun on the wrong worklist entry, so that it is held.

    The step that names it decides; else the one during which it was taken; else the exam's
    only kind of step. `steps` are all of the exam's.
    """
    naming = [s for s in steps if sop_instance_uid in s.referenced_images]
    during = [s for s in steps if acquired_at and _covers(s, acquired_at)]
    for found in (naming, during, steps):
        if found:
            return all(s.voided for s in found)
    return False


def _covers(step: StepSpan, at: datetime) -> bool:
    return step.started_at <= at and (step.ended_at is None or at <= step.ended_at)


def may_go_on(standing: Iterable[StepState]) -> bool:
    """True where an exam's images may leave: something was performed, and nothing is under way.

    `standing` are the states of the exam's steps, voided ones left out. What was exposed goes
    on after a discontinuation too; only a wrong worklist entry holds images back.
    """
    states = set(standing)
    return bool(states) and StepState.IN_PROGRESS not in states


ATTEMPTS_MAX = 10
"""So often an image is offered to a destination before a person is asked; some forty minutes in all."""

WAIT_SECONDS_MIN = 5
WAIT_SECONDS_MAX = 900


AWAY_ATTEMPTS_MAX = 7
"""So many tries are counted where a destination cannot be reached at all: about ten minutes, and then one each five."""


def wait_seconds(attempts: int) -> int | None:
    """Seconds until the next attempt after so many failed ones; None where a person must look."""
    if attempts >= ATTEMPTS_MAX:
        return None
    return min(WAIT_SECONDS_MIN << max(0, attempts - 1), WAIT_SECONDS_MAX)


CLOCK_AHEAD_MAX = timedelta(minutes=5)
TOLD_LATE_MAX = timedelta(days=7)


def told_time(told: datetime | None, *, at: datetime, earliest: datetime | None = None) -> datetime:
    """The time to keep of a step: what its machine told, or the moment of telling where its clock cannot be right.

    A machine's clock runs ahead of ours by at most CLOCK_AHEAD_MAX, and a step is told of at most
    TOLD_LATE_MAX after it; `earliest` is what it cannot lie before (a start, for an end). All aware.
    """
    if told is None or not at - TOLD_LATE_MAX <= told <= at + CLOCK_AHEAD_MAX:
        told = at
    return max(told, earliest) if earliest else told
