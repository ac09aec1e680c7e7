"""Objects that come by C-STORE: every byte of them in the spool, or none and no Success."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import threading
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from tests.factories import make_site
from xraydesk.links.dicom import echo, spool
from xraydesk.links.dicom.messages import write_command
from xraydesk.links.dicom.pdus import data_pdus
from xraydesk.links.dicom.service import Response, Service
from xraydesk.links.dicom.sop_classes import STORAGE_SYNTAXES
from xraydesk.links.dicom.tests.peers import association_request, listening, read_pdu, status_of

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
CR = "1.2.840.10008.5.1.4.1.1.1"


class Shelf:
    """A service that keeps what comes, by number."""

    def __init__(self) -> None:
        self.kept: list[tuple[Path, str, int]] = []
        self.lock = threading.Lock()
        self.service = Service(
            "shelf", self.keep, frozenset({"C_STORE"}), (CR,), STORAGE_SYNTAXES, 0xA700, 0xC000
        )

    def keep(self, request):
        with self.lock:
            path = request.file.keep(f"kept/{len(self.kept)}.dcm")
            self.kept.append((path, request.file.sha256, request.file.dataset_offset))
            assert path.stat().st_size == request.file.size_bytes
        yield Response(0x0000)


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def desk(tmp_path, shelf):
    make_site()
    with listening(tmp_path, [echo.SERVICE, shelf.service], dicom_object_bytes_max=6_000_000) as running:
        yield running


def image(size=1000, uid="1.2.3"):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CR, uid
    dataset.PatientName = "Test^One"
    dataset.PixelData = random.Random(size).randbytes(size // 2 * 2)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    return dataset


def leftovers(desk):
    return list((desk.spool / "incoming").glob("*"))


@pytest.mark.parametrize("size", [2, 900, 16_000, 70_000, 1_048_000, 1_048_576, 5_000_000])
def test_an_object_lies_in_the_spool_byte_for_byte_behind_a_preamble_of_zeros(desk, shelf, size):
    """Row 30: whatever a file's preamble held, what is kept begins with 128 zeros."""
    association = desk.associate([CR])
    for number in range(3):
        assert association.send_c_store(image(size + number * 2, uid=f"1.2.{number}")).Status == 0
    association.release()
    assert len(shelf.kept) == 3
    for number, (path, digest, offset) in enumerate(shelf.kept):
        data = path.read_bytes()
        assert data[:132] == bytes(128) + b"DICM"
        assert hashlib.sha256(data[offset:]).hexdigest() == digest
        found = pydicom.dcmread(path)
        assert found.PixelData == image(size + number * 2).PixelData
        assert found.file_meta.MediaStorageSOPInstanceUID == f"1.2.{number}"
        assert found.file_meta.TransferSyntaxUID == association.accepted_contexts[0].transfer_syntax[0]
    assert leftovers(desk) == []


def store_command(uid="1.2.3", number=1):
    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = number, CR, 2
    request.AffectedSOPInstanceUID = uid
    return write_command(request, has_data_set=True)


def wire(data, uid="1.2.3", number=1, length_max=16_384):
    return b"".join(
        [
            *data_pdus(1, store_command(uid, number), is_command=True, length_max=length_max),
            *data_pdus(1, data, is_command=False, length_max=length_max),
        ]
    )


def stored(desk):
    peer = desk.raw()
    peer.sendall(association_request([CR]))
    assert read_pdu(peer)[0] == 2
    return peer


def test_objects_sent_ahead_without_waiting_are_kept_whole_and_apart(desk, shelf):
    generator = random.Random(5)
    objects = [
        generator.randbytes(generator.choice([10, 5_000, 66_000, 700_000, 1_500_000])) for _ in range(12)
    ]
    stream = b"".join(wire(data, uid=f"1.2.{n}", number=n + 1) for n, data in enumerate(objects))
    with stored(desk) as peer:
        sender = threading.Thread(target=peer.sendall, args=(stream,))
        sender.start()
        assert [status_of(peer) for _ in objects] == [0] * len(objects)
        sender.join()
    assert [path.read_bytes()[offset:] for path, _, offset in shelf.kept] == objects


def test_a_uid_that_is_none_is_refused_and_names_no_file(desk, shelf):
    """Row 29."""
    with stored(desk) as peer:
        for uid in ("../../etc/passwd", "1.2.3/../x", "1.2 .3"):
            peer.sendall(wire(b"x" * 100, uid=uid))
            assert status_of(peer) == 0x0117
        peer.sendall(wire(b"x" * 100))
        assert status_of(peer) == 0
    assert len(shelf.kept) == 1


def test_an_object_above_the_cap_is_refused_and_the_next_one_taken(desk, shelf):
    association = desk.associate([CR])
    assert association.send_c_store(image(7_000_000)).Status == 0xA700
    assert association.send_c_store(image(1_000)).Status == 0
    association.release()
    assert len(shelf.kept) == 1
    assert leftovers(desk) == []


@pytest.mark.parametrize("when", ["nearly full", "full while writing"])
def test_a_full_disk_never_says_success(desk, shelf, monkeypatch, when):
    """Row 31."""
    if when == "nearly full":
        usage = type("Usage", (), {"free": spool.FREE_BYTES_MIN - 1})
        monkeypatch.setattr(spool.shutil, "disk_usage", lambda path: usage)
    else:
        write, count = os.writev, iter(range(1000))

        def full(file, views):
            if next(count) >= 2:
                raise OSError(errno.ENOSPC, "no space")
            return write(file, views)

        monkeypatch.setattr(spool.os, "writev", full)
    association = desk.associate([CR, "1.2.840.10008.1.1"])
    status = association.send_c_store(image(3_000_000))
    assert (status.Status, status.ErrorComment) == (0xA700, "the disk is full")
    assert association.send_c_echo().Status == 0
    association.release()
    assert shelf.kept == []
    assert leftovers(desk) == []


def test_a_failing_flush_never_says_success(desk, shelf, monkeypatch):
    """Row 31."""

    def fails(path):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(spool, "flush", fails)
    association = desk.associate([CR])
    assert association.send_c_store(image()).Status == 0xA700
    association.release()
    assert leftovers(desk) == []


@pytest.mark.parametrize("ending", [b"", b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"])
def test_an_object_cut_off_in_the_middle_leaves_nothing(desk, shelf, ending):
    """Row 26."""
    data = wire(b"x" * 3_000_000)[:-200_000]
    with stored(desk) as peer:
        peer.sendall(data + ending)
    deadline = threading.Event()
    for _ in range(100):
        if not desk.listener._all and not leftovers(desk):
            break
        deadline.wait(0.05)
    assert leftovers(desk) == []
    assert shelf.kept == []


def test_what_a_dead_process_left_half_written_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    """Row 32."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    for name in ("999999999-1.part", f"{os.getppid()}-1.part", f"{os.getpid()}-9.part", "odd-name.part"):
        (folder / name).write_bytes(b"x")
    assert spool.sweep(tmp_path) == 3
    assert [path.name for path in folder.iterdir()] == [f"{os.getppid()}-1.part"]


def test_a_file_is_kept_only_below_the_spool(tmp_path):
    """Row 29."""
    writer = spool.ObjectWriter(tmp_path, "1-1.part", b"head")
    writer.write([memoryview(b"body")])
    file = writer.finish()
    with pytest.raises(ValueError, match="below the spool"):
        file.keep("../x")
    file.discard()
    assert not list((tmp_path / "incoming").iterdir())
