"""The web side of the simulated PACS finds and gives out as PS3.18 has it, over a real socket."""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.running import free_ports, until
from xraydesk.links.dicom.archive_codec import Asked
from xraydesk.links.dicomweb.find import find_studies
from xraydesk.parties import archive, pacs
from xraydesk.parties.department import Address, Department, NotLoopback
from xraydesk.parties.earlier import leave_note
from xraydesk.parties.pacs_web import BASE, web_port
from xraydesk.siteplan.invented import invent
from xraydesk.siteplan.reading import read_toml
from xraydesk.siteplan.routing_plan import DestinationPlan

HOSPITAL = Path(__file__).parents[1] / "site" / "hospital.toml"
STUDIES = ("2.25.1", "2.25.2", "2.25.3")


def put(folder: Path, study: str, number: int) -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", f"{study}.9.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.StudyDate = study, f"{study}.9", f"2025030{study[-1]}"
    ds.PatientID, ds.PatientName, ds.Modality = "N1", "Test^One", "CR"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(folder / f"{ds.SOPInstanceUID}.dcm", enforce_file_format=True)


def test_a_web_address_of_the_simulated_pacs_is_on_this_machine() -> None:
    assert web_port("http://127.0.0.1:8042/dicom-web") == 8042
    with pytest.raises(NotLoopback):
        web_port("http://10.0.0.1:8042/dicom-web")


@pytest.mark.link
def test_it_finds_pages_and_gives_out_objects_and_what_they_say(tmp_path: Path) -> None:
    dicom, web = free_ports(2)
    plan = read_toml(HOSPITAL)
    here = replace(plan.destinations[0], port=dicom, finds=True, web=f"http://127.0.0.1:{web}{BASE}")
    nowhere = Address("127.0.0.1", 1)
    department = Department(tmp_path, replace(plan, destinations=(here,)), nowhere, nowhere, nowhere, seed=1)
    (department.folder / "pacs").mkdir(parents=True)
    for study in STUDIES:
        put(department.folder / "pacs", study, 1)
    put(department.folder / "pacs", STUDIES[0], 2)
    over = threading.Event()
    thread = threading.Thread(target=pacs.run, args=(department, lambda: not over.is_set()), daemon=True)
    thread.start()

    def get(path: str, accept: str = "*/*") -> tuple[int, str, bytes, str]:
        connection = http.client.HTTPConnection("127.0.0.1", web, timeout=10)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            said = answer.read()
            return (
                answer.status,
                answer.headers.get("Content-Type", ""),
                said,
                answer.headers.get("Warning", ""),
            )
        finally:
            connection.close()

    def found(path: str, tag: str) -> list[Any]:
        status, kind, said, _ = get(f"{BASE}/{path}")
        assert (status, kind) == (200, "application/dicom+json")
        return [one[tag]["Value"][0] for one in json.loads(said)]

    def listens() -> bool:
        try:
            return get(f"{BASE}/studies")[0] == 200
        except OSError:
            return False

    try:
        assert until(listens, 30)
        assert found("studies?PatientID=N1&includefield=00080020", "0020000D") == list(STUDIES)
        assert found("studies?StudyDate=20250302-20250303", "0020000D") == list(STUDIES[1:])
        assert found("studies?limit=2&offset=1", "00080020") == ["20250302", "20250303"]
        assert "2 additional results" in get(f"{BASE}/studies?limit=1")[3]
        assert found("studies/2.25.1/series?Modality=CR", "0020000E") == ["2.25.1.9"]
        assert found("studies/2.25.1/instances", "00080018") == ["2.25.1.9.1", "2.25.1.9.2"]
        assert found("studies/2.25.1/series/2.25.1.9/instances", "00080018") == ["2.25.1.9.1", "2.25.1.9.2"]
        assert found("studies/2.25.1/metadata", "00100020") == ["N1", "N1"]
        for path, parts in (
            ("studies/2.25.1", 2),
            ("studies/2.25.1/series/2.25.1.9", 2),
            ("studies/2.25.1/series/2.25.1.9/instances/2.25.1.9.1", 1),
        ):
            status, kind, said, _ = get(f"{BASE}/{path}", 'multipart/related; type="application/dicom"')
            assert (status, kind.partition(";")[0]) == (200, "multipart/related")
            assert said.count(b"DICM") == parts
        nothing = ("studies?PatientID=N2", "studies?offset=3")
        assert [get(f"{BASE}/{path}")[0] for path in nothing] == [204, 204]
        assert get(f"{BASE}/studies/2.25.1", "image/jpeg")[0] == 406
        assert [get(path)[0] for path in ("/", f"{BASE}/studies/2.25.8", f"{BASE}/patients")] == [404] * 3
    finally:
        over.set()
        thread.join(20)


@pytest.mark.link
def test_the_archive_of_former_years_has_earlier_studies_of_some_whom_the_ehr_orders_for(
    tmp_path: Path,
) -> None:
    (web,) = free_ports(1)
    plan = read_toml(HOSPITAL)
    to = replace(plan.destinations[0], name="OLD", ae_title="", host="", port=0, finds=True)
    to = replace(to, web=f"http://127.0.0.1:{web}{BASE}", moves_to="PACS", commits=False)
    nowhere = Address("127.0.0.1", 1)
    alone = Department(tmp_path, plan, nowhere, nowhere, nowhere, seed=1)
    procedure = next(p for p in plan.procedures if p.code == "XRCHEST2")
    people = [invent(Random(n), f"48{n:04}", date(2026, 11, 1)) for n in range(12)]
    leave_note(alone, people[0], procedure, "")
    assert not (alone.folder / "earlier").exists(), "nobody leaves notes where there is no archive"
    department = replace(alone, plan=replace(plan, destinations=(*plan.destinations, to)))
    for person in (*people, people[0]):
        leave_note(department, person, procedure, "")
    (department.folder / "earlier" / "480099.json").write_text("[]")
    over = threading.Event()
    thread = threading.Thread(target=archive.run, args=(department, lambda: not over.is_set()), daemon=True)
    thread.start()
    try:
        assert until(lambda: not list((department.folder / "earlier").glob("*.json")))
        asked = DestinationPlan(
            "OLD", "", "", 0, finds=True, moves_to="PACS", web=to.web, networks=("127.0.0.0/8",)
        )
        found = {
            person.number: find_studies(
                asked,
                Asked(person.number, plan.assigning_authority, person.birth_date),
                on=department.wall().date(),
            )
            for person in people
        }
    finally:
        over.set()
        thread.join(15)
    counts = {len(studies) for studies in found.values()}
    assert counts == {0, 1}, "some were here before, and some were not"
    assert {one.looked.body_part for studies in found.values() for one in studies} == {procedure.body_part}
    archive.run(alone, lambda: pytest.fail("there is no archive"))
