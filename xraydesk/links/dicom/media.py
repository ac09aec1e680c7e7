"""A disc, a folder or a zip file that somebody brings: what is on it is read, and what is DICOM is kept in transit.

Nothing on a medium is trusted: every size and number has a limit, and what is no DICOM is counted and left where it lies
(rows 27 to 30 of the faults). How far it is stands in the database with each object: whoever goes on after a crash
begins at the very next file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.imaging import medium_actions
from xraydesk.imaging.header import Header, StoredFile
from xraydesk.imaging.models import Medium
from xraydesk.journey import outside
from xraydesk.journey.medium import all_of_it_is_asked_about, drop_upload
from xraydesk.journey.outside_report import bring_document
from xraydesk.links.dicom.header_codec import text
from xraydesk.links.dicom.media_codec import DIRECTORY
from xraydesk.links.dicom.medium_files import Entry, Listing, NoMedium, listed
from xraydesk.links.dicom.own_file import Brought, head_of, keep_as_own, read_brought
from xraydesk.links.dicom.reading import BadDataSet
from xraydesk.links.dicom.reading_report_codec import report_in
from xraydesk.links.dicom.room import Room
from xraydesk.links.dicom.spool import SpooledFile, SpoolRefused
from xraydesk.results.reporting import DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, SaidDocument
from xraydesk.results.written_rules import Unreadable, document_of

BREAKS_MAX = 3
"""A file at which whoever read it was gone so many times is left: it may be what ends them."""

ROOM = Room()
"""What is brought takes of the same room as what machines send."""

OF_ITS_STUDY = "it is a document; bring it on the page of its study"


class _NotNow(Exception):
    """The desk cannot keep anything now; the message says why, in words."""


class _Over(Exception):
    """Somebody stopped it, or another process reads it."""


@dataclass
class Told:
    """What is on a medium: objects by study, and counts of what would be left, by why."""

    files: int = 0
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


@dataclass(frozen=True)
class _Left:
    """Why a file is left; `is_document` where it may be a report that lies beside the images."""

    why: str
    is_document: bool = False


def look(path: Path) -> Told:
    """What is on a medium, without keeping any of it. Raises NoMedium."""
    with listed(path) as listing:
        told = Told(files=len(listing.entries), missing=listing.missing)
        for entry in listing.entries:
            one = _read(entry, listing)
            if isinstance(one, _Object):
                _count(told, one)
            elif one is not None and not one.is_document:
                told.left[one.why] += 1
    return told


def _count(told: Told, one: _Object) -> None:
    header = one.brought.header
    key = (header.patient_id, header.study_instance_uid)
    found = told.studies.setdefault(key, Found(header, one.words, one.institution))
    found.series[header.series_instance_uid] = found.series.get(header.series_instance_uid, 0) + 1
    if header.modality:
        found.modalities.add(header.modality)


def bring_in(
    medium_id: int,
    *,
    now: Callable[[], datetime],
    leave: Callable[[], bool] = lambda: False,
    tell: Callable[[int, int], None] = lambda done, files: None,
) -> None:
    """Read a medium from where it stands: keep what is DICOM, take in what is certain; the rest waits for a person.

    Its row says what came of it. `leave` is asked before each file whether whoever runs this is to end, and `tell` is told
    how many files of how many are done. May run twice at once, or after it was killed: nothing is kept twice, and what
    another began is taken over by the later one.
    """
    found = Medium.objects.select_related("site").filter(pk=medium_id).first()
    if found is None:
        return
    try:
        with listed(where_it_lies(found), is_upload=found.is_ours) as listing:
            medium = medium_actions.begin(
                medium_id=medium_id,
                mark=listing.mark,
                files=len(listing.entries),
                size_bytes=listing.size_bytes,
            )
            if medium is None:
                return
            run = _Run(medium, medium.site, listing, now)
            try:
                if not run.to_its_end(leave, tell):
                    medium_actions.pause(medium_id=medium_id, run=medium.run, why="")
                    return
            except _NotNow as why:
                medium_actions.pause(medium_id=medium_id, run=medium.run, why=str(why))
                all_of_it_is_asked_about(medium=medium, at=now())
                return
    except _Over:
        return
    except NoMedium as why:
        if medium_actions.fail(medium_id=medium_id, why=str(why), at=now()):
            all_of_it_is_asked_about(medium=found, at=now())
    drop_upload(found)


def where_it_lies(medium: Medium) -> Path:
    """The folder or file of a medium."""
    return Path(settings.XRAYDESK_SPOOL) / medium.path if medium.is_ours else Path(medium.path)


class _Run:
    """One process that reads a medium."""

    def __init__(self, medium: Medium, site: Site, listing: Listing, now: Callable[[], datetime]) -> None:
        self.medium, self.site, self.listing, self.now = medium, site, listing, now
        self.kept, self.known = medium.kept, medium.known
        self.left: Counter[str] = Counter(medium.left)
        self.loose: list[int] = list(medium.loose)
        self.studies: set[int] = set()

    def to_its_end(self, leave: Callable[[], bool], tell: Callable[[int, int], None]) -> bool:
        """Read what is not read yet; False where it is to leave. Raises NoMedium, _NotNow and _Over."""
        entries, begun_at = self.listing.entries, self.medium.files_done
        for number in range(begun_at, len(entries)):
            if leave():
                return False
            broke_here = number == begun_at and self.medium.breaks >= BREAKS_MAX
            one = (
                _Left("the desk broke off each time it was read")
                if broke_here
                else _read(entries[number], self.listing)
            )
            if isinstance(one, _Object):
                self._keep(one, number)
            else:
                self._leave(one, number)
            tell(number + 1, len(entries))
        all_of_it_is_asked_about(medium=self.medium, at=self.now())
        documents = self._offer_documents()
        return medium_actions.finish(
            medium_id=self.medium.pk,
            run=self.medium.run,
            documents=documents,
            left=self.left,
            missing=self.listing.missing,
            at=self.now(),
        )

    def _leave(self, one: _Left | None, number: int) -> None:
        if one is not None and one.is_document and len(self.loose) < DOCUMENTS_MAX:
            self.loose.append(number)
        elif one is not None:
            self.left[one.why] += 1
        self._goes_on(number)

    def _keep(self, one: _Object, number: int) -> None:
        """Keep one object with its study, and that it was read, in one transaction."""
        if not ROOM.takes(self.site, one.brought.path.stat().st_size):
            raise _NotNow(
                "Images take all the room that they may here; see What is kept. What is kept stays."
            )
        try:
            spooled, relative = keep_as_own(one.brought, self.now())
        except BadDataSet as why:
            self._leave(_Left(_left_for(str(why))), number)
            return
        except (SpoolRefused, OSError) as failure:
            raise _NotNow(f"The desk cannot keep it now: {failure}. What is kept stays.") from None
        try:
            with transaction.atomic():
                is_new = self._write(one, StoredFile(relative, spooled.size_bytes, spooled.sha256), number)
        except outside.TooManyImages:
            _discard(spooled)
            self._leave(_Left("its study has more images than the desk takes in"), number)
        except _Over:
            _discard(spooled)
            raise
        else:
            if not is_new:
                _discard(spooled)

    def _write(self, one: _Object, stored: StoredFile, number: int) -> bool:
        """True where the object is new here; else it is here already, byte for byte."""
        at, by, source = self.now(), self.medium.by, self.medium.source
        image = outside.bring(
            site=self.site,
            header=one.brought.header,
            stored=stored,
            words=one.words,
            institution=one.institution,
            source=source,
            at=at,
            by=by,
        )
        if one.report is not None and image.outside_id is not None and not image.copy:
            bring_document(
                study_id=image.outside_id, said=one.report, certain=True, source=source, at=at, by=by
            )
        # Of what was here already as well: whoever was killed has not said yet whose it is.
        if image.outside_id is not None and image.outside_id not in self.studies:
            self.medium.studies.add(image.outside_id)
            self.studies.add(image.outside_id)
        is_new = image.path == stored.path
        self.kept, self.known = self.kept + is_new, self.known + (not is_new)
        self._goes_on(number)
        return is_new

    def _goes_on(self, number: int) -> None:
        """Write down that a file is done. Raises _Over."""
        if not medium_actions.went_on(
            medium_id=self.medium.pk,
            run=self.medium.run,
            files_done=number + 1,
            kept=self.kept,
            known=self.known,
            left=dict(self.left),
            loose=self.loose,
        ):
            raise _Over

    def _offer_documents(self) -> int:
        """Put the documents that lay beside the images to the one study that was brought; a person says whether it is its report.

        Where several studies were brought, or none, nothing says which they are of, and they are left.
        """
        studies = list(self.medium.studies.values_list("pk", flat=True)[:2])
        offered = 0
        for number in self.loose:
            said = _document(self.listing.entries[number]) if len(studies) == 1 else None
            kept = said and bring_document(
                study_id=studies[0],
                said=said,
                certain=False,
                source=self.medium.source,
                at=self.now(),
                by=self.medium.by,
            )
            if kept:
                offered += 1
            else:
                self.left[OF_ITS_STUDY] += 1
        return offered


def _discard(spooled: SpooledFile) -> None:
    spooled.path.unlink(missing_ok=True)


def _read(entry: Entry, listing: Listing) -> _Object | _Left | None:
    """One file as an object that can be kept, or why it is left; None for the medium's own directory."""
    if entry.left or entry.where is None:
        return _Left(entry.left)
    path = entry.where()
    try:
        head = head_of(path)
        if head.sop_class_uid == DIRECTORY:
            return None
        brought = read_brought(path, head)
    except BadDataSet as why:
        return _Left(_left_for(str(why)), is_document=_document(entry) is not None)
    except OSError:
        if not listing.root.exists():
            raise NoMedium("The medium is gone. What was read so far is kept; bring it again.") from None
        return _Left("it cannot be read from the medium")
    dataset = brought.dataset
    words = text(dataset, "StudyDescription") or text(dataset, "SeriesDescription")
    report = report_in(dataset, sop_class_uid=brought.header.sop_class_uid)
    return _Object(brought, words, text(dataset, "InstitutionName"), report)


def _document(entry: Entry) -> SaidDocument | None:
    """A file as a document, where it is one."""
    if entry.where is None or entry.size_bytes > DOCUMENT_BYTES_MAX:
        return None
    try:
        return document_of(entry.where().read_bytes(), title=entry.name)
    except (Unreadable, OSError):
        return None


def _left_for(why: str) -> str:
    return "it is no DICOM" if why == "it is no DICOM" else f"it is DICOM that cannot be taken: {why}"
