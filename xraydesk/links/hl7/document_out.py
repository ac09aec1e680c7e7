"""A report as a document of the record (MDM^T02, T08; HL7 2.5.1 §9.6), for systems that file documents; pure."""

from __future__ import annotations

from xraydesk.links.hl7.outgoing_header import OrderTold, PatientTold, patient_segments
from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.report_out import ReportTold, document_value
from xraydesk.links.hl7.times import write_time
from xraydesk.results.states import ReportState

COMPLETION = {
    ReportState.PRELIMINARY: "PA",
    ReportState.FINAL: "LA",
    ReportState.CORRECTED: "LA",
    ReportState.CANCELLED: "IN",
}
"""TXA-17, HL7 table 0271: pre-authenticated, legally authenticated, incomplete."""


def document_kind(told: ReportTold) -> tuple[str, str, str]:
    """T02 for what is said the first time or finally, T08 for what was corrected or taken back."""
    is_edit = told.state in (ReportState.CORRECTED, ReportState.CANCELLED)
    return ("MDM", "T08" if is_edit else "T02", "MDM_T02")


def document_segments(order: OrderTold, patient: PatientTold, told: ReportTold) -> list[Segment]:
    """EVN, PID, PV1, TXA, an OBX a line (a reader of documents knows no repetitions), and one a document."""
    at = write_time(told.said_at)
    txa: list[object] = [""] * 19
    txa[0], txa[1], txa[2], txa[3] = "1", "DI", "TX", at
    txa[8] = (
        [told.radiologist_id, told.radiologist_name] if told.radiologist_id or told.radiologist_name else ""
    )
    txa[11], txa[13], txa[14] = [f"{order.accession}-R"], order.placer_field, [order.filler]
    txa[16], txa[18] = COMPLETION[told.state], "AV"
    text = told.text if not told.impression else f"{told.text}\n\nImpression\n{told.impression}"
    lines = [
        written("OBX", [str(n), "TX", ["GDT", "Report", "L"], str(n), line, *[""] * 5, "F"])
        for n, line in enumerate(text.splitlines(), start=1)
    ]
    lines += [
        written(
            "OBX",
            [
                str(n),
                "ED",
                ["PDF", one.title or "Report as a document", "L"],
                str(n),
                document_value(one),
                *[""] * 5,
                "F",
            ],
        )
        for n, one in enumerate(told.documents, start=len(lines) + 1)
    ]
    return [
        written("EVN", [document_kind(told)[1], at]),
        *patient_segments(patient),
        written("TXA", txa),
        *lines,
    ]
