"""Dose reports of many vendors are read in SI units, each value from where it stands."""

from __future__ import annotations

import json
import math
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.shared_data import shared_data
from xraydesk.dose.report import DoseSource
from xraydesk.links.dicom.dose_codec import (
    COMPREHENSIVE_SR,
    DOSE_REPORT_TITLE,
    XRAY_DOSE_SR,
    NotADoseReport,
    is_dose_report,
    read_dose_report,
)


def code(value: str, meaning: str = "") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def node(concept: str, *children: Dataset, **fields: Any) -> Dataset:
    item = Dataset()
    item.ConceptNameCodeSequence = [code(concept)]
    if children:
        item.ContentSequence = list(children)
    for keyword, value in fields.items():
        setattr(item, keyword, value)
    return item


def number(concept: str, *values: object, unit: str = "1") -> Dataset:
    item = node(concept)
    item.MeasuredValueSequence = []
    for value in values:
        measured = Dataset()
        measured.NumericValue = value
        measured.MeasurementUnitsCodeSequence = [code(unit)]
        item.MeasuredValueSequence.append(measured)
    return item


def report(*content: Dataset, sop_class: str = XRAY_DOSE_SR, title: str = DOSE_REPORT_TITLE) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, "2.25.1"
    dataset.StudyInstanceUID, dataset.AccessionNumber, dataset.Manufacturer = "2.25.2", "A1", "ACME"
    dataset.ConceptNameCodeSequence = [code(title)]
    dataset.ContentSequence = list(content)
    return dataset


def test_an_event_is_read_in_si_units_whatever_the_report_used() -> None:
    event = node(
        "113706",
        node("113769", UID="2.25.3"),
        node("125203", TextValue="CHEST PA"),
        node(
            "123014",
            node("G-C171", ConceptCodeSequence=[code("G-A101", "Left")]),
            ConceptCodeSequence=[code("T-D3000", "Chest")],
        ),
        node("111031", ConceptCodeSequence=[code("R-10214", "postero-anterior")]),
        number("122130", 107, unit="mGy.cm2"),
        number("113738", 0.1, unit="mGy"),
        number("113733", 90000, unit="V"),
        number("113736", 800, unit="uA.s"),
        number("113824", 0.005, unit="s"),
        number("113845", 286.8),
        number("113846", 438.5),
        number("113847", -1.8),
    )
    read = read_dose_report(report(event))
    assert read.source is DoseSource.REPORT
    assert (read.accession, read.manufacturer, read.total_dap_gym2) == ("A1", "ACME", None)
    [told] = read.events
    assert (told.event_uid, told.protocol, told.target_region) == ("2.25.3", "CHEST PA", "Chest")
    assert (told.view, told.laterality) == ("postero-anterior", "Left")
    assert told.dap_gym2 == pytest.approx(1.07e-5)
    assert told.dose_rp_gy == pytest.approx(1e-4)
    assert told.kvp == pytest.approx((90.0,))
    assert (told.mas, told.exposure_time_ms) == (pytest.approx(0.8), pytest.approx(5))
    assert (told.exposure_index, told.target_exposure_index, told.deviation_index) == (286.8, 438.5, -1.8)


def test_several_values_for_one_number_are_none_but_every_tube_voltage_is_kept() -> None:
    event = node("113706", number("113736", 1, 2, unit="mA.s"), number("113733", 34.1, 33.99, unit="kV"))
    [told] = read_dose_report(report(event)).events
    assert told.mas is None
    assert told.kvp == (34.1, 33.99)


def test_each_plane_of_a_biplane_system_is_added_to_the_total() -> None:
    planes = [node("113702", number("113722", dap, unit="Gym2")) for dap in (1e-5, 2e-5)]
    assert read_dose_report(report(*planes)).total_dap_gym2 == pytest.approx(3e-5)


def test_an_unknown_unit_and_a_broken_number_say_nothing() -> None:
    empty = number("122130", None, unit="Gy.m2")
    event = node(
        "113706",
        number("122130", 5, unit="furlong"),
        number("113738", float("nan"), unit="Gy"),
        empty,
        node("125203", TextValue=" "),
    )
    [told] = read_dose_report(report(event)).events
    assert (told.dap_gym2, told.dose_rp_gy, told.protocol, told.event_uid) == (None, None, None, "")


def test_a_value_that_is_no_number_is_left_out() -> None:
    class Words(list[str]):
        """Stands for a Numeric Value that the writer filled with words."""

    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = [code("Gy")]
    item = node("113738")
    item.MeasuredValueSequence = [measured]
    object.__setattr__(
        measured,
        "get",
        lambda key, default=None: (
            Words(["many"]) if key == "NumericValue" else Dataset.get(measured, key, default)
        ),
    )
    [told] = read_dose_report(report(node("113706", item))).events
    assert told.dose_rp_gy is None


def test_the_template_in_an_older_class_is_a_dose_report_too() -> None:
    assert is_dose_report(report(sop_class=COMPREHENSIVE_SR))
    assert not is_dose_report(report(sop_class=COMPREHENSIVE_SR, title="121144"))


def test_anything_else_is_refused() -> None:
    with pytest.raises(NotADoseReport):
        read_dose_report(Dataset())


def test_nesting_beyond_the_template_is_not_followed() -> None:
    deep = node("G-C171", ConceptCodeSequence=[code("G-A101", "Left")])
    for _ in range(40):
        deep = node("113876", deep)
    assert read_dose_report(report(node("113706", deep))).events[0].laterality is None


@pytest.mark.data
def test_reports_of_many_vendors_read_as_is_known_of_them() -> None:
    expected = json.loads(shared_data("rdsr", "expected_rdsr.json").read_text())["files"]
    for name, known in expected.items():
        dataset = pydicom.dcmread(shared_data("rdsr", name))
        if known["sop_class"] != "X-Ray Radiation Dose SR Storage":
            assert not is_dose_report(dataset), name
            continue
        read = read_dose_report(dataset)
        total = sum(value for value, _ in known["total_dap"]) if known["total_dap"] else None
        assert read.total_dap_gym2 == (None if total is None else pytest.approx(total)), name
        assert len(read.events) == known["n_irradiation_events"], name
        assert (read.accession or None, read.manufacturer) == (known["accession"], known["manufacturer"])
        for told, event in zip(read.events, known["events"], strict=False):
            assert told.event_uid == event["event_uid"], name
            assert told.protocol == event.get("protocol"), name
            assert told.target_region == event.get("target_region"), name
            assert told.laterality == event.get("laterality"), name
            assert told.dap_gym2 == (event["dap_gy_m2"] if event["dap_present"] else None), name
            assert told.exposure_index == event.get("exposure_index"), name
            times = [v for c, v, _ in event.get("exposure_time", []) if c in ("113824", "113735")]
            assert told.exposure_time_ms == (times[0] if len(times) == 1 else None), name
            single = [v for v, _ in event.get("exposure", []) if not isinstance(v, list)]
            assert told.mas is None or math.isclose(told.mas * 1000, single[0], rel_tol=1e-6), name
