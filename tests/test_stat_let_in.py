"""A STAT is dropped into a full morning on a desk that really runs: seen, accepted, and every effect found outside; then undone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from tests import running
from tests.database import with_tables
from tests.running import ROOT, Desk, collect_sockets, free_ports, running_desk
from xraydesk.desk.tests.browser import browser, sign_in
from xraydesk.desk.tests.scenes import mid_morning_zone
from xraydesk.lib import clock
from xraydesk.parties.department import Address, Department
from xraydesk.parties.inbox import Answer, Inbox, listening
from xraydesk.siteplan.reading import read_toml

pytestmark = pytest.mark.link
PASSWORD = "a password that only tests use"
WORKLIST = "1.2.840.10008.5.1.4.31"
MIN = timedelta(minutes=1)
SECONDS_MAX = 60
"""A busy machine sends its messages after its pages."""
_numbers = count(int(time.time()) % 100_000 * 100)

SITE = """
[site]
code = "S"
name = "One room"
timezone = "{zone}"
assigning_authority = "HOSP"
ae_title = "XRAYDESK"

[[location]]
code = "MAIN"
name = "Main building"

[[room]]
code = "XR1"
name = "XR1 Chest"
location = "MAIN"
kind = "general"
hours = {{ every = ["00:00-24:00"] }}

[[modality]]
ae_title = "XR1"
room = "XR1"
modality = "DX"

[[procedure]]
code = "XRCHEST2"
text = "Chest 2 views"
minutes = 10
room_kinds = ["general"]

[[technologist]]
code = "T1"
name = "Lopez"
skills = ["general"]
shifts = {{ every = ["00:00-24:00"] }}

[[porter]]
code = "P1"
name = "Novak"
shifts = {{ every = ["00:00-24:00"] }}

[[ward]]
code = "W3"
name = "Medicine"
travel_minutes = 3

[[link]]
name = "EHR"
kind = "orders"
sending_application = "EHR"
sending_facility = "HOSP"

[[outlink]]
name = "EHR-OUT"
host = "127.0.0.1"
port = {port}
sends = ["appointments"]
sending_application = "XRAYDESK"
sending_facility = "XRAY"
receiving_application = "EHR"
receiving_facility = "HOSP"

[policies.booking]
O = "requested"
I = "ask"
"""


until = partial(running.until, seconds=SECONDS_MAX)


class Ehr(Inbox):
    """The simulated EHR's listener, with every message kept word for word."""

    def __init__(self, department: Department) -> None:
        super().__init__(department, Random(1), "EHR-OUT")
        self.came: list[str] = []

    def answer(self, message: bytes) -> Answer:
        self.came.append(message.decode())
        return super().answer(message)

    def of(self, placer: str) -> list[str]:
        """The events that it was told of one order, in order: `S12`, `S13`…"""
        found = [m for m in self.came if f"{placer}^" in m or f"|{placer}|" in m]
        return [event.group(1) for m in found if (event := re.search(r"SIU\^(S\d\d)", m))]


@dataclass
class Hospital:
    """The running desk, and the EHR beside it."""

    desk: Desk
    ehr: Ehr
    zone: str

    def wall(self, at: datetime) -> str:
        return f"{clock.in_zone(at, self.zone):%Y%m%d%H%M%S}"

    def order(self, *, patient_class: str, priority: str, at: datetime | None) -> str:
        """One order over MLLP; its placer number."""
        number = next(_numbers)
        placer, when = f"P{number}", self.wall(at) if at else ""
        ward = "W3^^12" if patient_class == "I" else "RAD"
        answer = self.desk.ask(
            "\r".join(
                [
                    f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|{self.wall(clock.now())}||ORM^O01^ORM_O01|C{placer}|P|2.5.1||||||UNICODE UTF-8",
                    f"PID|1||N{number}^^^HOSP^MR||Prüfer{number}^Ada||19690512|F",
                    f"PV1|1|{patient_class}|{ward}",
                    f"ORC|NW|{placer}^EHR|||||1^^^{when}^^{priority}|||||7001^Okafor^Ngozi",
                    f"OBR|1|{placer}^EHR||XRCHEST2^Chest 2 views^L||||||||||||7001^Okafor^Ngozi|||||||||||||||cough|||||{when}",
                    "",
                ]
            )
        )
        assert f"MSA|AA|C{placer}" in answer
        return placer

    def exams(self) -> dict[str, dict[str, Any]]:
        """Every exam by its placer number."""
        return {exam["placer"]: exam for exam in self.desk.objects("exam", "list", "--all")}

    def facts(self, accessions: list[str]) -> list[set[tuple[str, str]]]:
        """What happened to each of these exams, and by whom."""
        answers = self.desk.batch([["exam", "show", accession, "--json"] for accession in accessions])
        return [
            {(fact["kind"], fact["by"]) for fact in json.loads(answer["stdout"])["facts"]}
            for answer in answers
        ]

    def worklist(self) -> dict[str, str]:
        """Accession numbers and start times that XR1 is given over C-FIND."""
        asked, step = Dataset(), Dataset()
        asked.AccessionNumber = asked.PatientID = ""
        step.ScheduledStationAETitle, step.ScheduledProcedureStepStartDate = "XR1", ""
        step.ScheduledProcedureStepStartTime = ""
        asked.ScheduledProcedureStepSequence = [step]
        machine = AE(ae_title="XR1")
        machine.add_requested_context(WORKLIST)
        line = machine.associate("127.0.0.1", self.desk.dicom, ae_title="XRAYDESK")
        assert line.is_established
        answers = [found for _, found in line.send_c_find(asked, WORKLIST) if found is not None]
        line.release()
        return {
            str(found.AccessionNumber): str(
                found.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime
            )[:4]
            for found in answers
        }


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    zone, (port,) = mid_morning_zone(clock.now()), free_ports(1)
    file = tmp_path / "site.toml"
    file.write_text(SITE.format(zone=zone, port=port), encoding="utf-8")
    here = Address("127.0.0.1", 1)
    ehr = Ehr(Department(tmp_path / "ehr", read_toml(file), here, here, here, seed=1, one_in=0))
    wanted = threading.Event()
    wanted.set()
    thread = threading.Thread(target=ehr.serve, args=(listening("127.0.0.1", port), wanted.is_set))
    thread.start()
    try:
        with running_desk(with_tables(tmp_path), "--site", str(file)) as desk:
            made = subprocess.run(
                [sys.executable, "-m", "xraydesk", "user", "create", "wanjiru", "--role", "coordinator", "--password-stdin"],
                input=PASSWORD, text=True, capture_output=True, env=desk.env | {"XRAYDESK_HOME": str(desk.home)}, cwd=ROOT,
            )  # fmt: skip
            assert made.returncode == 0, made.stderr
            yield Hospital(desk, ehr, zone)
    finally:
        wanted.clear()
        thread.join(10)
        collect_sockets()


def full_morning(hospital: Hospital) -> list[str]:
    """Ten outpatients in the one room, without a gap, from in five minutes: nothing else fits before."""
    first = clock.now().replace(second=0, microsecond=0) + 5 * MIN
    placers = [
        hospital.order(patient_class="O", priority="R", at=first + number * 10 * MIN) for number in range(10)
    ]
    assert until(lambda: [p for p, e in hospital.exams().items() if e["start"]] == placers)
    return placers


def test_a_stat_is_let_in_every_effect_is_there_and_an_undo_takes_all_of_it_back(hospital: Hospital) -> None:
    placers = full_morning(hospital)
    stat = hospital.order(patient_class="I", priority="S", at=None)
    assert until(lambda: stat in hospital.exams())
    before = hospital.exams()
    accession = before.pop(stat)["accession"]
    assert until(lambda: all("S12" in hospital.ehr.of(p) for p in placers)), hospital.ehr.came[-3:]
    listed = hospital.worklist()
    assert {e["accession"] for e in before.values()} == set(listed)
    with browser() as chromium:
        page = chromium.new_context(viewport={"width": 1280, "height": 720}).new_page()
        sign_in(page, f"http://127.0.0.1:{hospital.desk.http}", "wanjiru", PASSWORD)
        page.click(f"#t-{accession} a")
        page.wait_for_selector("#proposal")
        assert page.locator(f"#g-{accession}").count() == 1, "its ghost"
        assert page.locator(".ghost").count() > 1, "and those of who gives way"
        page.keyboard.press("Enter")
        page.wait_for_selector(f".line #e-{accession}")

        after = hospital.exams()
        moved = [p for p in placers if after[p]["start"] != before[p]["start"]]
        assert after[stat]["start"]
        assert moved
        assert until(lambda: hospital.ehr.of(stat) == ["S12"]), hospital.ehr.of(stat)
        assert until(lambda: all(hospital.ehr.of(p).count("S13") == 1 for p in moved))
        assert all("S13" not in hospital.ehr.of(p) for p in placers if p not in moved)
        told = hospital.worklist()
        for one in after.values():
            start = clock.in_zone(datetime.fromisoformat(one["start"]), hospital.zone)
            assert told[one["accession"]] == f"{start:%H%M}"
        of_stat, *of_others = hospital.facts([accession, *(after[p]["accession"] for p in moved)])
        assert ("booked", "user:wanjiru") in of_stat
        assert "porter asked" in {kind for kind, _ in of_stat}
        assert all(("moved", "user:wanjiru") in one for one in of_others)
        desk = f"http://127.0.0.1:{hospital.desk.http}"
        page.goto(f"{desk}/jobs")
        assert f"/exams/{accession}" in page.content()
        page.goto(f"{desk}/exams/{after[moved[0]]['accession']}")
        assert "Your x-ray has a new time" in page.inner_text("#notices")
        assert "to be told from" in page.inner_text("#notices")

        page.goto(f"{desk}/rearrangements")
        page.click("button:has-text('Undo')")
        page.wait_for_selector(".toast")
        undone = hospital.exams()
        assert {p: undone[p]["start"] for p in placers} == {p: e["start"] for p, e in before.items()}
        assert undone[stat]["start"] is None
        assert until(lambda: all(hospital.ehr.of(p).count("S13") == 2 for p in moved)), "a second S13"
        assert until(lambda: hospital.ehr.of(stat) == ["S12", "S15"]), hospital.ehr.of(stat)
        assert hospital.worklist() == listed
        assert until(lambda: "porter's job cancelled" in {kind for kind, _ in hospital.facts([accession])[0]})
        page.goto(f"{desk}/exams/{after[moved[0]]['accession']}")
        assert "taken back" in page.inner_text("#notices")
