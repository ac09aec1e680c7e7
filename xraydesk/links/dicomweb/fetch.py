"""Fetching a study to compare with by WADO-RS (PS3.18 10.4), series by series, into the spool, to be sent on by C-STORE.

Nothing that an archive sends is trusted: every object must be of the study, the series and the patient that were asked for,
whole, and of a number that the archive told of before. No part is ever held in memory.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from django.conf import settings

from xraydesk.imaging.fetch_rules import FetchState
from xraydesk.imaging.header import Header, StoredFile
from xraydesk.imaging.models import FetchedStudy
from xraydesk.imaging.queries import person_of
from xraydesk.journey import prior_images
from xraydesk.lib import clock
from xraydesk.lib.locks import in_hand
from xraydesk.links.dicom.archive_codec import ArchiveAway, Asked, Said, is_of
from xraydesk.links.dicom.header_codec import is_wire_uid
from xraydesk.links.dicom.own_file import head_of, keep_as_own, read_brought
from xraydesk.links.dicom.reading import BadDataSet
from xraydesk.links.dicom.room import Room
from xraydesk.links.dicom.sop_classes import STORAGE_CLASSES
from xraydesk.links.dicom.spool import INCOMING, SpoolRefused
from xraydesk.links.dicomweb.answer_rules import IS_FINAL
from xraydesk.links.dicomweb.parts_codec import (
    ACCEPT,
    DICOM,
    BadParts,
    Begins,
    Goes,
    PartReader,
    boundary_of,
)
from xraydesk.links.dicomweb.query_codec import objects_of
from xraydesk.links.dicomweb.session import NotAnswered, Session
from xraydesk.siteplan.routing_plan import DestinationPlan

LIST_SECONDS_MAX = 60.0
SERIES_SECONDS_MAX = 300.0
"""From the question for a series to its last byte."""

FETCH_SECONDS_MAX = 60.0
"""After so long a job lets others have its place among the worker's, between two series, and asks for itself again."""

OBJECT_BYTES_MAX = 536_870_912
SERIES_BYTES_MAX = 4_294_967_296

ROOM = Room()


class WrongObject(Exception):
    """What was sent is not what was asked for, or cannot be taken; another try would change nothing. The message says why."""


class NoRoom(Exception):
    """The desk cannot keep it now."""


def fetch(fetch_id: int) -> None:
    """Fetch one study, or what is missing of it; what fails stands in its row, and is tried again or given up."""
    row = FetchedStudy.objects.select_related("site", "exam__patient").get(pk=fetch_id)
    if row.state != FetchState.ASKED:
        return
    with in_hand(f"fetching {fetch_id}") as mine:
        goes_on = mine and _fetch(row)
    if goes_on:
        prior_images.defer_fetch(fetch_id)


def _fetch(row: FetchedStudy) -> bool:
    """Fetch what may be fetched in one go; True where there is more of it."""
    why, is_final = "", True
    try:
        archive = prior_images.archive_of(row)
        if archive is None or prior_images.destination_of(row) is None:
            raise WrongObject("the site file does not have it fetched any more")
        left = _Study(row, archive).take()
    except NotAnswered as away:
        why, is_final = str(away), away.status in IS_FINAL
    except (ArchiveAway, NoRoom) as away:
        why, is_final = str(away), False
    except WrongObject as wrong:
        why = str(wrong)
    else:
        if left is not None:
            prior_images.all_here(fetch_id=row.pk, left=left, at=clock.now())
        return left is None
    spool = Path(settings.XRAYDESK_SPOOL)
    for path in prior_images.not_fetched(fetch_id=row.pk, why=why, is_final=is_final, at=clock.now()):
        (spool / path).unlink(missing_ok=True)
    return False


class _Study:
    """One study while it is fetched: whose it is to be, and what of it is here."""

    def __init__(self, row: FetchedStudy, archive: DestinationPlan) -> None:
        self.row = row
        self.session = Session(archive)
        self.ends = time.monotonic() + FETCH_SECONDS_MAX
        person = person_of(row.exam.patient)
        self.whose = [
            Asked(one.value, one.authority or row.site.assigning_authority, person.birth_date)
            for one in person.identifiers
        ]
        self.here = prior_images.objects_here(row.pk)

    def take(self) -> int | None:
        """Fetch every series that is not whole here; how many objects are not carried, or None where the time is over before all is here.

        Raises ArchiveAway, WrongObject and NoRoom.
        """
        wanted, left = self._wanted()
        for series, uids in wanted.items():
            if uids <= self.here:
                continue
            if time.monotonic() >= self.ends:
                return None
            self._take_series(series, uids)
            if missing := len(uids - self.here):
                raise ArchiveAway(f"it did not send {missing} of the objects that it has")
        return left

    def _wanted(self) -> tuple[Mapping[str, set[str]], int]:
        """The objects to fetch by series, and how many are of a kind that the desk does not carry."""
        uid, most = self.row.study_instance_uid, prior_images.OBJECTS_MAX
        until = time.monotonic() + LIST_SECONDS_MAX
        objects, is_more = self.session.find(objects_of(uid), most=most, until=until)
        if is_more:
            raise WrongObject(f"it has more than {most:,} objects: read it where it is")
        wanted: dict[str, set[str]] = {}
        left = 0
        for one in objects:
            series, own = one.get("SeriesInstanceUID", ""), one.get("SOPInstanceUID", "")
            if not (series and own and is_wire_uid(series) and is_wire_uid(own)):
                raise WrongObject("the archive tells of objects without numbers")
            if one.get("SOPClassUID", STORAGE_CLASSES[0]) in STORAGE_CLASSES:
                wanted.setdefault(series, set()).add(own)
            else:
                left += 1
        return wanted, left

    def _take_series(self, series: str, uids: set[str]) -> None:
        study = self.row.study_instance_uid
        below = f"studies/{quote(study, safe='')}/series/{quote(series, safe='')}"
        until = time.monotonic() + SERIES_SECONDS_MAX
        with (
            self.session.get(below, accept=ACCEPT, until=until, seconds_max=SERIES_SECONDS_MAX) as answer,
            _Part() as part,
        ):
            if answer.status == 204:
                return
            try:
                reader = PartReader(boundary_of(answer.headers.get("content-type", "")))
                for piece in answer.pieces(bytes_max=SERIES_BYTES_MAX):
                    for event in reader.feed(piece):
                        if isinstance(event, Begins):
                            part.begin(event.content_type)
                        elif isinstance(event, Goes):
                            part.write(event.data)
                        else:
                            self._keep(part.end(), series, uids)
                reader.finish()
            except BadParts as bad:
                raise ArchiveAway(str(bad)) from None

    def _keep(self, path: Path, series: str, uids: set[str]) -> None:
        """Keep one object that came whole, where it is one that was asked for."""
        try:
            head = head_of(path)
            if head.sop_class_uid not in ("", *STORAGE_CLASSES):
                return  # it was counted as one that is not carried
            one = read_brought(path, head)
        except BadDataSet as bad:
            raise WrongObject(f"an object of it cannot be taken: {bad}") from None
        except OSError as failing:
            raise NoRoom(f"the disk fails ({failing.errno})") from None
        self._check(one.header, series, uids)
        if one.header.sop_instance_uid in self.here:
            return
        if not ROOM.takes(self.row.site, path.stat().st_size):
            raise NoRoom("images take all the room that they may; see What is kept")
        at = clock.now()
        try:
            spooled, relative = keep_as_own(one, at)
        except (SpoolRefused, OSError) as full:
            raise NoRoom(f"the desk cannot keep it now: {full}") from None
        stored = StoredFile(relative, spooled.size_bytes, spooled.sha256)
        # Where the row fails, the file is left for the sweeper: the commit may have happened all the same (row 32).
        if not prior_images.keep_object(fetch_id=self.row.pk, header=one.header, stored=stored, at=at):
            spooled.path.unlink(missing_ok=True)
        self.here.add(one.header.sop_instance_uid)

    def _check(self, header: Header, series: str, uids: set[str]) -> None:
        """Raise WrongObject for what is of another study, series or patient; ArchiveAway for a number that nobody told of."""
        if header.study_instance_uid != self.row.study_instance_uid:
            raise WrongObject("the archive sent an object of another study: nothing of it was sent on")
        if header.series_instance_uid != series:
            raise WrongObject("the archive sent an object of another series: nothing of it was sent on")
        if not any(is_of(asked, _said(header)) for asked in self.whose):
            raise WrongObject("the archive sent an object of another patient: nothing of it was sent on")
        if header.sop_instance_uid not in uids:
            raise ArchiveAway("it sent an object that it did not tell of")


def _said(header: Header) -> Said:
    born = header.patient_birth_date
    return {
        "PatientID": header.patient_id,
        "IssuerOfPatientID": header.patient_id_issuer,
        "PatientBirthDate": f"{born:%Y%m%d}" if born else "",
    }


class _Part:
    """The file that the part which is coming in is written to; it is gone at the end, whatever happens.

    Its name begins with the number of this process: where that is killed, the next start sweeps it.
    """

    def __init__(self) -> None:
        folder = Path(settings.XRAYDESK_SPOOL) / INCOMING
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex}.part"
        self._file: BinaryIO | None = None
        self._size = 0

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)

    def begin(self, content_type: str) -> None:
        """Begin with the next object."""
        if content_type not in ("", DICOM):
            raise BadParts(f"its parts are not {DICOM}")
        try:
            self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        except OSError as full:
            raise NoRoom(f"the disk fails ({full.errno})") from None
        self._size = 0

    def write(self, data: bytes) -> None:
        """Some bytes of it."""
        self._size += len(data)
        if self._size > OBJECT_BYTES_MAX:
            raise WrongObject("an object of it is larger than any that the desk takes")
        try:
            assert self._file is not None
            self._file.write(data)
        except OSError as full:
            raise NoRoom(f"the disk fails ({full.errno})") from None

    def end(self) -> Path:
        """It is whole: where it lies until the next one begins."""
        assert self._file is not None
        try:
            self._file.close()
        except OSError as full:
            raise NoRoom(f"the disk fails ({full.errno})") from None
        self._file = None
        return self._path
