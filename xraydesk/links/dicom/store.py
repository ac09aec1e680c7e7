"""C-STORE: an object is safe on disk and in the record before the machine hears Success (PS3.4 annex B)."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import Error as DatabaseError
from django.db import transaction

from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.dose.report import DoseReport
from xraydesk.imaging.header import Header, StoredFile
from xraydesk.journey.reconcile import TooManyCopies, receive_image
from xraydesk.lib import clock
from xraydesk.links.dicom.dose_codec import read_dose_report
from xraydesk.links.dicom.header_codec import read_header
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.room import Room
from xraydesk.links.dicom.service import Answers, Refused, Request, Response, Service
from xraydesk.links.dicom.sop_classes import STORAGE_CLASSES, STORAGE_SYNTAXES
from xraydesk.links.dicom.spool import SpooledFile
from xraydesk.links.dicom.spool_sweep import day_folder

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_FIT = 0xA900
CANNOT_UNDERSTAND = 0xC000


ROOM = Room()


def store(request: Request) -> Answers:
    """Keep one object: read its header, have the disk hold it, write its row, and only then say Success.

    The file is renamed before the row is written; where the row fails, the file is left for the
    sweeper, because the commit may have happened all the same (rows 31 and 32 of the faults).
    """
    file = request.file
    if file is None:
        raise Refused(CANNOT_UNDERSTAND, "an object needs a data set")
    if not ROOM.takes(request.site, file.size_bytes):
        raise Refused(OUT_OF_RESOURCES, "images take all the room that they may; see What is kept")
    at = clock.now()
    header, dose, dose_failed = _read(request, file)
    relative = path_for(at)
    try:
        file.keep(relative)
    except OSError as error:
        raise Refused(OUT_OF_RESOURCES, f"the disk cannot keep it ({error.errno})") from error
    try:
        with transaction.atomic():
            image = receive_image(
                site=request.site,
                header=header,
                stored=StoredFile(relative, file.size_bytes, file.sha256),
                calling_ae=request.calling_ae,
                at=at,
                simulated=request.site.simulated,
                dose=dose,
            )
            if dose_failed and image.path == relative:
                _ask_about_dose(request, image_id=image.pk, at=at)
    except TooManyCopies:
        file.path.unlink(missing_ok=True)
        raise Refused(DOES_NOT_FIT, "too many different objects have this UID") from None
    except DatabaseError as error:
        raise Refused(OUT_OF_RESOURCES, "the desk cannot write it down now; send it again") from error
    if image.path != relative:
        file.path.unlink(missing_ok=True)
    yield Response(SUCCESS)


def path_for(at: datetime) -> str:
    """Where an object is kept below the spool: by day, under a number of our own."""
    return f"{day_folder(at.date())}/{uuid.uuid4().hex}.dcm"


def _read(request: Request, file: SpooledFile) -> tuple[Header, DoseReport | None, bool]:
    """Header and dose report of an object, and whether it is a dose report that could not be read."""
    dataset = read_object(
        file.path,
        dataset_offset=file.dataset_offset,
        transfer_syntax=request.transfer_syntax,
        charsets=request.charsets,
    )
    header = read_header(
        dataset,
        sop_class_uid=str(request.command.AffectedSOPClassUID),
        sop_instance_uid=str(request.command.AffectedSOPInstanceUID),
        transfer_syntax_uid=request.transfer_syntax,
    )
    if not header.is_dose_report:
        return header, None, False
    try:
        return header, read_dose_report(dataset), False
    except (ValueError, TypeError, AttributeError, OverflowError):
        return header, None, True


def _ask_about_dose(request: Request, *, image_id: int, at: datetime) -> None:
    raise_item(
        site_id=request.site.pk,
        kind=ItemKind.REACTION_FAILED,
        key=f"dose report:{image_id}",
        at=at,
        text=f"A dose report of {request.calling_ae} is kept, but its values could not be read. "
        "Write down the dose by hand, and tell the maker of the machine.",
        data={"image": image_id},
    )


SERVICE = Service(
    name="storage",
    handle=store,
    commands=frozenset({"C_STORE"}),
    sop_classes=STORAGE_CLASSES,
    transfer_syntaxes=STORAGE_SYNTAXES,
    failure_status=OUT_OF_RESOURCES,
    bad_dataset_status=CANNOT_UNDERSTAND,
    statuses={
        SUCCESS: "it is on the disk and written down",
        OUT_OF_RESOURCES: "the disk or the site's room is full, the disk or the database fails, or the object is too large",
        DOES_NOT_FIT: "too many different objects came under this UID",
        CANNOT_UNDERSTAND: "it cannot be read, contradicts its message, or would do harm",
    },
)
