"""One table: what follows from each kind of fact."""

from __future__ import annotations

from collections.abc import Callable

from procrastinate.contrib.django import app as jobs

from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.journey.autopilot import let_in, place_by_itself
from xraydesk.journey.book import waiting_in_order
from xraydesk.journey.charge import review_charge
from xraydesk.journey.company import keep_company
from xraydesk.journey.distribute import was_read
from xraydesk.journey.fetch import plan_of_patient, plan_transport
from xraydesk.journey.priors import look_for_priors
from xraydesk.journey.reconcile import correct_as_known
from xraydesk.journey.route import has_images_to_send, queue_deliveries
from xraydesk.journey.triage import triage_exam
from xraydesk.lib import clock
from xraydesk.links.asked import was_told
from xraydesk.links.dicom.looking import look_at_pictures
from xraydesk.links.ehr.tell import tell_ehrs
from xraydesk.links.mended import apply_what_was_said_after
from xraydesk.links.mended import read_again_of_patients as read_of_patients
from xraydesk.links.mended import read_again_under_rules as read_under_rules
from xraydesk.links.messages import apply_waiting
from xraydesk.links.outgoing.tell import tell, tell_of_patient
from xraydesk.links.subscriptions.reaction import tell_subscribers
from xraydesk.links.subscriptions.topics import FACTS as SUBSCRIBED
from xraydesk.orders.queries import exam_key, exam_of
from xraydesk.patients.merges import numbers_of

BOOK_TASK = "book"
"""Name of the job that gives one waiting exam a place."""

Reaction = Callable[[Fact], None]
"""Runs in a transaction of its own, and changes nothing when run again."""


def triage(fact: Fact) -> None:
    """Let the rules decide about an exam that came or was changed."""
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        triage_exam(exam_id=exam_id, at=clock.now())


def apply_what_waited(fact: Fact) -> None:
    """A report, an appointment, a change or a cancellation may have come before its order: now it has an exam."""
    exam = exam_of(site_id=fact.site_id, accession=fact.accession)
    if exam:
        numbers = (exam.accession, exam.filler, exam.study_instance_uid, exam.order.placer)
        apply_waiting(site=exam.site, numbers=numbers, at=clock.now())
        apply_what_was_said_after(exam=exam, at=clock.now())


def book_accepted(fact: Fact) -> None:
    """Give an accepted exam its place, as the site's policies say."""
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        place_by_itself(exam_id=exam_id, at=clock.now())


def let_in_raised(fact: Fact) -> None:
    """An exam was raised where it stands: where it would be late now, others give way for it as for a new one."""
    if fact.kind == FactKind.ORDER_CHANGED and "priority" not in fact.data.get("changed", ()):
        return
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        let_in(exam_id=exam_id, at=clock.now(), raised=True)


def try_waiting_after_cancel(fact: Fact) -> None:
    """An exam was cancelled: where it had a place, that one is free."""
    if fact.room:
        try_waiting_again(fact)


def try_waiting_again(fact: Fact) -> None:
    """A room or a place has become free: try the exams for which none was found, each in a job of its own."""
    for exam_id in waiting_in_order(site_id=fact.site_id):
        jobs.configure_task(BOOK_TASK, queue="reactions").defer(exam_id=exam_id)


def send_images(fact: Fact) -> None:
    """Images of an exam that was performed go on to their destinations, unless their label is in doubt."""
    exam = exam_of(site_id=fact.site_id, accession=fact.accession)
    if exam:
        at = clock.now()
        look_at_pictures(exam, at=at)
        if has_images_to_send(exam.pk):
            shown = was_told(site=exam.site, accession=exam.accession, at=at)
            queue_deliveries(exam_id=exam.pk, at=at, shown=shown)


def plan_porter(fact: Fact) -> None:
    """The porter's jobs follow the exam's place."""
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        plan_transport(exam_id=exam_id, at=clock.now())


def plan_porters_of_patient(fact: Fact) -> None:
    """A patient moved to another bed: whoever fetches them goes there."""
    if fact.patient:
        plan_of_patient(site_id=fact.site_id, patient_id=fact.patient, at=clock.now())


def plan_company(fact: Fact) -> None:
    """An interpreter or escort follows the exam's place."""
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        keep_company(exam_id=exam_id, at=clock.now())


def end_calling_readers(fact: Fact) -> None:
    """A report came: nobody is called any more to open the images."""
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        was_read(exam_id=exam_id, at=clock.now())


def find_priors(fact: Fact) -> None:
    """Whoever reads this exam wants what was done before beside it."""
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        look_for_priors(exam_id=exam_id, at=clock.now())


def review_charges(fact: Fact) -> None:
    """What an exam is charged for follows what was done."""
    exam_id = exam_key(site_id=fact.site_id, accession=fact.accession)
    if exam_id:
        review_charge(exam_id=exam_id, at=clock.now())


def read_again_under_rules(fact: Fact) -> None:
    """The site's file changed: what could not be read by a link's rules is read again by those of today."""
    read_under_rules(site=Site.objects.get(pk=fact.site_id), at=clock.now())


def read_again_of_patient(fact: Fact) -> None:
    """Records were made one, parted or named otherwise: what waits because of them is read again."""
    if fact.kind == FactKind.PATIENT_UPDATED and not fact.data.get("identity"):
        return
    keys = {key for key in (fact.patient, fact.data.get("other")) if key}
    numbers = [number.value for number in numbers_of(keys)]
    read_of_patients(site=Site.objects.get(pk=fact.site_id), numbers=numbers, at=clock.now())


def correct_images_of_patient(fact: Fact) -> None:
    """Records were made one, parted or named otherwise: images that have not left go out as the patient is known now.

    Not where the record may be of another person now: its images would go out under that one's name.
    """
    is_named_otherwise = fact.data.get("identity") and not fact.data.get("in_doubt")
    if fact.kind != FactKind.PATIENT_UPDATED or is_named_otherwise:
        keys = {key for key in (fact.patient, fact.data.get("other")) if key}
        correct_as_known(patient_ids=keys, at=clock.now())


_REACTIONS: dict[FactKind, tuple[Reaction, ...]] = {
    FactKind.ORDER_RECEIVED: (triage, apply_what_waited),
    FactKind.ORDER_CHANGED: (triage, book_accepted, let_in_raised, review_charges, tell),
    FactKind.ORDER_CANCELLED: (try_waiting_after_cancel, review_charges, tell, tell_ehrs, plan_porter),
    FactKind.EXAM_CANCELLED: (try_waiting_after_cancel, review_charges, tell, tell_ehrs, plan_porter),
    FactKind.ORDER_JOINED: (apply_what_waited, review_charges),
    FactKind.TOLD_AGAIN: (tell,),
    FactKind.ORDER_PARTED: (review_charges,),
    FactKind.EXAM_PARTED: (tell,),
    FactKind.EXAM_ACCEPTED: (book_accepted,),
    FactKind.IMAGE_MATCHED: (send_images, review_charges, tell_ehrs),
    FactKind.IMAGE_QUARANTINED: (review_charges,),
    FactKind.IMAGE_REJECTED: (review_charges, tell_ehrs),
    FactKind.IMAGE_MOVED: (review_charges, tell_ehrs),
    FactKind.IMAGE_HELD: (review_charges,),
    FactKind.DECISION_UNDONE: (send_images, review_charges, tell_ehrs),
    FactKind.EXAM_ENDED: (send_images, review_charges, tell, tell_ehrs, plan_porter, find_priors),
    FactKind.OUTSIDE_TAKEN: (send_images, tell, tell_ehrs),
    FactKind.EXAM_DISCONTINUED: (send_images, review_charges, tell, tell_ehrs, plan_porter),
    FactKind.EXAM_REOPENED: (book_accepted, review_charges, plan_porter),
    FactKind.REPORT_RECEIVED: (review_charges, tell, tell_ehrs, end_calling_readers),
    FactKind.EXAM_TAKEN: (try_waiting_again, tell, tell_ehrs, plan_porter),
    FactKind.BOOKING_RELEASED: (try_waiting_again, tell, tell_ehrs, plan_porter, plan_company),
    FactKind.HOLD_ENDED: (try_waiting_again,),
    FactKind.ROOM_READY: (try_waiting_again,),
    FactKind.ROOM_CLOSURE_ENDED: (try_waiting_again,),
    FactKind.TECHNOLOGIST_BACK: (try_waiting_again,),
    FactKind.EXAM_BOOKED: (tell, tell_ehrs, plan_porter, plan_company, find_priors),
    FactKind.EXAM_MOVED: (tell, tell_ehrs, plan_porter, plan_company),
    FactKind.PRIORITY_CHANGED: (let_in_raised, tell),
    FactKind.NO_SHOW: (tell, tell_ehrs, plan_porter),
    FactKind.NO_SHOW_UNDONE: (tell, tell_ehrs, plan_porter, plan_company),
    FactKind.EXAM_BEGUN: (tell, plan_porter),
    FactKind.CHARGE_READY: (tell,),
    FactKind.CHARGE_CREDITED: (tell,),
    FactKind.PATIENT_ARRIVED: (plan_porter, tell_ehrs, find_priors),
    FactKind.ARRIVAL_UNDONE: (plan_porter, tell_ehrs),
    FactKind.PATIENT_MOVED: (plan_porters_of_patient,),
    FactKind.PATIENT_UPDATED: (correct_images_of_patient, tell_of_patient, read_again_of_patient),
    FactKind.PATIENTS_MERGED: (
        plan_porters_of_patient,
        correct_images_of_patient,
        tell_of_patient,
        read_again_of_patient,
    ),
    FactKind.PATIENTS_PARTED: (
        plan_porters_of_patient,
        correct_images_of_patient,
        tell_of_patient,
        read_again_of_patient,
    ),
    FactKind.STAY_MOVED: (plan_porters_of_patient, tell_of_patient, read_again_of_patient),
    FactKind.NUMBER_MOVED: (read_again_of_patient,),
    FactKind.SITE_LOADED: (read_again_under_rules,),
    FactKind.FINDING_OPENED: (tell_ehrs,),
    FactKind.FINDING_DISMISSED: (tell_ehrs,),
    FactKind.FINDING_CALLED: (tell_ehrs,),
    FactKind.FINDING_ESCALATED: (tell_ehrs,),
    FactKind.FINDING_READ_BACK: (tell_ehrs,),
}
REACTIONS: dict[FactKind, tuple[Reaction, ...]] = _REACTIONS | {
    kind: (*_REACTIONS.get(kind, ()), tell_subscribers) for kind in SUBSCRIBED
}
"""What follows from each kind of fact; whoever subscribed to one is told last."""
