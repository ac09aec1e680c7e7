"""A charge or its credit as DFT^P03 tells it (HL7 2.5.1 §6.4.3); pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.times import write_time

CHARGE, CREDIT = "CG", "CD"
"""FT1-6, HL7 table 0017."""

PERFORMED = "RE"
"""ORC-1, HL7 table 0119: a service that was performed."""


@dataclass(frozen=True)
class ChargeTold:
    """One charge as it goes out. Times are aware, in the zone that they are written in."""

    number: str
    credit: bool
    service_at: datetime
    posted_at: datetime
    code: str
    text: str
    system: str
    modifiers: tuple[str, ...]
    quantity: int
    room: str
    filler: str
    placer: str
    placer_authority: str
    procedure_code: str
    procedure_text: str
    provider_number: str = ""
    provider_name: tuple[str, ...] = ()


def charge_segments(told: ChargeTold) -> list[Segment]:
    """FT1 (the same FT1-2 on charge and credit, so that the one takes back the other) and the ORC of the order that it is for."""
    placer = [told.placer, told.placer_authority] if told.placer_authority else [told.placer]
    return [_charge_segment(told), written("ORC", [PERFORMED, placer, told.filler])]


def _charge_segment(told: ChargeTold) -> Segment:
    values: list[object] = [""] * 26
    values[0] = "1"
    values[1] = told.number
    values[3] = write_time(told.service_at)
    values[4] = write_time(told.posted_at)
    values[5] = CREDIT if told.credit else CHARGE
    values[6] = [told.code, told.text, told.system]
    values[9] = str(told.quantity)
    values[15] = ["", "", "", told.room]
    values[20] = [told.provider_number, *told.provider_name] if told.provider_number else ""
    values[22] = told.filler
    values[24] = [told.procedure_code, told.procedure_text, told.system]
    values[25] = tuple(told.modifiers)
    return written("FT1", values)
