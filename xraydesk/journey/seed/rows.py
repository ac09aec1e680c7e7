"""An invented day as rows: patients, orders, exams, bookings, steps, images, reports, charges and facts, by COPY.

What goes on around each exam (dose, porters, results told) is in `around.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from psycopg.types.range import TimestamptzRange

from xraydesk.access.models import Site
from xraydesk.billing.models import Charge
from xraydesk.billing.rules import MODIFIERS
from xraydesk.billing.states import ChargeState
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image, PerformedStep, StepExam
from xraydesk.imaging.states import ImageState, StepState
from xraydesk.journey.seed import around
from xraydesk.journey.seed.around import Around
from xraydesk.journey.seed.day import Invented
from xraydesk.journey.told import order_told
from xraydesk.lib.ids import new_uid
from xraydesk.lib.rows import copy_rows, next_keys
from xraydesk.lib.text import folded
from xraydesk.orders.models import Exam, Order, Procedure
from xraydesk.orders.numbers import own_number
from xraydesk.orders.states import OrderState, TriageState
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.results.models import Report, ReportVersion
from xraydesk.results.states import Category, ReportState
from xraydesk.rooms.models import Modality, Room
from xraydesk.safety.checks import CheckKind
from xraydesk.safety.models import SafetyCheck
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.rules import row_for
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.invented import said_of
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import from_json
from xraydesk.staff.models import Porter, Technologist

IMAGE_CLASS = "1.2.840.10008.5.1.4.1.1.1.1"
READER = "Reader, Rita"


@dataclass
class Names:
    """What the site file says that invented exams refer to: its rows, by what they are known by, and its plan."""

    procedures: dict[str, Procedure]
    rooms: dict[int, Room]
    technologists: dict[int, Technologist]
    ae_titles: dict[int, str]
    porters: list[Porter]
    plan: SitePlan

    @classmethod
    def of(cls, site: Site) -> Names:
        """Those of a site, five queries."""
        machines = Modality.objects.filter(site=site, retired=False).order_by("-id")
        return cls(
            procedures={p.code: p for p in Procedure.objects.filter(site=site, retired=False)},
            rooms={room.pk: room for room in Room.objects.filter(site=site)},
            technologists={t.pk: t for t in Technologist.objects.filter(site=site)},
            ae_titles=dict(machines.values_list("room_id", "ae_title")),
            porters=list(Porter.objects.filter(site=site, retired=False).order_by("id")),
            plan=from_json(site.plan),
        )


@dataclass
class Rows:
    """Rows to be written, by table, in the order in which the tables refer to each other."""

    found: dict[type[Model], list[Any]] = field(default_factory=dict)

    def add(self, row: Model) -> None:
        """One more row; its key is given when all are known."""
        self.found.setdefault(type(row), []).append(row)

    def write(self) -> int:
        """Write all of them; how many."""
        for model, rows in self.found.items():
            if model not in KEYED and model not in around.KEYED:
                for row, key in zip(rows, next_keys(model, len(rows)), strict=True):
                    row.pk = key
            copy_rows(model, rows)
        return sum(len(rows) for rows in self.found.values())


KEYED = (Patient, Order, Exam, PerformedStep, Report)
"""Tables that others of the same day refer to: their keys are known before."""

TABLES: tuple[type[Model], ...] = (
    Patient, PatientIdentifier, Order, Exam, Booking, SafetyCheck, PerformedStep, StepExam, Image, Report,
    ReportVersion, Charge, *around.TABLES, Fact,
)  # fmt: skip


def write_day(
    site: Site,
    exams: Sequence[Invented],
    *,
    source: str,
    at: datetime,
    before: Mapping[int, Exam] | None = None,
) -> int:
    """Write an invented day, in the caller's transaction; the number of rows. Nothing follows from it by itself.

    `before` has the exams that are on record already, by their keys: of them only what happened since.
    """
    names = Names.of(site)
    keys = {model: next_keys(model, len(exams)) for model in KEYED}
    rows = Rows({model: [] for model in TABLES})
    more = {model: iter(next_keys(model, len(exams) * count)) for model, count in around.KEYED.items()}
    drawn: dict[int, list[tuple[int, datetime]]] = {}
    for number, one in enumerate(exams):
        writer = _Writer(
            site, one, names, rows, {model: keys[model][number] for model in KEYED}, more, source, at, drawn
        )
        if one.exam_id is not None and before:
            writer.go_on(before[one.exam_id])
        else:
            writer.write()
    facts = rows.found[Fact]
    facts.sort(key=lambda fact: fact.at)
    return rows.write()


@dataclass
class _Writer:
    """The rows of one invented exam."""

    site: Site
    one: Invented
    names: Names
    rows: Rows
    keys: dict[type[Model], int]
    more: dict[type[Model], Iterator[int]]
    source: str
    at: datetime
    drawn: dict[int, list[tuple[int, datetime]]]

    def write(self) -> None:
        """Everything that there is of it."""
        self.patient = self._patient()
        self.order = self._order()
        self.exam = self._exam()
        self.room = self.names.rooms[self.one.place.room_id]
        self._look_around()
        self.by_machine = f"modality:{self.names.ae_titles.get(self.room.pk, self.room.code)}"
        link = f"link:{self.source.removeprefix('link:')}"
        self._tell(FactKind.ORDER_RECEIVED, self.one.received_at, link, order_told(self.exam), in_room=False)
        self._tell(FactKind.EXAM_ACCEPTED, self._triaged_at(), "rule", in_room=False)
        self._booking()
        self._what_happened()

    def go_on(self, exam: Exam) -> None:
        """What became of an exam that was booked already."""
        one = self.one
        self.exam, self.order, self.patient = exam, exam.order, exam.patient
        self.room = self.names.rooms[one.place.room_id]
        self.by_machine = f"modality:{self.names.ae_titles.get(self.room.pk, self.room.code)}"
        self._look_around()
        booking = Booking.objects.filter(exam=exam, state=BookingState.BOOKED)
        had_arrived = booking.exclude(arrived_at=None).exists()
        if one.no_show_at:
            booking.update(state=BookingState.NO_SHOW, ended_at=one.no_show_at)
            self._tell(FactKind.NO_SHOW, one.no_show_at, "user:coordinator")
            self.around.end_fetch(None, off_at=one.no_show_at)
            return
        state = BookingState.DONE if one.ended_at else BookingState.BOOKED
        booking.update(state=state, arrived_at=one.arrived_at)
        if one.arrived_at:
            self.around.end_fetch(one.arrived_at, off_at=one.arrived_at)
        self._what_happened(tell_arrival=not had_arrived)

    def _look_around(self) -> None:
        self.around = Around(
            site=self.site,
            plan=self.names.plan,
            one=self.one,
            exam=self.exam,
            room=self.room,
            porters=self.names.porters,
            now=self.at,
            keys=self.more,
            add=self.rows.add,
            tell=self._tell,
        )

    def _triaged_at(self) -> datetime:
        return self.one.received_at + timedelta(seconds=1)

    def _patient(self) -> Patient:
        person = self.one.person
        patient = Patient(
            pk=self.keys[Patient],
            site=self.site,
            family=person.family,
            given=person.given,
            name_folded=folded(f"{person.family} {person.given}"),
            birth_date=person.birth_date,
            sex=person.sex,
            created_at=self.one.received_at,
            simulated=True,
        )
        self.rows.add(patient)
        self.rows.add(
            PatientIdentifier(
                site=self.site,
                patient=patient,
                value=person.number,
                authority=self.site.assigning_authority,
                type="MR",
            )
        )
        return patient

    def _order(self) -> Order:
        person, (number, family, given) = self.one.person, self.one.provider
        order = Order(
            pk=self.keys[Order],
            site=self.site,
            patient=self.patient,
            placer=f"H{person.number}",
            placer_authority=self.source.removeprefix("link:"),
            state=OrderState.CANCELLED if self.one.cancelled_at else OrderState.ACTIVE,
            source=self.source,
            visit_number=person.visit,
            patient_class=person.patient_class,
            ward=person.ward,
            bed=person.bed,
            provider_id=number,
            provider_name=f"{family}^{given}^^Dr",
            transport={"O": "WALK", "I": "WHLC"}.get(person.patient_class, "CART"),
            received_at=self.one.received_at,
            simulated=True,
        )
        self.rows.add(order)
        return order

    def _exam(self) -> Exam:
        key, procedure = self.keys[Exam], self.names.procedures[self.one.procedure.code]
        accession = own_number(self.site.code, key)
        words = {"L": f"Left {procedure.text.lower()}", "R": f"Right {procedure.text.lower()}"}
        exam = Exam(
            pk=key,
            site=self.site,
            order=self.order,
            patient=self.patient,
            accession=accession,
            filler=accession,
            study_instance_uid=new_uid(),
            requested_procedure_id=accession,
            scheduled_step_id=accession,
            procedure=procedure,
            procedure_code=procedure.code,
            procedure_text=words.get(self.one.side, procedure.text),
            procedure_system=procedure.system,
            laterality=self.one.side,
            priority=self.one.priority,
            reason=self.one.reason,
            requested_at=self.one.wished,
            due_at=self._due_at(),
            triage=TriageState.CANCELLED if self.one.cancelled_at else TriageState.ACCEPTED,
            triaged_by="rule",
            triaged_at=self._triaged_at(),
            cancelled_at=self.one.cancelled_at,
            cancelled_why="cancelled by the sender" if self.one.cancelled_at else "",
            created_at=self.one.received_at,
            simulated=True,
        )
        self.rows.add(exam)
        return exam

    def _due_at(self) -> datetime | None:
        """By when it is to begin, as the site's policies say."""
        policies = self.names.plan.policies
        soon = {"stat": policies.stat_due_minutes, "urgent": policies.urgent_due_minutes}
        wait = soon.get(str(self.one.priority))
        return self.one.received_at + timedelta(minutes=wait) if wait else None

    def _booking(self) -> None:
        place, one = self.one.place, self.one
        who = self.names.technologists.get(place.technologist_id or 0)
        state = BookingState.BOOKED
        if one.no_show_at:
            state = BookingState.NO_SHOW
        elif one.cancelled_at:
            state = BookingState.CANCELLED
        elif one.ended_at:
            state = BookingState.DONE
        lane = self.drawn.setdefault(place.room_id, [])
        row = row_for(lane, place.start)
        lane.append((row, place.start))
        booked_at = one.received_at + timedelta(seconds=2)
        given = one.wished is not None and one.wished == place.start
        self.rows.add(
            Booking(
                site=self.site,
                exam=self.exam,
                patient=self.patient,
                room=self.room,
                technologist=who,
                seat=place.seat,
                during=TimestamptzRange(place.start, place.end),
                state=state,
                row=row,
                why=list(one.proposal.why),
                time_was_given=given,
                arrived_at=one.arrived_at,
                booked_at=booked_at,
                booked_by="rule",
                ended_at=one.no_show_at or one.cancelled_at,
            )
        )
        told = {
            "room": self.room.code,
            "start": place.start.isoformat(),
            "end": place.end.isoformat(),
            "technologist": who.code if who else None,
            "why": list(one.proposal.why),
            "given": given,
        }
        self._tell(FactKind.EXAM_BOOKED, booked_at, "rule", told)
        self.around.fetch(booked_at)
        if one.no_show_at:
            self._tell(FactKind.NO_SHOW, one.no_show_at, "user:coordinator", told)
        if one.cancelled_at:
            self._tell(
                FactKind.ORDER_CANCELLED, one.cancelled_at, self.source, {"why": "cancelled by the sender"}
            )

    def _what_happened(self, *, tell_arrival: bool = True) -> None:
        one = self.one
        if one.arrived_at and tell_arrival:
            self._tell(FactKind.PATIENT_ARRIVED, one.arrived_at, self.source)
        if one.begun_at is None or one.ended_at is None:
            return
        self._check(one.begun_at)
        self._step(one.begun_at, one.ended_at)
        self._images(one.begun_at, one.ended_at)
        self.around.dose(one.ended_at - timedelta(seconds=10), self.by_machine)
        self._tell(FactKind.EXAM_ENDED, one.ended_at, self.by_machine)
        self.around.bring_back(one.ended_at)
        self._report(one.ended_at)

    def _check(self, begun_at: datetime) -> None:
        at = begun_at - timedelta(seconds=20)
        self.rows.add(
            SafetyCheck(
                site=self.site,
                exam=self.exam,
                kind=CheckKind.IDENTITY,
                answer="confirmed",
                passed=True,
                at=at,
                by="user:technologist",
            )
        )
        told = {"check": str(CheckKind.IDENTITY), "answer": "confirmed", "passed": True}
        self._tell(FactKind.SAFETY_CHECKED, at, "user:technologist", told, in_room=False)

    def _step(self, begun_at: datetime, ended_at: datetime) -> None:
        step = PerformedStep(
            pk=self.keys[PerformedStep],
            site=self.site,
            sop_instance_uid=new_uid(),
            room=self.room,
            ae_title=self.names.ae_titles.get(self.room.pk, ""),
            modality=self.one.procedure.modality,
            state=StepState.COMPLETED,
            by=self.by_machine,
            started_at=begun_at,
            ended_at=ended_at,
            simulated=True,
        )
        self.rows.add(step)
        self.rows.add(StepExam(step=step, exam=self.exam))
        self._tell(FactKind.EXAM_BEGUN, begun_at, self.by_machine)

    def _images(self, begun_at: datetime, ended_at: datetime) -> None:
        views = self.one.procedure.views or ("AP",)
        series = new_uid()
        for number, view in enumerate(views, 1):
            at = begun_at + (ended_at - begun_at) * (0.3 + 0.6 * number / len(views))
            self.rows.add(
                Image(
                    site=self.site,
                    exam=self.exam,
                    sop_instance_uid=new_uid(),
                    sop_class_uid=IMAGE_CLASS,
                    series_instance_uid=series,
                    study_instance_uid=self.exam.study_instance_uid,
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    accession=self.exam.accession,
                    patient_id=self.one.person.number,
                    patient_name=f"{self.one.person.family}^{self.one.person.given}",
                    modality=self.one.procedure.modality,
                    body_part=self.one.procedure.body_part,
                    view_position=view,
                    laterality=self.one.side,
                    acquired_at=at,
                    calling_ae_title=self.names.ae_titles.get(self.room.pk, ""),
                    path="",
                    size_bytes=0,
                    sha256="",
                    state=ImageState.SENT,
                    received_at=at,
                    simulated=True,
                )
            )
            self._tell(FactKind.IMAGE_RECEIVED, at, self.by_machine, in_room=False)
            self._tell(FactKind.IMAGE_MATCHED, at, "rule", in_room=False)
            self._tell(FactKind.IMAGE_SENT, ended_at + timedelta(seconds=number), "rule", in_room=False)

    def _report(self, ended_at: datetime) -> None:
        one = self.one
        last = one.read_at or one.preliminary_at
        if last is None:
            return
        state = ReportState.FINAL if one.read_at else ReportState.PRELIMINARY
        said = [
            (at, s)
            for at, s in ((one.preliminary_at, ReportState.PRELIMINARY), (one.read_at, ReportState.FINAL))
            if at
        ]
        critical = self.around.is_critical
        text, impression = said_of(one.procedure.body_part, critical=critical)
        category = Category.MINUTES if critical else None
        report = Report(
            pk=self.keys[Report],
            site=self.site,
            exam=self.exam,
            state=state,
            version=len(said),
            text=text,
            impression=impression,
            category=category,
            radiologist_name=READER,
            said_at=last,
            read_at=one.read_at,
            changed_at=last,
            simulated=True,
        )
        self.rows.add(report)
        for version, (at, told) in enumerate(said, 1):
            self.rows.add(
                ReportVersion(
                    report=report,
                    version=version,
                    state=told,
                    text=text,
                    impression=impression,
                    radiologist_name=READER,
                    said_at=at,
                    received_at=at,
                    by="link:REPORTS",
                )
            )
            told_of = {"state": str(told), "version": version, "category": category}
            self._tell(FactKind.REPORT_RECEIVED, at, "link:REPORTS", told_of, in_room=False)
        if one.read_at and critical:
            self.around.told(report, one.read_at)
        if one.read_at:
            self._charge(one.read_at, ended_at)

    def _charge(self, at: datetime, service_at: datetime) -> None:
        procedure = self.names.procedures[self.one.procedure.code]
        if not procedure.charge_code:
            return
        self.rows.add(
            Charge(
                site=self.site,
                exam=self.exam,
                number=f"{self.exam.accession}-1",
                state=ChargeState.ACCEPTED,
                code=procedure.charge_code,
                text=procedure.text,
                modifiers=list(MODIFIERS.get(self.one.side, ())),
                views=list(procedure.views),
                service_at=service_at,
                made_at=at,
                gone_at=at,
                accepted_at=at,
                simulated=True,
            )
        )
        self._tell(FactKind.CHARGE_READY, at, "rule", {"code": procedure.charge_code}, in_room=False)
        self._tell(FactKind.CHARGE_ACCEPTED, at, "link:EHR-OUT", in_room=False)

    def _tell(
        self,
        kind: FactKind,
        at: datetime,
        by: str,
        data: dict[str, Any] | None = None,
        *,
        in_room: bool = True,
    ) -> None:
        self.rows.add(
            Fact(
                site=self.site,
                at=at,
                recorded_at=at,
                kind=kind,
                by=by,
                accession=self.exam.accession,
                patient=self.patient.pk,
                room=self.room.code if in_room else "",
                data=data or {},
                simulated=True,
            )
        )
