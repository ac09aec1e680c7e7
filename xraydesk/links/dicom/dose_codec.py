"""X-ray dose reports (DICOM RDSR, TID 10001) as dose reports of the department's own words.

Pure: a data set in, frozen dataclasses out. Units are converted to SI as named in
`xraydesk.dose.report`, whatever the object used (UCUM, with the dots that vendors leave out).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from xraydesk.dose.report import DoseEvent, DoseReport, DoseSource
from xraydesk.links.dicom.reading import items_of, value_of

XRAY_DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
DOSE_REPORT_TITLE = "113701"
"""Concept name of the root of every X-ray dose report (TID 10001, TID 10011)."""

EVENTS_MAX = 10_000
"""No report with more irradiation events is read."""

DEPTH_MAX = 12
"""TID 10001 nests no deeper than half of this."""

_ACCUMULATED = "113702"
_EVENT = "113706"
_EVENT_UID = "113769"
_PROTOCOL = "125203"
_TARGET_REGION = ("123014",)
_VIEW = ("111031",)
_LATERALITY = ("G-C171", "272741003")
_DAP = "122130"
_DAP_TOTAL = "113722"
_DOSE_RP = "113738"
_KVP = "113733"
_EXPOSURE = "113736"
_EXPOSURE_TIME = ("113824", "113735")
"""113824 since CP 1077; 113735 before."""

_GYM2 = {
    "gym2": 1.0,
    "mgym2": 1e-3,
    "ugym2": 1e-6,
    "gycm2": 1e-4,
    "dgycm2": 1e-5,
    "cgycm2": 1e-6,
    "mgycm2": 1e-7,
    "ugycm2": 1e-10,
}
_GY = {"gy": 1.0, "dgy": 0.1, "cgy": 1e-2, "mgy": 1e-3, "ugy": 1e-6}
_KV = {"kv": 1.0, "v": 1e-3}
_MAS = {"mas": 1.0, "uas": 1e-3, "as": 1e3, "c": 1e3, "mc": 1.0}
_MS = {"ms": 1.0, "s": 1e3, "us": 1e-3}
_ONE = {"1": 1.0, "no units": 1.0, "": 1.0, "{dimensionless}": 1.0}


class NotADoseReport(ValueError):
    """The object is no X-ray radiation dose structured report."""


def is_dose_report(dataset: Dataset) -> bool:
    """True for an X-ray radiation dose SR; also where an older SR class carries its template."""
    if _text(dataset, "SOPClassUID") == XRAY_DOSE_SR:
        return True
    carries = _text(dataset, "SOPClassUID") in (ENHANCED_SR, COMPREHENSIVE_SR)
    return carries and _concept(dataset) == DOSE_REPORT_TITLE


def read_dose_report(dataset: Dataset) -> DoseReport:
    """What an X-ray dose report says, in SI units. A CT dose report has no projection events and no total.

    Raises NotADoseReport.
    """
    if not is_dose_report(dataset):
        raise NotADoseReport("this object is no X-ray radiation dose report")
    content = _items(dataset)
    return DoseReport(
        source=DoseSource.REPORT,
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        study_instance_uid=_text(dataset, "StudyInstanceUID"),
        accession=_text(dataset, "AccessionNumber"),
        patient_id=_text(dataset, "PatientID"),
        manufacturer=_text(dataset, "Manufacturer"),
        total_dap_gym2=_total_dap_gym2(content),
        events=tuple(_event(item) for item in content if _concept(item) == _EVENT)[:EVENTS_MAX],
    )


def _text(dataset: Dataset, keyword: str) -> str:
    value = value_of(dataset, keyword)
    return "" if value is None else str(value).strip()


def _items(node: Dataset) -> list[Dataset]:
    return items_of(node, "ContentSequence")


def _concept(node: Dataset) -> str:
    names = items_of(node, "ConceptNameCodeSequence")
    return _text(names[0], "CodeValue") if names else ""


def _below(node: Dataset, depth: int = 0) -> Iterator[Dataset]:
    if depth < DEPTH_MAX:
        for item in _items(node):
            yield item
            yield from _below(item, depth + 1)


def _total_dap_gym2(content: list[Dataset]) -> float | None:
    """The total over all planes: a biplane system accumulates each plane by itself."""
    planes = [
        value
        for item in content
        if _concept(item) == _ACCUMULATED
        for value in _numbers(_items(item), (_DAP_TOTAL,), _GYM2)
    ]
    return sum(planes) if planes else None


def _event(event: Dataset) -> DoseEvent:
    items = _items(event)
    return DoseEvent(
        event_uid=_uid(items),
        protocol=_words(items, (_PROTOCOL,)),
        target_region=_words(items, _TARGET_REGION),
        view=_words(items, _VIEW),
        laterality=_words(list(_below(event)), _LATERALITY),
        dap_gym2=_single(items, (_DAP,), _GYM2),
        dose_rp_gy=_single(items, (_DOSE_RP,), _GY),
        kvp=tuple(_numbers(items, (_KVP,), _KV)),
        mas=_single(items, (_EXPOSURE,), _MAS),
        exposure_time_ms=_single(items, _EXPOSURE_TIME, _MS),
        exposure_index=_single(items, ("113845",), _ONE),
        target_exposure_index=_single(items, ("113846",), _ONE),
        deviation_index=_single(items, ("113847",), _ONE),
    )


def _uid(items: list[Dataset]) -> str:
    return next((_text(item, "UID") for item in items if _concept(item) == _EVENT_UID), "")


def _words(items: list[Dataset], concepts: tuple[str, ...]) -> str | None:
    """The words of the first item of these concepts: its text, or the meaning of its code."""
    for item in items:
        if _concept(item) in concepts:
            codes = items_of(item, "ConceptCodeSequence")
            words = _text(codes[0], "CodeMeaning") if codes else _text(item, "TextValue")
            if words:
                return words
    return None


def _numbers(items: list[Dataset], concepts: tuple[str, ...], units: dict[str, float]) -> list[float]:
    """Every value of these concepts, in the unit whose factor is 1; of an unknown unit, none."""
    found: list[float] = []
    for item in items:
        if _concept(item) in concepts:
            for measured in items_of(item, "MeasuredValueSequence"):
                factor = _factor(measured, units)
                if factor is not None:
                    found += [value * factor for value in _as_floats(value_of(measured, "NumericValue"))]
    return found


def _single(items: list[Dataset], concepts: tuple[str, ...], units: dict[str, float]) -> float | None:
    """The value where there is just one; None where the event gives none, or several."""
    found = _numbers(items, concepts, units)
    return found[0] if len(found) == 1 else None


def _factor(measured: Dataset, units: dict[str, float]) -> float | None:
    codes = items_of(measured, "MeasurementUnitsCodeSequence")
    name = _text(codes[0], "CodeValue") if codes else ""
    return units.get(name.replace(".", "").replace("*", "").lower())


def _as_floats(value: Any) -> list[float]:
    """The numbers in a Numeric Value (VM 1-n); what is no finite number is left out."""
    if value is None:
        return []
    several = not isinstance(value, (str, float)) and hasattr(value, "__iter__")
    found = []
    for part in value if several else [value]:
        try:
            number = float(part)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found.append(number)
    return found
