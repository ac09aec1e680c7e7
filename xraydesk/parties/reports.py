"""The simulated reporting system: what the PACS has is read after a while, and the report is sent as ORU^R01.

It learns of a study from the note that the simulated PACS leaves when its first image comes.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import structlog

from xraydesk.lib import clock
from xraydesk.parties.department import Department
from xraydesk.parties.mllp import Sender, escaped
from xraydesk.siteplan.invented import said_of
from xraydesk.siteplan.link_plan import LinkPlan

log = structlog.get_logger("parties.reports")

NOTES = "to-read"
"""Folder below the parties' own in which the PACS leaves its notes."""

NOTES_MAX = 500
FIRST_SECONDS = (8.0, 20.0)
READING_SECONDS = (120.0, 1500.0)
"""From the first image to the report: short for the first one after the start, so that there is something to see."""

PRELIMINARY_SHARE = 0.2
CRITICAL_SHARE = 0.05
CORRECTED_SHARE = 0.03
RETRY_SECONDS = 5.0

READERS = (("99", "Reader", "Rita"), ("98", "Osei", "Kofi"), ("97", "Lindqvist", "Ingrid"))


@dataclass
class Reading:
    """One study that waits to be read. `due` is monotonic seconds; `final_due` set once a preliminary went out."""

    note: dict[str, Any]
    path: Path
    due: float
    said: tuple[str, str] = ("", "")
    critical: bool = False
    sent: list[str] = field(default_factory=list)


@dataclass
class Reports:
    """One running reporting system."""

    department: Department
    link: LinkPlan
    random: Random
    sender: Sender
    waiting: dict[str, Reading] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    read: int = 0

    def look(self) -> None:
        """See what new studies the PACS has."""
        folder = self.department.folder / NOTES
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.json"))[:NOTES_MAX]:
            if path.name in self.waiting:
                continue
            try:
                note = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                path.unlink(missing_ok=True)
                continue
            seconds = FIRST_SECONDS if self.read + len(self.waiting) < 2 else READING_SECONDS
            reading = Reading(note, path, time.monotonic() + self.random.uniform(*seconds))
            reading.critical = self.random.random() < CRITICAL_SHARE
            reading.said = said_of(str(note.get("body_part", "")), critical=reading.critical)
            self.waiting[path.name] = reading

    def work(self) -> None:
        """Send every report whose time has come; one that is not taken is tried again."""
        for name, reading in list(self.waiting.items()):
            if reading.due > time.monotonic():
                continue
            status = self.next_status(reading)
            try:
                code = self.sender.ask(self.message(reading, status))
            except OSError:
                reading.due = time.monotonic() + RETRY_SECONDS
                continue
            if code != "AA":
                log.warning("report refused", code=code)
            reading.sent.append(status)
            if status == "P":
                reading.due = time.monotonic() + self.random.uniform(60, 400)
            elif status == "F" and self.random.random() < CORRECTED_SHARE:
                reading.due = time.monotonic() + self.random.uniform(120, 600)
            else:
                reading.path.unlink(missing_ok=True)
                del self.waiting[name]
                self.read += 1

    def next_status(self, reading: Reading) -> str:
        """P, F or C (OBR-25): mostly final at once."""
        if "F" in reading.sent:
            return "C"
        if not reading.sent and self.random.random() < PRELIMINARY_SHARE:
            return "P"
        return "F"

    def message(self, reading: Reading, status: str) -> str:
        """An ORU^R01 of one study (HL7 2.5.1 §7.3.1)."""
        note, link = reading.note, self.link
        now = self.department.wall().strftime("%Y%m%d%H%M%S")
        authority = self.department.plan.assigning_authority
        number = f"REP{int(clock.now().timestamp()):010d}{next(self.numbers):04d}"
        reader = self.random.choice(READERS)
        text, impression = reading.said
        if status == "C":
            impression = f"Corrected: {impression}"
        flag = "AA" if reading.critical else ""
        obr = [""] * 32
        obr[0], obr[2], obr[3] = (
            "1",
            note["accession"],
            f"{note.get('code', '')}^{escaped(note.get('text', ''))}^L",
        )
        obr[17], obr[21], obr[24] = note["accession"], now, status
        obr[31] = "&".join(escaped(part) for part in reader)
        name = "^".join(escaped(part) for part in str(note["patient_name"]).split("^")[:2])
        segments = [
            f"MSH|^~\\&|{link.sending_application}|{link.sending_facility}|{link.receiving_application}|"
            f"{link.receiving_facility}|{now}||ORU^R01^ORU_R01|{number}|P|2.5.1||||||UNICODE UTF-8",
            f"PID|1||{escaped(note['patient_id'])}^^^{authority}^MR||{name}||{note['birth_date']}|{note['sex']}",
            f"ORC|RE||{note['accession']}",
            "OBR|" + "|".join(obr),
            f"OBX|1|TX|GDT^Findings^L||{escaped(text)}||||||{status}",
            f"OBX|2|TX|IMP^Impression^L||{escaped(impression)}|||{flag}|||{status}",
        ]
        return "\r".join(segments) + "\r"


def leave_note(folder: Path, note: dict[str, Any]) -> None:
    """What the PACS leaves for the reporting system when a study's first image comes; at most NOTES_MAX of them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{note['study']}.json"
    done = folder / f"{note['study']}.seen"
    if path.exists() or done.exists():
        return
    if sum(1 for _ in folder.glob("*.json")) >= NOTES_MAX:
        return
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(note), encoding="utf-8")
    partial.replace(path)
    done.touch()
    seen = sorted(folder.glob("*.seen"), key=lambda one: one.stat().st_mtime)
    for old in seen[:-NOTES_MAX]:
        old.unlink(missing_ok=True)


def link_of(department: Department) -> LinkPlan:
    """The link that reports are sent over: one for reports alone, else the orders'."""
    return next((link for link in department.plan.links if link.kind == "results"), department.orders_link)


def run(department: Department, still_wanted: Callable[[], bool]) -> None:
    """Be the reporting system until nobody wants it any more."""
    random = Random(f"{department.seed} reports")
    with Sender(department.mllp) as sender:
        reports = Reports(department, link_of(department), random, sender)
        while still_wanted():
            reports.look()
            reports.work()
            time.sleep(1.0)
