"""News of patients as the desk passes it on (ADT A08, A37, A40, A45), so that archives correct what they keep; pure.

IHE PIR: whoever keeps images under a number that has gone must be told which one stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xraydesk.links.hl7.outgoing_header import PatientTold, patient_segments
from xraydesk.links.hl7.reader import Segment, written
from xraydesk.links.hl7.times import write_time


def changed_segments(patient: PatientTold, *, at: datetime) -> list[Segment]:
    """ADT^A08: name, birth date or sex are others now."""
    return [_event("A08", at), *patient_segments(patient)]


def merged_segments(stays: PatientTold, goes: PatientTold, *, at: datetime) -> list[Segment]:
    """ADT^A40: what is kept under the numbers of `goes` belongs to `stays`."""
    return [_event("A40", at), patient_segments(stays)[0], _mrg(goes)]


def parted_segments(stays: PatientTold, goes: PatientTold, *, at: datetime) -> list[Segment]:
    """ADT^A37: the two are two people after all."""
    return [_event("A37", at), patient_segments(stays)[0], patient_segments(goes)[0]]


def moved_segments(
    to: PatientTold, from_: PatientTold, visits: Sequence[str], *, at: datetime
) -> list[Segment]:
    """ADT^A45: some stays of `from_` are of `to`."""
    found = [_event("A45", at), patient_segments(to)[0]]
    for visit in visits:
        found += [_mrg(from_, visit), written("PV1", ["1", "U", *[""] * 16, visit])]
    return found


def _event(trigger: str, at: datetime) -> Segment:
    return written("EVN", [trigger, write_time(at)])


def _mrg(patient: PatientTold, visit: str = "") -> Segment:
    numbers = tuple([value, "", "", issuer, kind] for value, issuer, kind in patient.identifiers)
    name: list[object] = [patient.family, patient.given, patient.middle]
    return written("MRG", [numbers, "", "", "", visit, "", name if patient.family or patient.given else ""])
