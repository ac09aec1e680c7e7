"""A simulated x-ray machine: it asks for its worklist, does what is on it, and sends what it made."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.parties import late
from xraydesk.parties.department import EHR_PATIENTS, Department
from xraydesk.parties.faults import Done, Fault, note
from xraydesk.parties.front_desk import FrontDesk, staffed
from xraydesk.parties.objects import CR_IMAGE, DX_IMAGE, XRAY_DOSE_SR, dose_report, expose, image
from xraydesk.parties.technologist import Technologist, hired
from xraydesk.siteplan.invented import invent
from xraydesk.siteplan.plan import ModalityPlan, ProcedurePlan

log = structlog.get_logger("parties.modality")

WORKLIST = "1.2.840.10008.5.1.4.31"
MPPS = "1.2.840.10008.3.1.2.3.3"
POLL_SECONDS = 6.0
FIRST_EXAM_SECONDS = (18.0, 30.0)
EXAM_SECONDS = (120.0, 420.0)
"""How long the patient is in the room: short for a machine's first exam, so that there is something to see."""

BEGIN_EARLY_MINUTES = 3
"""A machine begins with whoever is due within so many minutes, and earlier with whoever has arrived."""

ARRIVED_EARLY_MINUTES = 25
FETCH_WAIT_MINUTES = 20
"""So long over its time a machine waits for somebody whom a porter fetches."""

NO_SHOW_AFTER_SECONDS = 5.0
"""Whoever is not here so long after their time has not come. In a hospital nobody gives up so soon."""

LATE_ORDER_SECONDS = (60.0, 300.0)
"""So long after the images an order comes that there was no time for before."""

ANSWERS_MAX = 200
CHECK_FORGOTTEN = 0.06
"""Share of exams that begin without a safety check on record, so that the desk has something to notice."""


class DeskAway(ConnectionError):
    """The desk did not take an association; tried again later."""


@dataclass
class Machine:
    """One running modality."""

    department: Department
    plan: ModalityPlan
    random: Random
    technologist: Technologist | None = None
    front_desk: FrontDesk | None = None
    exams_done: int = 0
    started: float = field(default_factory=time.monotonic)

    def next_fault(self, entry: Dataset) -> Fault | None:
        """The mishap of the exam that is next; None for most. What the EHR ordered was counted there."""
        chances = self.department.chances
        if not str(entry.get("PatientID", "")).startswith(EHR_PATIENTS):
            chances.met()
        if time.monotonic() - self.started < self.department.calm_seconds:
            return None
        possible = {Fault.WRONG_ENTRY, Fault.UNSCHEDULED}
        if side_of(entry) in ("L", "R"):
            possible.add(Fault.WRONG_SIDE)
        if self.technologist is not None:
            possible.add(Fault.BREAKDOWN)
        if self.procedures_here():
            possible.add(Fault.LATE_ORDER)
        if self.front_desk is not None and may_stay_away(entry):
            possible.add(Fault.NO_SHOW)
        return chances.take(possible)

    def procedures_here(self) -> list[ProcedurePlan]:
        """What can be done in this room without a question to anybody first."""
        kind = next((room.kind for room in self.department.plan.rooms if room.code == self.plan.room), "")
        return [
            p
            for p in self.department.plan.procedures
            if kind in p.room_kinds
            and not p.pregnancy_check
            and not p.sex
            and p.age_min_years is None
            and p.age_max_years is None
        ]

    def went_wrong(self, fault: Fault, done: str, **about: str) -> None:
        """Write down a mishap."""
        log.info("on purpose", ae=self.plan.ae_title, fault=str(fault))
        told = {"ae_title": self.plan.ae_title, "room": self.plan.room} | about
        note(self.department.folder, Done(f"{clock.now():%Y-%m-%dT%H:%M:%S%z}", fault, told, done))

    def go_wrong(self, fault: Fault, entry: Dataset, wait: Callable[[float], bool]) -> bool:
        """Do a mishap before an exam is done as it should be; a wrong side is done with it (see `perform`).

        False where it could not be done.
        """
        match fault:
            case Fault.WRONG_ENTRY:
                others = [
                    e
                    for e in self.worklist(self.department.wall())
                    if e.AccessionNumber != entry.AccessionNumber
                ]
                return bool(others) and self.begin_by_mistake(others[0], wait)
            case Fault.UNSCHEDULED:
                return self.unscheduled(wait)
            case Fault.LATE_ORDER:
                return self.before_its_order(wait)
            case Fault.NO_SHOW if self.front_desk is not None:
                return self.waits_in_vain(entry, self.front_desk, wait)
            case Fault.BREAKDOWN if self.technologist is not None:
                minutes = self.random.randint(4, 9)
                try:
                    self.technologist.room_down(self.plan.room, minutes=minutes, reason="tube failure")
                except OSError as wrong:
                    log.info("not taken", why=str(wrong))
                    return False
                self.went_wrong(fault, f"said that {self.plan.room} is down for {minutes} min")
                wait(minutes * 60)
                with contextlib.suppress(OSError):
                    self.technologist.room_ready(self.plan.room)
            case _:
                pass
        return True

    def waits_in_vain(self, entry: Dataset, front_desk: FrontDesk, wait: Callable[[float], bool]) -> bool:
        """Wait until the time of somebody who does not come, and have it written down; False where they came."""
        accession = str(entry.AccessionNumber)
        if not wait(
            max(0.0, (starts_at(entry) - self.department.wall()).total_seconds()) + NO_SHOW_AFTER_SECONDS
        ):
            return False
        try:
            front_desk.did_not_come(accession)
        except OSError as wrong:
            log.info("not taken", why=str(wrong))
            return False
        if any(str(one.AccessionNumber) == accession for one in self.worklist(self.department.wall())):
            return False
        self.went_wrong(Fault.NO_SHOW, "did not come", accession=accession)
        return True

    def goes_wrong(self, fault: Fault, entry: Dataset, wait: Callable[[float], bool]) -> bool:
        """Do a mishap; False where it could not be done, also because the desk was away."""
        try:
            return self.go_wrong(fault, entry, wait)
        except DeskAway:
            return False

    def begin_by_mistake(self, other: Dataset, wait: Callable[[float], bool]) -> bool:
        """Begin another patient's exam, notice it, and break it off with the reason that says so (CID 9300, 110514)."""
        uid = new_uid()
        if self.told_step("send_n_create", self.step_begun(other, self.department.wall()), uid) != 0:
            return False
        wait(self.random.uniform(8, 20))
        now = self.department.wall()
        told = Dataset()
        told.SpecificCharacterSet = "ISO_IR 192"
        told.PerformedProcedureStepStatus = "DISCONTINUED"
        told.PerformedProcedureStepEndDate, told.PerformedProcedureStepEndTime = (
            f"{now:%Y%m%d}",
            f"{now:%H%M%S}",
        )
        reason = Dataset()
        reason.CodeValue, reason.CodingSchemeDesignator = "110514", "DCM"
        reason.CodeMeaning = "Incorrect worklist entry selected"
        told.PerformedProcedureStepDiscontinuationReasonCodeSequence = [reason]
        told.PerformedSeriesSequence = []
        self.until_done(lambda: self.told_step("send_n_set", told, uid), wait)
        self.went_wrong(
            Fault.WRONG_ENTRY, "began the wrong entry and broke it off", accession=str(other.AccessionNumber)
        )
        return True

    def unscheduled(self, wait: Callable[[float], bool]) -> bool:
        """Somebody comes from the emergency department without any order, and nobody knows who it is."""
        number = f"UNK{self.random.randrange(10**6):06d}"
        entry = typed_in(number, f"Unknown^{number}", "Chest 1 view")
        done = self.without_entry(entry, [], "", wait)
        if done:
            self.went_wrong(Fault.UNSCHEDULED, "made images of somebody without an order", patient=number)
        return done

    def before_its_order(self, wait: Callable[[float], bool]) -> bool:
        """There is no time to order: the technologist types in who it is, and the order is written afterwards."""
        procedure = self.random.choice(self.procedures_here())
        number = f"47{self.random.randrange(10**6):06d}"
        person = invent(self.random, number, self.department.wall().date())
        person.patient_class, person.bed = "E", str(self.random.randint(1, 12))
        person.ward = next((ward.code for ward in self.department.plan.wards if ward.emergency), "ED")
        side = self.random.choice([s for s in procedure.laterality if s != "B"] or [""])
        entry = typed_in(number, f"{person.family}^{person.given}", procedure.text)
        entry.PatientBirthDate, entry.PatientSex = f"{person.birth_date:%Y%m%d}", person.sex
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = procedure.code, procedure.system
        code.CodeMeaning = procedure.text
        if not self.without_entry(entry, [code], side, wait):
            return False
        due = time.time() + self.random.uniform(*LATE_ORDER_SECONDS)
        late.leave(self.department.folder, late.ToOrder(person, procedure.code, side, due))
        return True

    def without_entry(
        self, entry: Dataset, codes: list[Dataset], side: str, wait: Callable[[float], bool]
    ) -> bool:
        """Do an exam that is on no worklist, with what was typed in; False where the desk did not take it."""
        uid = new_uid()
        begun = self.step_begun(entry, self.department.wall())
        begun.ProcedureCodeSequence = codes
        if self.told_step("send_n_create", begun, uid) != 0:
            return False
        wait(self.random.uniform(20, 40))
        entry.RequestedProcedureCodeSequence = codes
        images, _ = self.make(entry, self.department.wall(), side=side)
        self.until_done(lambda: self.send(images), wait)
        self.until_done(
            lambda: self.told_step("send_n_set", self.step_completed(images, self.department.wall()), uid),
            wait,
        )
        return True

    def procedure_of(self, entry: Dataset) -> ProcedurePlan | None:
        """The department's procedure that an entry asks for."""
        codes = entry.get("RequestedProcedureCodeSequence") or ()
        code = str(codes[0].CodeValue) if codes else ""
        return next((p for p in self.department.plan.procedures if p.code == code), None)

    # ---- associations -------------------------------------------------------------------

    def associate(self, *syntaxes: str) -> Association:
        """An association with the desk; raises DeskAway."""
        entity = AE(ae_title=self.plan.ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
        for syntax in syntaxes:
            entity.add_requested_context(syntax, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        desk = self.department.dicom
        association = entity.associate(desk.host, desk.port, ae_title=self.department.plan.ae_title)
        if not association.is_established:
            raise DeskAway("the desk did not take the association")
        return association

    def worklist(self, day: datetime) -> list[Dataset]:
        """What this machine is to do today."""
        step = Dataset()
        step.Modality, step.ScheduledStationAETitle = "", self.plan.ae_title
        step.ScheduledProcedureStepStartDate = f"{day:%Y%m%d}"
        step.ScheduledProcedureStepStartTime = step.ScheduledProcedureStepID = ""
        step.ScheduledProcedureStepDescription = step.ScheduledProcedureStepStatus = ""
        query = Dataset()
        query.SpecificCharacterSet = "ISO_IR 192"
        query.ScheduledProcedureStepSequence = [step]
        query.RequestedProcedureCodeSequence = []
        for keyword in (
            "AccessionNumber",
            "PatientName",
            "PatientID",
            "IssuerOfPatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "RequestedProcedureID",
            "RequestedProcedureDescription",
            "ReferringPhysicianName",
            "CurrentPatientLocation",
        ):
            setattr(query, keyword, "")
        association = self.associate(WORKLIST)
        entries: list[Dataset] = []
        try:
            for status, identifier in association.send_c_find(query, WORKLIST):
                if identifier is not None and status and status.Status in (0xFF00, 0xFF01):
                    entries.append(identifier)
                if len(entries) >= ANSWERS_MAX:
                    break
        finally:
            association.release()
        return entries

    # ---- one exam -----------------------------------------------------------------------

    def next_entry(self, now: datetime) -> Dataset | None:
        """Whoever is due now, or has arrived and is due soon; None where nobody is."""
        due: list[tuple[datetime, Dataset]] = []
        for entry in self.worklist(now):
            start, arrived = starts_at(entry), has_arrived(entry)
            if not arrived and self.is_fetched(entry) and now < start + timedelta(minutes=FETCH_WAIT_MINUTES):
                continue
            early = ARRIVED_EARLY_MINUTES if arrived else BEGIN_EARLY_MINUTES
            if start <= now + timedelta(minutes=early):
                due.append((start, entry))
        return min(due, key=lambda pair: pair[0])[1] if due else None

    def is_fetched(self, entry: Dataset) -> bool:
        """Whether a porter brings this patient: lies on a ward, and the machine does not go there."""
        ward = str(entry.get("CurrentPatientLocation", "") or "").split("^")[0].split(" ")[0]
        rooms = {room.code: room.kind for room in self.department.plan.rooms}
        fetched = {w.code for w in self.department.plan.wards if not w.emergency}
        return ward in fetched and rooms.get(self.plan.room) != "portable"

    def step_begun(self, entry: Dataset, now: datetime) -> Dataset:
        """The N-CREATE of a performed step (PS3.4 table F.7.2-1)."""
        scheduled = entry.ScheduledProcedureStepSequence[0]
        reference = Dataset()
        reference.StudyInstanceUID, reference.ReferencedStudySequence = entry.StudyInstanceUID, []
        reference.AccessionNumber = entry.get("AccessionNumber", "")
        reference.RequestedProcedureID = entry.get("RequestedProcedureID", "")
        reference.RequestedProcedureDescription = entry.get("RequestedProcedureDescription", "")
        reference.ScheduledProcedureStepID = scheduled.get("ScheduledProcedureStepID", "")
        reference.ScheduledProcedureStepDescription = scheduled.get("ScheduledProcedureStepDescription", "")
        reference.ScheduledProtocolCodeSequence = []
        told = Dataset()
        told.SpecificCharacterSet = "ISO_IR 192"
        told.ScheduledStepAttributesSequence = [reference]
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
            setattr(told, keyword, entry.get(keyword, ""))
        told.ReferencedPatientSequence = []
        told.PerformedProcedureStepID = f"P{self.random.randrange(10**9):09d}"
        told.PerformedStationAETitle, told.PerformedStationName = self.plan.ae_title, self.plan.station_name
        told.PerformedLocation = ""
        told.PerformedProcedureStepStartDate = f"{now:%Y%m%d}"
        told.PerformedProcedureStepStartTime = f"{now:%H%M%S}"
        told.PerformedProcedureStepStatus = "IN PROGRESS"
        told.PerformedProcedureStepDescription = told.PerformedProcedureTypeDescription = ""
        told.ProcedureCodeSequence = []
        told.PerformedProcedureStepEndDate = told.PerformedProcedureStepEndTime = ""
        told.Modality, told.StudyID = self.plan.modality, "1"
        told.PerformedProtocolCodeSequence, told.PerformedSeriesSequence = [], []
        return told

    def step_completed(self, images: list[Dataset], now: datetime) -> Dataset:
        """The final N-SET of a performed step."""
        series = Dataset()
        series.PerformingPhysicianName = series.OperatorsName = series.SeriesDescription = ""
        series.ProtocolName = str(images[0].BodyPartExamined or "XRAY")
        series.SeriesInstanceUID, series.RetrieveAETitle = images[0].SeriesInstanceUID, ""
        series.ReferencedNonImageCompositeSOPInstanceSequence = []
        series.ReferencedImageSequence = []
        for made in images:
            reference = Dataset()
            reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = (
                made.SOPClassUID,
                made.SOPInstanceUID,
            )
            series.ReferencedImageSequence.append(reference)
        told = Dataset()
        told.SpecificCharacterSet = "ISO_IR 192"
        told.PerformedProcedureStepStatus = "COMPLETED"
        told.PerformedProcedureStepEndDate, told.PerformedProcedureStepEndTime = (
            f"{now:%Y%m%d}",
            f"{now:%H%M%S}",
        )
        told.PerformedSeriesSequence = [series]
        return told

    def told_step(self, what: str, dataset: Dataset, uid: str) -> int | None:
        """Tell the desk of a step over an association of its own; the status, None where none came."""
        association = self.associate(MPPS)
        try:
            status, _ = getattr(association, what)(dataset, MPPS, uid)
            return int(status.Status) if "Status" in status else None
        finally:
            association.release()

    def make(self, entry: Dataset, now: datetime, side: str = "") -> tuple[list[Dataset], Dataset]:
        """The images of an exam with a side marker, and its dose report."""
        procedure = self.procedure_of(entry)
        body_part = procedure.body_part if procedure else ""
        views = (procedure.views if procedure else ()) or ("AP",)
        exposures = [expose(self.random, body_part, view) for view in views]
        series_uid = new_uid()
        common: dict[str, Any] = {"body_part": body_part, "station": self.plan.station_name, "at": now}
        images = [
            image(
                entry,
                exposure=exposure,
                series_uid=series_uid,
                number=number,
                modality=self.plan.modality,
                side=side,
                random=self.random,
                **common,
            )
            for number, exposure in enumerate(exposures, 1)
        ]
        protocol = procedure.text if procedure else "Unknown"
        return images, dose_report(entry, exposures=exposures, protocol=protocol, **common)

    def send(self, objects: list[Dataset]) -> None:
        """Send objects to the desk; raises DeskAway where one was not taken."""
        association = self.associate(DX_IMAGE, CR_IMAGE, XRAY_DOSE_SR)
        try:
            for made in objects:
                status = association.send_c_store(made)
                if "Status" not in status or status.Status != 0:
                    raise DeskAway("an object was not stored")
        finally:
            association.release()

    def ask_patient(self, entry: Dataset) -> None:
        """The technologist asks who this is and which side, and now and then forgets to write it down."""
        if self.technologist is None or self.random.random() < CHECK_FORGOTTEN:
            return
        procedure = self.procedure_of(entry)
        try:
            self.technologist.check(
                str(entry.get("AccessionNumber", "")),
                side=side_of(entry) if procedure and procedure.laterality else "",
                may_be_pregnant=bool(procedure and procedure.pregnancy_check),
            )
        except OSError as wrong:
            log.info("answers not kept", ae=self.plan.ae_title, why=str(wrong))

    def perform(self, entry: Dataset, wait: Callable[[float], bool]) -> None:
        """Do one exam: ask, begin, expose, send, end. `wait` returns False where the machine is to stop."""
        fault = self.next_fault(entry)
        if fault is not None and not self.goes_wrong(fault, entry, wait):
            self.department.chances.give_back(fault)
        elif fault is Fault.NO_SHOW:
            return
        self.ask_patient(entry)
        uid = new_uid()
        status = self.told_step("send_n_create", self.step_begun(entry, self.department.wall()), uid)
        if status != 0:
            log.warning("step not taken", ae=self.plan.ae_title, status=status)
            if fault is Fault.WRONG_SIDE:
                self.department.chances.give_back(fault)
            wait(POLL_SECONDS)
            return
        seconds = self.random.uniform(*(EXAM_SECONDS if self.exams_done else FIRST_EXAM_SECONDS))
        wait(seconds * 0.7)
        side = side_of(entry)
        if fault is Fault.WRONG_SIDE and side in ("L", "R"):
            side = "R" if side == "L" else "L"
            self.went_wrong(fault, f"marked the images {side}", accession=str(entry.AccessionNumber))
        images, report = self.make(entry, self.department.wall(), side=side)
        self.until_done(lambda: self.send([*images, report]), wait)
        wait(seconds * 0.3)
        self.until_done(
            lambda: self.told_step("send_n_set", self.step_completed(images, self.department.wall()), uid),
            wait,
        )
        self.exams_done += 1

    def until_done(self, what: Callable[[], object], wait: Callable[[float], bool]) -> None:
        """Try until the desk is there, or the machine is to stop."""
        while True:
            try:
                what()
                return
            except DeskAway:
                if not wait(POLL_SECONDS):
                    return


def typed_in(number: str, name: str, what: str) -> Dataset:
    """What a technologist types in where the worklist has nothing: a patient, and what is to be done."""
    entry = Dataset()
    entry.StudyInstanceUID, entry.AccessionNumber = new_uid(), ""
    entry.PatientName, entry.PatientID = name, number
    entry.PatientBirthDate = entry.PatientSex = entry.RequestedProcedureID = ""
    entry.RequestedProcedureDescription = what
    entry.ScheduledProcedureStepSequence = [Dataset()]
    return entry


def starts_at(entry: Dataset) -> datetime:
    """When the worklist says that an exam begins: wall time, as DICOM has it."""
    step = entry.ScheduledProcedureStepSequence[0]
    text = f"{step.ScheduledProcedureStepStartDate}{str(step.ScheduledProcedureStepStartTime)[:6]:0<6}"
    return datetime.strptime(text, "%Y%m%d%H%M%S")  # noqa: DTZ007 - wall time


def has_arrived(entry: Dataset) -> bool:
    """Whether the worklist says that the patient is here."""
    step = entry.ScheduledProcedureStepSequence[0]
    return bool(step.get("ScheduledProcedureStepStatus", "") == "ARRIVED")


def may_stay_away(entry: Dataset) -> bool:
    """True of somebody who comes from home and is not here yet."""
    return not entry.get("CurrentPatientLocation", "") and not has_arrived(entry)


def side_of(entry: Dataset) -> str:
    """The side that the worklist's own words name, as a technologist reads it."""
    words = str(entry.get("RequestedProcedureDescription", "")).lower()
    return "L" if "left" in words else "R" if "right" in words else "B" if "both" in words else ""


def run(department: Department, plan: ModalityPlan, still_wanted: Callable[[], bool]) -> None:
    """Be one machine until nobody wants it any more."""
    machine = Machine(
        department,
        plan,
        Random(f"{department.seed} {plan.ae_title}"),
        hired(department.home, department.http),
        staffed(department.home, department.http),
    )

    def wait(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and still_wanted():
            time.sleep(0.2)
        return still_wanted()

    wait(machine.random.uniform(1, POLL_SECONDS))
    while still_wanted():
        try:
            entry = machine.next_entry(department.wall())
            if entry is not None:
                machine.perform(entry, wait)
        except DeskAway:
            log.info("desk away", ae=plan.ae_title)
        wait(POLL_SECONDS * machine.random.uniform(0.7, 1.3))
