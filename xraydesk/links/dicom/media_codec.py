"""What the directory of a medium (DICOMDIR, PS3.3 annex F) names. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from xraydesk.links.dicom.header_codec import check_depth

DIRECTORY = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage."""

PARTS_MAX = 8
"""PS3.10 8.5: a file ID has at most eight parts of eight signs; real media have longer ones."""

PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Named:
    """The files that a directory names, part by part, and how many it names in a way that leads elsewhere."""

    parts: tuple[tuple[str, ...], ...]
    strange: int


def file_ids(directory: Dataset) -> Named:
    """The file IDs of a directory's records. Raises BadDataSet for one that would do harm."""
    check_depth(directory)
    found: dict[tuple[str, ...], None] = {}
    strange = 0
    for item in directory.get("DirectoryRecordSequence") or ():
        value = item.get("ReferencedFileID")
        if not value:
            continue
        parts = tuple(str(part) for part in (value if isinstance(value, MultiValue | list) else [value]))
        if len(parts) <= PARTS_MAX and all(PART.fullmatch(part) for part in parts):
            found.setdefault(parts)
        else:
            strange += 1
    return Named(tuple(found), strange)
