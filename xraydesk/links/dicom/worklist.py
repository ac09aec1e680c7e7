"""Modality Worklist (PS3.4 annex K): a query over booked exams, answered as it stands; there is no copied table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.contrib.postgres.aggregates import ArrayAgg
from django.db import DatabaseError
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat, JSONObject
from pydicom.uid import ImplicitVRLittleEndian

from xraydesk.access.models import Site
from xraydesk.imaging.models import StepExam
from xraydesk.imaging.states import StepState, deciding_step
from xraydesk.lib import clock
from xraydesk.links.asked import LISTED_MAX, Answered, keep
from xraydesk.links.dicom.elements import (
    SPECIFIC_CHARACTER_SET,
    BadKey,
    Element,
    Encoder,
    Tree,
    choose_charset,
    texts_of,
    tree_of,
)
from xraydesk.links.dicom.listing_rules import of_its_kind
from xraydesk.links.dicom.query_codec import json_of_tree
from xraydesk.links.dicom.service import Answers, Refused, Request, Response, Service
from xraydesk.links.dicom.shown_codec import also_as_shown, as_shown
from xraydesk.links.dicom.sop_classes import MESSAGE_SYNTAXES, MODALITY_WORKLIST
from xraydesk.links.dicom.worklist_codec import (
    START_DATE,
    STEPS,
    TIMEZONE_OFFSET,
    find,
    has_unsupported,
    read_days,
)
from xraydesk.links.dicom.worklist_entry import (
    LISTED,
    SUPPORTED,
    Entry,
    StepStatus,
    step_status,
    tree_of_entry,
)
from xraydesk.orders.models import ExamNote
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Alert, PatientIdentifier
from xraydesk.rooms.models import Modality
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState

ANSWERS_MAX = 5_000
"""So many answers to one query; one that would have more ends with A700: ask for fewer days or one station."""
ROWS_MAX = 20_000
"""So many booked exams are looked at for one query."""

DOES_NOT_MATCH, OUT_OF_RESOURCES, CANNOT_DO = 0xA900, 0xA700, 0xC001
PENDING, PENDING_WITH_WARNING, SUCCESS, CANCELLED = 0xFF00, 0xFF01, 0x0000, 0xFE00

_STATION, _STATUS = 0x00400001, 0x00400020
_STEP_ID, ACCESSION, _PATIENT_ID, _STUDY_UID, _PROCEDURE_ID = (
    0x00400009,
    0x00080050,
    0x00100020,
    0x0020000D,
    0x00401001,
)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)")

_log = structlog.get_logger(__name__)


def worklist(request: Request) -> Answers:
    """Answer one C-FIND: what is booked, not cancelled and not yet begun, as the keys ask for it.

    Question and answer are kept for `worklist explain`, once the last answer has gone out.
    """
    said = _Said()
    try:
        yield from _answers(request, said)
        said.status = SUCCESS
        yield Response(SUCCESS)
    except Refused as refused:
        said.status, said.comment = refused.response.status, str(refused)
        raise
    except GeneratorExit:
        said.status = CANCELLED if said.status == CANNOT_DO else said.status
        raise
    finally:
        _keep(request, said)


@dataclass
class _Said:
    """What was asked and answered, while it is being answered."""

    query: Tree = field(default_factory=dict)
    status: int = CANNOT_DO
    comment: str = ""
    count: int = 0
    accessions: list[str] = field(default_factory=list)


def _answers(request: Request, said: _Said) -> Answers:
    try:
        said.query = query = tree_of(request.dataset)
        zone = zone_of(query, request.site)
        entries = (
            matched_tree(entry, query, request.charsets) for entry in booked(request.site, query, zone)
        )
        status = PENDING
        if has_unsupported(query, SUPPORTED):
            status, said.comment = PENDING_WITH_WARNING, "it asked for something that the desk does not know"
        encoder = _Answers(query, request.transfer_syntax, request.charsets)
        for found in find(query, entries, SUPPORTED):
            if said.count == ANSWERS_MAX:
                raise Refused(OUT_OF_RESOURCES, "too many exams; ask for fewer days or one station")
            said.count += 1
            said.accessions += (
                found[ACCESSION].values if ACCESSION in found and said.count <= LISTED_MAX else ()
            )
            yield Response(status, encoder.encode(found))
    except BadKey as error:
        elements: dict[str, Any] = {"OffendingElement": error.tag} if error.tag else {}
        raise Refused(DOES_NOT_MATCH, str(error), **elements) from None


def _keep(request: Request, said: _Said) -> None:
    """Write the question and its answer down; the machine has its answer even where that fails."""
    try:
        keep(
            site=request.site,
            calling_ae=request.calling_ae,
            address=request.peer_address,
            keys=json_of_tree(said.query),
            answered=Answered(said.status, said.comment, said.count, tuple(said.accessions)),
            at=clock.now(),
        )
    except DatabaseError as error:
        _log.warning("worklist_query_not_kept", ae=request.calling_ae, error=type(error).__name__)


def matched_tree(entry: Entry, query: Tree, charsets: Sequence[str]) -> dict[int, Element]:
    """An entry as a query is held against it: names also as a machine reads them that can show only `charsets`."""
    tree = tree_of_entry(entry, query)
    return also_as_shown(tree, charsets, number=entry.patient_id) if charsets else tree


class _Answers:
    """Encodes answers in the character sets that the machine can show, or in one that fits each of them."""

    def __init__(self, query: Tree, transfer_syntax: str, charsets: tuple[str, ...] = ()) -> None:
        self._charsets = charsets
        key = query.get(SPECIFIC_CHARACTER_SET)
        self._asked = key.values if key is not None else ()
        self._names_it = key is not None
        self._is_implicit = transfer_syntax == ImplicitVRLittleEndian

    def encode(self, found: dict[int, Element]) -> bytes:
        """One answer as bytes; it names its character set unless it is plain ASCII and the query named none."""
        if self._charsets:
            found = as_shown(found, self._charsets)
            has_letters = not all(text.isascii() for text in texts_of(found))
            terms = self._charsets if has_letters or self._names_it else ()
        else:
            terms = choose_charset(self._asked, [*texts_of(found)])
        if self._names_it or any(terms):
            found[SPECIFIC_CHARACTER_SET] = Element("CS", terms)
        return Encoder(self._is_implicit, terms).encode(found)


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
    stations = _stations(site)
    rows = _narrowed(_rows(site), query, stations)
    wanted = statuses_asked(query)
    if wanted <= LISTED:
        rows = rows.filter(state=BookingState.BOOKED, exam__triage=TriageState.ACCEPTED)
    fetched = [*rows.order_by("during", "exam__accession").values(*_FIELDS)[: ROWS_MAX + 1]]
    if len(fetched) > ROWS_MAX:
        raise Refused(OUT_OF_RESOURCES, "too many exams; ask for fewer days or one station")
    for row in fetched:
        status = step_status(
            is_cancelled=row["exam__triage"] == TriageState.CANCELLED,
            is_booked=row["state"] == BookingState.BOOKED and row["exam__triage"] == TriageState.ACCEPTED,
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


def _narrowed(rows: QuerySet[Booking], query: Tree, stations: dict[int, list[Modality]]) -> QuerySet[Booking]:
    step = _step_keys(query)
    station = _exact(step, _STATION)
    if station:
        rooms = [room for room, machines in stations.items() if station in {m.ae_title for m in machines}]
        rows = rows.filter(room_id__in=rooms)
    for tag, tree, path in (
        (ACCESSION, query, "exam__accession"),
        (_STUDY_UID, query, "exam__study_instance_uid"),
        (_PROCEDURE_ID, query, "exam__requested_procedure_id"),
        (_STEP_ID, step, "exam__scheduled_step_id"),
    ):
        value = _exact(tree, tag)
        if value:
            rows = rows.filter(**{path: value})
    patient_id = _exact(query, _PATIENT_ID)
    if patient_id:
        rows = rows.filter(patient__identifiers__value=patient_id).distinct()
    return _of_days(rows, step)


def _of_days(rows: QuerySet[Booking], step: Tree) -> QuerySet[Booking]:
    """Leave out what is more than a day away from the days asked for: no zone is further off."""
    key = step.get(START_DATE)
    days = read_days(START_DATE, key.values[0]) if key is not None and key.values else None
    if days is None:
        return rows
    if days.low is not None and days.low > date.min + timedelta(1):
        rows = rows.filter(during__endswith__gt=_midnight(days.low - timedelta(1)))
    if days.high is not None and days.high < date.max - timedelta(2):
        rows = rows.filter(during__startswith__lt=_midnight(days.high + timedelta(2)))
    return rows


def _midnight(day: date) -> datetime:
    return clock.day_bounds(day, "UTC")[0]


def _stations(site: Site) -> dict[int, list[Modality]]:
    """The machines of each room."""
    found: dict[int, list[Modality]] = {}
    for machine in Modality.objects.filter(site=site, retired=False).order_by("pk"):
        found.setdefault(machine.room_id, []).append(machine)
    return found


_FIELDS = (
    "state", "during", "arrived_at", "room_id", "room__code", "room__name", "room__location__name",
    "technologist__name", "exam__accession", "exam__study_instance_uid", "exam__requested_procedure_id",
    "exam__scheduled_step_id", "exam__procedure_code", "exam__procedure_system", "exam__procedure_text",
    "exam__procedure__modality", "exam__procedure__preparation", "exam__laterality", "exam__priority",
    "exam__reason", "exam__clinical_information", "exam__triage", "exam__filler", "exam__order__placer",
    "exam__order__provider_name", "exam__order__provider_phone", "exam__order__visit_number",
    "exam__order__ward", "exam__order__bed", "exam__order__transport", "patient__family", "patient__given",
    "patient__middle", "patient__prefix", "patient__suffix", "patient__birth_date", "patient__sex",
    "patient__pregnancy", "patient__isolation", "identifiers", "alerts", "note", "steps",
)  # fmt: skip


def _rows(site: Site) -> QuerySet[Booking]:
    """Bookings with what is known of their patients, in one query."""
    identifiers = (
        PatientIdentifier.objects.filter(patient=OuterRef("patient"))
        .order_by()
        .values("patient")
        .values(
            all=ArrayAgg(
                JSONObject(value="value", authority="authority", type="type"), order_by=["sort", "pk"]
            )
        )
    )
    alerts = (
        Alert.objects.filter(patient=OuterRef("patient"))
        .order_by()
        .values("patient")
        .values(all=ArrayAgg(Concat(F("kind"), Value("\t"), F("text")), order_by=["pk"]))
    )
    steps = (
        StepExam.objects.filter(exam=OuterRef("exam"), voided=False)
        .order_by()
        .values("exam")
        .values(all=ArrayAgg("step__state"))
    )
    note = ExamNote.objects.filter(exam=OuterRef("exam")).order_by("-at", "-pk").values("text")[:1]
    return Booking.objects.filter(
        Q(site=site), Q(state__in=[BookingState.BOOKED, BookingState.DONE, BookingState.CANCELLED])
    ).annotate(
        identifiers=Subquery(identifiers), alerts=Subquery(alerts), note=Subquery(note), steps=Subquery(steps)
    )


def _entry(
    row: dict[str, Any], status: StepStatus, machines: list[Modality], site: Site, zone: tzinfo
) -> Entry:
    wanted = row["exam__procedure__modality"]
    chosen = of_its_kind(machines, wanted)
    first = next((one for one in row["identifiers"] or [] if one["type"] != "SS"), None) or {}
    others = [one["value"] for one in row["identifiers"] or [] if one is not first and one["type"] != "SS"]
    alerts = tuple((kind, text) for kind, _, text in (each.partition("\t") for each in row["alerts"] or []))
    return Entry(
        accession=row["exam__accession"],
        study_instance_uid=row["exam__study_instance_uid"],
        requested_procedure_id=row["exam__requested_procedure_id"],
        scheduled_step_id=row["exam__scheduled_step_id"],
        start=row["during"].lower.astimezone(zone),
        end=row["during"].upper.astimezone(zone),
        status=status,
        station_ae_titles=tuple(machine.ae_title for machine in chosen),
        modality=chosen[0].modality if chosen else wanted or "",
        station_name=(chosen[0].station_name if chosen else "") or row["room__code"],
        room=row["room__name"],
        location=row["room__location__name"],
        technologist=row["technologist__name"] or "",
        institution=site.name,
        patient_id=first.get("value", ""),
        patient_id_issuer=first.get("authority", ""),
        other_patient_ids=tuple(others),
        family=row["patient__family"],
        given=row["patient__given"],
        middle=row["patient__middle"],
        prefix=row["patient__prefix"],
        suffix=row["patient__suffix"],
        birth_date=row["patient__birth_date"],
        sex=row["patient__sex"],
        pregnancy=row["patient__pregnancy"],
        alerts=alerts,
        isolation=row["patient__isolation"],
        procedure_code=row["exam__procedure_code"],
        procedure_system=row["exam__procedure_system"],
        procedure_text=row["exam__procedure_text"],
        laterality=row["exam__laterality"],
        preparation=row["exam__procedure__preparation"] or "",
        priority=row["exam__priority"],
        reason=row["exam__reason"],
        clinical_information=row["exam__clinical_information"],
        note=row["note"] or "",
        provider=row["exam__order__provider_name"],
        provider_phone=row["exam__order__provider_phone"],
        placer=row["exam__order__placer"],
        filler=row["exam__filler"],
        visit=row["exam__order__visit_number"],
        ward=row["exam__order__ward"],
        bed=row["exam__order__bed"],
        transport=row["exam__order__transport"],
    )


SERVICE = Service(
    name="worklist",
    handle=worklist,
    commands=frozenset({"C_FIND"}),
    sop_classes=(MODALITY_WORKLIST,),
    transfer_syntaxes=MESSAGE_SYNTAXES,
    failure_status=CANNOT_DO,
    bad_dataset_status=CANNOT_DO,
    goes_on=True,
    statuses={
        PENDING: "an answer",
        PENDING_WITH_WARNING: "an answer to a query with a key that the desk does not know",
        SUCCESS: "these were all",
        CANCELLED: "the machine broke it off",
        OUT_OF_RESOURCES: "more answers than one query may have, after that many of them",
        DOES_NOT_MATCH: "a key cannot be read; Offending Element names it",
        CANNOT_DO: "the desk could not do it, or the data set cannot be read",
    },
)
