"""Where received objects lie while they are written, and how they become kept files.

A file is written below `spool/incoming`, flushed to the disk and only then renamed to the
place that its row will name; what a crash leaves in `incoming` is swept at the next start.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


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
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flush(self.path)
        os.rename(self.path, target)
        flush(target.parent)
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
