"""A simulated PACS: it takes every object, and keeps the newest ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event

from xraydesk.lib.ids import is_uid
from xraydesk.parties.department import Department
from xraydesk.parties.reports import NOTES, leave_note

log = structlog.get_logger("parties.pacs")

OBJECTS_KEPT_MAX = 300
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


def _keep(folder: Path, event: Event) -> int:
    uid = str(event.request.AffectedSOPInstanceUID)
    if not is_uid(uid):
        return 0xA900
    target = folder / f"{uid}.dcm"
    partial = target.with_suffix(".partial")
    partial.write_bytes(event.encoded_dataset())
    partial.replace(target)
    kept = sorted(folder.glob("*.dcm"), key=lambda path: path.stat().st_mtime)
    for old in kept[:-OBJECTS_KEPT_MAX]:
        old.unlink(missing_ok=True)
    _tell_reporting(folder.parent / NOTES, event.dataset)
    return 0x0000


def _tell_reporting(folder: Path, said: Dataset) -> None:
    """The reporting system hears of a study with its first image."""
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
    server = entity.start_server(
        ("127.0.0.1", destination.port),
        block=False,
        evt_handlers=[(evt.EVT_C_STORE, lambda event: _keep(folder, event))],
    )
    log.info("listening", port=destination.port)
    while still_wanted():
        time.sleep(0.3)
    if server is not None:
        server.shutdown()
