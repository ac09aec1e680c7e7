"""The exams that a worklist query may mean, asked of the database in one prepared statement.

Machines ask every half minute, each the same few questions: what is asked is written down once for each kind of
question, and PostgreSQL keeps its plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from xraydesk.access.models import Site
from xraydesk.imaging.states import StepState, deciding_step
from xraydesk.lib import clock
from xraydesk.lib.prepared import Question, ask
from xraydesk.links.dicom.elements import BadKey, Tree
from xraydesk.links.dicom.listing_rules import of_its_kind
from xraydesk.links.dicom.service import Refused
from xraydesk.links.dicom.worklist_codec import START_DATE, STEPS, TIMEZONE_OFFSET, read_days
from xraydesk.links.dicom.worklist_entry import LISTED, Entry, StepStatus, step_status
from xraydesk.orders.states import TriageState
from xraydesk.scheduling.states import BookingState

ROWS_MAX = 20_000
"""So many booked exams are looked at for one query."""
SHAPES_MAX = 64
"""So many kinds of questions are written down: which keys narrow it, not what they ask for."""

OUT_OF_RESOURCES = 0xA700
_STATION, _STATUS = 0x00400001, 0x00400020
_STEP_ID, _ACCESSION, _PATIENT_ID, _STUDY_UID, _PROCEDURE_ID = (
    0x00400009,
    0x00080050,
    0x00100020,
    0x0020000D,
    0x00401001,
)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)")

_WAITS = f"b.state = '{BookingState.BOOKED}' AND e.triage = '{TriageState.ACCEPTED}'"
_EVER = f"b.state IN ('{BookingState.BOOKED}', '{BookingState.DONE}', '{BookingState.CANCELLED}')"
_ROOM, _ROOMS = "b.room_id = $", "b.room_id = ANY($::bigint[])"
_PATIENT = (
    "EXISTS (SELECT FROM patients_patientidentifier n WHERE n.patient_id = b.patient_id AND n.value = $)"
)
_NOT_BEFORE, _NOT_AFTER = "upper(b.during) > $", "lower(b.during) < $"


def zone_of(query: Tree, site: Site) -> tzinfo:
    """The zone of the query's dates and times, and so of the answers': the one that it names, else the site's."""
    offset = query.get(TIMEZONE_OFFSET)
    if offset is None or not offset.values or not offset.values[0].strip():
        return ZoneInfo(site.timezone)
    found = _OFFSET.fullmatch(offset.values[0].strip())
    if found is None or int(found[2]) > 14 or int(found[3]) > 59:
        raise BadKey(TIMEZONE_OFFSET, "no offset from UTC")
    delta = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-delta if found[1] == "-" else delta)


def booked(site: Site, query: Tree, zone: tzinfo) -> Iterator[Entry]:
    """The exams of a site that a query may mean, narrowed by the database; `worklist_codec` decides.

    Without a status in the query: those that wait to be done. `entry.start` is in `zone`.
    """
    station = _exact(_step_keys(query), _STATION)
    stations = _stations(site, station)
    wanted = statuses_asked(query)
    narrowed = [
        (_WAITS if wanted <= LISTED else _EVER, None),
        *_narrowed(query, [*stations] if station else None),
    ]
    values = [value for _, value in narrowed if value is not None]
    fetched = ask(Question(_statement(tuple(condition for condition, _ in narrowed)), [site.pk, *values]))
    if len(fetched) > ROWS_MAX:
        raise Refused(OUT_OF_RESOURCES, "too many exams; ask for fewer days or one station")
    for columns in fetched:
        row = dict(zip(_COLUMNS, columns, strict=True))
        status = step_status(
            is_cancelled=row["triage"] == TriageState.CANCELLED,
            is_booked=row["state"] == BookingState.BOOKED and row["triage"] == TriageState.ACCEPTED,
            has_arrived=row["arrived_at"] is not None,
            step=deciding_step(StepState(state) for state in row["steps"] or []),
        )
        if status in wanted:
            yield _entry(row, status, stations.get(row["room_id"], []), site, zone)


def statuses_asked(query: Tree) -> frozenset[StepStatus]:
    """The statuses that a query is about."""
    key = _step_keys(query).get(_STATUS)
    asked = {value.strip() for value in key.values} if key is not None else set()
    named = frozenset(status for status in StepStatus if status.value in asked)
    return named or LISTED


def _step_keys(query: Tree) -> Tree:
    steps = query.get(STEPS)
    return steps.items[0] if steps is not None and steps.items else {}


def _exact(tree: Tree, tag: int) -> str:
    """The single value of a key, empty where there is none or it has wildcards."""
    key = tree.get(tag)
    value = key.values[0].strip() if key is not None and len(key.values) == 1 else ""
    return "" if "*" in value or "?" in value else value


def _narrowed(query: Tree, rooms: list[int] | None) -> Iterator[tuple[str, Any]]:
    """The conditions that exact keys are for the database, each with its value; `rooms` are those of the station."""
    step = _step_keys(query)
    if rooms is not None:
        # A machine stands in one room: said so, PostgreSQL plans for the few exams of one, not for those of many.
        yield (_ROOM, rooms[0]) if len(rooms) == 1 else (_ROOMS, rooms)
    for tag, tree, condition in (
        (_ACCESSION, query, "e.accession = $"),
        (_STUDY_UID, query, "e.study_instance_uid = $"),
        (_PROCEDURE_ID, query, "e.requested_procedure_id = $"),
        (_STEP_ID, step, "e.scheduled_step_id = $"),
        (_PATIENT_ID, query, _PATIENT),
    ):
        value = _exact(tree, tag)
        if value:
            yield condition, value
    yield from _of_days(step)


def _of_days(step: Tree) -> Iterator[tuple[str, datetime]]:
    """Leave out what is more than a day away from the days asked for: no zone is further off."""
    key = step.get(START_DATE)
    days = read_days(START_DATE, key.values[0]) if key is not None and key.values else None
    if days is None:
        return
    if days.low is not None and days.low > date.min + timedelta(1):
        yield _NOT_BEFORE, _midnight(days.low - timedelta(1))
    if days.high is not None and days.high < date.max - timedelta(2):
        yield _NOT_AFTER, _midnight(days.high + timedelta(2))


def _midnight(day: date) -> datetime:
    return clock.day_bounds(day, "UTC")[0]


class _Machine(NamedTuple):
    """What the worklist says of a machine."""

    ae_title: str
    modality: str
    station_name: str


_MACHINES = (
    "SELECT room_id, ae_title, modality, station_name FROM rooms_modality WHERE site_id = $1 AND NOT retired"
)
_OF_STATION = " AND room_id IN (SELECT m.room_id FROM rooms_modality m WHERE m.site_id = $1 AND NOT m.retired AND m.ae_title = $2)"


def _stations(site: Site, station: str) -> dict[int, list[_Machine]]:
    """The machines of each room; where a station is named, of its rooms."""
    statement, values = (_MACHINES + _OF_STATION, [site.pk, station]) if station else (_MACHINES, [site.pk])
    found: dict[int, list[_Machine]] = {}
    for room, *machine in ask(Question(statement + " ORDER BY id", values)):
        found.setdefault(room, []).append(_Machine(*machine))
    return found


_COLUMNS = {
    "state": "b.state",
    "during": "b.during",
    "arrived_at": "b.arrived_at",
    "room_id": "b.room_id",
    "room_code": "r.code",
    "room_name": "r.name",
    "location_name": "l.name",
    "technologist": "t.name",
    "triage": "e.triage",
    "modality": "p.modality",
    "accession": "e.accession",
    "study_instance_uid": "e.study_instance_uid",
    "requested_procedure_id": "e.requested_procedure_id",
    "scheduled_step_id": "e.scheduled_step_id",
    "family": "q.family",
    "given": "q.given",
    "middle": "q.middle",
    "prefix": "q.prefix",
    "suffix": "q.suffix",
    "birth_date": "q.birth_date",
    "sex": "q.sex",
    "pregnancy": "q.pregnancy",
    "isolation": "q.isolation",
    "procedure_code": "e.procedure_code",
    "procedure_system": "e.procedure_system",
    "procedure_text": "e.procedure_text",
    "laterality": "e.laterality",
    "preparation": "p.preparation",
    "priority": "e.priority",
    "reason": "e.reason",
    "clinical_information": "e.clinical_information",
    "provider_name": "o.provider_name",
    "provider_phone": "o.provider_phone",
    "placer": "o.placer",
    "filler": "e.filler",
    "visit_number": "o.visit_number",
    "ward": "o.ward",
    "bed": "o.bed",
    "transport": "o.transport",
    "identifiers": "(SELECT array_agg(ARRAY[i.value, i.authority, i.type]::text[] ORDER BY i.sort, i.id) FROM patients_patientidentifier i WHERE i.patient_id = b.patient_id)",
    "alerts": "(SELECT array_agg(ARRAY[a.kind, a.text]::text[] ORDER BY a.id) FROM patients_alert a WHERE a.patient_id = b.patient_id)",
    "note": "(SELECT n.text FROM orders_examnote n WHERE n.exam_id = b.exam_id ORDER BY n.at DESC, n.id DESC LIMIT 1)",
    "steps": "(SELECT array_agg(s.state) FROM imaging_stepexam x JOIN imaging_performedstep s ON s.id = x.step_id WHERE x.exam_id = b.exam_id AND NOT x.voided)",
}
"""What is read of each exam, by the name that it has here; `b` is the booking."""

_FROM = """
    FROM scheduling_booking b
    JOIN rooms_room r ON r.id = b.room_id
    JOIN access_location l ON l.id = r.location_id
    LEFT JOIN staff_technologist t ON t.id = b.technologist_id
    JOIN orders_exam e ON e.id = b.exam_id
    LEFT JOIN orders_procedure p ON p.id = e.procedure_id
    JOIN orders_order o ON o.id = e.order_id
    JOIN patients_patient q ON q.id = b.patient_id
"""


@lru_cache(maxsize=SHAPES_MAX)
def _statement(conditions: tuple[str, ...]) -> str:
    """The question for bookings of a site (`$1`) that meet all conditions; each `$` of them stands for its own value."""
    number, where = 1, ["b.site_id = $1"]
    for condition in conditions:
        if "$" in condition:
            number += 1
        where.append(condition.replace("$", f"${number}"))
    columns = ", ".join(_COLUMNS.values())
    return (
        f"SELECT {columns} {_FROM} WHERE {' AND '.join(where)}"
        f" ORDER BY b.during, e.accession LIMIT {ROWS_MAX + 1}"
    )


def _entry(
    row: dict[str, Any], status: StepStatus, machines: list[_Machine], site: Site, zone: tzinfo
) -> Entry:
    wanted = row["modality"]
    chosen = of_its_kind(machines, wanted)
    numbers = [(value, authority) for value, authority, kind in row["identifiers"] or () if kind != "SS"]
    first = numbers[0] if numbers else ("", "")
    alerts = tuple((kind, text) for kind, text in row["alerts"] or ())
    return Entry(
        accession=row["accession"],
        study_instance_uid=row["study_instance_uid"],
        requested_procedure_id=row["requested_procedure_id"],
        scheduled_step_id=row["scheduled_step_id"],
        start=row["during"].lower.astimezone(zone),
        end=row["during"].upper.astimezone(zone),
        status=status,
        station_ae_titles=tuple(machine.ae_title for machine in chosen),
        modality=chosen[0].modality if chosen else wanted or "",
        station_name=(chosen[0].station_name if chosen else "") or row["room_code"],
        room=row["room_name"],
        location=row["location_name"],
        technologist=row["technologist"] or "",
        institution=site.name,
        patient_id=first[0],
        patient_id_issuer=first[1],
        other_patient_ids=tuple(value for value, _ in numbers[1:]),
        family=row["family"],
        given=row["given"],
        middle=row["middle"],
        prefix=row["prefix"],
        suffix=row["suffix"],
        birth_date=row["birth_date"],
        sex=row["sex"],
        pregnancy=row["pregnancy"],
        alerts=alerts,
        isolation=row["isolation"],
        procedure_code=row["procedure_code"],
        procedure_system=row["procedure_system"],
        procedure_text=row["procedure_text"],
        laterality=row["laterality"],
        preparation=row["preparation"] or "",
        priority=row["priority"],
        reason=row["reason"],
        clinical_information=row["clinical_information"],
        note=row["note"] or "",
        provider=row["provider_name"],
        provider_phone=row["provider_phone"],
        placer=row["placer"],
        filler=row["filler"],
        visit=row["visit_number"],
        ward=row["ward"],
        bed=row["bed"],
        transport=row["transport"],
    )
