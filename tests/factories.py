"""A small department and its exams, for tests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from xraydesk.access.models import Location, Site
from xraydesk.journey.load_site import load_site
from xraydesk.lib.ids import new_uid
from xraydesk.lib.prepared import Question, ask_ahead, gathered, insert, rows_of
from xraydesk.orders.models import Exam, Order, Procedure
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.rooms.models import Modality, Room
from xraydesk.scheduling.models import Booking
from xraydesk.siteplan.link_plan import LinkPlan
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import read_toml, to_json
from xraydesk.staff.models import Technologist

_numbers = count(1)
AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
"""A Monday, ten in the morning in New York."""

ALL_DAY = {day: [["00:00", "00:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


def plan_with(*links: LinkPlan) -> dict[str, Any]:
    """The plan of a site file that names these links and nothing else."""
    return to_json(
        SitePlan(
            code="T",
            name="Department T",
            timezone="America/New_York",
            assigning_authority="HOSP",
            ae_title="XRAYDESK",
            locations=(),
            rooms=(),
            modalities=(),
            procedures=(),
            links=links,
        )
    )


def make_site(code: str = "T", rooms: int = 2) -> Site:
    """A site with one location, rooms XR1…, a modality in each, one technologist a room and two procedures."""
    numbers = range(1, rooms + 1)
    of_rooms = (*[Room] * rooms, *[Modality] * rooms, *[Technologist] * rooms)
    with gathered(Site, Location, *of_rooms, Procedure, Procedure):
        ask_ahead([Question("SELECT 1")])
        site = insert(
            Site(
                code=code,
                name=f"Department {code}",
                timezone="America/New_York",
                assigning_authority="HOSP",
                ae_title="XRAYDESK",
            )
        )
        location = insert(Location(site=site, code="MAIN", name="Main building"))
        made = [
            insert(
                Room(
                    site=site,
                    location=location,
                    code=f"XR{number}",
                    name=f"Room {number}",
                    kind="general",
                    hours=ALL_DAY,
                    sort=number,
                )
            )
            for number in numbers
        ]
        for room in made:
            insert(Modality(site=site, room=room, ae_title=room.code, modality="DX"))
        for number in numbers:
            insert(
                Technologist(
                    site=site,
                    code=f"T{number}",
                    name=f"Technologist {number}",
                    skills=["general"],
                    shifts=ALL_DAY,
                )
            )
        insert(
            Procedure(
                site=site,
                code="XRCHEST2",
                text="Chest 2 views",
                body_part="CHEST",
                views=["PA", "LL"],
                minutes=10,
                room_kinds=["general"],
                skills=["general"],
            )
        )
        insert(
            Procedure(
                site=site,
                code="XRKNEE2",
                text="Knee 2 views",
                body_part="KNEE",
                laterality=["L", "R", "B"],
                views=["AP", "LL"],
                minutes=10,
                room_kinds=["general"],
                skills=["general"],
            )
        )
    return site


def make_patient(site: Site, *, number: str = "", **fields: Any) -> Patient:
    """A patient with one medical record number."""
    defaults: dict[str, Any] = {
        "family": "Prüfer",
        "given": "Ada",
        "name_folded": "prufer ada",
        "birth_date": date(1969, 5, 12),
        "sex": "F",
        "created_at": AT,
    }
    patient = insert(Patient(site=site, **(defaults | fields)))
    insert(
        PatientIdentifier(
            site=site, patient=patient, value=number or f"MR{next(_numbers)}", authority="HOSP", type="MR"
        )
    )
    return patient


def make_exam(site: Site, *, patient: Patient | None = None, code: str = "XRCHEST2", **fields: Any) -> Exam:
    """An accepted exam of a new order."""
    number = next(_numbers)
    patient = patient or make_patient(site)
    (procedure,) = rows_of(Procedure, "site_id = $1 AND code = $2", [site.pk, code])
    order = insert(
        Order(
            site=site,
            patient=patient,
            placer=f"P{number}",
            placer_authority="EHR",
            source="link:EHR",
            patient_class="O",
            received_at=AT,
        )
    )
    defaults: dict[str, Any] = {
        "accession": f"A{number:07d}",
        "study_instance_uid": new_uid(),
        "requested_procedure_id": f"R{number}",
        "scheduled_step_id": f"S{number}",
        "procedure": procedure,
        "procedure_code": procedure.code,
        "procedure_text": procedure.text,
        "procedure_system": procedure.system,
        "triage": TriageState.ACCEPTED,
        "created_at": AT,
    }
    return insert(Exam(site=site, order=order, patient=patient, **(defaults | fields)))


def make_booking(
    exam: Exam, *, room: str = "XR1", start: datetime = AT, minutes: int = 10, **fields: Any
) -> Booking:
    """A live booking of an exam; its technologist has the room's number."""
    (where,) = rows_of(Room, "site_id = $1 AND code = $2", [exam.site_id, room])
    who = next(
        iter(rows_of(Technologist, "site_id = $1 AND code = $2", [exam.site_id, room.replace("XR", "T")])),
        None,
    )
    defaults: dict[str, Any] = {
        "technologist": who,
        "during": (start, start + timedelta(minutes=minutes)),
        "booked_at": AT,
        "booked_by": "rule",
    }
    return Booking.objects.create(
        site=exam.site, exam=exam, patient=exam.patient, room=where, **(defaults | fields)
    )


SITE_FILES = Path(__file__).parents[1] / "site"


@cache
def _hospital() -> SitePlan:
    return read_toml(SITE_FILES / "hospital.toml")


def load_demo_site() -> Site:
    """The hospital of the demonstration (`site/hospital.toml`), loaded; its code is HOSP."""
    plan = _hospital()
    load_site(plan=plan, at=AT, by="desk")
    return Site.objects.get(code=plan.code)
