"""Two records made one: everything follows, nothing is lost, and all of it goes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.billing.actions import write_coverage
from xraydesk.billing.models import Coverage
from xraydesk.contact.actions import give_notice
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.imaging.states import StepState
from xraydesk.journey.errors import (
    IncompleteOrder,
    PatientConflict,
    PersonDecides,
    SamePatient,
    UnknownMerge,
    WrongState,
)
from xraydesk.journey.merge import Merged, merge_by_hand, receive_merge, undo_merge
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam, Order
from xraydesk.patients.demographics import Demographics, Identifier, Name, VisitDetails
from xraydesk.patients.merge_rules import MergeKind, MergeNews
from xraydesk.patients.models import Alert, Merge, Patient, Visit
from xraydesk.patients.queries import by_identifier
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return make_site()


def number(value: str) -> Identifier:
    return Identifier(value, "HOSP", "MR")


def said(*numbers: str, visit: VisitDetails | None = None) -> Demographics:
    return Demographics(
        identifiers=tuple(map(number, numbers)),
        name=Name("Prüfer", "Ada"),
        birth_date=date(1969, 5, 12),
        sex="F",
        visit=visit or VisitDetails(),
    )


def merge(
    site: Site,
    stays: str = "N1",
    goes: str = "N2",
    kind: MergeKind = MergeKind.MERGE,
    visit: VisitDetails | None = None,
    **more: str,
) -> Merged:
    prior = (number(goes),) if goes else ()
    news = MergeNews(kind, said(stays, visit=visit), prior, **more)
    return receive_merge(site=site, news=news, link="EHR", at=AT, by="link:EHR", why="ADT^A40 from EHR")


def two(site: Site) -> tuple[Patient, Patient]:
    return make_patient(site, number="N1"), make_patient(site, number="N2", family="Unknown", given="Two")


def stay(patient: Patient, number: str, **fields: str) -> Visit:
    return Visit.objects.create(
        site=patient.site, patient=patient, number=number, patient_class="I", changed_at=AT, **fields
    )


def begin(exam: Exam) -> None:
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        ae_title="XR1",
        state=StepState.IN_PROGRESS,
        started_at=AT,
        by="modality:XR1",
    )
    StepExam.objects.create(step=step, exam=exam)


def everything_of(patient: Patient) -> dict[str, int]:
    return {
        "orders": Order.objects.filter(patient=patient).count(),
        "exams": Exam.objects.filter(patient=patient).count(),
        "bookings": Booking.objects.filter(patient=patient).count(),
        "jobs": TransportJob.objects.filter(patient=patient).count(),
        "notices": patient.notices.count(),
        "visits": patient.visits.count(),
        "alerts": patient.alerts.count(),
        "items": Item.objects.filter(patient=patient.pk).count(),
    }


def with_everything(patient: Patient) -> Exam:
    exam = make_exam(patient.site, patient=patient)
    make_booking(exam)
    TransportJob.objects.create(
        site=patient.site,
        exam=exam,
        patient=patient,
        kind=JobKind.FETCH,
        from_place="W3",
        to_place="XR1",
        due_at=AT,
        asked_at=AT,
    )
    give_notice(exam=exam, text="Your exam was moved", at=AT, due_at=AT)
    stay(patient, "V2")
    Alert.objects.create(site=patient.site, patient=patient, kind="allergy", text="latex", at=AT)
    raise_item(site_id=patient.site_id, kind=ItemKind.EXAM_HELD, key="held", at=AT, patient=patient.pk)
    return exam


def test_everything_that_hangs_on_a_record_goes_with_it_and_comes_back(site: Site) -> None:
    """Row 19: unmerge is one action."""
    ada, other = two(site)
    exam = with_everything(other)
    numbers = (exam.accession, exam.study_instance_uid, exam.requested_procedure_id, exam.scheduled_step_id)
    before = everything_of(other)
    assert set(before.values()) == {1}
    done = merge(site)
    assert done.patient == ada
    assert everything_of(ada) == before
    assert set(everything_of(other).values()) == {0}
    exam.refresh_from_db()
    assert numbers == (
        exam.accession,
        exam.study_instance_uid,
        exam.requested_procedure_id,
        exam.scheduled_step_id,
    )
    assert by_identifier(site=site, value="N2") == ada
    undo_merge(merge_id=done.merges[0].pk, at=AT, by="user:ada")
    assert everything_of(other) | {"items": 1} == before
    assert by_identifier(site=site, value="N2") == other
    with pytest.raises(WrongState, match="already"):
        undo_merge(merge_id=done.merges[0].pk, at=AT, by="user:ada")


def test_the_exam_and_the_record_both_tell_of_it(site: Site) -> None:
    _, other = two(site)
    exam = make_exam(site, patient=other)
    done = merge(site)
    undo_merge(merge_id=done.merges[0].pk, at=AT, by="user:ada")
    told = Fact.objects.filter(accession=exam.accession).values_list("kind", "data__why")
    assert list(told) == [
        (FactKind.EXAM_REASSIGNED, "ADT^A40 from EHR"),
        (FactKind.EXAM_REASSIGNED, "parted again"),
    ]
    of_record = Fact.objects.filter(accession="", patient=done.patient.pk).order_by("id")
    assert [f.kind for f in of_record] == [FactKind.PATIENTS_MERGED, FactKind.PATIENTS_PARTED]
    assert of_record[0].data["exams"] == 1


def test_a_merge_repeated_changes_nothing(site: Site) -> None:
    """Row 19: idempotent."""
    two(site)
    assert merge(site).is_new
    facts = Fact.objects.count()
    again = merge(site)
    assert not again.is_new
    assert (Merge.objects.count(), Fact.objects.count()) == (1, facts)


def test_a_merge_into_itself_or_in_a_circle_changes_nothing(site: Site) -> None:
    """Row 18."""
    ada, _ = two(site)
    with pytest.raises(SamePatient, match="the number that goes"):
        merge(site, "N1", "N1")
    merge(site, "N1", "N2")
    with pytest.raises(SamePatient, match="nothing was changed"):
        merge(site, "N2", "N1")
    make_patient(site, number="N3")
    merge(site, "N3", "N1")
    with pytest.raises(SamePatient):
        merge(site, "N2", "N3")
    with pytest.raises(PersonDecides, match="third"):
        merge(site, "N9", "N2")
    assert Merge.objects.count() == 2
    assert not Patient.objects.filter(merged_into__merged_into__isnull=False).exists()
    assert by_identifier(site=site, value="N2") == by_identifier(site=site, value="N3") != ada


def test_chains_can_be_parted_in_any_order(site: Site) -> None:
    ada, other = two(site)
    third = make_patient(site, number="N3")
    exam = make_exam(site, patient=other)
    first = merge(site, "N1", "N2").merges[0]
    second = merge(site, "N3", "N1").merges[0]
    exam.refresh_from_db()
    assert exam.patient == third
    undo_merge(merge_id=first.pk, at=AT, by="user:ada")
    exam.refresh_from_db()
    assert exam.patient == other
    assert by_identifier(site=site, value="N1") == third
    undo_merge(merge_id=second.pk, at=AT, by="user:ada")
    exam.refresh_from_db()
    assert (exam.patient, exam.order.patient) == (other, other)
    assert by_identifier(site=site, value="N1") == ada
    assert not Patient.objects.exclude(merged_into=None).exists()


def test_parting_the_newest_first_gives_the_middle_record_its_own_back(site: Site) -> None:
    ada, other = two(site)
    make_patient(site, number="N3")
    exam = make_exam(site, patient=other)
    first = merge(site, "N1", "N2").merges[0]
    second = merge(site, "N3", "N1").merges[0]
    undo_merge(merge_id=second.pk, at=AT, by="user:ada")
    exam.refresh_from_db()
    assert exam.patient == ada
    undo_merge(merge_id=first.pk, at=AT, by="user:ada")
    exam.refresh_from_db()
    assert exam.patient == other


def test_a_merge_that_comes_before_the_record_that_goes_is_remembered(site: Site) -> None:
    ada = make_patient(site, number="N1")
    merge(site, "N1", "N7")
    assert by_identifier(site=site, value="N7") == ada
    assert not merge(site, "N1", "N7").is_new


def test_the_record_that_stays_is_made_where_it_is_new_and_what_it_lists_of_the_other_does_not_confuse(
    site: Site,
) -> None:
    other = make_patient(site, number="N2")
    exam = make_exam(site, patient=other)
    news = MergeNews(MergeKind.MERGE, said("N1", "N2"), (number("N2"),))
    done = receive_merge(site=site, news=news, link="EHR", at=AT, by="link:EHR", why="ADT^A40")
    exam.refresh_from_db()
    assert exam.patient == done.patient != other


def test_one_person_cannot_be_in_two_places_the_exam_that_has_begun_keeps_its_own(site: Site) -> None:
    ada, other = two(site)
    planned = make_booking(make_exam(site, patient=ada), room="XR1")
    going = make_exam(site, patient=other)
    under_way = make_booking(going, room="XR2", booked_at=AT + timedelta(minutes=1))
    begin(going)
    merge(site)
    planned.refresh_from_db()
    under_way.refresh_from_db()
    assert (planned.state, under_way.state) == (BookingState.RELEASED, BookingState.BOOKED)
    assert Fact.objects.get(kind=FactKind.BOOKING_RELEASED).accession == planned.exam.accession


def test_of_two_places_the_one_whose_patient_is_here_stands_else_the_one_booked_first(site: Site) -> None:
    ada, other = two(site)
    first = make_booking(make_exam(site, patient=ada), room="XR1")
    second = make_booking(
        make_exam(site, patient=other), room="XR2", booked_at=AT + timedelta(minutes=1), arrived_at=AT
    )
    later = make_booking(
        make_exam(site, patient=ada),
        room="XR1",
        start=AT + timedelta(hours=1),
        booked_at=AT + timedelta(minutes=2),
    )
    earlier = make_booking(make_exam(site, patient=other), room="XR2", start=AT + timedelta(hours=1))
    merge(site)
    for booking in (first, second, later, earlier):
        booking.refresh_from_db()
    assert [b.state for b in (first, second, later, earlier)] == ["released", "booked", "released", "booked"]


def test_a_renumbered_patient_is_found_by_both_numbers_and_named_by_the_new_one(site: Site) -> None:
    ada = make_patient(site, number="N1")
    done = merge(site, "N5", "N1", MergeKind.RENUMBER)
    assert done.patient == ada
    assert [n.value for n in ada.identifiers.all()] == ["N5"]
    assert by_identifier(site=site, value="N1") == ada
    assert not merge(site, "N5", "N1", MergeKind.RENUMBER).is_new
    undo_merge(merge_id=done.merges[0].pk, at=AT, by="user:ada")
    assert {n.value for n in ada.identifiers.all()} == {"N1", "N5"}


def test_a_number_of_another_record_is_no_new_number(site: Site) -> None:
    two(site)
    with pytest.raises(PersonDecides, match="of another"):
        merge(site, "N1", "N2", MergeKind.RENUMBER)


def test_a_second_number_of_one_record_that_goes_is_retired(site: Site) -> None:
    ada = make_patient(site, number="N1")
    ada.identifiers.create(site=site, value="N2", authority="HOSP", type="MR")
    assert merge(site).is_new
    assert [n.value for n in ada.identifiers.all()] == ["N1"]
    assert not merge(site).is_new


def inpatient(patient: Patient, visit: str, account: str = "") -> Exam:
    exam = make_exam(patient.site, patient=patient)
    Order.objects.filter(pk=exam.order_id).update(visit_number=visit, account=account)
    return exam


def test_a_stay_written_down_for_the_wrong_patient_goes_over_with_its_orders(site: Site) -> None:
    ada, other = two(site)
    moving, staying = inpatient(other, "V7"), inpatient(other, "V8")
    stay(other, "V7")
    make_booking(moving)
    visit = VisitDetails(number="V7", patient_class="I")
    done = merge(site, kind=MergeKind.MOVE_VISIT, visit=visit, prior_visit="V7")
    for exam in (moving, staying):
        exam.refresh_from_db()
    assert (moving.patient, staying.patient) == (ada, other)
    assert (Booking.objects.get().patient, Visit.objects.get(number="V7").patient) == (ada, ada)
    assert Patient.objects.filter(merged_into=None).count() == 2
    assert not merge(site, kind=MergeKind.MOVE_VISIT, visit=visit, prior_visit="V7").is_new
    undo_merge(merge_id=done.merges[0].pk, at=AT, by="user:ada")
    moving.refresh_from_db()
    assert (moving.patient, Visit.objects.get(number="V7").patient) == (other, other)


def test_an_account_goes_over_with_all_its_stays(site: Site) -> None:
    ada, other = two(site)
    one, two_, left = (
        inpatient(other, "V1", "AC1"),
        inpatient(other, "V2", "AC1"),
        inpatient(other, "V3", "AC2"),
    )
    stay(other, "V1", account="AC1")
    done = merge(site, kind=MergeKind.MOVE_ACCOUNT, visit=VisitDetails(account="AC9"), prior_account="AC1")
    assert done.is_new
    for exam in (one, two_, left):
        exam.refresh_from_db()
    assert [e.patient for e in (one, two_, left)] == [ada, ada, other]
    assert one.order.account == "AC9"
    assert Visit.objects.get().patient == ada


def test_a_stay_that_is_not_here_or_of_nobody_known_here_moves_nothing(site: Site) -> None:
    two(site)
    visit = VisitDetails(number="V7")
    assert not merge(site, kind=MergeKind.MOVE_VISIT, visit=visit, prior_visit="V7").is_new
    assert not merge(site, goes="N8", kind=MergeKind.MOVE_VISIT, visit=visit, prior_visit="V7").is_new


def test_a_stay_or_account_gets_another_number_with_its_orders(site: Site) -> None:
    ada = make_patient(site, number="N1")
    exam = inpatient(ada, "V1", "AC1")
    stay(ada, "V1", account="AC1")
    kind = MergeKind.RENUMBER_VISIT
    assert merge(site, goes="", kind=kind, visit=VisitDetails(number="V2"), prior_visit="V1").is_new
    assert not merge(site, goes="", kind=kind, visit=VisitDetails(number="V2"), prior_visit="V1").is_new
    kind = MergeKind.RENUMBER_ACCOUNT
    assert merge(site, goes="", kind=kind, visit=VisitDetails(account="AC2"), prior_account="AC1").is_new
    exam.order.refresh_from_db()
    visit = Visit.objects.get()
    assert (exam.order.visit_number, exam.order.account) == ("V2", "AC2") == (visit.number, visit.account)


def test_of_two_stays_that_were_one_only_one_goes_on(site: Site) -> None:
    ada = make_patient(site, number="N1")
    stay(ada, "V1")
    stay(ada, "V2")
    kind = MergeKind.RENUMBER_VISIT
    assert merge(site, goes="", kind=kind, visit=VisitDetails(number="V2"), prior_visit="V1").is_new
    assert Visit.objects.get(number="V1").state == Visit.State.CANCELLED
    assert not merge(site, goes="", kind=kind, visit=VisitDetails(number="V2"), prior_visit="V1").is_new


@pytest.mark.parametrize(
    "kind", [MergeKind.MERGE, MergeKind.MOVE_VISIT, MergeKind.RENUMBER_VISIT, MergeKind.RENUMBER_ACCOUNT]
)
def test_what_does_not_say_which_number_goes_is_refused(site: Site, kind: MergeKind) -> None:
    two(site)
    with pytest.raises(IncompleteOrder):
        merge(site, goes="", kind=kind)


def test_a_stay_cannot_come_from_several_patients(site: Site) -> None:
    two(site)
    make_patient(site, number="N3")
    news = MergeNews(MergeKind.MOVE_VISIT, said("N1"), (number("N2"), number("N3")), prior_visit="V1")
    with pytest.raises(PatientConflict):
        receive_merge(site=site, news=news, link="EHR", at=AT, by="link:EHR", why="ADT^A45")


def test_a_sender_takes_a_merge_back(site: Site) -> None:
    """Row 19: reversed, the two stand as before."""
    _, other = two(site)
    exam = make_exam(site, patient=other)
    merge(site)
    assert merge(site, kind=MergeKind.UNLINK).is_new
    exam.refresh_from_db()
    assert exam.patient == other
    assert not merge(site, kind=MergeKind.UNLINK).is_new
    with pytest.raises(PersonDecides):
        merge(site, "N1", "N9", MergeKind.UNLINK)
    merge(site)
    assert by_identifier(site=site, value="N2") == by_identifier(site=site, value="N1")


def test_a_person_makes_two_records_one(site: Site) -> None:
    ada, other = two(site)
    exam = make_exam(site, patient=other)
    done = merge_by_hand(site=site, stays_id=ada.pk, goes_id=other.pk, at=AT, by="user:ada")
    exam.refresh_from_db()
    assert (exam.patient, done.by) == (ada, "user:ada")
    with pytest.raises(PersonDecides):
        merge_by_hand(site=site, stays_id=ada.pk, goes_id=other.pk, at=AT, by="user:ada")
    with pytest.raises(PersonDecides):
        merge_by_hand(site=site, stays_id=other.pk, goes_id=ada.pk, at=AT, by="user:ada")
    elsewhere = make_patient(make_site(code="U"), number="N1")
    with pytest.raises(UnknownMerge):
        merge_by_hand(site=site, stays_id=ada.pk, goes_id=elsewhere.pk, at=AT, by="user:ada")
    with pytest.raises(UnknownMerge):
        undo_merge(merge_id=0, at=AT, by="user:ada")


def test_what_would_do_harm_to_lose_is_taken_over(site: Site) -> None:
    ada, other = two(site)
    Patient.objects.filter(pk=other.pk).update(pregnancy="yes", isolation="droplet")
    for patient in (ada, other):
        Alert.objects.create(site=site, patient=patient, kind="allergy", text="latex", at=AT)
    merge(site)
    ada.refresh_from_db()
    assert (ada.pregnancy, ada.isolation, ada.alerts.count()) == ("yes", "droplet", 1)


def test_a_merge_without_any_number_that_stays_is_refused(site: Site) -> None:
    two(site)
    nobody = replace(said("N1"), identifiers=())
    with pytest.raises(IncompleteOrder):
        receive_merge(
            site=site,
            news=MergeNews(MergeKind.RENUMBER_VISIT, nobody, prior_visit="V1"),
            link="EHR",
            at=AT,
            by="link:EHR",
            why="ADT^A42",
        )


def covered(patient: Patient, number: str) -> Coverage:
    return write_coverage(
        None,
        site=patient.site,
        patient=patient,
        number=number,
        authority="PAYS",
        status="active",
        subscriber="",
        payor="P",
        starts=None,
        ends=None,
        resource={},
        at=AT,
    )


def payers(patient: Patient) -> list[str]:
    return list(Coverage.objects.filter(patient=patient).order_by("pk").values_list("number", flat=True))


def test_who_pays_goes_with_the_record_and_comes_back(site: Site) -> None:
    stays, goes = two(site)
    for patient, numbers in ((stays, ("1", "same")), (goes, ("2", "same", ""))):
        for one in numbers:
            covered(patient, one)
    made = merge_by_hand(site=site, stays_id=stays.pk, goes_id=goes.pk, at=AT, by="user:ada")
    assert payers(stays) == ["1", "same", "2", ""]
    assert payers(goes) == ["same"], "that is known of the record that stays already"
    covered(stays, "since")
    undo_merge(merge_id=made.pk, at=AT, by="user:ada")
    assert payers(stays) == ["1", "same", "since"]
    assert payers(goes) == ["2", "same", ""]
