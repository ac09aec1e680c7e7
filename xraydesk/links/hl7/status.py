"""How far an exam is, as ORM^O01 tells it (HL7 2.5.1 §4.4.1): begun, ended, broken off, cancelled here; pure."""

from __future__ import annotations

from datetime import datetime

from xraydesk.facts.kinds import FactKind
from xraydesk.links.hl7.outgoing_header import OrderTold, PatientTold, patient_segments
from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.times import write_time

WORDS: dict[FactKind, tuple[str, str]] = {
    FactKind.EXAM_BEGUN: ("SC", "IP"),
    FactKind.EXAM_ENDED: ("SC", "CM"),
    FactKind.OUTSIDE_TAKEN: ("SC", "CM"),
    FactKind.EXAM_DISCONTINUED: ("SC", "DC"),
    FactKind.EXAM_CANCELLED: ("OC", "CA"),
    FactKind.EXAM_PARTED: ("SC", "HD"),
}
"""ORC-1 and ORC-5 (HL7 tables 0119 and 0038). An order that its sender cancelled is not told back.

One that was taken for done and is not, waits for a person: it is on hold."""


def status_segments(kind: FactKind, order: OrderTold, patient: PatientTold, *, at: datetime) -> list[Segment]:
    """PID, PV1, ORC and OBR. Raises KeyError for a fact that is no status."""
    control, status = WORDS[kind]
    orc: list[object] = [
        control,
        order.placer_field,
        [order.filler],
        "",
        status,
        "",
        order.timing_field,
        "",
        write_time(at),
    ]
    orc += ["", "", order.provider_field]
    obr: list[object] = [""] * 25
    obr[0], obr[1], obr[2], obr[3] = "1", order.placer_field, [order.filler], order.procedure_field
    obr[15], obr[17], obr[21] = order.provider_field, order.accession, write_time(at)
    obr[24] = {"IP": "S", "CM": "R", "HD": "O"}.get(status, "X")
    obr[23] = "RAD"
    return [*patient_segments(patient), written("ORC", orc), written("OBR", obr)]
