"""Images that another house made and somebody brought: kept apart, given to a patient, and sent on under our numbers.

Each study waits until it is known whose it is: by rule where nobody else can be meant (`imaging.outside_rules`),
else a person says so. It then becomes an exam of its own here, done elsewhere, which is neither planned nor charged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging import actions, outside_actions, queries, rules
from xraydesk.imaging.header import Header, StepReport, StoredFile
from xraydesk.imaging.models import Image, OutsideStudy
from xraydesk.imaging.outside_rules import Known, Offered, OutsideState, offered
from xraydesk.imaging.states import ImageAction, ImageState, StepAction
from xraydesk.journey import performing
from xraydesk.journey.errors import Refused, WrongState
from xraydesk.journey.outside_report import copy_text, locked_study, say_report
from xraydesk.journey.policy import policies_of
from xraydesk.journey.priors import compare_with, look_for_priors
from xraydesk.journey.reconcile import come_again
from xraydesk.journey.unscheduled import DESK_AUTHORITY, OUTSIDE_SOURCE, is_done_elsewhere
from xraydesk.lib import clock, locks
from xraydesk.lib.ids import new_uid
from xraydesk.lib.text import shortened
from xraydesk.orders.actions import apply_triage, create_order
from xraydesk.orders.models import Exam
from xraydesk.orders.requisition import RequestedExam
from xraydesk.orders.requisition import Requisition as Asked
from xraydesk.orders.states import TriageAction
from xraydesk.patients.demographics import Demographics
from xraydesk.patients.models import Patient, PatientIdentifier
from xraydesk.patients.queries import search
from xraydesk.results.document_actions import drop_documents, give_documents
from xraydesk.siteplan.link_plan import OrderControl

STUDY_IMAGES_MAX = 2000
"""A study of more objects than these is not taken in by the desk: it goes to the archive by its own import."""

REPORT_LENGTH_MAX = 20_000

KNOWN_MAX = 40
BORN_THAT_DAY_MAX = 500
"""So many patients of ours are compared with what a study says: by number, by name, born on that day."""

WAITS = "it came from another house and waits until somebody says whose it is"
BY_RULE = "rule"


class UnknownStudy(Refused):
    """There is no such study of another house here."""


class TooManyImages(Exception):
    """The study has more objects than the desk takes in."""


@transaction.atomic
def bring(
    *,
    site: Site,
    header: Header,
    stored: StoredFile,
    words: str,
    institution: str,
    source: str,
    at: datetime,
    by: str,
) -> Image:
    """Keep one object that somebody brought, apart, with its study.

    The same bytes again give the image that is here (its `path` is then not the new file's); other bytes under a
    known number are kept beside the first and wait for a person. What belongs to a study that was taken in goes on
    with it. Raises TooManyImages.
    """
    locks.take([f"image:{site.pk}:{header.sop_instance_uid}"])
    known = list(Image.objects.filter(site=site, sop_instance_uid=header.sop_instance_uid).order_by("copy"))
    same = next((image for image in known if image.sha256 == stored.sha256), None)
    if same is not None:
        return same if same.released_at is None else come_again(same, stored, at=at, by=by)
    wall = header.acquired_at
    acquired_at = clock.at_wall_time(wall.date(), wall.time(), site.timezone) if wall else None
    study = outside_actions.put_study(
        site=site,
        header=header,
        words=words,
        institution=institution,
        performed_at=acquired_at,
        source=source,
        at=at,
        by=by,
    )
    if Image.objects.filter(outside=study).count() >= STUDY_IMAGES_MAX:
        raise TooManyImages
    image = actions.insert_image(
        site=site,
        exam_id=None,
        outside_id=study.pk,
        header=header,
        stored=stored,
        acquired_at=acquired_at,
        calling_ae="",
        copy=known[-1].copy + 1 if known else 0,
        state=ImageState.QUARANTINED,
        why=WAITS,
        findings=(),
        corrections={},
        at=at,
        simulated=site.simulated,
    )
    if study.state == OutsideState.TAKEN and study.exam_id and not image.copy:
        (exam,) = performing.lock_exams([study.exam_id])
        _give(image, exam, queries.candidate_of(exam), at=at, by=study.decided_by)
        _tell(study, FactKind.OUTSIDE_TAKEN, at=at, by=by)
    elif study.state == OutsideState.REFUSED:
        actions.move_image(image, action=ImageAction.REJECT, at=at, by=study.decided_by, why=study.why)
    return image


@transaction.atomic
def all_brought(*, study_id: int, at: datetime, by: str) -> OutsideStudy:
    """Everything of a study on one medium was read: it is taken in where it is certain whose it is, else a person is asked."""
    study = _locked(study_id)
    if study.state != OutsideState.WAITING:
        return study
    if is_asked_about(study):
        return study
    _tell(study, FactKind.OUTSIDE_BROUGHT, at=at, by=by)
    meant = next((one for one in who_is_meant(study) if one.certain), None)
    if meant is not None and (exam := _take(study, meant.patient_id, at=at, by=BY_RULE)):
        study.exam = exam
        return study
    raise_item(
        site_id=study.site_id,
        kind=ItemKind.OUTSIDE_STUDY,
        key=study_key(study.pk),
        at=at,
        text=f"Images from {study.source or study.institution or 'another house'} were brought. Say whose they are.",
        data={"outside": study.pk},
    )
    return study


@transaction.atomic
def take_in(
    *, study_id: int, patient_id: int, at: datetime, by: str, compared_with: int | None = None
) -> Exam:
    """A person says whose a study is; it goes on under our numbers, as an exam that was done elsewhere.

    With `compared_with` it stands beside that exam of the same patient, for whoever reads it.

    Raises UnknownStudy, and WrongState where it was decided about, or its number is that of another patient's exam.
    """
    study = _locked(study_id)
    if study.state != OutsideState.WAITING:
        raise WrongState(
            f"This study is {study.state} already. Look at the page again; somebody else decided."
        )
    exam = _take(study, patient_id, at=at, by=by)
    if exam is None:
        raise WrongState("An exam of another patient here has the number of this study. Nothing was changed.")
    if compared_with is not None:
        _compare(exam, study, compared_with, at=at, by=by)
    return exam


@transaction.atomic
def refuse(*, study_id: int, why: str, at: datetime, by: str) -> OutsideStudy:
    """A person says that a study is not taken in: its images go nowhere. Raises UnknownStudy and WrongState."""
    study = _locked(study_id)
    if study.state != OutsideState.WAITING:
        raise WrongState(
            f"This study is {study.state} already. Look at the page again; somebody else decided."
        )
    said = shortened(" ".join(why.split()), 200)
    if not said:
        raise WrongState("Say in a word why it is not taken in. Nothing was changed.")
    for image in _images(study):
        actions.move_image(image, action=ImageAction.REJECT, at=at, by=by, why=said)
    outside_actions.refuse_study(study, why=said, at=at, by=by)
    drop_documents(study)
    close_items(site_id=study.site_id, key=study_key(study.pk), at=at, by=by, how="it is not taken in")
    _tell(study, FactKind.OUTSIDE_REFUSED, at=at, by=by)
    return study


def is_asked_about(study: OutsideStudy) -> bool:
    """True where a person was asked whose a study is and has not answered yet."""
    return Item.objects.filter(site=study.site_id, key=study_key(study.pk), closed_at=None).exists()


@transaction.atomic
def keep_report(*, study_id: int, text: str, read_by: str, at: datetime, by: str) -> None:
    """Somebody copies the report of the other house: it stands with the exam, and is told on as reports are.

    Raises UnknownStudy, and WrongState where the study is no exam done elsewhere, or nothing or too much is said.
    """
    study = _locked(study_id)
    if study.exam is None or not is_done_elsewhere(study.exam.order):
        raise WrongState("Say first whose the study is. Nothing was kept.")
    words = text.replace("\r\n", "\n").strip()
    if not words or len(words) > REPORT_LENGTH_MAX:
        raise WrongState(f"A report is a text of at most {REPORT_LENGTH_MAX:,} letters. Nothing was kept.")
    copy_text(study, text=words, read_by=shortened(" ".join(read_by.split()), 200), at=at, by=by)


def who_is_meant(study: OutsideStudy) -> tuple[Offered, ...]:
    """The patients of ours who may be meant, the most alike first."""
    said = header_of(study)
    names = said.patient_name.partition("=")[0].split("^")
    here = Patient.objects.filter(site=study.site_id, merged_into=None).order_by("id")
    found = {}
    if said.patient_id:
        numbered = PatientIdentifier.objects.filter(site=study.site_id, value=said.patient_id)
        for row in numbered.select_related("patient__merged_into").order_by("id")[:KNOWN_MAX]:
            patient = row.patient.merged_into or row.patient
            found[patient.pk] = patient
    if said.patient_birth_date:
        found |= {p.pk: p for p in here.filter(birth_date=said.patient_birth_date)[:BORN_THAT_DAY_MAX]}
    found |= {p.pk: p for p in search(site=study.site, text=" ".join(names[:2]), limit=KNOWN_MAX)}
    return offered(said, [Known(key, person) for key, person in queries.people_of(found.values()).items()])


def header_of(study: OutsideStudy) -> Header:
    """What a study says of its patient and itself, as an object of it would."""
    return Header(
        sop_instance_uid="",
        sop_class_uid="",
        transfer_syntax_uid="",
        study_instance_uid=study.study_instance_uid,
        accession=study.accession,
        patient_id=study.patient_id_said,
        patient_id_issuer=study.patient_id_issuer,
        patient_name=study.patient_name,
        patient_birth_date=study.patient_birth_date,
        patient_sex=study.patient_sex,
    )


def study_key(study_id: int) -> str:
    """The key of the item about a study that waits."""
    return f"outside:{study_id}"


def _take(study: OutsideStudy, patient_id: int, *, at: datetime, by: str) -> Exam | None:
    """Take a locked study in; None where its number is that of another patient's exam."""
    patient = Patient.objects.filter(site=study.site_id, pk=patient_id).first()
    if patient is None:
        raise UnknownStudy("There is no such patient here.")
    patient = patient.merged_into or patient
    ours = Exam.objects.filter(site=study.site_id, study_instance_uid=study.study_instance_uid).first()
    if ours is not None and ours.patient_id != patient.pk:
        return None
    exam = performing.lock_exams([ours.pk])[0] if ours else _make_exam(study, patient, at=at, by=by)
    candidate = queries.candidate_of(exam)
    for image in _images(study):
        if not image.copy:
            _give(image, exam, candidate, at=at, by=by)
    outside_actions.take_study(study, exam=exam, at=at, by=by)
    how = f"it is exam {exam.accession} here"
    close_items(site_id=study.site_id, key=study_key(study.pk), at=at, by=by, how=how)
    _tell(study, FactKind.OUTSIDE_TAKEN, at=at, by=by)
    give_documents(study, exam=exam)
    say_report(study, at=at, by=by)
    return exam


def _make_exam(study: OutsideStudy, patient: Patient, *, at: datetime, by: str) -> Exam:
    """An exam that was done elsewhere: accepted, performed when the other house says, in no room of ours."""
    site = study.site
    text = study.words or study.body_part or "images"
    asked = Asked(
        control=OrderControl.NEW,
        patient=Demographics(identifiers=()),
        placer=_own_number(study),
        placer_authority=DESK_AUTHORITY,
        exams=(RequestedExam(code="", text=f"Outside: {text}", study_instance_uid=study.study_instance_uid),),
    )
    _, (exam,) = create_order(
        site=site,
        patient=patient,
        requisition=asked,
        source=f"{OUTSIDE_SOURCE}{by}"[:80],
        policies=policies_of(site),
        at=at,
        simulated=site.simulated,
    )
    apply_triage(exam, TriageAction.ACCEPT, at=at, by=by, findings=())
    done_at = min(study.performed_at or at, at)
    report = StepReport(sop_instance_uid=new_uid())
    step = actions.insert_step(
        site=site, report=report, exams=[exam], room=None, started_at=done_at, by=by, by_hand=True
    )
    actions.tell_step(step, action=StepAction.COMPLETE, report=report, ended_at=done_at)
    return exam


def _own_number(study: OutsideStudy) -> str:
    """A number of the desk's block, the same again for the same study and patient."""
    told = "\n".join((study.study_instance_uid, study.patient_id_said, study.patient_id_issuer))
    return "O" + hashlib.sha256(told.encode()).hexdigest()[:15].upper()


def _give(image: Image, exam: Exam, candidate: rules.Candidate, *, at: datetime, by: str) -> None:
    """An image of the study goes on with its exam, under the patient's and the exam's numbers."""
    actions.move_image(
        image,
        action=ImageAction.MATCH,
        at=at,
        by=by,
        exam_id=exam.pk,
        corrections=rules.corrections(actions.header_of(image), candidate),
    )


def _images(study: OutsideStudy) -> Iterable[Image]:
    """The images of a study that nobody decided about, locked."""
    waiting = Image.objects.select_for_update(of=("self",)).filter(
        outside=study, state=ImageState.QUARANTINED
    )
    return list(waiting.order_by("id")[:STUDY_IMAGES_MAX])


def _compare(exam: Exam, study: OutsideStudy, compared_with: int, *, at: datetime, by: str) -> None:
    other = Exam.objects.filter(pk=compared_with, patient=exam.patient_id).exclude(pk=exam.pk).first()
    if other is None:
        raise WrongState("There is no such exam of this patient. Nothing was changed.")
    compare_with(exam_id=other.pk, prior=exam, why="brought along", at=at)
    look_for_priors(exam_id=other.pk, at=at)


def _locked(study_id: int) -> OutsideStudy:
    study = locked_study(study_id)
    if study is None:
        raise UnknownStudy("There is no such study of another house here.")
    return study


def _tell(study: OutsideStudy, kind: FactKind, *, at: datetime, by: str) -> None:
    exam = study.exam
    record(
        site_id=study.site_id,
        kind=kind,
        at=at,
        by=by,
        accession=exam.accession if exam else "",
        patient=exam.patient_id if exam else None,
        data={"outside": study.pk, "source": study.source} | ({"why": study.why} if study.why else {}),
        simulated=study.site.simulated,
    )
