"""An exam as people and programs see it: its stage and place, gathered from all the small machines.

The command line, the board, FHIR and the exam page read through this one view, so that
they never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.functions import Coalesce

from xraydesk.access.models import Site
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState, deciding_step
from xraydesk.journey.stage import Stage, stage_of
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.demographics import Name
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.results.models import Report
from xraydesk.results.states import READ_STATES, ReportState
from xraydesk.rooms.models import Modality
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import LIVE, BookingState

EXAMS_AT_ONCE_MAX = 5000
"""No list is longer than this; who needs more asks day by day."""


@dataclass(frozen=True)
class ExamView:
    """One exam with what decides its stage. `start` and `end` are of the live booking, in UTC.

    `room` is where it is performed, else where it is booked. `step` is the deciding
    performed step, `identifier` the patient's first number. `report` is what was read, in its last
    version; its texts are loaded when they are asked for.
    """

    exam: Exam
    stage: Stage
    booking: Booking | None
    step: PerformedStep | None
    identifier: PatientIdentifier | None
    room: str
    ae_title: str
    report: Report | None = None

    @property
    def start(self) -> datetime | None:
        """When it is booked to start; None where it has no place."""
        return self.booking.during.lower if self.booking else None

    @property
    def end(self) -> datetime | None:
        """When its booking ends; None where it has no place."""
        return self.booking.during.upper if self.booking else None

    @property
    def patient(self) -> Patient:
        """Whose exam it is."""
        return self.exam.patient

    @property
    def patient_number(self) -> str:
        """The number that the patient is known by; empty where there is none yet."""
        return self.identifier.value if self.identifier else ""

    @property
    def why(self) -> str:
        """Why it waits, in words; empty where nothing holds it up."""
        if self.stage is Stage.HELD:
            held = [str(f["sentence"]) for f in self.exam.findings if f.get("level") in ("ask", "hold")]
            return " ".join(held) or "Held by a person."
        if self.stage is Stage.CANCELLED:
            return self.exam.cancelled_why
        if self.stage is Stage.ORDERED:
            return self.exam.booking_blocked
        if self.stage is Stage.DISCONTINUED and self.step:
            return self.step.reason_text
        return ""


def name_of(patient: Patient) -> Name:
    """A patient's name in parts."""
    return Name(patient.family, patient.given, patient.middle, patient.prefix, patient.suffix)


def views_of(exams: QuerySet[Exam], *, site: Site, limit: int = EXAMS_AT_ONCE_MAX) -> list[ExamView]:
    """The views of a site's exams, in their order, in a fixed number of queries.

    At most `limit` of them, and never more than EXAMS_AT_ONCE_MAX.
    """
    found = exams.filter(site=site).select_related("patient", "order", "procedure")
    found = found.prefetch_related(
        Prefetch(
            "bookings",
            queryset=Booking.objects.filter(state__in=LIVE).select_related("room__location", "technologist"),
            to_attr="live_bookings",
        ),
        Prefetch(
            "stepexam_set",
            queryset=StepExam.objects.filter(voided=False).select_related("step__room"),
            to_attr="standing_steps",
        ),
        Prefetch(
            "patient__identifiers",
            queryset=PatientIdentifier.objects.order_by("sort", "id"),
            to_attr="numbers",
        ),
        Prefetch("reports", queryset=Report.objects.defer("text", "impression"), to_attr="what_was_read"),
    )
    ae_titles: dict[int, str] = {}
    for room_id, ae_title in (
        Modality.objects.filter(site=site, retired=False).order_by("id").values_list("room_id", "ae_title")
    ):
        ae_titles.setdefault(room_id, ae_title)
    return [_view(exam, ae_titles) for exam in found[: min(limit, EXAMS_AT_ONCE_MAX)]]


@dataclass(frozen=True)
class Staged:
    """One exam, with its order and procedure, and how far it is; for whoever asks no more."""

    exam: Exam
    stage: Stage


def stages_of(exams: QuerySet[Exam], *, site: Site) -> list[Staged]:
    """How far a site's exams are, at most EXAMS_AT_ONCE_MAX of them; fewer queries than for all that is seen of them."""
    found = exams.filter(site=site).select_related("order", "procedure")
    found = found.prefetch_related(
        Prefetch("bookings", queryset=Booking.objects.filter(state__in=LIVE), to_attr="live_bookings"),
        Prefetch(
            "stepexam_set",
            queryset=StepExam.objects.filter(voided=False).select_related("step"),
            to_attr="standing_steps",
        ),
        Prefetch("reports", queryset=Report.objects.only("exam", "state"), to_attr="what_was_read"),
    )
    staged: list[Any] = list(found[:EXAMS_AT_ONCE_MAX])
    return [
        Staged(exam, _stage(exam, deciding_step(StepState(link.step.state) for link in exam.standing_steps)))
        for exam in staged
    ]


def _stage(exam: Any, step: StepState | None) -> Stage:
    booking: Booking | None = exam.live_bookings[0] if exam.live_bookings else None
    report: Report | None = exam.what_was_read[0] if exam.what_was_read else None
    return stage_of(
        triage=TriageState(exam.triage),
        booking=BookingState(booking.state) if booking else None,
        arrived=bool(booking and booking.arrived_at),
        step=step,
        report=ReportState(report.state) if report else None,
    )


def _view(exam: Any, ae_titles: dict[int, str]) -> ExamView:
    booking: Booking | None = exam.live_bookings[0] if exam.live_bookings else None
    steps: list[PerformedStep] = sorted(
        (link.step for link in exam.standing_steps), key=lambda s: (s.started_at, s.id), reverse=True
    )
    state = deciding_step(StepState(s.state) for s in steps)
    step = next((s for s in steps if s.state == state), None)
    place = (step.room if step and step.room else None) or (booking.room if booking else None)
    report: Report | None = exam.what_was_read[0] if exam.what_was_read else None
    ae_title = (step.ae_title if step else "") or (ae_titles.get(place.pk, "") if place else "")
    return ExamView(
        exam=exam,
        stage=_stage(exam, state),
        booking=booking,
        step=step,
        identifier=exam.patient.numbers[0] if exam.patient.numbers else None,
        room=place.code if place else "",
        ae_title=ae_title,
        report=report,
    )


def of_day(*, site: Site, day: date) -> QuerySet[Exam]:
    """The exams of one local day: booked on it; without a place, wished for on it; else ordered on it."""
    first, after = clock.day_bounds(day, site.timezone)
    booked = Booking.objects.filter(
        site=site, state__in=LIVE, during__startswith__gte=first, during__startswith__lt=after
    )
    performed = StepExam.objects.filter(
        step__site=site, step__started_at__gte=first, step__started_at__lt=after, voided=False
    )
    unplaced = (
        Exam.objects.filter(site=site)
        .annotate(wish=Coalesce("requested_at", "created_at"))
        .filter(wish__gte=first, wish__lt=after)
        .exclude(bookings__state__in=LIVE)
    )
    return Exam.objects.filter(
        Q(pk__in=booked.values("exam")) | Q(pk__in=performed.values("exam")) | Q(pk__in=unplaced.values("pk"))
    ).order_by("id")


def waiting_for_a_place(*, site: Site) -> QuerySet[Exam]:
    """Exams of any day that nobody has placed, decided against or cancelled."""
    return (
        Exam.objects.filter(site=site)
        .exclude(triage=TriageState.CANCELLED)
        .exclude(bookings__state__in=LIVE)
        .exclude(stepexam__voided=False)
        .exclude(reports__state__in=READ_STATES)
        .order_by("id")
    )


def find(*, site: Site, accession: str) -> ExamView | None:
    """One exam by its accession number; None where this site has none such."""
    views = views_of(Exam.objects.filter(accession=accession), site=site)
    return views[0] if views else None


def _iso(at: datetime | None, zone: str) -> str | None:
    return clock.in_zone(at, zone).isoformat() if at else None


def as_json(view: ExamView, *, zone: str) -> dict[str, Any]:
    """One exam as the command line prints it. Times carry the offset of the site's zone."""
    exam = view.exam
    return {
        "accession": exam.accession,
        "placer": exam.order.placer,
        "filler": exam.filler or exam.accession,
        "patient_id": view.patient_number,
        "patient_name": name_of(exam.patient).dicom(),
        "procedure": {
            "code": exam.procedure_code,
            "text": exam.procedure_text,
            "system": exam.procedure_system,
        },
        "stage": view.stage,
        "room": view.room or None,
        "ae_title": view.ae_title or None,
        "start": _iso(view.start, zone),
        "requested": _iso(exam.requested_at, zone),
        "study_instance_uid": exam.study_instance_uid,
        "why": view.why or None,
    }


def by_accession(views: Iterable[ExamView]) -> dict[str, ExamView]:
    """Views by accession number."""
    return {view.exam.accession: view for view in views}
