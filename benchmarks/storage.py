"""C-STORE: how many 10 MB images a second are received and safe, beside dcmtk's storescp and Orthanc.

Method. A computed radiography image of 10 MB (16 bits, a ramp with grain) is sent over
loopback by one plain client process for each association (`_client.py`, no copy, PDUs as
large as the server takes up to 128 KiB), the next one after the answer to the last, each
with a SOP Instance UID of its own. One association, then four, then eight at once. All servers write
to the same disk, in folders of their own, emptied before each run. What stands behind
their Success differs, and is named in the table: the desk has flushed the file to the disk
and committed its row and its match to an exam; storescp has written a file and flushed
nothing (its bit-preserving mode, which is its fastest, is used as well); Orthanc has
written and, by its default, flushed the file and its SQLite index. What storescp left
unwritten is flushed after its last answer, and a second row counts that time as well: it
is the speed at which its images are as safe as the others' are. The disk's own speed
for written and flushed files of that size is measured first: nobody who flushes can be faster.

The last column is the processor time of an image: of the server and all below it, PostgreSQL's
for the desk. It is what can be compared where others use the machine too.

    python benchmarks/storage.py [images]
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from _client import Client, association_request, encoded, store_command, values
from _desk import cpu_seconds, database, dicom_listener, fill, folder, free_port, running
from pydicom.dataset import Dataset

CR = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
ROWS = COLUMNS = 2290
LENGTH_MAX = 131_072
PLACEHOLDER = "1.2.826.0.1.3680043.10.543.100000"
ASSOCIATIONS = (1, 4, 8)


class Server(NamedTuple):
    """One that receives: its port, its AE title, its processes, and the folder of what it leaves to be flushed."""

    port: int
    called: str
    pids: tuple[int, ...]
    unflushed: Path | None = None


def image(accession: str, study: str, patient_id: str, name: str) -> bytes:
    """The image's data set; its UID is a placeholder that each copy overwrites."""
    import numpy as np

    grain = np.random.default_rng(1).integers(0, 64, (ROWS, COLUMNS), dtype=np.uint16)
    pixels = np.linspace(200, 3800, COLUMNS, dtype=np.uint16)[None, :] + grain
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CR, PLACEHOLDER
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, "1.2.3.4"
    dataset.AccessionNumber, dataset.PatientID, dataset.PatientName = accession, patient_id, name
    dataset.SpecificCharacterSet, dataset.Modality = "ISO_IR 192", "CR"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME2"
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    return encoded(dataset, is_implicit=False)


def _send(to: tuple[int, str], data: bytes, numbers: range, start: object, done: object) -> None:
    """In a process of its own: one association, one image after another."""
    port, called = to
    client = Client(port, association_request(CR, EXPLICIT, "XR1", called))
    parts = values(data, is_command=False, length_max=min(client.length_max, LENGTH_MAX))
    place = next(i for i, part in enumerate(parts) if PLACEHOLDER.encode() in part)
    start.wait()  # type: ignore[attr-defined]
    for number in numbers:
        uid = PLACEHOLDER[:-6] + str(100_001 + number)
        command = values(store_command(CR, uid), is_command=True, length_max=16_384)
        mine = [*command, *parts]
        mine[len(command) + place] = parts[place].replace(PLACEHOLDER.encode(), uid.encode())
        client.send_views(mine)
        status = client.status()
        if status:
            raise RuntimeError(f"{called}: status {status:04x}")
    done.put(time.perf_counter())  # type: ignore[attr-defined]
    client.close()


class Rate(NamedTuple):
    """Images a second: from the common start to the last answer, and to the moment at which all are on the disk."""

    answered: float
    safe: float


def measure(server: Server, data: bytes, *, images: int, associations: int, first: int) -> Rate:
    """Send so many images over so many associations at once."""
    context = multiprocessing.get_context("fork")
    start, done = context.Barrier(associations + 1), context.Queue()
    share = images // associations
    senders = [
        context.Process(
            target=_send,
            args=(
                (server.port, server.called),
                data,
                range(first + n * share, first + (n + 1) * share),
                start,
                done,
            ),
        )
        for n in range(associations)
    ]
    for sender in senders:
        sender.start()
    start.wait()
    begun = time.perf_counter()
    ends = [done.get(timeout=300) for _ in senders]
    last = max(ends)
    safe = last if server.unflushed is None else flushed(server.unflushed)
    for sender in senders:
        sender.join()
    return Rate(share * associations / (last - begun), share * associations / (safe - begun))


def flushed(folder: Path) -> float:
    """When all files of a folder are on the disk, several flushed at a time, and the folder with them."""

    def flush(path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(flush, folder.iterdir()))
    flush(folder)
    return time.perf_counter()


def disk(work: Path, data: bytes, images: int) -> float:
    """Files a second that the disk takes, each written and flushed."""
    begun = time.perf_counter()
    for number in range(images):
        with open(work / f"disk-{number}", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    took = time.perf_counter() - begun
    for number in range(images):
        (work / f"disk-{number}").unlink()
    return images / took


@contextlib.contextmanager
def _storescp(work: Path, *options: str) -> Iterator[Server]:
    target = work / ("storescp" + "".join(options))
    target.mkdir()
    port = free_port()
    with running(
        ["storescp", *options, "-pdu", "131072", "-od", str(target), "--fork", str(port)], port
    ) as process:
        yield Server(port, "STORESCP", (process.pid,), target)
    shutil.rmtree(target)


@contextlib.contextmanager
def _orthanc(work: Path) -> Iterator[Server]:
    port, web = free_port(), free_port()
    config, target = work / "orthanc.json", work / "orthanc"
    config.write_text(
        f'{{"Name": "bench", "StorageDirectory": "{target}", "IndexDirectory": "{target}",'
        f'"HttpPort": {web}, "DicomPort": {port}, "DicomAet": "ORTHANC", "DicomCheckCalledAet": false,'
        f'"MaximumPduLength": 131072, "RemoteAccessAllowed": false, "AuthenticationEnabled": false}}'
    )
    with running(["Orthanc", str(config)], port) as process:
        yield Server(port, "ORTHANC", (process.pid,))
    shutil.rmtree(target)


@contextlib.contextmanager
def _desk(home: Path, postgres: int) -> Iterator[Server]:
    with dicom_listener(home) as (port, pid):
        yield Server(port, "XRAYDESK", (pid, postgres))
    shutil.rmtree(home / "spool", ignore_errors=True)


def main(images: int) -> None:
    """Print the table."""
    with folder() as work, database(work / "home") as postgres:
        booking = fill(1, 1)[0]
        exam, patient = booking.exam, booking.exam.patient
        name = f"{patient.family}^{patient.given}"
        data = image(exam.accession, exam.study_instance_uid, patient.identifiers.get().value, name)
        from django.db import connections

        connections.close_all()
        alone = disk(work, data, min(images, 20))
        print(
            f"{images} images of {len(data) / 1e6:.1f} MB; the disk alone: {alone:.1f} files a second, flushed"
        )
        servers: dict[str, Callable[[], contextlib.AbstractContextManager[Server]]] = {
            "xraydesk (flushed, committed)": lambda: _desk(work / "home", postgres),
        }
        if shutil.which("storescp"):
            servers["storescp (not flushed)"] = lambda: _storescp(work)
            servers["storescp +B (not flushed)"] = lambda: _storescp(work, "+B")
        if shutil.which("Orthanc"):
            servers["Orthanc (flushed)"] = lambda: _orthanc(work)
        first = 0
        for associations in ASSOCIATIONS:
            ours = 0.0
            each = images // associations * associations or associations
            for title, server in servers.items():
                with server() as there:
                    measure(there, data, images=associations, associations=associations, first=first)
                    first += associations
                    before = cpu_seconds(*there.pids)
                    rate = measure(there, data, images=each, associations=associations, first=first)
                    cpu = (cpu_seconds(*there.pids) - before) / each
                    first += each
                ours = ours or rate.answered
                for name, figure in ((title, rate.answered), ("  all of them flushed", rate.safe)):
                    if name == title or there.unflushed is not None:
                        print(
                            f"{associations} association(s)   {name:30} {figure:7.1f} images/s"
                            f"   {figure / ours:5.2f} x the desk   {cpu * 1000:6.1f} ms CPU an image",
                            flush=True,
                        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
