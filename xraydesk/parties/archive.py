"""A simulated archive of former years: asked over the web alone, it has earlier studies of some of whom the EHR orders exams for.

The EHR leaves a note of each order, for neither knows the other; the desk hears of the studies by asking (QIDO-RS) and
fetches them (WADO-RS).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import structlog
from pydicom.dataset import Dataset

from xraydesk.lib.ids import new_uid
from xraydesk.parties.department import Department
from xraydesk.parties.earlier import NOTES, NOTES_MAX, archive_of
from xraydesk.parties.objects import expose, image
from xraydesk.parties.pacs_web import served, web_port

log = structlog.get_logger("parties.archive")

OBJECTS = "archive"
OBJECTS_KEPT_MAX = 150
KNOWN_SHARE = 0.6
"""So many of those whom the EHR orders something for were here in former years."""

DAYS_BEFORE = (40, 1500)
STATION = "OLDROOM"


@dataclass
class Archive:
    """What the archive has, below its folder; for one patient it is the same in every run of the same seed."""

    department: Department

    @property
    def folder(self) -> Path:
        """Where its objects lie."""
        return self.department.folder / OBJECTS

    def look(self) -> None:
        """Remember what was done with those whom the EHR ordered something for."""
        notes = self.department.folder / NOTES
        for path in sorted(notes.glob("*.json"))[:NOTES_MAX]:
            try:
                self.remember(json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError):
                log.warning("a note cannot be read")
            path.unlink(missing_ok=True)

    def remember(self, note: dict[str, Any]) -> None:
        """One earlier study of the same part, for some; nothing where the patient is known already."""
        random = Random(f"{self.department.seed}:{note['number']}")
        if random.random() >= KNOWN_SHARE or any(self.folder.glob(f"{note['number']}-*.dcm")):
            return
        entry = Dataset()
        entry.PatientID, entry.IssuerOfPatientID = (
            note["number"],
            self.department.plan.assigning_authority,
        )
        entry.PatientName, entry.PatientBirthDate = note["name"], note["birth_date"]
        entry.PatientSex = note["sex"]
        entry.AccessionNumber, entry.StudyInstanceUID = f"OLD{note['number']}", new_uid()
        at = self.department.wall() - timedelta(days=random.randint(*DAYS_BEFORE))
        series_uid = new_uid()
        for number, view in enumerate(note["views"], 1):
            made = image(
                entry,
                exposure=expose(random, note["body_part"], view),
                series_uid=series_uid,
                number=number,
                modality=note["modality"],
                station=STATION,
                body_part=note["body_part"],
                side=note["side"],
                at=at,
                random=random,
            )
            made.StudyDescription = note["text"]
            partial = self.folder / f"{note['number']}-{number}.partial"
            made.save_as(partial, enforce_file_format=True)
            partial.replace(partial.with_suffix(".dcm"))
        kept = sorted(self.folder.glob("*.dcm"), key=lambda path: path.stat().st_mtime)
        for old in kept[:-OBJECTS_KEPT_MAX]:
            old.unlink(missing_ok=True)


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Be the archive of the department until nobody wants it any more."""
    to = archive_of(department)
    if to is None:
        return
    archive = Archive(department)
    archive.folder.mkdir(parents=True, exist_ok=True)
    with served(archive.folder, port=web_port(to.web)):
        log.info("listening", port=web_port(to.web))
        while still_wanted():
            archive.look()
            time.sleep(0.2)
