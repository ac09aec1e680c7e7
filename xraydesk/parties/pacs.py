"""A simulated PACS: it takes every object, shows the newest ones, and promises to keep what it took.

Where the site file says `web` of it, it finds and gives out what it took over the web as well (`pacs_web.py`).
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from xraydesk.lib import clock
from xraydesk.lib.ids import is_uid
from xraydesk.parties.department import Department
from xraydesk.parties.pacs_web import served, web_port
from xraydesk.parties.reports import NOTES, leave_note

log = structlog.get_logger("parties.pacs")

OBJECTS_KEPT_MAX = 300
DAYS_UNREAD_MAX = 7
"""What was done before that was read where it was done."""

ALL_KEPT, SOME_FAILED = 1, 2
NO_SUCH_OBJECT = 0x0112
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)


def _keep(folder: Path, promises: Promises, event: Event) -> int:
    uid = str(event.request.AffectedSOPInstanceUID)
    if not is_uid(uid):
        return 0xA900
    target = folder / f"{uid}.dcm"
    partial = target.with_suffix(".partial")
    partial.write_bytes(event.encoded_dataset())
    partial.replace(target)
    promises.took(uid)
    kept = sorted(folder.glob("*.dcm"), key=lambda path: path.stat().st_mtime)
    for old in kept[:-OBJECTS_KEPT_MAX]:
        old.unlink(missing_ok=True)
    tell_reporting(folder.parent / NOTES, event.dataset, today=clock.now().date())
    return 0x0000


def tell_reporting(folder: Path, said: Dataset, *, today: date) -> None:
    """The reporting system hears of a study with its first image; not of one that is here to compare with, and was read long ago."""
    done_on = str(said.get("StudyDate", "") or "")
    if done_on and done_on < f"{today - timedelta(days=DAYS_UNREAD_MAX):%Y%m%d}":
        return
    study = str(said.get("StudyInstanceUID", ""))
    if not is_uid(study) or said.get("Modality", "") == "SR" or not said.get("AccessionNumber", ""):
        return
    codes = said.get("ProcedureCodeSequence") or ()
    leave_note(
        folder,
        {
            "study": study,
            "accession": str(said.AccessionNumber),
            "patient_id": str(said.get("PatientID", "")),
            "patient_name": str(said.get("PatientName", "")),
            "birth_date": str(said.get("PatientBirthDate", "") or ""),
            "sex": str(said.get("PatientSex", "") or ""),
            "body_part": str(said.get("BodyPartExamined", "")),
            "code": str(codes[0].CodeValue) if codes else "",
            "text": str(said.get("StudyDescription", "") or ""),
        },
    )


class Promises:
    """What it took, by SOP Instance UID, in a file that outlives it; it answers over an association of its own."""

    def __init__(self, file: Path, department: Department) -> None:
        self.file = file
        self.department = department
        self.taken = set(file.read_text().split()) if file.exists() else set()
        self.asked: queue.Queue[Dataset] = queue.Queue()

    def took(self, uid: str) -> None:
        """Write down that an object is here."""
        if uid not in self.taken:
            self.taken.add(uid)
            with self.file.open("a", encoding="ascii") as file:
                file.write(f"{uid}\n")

    def take_question(self, event: Event) -> tuple[int, None]:
        """Take a question now, and answer it once its association is served."""
        self.asked.put(event.action_information)
        return 0x0000, None

    def answer(self) -> None:
        """Answer what was asked; a desk that cannot be reached asks again by itself."""
        while True:
            try:
                asked = self.asked.get_nowait()
            except queue.Empty:
                return
            report = Dataset()
            report.TransactionUID = asked.TransactionUID
            kept = [i for i in asked.ReferencedSOPSequence if i.ReferencedSOPInstanceUID in self.taken]
            failed = [i for i in asked.ReferencedSOPSequence if i.ReferencedSOPInstanceUID not in self.taken]
            for item in failed:
                item.FailureReason = NO_SUCH_OBJECT
            report.ReferencedSOPSequence = kept
            if failed:
                report.FailedSOPSequence = failed
            self._tell(report, SOME_FAILED if failed else ALL_KEPT)

    def _tell(self, report: Dataset, event_type: int) -> None:
        entity = AE(ae_title=self.department.plan.destinations[0].ae_title)
        entity.add_requested_context(StorageCommitmentPushModel)
        desk = self.department.dicom
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        association = entity.associate(
            desk.host, desk.port, ae_title=self.department.plan.ae_title, ext_neg=[role]
        )
        if association.is_established:
            association.send_n_event_report(
                report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            association.release()


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Be the PACS of the department's first destination until nobody wants it any more."""
    destination = department.plan.destinations[0]
    folder = department.folder / "pacs"
    folder.mkdir(parents=True, exist_ok=True)
    entity = AE(ae_title=destination.ae_title)
    entity.maximum_pdu_size = 262_144
    entity.add_supported_context("1.2.840.10008.1.1")
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), list(TRANSFER_SYNTAXES))
    entity.add_supported_context(StorageCommitmentPushModel)
    promises = Promises(department.folder / "pacs-kept.txt", department)
    server = entity.start_server(
        ("127.0.0.1", destination.port),
        block=False,
        evt_handlers=[
            (evt.EVT_C_STORE, lambda event: _keep(folder, promises, event)),
            (evt.EVT_N_ACTION, promises.take_question),
        ],
    )
    log.info("listening", port=destination.port)
    with served(folder, port=web_port(destination.web)) if destination.web else nullcontext():
        while still_wanted():
            promises.answer()
            time.sleep(0.3)
    if server is not None:
        server.shutdown()
