"""Reads DICOM data sets that came from outside, and refuses the ones that would hurt."""

from __future__ import annotations

from io import BytesIO

from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

# Values from outside are judged by this desk's own rules; pydicom need not warn of each.
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE


class BadDataSet(ValueError):
    """The data set cannot be read: it is cut short, nested too deeply, or no DICOM."""


def decode(data: bytes, transfer_syntax: str) -> Dataset:
    """The data set in `data`, encoded in an uncompressed transfer syntax; raises `BadDataSet`."""
    syntax = UID(transfer_syntax)
    try:
        return read_dataset(
            BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian, bytelength=len(data)
        )
    except RecursionError:
        raise BadDataSet("sequences are nested too deeply") from None
    except Exception as error:  # pydicom lets many kinds through for broken input
        raise BadDataSet(f"the data set cannot be read ({type(error).__name__})") from None
