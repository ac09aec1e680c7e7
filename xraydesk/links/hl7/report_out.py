"""A copy of a report as ORU^R01 (HL7 2.5.1 §7.3.1); pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.hl7.outgoing_header import OrderTold, PatientTold, patient_segments
from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.times import write_time
from xraydesk.results.states import ReportState

STATUS = {
    ReportState.PRELIMINARY: "P",
    ReportState.FINAL: "F",
    ReportState.CORRECTED: "C",
    ReportState.CANCELLED: "X",
}
"""OBR-25 and OBX-11, HL7 tables 0123 and 0085."""


DOCUMENTS_OUT_BYTES_MAX = 3_145_728
"""Documents of a report that are larger together are named in its text alone: many receivers take no message over a few megabytes."""


@dataclass(frozen=True)
class DocumentTold:
    """A document beside a report; `kind` is its media type."""

    kind: str
    title: str
    content: bytes


@dataclass(frozen=True)
class ReportTold:
    """A report as it goes out. `said_at` is aware, in the zone that it is written in; `flagged` as AA in OBX-8."""

    state: ReportState
    text: str
    impression: str
    said_at: datetime
    radiologist_id: str = ""
    radiologist_name: str = ""
    study_instance_uid: str = ""
    flagged: bool = False
    documents: tuple[DocumentTold, ...] = ()


def document_value(told: DocumentTold) -> list[object]:
    """OBX-5 of a document (ED, HL7 2.5.1 §2.A.24): no source, kind, subtype, Base64, its bytes."""
    kind, _, subtype = told.kind.partition("/")
    return ["", kind, subtype, "Base64", base64.b64encode(told.content).decode()]


def report_segments(order: OrderTold, patient: PatientTold, told: ReportTold) -> list[Segment]:
    """PID, PV1, ORC, OBR, and an OBX each for text, impression, study UID and every document."""
    status = STATUS[told.state]
    obr: list[object] = [""] * 32
    obr[0], obr[1], obr[2], obr[3] = "1", order.placer_field, [order.filler], order.procedure_field
    obr[15], obr[17], obr[21], obr[23], obr[24] = (
        order.provider_field,
        order.accession,
        write_time(told.said_at),
        "RAD",
        status,
    )
    obr[26] = order.timing_field
    obr[31] = (
        [(told.radiologist_id, told.radiologist_name)] if told.radiologist_id or told.radiologist_name else ""
    )
    flag = "AA" if told.flagged else ""
    values: list[tuple[str, list[object], object, str]] = [("TX", ["GDT", "Findings", "L"], told.text, "")]
    if told.impression:
        values.append(("TX", ["IMP", "Impression", "L"], told.impression, ""))
    if told.study_instance_uid:
        values.append(("ST", ["113014", "DICOM Study", "DCM"], told.study_instance_uid, ""))
    for document in told.documents:
        name: list[object] = ["PDF", document.title or "Report as a document", "L"]
        values.append(("ED", name, document_value(document), ""))
    values[0] = (*values[0][:3], flag)
    seen = [
        written("OBX", [str(number), kind, name, str(number), value, "", "", mark, "", "", status])
        for number, (kind, name, value, mark) in enumerate(values, 1)
    ]
    return [
        *patient_segments(patient),
        written("ORC", ["RE", order.placer_field, [order.filler], *[""] * 3, order.timing_field]),
        written("OBR", obr),
        *seen,
    ]
