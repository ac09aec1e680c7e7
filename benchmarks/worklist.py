"""Modality Worklist: how long a question takes at 1,000 and 10,000 exams, beside dcmtk's wlmscpfs and Orthanc's plugin.

Method. The exams of one long day are booked, 25 in each room. The desk answers from PostgreSQL
(embedded, durable); the two peers answer from as many worklist files, written from the
desk's own answers, so that all three hold the same. One plain client (`_client.py`) asks
each in turn, the peers in every fourth round: an association, one C-FIND, release, over loopback with
TCP_NODELAY. Two queries: one station's list of the day (25 answers), and one exam by
accession number (1 answer). The time is from before the connection to the answer to the
release; p50 and p99 in milliseconds, and each peer's p50 over the desk's; for the desk the processor time of a
query too, its own and PostgreSQL's. At the larger size, 300 machines then ask the desk for their own list, each every
30 seconds in its own beat, for 45 seconds: the same times, and the share of one core that it takes.

    python benchmarks/worklist.py [rounds [exams]]
"""

from __future__ import annotations

import contextlib
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from _client import Client, association_request, encoded, find_command, values
from _desk import cpu_seconds, database, dicom_listener, fill, folder, free_port, running
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

MWL = "1.2.840.10008.5.1.4.31"
IMPLICIT = "1.2.840.10008.1.2"
SIZES, MATCHES = (1_000, 10_000), 25
WARM_UP = 64
PEERS_EVERY = 4
POLLERS, POLL_SECONDS, POLLED_SECONDS = 300, 30.0, 45.0
ORTHANC_PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")
_KEYS = (
    "AccessionNumber", "ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "MedicalAlerts", "Allergies", "StudyInstanceUID", "RequestingPhysician", "RequestedProcedureDescription",
    "RequestedProcedureID", "RequestedProcedurePriority", "PatientTransportArrangements",
)  # fmt: skip
_STEP_KEYS = (
    "Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime",
    "ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID",
    "ScheduledStationName", "ScheduledProcedureStepLocation",
)  # fmt: skip


def query(station: str = "", accession: str = "") -> Dataset:
    """A modality's usual query."""
    asked, step = Dataset(), Dataset()
    asked.SpecificCharacterSet = "ISO_IR 100"
    for keyword in _KEYS:
        setattr(asked, keyword, "")
    for keyword in _STEP_KEYS:
        setattr(step, keyword, "")
    asked.AccessionNumber = accession
    step.ScheduledStationAETitle = station
    asked.ScheduledProcedureStepSequence = Sequence([step])
    return asked


def _files(port: int, target: Path, exams: int, rooms: int) -> None:
    """Write the desk's answers as worklist files."""
    client = Client(port, association_request(MWL, IMPLICIT, "XR1", "XRAYDESK"))
    count = 0
    for room in range(1, rooms + 1):
        count = _files_of_room(client, f"XR{room}", target, count)
    client.close()
    assert count == exams, count


def _files_of_room(client: Client, station: str, target: Path, count: int) -> int:
    """Write what a station is told; how many files there are now."""
    client.send(_request(query(station=station)))
    while True:
        _, body = client._pdu()
        if body[5] & 1:
            if client_status(body) not in {0xFF00, 0xFF01}:
                break
            continue
        answer = read_dataset(BytesIO(body[6:]), True, True)
        answer.file_meta = FileMetaDataset()
        answer.file_meta.MediaStorageSOPClassUID = MWL
        answer.file_meta.MediaStorageSOPInstanceUID = f"1.2.{count + 1}"
        answer.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        answer.save_as(target / f"{count:05d}.wl", enforce_file_format=True)
        count += 1
    return count


def client_status(body: bytes) -> int:
    """The status in a command set."""
    at = body.index(b"\x00\x00\x00\x09\x02\x00\x00\x00") + 8
    return int.from_bytes(body[at : at + 2], "little")


def _request(asked: Dataset) -> list[bytes]:
    data = encoded(asked, is_implicit=True)
    return [
        *values(find_command(MWL), is_command=True, length_max=16_384),
        *values(data, is_command=False, length_max=16_384),
    ]


@contextlib.contextmanager
def _wlmscpfs(files: Path, work: Path) -> Iterator[int]:
    shelf = work / "wlm" / "WLMSCPFS"
    shelf.mkdir(parents=True)
    (shelf / "lockfile").touch()
    for file in files.glob("*.wl"):
        shutil.copy(file, shelf)
    port = free_port()
    with running(["wlmscpfs", "-dfr", "-dfp", str(work / "wlm"), str(port)], port):
        yield port


@contextlib.contextmanager
def _orthanc(files: Path, work: Path) -> Iterator[int]:
    port, web = free_port(), free_port()
    config = work / "orthanc.json"
    config.write_text(
        f'{{"Name": "bench", "StorageDirectory": "{work / "orthanc"}", "IndexDirectory": "{work / "orthanc"}",'
        f'"HttpPort": {web}, "DicomPort": {port}, "DicomAet": "ORTHANC", "DicomCheckCalledAet": false,'
        f'"DicomAlwaysAllowFind": true, "DicomAlwaysAllowFindWorklist": true, "Plugins": ["{ORTHANC_PLUGIN}"],'
        f'"RemoteAccessAllowed": false, "AuthenticationEnabled": false,'
        f'"DicomModalities": {{"xr1": ["XR1", "127.0.0.1", 1]}},'
        f'"Worklists": {{"Enable": true, "Database": "{files}", "FilterIssuerAet": false, "LimitAnswers": 0}}}}'
    )
    with running(["Orthanc", str(config)], port):
        yield port


def measure(port: int, called: str, request: list[bytes], answers: int) -> Callable[[], float]:
    """A function that asks once and gives the seconds it took."""
    associate = association_request(MWL, IMPLICIT, "XR1", called)

    def once() -> float:
        begun = time.perf_counter()
        client = Client(port, associate)
        found = client.find(request)
        client.close()
        took = time.perf_counter() - begun
        assert found == answers, f"{called}: {found} answers, not {answers}"
        return took

    return once


def main(rounds: int) -> None:
    """Print the table; each size in a process of its own, which knows one database."""
    for exams in SIZES:
        subprocess.run([sys.executable, __file__, str(rounds), str(exams)], check=True)


def of_size(exams: int, rounds: int) -> None:
    """Print the table for so many exams."""
    with folder() as work, database(work / "home") as postgres, contextlib.ExitStack() as stack:
        _of_size(exams, rounds, work, stack, postgres)


def _of_size(exams: int, rounds: int, work: Path, stack: contextlib.ExitStack, postgres: int) -> None:
    rooms = exams // MATCHES
    bookings = fill(exams, rooms)
    desk, pid = stack.enter_context(dicom_listener(work / "home"))
    files = work / "files"
    files.mkdir()
    _files(desk, files, exams, rooms)
    servers = {"xraydesk": (desk, "XRAYDESK")}
    if shutil.which("wlmscpfs"):
        servers["wlmscpfs"] = (stack.enter_context(_wlmscpfs(files, work)), "WLMSCPFS")
    if ORTHANC_PLUGIN.exists():
        servers["Orthanc"] = (stack.enter_context(_orthanc(files, work)), "ORTHANC")
    station = _request(query(station="XR1"))
    single = _request(query(accession=bookings[0].exam.accession))
    for title, request, answers in (
        (f"one station's day, {MATCHES} answers", station, MATCHES),
        ("one accession number, 1 answer", single, 1),
    ):
        print(f"\n{title}, of {exams} exams, {rounds} rounds")
        ask = {name: measure(port, called, request, answers) for name, (port, called) in servers.items()}
        times: dict[str, list[float]] = {name: [] for name in ask}
        for once in ask.values():
            # The desk's eight threads have each a database connection, which plans a question at first.
            for _ in range(WARM_UP if once is ask["xraydesk"] else 1):
                once()
        spent = 0.0
        for turn in range(rounds):
            for name, once in ask.items():
                if name != "xraydesk" and turn % PEERS_EVERY:
                    continue
                before = cpu_seconds(pid, postgres) if name == "xraydesk" else 0.0
                times[name].append(once())
                spent += cpu_seconds(pid, postgres) - before if name == "xraydesk" else 0.0
        ours = statistics.median(times["xraydesk"])
        for name, taken in times.items():
            taken.sort()
            p50, p99 = statistics.median(taken), taken[min(len(taken) - 1, int(len(taken) * 0.99))]
            print(
                f"{name:10} p50 {p50 * 1e3:8.2f} ms   p99 {p99 * 1e3:8.2f} ms   {p50 / ours:6.2f} x the desk's p50",
                flush=True,
            )
        print(f"{'xraydesk':10} {spent / rounds * 1e3:.1f} ms CPU a query, with PostgreSQL's")
    if rooms >= POLLERS:
        polled(desk, (pid, postgres))


def polled(port: int, pids: tuple[int, ...]) -> None:
    """Many machines that ask for their lists, each in its own beat."""
    chance = random.Random(1)
    due = sorted(
        (start + POLL_SECONDS * turn, machine)
        for machine in range(1, POLLERS + 1)
        for start in [chance.uniform(0, POLL_SECONDS)]
        for turn in range(3)
        if start + POLL_SECONDS * turn < POLLED_SECONDS
    )
    lock, times, late = threading.Lock(), [], []
    begun, before = time.perf_counter(), cpu_seconds(*pids)

    def ask() -> None:
        while True:
            with lock:
                if not due:
                    return
                at, machine = due.pop(0)
            wait = begun + at - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            asked = time.perf_counter()
            client = Client(port, association_request(MWL, IMPLICIT, f"XR{machine}", "XRAYDESK"))
            found = client.find(_request(query(station=f"XR{machine}")))
            client.close()
            took = time.perf_counter() - asked
            with lock:
                times.append(took)
                late.append(found != MATCHES)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.perf_counter() - begun
    times.sort()
    print(
        f"\n{POLLERS} machines, each every {POLL_SECONDS:.0f} s, for {lasted:.0f} s: {len(times)} queries, {sum(late)} answered wrongly, "
        f"p50 {statistics.median(times) * 1e3:.2f} ms   p99 {times[int(len(times) * 0.99)] * 1e3:.2f} ms   "
        f"{(cpu_seconds(*pids) - before) / lasted * 100:.0f} % of one core"
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        of_size(int(sys.argv[2]), int(sys.argv[1]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
