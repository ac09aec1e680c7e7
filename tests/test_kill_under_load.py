"""Every process killed in turn while orders, steps and images come in: what was acknowledged is there, once."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from tests import modality
from tests.database import memory_folder, with_tables
from tests.running import RunningDesk, collect_sockets, framed, free_ports, hospital_file, until
from xraydesk.project import postgres

pytestmark = [
    pytest.mark.link,
    # pynetdicom leaves its socket to the garbage collector where a connection is refused.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ORDER_SENDERS, MODALITIES = 3, 2
CODES = ("XRCHEST1^Chest 1 view", "XRSTERN^Sternum 2 views", "XRSKULL^Skull 2 views")
"""A patient's first orders come over several connections at once (row 20), each for something else."""
SHOWN = {
    "XRCHEST1": ("CHEST", "PA", "PA"),
    "XRSTERN": ("STERNUM", "LAT", "OBL"),
    "XRSKULL": ("SKULL", "AP", "LAT"),
}
"""The part that each shows, and its views; the chest is taken twice."""

GIVE_UP_SECONDS = 60
SUCCESS, DUPLICATE, NO_LONGER = 0x0000, 0x0111, 0x0110


@dataclass
class Pacs:
    """A storage SCP that counts what it takes."""

    port: int
    taken: Counter[str] = field(default_factory=Counter)

    def take(self, event: evt.Event) -> int:
        self.taken[str(event.request.AffectedSOPInstanceUID)] += 1
        return SUCCESS


@contextlib.contextmanager
def running_pacs() -> Iterator[Pacs]:
    (port,) = free_ports(1)
    pacs = Pacs(port)
    entity = AE(ae_title="PACS")
    entity.add_supported_context(modality.DX_IMAGE, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, pacs.take)]
    )
    try:
        yield pacs
    finally:
        server.shutdown()
        time.sleep(0.5)
        collect_sockets()


@dataclass
class Load:
    """Partners that send, and send again what was not acknowledged; what they were told is kept."""

    desk: RunningDesk
    orders: dict[str, str] = field(default_factory=dict)
    """Placer numbers that were acknowledged with AA, and their patients."""
    begun: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    stored: dict[str, str] = field(default_factory=dict)
    """SOP instance UIDs whose storage was answered with Success, and their accession numbers."""
    repeats: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _taken: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        work = [self.send_orders] * ORDER_SENDERS + [self.perform] * MODALITIES
        self._threads = [threading.Thread(target=self._kept(one), daemon=True) for one in work]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Begin nothing new, and wait until what was begun is acknowledged."""
        self._over.set()
        for thread in self._threads:
            thread.join(GIVE_UP_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads), "a sender waits for ever"
        assert self.wrong == []

    def _kept(self, work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:
                self.wrong.append(repr(error))

        return run

    def again(self, what: str, send: Callable[[], bool]) -> None:
        """Send until it is acknowledged."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while not send():
            self.repeats[what] += 1
            assert time.monotonic() < deadline, f"{what} was not acknowledged in {GIVE_UP_SECONDS} s"
            time.sleep(0.1)

    def send_orders(self) -> None:
        while not self._over.is_set():
            with self._lock:
                number = next(self._numbers)
            placer, patient = f"K{number}", f"KP{number // len(CODES)}"
            message = order(placer, patient, CODES[number % len(CODES)])
            self.again("order", lambda: f"MSA|AA|C{placer}" in self._ask(message))  # noqa: B023
            self.orders[placer] = patient
            time.sleep(0.25)

    def _ask(self, message: bytes) -> str:
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.desk.ports[1]), 10) as line:
                line.sendall(message)
                while b"\x1c" not in answer and (part := line.recv(65536)):
                    answer += part
        except OSError:
            return ""
        return answer.decode()

    def perform(self) -> None:
        while not self._over.is_set():
            found = self._next_exam()
            if found is None:
                time.sleep(0.2)
                continue
            accession, ae_title = found["accession"], found["ae_title"]
            begun = modality.step_begun(
                ae_title,
                accession=accession,
                study=found["study_instance_uid"],
                PatientID=found["patient"],
                ScheduledProcedureStepID="",
            )
            uid = modality.new_uid()
            part, *views = SHOWN[found["procedure_code"]]
            images = [image_of(found, part, view) for view in views]
            self.again("N-CREATE", lambda: self._tell(ae_title, "send_n_create", begun, uid, DUPLICATE))  # noqa: B023
            self.begun.add(accession)
            for one in images:
                self.again("C-STORE", lambda: self._store(ae_title, one))  # noqa: B023
                self.stored[str(one.SOPInstanceUID)] = accession
            done = modality.step_ended(images)
            self.again("N-SET", lambda: self._tell(ae_title, "send_n_set", done, uid, NO_LONGER))  # noqa: B023
            self.ended.add(accession)

    def _tell(self, ae_title: str, what: str, dataset: Dataset, uid: str, told_already: int) -> bool:
        """True where the desk took it, or says that it took it the first time."""
        try:
            status = modality.tell_step(self.desk.ports[2], ae_title, what, dataset, uid)
        except RuntimeError:
            return False
        self._only_known(what, status, (told_already,))
        if status == NO_LONGER:
            with contextlib.suppress(psycopg.Error), database_of(self.desk) as record:
                sql = (
                    "SELECT 1 FROM imaging_performedstep WHERE sop_instance_uid = %s AND state = 'completed'"
                )
                return record.execute(sql, [uid]).fetchone() is not None
            return False
        return status in (SUCCESS, told_already)

    def _store(self, ae_title: str, one: Dataset) -> bool:
        try:
            (status,) = modality.store(self.desk.ports[2], ae_title, [one])
        except RuntimeError:
            return False
        self._only_known("C-STORE", status, ())
        return status == SUCCESS

    def _only_known(self, what: str, status: int | None, others: tuple[int, ...]) -> None:
        """No answer, Success, or one that says: not now (PS3.4 table B.2-1, PS3.7 annex C)."""
        if status not in (None, SUCCESS, 0xA700, 0x0110, *others):
            self.wrong.append(f"{what} was answered by {status:04X}")

    def _next_exam(self) -> dict[str, Any] | None:
        sql = """SELECT e.accession, e.study_instance_uid, e.procedure_code, m.ae_title, o.placer
                 FROM orders_exam e JOIN orders_order o ON o.id = e.order_id
                 JOIN scheduling_booking b ON b.exam_id = e.id AND b.state = 'booked'
                 JOIN rooms_modality m ON m.room_id = b.room_id ORDER BY e.id"""
        try:
            with database_of(self.desk) as record, self._lock:
                for row in record.execute(sql).fetchall():
                    patient = self.orders.get(row["placer"])
                    if patient and row["accession"] not in self._taken:
                        self._taken.add(row["accession"])
                        return {**row, "patient": patient}
        except (psycopg.Error, AssertionError):
            return None
        return None


def order(placer: str, patient: str, code: str) -> bytes:
    when = f"{datetime.now() + timedelta(days=1):%Y%m%d}100000"
    return framed(
        "\r".join(
            [
                f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|{datetime.now():%Y%m%d%H%M%S}||ORM^O01^ORM_O01|C{placer}|P|2.5.1",
                f"PID|1||{patient}^^^HOSP^MR||Load^{patient}||19690512|F",
                "PV1|1|O|RAD",
                f"ORC|NW|{placer}^EHR|||||1^^^{when}^^R|||||7001^Okafor^Ngozi",
                f"OBR|1|{placer}^EHR||{code}^L||||||||||||7001^Okafor^Ngozi|||||||||||||||cough|||||{when}",
                "",
            ]
        )
    )


def image_of(exam: dict[str, Any], part: str, view: str) -> Dataset:
    return modality.image(
        PatientID=exam["patient"],
        PatientName=f"Load^{exam['patient']}",
        AccessionNumber=exam["accession"],
        StudyInstanceUID=exam["study_instance_uid"],
        BodyPartExamined=part,
        ViewPosition=view,
    )


def database_of(desk: RunningDesk) -> psycopg.Connection[dict[str, Any]]:
    place = postgres.recorded(desk.home)
    assert place is not None
    return psycopg.connect(
        host=str(place.socket_dir), dbname="xraydesk", user="xraydesk", autocommit=True, row_factory=dict_row,
        connect_timeout=5,
    )  # fmt: skip


def kill(desk: RunningDesk, kind: str) -> None:
    """`kill -9` one process under load, and wait until another does its work."""
    before = desk.pid_of(kind)
    assert before is not None, kind
    os.kill(before, signal.SIGKILL)
    assert until(lambda: desk.pid_of(kind) not in (None, before), 10), f"{kind} did not come back"
    assert until(lambda: desk.get("/readyz") == 200, 20), f"not ready after {kind} was killed"
    time.sleep(1.5)


@pytest.fixture(scope="module")
def after() -> Iterator[tuple[Load, Pacs, RunningDesk]]:
    """A desk after all that, with everything done that was to be done."""
    with (
        tempfile.TemporaryDirectory(prefix="xraydesk-kill-", dir=memory_folder()) as made,
        running_pacs() as pacs,
    ):
        folder = Path(made)
        folder.chmod(0o711)
        file = hospital_file(folder, pacs=pacs.port)
        desk = RunningDesk(with_tables(folder) / "home", flags=("--site", str(file))).start()
        load = Load(desk)
        try:
            load.start()
            assert until(lambda: len(load.ended) >= 2, 30), (len(load.orders), load.begun, load.wrong)
            for kind in ("web", "worker", "mllp", "dicom", "postgres"):
                kill(desk, kind)
            assert desk.process is not None
            desk.process.kill()
            desk.process.wait(5)
            desk.start()
            so_far = len(load.ended)
            assert until(lambda: len(load.ended) > so_far, 20), "nothing goes on after a new `up`"
            load.finish()
            until(lambda: nothing_waits(desk), 240, every=0.5)
            yield load, pacs, desk
        finally:
            load._over.set()
            desk.end()


def nothing_waits(desk: RunningDesk) -> bool:
    with database_of(desk) as record:
        sql = "SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND task_name IN ('react', 'book') LIMIT 1"
        if record.execute(sql).fetchone():
            return False
        return (
            record.execute("SELECT 1 FROM imaging_image WHERE state = 'matched' LIMIT 1").fetchone() is None
        )


def rows(desk: RunningDesk, sql: str) -> list[dict[str, Any]]:
    with database_of(desk) as record:
        return record.execute(sql).fetchall()


def test_the_load_was_a_load_and_met_the_kills(after: tuple[Load, Pacs, RunningDesk]) -> None:
    load, _, _ = after
    assert len(load.orders) > 50
    assert len(load.ended) > 10
    assert load.repeats["order"] > 0, "no order was ever sent again: nothing was tried"


def test_every_acknowledged_order_is_one_exam_of_one_patient(after: tuple[Load, Pacs, RunningDesk]) -> None:
    """Rows 2, 20, 48, 52: none lost, none twice, however often it was sent again."""
    load, _, desk = after
    exams = Counter(
        r["placer"]
        for r in rows(desk, "SELECT o.placer FROM orders_exam e JOIN orders_order o ON o.id = e.order_id")
    )
    assert exams == Counter(dict.fromkeys(load.orders, 1))
    came = "SELECT control_id FROM links_message WHERE direction = 'in'"
    messages = Counter(r["control_id"] for r in rows(desk, came))
    assert messages == Counter({f"C{placer}": 1 for placer in load.orders})
    patients = rows(desk, "SELECT count(*) AS number FROM patients_patient")
    assert patients == [{"number": len(set(load.orders.values()))}]


def test_whatever_begun_and_ended_exams_are_to_be_told_is_queued_once(
    after: tuple[Load, Pacs, RunningDesk],
) -> None:
    """Rows 8, 47: of each such fact one message, in the order of the facts of its exam."""
    _, _, desk = after
    happened = rows(desk, "SELECT id FROM facts_fact WHERE kind IN ('begun', 'ended') ORDER BY id")
    queued = rows(
        desk,
        "SELECT fact, accession FROM links_message WHERE type = 'ORM^O01' AND direction = 'out' ORDER BY id",
    )
    assert happened
    assert Counter(m["fact"] for m in queued) == Counter(f["id"] for f in happened)
    for accession in {m["accession"] for m in queued}:
        of_exam = [m["fact"] for m in queued if m["accession"] == accession]
        assert of_exam == sorted(of_exam)


def test_every_accepted_exam_has_one_place(after: tuple[Load, Pacs, RunningDesk]) -> None:
    """Row 47: what a killed worker had begun is done, once."""
    load, _, desk = after
    sql = """SELECT e.accession, e.triage, array_agg(b.state) FILTER (WHERE b.id IS NOT NULL) AS bookings
             FROM orders_exam e LEFT JOIN scheduling_booking b ON b.exam_id = e.id
             GROUP BY e.accession, e.triage"""
    found = {r["accession"]: (r["triage"], r["bookings"]) for r in rows(desk, sql)}
    wrong = {
        accession: told
        for accession, told in found.items()
        if told != ("accepted", ["done" if accession in load.ended else "booked"])
        and "released" not in (told[1] or [])
    }
    assert wrong == {}
    assert len(found) == len(load.orders)


def test_every_stored_image_is_one_row_whose_file_is_whole(after: tuple[Load, Pacs, RunningDesk]) -> None:
    """Row 32: what was answered by Success is on the disk, byte for byte, and in the record."""
    load, _, desk = after
    found = rows(desk, "SELECT sop_instance_uid, accession, path, size_bytes, copy, state FROM imaging_image")
    assert {r["sop_instance_uid"]: r["accession"] for r in found} == load.stored
    assert len(found) == len(load.stored)
    for row in found:
        path = desk.home / "spool" / row["path"]
        assert path.stat().st_size == row["size_bytes"]
        assert str(dcmread(path).SOPInstanceUID) == row["sop_instance_uid"]
    assert len(
        {hashlib.sha256((desk.home / "spool" / r["path"]).read_bytes()).digest() for r in found}
    ) == len(found)
    assert {r["state"] for r in found} == {"sent"}


def test_every_image_is_at_the_pacs(after: tuple[Load, Pacs, RunningDesk]) -> None:
    """Row 41: deliveries that a killed worker had begun go on where they stopped."""
    load, pacs, _ = after
    assert set(pacs.taken) == set(load.stored)


def test_what_happened_is_written_down_once_and_in_order(after: tuple[Load, Pacs, RunningDesk]) -> None:
    load, _, desk = after
    facts = rows(desk, "SELECT accession, kind, at, data FROM facts_fact ORDER BY at, id")
    once = ("order received", "accepted in triage", "booked", "begun", "ended")
    counted = Counter((f["accession"], f["kind"]) for f in facts if f["kind"] in once)
    assert {pair: number for pair, number in counted.items() if number != 1} == {}
    for accession in load.ended:
        kinds = [f["kind"] for f in facts if f["accession"] == accession and f["kind"] in once]
        assert kinds == list(once), accession
    for kind in ("image matched", "image sent"):
        of_images = Counter(f["data"].get("image") for f in facts if f["kind"] == kind)
        assert len(of_images) == len(load.stored), kind
        assert set(of_images.values()) == {1}, kind


def test_no_job_failed_and_nobody_is_bothered(after: tuple[Load, Pacs, RunningDesk]) -> None:
    """Rows 47, 48: nothing needs a hand."""
    _, _, desk = after
    jobs = "SELECT task_name FROM procrastinate_jobs WHERE status = '{}'"
    assert rows(desk, jobs.format("failed")) == []
    # One of those that are done every minute may be under way just now.
    assert until(lambda: rows(desk, jobs.format("doing")) == [], 30)
    sql = "SELECT kind, text FROM attention_item WHERE closed_at IS NULL AND kind <> 'begun without a safety check'"
    assert rows(desk, sql) == []
