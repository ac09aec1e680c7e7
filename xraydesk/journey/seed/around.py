"""What went on around an invented exam, as rows: its dose, the porters' ways, and a result that somebody was told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

from django.db.models import Model

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items
from xraydesk.dose.models import DoseEventRecord, DoseRecord
from xraydesk.dose.report import DoseSource
from xraydesk.facts.kinds import FactKind
from xraydesk.journey.seed.day import Invented
from xraydesk.lib.ids import new_uid
from xraydesk.lib.units import gym2_from_dgycm2
from xraydesk.orders.models import Exam
from xraydesk.results import finding_rules
from xraydesk.results.models import Call, Finding, Report
from xraydesk.results.people import Person, people_to_tell, to_json
from xraydesk.results.states import CallOutcome, Category, FindingSource, FindingState
from xraydesk.rooms.models import Room
from xraydesk.siteplan.invented import dap_dgycm2
from xraydesk.siteplan.plan import SitePlan
from xraydesk.staff.models import Porter
from xraydesk.transport import rules as transport
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import LIVE, JobKind, JobState

KEYED: dict[type[Model], int] = {DoseRecord: 1, TransportJob: 2, Finding: 1}
"""Tables whose rows are named by others, and how many of them an exam has at most."""

TABLES: tuple[type[Model], ...] = (DoseRecord, DoseEventRecord, TransportJob, Finding, Call)
CRITICAL_SHARE = 0.04
TOLD_WITHIN_MINUTES = 45
"""A result that was to be told was read back within so many minutes; younger ones are not invented, but come."""

NO_ANSWER_SHARE = 0.35
TEXT_READ_BACK = "Patient, finding and side as told."
READER_USER = "user:radiologist"
PORTER_USER = "user:porter"


class Tell(Protocol):
    """Writes one fact about the exam."""

    def __call__(
        self,
        kind: FactKind,
        at: datetime,
        by: str,
        data: dict[str, Any] | None = None,
        *,
        in_room: bool = True,
    ) -> None: ...


@dataclass
class Around:
    """The exam, and what its surroundings need. `now` is the moment up to which is told; `keys` gives new ones."""

    site: Site
    plan: SitePlan
    one: Invented
    exam: Exam
    room: Room
    porters: Sequence[Porter]
    now: datetime
    keys: dict[type[Model], Iterator[int]]
    add: Callable[[Model], None]
    tell: Tell

    def __post_init__(self) -> None:
        self.random = Random(f"{self.one.person.number} around")

    @property
    def is_critical(self) -> bool:
        """Whether somebody had to be told of its result, long enough ago that they have been."""
        read_at = self.one.read_at
        chance = Random(f"{self.one.person.number} critical").random()
        return (
            read_at is not None
            and chance < CRITICAL_SHARE
            and read_at + timedelta(minutes=TOLD_WITHIN_MINUTES) < self.now
        )

    # ---- dose ---------------------------------------------------------------------------

    def dose(self, at: datetime, by: str) -> None:
        """The dose report of the exam: one event a view, and their total."""
        views = self.one.procedure.views or ("AP",)
        part = self.one.procedure.body_part
        daps = [gym2_from_dgycm2(dap_dgycm2(self.random, part)) for _ in views]
        record = DoseRecord(
            pk=next(self.keys[DoseRecord]),
            site=self.site,
            exam=self.exam,
            source=DoseSource.REPORT,
            sop_instance_uid=new_uid(),
            manufacturer="xraydesk simulator",
            total_dap_gym2=sum(daps),
            recorded_at=at,
            simulated=True,
        )
        self.add(record)
        for view, dap in zip(views, daps, strict=True):
            index = round(400 * self.random.lognormvariate(0, 0.25), 1)
            self.add(
                DoseEventRecord(
                    record=record,
                    event_uid=new_uid(),
                    protocol=self.one.procedure.text,
                    target_region=part or None,
                    view=view,
                    laterality=self.one.side or None,
                    dap_gym2=dap,
                    kvp=[round(self.random.gauss(115 if "CHEST" in part.upper() else 70, 3), 1)],
                    mas=round(self.random.uniform(1.0, 5.0), 2),
                    exposure_index=index,
                    target_exposure_index=400.0,
                    deviation_index=deviation_of(index),
                )
            )
        told = {"source": str(DoseSource.REPORT), "dap_gym2": sum(daps), "events": len(daps)}
        self.tell(FactKind.DOSE_RECORDED, at, by, told, in_room=False)

    # ---- porters ------------------------------------------------------------------------

    def fetch(self, booked_at: datetime) -> None:
        """The way to the room, as far as it has come; none for whom nobody fetches."""
        trip, one = self._trip(), self.one
        classes = self.plan.policies.fetch_classes
        wanted = transport.fetch_wanted(
            trip,
            classes=classes,
            early_minutes=self.plan.policies.fetch_early_minutes,
            asked_at=booked_at,
        )
        if wanted is None:
            return
        asked_at = booked_at + timedelta(seconds=1)
        off_at = one.cancelled_at or one.no_show_at
        self._job(JobKind.FETCH, wanted, asked_at=asked_at, there_at=one.arrived_at, off_at=off_at)

    def end_fetch(self, there_at: datetime | None, *, off_at: datetime) -> None:
        """A fetch that was asked for already came to its end: the patient was brought, or came without."""
        for job in TransportJob.objects.filter(exam=self.exam, kind=JobKind.FETCH, state__in=LIVE):
            key = f"transport late:{job.pk}"
            close_items(site_id=self.site.pk, key=key, at=off_at, by="rule", how="it came to its end")
            if there_at is None or not self.porters:
                job.state, job.ended_at, job.why = JobState.CANCELLED, off_at, "nobody is fetched"
                self._tell_job(job, FactKind.TRANSPORT_CANCELLED, off_at, "rule", why=job.why)
            else:
                porter = job.porter or self.random.choice(self.porters)
                self._go(job, porter, since=min(job.asked_at, there_at), there_at=there_at)
            job.save()

    def bring_back(self, ended_at: datetime) -> None:
        """The way back to the ward, as far as it has come."""
        wanted = transport.return_wanted(self._trip(), classes=self.plan.policies.fetch_classes, at=ended_at)
        if wanted is None:
            return
        there_at = ended_at + timedelta(minutes=wanted.minutes * self.random.uniform(1.2, 2.6))
        self._job(
            JobKind.RETURN,
            wanted,
            asked_at=ended_at + timedelta(seconds=1),
            there_at=there_at if there_at < self.now else None,
            off_at=None,
        )

    def _trip(self) -> transport.Trip:
        person = self.one.person
        ward = next((w for w in self.plan.wards if w.code == person.ward), None)
        return transport.Trip(
            patient_class=person.patient_class,
            transport=self.exam.order.transport,
            ward=person.ward,
            ward_name=ward.name if ward else "",
            bed=person.bed,
            travel_minutes=ward.travel_minutes if ward else 5,
            room=self.room.code,
            goes_to_patient=self.room.kind == "portable",
            start=self.one.place.start,
        )

    def _job(
        self,
        kind: JobKind,
        wanted: transport.Wanted,
        *,
        asked_at: datetime,
        there_at: datetime | None,
        off_at: datetime | None,
    ) -> None:
        porter = self.random.choice(self.porters) if self.porters and there_at else None
        job = TransportJob(
            pk=next(self.keys[TransportJob]),
            site=self.site,
            exam=self.exam,
            patient_id=self.exam.patient_id,
            kind=kind,
            from_place=wanted.from_place,
            to_place=wanted.to_place,
            mode=wanted.mode,
            minutes=wanted.minutes,
            due_at=wanted.due_at,
            asked_at=asked_at,
            simulated=True,
        )
        self._tell_job(job, FactKind.TRANSPORT_ASKED, asked_at, "rule")
        if there_at is not None and porter is not None:
            self._go(job, porter, since=asked_at, there_at=there_at)
        elif off_at is not None:
            job.state, job.ended_at, job.why = JobState.CANCELLED, off_at, "nobody is fetched"
            self._tell_job(job, FactKind.TRANSPORT_CANCELLED, off_at, "rule", why=job.why)
        self.add(job)

    def _go(self, job: TransportJob, porter: Porter, *, since: datetime, there_at: datetime) -> None:
        """A porter goes the way, and presses the three buttons; those pressed already stand."""
        way = (there_at - since) / 3
        picked_up_at = job.picked_up_at or there_at - min(way, timedelta(minutes=job.minutes))
        accepted_at = job.accepted_at or picked_up_at - min(way, timedelta(minutes=job.minutes + 2))
        pressed = (
            (FactKind.TRANSPORT_ACCEPTED, accepted_at, job.accepted_at),
            (FactKind.PATIENT_PICKED_UP, picked_up_at, job.picked_up_at),
            (FactKind.PATIENT_DELIVERED, there_at, None),
        )
        job.porter, job.state = porter, JobState.DELIVERED
        job.accepted_at, job.picked_up_at, job.ended_at = accepted_at, picked_up_at, there_at
        for fact, at, before in pressed:
            if before is None:
                self._tell_job(job, fact, at, PORTER_USER, porter=porter.code)

    def _tell_job(self, job: TransportJob, kind: FactKind, at: datetime, by: str, **more: Any) -> None:
        data = {"job": job.pk, "way": str(job.kind), "due": job.due_at.isoformat(), **more}
        self.tell(kind, at, by, data, in_room=False)

    # ---- results that were told -----------------------------------------------------------

    def told(self, report: Report, read_at: datetime) -> None:
        """Somebody was called, the next one where the first did not answer, until it was read back."""
        order = self.exam.order
        people = people_to_tell(
            provider_number=order.provider_id,
            provider_name=order.provider_name,
            provider_phone=order.provider_phone,
            providers=self.plan.providers,
            ward=next((w for w in self.plan.wards if w.code == self.one.person.ward), None),
        )
        called_at = read_at + timedelta(minutes=self.random.uniform(2, 15))
        calls = [(called_at, 0, CallOutcome.READ_BACK)]
        if len(people) > 1 and self.random.random() < NO_ANSWER_SHARE:
            again_at = called_at + timedelta(minutes=self.random.uniform(2, 15))
            calls = [(called_at, 0, CallOutcome.NO_ANSWER), (again_at, 1, CallOutcome.READ_BACK)]
        ended_at, turn, _ = calls[-1]
        finding = Finding(
            pk=next(self.keys[Finding]),
            site=self.site,
            exam=self.exam,
            report=report,
            key="flag",
            source=FindingSource.FLAG,
            category=Category.MINUTES,
            words=report.impression,
            state=FindingState.READ_BACK,
            found_at=read_at,
            opened_at=read_at,
            due_at=finding_rules.due(Category.MINUTES, self.plan.policies.tell_minutes, opened_at=read_at),
            people=to_json(people),
            turn=turn,
            decided_by="link:REPORTS",
            ended_at=ended_at,
            simulated=True,
        )
        self.add(finding)
        about = {"finding": finding.pk, "category": int(Category.MINUTES)}
        self.tell(FactKind.FINDING_OPENED, read_at, "link:REPORTS", dict(about), in_room=False)
        for at, number, outcome in calls:
            self._call(finding, people[number] if people else None, at, outcome, about)
            if outcome is CallOutcome.NO_ANSWER:
                to = {"to": people[number + 1].role}
                self.tell(FactKind.FINDING_ESCALATED, at, READER_USER, about | to, in_room=False)

    def _call(
        self,
        finding: Finding,
        person: Person | None,
        at: datetime,
        outcome: CallOutcome,
        about: dict[str, Any],
    ) -> None:
        ended = outcome is CallOutcome.READ_BACK
        person = person or Person("unit", "whoever is there")
        self.add(
            Call(
                site=self.site,
                finding=finding,
                at=at,
                by=READER_USER,
                role=person.role[:32],
                recipient=person.name[:200],
                reached_at=next(iter(person.numbers), "")[:64],
                way=person.way,
                outcome=outcome,
                read_back=TEXT_READ_BACK if ended else "",
            )
        )
        kind = FactKind.FINDING_READ_BACK if ended else FactKind.FINDING_CALLED
        told = {"to": person.role, "way": str(person.way), "outcome": str(outcome)}
        self.tell(kind, at, READER_USER, about | told, in_room=False)


def deviation_of(exposure_index: float) -> float:
    """The deviation index of an exposure index against a target of 400 (IEC 62494-1)."""
    return round(10 * math.log10(exposure_index / 400.0), 1)
