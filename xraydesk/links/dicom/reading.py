"""Reads DICOM data sets that came from outside, and refuses the ones that would hurt."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pydicom import config as pydicom_config
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

# Values from outside are judged by this desk's own rules; pydicom need not warn of each.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE


class BadDataSet(ValueError):
    """The data set cannot be read: it is cut short, nested too deeply, or no DICOM."""


def unnamed(charsets: Sequence[str]) -> Any:
    """How pydicom is to read texts of a data set that names no character set, for a peer that is known to use these."""
    return convert_encodings(list(charsets)) if charsets else default_encoding


def decode(data: bytes, transfer_syntax: str, *, charsets: Sequence[str] = ()) -> Dataset:
    """The data set in `data`, encoded in an uncompressed transfer syntax; raises `BadDataSet`.

    `charsets` are what its sender is known to use where it names none.
    """
    syntax = UID(transfer_syntax)
    try:
        return read_dataset(
            BytesIO(data),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            bytelength=len(data),
            parent_encoding=unnamed(charsets),
        )
    except RecursionError:
        raise BadDataSet("sequences are nested too deeply") from None
    except Exception as error:  # pydicom lets many kinds through for broken input
        raise BadDataSet(f"the data set cannot be read ({type(error).__name__})") from None


def value_of(dataset: Dataset, keyword: str | tuple[int, int]) -> Any:
    """What stands under a keyword or tag; None where nothing does, or nothing that can be read.

    A value is decoded when it is asked for: one that is broken must not cost the rest of its object.
    """
    try:
        value = dataset.get(keyword)
        return value.value if isinstance(value, DataElement) else value
    except Exception:  # pydicom lets many kinds through for broken input
        return None


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is absent, cannot be read, or is written as something else."""
    value = value_of(dataset, keyword)
    return list(value) if isinstance(value, Items) else []
