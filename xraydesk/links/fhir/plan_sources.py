"""The rows behind the plan: places in it, rooms, people and tasks, and what a value of each search parameter means among them."""

from __future__ import annotations

from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.links.fhir import (
    plan_codec,
    plan_rows,
    slots,
    task_codec,
)
from xraydesk.links.fhir.conditions import (
    actor,
    always,
    anything,
    code_of_list,
    flag,
    last_told,
    moment,
    token,
    token_of,
    updated,
)
from xraydesk.links.fhir.elements_codec import read_reference
from xraydesk.links.fhir.kind import LAST_TOLD, Parameter, Source
from xraydesk.links.fhir.parameters import (
    EXAM_UPDATED,
    by_id,
    coded,
    exam_number,
    leads_to,
    named,
    of_patient,
    reversed_codes,
)
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.scheduling.models import Booking
from xraydesk.staff.models import Technologist
from xraydesk.transport.models import TransportJob


def _appointment_status(site: Site, value: str) -> Q:
    status = token_of(value)[1]
    if status == "arrived":
        return Q(state="booked", arrived_at__isnull=False)
    states = reversed_codes(plan_codec.BOOKING_STATUS).get(status, [])
    fits = Q(state__in=states)
    return fits & Q(arrived_at=None) if status == "booked" else fits


def _slot(site: Site, value: str) -> Q:
    """The booking that has the place of a slot."""
    name = slots.read_name(read_reference(value, "Slot") or value)
    return Q(room=name.room, during__startswith=name.start) if name else Q(pk__in=())


ACTORS = {"Patient": "patient", "Location": "room", "Practitioner": "technologist"}


APPOINTMENT = Source(
    plan_rows.standing_bookings,
    plan_rows.appointments,
    {
        **by_id(),
        "identifier": exam_number("exam"),
        **of_patient("patient", "participant"),
        "date": Parameter("date", moment("during__startswith")),
        "status": Parameter("token", coded("appointmentstatus", _appointment_status)),
        "actor": Parameter(
            "reference",
            actor(ACTORS),
            "participant",
            ("Patient", "Location", "Practitioner"),
            columns=ACTORS,
        ),
        "location": leads_to("Location", "room", "participant", lacking=Q(room=None)),
        "practitioner": leads_to("Practitioner", "technologist", "participant", lacking=Q(technologist=None)),
        "based-on": leads_to("ServiceRequest", "exam", "basedOn"),
        "service-type": Parameter("token", code_of_list("exam__procedure_code", "exam__procedure_system")),
        "slot": Parameter("reference", _slot, "slot", ("Slot",)),
        "_lastUpdated": Parameter(
            "date", updated("Appointment", Booking, facts="accession", by="exam__accession", made="booked_at")
        ),
    },
    computed={LAST_TOLD: last_told("Appointment", facts="accession", by="exam__accession", made="booked_at")},
)


SLOT = Source(
    lambda site: Room.objects.none(),
    lambda site, keys: [],
    {
        **by_id(),
        "status": Parameter("token", anything),
        "start": Parameter("date", moment("during__startswith")),
        "service-type": Parameter("token", anything),
        "schedule": leads_to("Schedule", "pk", "schedule"),
    },
)


TRANSPORT = Source(
    lambda site: TransportJob.objects.filter(site=site),
    plan_rows.transport_tasks,
    {
        **by_id(plan_rows.TRANSPORT_PREFIX),
        **of_patient("patient", "for"),
        "focus": leads_to("ServiceRequest", "exam", "focus"),
        "code": Parameter("token", always("transport")),
        "status": Parameter("token", token("state", reversed_codes(task_codec.TRANSPORT_STATUS))),
        "authored-on": Parameter("date", moment("asked_at")),
        "_lastUpdated": Parameter(
            "date", updated("Task", TransportJob, facts="accession", by="exam__accession", made="asked_at")
        ),
    },
    plan_rows.TRANSPORT_PREFIX,
)


TRIAGE = Source(
    lambda site: Exam.objects.filter(site=site),
    plan_rows.triage_tasks,
    {
        **by_id(plan_rows.TRIAGE_PREFIX),
        **of_patient("patient", "for"),
        "focus": leads_to("ServiceRequest", "pk", "focus"),
        "code": Parameter("token", always("triage")),
        "status": Parameter("token", token("triage", reversed_codes(task_codec.TRIAGE_STATUS))),
        "authored-on": Parameter("date", moment("created_at")),
        "_lastUpdated": Parameter("date", EXAM_UPDATED),
    },
    plan_rows.TRIAGE_PREFIX,
)


LOCATION = Source(
    lambda site: Room.objects.filter(site=site),
    plan_rows.locations,
    {
        **by_id(),
        "identifier": Parameter("token", token("code")),
        "name": named("name"),
        "status": Parameter(
            "token",
            lambda site, value: {
                "active": Q(retired=False, state=Room.State.READY),
                "suspended": Q(retired=False, state=Room.State.DOWN),
                "inactive": Q(retired=True),
            }.get(token_of(value)[1], Q(pk__in=())),
        ),
    },
)


PRACTITIONER = Source(
    lambda site: Technologist.objects.filter(site=site),
    plan_rows.practitioners,
    {
        **by_id(),
        "identifier": Parameter("token", token("code")),
        "name": named("name"),
        "active": Parameter("token", flag("retired", negated=True)),
    },
)


SCHEDULE = Source(
    lambda site: Room.objects.filter(site=site),
    plan_rows.schedules,
    {
        **by_id(),
        "actor": leads_to("Location", "pk", "actor"),
        "active": Parameter("token", flag("retired", negated=True)),
    },
)
