"""Reading a message as a link's field rules say: what a sender puts elsewhere is put where it is looked for; pure.

The message as it came stays as it is; what is made here is read and thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xraydesk.links.hl7.reader import Message, Segment, escaped, part
from xraydesk.siteplan.link_plan import FieldRule, LinkField
from xraydesk.siteplan.places import Place

IN_PATIENT = ("PID", "PV1")
"""Segments that stand before the orders, once for all of them."""

TARGETS: dict[LinkField, tuple[str, ...]] = {
    LinkField.ACCESSION: ("OBR-18", "IPC-1"),
    LinkField.STUDY_INSTANCE_UID: ("ZDS-1", "IPC-3"),
    LinkField.PLACER: ("ORC-2", "OBR-2"),
    LinkField.FILLER: ("ORC-3", "OBR-3"),
    LinkField.PROCEDURE_CODE: ("OBR-4.1",),
    LinkField.PROCEDURE_TEXT: ("OBR-4.2",),
    LinkField.PROCEDURE_SYSTEM: ("OBR-4.3",),
    LinkField.LATERALITY: ("OBR-46",),
    LinkField.PRIORITY: ("ORC-7.6", "TQ1-9"),
    LinkField.REQUESTED_AT: ("ORC-7.4", "TQ1-7"),
    LinkField.REASON: ("OBR-31",),
    LinkField.CLINICAL_INFORMATION: ("OBR-13",),
    LinkField.TRANSPORT: ("OBR-30",),
    LinkField.PATIENT_ID: ("PID-3",),
    LinkField.PHONE: ("PID-13",),
    LinkField.VISIT_NUMBER: ("PV1-19",),
    LinkField.ACCOUNT: ("PID-18",),
    LinkField.PATIENT_CLASS: ("PV1-2",),
    LinkField.WARD: ("PV1-3.1",),
}
"""Where each field is looked for: the first place is made where its segment is missing, the others are set where theirs is there."""

CLEARED: dict[LinkField, tuple[str, ...]] = {LinkField.LATERALITY: ("OBR-15.4", "OBR-15.5", "OBR-45")}
"""Other places that could say otherwise: left and right together would mean both."""


def as_ruled(message: Message, rules: Sequence[FieldRule]) -> Message:
    """The message as a link's rules read it; the very same where there are none."""
    if not rules:
        return message
    groups = _groups(message.segments)
    for rule in rules:
        for group in groups:
            _apply(rule, group, groups[0])
    return replace(message, segments=tuple(segment for group in groups for segment in group))


def _groups(segments: Sequence[Segment]) -> list[list[Segment]]:
    """What stands before the orders, then the segments of each order: from its ORC, or OBR, to the next."""
    groups: list[list[Segment]] = [[]]
    for segment in segments:
        has_obr = any(s.name == "OBR" for s in groups[-1])
        if segment.name == "ORC" or (segment.name == "OBR" and (len(groups) == 1 or has_obr)):
            groups.append([])
        groups[-1].append(segment)
    return groups


def _apply(rule: FieldRule, group: list[Segment], patient: list[Segment]) -> None:
    targets = [Place.read(place) for place in TARGETS[rule.name]]
    if (targets[0].segment in IN_PATIENT) != (group is patient):
        return
    value = next((v for v in (_found(p, group, patient) for p in rule.places) if v), "")
    if not value:
        return
    value = _meant(value, rule, group[0])
    for number, target in enumerate(targets):
        _put(target, value, group, make=number == 0)
    for place in CLEARED.get(rule.name, ()):
        _put(Place.read(place), "", group, make=False)


def _found(written: str, group: list[Segment], patient: list[Segment]) -> str:
    """What stands at a place of an order, or before the orders, as it was written."""
    place = Place.read(written)
    for segment in (*group, *patient):
        if segment.name == place.segment and (value := _written_at(segment, place)):
            return value
    return ""


def _written_at(segment: Segment, place: Place) -> str:
    raw = segment.raw(place.field)
    if not place.component:
        return raw
    components = (segment.repetitions(place.field) or ("",))[0].split(segment.separators.component)
    value = components[place.component - 1] if place.component <= len(components) else ""
    if not place.subcomponent:
        return value
    parts = value.split(segment.separators.subcomponent)
    return parts[place.subcomponent - 1] if place.subcomponent <= len(parts) else ""


def _meant(value: str, rule: FieldRule, near: Segment) -> str:
    """The value that a sender's own word stands for; the word itself where the rule does not name it."""
    said = part(value, 1, 1, near.separators)
    return escaped(rule.values[said], near.separators) if said in rule.values else value


def _put(place: Place, value: str, group: list[Segment], *, make: bool) -> None:
    at = [number for number, segment in enumerate(group) if segment.name == place.segment]
    if not at and make:
        group.append(Segment(place.segment, (), group[0].separators))
        at = [len(group) - 1]
    for number in at:
        group[number] = _with(group[number], place, value)


def _with(segment: Segment, place: Place, value: str) -> Segment:
    fields = [*segment.fields, *[""] * (place.field - len(segment.fields))]
    if place.component:
        mark = segment.separators.component
        first, *others = fields[place.field - 1].split(segment.separators.repetition)
        components = first.split(mark)
        components += [""] * (place.component - len(components))
        components[place.component - 1] = value
        value = segment.separators.repetition.join([mark.join(components), *others])
    fields[place.field - 1] = value
    return replace(segment, fields=tuple(fields))
