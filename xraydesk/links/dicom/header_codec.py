"""What a received object says of itself: a data set in, a frozen `imaging.Header` out. Pure.

Values that cannot be read as what they should be are as good as absent: an object is kept
for its pixels, and a person decides about what its header lacks. Values that would do harm
(a UID that is none, more pixels than can be unpacked, sequences without end) refuse the object.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from xraydesk.imaging.header import Header
from xraydesk.lib.units import gym2_from_dgycm2
from xraydesk.links.dicom.dose_codec import is_dose_report
from xraydesk.links.dicom.reading import BadDataSet, items_of, value_of

UID_ON_THE_WIRE = re.compile(r"[0-9]+(\.[0-9]+)*")
"""Digits between dots. Real machines send components with leading zeros; no other sign may pass."""

UID_LENGTH_MAX = 64
DECODED_BYTES_MAX = 268_435_456
"""No object whose pixels unpack to more is taken."""

DEPTH_MAX = 32
"""Dose reports nest six sequences deep; no real object comes near this."""

ITEMS_MAX = 200_000

MARKER_TEXTS_MAX = 12
MARKER_TEXT_LENGTH_MAX = 64

_MARKER_KEYWORDS = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "AcquisitionDeviceProcessingCode",
    "PerformedProcedureStepDescription",
)
_MARKER_CODES = ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence", "ViewCodeSequence")
_OVERLAY_TAGS = tuple((group, element) for group in range(0x6000, 0x6020, 2) for element in (0x0022, 0x1500))
"""Overlay Description and Overlay Label (PS3.3 C.9.2): where markers are laid over the picture."""


def is_wire_uid(uid: str) -> bool:
    """True where `uid` may stand as a UID that some machine made, strict or not."""
    return len(uid) <= UID_LENGTH_MAX and UID_ON_THE_WIRE.fullmatch(uid) is not None


def read_header(
    dataset: Dataset, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
) -> Header:
    """The header of one object; the SOP UIDs are those of the message that brought it.

    Raises BadDataSet for an object that contradicts its message or would do harm.
    """
    check_depth(dataset)
    for keyword, told in (("SOPInstanceUID", sop_instance_uid), ("SOPClassUID", sop_class_uid)):
        if text(dataset, keyword) not in ("", told):
            raise BadDataSet(f"{keyword} differs from the message")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        uid = text(dataset, keyword)
        if uid and not is_wire_uid(uid):
            raise BadDataSet(f"{keyword} is no UID")
    if decoded_bytes(dataset) > DECODED_BYTES_MAX:
        raise BadDataSet("its pixels would unpack to more than is taken")
    asked = _first_item(dataset, "RequestAttributesSequence")
    area_dose = number(dataset, "ImageAndFluoroscopyAreaDoseProduct", minimum=0)
    return Header(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid=sop_class_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        study_instance_uid=text(dataset, "StudyInstanceUID"),
        series_instance_uid=text(dataset, "SeriesInstanceUID"),
        accession=text(dataset, "AccessionNumber") or text(asked, "AccessionNumber"),
        patient_id=text(dataset, "PatientID"),
        patient_id_issuer=text(dataset, "IssuerOfPatientID"),
        patient_name=text(dataset, "PatientName"),
        patient_birth_date=day(dataset, "PatientBirthDate"),
        patient_sex=text(dataset, "PatientSex"),
        modality=text(dataset, "Modality"),
        manufacturer=text(dataset, "Manufacturer"),
        station_name=text(dataset, "StationName"),
        body_part=text(dataset, "BodyPartExamined"),
        view_position=text(dataset, "ViewPosition"),
        laterality=text(dataset, "ImageLaterality") or text(dataset, "Laterality"),
        marker_texts=marker_texts(dataset),
        acquired_at=_acquired_at(dataset),
        requested_procedure_id=text(asked, "RequestedProcedureID"),
        scheduled_step_id=text(asked, "ScheduledProcedureStepID"),
        dap_gym2=None if area_dose is None else gym2_from_dgycm2(area_dose),
        exposure_index=number(dataset, "ExposureIndex"),
        target_exposure_index=number(dataset, "TargetExposureIndex"),
        deviation_index=number(dataset, "DeviationIndex"),
        kvp=number(dataset, "KVP"),
        mas=_either(dataset, "Exposure", "ExposureInuAs"),
        exposure_time_ms=_either(dataset, "ExposureTime", "ExposureTimeInuS"),
        is_dose_report=is_dose_report(dataset),
    )


def marker_texts(dataset: Dataset) -> tuple[str, ...]:
    """What the machine itself says of what it took: series, protocol, processing, coded words, labels laid over the picture.

    The study's description is left out: it comes from the order, and would agree with it.
    """
    said = [text(dataset, keyword) for keyword in _MARKER_KEYWORDS]
    said += [text(_first_item(dataset, keyword), "CodeMeaning") for keyword in _MARKER_CODES]
    said += [text(dataset, tag) for tag in _OVERLAY_TAGS if tag in dataset]
    return tuple(dict.fromkeys(t[:MARKER_TEXT_LENGTH_MAX] for t in said if t))[:MARKER_TEXTS_MAX]


def text(dataset: Dataset, keyword: str | tuple[int, int]) -> str:
    """One value as text without outer space and control characters; the first of several; empty where there is none."""
    value = _value(dataset, keyword)
    if value is None:
        return ""
    return "".join(c for c in str(value) if c >= " ").strip()


def number(dataset: Dataset, keyword: str, *, minimum: float | None = None) -> float | None:
    """One value as a finite number; None where there is none, or it lies below `minimum`."""
    value = _value(dataset, keyword)
    try:
        found = float(value) if value is not None else math.nan
    except (ValueError, TypeError, OverflowError):
        return None
    if not math.isfinite(found) or (minimum is not None and found < minimum):
        return None
    return found


def day(dataset: Dataset, keyword: str) -> date | None:
    """A DICOM date (DA), also in the form with dots of ACR-NEMA; None where it is none."""
    try:
        return datetime.strptime(text(dataset, keyword).replace(".", ""), "%Y%m%d").date()  # noqa: DTZ007
    except ValueError:
        return None


def wall_time(dataset: Dataset, keyword: str) -> time | None:
    """A DICOM time (TM), from hours alone to microseconds; None where it is none."""
    found = re.fullmatch(r"(\d\d):?(?:(\d\d):?(?:(\d\d)(?:\.(\d{1,6}))?)?)?", text(dataset, keyword))
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    try:
        return time(
            int(hour), int(minute or 0), min(int(second or 0), 59), int((fraction or "0").ljust(6, "0"))
        )
    except ValueError:
        return None


def moment(dataset: Dataset, date_keyword: str, time_keyword: str) -> datetime | None:
    """Naive wall time from a date and a time; None where one of them is missing."""
    on, at = day(dataset, date_keyword), wall_time(dataset, time_keyword)
    return datetime.combine(on, at) if on and at else None


def decoded_bytes(dataset: Dataset) -> float:
    """How many bytes the pixels take once unpacked; 0 where there are none."""
    product = 1.0
    for keyword, default in (
        ("Rows", 0),
        ("Columns", 0),
        ("NumberOfFrames", 1),
        ("SamplesPerPixel", 1),
        ("BitsAllocated", 8),
    ):
        value = number(dataset, keyword, minimum=0)
        product *= default if value is None else value
    return product / 8


def check_depth(dataset: Dataset) -> None:
    """Refuse sequences nested without end, or with more items than any real object has. Raises BadDataSet."""
    waiting = [(dataset, 0)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        for items in _sequences(node):
            seen += len(items)
            if depth >= DEPTH_MAX or seen > ITEMS_MAX:
                raise BadDataSet("its sequences are nested too deeply, or are too many")
            waiting += [(item, depth + 1) for item in items]


def _sequences(node: Dataset) -> Iterator[list[Dataset]]:
    """The items of each sequence of one level; other elements are not decoded for it."""
    for tag in [element.tag for element in node.values() if _representation(element) == "SQ"]:
        try:
            value = node[tag].value
        except Exception as error:  # pydicom lets many kinds through, too deep a recursion among them
            raise BadDataSet(f"a sequence cannot be read ({type(error).__name__})") from None
        yield list(value or ())


def _representation(element: Any) -> str:
    if element.VR is not None or not isinstance(element, RawDataElement):
        return str(element.VR)
    try:
        return str(dictionary_VR(element.tag))
    except KeyError:
        return "UN"


def _value(dataset: Dataset, keyword: str | tuple[int, int]) -> Any:
    value = value_of(dataset, keyword)
    if value is None or value == "":
        return None
    if not isinstance(value, str | bytes) and hasattr(value, "__getitem__") and hasattr(value, "append"):
        value = value[0] if len(value) else None
    # A sequence where a value should stand says nothing: to write its items out could fail at any byte of them.
    return None if isinstance(value, Dataset) else value


def _first_item(dataset: Dataset, keyword: str) -> Dataset:
    items = items_of(dataset, keyword)
    return items[0] if items else Dataset()


def _either(dataset: Dataset, keyword: str, thousandth: str) -> float | None:
    """A value from one of two elements, of which the second counts in thousandths."""
    value = number(dataset, keyword)
    if value is not None:
        return value
    small = number(dataset, thousandth)
    return None if small is None else small / 1000


def _acquired_at(dataset: Dataset) -> datetime | None:
    whole = re.match(r"\d{14}", text(dataset, "AcquisitionDateTime"))
    if whole:
        try:
            return datetime.strptime(whole[0], "%Y%m%d%H%M%S")  # noqa: DTZ007
        except ValueError:
            pass
    return moment(dataset, "AcquisitionDate", "AcquisitionTime") or moment(
        dataset, "ContentDate", "ContentTime"
    )
