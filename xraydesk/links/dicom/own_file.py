"""A DICOM file that comes by another way than C-STORE, read and kept as a file of the desk's own (rows 27 to 30 of the faults)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import dsutils

from xraydesk.imaging.header import Header
from xraydesk.links.dicom import negotiation
from xraydesk.links.dicom.file_head import FileHead, where_it_begins
from xraydesk.links.dicom.header_codec import is_wire_uid, read_header, text
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.reading import BadDataSet
from xraydesk.links.dicom.sop_classes import STORAGE_CLASSES, STORAGE_SYNTAXES
from xraydesk.links.dicom.spool import ObjectWriter, SpooledFile, SpoolRefused
from xraydesk.links.dicom.store import path_for

COPY_BYTES = 1_048_576


@dataclass(frozen=True)
class Brought:
    """A readable object in a file that is not the desk's: how it begins, what it says of itself, its data set up to the pixels."""

    path: Path
    head: FileHead
    header: Header
    dataset: Dataset


def read_brought(path: Path, head: FileHead) -> Brought:
    """An object of a kind that is stored, whole and of a study. Raises BadDataSet, and OSError where the file cannot be read."""
    if head.transfer_syntax_uid not in STORAGE_SYNTAXES:
        raise BadDataSet("it is written in a way that the desk does not take")
    dataset = read_object(path, dataset_offset=head.dataset_offset, transfer_syntax=head.transfer_syntax_uid)
    sop_class, uid = text(dataset, "SOPClassUID") or head.sop_class_uid, text(dataset, "SOPInstanceUID")
    if sop_class not in STORAGE_CLASSES:
        raise BadDataSet("it is of no kind that is stored")
    if not uid or not is_wire_uid(uid):
        raise BadDataSet("it has no number of its own")
    header = read_header(
        dataset,
        sop_class_uid=sop_class,
        sop_instance_uid=uid,
        transfer_syntax_uid=head.transfer_syntax_uid,
    )
    if not header.study_instance_uid or not header.series_instance_uid:
        raise BadDataSet("it names no study or series")
    return Brought(path, head, header, dataset)


def head_of(path: Path) -> FileHead:
    """How a file begins. Raises BadDataSet and OSError."""
    with path.open("rb") as file:
        return where_it_begins(file)


def keep_as_own(one: Brought, at: datetime) -> tuple[SpooledFile, str]:
    """The object as a kept file of ours: a preamble of zeros, our own file meta information, its data set as it came.

    With it where it lies below the spool. Raises BadDataSet where it cannot be read any more, SpoolRefused and OSError where
    the disk cannot keep it.
    """
    meta = dsutils.create_file_meta(
        sop_class_uid=UID(one.header.sop_class_uid),
        sop_instance_uid=UID(one.header.sop_instance_uid),
        transfer_syntax=UID(one.head.transfer_syntax_uid),
        implementation_uid=UID(negotiation.IMPLEMENTATION_UID),
        implementation_version=negotiation.IMPLEMENTATION_VERSION,
    )
    head = bytes(128) + b"DICM" + dsutils.encode_file_meta(meta)
    writer = ObjectWriter(Path(settings.XRAYDESK_SPOOL), f"{os.getpid()}-{uuid.uuid4().hex}.part", head)
    try:
        for piece in _pieces(one):
            writer.write([memoryview(piece)])
    except OSError:
        writer.abandon()
        raise BadDataSet("the file that it came in cannot be read") from None
    try:
        spooled = writer.finish()
    except SpoolRefused:
        writer.abandon()
        raise
    relative = path_for(at)
    try:
        spooled.keep(relative)
    except OSError:
        spooled.discard()
        raise
    return spooled, relative


def _pieces(one: Brought) -> Iterator[bytes]:
    """The bytes of an object's data set, as they lie in the file that it came in."""
    with one.path.open("rb") as file:
        file.seek(one.head.dataset_offset)
        while piece := file.read(COPY_BYTES):
            yield piece
