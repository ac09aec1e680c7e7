"""The DICOM conformance statement and IHE's integration statement say what the code does, and nothing else."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xraydesk.links.dicom import admission, negotiation
from xraydesk.links.dicom.service import Service
from xraydesk.links.dicom.services import all_services
from xraydesk.links.dicom.statement import PARTS, filled, tables_of
from xraydesk.links.dicom.uses import USES
from xraydesk.links.hl7 import merging, patient
from xraydesk.project.config import Config

DOCS = Path(__file__).parents[3] / "docs" / "conformance"
LINKS = Path(__file__).parents[2] / "links" / "dicom"
DICOM = (DOCS / "dicom.md").read_text(encoding="utf-8")
IHE = (DOCS / "ihe.md").read_text(encoding="utf-8")
HL7 = (DOCS / "hl7.md").read_text(encoding="utf-8")


def test_its_tables_are_those_of_the_code() -> None:
    """Where this fails, `make statements` makes them anew."""
    assert filled(DICOM, Config.model_construct()) == DICOM
    assert sorted(tables_of(DICOM)) == sorted([*PARTS, "limits"])


def test_it_names_the_implementation() -> None:
    for told in (
        negotiation.IMPLEMENTATION_UID,
        negotiation.IMPLEMENTATION_VERSION,
        admission.APPLICATION_CONTEXT,
    ):
        assert told in DICOM


def test_every_module_that_asks_for_an_association_is_told_of() -> None:
    asking = {
        f"xraydesk.links.dicom.{path.stem}"
        for path in LINKS.glob("*.py")
        if ".add_requested_context(" in path.read_text(encoding="utf-8")
    }
    assert asking == {use.module for use in USES}


def test_every_reason_for_a_rejection_has_its_words() -> None:
    assert {*admission.WHY} == {*admission.Verdict} - {admission.Verdict.TAKEN}


@pytest.mark.parametrize("service", all_services(), ids=lambda service: service.name)
def test_every_status_that_a_service_answers_with_is_told_of(service: Service) -> None:
    module = sys.modules[service.handle.__module__]
    assert statuses_in(module) | {service.failure_status, service.bad_dataset_status} <= {
        *service.statuses,
        0x0110,
    }


def statuses_in(module: ModuleType) -> set[int]:
    """The named statuses that a module refuses or answers with."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            first = node.args[0]
            if node.func.id in {"Refused", "Response"} and isinstance(first, ast.Name) and first.id.isupper():
                found.add(int(getattr(module, first.id)))
    return found


def rows_of_ihe() -> list[tuple[str, str, str, str]]:
    table = IHE.split("\n## Transactions\n", 1)[1].strip().splitlines()[2:]
    found = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table]
    assert all(len(row) == 4 for row in found)
    return found  # type: ignore[return-value]


def test_what_is_done_of_ihe_is_offered_asked_for_taken_or_sent() -> None:
    classes = {uid for service in all_services() for uid in service.sop_classes}
    classes |= {uid for use in USES for uid in use.sop_classes}
    triggers_taken = {*patient.EVENTS, *merging.MERGES}
    for _, transaction, done, by in rows_of_ihe():
        assert done in {"yes", "in part", "no"}, transaction
        named = {*re.findall(r"1\.2\.840\.10008[.\d]*\d", by)}
        assert named <= classes, transaction
        taken = by.partition("sends")[0]
        assert {*re.findall(r"`ADT\^(A\d\d)`", taken)} <= triggers_taken, transaction
        sent = by.partition("sends")[2]
        for kind, trigger in re.findall(r"`([A-Z]{3})\^([A-Z]\d\d)`", sent):
            assert kind in HL7
            assert trigger in HL7, transaction
        assert (done == "no") or named or any(sign in by for sign in ("^", "$", "TLS", ".md)")), transaction
