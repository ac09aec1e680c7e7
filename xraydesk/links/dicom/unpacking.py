"""Unpacks the first frame of an image whose pixels are packed (JPEG and its kin), in a process of its own with narrow limits.

The decoders are C++ and are fed by strangers. What goes wrong in them ends that process, whose memory, time and
output are limited by the system, and becomes a sentence here.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config as pydicom_config

from xraydesk.links.dicom import twelve_bits

MEMORY_BYTES_MAX = 1_610_612_736
"""Address space, which counts libraries and what is only set aside; a frame of 100 MB needs about half of it."""

CPU_SECONDS_MAX = 20
WALL_SECONDS_MAX = 40
"""A machine that is busy with something else is waited for so long."""

AT_ONCE_MAX = 2
TURN_SECONDS_MAX = 20
"""Who comes while so many are unpacked waits so long for a turn."""

HEAD_BYTES_MAX = 4_096
"""What is said of a frame before its bytes takes no more."""

_TWELVE_BITS = "twelve bits"

_turns = threading.BoundedSemaphore(AT_ONCE_MAX)


class NotUnpacked(Exception):
    """It was not unpacked; the message says why, in words for the page."""


def first_frame(path: Path, *, bytes_max: int) -> NDArray[Any]:
    """The first frame of a packed image, grey (rows, columns) or as colours (rows, columns, 3).

    Raises NotUnpacked where the frame would take more than `bytes_max`, more memory or time than is given, or is broken.
    """
    if not _turns.acquire(timeout=TURN_SECONDS_MAX):
        raise NotUnpacked("Too many pictures are looked at just now. Look again in a moment.")
    try:
        with tempfile.TemporaryFile() as answer:
            command = [sys.executable, "-I", "-m", __name__, str(path), str(bytes_max)]
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=answer,
                    stderr=subprocess.DEVNULL,
                    env={},
                    timeout=WALL_SECONDS_MAX,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise NotUnpacked("Its picture takes too long to unpack.") from None
            if done.returncode:
                raise NotUnpacked("Its picture cannot be unpacked: it is broken, or far larger than it says.")
            answer.seek(0)
            return _read(answer.read(bytes_max + HEAD_BYTES_MAX))
    finally:
        _turns.release()


def _read(answer: bytes) -> NDArray[Any]:
    head, _, pixels = answer.partition(b"\n")
    told = json.loads(head)
    return np.frombuffer(pixels, dtype=told["dtype"]).reshape(told["shape"])


def unpacked(path: Path, *, bytes_max: int) -> bytes:
    """A line that says shape and kind of the first frame, and its bytes. Raises whatever the decoders raise."""
    from pydicom.pixels import get_decoder, pixel_array
    from pydicom.uid import JPEGExtended12Bit

    extended = get_decoder(JPEGExtended12Bit)
    if _TWELVE_BITS not in extended.available_plugins:
        extended.add_plugin(_TWELVE_BITS, (twelve_bits.__name__, twelve_bits.decode.__name__))
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    frame = np.ascontiguousarray(pixel_array(path, index=0))
    if frame.nbytes > bytes_max:
        raise ValueError("the frame is larger than was asked for")
    head = json.dumps({"shape": frame.shape, "dtype": frame.dtype.str})
    return head.encode() + b"\n" + frame.tobytes()


def _limit(bytes_max: int) -> None:
    """Take away what the decoders do not need."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_SECONDS_MAX),
        (resource.RLIMIT_FSIZE, bytes_max + HEAD_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        if what != resource.RLIMIT_AS or sys.platform != "darwin":  # which cannot limit it
            resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    _path, _bytes_max = Path(sys.argv[1]), int(sys.argv[2])
    _limit(_bytes_max)
    sys.stdout.buffer.write(unpacked(_path, bytes_max=_bytes_max))
