"""The files of a disc, a folder or a zip file, listed before any of them is read, in the same order each time.

Names lead nowhere outside the medium, links are not followed, and every size and number has a limit (rows 27 to 29 of
the faults).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from xraydesk.links.dicom.file_head import where_it_begins
from xraydesk.links.dicom.media_codec import file_ids
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.reading import BadDataSet

FILES_MAX = 20_000
"""A medium with more files than these is not read."""

DEPTH_MAX = 12
OBJECT_BYTES_MAX = 536_870_912
MEDIUM_BYTES_MAX = 17_179_869_184
"""Two layers of a DVD; what a zip file unpacks to counts."""

UNPACKED_TIMES_MAX = 200
"""A zip file that says that one of its files unpacks to more times its own size is a trap; radiographs reach 30."""

DIRECTORY_BYTES_MAX = 67_108_864
COPY_BYTES = 1_048_576

BROUGHT = "brought"
"""Where uploads lie below the spool until they are read; a folder each."""

UNPACKED = "unpacked"
"""Where in the folder of an upload its zip files are unpacked, one file at a time."""

NUMBER_LENGTH = 5
NAME_LENGTH_MAX = 50
_OTHER_THAN_A_NAME = re.compile(r"[^\w. -]")

LINK = "it is a link to somewhere else"
TOO_LARGE = "it is larger than any object the desk takes"
UNREADABLE_FOLDER = "its folder cannot be read"


class NoMedium(Exception):
    """What was brought cannot be read at all; the message says why, in words."""


@dataclass(frozen=True)
class Entry:
    """One thing on a medium: its name, how large it is, and where it can be read; `left` says why it is not looked at."""

    name: str
    size_bytes: int = 0
    mark: str = ""
    """What tells it from another of its name: when it was changed, or its checksum."""
    where: Callable[[], Path] | None = None
    """Where it lies; what is packed is unpacked by that, over the one that was unpacked before."""
    left: str = ""


@dataclass(frozen=True)
class Listing:
    """All of a medium. `missing` counts what its own directory (DICOMDIR) names and is not on it."""

    root: Path
    entries: tuple[Entry, ...]
    missing: int = 0

    @property
    def size_bytes(self) -> int:
        """How much there is to read."""
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def mark(self) -> str:
        """Another for every other medium, so that nobody goes on with a disc where another one stopped."""
        told = hashlib.sha256()
        for entry in self.entries:
            told.update(f"{entry.name}\0{entry.size_bytes}\0{entry.mark}\n".encode(errors="surrogateescape"))
        return told.hexdigest()


@contextmanager
def listed(path: Path, *, is_upload: bool = False) -> Iterator[Listing]:
    """What is in a folder, in a zip file, or one file by itself; in each file of an upload. Raises NoMedium."""
    with ExitStack() as open_now:
        if is_upload and path.is_dir():
            room = path / UNPACKED
            room.mkdir(exist_ok=True, mode=0o700)
            entries = []
            for part in sorted(part for part in path.iterdir() if part.is_file()):
                entries += _file(part, part.name[NUMBER_LENGTH + 1 :], room, open_now)
            yield _within(Listing(path, tuple(entries)))
        elif path.is_dir():
            missing, strange = _missing(path)
            yield _within(Listing(path, (*strange, *_walk(path)), missing))
        elif path.is_file():
            room = Path(open_now.enter_context(tempfile.TemporaryDirectory(prefix="xraydesk-medium-")))
            yield _within(Listing(path, tuple(_file(path, path.name, room, open_now))))
        else:
            raise NoMedium("There is no such folder or file.")


def keep_upload(files: Sequence[tuple[str, Path]], spool: Path) -> str:
    """Move uploaded files, each with its sender's name for it, to a folder of their own; where that lies below the spool.

    Of a name only letters, figures and a few signs are kept, behind a number of ours: it is no path.
    """
    relative = f"{BROUGHT}/{uuid.uuid4().hex}"
    room = spool / relative
    room.mkdir(parents=True, mode=0o700)
    for number, (name, path) in enumerate(files):
        safe = _OTHER_THAN_A_NAME.sub("_", name)[-NAME_LENGTH_MAX:]
        shutil.move(path, room / f"{number:0{NUMBER_LENGTH}} {safe}")
    return relative


def _within(listing: Listing) -> Listing:
    if len(listing.entries) > FILES_MAX or listing.size_bytes > MEDIUM_BYTES_MAX:
        raise _too_much()
    return listing


def _too_much() -> NoMedium:
    return NoMedium(
        f"There is more on it than {FILES_MAX:,} files or {MEDIUM_BYTES_MAX // 1024**3} GB. "
        "Nothing of it was kept; bring it in parts."
    )


def _file(path: Path, name: str, room: Path, open_now: ExitStack) -> list[Entry]:
    """A zip file's content, which is unpacked to a room, or one file as it is."""
    if not zipfile.is_zipfile(path):
        return [_plain(path, name, path.stat())]
    try:
        packed = open_now.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as broken:
        raise _broken(broken) from None
    infos = packed.infolist()[: FILES_MAX + 1]
    return [_packed(packed, info, room) for info in infos if not info.is_dir()]


def _plain(path: Path, name: str, found: os.stat_result) -> Entry:
    left = TOO_LARGE if found.st_size > OBJECT_BYTES_MAX else ""
    return Entry(name, 0 if left else found.st_size, str(found.st_mtime_ns), partial(Path, path), left)


def _walk(root: Path) -> Iterable[Entry]:
    """Every plain file below a folder, in order; links are not followed. Raises NoMedium where folders have no end."""
    waiting, seen = [(root, 0)], 0
    while waiting:
        folder, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            yield Entry(folder.name, left=UNREADABLE_FOLDER)
            continue
        for entry in entries:
            seen += 1
            if seen > 2 * FILES_MAX:
                raise _too_much()
            if entry.is_symlink():
                yield Entry(entry.name, left=LINK)
            elif entry.is_dir(follow_symlinks=False):
                if depth >= DEPTH_MAX:
                    yield Entry(entry.name, left="its folder lies too deep")
                else:
                    waiting.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False):
                yield _plain(Path(entry.path), entry.name, entry.stat(follow_symlinks=False))


def _missing(root: Path) -> tuple[int, list[Entry]]:
    """How many files the medium's directory names that are not there, and what it names by a path that leads elsewhere (row 29)."""
    name = next((n for n in ("DICOMDIR", "dicomdir") if (root / n).is_file()), None)
    if name is None or (root / name).is_symlink():
        return 0, []
    path = root / name
    try:
        if path.stat().st_size > DIRECTORY_BYTES_MAX:
            raise BadDataSet("it is too large")
        with path.open("rb") as file:
            head = where_it_begins(file)
        directory = read_object(
            path, dataset_offset=head.dataset_offset, transfer_syntax=head.transfer_syntax_uid
        )
        named = file_ids(directory)
    except (BadDataSet, OSError):
        return 0, [
            Entry(name, left="it is a DICOMDIR that cannot be read; the files are looked at themselves")
        ]
    strange = Entry(name, left="the DICOMDIR names a file by a path that leads elsewhere")
    return sum(1 for parts in named.parts if not _is_there(root, parts)), [strange] * named.strange


def _is_there(root: Path, parts: tuple[str, ...]) -> bool:
    """True where a file is there, in capitals as the standard has it, or in small letters as drives show it."""
    return root.joinpath(*parts).is_file() or root.joinpath(*(part.lower() for part in parts)).is_file()


def _packed(packed: zipfile.ZipFile, info: zipfile.ZipInfo, room: Path) -> Entry:
    """A file in a zip file; its own name is never used as a path (row 29)."""
    left = _not_unpacked(info)
    size_bytes = 0 if left else info.file_size
    unpack = partial(_unpacked, packed, info, room / "one.dcm")
    return Entry(info.filename, size_bytes, f"{info.CRC:x}", unpack, left)


def _unpacked(packed: zipfile.ZipFile, info: zipfile.ZipInfo, into: Path) -> Path:
    try:
        with packed.open(info) as source, into.open("wb") as file:
            _copied(source, file)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as broken:
        raise _broken(broken) from None
    except OSError as full:
        raise NoMedium(f"The zip file cannot be unpacked here ({full.errno}).") from None
    return into


def _broken(why: Exception) -> NoMedium:
    return NoMedium(f"The zip file is broken ({type(why).__name__}). Pack it anew.")


def _not_unpacked(info: zipfile.ZipInfo) -> str:
    """Why a file of a zip file is left; empty where it is not."""
    if info.flag_bits & 0x1:
        return "it is locked with a password"
    if stat.S_ISLNK(info.external_attr >> 16):
        return LINK
    if info.file_size > max(COPY_BYTES, info.compress_size * UNPACKED_TIMES_MAX):
        return "it would unpack to far more than it is"
    return TOO_LARGE if info.file_size > OBJECT_BYTES_MAX else ""


def _copied(source: IO[bytes], file: IO[bytes]) -> None:
    """Copy an object; no more comes than its entry says, which was judged before."""
    while piece := source.read(COPY_BYTES):
        file.write(piece)
