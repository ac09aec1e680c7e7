"""Reading performed steps and images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.db.models import Count, F, Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.imaging.header import Header, ScheduledReference
from xraydesk.imaging.labelled_rules import Moved
from xraydesk.imaging.models import Image, OutsideStudy, PerformedStep, StepExam
from xraydesk.imaging.rules import Candidate, Person, StepSpan
from xraydesk.imaging.states import ImageState, StepState
from xraydesk.lib.prepared import Question, ask, rows_of, rows_with
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.demographics import Identifier, Name
from xraydesk.patients.models import Patient, PatientIdentifier

IMAGES_AT_ONCE_MAX = 5000
"""No list is longer than this."""

OUTSIDE_SHOWN_MAX = 50
MOVED_LOOKED_AT_MAX = 100


@dataclass(frozen=True)
class ImageCounts:
    """How many SOP instances of an exam; cumulative: `received` are all, `matched` includes those since sent."""

    received: int = 0
    matched: int = 0
    quarantined: int = 0
    held: int = 0
    sent: int = 0

    def as_json(self) -> dict[str, int]:
        """As the command line prints them."""
        return asdict(self)


def counts_of_exams(exam_ids: Iterable[int]) -> dict[int, ImageCounts]:
    """The counts of many exams in one query; exams without images are left out."""

    def in_states(*states: ImageState) -> Count:
        return Count("sop_instance_uid", filter=Q(state__in=[s.value for s in states]), distinct=True)

    rows = (
        Image.objects.filter(exam__in=list(exam_ids))
        .values("exam_id")
        .annotate(
            received=Count("sop_instance_uid", distinct=True),
            matched=in_states(ImageState.MATCHED, ImageState.SENT),
            quarantined=in_states(ImageState.QUARANTINED),
            held=in_states(ImageState.HELD),
            sent=in_states(ImageState.SENT),
        )
        .order_by()
    )
    return {
        row["exam_id"]: ImageCounts(
            row["received"], row["matched"], row["quarantined"], row["held"], row["sent"]
        )
        for row in rows
    }


def counts_of_exam(exam_id: int) -> ImageCounts:
    """The counts of one exam."""
    return counts_of_exams([exam_id]).get(exam_id, ImageCounts())


def images(*, site: Site, accession: str = "") -> QuerySet[Image]:
    """The images of a site, newest first; with an accession number, those of that exam and those that carry it."""
    found = Image.objects.filter(site=site).select_related("exam").order_by("-received_at", "-id")
    if accession:
        found = found.filter(Q(exam__accession=accession) | Q(accession=accession))
    return found[:IMAGES_AT_ONCE_MAX]


def candidates_for(*, site: Site, header: Header) -> list[Candidate]:
    """The exams that an image may belong to by any of its numbers."""
    said = (
        header.accession,
        header.study_instance_uid,
        header.requested_procedure_id,
        header.scheduled_step_id,
    )
    return _numbered(site, [said])


def candidates_of_references(*, site: Site, references: Iterable[ScheduledReference]) -> list[Candidate]:
    """The exams that a performed step may mean."""
    return _numbered(
        site,
        [
            (r.accession, r.study_instance_uid, r.requested_procedure_id, r.scheduled_step_id)
            for r in references
        ],
    )


def moved_by_people(*, site_id: int, study_instance_uid: str) -> list[Moved]:
    """The images of a study, as they came, about which a person said to which exam they belong."""
    if not study_instance_uid:
        return []
    question = Question(
        "SELECT exam_id, series_instance_uid, calling_ae_title, acquired_at FROM imaging_image"
        " WHERE site_id = $1 AND study_instance_uid = $2 AND decided_by LIKE 'user:%' AND exam_id IS NOT NULL"
        " AND state IN ('matched', 'sent') AND note IS NULL AND fetched_id IS NULL"
        f" ORDER BY id DESC LIMIT {MOVED_LOOKED_AT_MAX}",
        [site_id, study_instance_uid],
        frozenset({"imaging_image"}),
    )
    return [Moved(*row) for row in ask(question)]


def candidate_of(exam: Exam) -> Candidate:
    """One exam as the rules see it."""
    return _candidates("id = $1", [exam.pk])[0]


def _numbered(site: Site, said: Iterable[tuple[str, str, str, str]]) -> list[Candidate]:
    """The exams that have an accession number, a study, or a procedure with its step, as any of these says."""
    numbers = list(said)
    accessions = {accession for accession, *_ in numbers if accession}
    studies = {study for _, study, *_ in numbers if study}
    steps = {(procedure, step) for *_, procedure, step in numbers if procedure and step}
    # Of each number by itself, so that each is looked up in its own index; which belong together is judged below.
    found = _candidates(
        "site_id = $1 AND (accession = ANY ($2::text[]) OR study_instance_uid = ANY ($3::text[])"
        " OR (scheduled_step_id = ANY ($4::text[]) AND requested_procedure_id = ANY ($5::text[])))",
        [
            site.pk,
            [*accessions],
            [*studies],
            [step for _, step in steps],
            [procedure for procedure, _ in steps],
        ],
    )
    return [
        one
        for one in found
        if one.accession in accessions
        or one.study_instance_uid in studies
        or (one.requested_procedure_id, one.scheduled_step_id) in steps
    ]


def _candidates(where: str, values: Sequence[Any]) -> list[Candidate]:
    exams = rows_with(Exam, where, values, "patient", "procedure")
    people = people_of(exam.patient for exam in exams)
    return [
        Candidate(
            exam_id=exam.pk,
            accession=exam.accession,
            study_instance_uid=exam.study_instance_uid,
            requested_procedure_id=exam.requested_procedure_id,
            scheduled_step_id=exam.scheduled_step_id,
            patient=people[exam.patient_id],
            laterality=exam.laterality,
            body_part=exam.procedure.body_part if exam.procedure else "",
            procedure_text=exam.procedure.text if exam.procedure else exam.procedure_text,
            views=tuple(exam.procedure.views) if exam.procedure else (),
            is_cancelled=exam.triage == TriageState.CANCELLED
            and all(link.voided for link in exam.stepexam_set.all()),
        )
        for exam in exams
    ]


def person_of(patient: Patient) -> Person:
    """A patient as the rules see one: the first number first."""
    return people_of([patient])[patient.pk]


def people_of(patients: Iterable[Patient]) -> dict[int, Person]:
    """Patients as the rules see them, each with whom they were merged with, by their keys and in their order."""
    these = {patient.pk: patient for patient in patients}
    former = rows_of(Patient, "merged_into_id = ANY ($1::bigint[]) ORDER BY id", [[*these]])
    numbers = rows_of(
        PatientIdentifier,
        "patient_id = ANY ($1::bigint[]) ORDER BY sort, id",
        [[*these, *(record.pk for record in former)]],
    )

    def person(patient: Patient) -> Person:
        name = Name(patient.family, patient.given, patient.middle, patient.prefix, patient.suffix)
        mine = (number for number in numbers if number.patient_id == patient.pk)
        return Person(
            identifiers=tuple(Identifier(i.value, i.authority, i.type) for i in mine),
            name=name.dicom(),
            birth_date=patient.birth_date,
            sex=patient.sex,
        )

    people = {key: person(patient) for key, patient in these.items()}
    for record in former:
        into = record.merged_into_id
        assert into is not None
        now, then = people[into], person(record)
        # A record that was never more than a number says nothing of the person: then the one that stays does.
        then = replace(then, name=then.name or now.name, birth_date=then.birth_date or now.birth_date)
        people[into] = replace(now, former=(*now.former, then))
    return people


def step_spans(exam_id: int) -> list[StepSpan]:
    """Every performed step of an exam, voided ones too."""
    links = rows_with(StepExam, "exam_id = $1", [exam_id], "step")
    return [
        StepSpan(
            state=StepState(link.step.state),
            voided=link.voided,
            started_at=link.step.started_at,
            ended_at=link.step.ended_at,
            referenced_images=tuple(link.step.referenced_images),
        )
        for link in sorted(links, key=lambda link: link.step.started_at)
    ]


def outside_of(patient: Patient) -> list[OutsideStudy]:
    """The studies of other houses that are a patient's, the newest first, with the numbers they had there."""
    found = OutsideStudy.objects.filter(exam__patient=patient).select_related("exam")
    return list(found.order_by(F("performed_at").desc(nulls_last=True), "-id")[:OUTSIDE_SHOWN_MAX])


def standing_states(exam_id: int) -> list[StepState]:
    """The states of an exam's steps, voided ones left out."""
    found = ask(
        Question(
            "SELECT step.state FROM imaging_stepexam link JOIN imaging_performedstep step ON step.id = link.step_id"
            " WHERE link.exam_id = $1 AND NOT link.voided",
            [exam_id],
            frozenset({"imaging_stepexam", "imaging_performedstep"}),
        )
    )
    return [StepState(state) for (state,) in found]


def has_matched(exam_id: int) -> bool:
    """Whether an exam has images that are matched and were not all sent yet."""
    question = Question(
        "SELECT 1 FROM imaging_image WHERE exam_id = $1 AND state = $2 "
        "AND note IS NULL AND fetched_id IS NULL LIMIT 1",
        [exam_id, ImageState.MATCHED.value],
        frozenset({"imaging_image"}),
    )
    return bool(ask(question))


def views_of(exam_id: int) -> list[tuple[str, str, str]]:
    """Of each image of an exam, dose reports left out: its state, its view and its side."""
    shown = "exam_id = $1 AND note IS NULL AND fetched_id IS NULL AND modality <> 'SR'"
    question = Question(
        f"SELECT state, view_position, laterality FROM imaging_image WHERE {shown} ORDER BY id",
        [exam_id],
        frozenset({"imaging_image"}),
    )
    return [(state, view, side) for state, view, side in ask(question)]


def standing_links(exam_ids: Iterable[int]) -> list[StepExam]:
    """What ties exams to the steps that carry them out, with the steps' rooms, voided ones left out, the step begun last first."""
    links = rows_with(
        StepExam,
        "exam_id = ANY ($1::bigint[]) AND NOT voided",
        [[*exam_ids]],
        "step",
        "step__room",
        "step__room__location",
    )
    return sorted(links, key=lambda link: (link.step.started_at, link.pk), reverse=True)


def standing_steps(exam_id: int) -> list[PerformedStep]:
    """An exam's steps with their rooms, voided ones left out, the one begun last first."""
    return [link.step for link in standing_links([exam_id])]
