"""A patient's name and number go everywhere they are needed, and into no log and no address (row 55)."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import urllib.parse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind

from tests import modality
from tests.database import with_tables
from tests.running import Desk, collect_sockets, framed, running_desk, until
from tests.test_hostile_input import Answers, order, signed_in, store_bytes

pytestmark = [
    pytest.mark.link,
    # pynetdicom leaves its socket to the garbage collector where a connection is refused.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MARK = "ZZMARKER"
NAME, NUMBER = f"{MARK}^Person", f"{MARK}7"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    with running_desk(with_tables(tmp_path_factory.mktemp("marked")), "--demo", "--demo-quiet") as desk:
        yield Answers(desk)
    collect_sockets()


def told(desk: Desk) -> dict[str, list[str]]:
    """Lines of any log, and of the terminal, that hold the mark in whatever letters."""
    files = [path for path in (desk.home / "logs").rglob("*") if path.is_file()] + [desk.log]
    assert {"web.log", "dicom.log", "mllp.log", "worker.log", "postgres.log"} & {path.name for path in files}
    found = {
        path.name: [
            line[:400] for line in path.read_text(errors="replace").splitlines() if MARK in line.upper()
        ]
        for path in files
    }
    return {name: lines for name, lines in found.items() if lines}


def addresses(page: str) -> list[str]:
    """Where a page leads to, its title, and what it would send by GET."""
    return re.findall(r'(?:href|action|src|hx-[a-z]+)="([^"]*)"', page) + re.findall(r"<title>([^<]*)<", page)


def worklist(desk: Desk) -> list[str]:
    asked = Dataset()
    asked.PatientName, asked.PatientID, asked.AccessionNumber = f"{MARK}*", "", ""
    entity = AE(ae_title="XR1")
    entity.add_requested_context(ModalityWorklistInformationFind)
    association = entity.associate("127.0.0.1", desk.dicom, ae_title="XRAYDESK")
    assert association.is_established
    found = [
        str(d.PatientID) for _, d in association.send_c_find(asked, ModalityWorklistInformationFind) if d
    ]
    association.release()
    return found


def marked_image(accession: str = "", study: str = "", **fields: str) -> Dataset:
    return modality.image(
        PatientID=NUMBER,
        PatientName=NAME,
        AccessionNumber=accession,
        StudyInstanceUID=study or modality.new_uid(),
        **fields,
    )


def test_a_whole_journey_leaves_no_patient_in_a_log_or_an_address(answers: Answers) -> None:
    """Row 55: order, worklist, step, images of the right and of no exam, pages, search."""
    desk = answers.desk
    assert "MSA|AA" in desk.ask(order("MARKED", NUMBER, name=NAME).replace("cough", MARK))
    found = until(
        lambda: [e for e in desk.objects("exam", "list", "--all", "--placer", "MARKED") if e["start"]]
    )
    assert found
    (exam,) = found
    accession, study, ae_title = exam["accession"], exam["study_instance_uid"], exam["ae_title"]
    assert worklist(desk) == [NUMBER]
    begun = modality.step_begun(
        ae_title, accession=accession, study=study, PatientID=NUMBER, PatientName=NAME
    )
    uid = modality.new_uid()
    assert modality.tell_step(desk.dicom, ae_title, "send_n_create", begun, uid) == 0
    right, other = marked_image(accession, study), marked_image(accession, study, ContentDate="20200101")
    stray = marked_image("NOSUCHEXAM")
    assert modality.store(desk.dicom, ae_title, [right, stray]) == [0, 0]
    other.SOPInstanceUID = right.SOPInstanceUID
    assert modality.store(desk.dicom, ae_title, [other]) == [0]
    assert modality.tell_step(desk.dicom, ae_title, "send_n_set", modality.step_ended([right]), uid) == 0
    session = signed_in(answers)
    form = {**session, "Content-Type": "application/x-www-form-urlencoded"}
    pages = [
        "/",
        "/day",
        "/attention",
        "/triage",
        "/messages",
        "/rooms",
        f"/rooms/{exam['room']}",
        f"/exams/{accession}",
    ]
    shown = [answers.http("GET", path, headers=session) for path in pages]
    shown.append(answers.http("POST", "/search", urllib.parse.urlencode({"q": MARK}).encode(), form))
    shown.append(answers.http("POST", f"/exams/{accession}/note", f"text={MARK}".encode(), form))
    assert all(status < 400 for status, _ in shown), [status for status, _ in shown]
    assert any(MARK in page.upper() for _, page in shown), (
        "the pages name the patient: the mark is seen at all"
    )
    assert [a for _, page in shown for a in addresses(page) if MARK in a.upper()] == []
    assert answers.http("GET", f"/fhir/R4/Patient?identifier={NUMBER}", headers=answers.bearer)[0] == 200
    assert told(desk) == {}


def test_what_goes_wrong_with_a_patient_leaves_no_patient_in_a_log(answers: Answers) -> None:
    """Row 55: messages, steps, objects and forms that cannot be taken, each full of the mark."""
    desk = answers.desk
    session = signed_in(answers)
    form = {**session, "Content-Type": "application/x-www-form-urlencoded"}
    for change in (
        ("XRCHEST1", MARK),
        ("ORC|NW", f"ORC|{MARK}"),
        ("19690512", MARK),
        ("PID|1", f"{MARK}|1"),
        ("\rPV1", "PV1"),
    ):
        desk.ask(order(f"X{change[0][:3]}", NUMBER, name=NAME).replace(*change))
    answers.raw(desk.mllp, f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|{MARK}".encode() + b"\x1c\r", half=True)
    answers.raw(desk.mllp, MARK.encode() * 100, half=True)
    answers.raw(desk.http, f"GET /{MARK} HTTP/9.9\r\n{MARK}: {MARK}\r\n\r\n".encode(), half=True)
    broken = (
        b"\x10\x00\x10\x00PN\x08\x00"
        + MARK.encode()
        + b"\x10\x00\x30\x00DA\x08\x00"
        + MARK.encode()
        + b"\x08\x00\x18\x00"
    )
    store_bytes(desk, broken)
    store_bytes(desk, MARK.encode() * 3)
    step = modality.step_begun(
        "XR1", accession=MARK, study=modality.new_uid(), PatientName=NAME, PatientID=NUMBER
    )
    step.PerformedProcedureStepStatus = MARK
    modality.tell_step(desk.dicom, "XR1", "send_n_create", step, modality.new_uid())
    for path in ("/sign-in", "/orders/new", f"/exams/{MARK}/note", "/rooms/XR1/note", "/patients/1"):
        answers.http(
            "POST", path, f"username={MARK}&password={MARK}&text={MARK}&q={MARK}&family={MARK}".encode(), form
        )
        answers.http("POST", path, f"username={MARK}%00&text={MARK}%00".encode(), form)
        answers.http("POST", path, MARK.encode(), {**form, "Content-Type": "multipart/form-data; boundary=x"})
    assert told(desk) == {}


def test_a_database_that_goes_away_in_the_midst_leaves_no_patient_in_a_log(answers: Answers) -> None:
    """Row 55: every process fails with the patient in its hands."""
    desk = answers.desk
    session = signed_in(answers)
    form = {**session, "Content-Type": "application/x-www-form-urlencoded"}
    database = until(lambda: desk.children().get("postgres"), 10)
    assert database, (desk.children(), (desk.home / "logs" / "postgres.log").read_text()[-2000:])
    os.kill(database, signal.SIGKILL)
    until_again = time.monotonic() + 2.5
    number = 0
    while time.monotonic() < until_again:
        number += 1
        with socket.create_connection(("127.0.0.1", desk.mllp), 20) as line:
            line.sendall(framed(order(f"DOWN{number}", NUMBER, name=NAME)))
            line.recv(65536)
        modality.store(desk.dicom, "XR1", [marked_image()])
        answers.http("POST", "/search", f"q={MARK}".encode(), form)
        answers.http("GET", f"/fhir/R4/Patient?identifier={MARK}", headers=answers.bearer)
    assert until(lambda: desk.get("/readyz")[0] == 200, 20)
    answers.works()
    assert told(desk) == {}


def test_the_mark_would_be_found(tmp_path: Path) -> None:
    """The search of the logs above finds what it looks for."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "web.log").write_text(f"{datetime.now()} zzmarker\n")
    (tmp_path / "up.log").write_text("")
    desk = Desk(tmp_path, 0, 0, 0, None, tmp_path / "up.log")  # type: ignore[arg-type]
    assert list(told(desk)) == ["web.log"]
