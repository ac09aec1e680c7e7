"""A disc, a folder or a zip file that somebody brings: what is on it is read, and what is DICOM is kept in transit.

Nothing on a medium is trusted: names lead nowhere outside it, links are not followed, every size and number has a
limit, and what is no DICOM is counted and left where it lies (rows 27 to 30 of the faults).
"""

from __future__ import annotations

import os
import stat
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from xraydesk.access.models import Site
from xraydesk.imaging.header import Header, StoredFile
from xraydesk.imaging.models import OutsideStudy
from xraydesk.journey import outside
from xraydesk.journey.outside_report import bring_document
from xraydesk.links.dicom.file_head import where_it_begins
from xraydesk.links.dicom.header_codec import text
from xraydesk.links.dicom.media_codec import DIRECTORY, file_ids
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.own_file import Brought, head_of, keep_as_own, read_brought
from xraydesk.links.dicom.reading import BadDataSet
from xraydesk.links.dicom.reading_report_codec import report_in
from xraydesk.links.dicom.room import Room
from xraydesk.links.dicom.spool import SpoolRefused
from xraydesk.results.reporting import DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, SaidDocument
from xraydesk.results.written_rules import Unreadable, document_of

FILES_MAX = 20_000
"""A medium with more files than these is not read further."""

DEPTH_MAX = 12
OBJECT_BYTES_MAX = 536_870_912
MEDIUM_BYTES_MAX = 17_179_869_184
"""Two layers of a DVD; what a zip file unpacks to counts."""

UNPACKED_TIMES_MAX = 200
"""A zip file that says that one of its files unpacks to more times its own size is a trap; radiographs reach 30."""

DIRECTORY_BYTES_MAX = 67_108_864
COPY_BYTES = 1_048_576
LOOSE_BYTES_MAX = 33_554_432
"""Documents that lie beside the images are held in memory until all of a medium was read, no more of them than this."""


ROOM = Room()
"""What is brought takes of the same room as what machines send."""


class NoMedium(Exception):
    """What was brought cannot be read at all; the message says why, in words."""


@dataclass
class Told:
    """What was on a medium, and what became of it: objects by study, and counts of what was left, by why."""

    files: int = 0
    kept: int = 0
    known: int = 0
    """Objects that were here already, byte for byte."""
    documents: int = 0
    """Documents (PDF, CDA) that lay beside one study's images and are kept with it, until a person says what they are."""
    loose: list[SaidDocument] = field(default_factory=list)
    """Documents that were found and not yet put to a study."""
    missing: int = 0
    """Files that the medium's own directory (DICOMDIR) names and that are not on it."""
    left: Counter[str] = field(default_factory=Counter)
    studies: dict[tuple[str, str], Found] = field(default_factory=dict)
    """By patient number and Study Instance UID as the objects say them."""


@dataclass
class Found:
    """One study on a medium, as its first object says it, with what it holds."""

    header: Header
    words: str
    institution: str
    series: dict[str, int] = field(default_factory=dict)
    modalities: set[str] = field(default_factory=set)

    @property
    def objects(self) -> int:
        """How many objects it has there."""
        return sum(self.series.values())


@dataclass(frozen=True)
class _Object:
    """One readable object of a medium."""

    brought: Brought
    words: str
    institution: str
    report: SaidDocument | None
    """What it holds as a report, where it is one."""


def look(path: Path) -> Told:
    """What is on a medium, without keeping any of it. Raises NoMedium."""
    told = Told()
    with _files(path, told) as files:
        for file, name in files:
            one = _read(file, name, told)
            if one is not None:
                _count(told, one)
    return told


def bring_in(
    path: Path, *, site: Site, source: str, at: datetime, by: str
) -> tuple[Told, list[OutsideStudy]]:
    """Keep what is DICOM on a medium, and take in what is certain; the rest waits for a person. Raises NoMedium.

    May be run again after it was broken off, or on the same medium: what is here is not kept twice.
    """
    told = Told()
    studies: dict[int, None] = {}
    try:
        with _files(path, told) as files:
            for file, name in files:
                one = _read(file, name, told)
                if one is not None:
                    _count(told, one)
                    study = _keep(one, told, site=site, source=source, at=at, by=by)
                    if study is not None:
                        studies.setdefault(study)
    except NoMedium:
        # What was kept before it had to end is asked about all the same.
        for key in studies:
            outside.all_brought(study_id=key, at=at, by=by)
        raise
    return told, [outside.all_brought(study_id=key, at=at, by=by) for key in studies]


def offer_documents(
    told: Told, studies: Sequence[OutsideStudy], *, source: str, at: datetime, by: str
) -> None:
    """Put the documents that lay beside the images to the one study that was brought; a person says whether it is their report.

    Where several studies were brought, or none, nothing says which they are of, and they are left.
    """
    for said in told.loose:
        kept = None
        if len(studies) == 1:
            kept = bring_document(
                study_id=studies[0].pk, said=said, certain=False, source=source, at=at, by=by
            )
        if kept is None:
            told.left["it is a document; bring it on the page of its study"] += 1
        else:
            told.documents += 1
    told.loose.clear()


def _count(told: Told, one: _Object) -> None:
    header = one.brought.header
    key = (header.patient_id, header.study_instance_uid)
    found = told.studies.setdefault(key, Found(header, one.words, one.institution))
    found.series[header.series_instance_uid] = found.series.get(header.series_instance_uid, 0) + 1
    if header.modality:
        found.modalities.add(header.modality)


def _keep(one: _Object, told: Told, *, site: Site, source: str, at: datetime, by: str) -> int | None:
    """Keep one object; the study that it was brought with, None where a machine sent it or it cannot be kept."""
    if not ROOM.takes(site, one.brought.path.stat().st_size):
        raise NoMedium(
            "Images take all the room that they may here; see What is kept. What is kept stays; bring it again later."
        )
    try:
        spooled, relative = keep_as_own(one.brought, at)
    except BadDataSet as why:
        told.left[_left_for(str(why))] += 1
        return None
    except (SpoolRefused, OSError) as failure:
        raise NoMedium(
            f"The desk cannot keep it now: {failure}. What is kept stays; bring it again later."
        ) from None
    stored = StoredFile(relative, spooled.size_bytes, spooled.sha256)
    try:
        image = outside.bring(
            site=site,
            header=one.brought.header,
            stored=stored,
            words=one.words,
            institution=one.institution,
            source=source,
            at=at,
            by=by,
        )
    except outside.TooManyImages:
        spooled.path.unlink(missing_ok=True)
        told.left["its study has more images than the desk takes in"] += 1
        return None
    if image.path != relative:
        spooled.path.unlink(missing_ok=True)
        told.known += 1
    else:
        told.kept += 1
    if one.report is not None and image.outside_id is not None and not image.copy:
        bring_document(study_id=image.outside_id, said=one.report, certain=True, source=source, at=at, by=by)
    # Of what was here already as well: a run that was broken off has not said yet whose it is.
    return image.outside_id


def _read(path: Path, name: str, told: Told) -> _Object | None:
    """One file as an object that can be kept; None where it is none, which is counted."""
    told.files += 1
    try:
        head = head_of(path)
        if head.sop_class_uid == DIRECTORY:
            return None
        brought = read_brought(path, head)
    except BadDataSet as why:
        if not _is_document(path, name, told):
            told.left[_left_for(str(why))] += 1
        return None
    except OSError:
        told.left["it cannot be read from the medium"] += 1
        return None
    dataset = brought.dataset
    words = text(dataset, "StudyDescription") or text(dataset, "SeriesDescription")
    report = report_in(dataset, sop_class_uid=brought.header.sop_class_uid)
    return _Object(brought, words, text(dataset, "InstitutionName"), report)


def _is_document(path: Path, name: str, told: Told) -> bool:
    """True where a file that is no DICOM is a document, which is then remembered until all of the medium was read."""
    try:
        size = path.stat().st_size
        if size > DOCUMENT_BYTES_MAX or len(told.loose) >= DOCUMENTS_MAX:
            return False
        if size + sum(len(one.content) for one in told.loose) > LOOSE_BYTES_MAX:
            return False
        told.loose.append(document_of(path.read_bytes(), title=name))
    except (Unreadable, OSError):
        return False
    return True


def _left_for(why: str) -> str:
    return "it is no DICOM" if why == "it is no DICOM" else f"it is DICOM that cannot be taken: {why}"


# ---- what is brought ---------------------------------------------------------------------


@contextmanager
def _files(path: Path, told: Told) -> Iterator[Iterable[tuple[Path, str]]]:
    """The files of a folder, of a zip file (each unpacked while it is looked at), or one file by itself."""
    if path.is_dir():
        yield _walk(path, told)
    elif zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="xraydesk-medium-") as room:
            yield _unpacked(path, Path(room), told)
    elif path.is_file():
        yield [(path, path.name)]
    else:
        raise NoMedium("There is no such folder or file.")


def _walk(root: Path, told: Told) -> Iterator[tuple[Path, str]]:
    """Every plain file below a folder, in order; links are not followed. What its DICOMDIR names and lacks is counted."""
    _missing(root, told)
    waiting, seen, taken = [(root, 0)], 0, 0
    while waiting:
        folder, depth = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            told.left["its folder cannot be read"] += 1
            continue
        for entry in entries:
            if entry.is_symlink():
                told.left["it is a link to somewhere else"] += 1
            elif entry.is_dir(follow_symlinks=False):
                if depth >= DEPTH_MAX:
                    told.left["its folder lies too deep"] += 1
                else:
                    waiting.append((Path(entry.path), depth + 1))
            elif entry.is_file(follow_symlinks=False):
                seen += 1
                size = entry.stat(follow_symlinks=False).st_size
                taken += size
                if seen > FILES_MAX or taken > MEDIUM_BYTES_MAX:
                    raise NoMedium(_too_much())
                if size > OBJECT_BYTES_MAX:
                    told.left["it is larger than any object the desk takes"] += 1
                else:
                    yield Path(entry.path), entry.name


def _too_much() -> str:
    return (
        f"There is more on it than {FILES_MAX:,} files or {MEDIUM_BYTES_MAX // 1024**3} GB. "
        "What was read so far is kept; bring the rest in parts."
    )


def _missing(root: Path, told: Told) -> None:
    """Count what the medium's directory names and is not there; a name that leads outside it is told as such (row 29)."""
    name = next((n for n in ("DICOMDIR", "dicomdir") if (root / n).is_file()), None)
    if name is None or (root / name).is_symlink():
        return
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
        told.left["it is a DICOMDIR that cannot be read; the files are looked at themselves"] += 1
        return
    if named.strange:
        told.left["the DICOMDIR names a file by a path that leads elsewhere"] += named.strange
    told.missing = sum(1 for parts in named.parts if not _is_there(root, parts))


def _is_there(root: Path, parts: tuple[str, ...]) -> bool:
    """True where a file is there, in capitals as the standard has it, or in small letters as drives show it."""
    return root.joinpath(*parts).is_file() or root.joinpath(*(part.lower() for part in parts)).is_file()


def _unpacked(path: Path, room: Path, told: Told) -> Iterator[tuple[Path, str]]:
    """Each file of a zip file, one at a time under a name of ours; its own names are never used as paths (row 29)."""
    into = room / "one.dcm"
    taken = 0
    try:
        with zipfile.ZipFile(path) as packed:
            entries = packed.infolist()
            if len(entries) > FILES_MAX:
                raise NoMedium(_too_much())
            for entry in entries:
                why = _not_unpacked(entry)
                if why:
                    told.left[why] += 1
                elif not entry.is_dir():
                    with packed.open(entry) as source, into.open("wb") as file:
                        size = _copied(source, file)
                    taken += size
                    if taken > MEDIUM_BYTES_MAX:
                        raise NoMedium(_too_much())
                    if size > OBJECT_BYTES_MAX:
                        told.left["it is larger than any object the desk takes"] += 1
                    else:
                        yield into, entry.filename
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as broken:
        raise NoMedium(f"The zip file is broken ({type(broken).__name__}). Pack it anew.") from None
    except OSError as full:
        raise NoMedium(f"The zip file cannot be unpacked here ({full.errno}).") from None


def _not_unpacked(entry: zipfile.ZipInfo) -> str:
    """Why an entry of a zip file is left; empty where it is not."""
    if entry.flag_bits & 0x1:
        return "it is locked with a password"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link to somewhere else"
    if entry.file_size > max(COPY_BYTES, entry.compress_size * UNPACKED_TIMES_MAX):
        return "it would unpack to far more than it is"
    return ""


def _copied(source: IO[bytes], file: IO[bytes]) -> int:
    """Copy up to just over OBJECT_BYTES_MAX; the bytes copied. What an entry says of its size is not believed."""
    size = 0
    while size <= OBJECT_BYTES_MAX and (piece := source.read(COPY_BYTES)):
        file.write(piece)
        size += len(piece)
    return size
