"""What an HL7 v2 file says, as `xraydesk read` prints it; pure, and without a word of judgement."""

from __future__ import annotations

from typing import Any

from xraydesk.links.hl7 import order, report
from xraydesk.links.hl7.patient import read_identifiers, read_name
from xraydesk.links.hl7.reader import NOWHERE, Message, Segment, read_batch
from xraydesk.links.hl7.refusals import Rejected
from xraydesk.links.hl7.times import read_date, read_time_as_written


def describe(raw: bytes, *, fallback: str = "iso8859-1") -> list[dict[str, Any]]:
    """One object a message of a file, batch or frame. Raises reader.Unreadable where there is none.

    Texts that the message does not give are "", times and dates null. `control`, `status` and
    `priority` are the sender's codes; times keep their offset, or have none.
    """
    return [describe_message(message) for message in read_batch(raw, fallback=fallback).messages]


def describe_message(message: Message) -> dict[str, Any]:
    """One message as JSON values."""
    header = message.header
    return {
        "kind": "hl7",
        "type": message.type,
        "control_id": header.get(10),
        "version": header.get(12),
        "charset": header.get(18),
        "sending_application": header.get(3),
        "sending_facility": header.get(4),
        "at": _time(header.get(7)),
        "patient": _patient(next(message.all("PID"), None)),
        "orders": [one for group in order.groups_of(message) for one in _orders(group)],
        "results": _results(message),
        "segments": [segment.name for segment in message.segments if segment.name],
    }


def differences(before: Any, now: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two readings differ: the place (`orders.1.accession`), what was read, what is read now."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys: list[Any] = list(dict.fromkeys([*before, *now]))
        parts = [(key, before.get(key), now.get(key)) for key in keys]
    elif isinstance(before, list) and isinstance(now, list):
        long = max(len(before), len(now))
        pairs = zip(before + [None] * (long - len(before)), now + [None] * (long - len(now)), strict=True)
        parts = [(number, *pair) for number, pair in enumerate(pairs, start=1)]
    else:
        return [] if before == now else [(path, before, now)]
    return [
        found for key, was, is_now in parts for found in differences(was, is_now, f"{path}.{key}".lstrip("."))
    ]


def _patient(pid: Segment | None) -> dict[str, Any] | None:
    if pid is None:
        return None
    name = read_name(pid)
    born = read_date(pid.get(7))
    return {
        "ids": [{"id": i.value, "authority": i.authority, "type": i.type} for i in read_identifiers(pid)],
        "name": {
            "family": name.family,
            "given": name.given,
            "middle": name.middle,
            "suffix": name.suffix,
            "prefix": name.prefix,
        },
        "birth_date": born.isoformat() if born else pid.get(7) or None,
        "sex": pid.get(8),
    }


def _orders(group: order.Group) -> list[dict[str, Any]]:
    return [_order(group, ipc) for ipc in group.ipcs or [NOWHERE]]


def _order(group: order.Group, ipc: Segment) -> dict[str, Any]:
    placer, authority = order.placer_of(group)
    code, text, system = order.read_procedure(group.obr, ipc)
    return {
        "placer": placer,
        "placer_authority": authority,
        "filler": order.filler_of(group),
        "control": group.orc.get(1),
        "status": group.orc.get(5),
        "accession": order.accession_of(group.obr, ipc),
        "study_instance_uid": order.study_uid_of(group, ipc),
        "procedure": {"code": code, "text": text, "system": system},
        "priority": order.priority_code(group),
        "scheduled": _time(order.start_as_sent(group)),
        "reason": order.read_reason(group.obr),
        "laterality": order.read_laterality(group.obr),
        "result_status": group.obr.get(25),
    }


def _results(message: Message) -> list[dict[str, Any]]:
    """What a result message says was read, one entry an exam; empty for any other, and for one that cannot be taken."""
    if message.header.get(9) not in ("ORU", "MDM"):
        return []
    try:
        found = report.read_reports(message, zone="UTC")
    except Rejected:
        return []
    return [
        {
            "accession": one.exam.accession,
            "filler": one.exam.filler,
            "placer": one.exam.placer,
            "study_instance_uid": one.exam.study_instance_uid,
            "state": one.action.value,
            "text": one.text,
            "impression": one.impression,
            "attachments": list(one.attachments),
            "category": one.category,
            "radiologist": {"id": one.radiologist_id, "name": one.radiologist_name},
        }
        for one in found
    ]


def _time(written: str) -> str | None:
    found = read_time_as_written(written)
    return found.isoformat() if found else written or None
