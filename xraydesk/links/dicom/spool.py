"""Where received objects lie while they are written, and how they become kept files.

A file is written below `spool/incoming`, flushed to the disk and only then renamed to the
place that its row will name; what a crash leaves in `incoming` is swept at the next start.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INCOMING = "incoming"
VIEWS_A_WRITE = 512
"""How many pieces one writev takes; the system's own limit is 1024."""


@dataclass
class SpooledFile:
    """One received object as a DICOM file (Part 10, preamble zero) that is not yet kept.

    `sha256` is of the data set as it came, without preamble and file meta information;
    `size_bytes` is of the whole file, `dataset_offset` where the data set begins in it.
    The server deletes the file after the request unless it was kept.
    """

    path: Path
    spool: Path
    size_bytes: int
    sha256: str
    dataset_offset: int
    is_kept: bool = False

    def keep(self, relative: str) -> Path:
        """Make it last: flush to the disk, rename to `spool/relative`, flush the folders. OSError where the disk cannot.

        `relative` is made from our own numbers, never from what the object says.
        """
        target = (self.spool / relative).resolve()
        if not target.is_relative_to(self.spool.resolve()):
            raise ValueError("a kept file lies below the spool")
        new = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flush(self.path)
        os.rename(self.path, target)
        flush(target.parent)
        for folder in new:  # a new folder lasts only once the one above it holds its name
            flush(folder.parent)
        self.path, self.is_kept = target, True
        return target

    def discard(self) -> None:
        """Delete the file unless it was kept; may be called twice."""
        if not self.is_kept:
            self.path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Have the disk hold what was written to a file, or to a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


FREE_BYTES_MIN = 67_108_864
"""Where the disk has less room than this, no object is taken: the database may need the rest."""


class SpoolRefused(Exception):
    """The object cannot be kept here: it is too large, or the disk is full or failing."""


class ObjectWriter:
    """Writes one object to a temporary file as its bytes come, and counts and hashes them.

    `open`, `write`, `finish` and `abandon` touch the disk: call them in a thread, one at a
    time. A failure is kept, and told by `finish`; what comes after it is dropped.
    """

    def __init__(self, spool: Path, name: str, meta: bytes) -> None:
        self.spool = spool
        self.path = spool / INCOMING / name
        self._meta = meta
        self._hash = hashlib.sha256()
        self._size = 0
        self._file = -1
        self._failure = ""

    def write(self, views: Sequence[memoryview]) -> None:
        """Append some bytes of the data set."""
        if self._failure:
            return
        try:
            if self._file < 0:
                self._open()
            for view in views:
                self._hash.update(view)
            self._append(views)
        except OSError as error:
            self._fail(error)

    def finish(self) -> SpooledFile:
        """Close the file; raises `SpoolRefused` where any of it could not be written."""
        if not self._failure and self._file < 0:
            self.write([])
        self._close()
        if self._failure:
            self.abandon()
            raise SpoolRefused(self._failure)
        return SpooledFile(
            path=self.path,
            spool=self.spool,
            size_bytes=self._size,
            sha256=self._hash.hexdigest(),
            dataset_offset=len(self._meta),
        )

    def abandon(self) -> None:
        """Delete what was written: the peer went away, or the object is refused."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self.path.parent).free < FREE_BYTES_MIN:
            raise OSError(errno.ENOSPC, "the disk is nearly full")
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._append([memoryview(self._meta)])

    def _append(self, views: Sequence[memoryview]) -> None:
        waiting = [view for view in views if len(view)]
        begun = self._size
        while waiting:
            written = os.writev(self._file, waiting[:VIEWS_A_WRITE])
            self._size += written
            while waiting and written >= len(waiting[0]):
                written -= len(waiting.pop(0))
            if written:
                waiting[0] = waiting[0][written:]
        if hasattr(os, "posix_fadvise") and self._size > begun:
            # Linux takes this as word to begin writing to the disk: the flush before Success waits for the last bytes only.
            os.posix_fadvise(self._file, begun, self._size - begun, os.POSIX_FADV_DONTNEED)

    def _fail(self, error: OSError) -> None:
        self._failure = (
            "the disk is full" if error.errno == errno.ENOSPC else f"the disk fails ({error.errno})"
        )
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def sweep(spool: Path) -> int:
    """Delete what processes that are no more left half written; the number of files deleted.

    The name of such a file begins with the number of the process that writes it.
    """
    swept = 0
    for path in (spool / INCOMING).glob("*.part"):
        owner = path.name.partition("-")[0]
        if not owner.isdecimal() or int(owner) == os.getpid() or not _is_running(int(owner)):
            path.unlink(missing_ok=True)
            swept += 1
    return swept


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
