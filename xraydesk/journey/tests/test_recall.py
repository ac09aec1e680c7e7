"""What has left under a wrong label is taken back from everybody who has it; what has not left can be undone."""

from __future__ import annotations

import pytest

from tests.factories import AT, make_exam, make_patient, make_site
from xraydesk.access.models import RecordRead
from xraydesk.dose.queries import dose_of_exam
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image
from xraydesk.imaging.queries import counts_of_exam
from xraydesk.imaging.rejection_rules import RejectionCode, note_of_json
from xraydesk.imaging.rules import ATTEMPTS_MAX
from xraydesk.imaging.states import StepState
from xraydesk.journey import recall, reconcile, route
from xraydesk.journey.errors import UnknownImage, WrongState
from xraydesk.journey.tests.performing import (
    PACS,
    begun,
    facts,
    header,
    jobs,
    minutes,
    open_items,
    received,
    site_with_pacs,
    told,
)
from xraydesk.orders.models import Exam
from xraydesk.siteplan.routing_plan import DestinationPlan

pytestmark = pytest.mark.django_db
ARCHIVE = DestinationPlan("ARCHIVE", "ARCHIVE", "127.0.0.1", 11114)
SERIES = "1.2.3.4"


def performed(site) -> Exam:
    exam = make_exam(site)
    told(site, begun(site, exam), StepState.COMPLETED)
    return exam


def another(site) -> Exam:
    exam = make_exam(site, patient=make_patient(site, number="N2", family="Other", given="Person"))
    told(site, begun(site, exam), StepState.COMPLETED)
    return exam


def sent(exam: Exam, *to: str, **said) -> Image:
    """An image of an exam that some destinations have."""
    image = received(exam.site, header(exam, series_instance_uid=SERIES, dap_gym2=1e-5, **said))
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    for delivery in image.deliveries.filter(destination__in=to):
        route.record_sent(delivery_id=delivery.pk, at=AT + minutes(1), corrections=image.corrections)
    image.refresh_from_db()
    return image


def notes() -> list[Image]:
    return list(Image.everything.filter(note__isnull=False).order_by("id"))


def give(image: Image, exam: Exam, **more) -> Image:
    made = reconcile.belongs_here(image_id=image.pk, exam_id=exam.pk, at=AT + minutes(9), by="user:c", **more)
    image.refresh_from_db()
    return made


def test_an_image_that_left_is_taken_back_and_goes_out_anew_under_new_numbers() -> None:
    """Row 40: the wrong entry was found out after the image had left."""
    site = site_with_pacs(PACS, ARCHIVE)
    wrong, right = performed(site), another(site)
    image = sent(wrong, "PACS", "ARCHIVE")
    RecordRead.objects.create(
        site=site,
        at=AT + minutes(2),
        who="user:dr.no",
        patient=wrong.patient_id,
        accession=wrong.accession,
        what="exam",
    )
    assert image.state == "sent"
    give(image, right)
    (note,) = notes()
    said = note_of_json(note.note)
    assert said.code == RejectionCode.WRONG_ENTRY
    assert (said.study_instance_uid, said.patient_id) == (wrong.study_instance_uid, image.patient_id)
    assert [(r.image_id, r.sop_instance_uid, r.series_instance_uid) for r in said.references] == [
        (image.pk, image.sop_instance_uid, SERIES)
    ]
    assert sorted(note.deliveries.values_list("destination", "state")) == [
        ("ARCHIVE", "waiting"),
        ("PACS", "waiting"),
    ]
    assert (image.state, image.exam) == ("matched", right)
    assert image.corrections["SOPInstanceUID"] != image.sop_instance_uid
    assert image.corrections["SeriesInstanceUID"] != SERIES
    assert image.corrections["PatientID"] == "N2"
    assert image.before is None
    told_of = Fact.objects.get(kind="image taken back")
    assert told_of.accession == wrong.accession
    assert told_of.data["had"] == "sent to ARCHIVE, PACS"
    assert told_of.data["seen"] == "seen here by dr.no"
    assert recall.notes_about(image) == [note]
    assert route.queue_deliveries(exam_id=right.pk, at=AT + minutes(10)) == 2
    assert {job["destination"] for job in jobs("deliver")} == {"PACS", "ARCHIVE"}
    with pytest.raises(WrongState, match="nothing to take back"):
        reconcile.undo_decision(image_id=image.pk, at=AT, by="user:c")


def test_a_note_is_no_image_of_the_exam_and_is_sent_as_images_are() -> None:
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    image = sent(wrong, "PACS")
    give(image, right)
    (note,) = notes()
    assert counts_of_exam(wrong.pk).received == 0
    assert not Image.objects.filter(pk=note.pk).exists()
    assert list(wrong.images.all()) == []
    assert route.due(exam_id=wrong.pk, destination="PACS", at=AT + minutes(10)) == [note.deliveries.get().pk]
    assert route.record_sent(delivery_id=note.deliveries.get().pk, at=AT + minutes(11), corrections={})
    note.refresh_from_db()
    assert note.state == "sent"


def test_only_those_who_have_an_image_are_told() -> None:
    site = site_with_pacs(PACS, ARCHIVE)
    wrong, right = performed(site), another(site)
    image = sent(wrong, "PACS")
    assert image.state == "matched"
    give(image, right)
    assert [d.destination for d in notes()[0].deliveries.all()] == ["PACS"]
    assert set(image.deliveries.values_list("state", flat=True)) == {"withdrawn"}


def test_an_image_that_left_is_rejected_with_the_reason_that_others_are_told() -> None:
    site = site_with_pacs()
    exam = performed(site)
    image = sent(exam, "PACS")
    reconcile.reject_image(image_id=image.pk, why="blurred", at=AT, by="user:c", code=RejectionCode.QUALITY)
    image.refresh_from_db()
    assert image.state == "rejected"
    assert note_of_json(notes()[0].note).code == "113001"
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 is None
    assert image.deliveries.get().state == "sent"
    with pytest.raises(WrongState):
        give(image, exam)


def test_part_of_a_study_goes_to_another_exam_in_a_series_of_its_own() -> None:
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    one, two, three = (received(site, header(wrong, series_instance_uid=SERIES)) for _ in range(3))
    give(one, right, also=[two.pk])
    two.refresh_from_db()
    three.refresh_from_db()
    assert one.corrections["SeriesInstanceUID"] == two.corrections["SeriesInstanceUID"] != SERIES
    assert "SOPInstanceUID" not in one.corrections
    assert (two.exam, three.exam, three.corrections) == (right, wrong, {})
    assert notes() == []


def test_all_of_a_study_goes_to_another_exam_and_keeps_its_series() -> None:
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    one, two = (received(site, header(wrong, series_instance_uid=SERIES)) for _ in range(2))
    give(one, right, also=[two.pk])
    assert "SeriesInstanceUID" not in one.corrections
    assert counts_of_exam(right.pk).matched == 2
    assert counts_of_exam(wrong.pk).received == 0


def test_a_decision_is_undone_as_long_as_nothing_has_left() -> None:
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    image = received(site, header(wrong, patient_id="W1", dap_gym2=1e-5))
    assert image.state == "quarantined"
    items = open_items(site)
    give(image, right)
    assert route.queue_deliveries(exam_id=right.pk, at=AT) == 1
    assert set(items) - set(open_items(site)) == {f"image:{image.pk}"}
    reconcile.undo_decision(image_id=image.pk, at=AT, by="user:c")
    image.refresh_from_db()
    assert (image.state, image.exam, image.corrections, image.decided_by) == ("quarantined", wrong, {}, "")
    assert set(open_items(site)) == set(items)
    assert dose_of_exam(exam_id=right.pk).total_dap_gym2 is None
    assert image.deliveries.get().state == "withdrawn"
    assert facts(right)[-1] == facts(wrong)[-1] == "decision about an image undone"
    with pytest.raises(WrongState, match="nothing to take back"):
        reconcile.undo_decision(image_id=image.pk, at=AT, by="user:c")


def test_a_rejection_is_undone_too_but_not_what_has_left() -> None:
    site = site_with_pacs()
    exam = performed(site)
    image = received(site, header(exam, dap_gym2=1e-5))
    reconcile.reject_image(image_id=image.pk, why="a test", at=AT, by="user:c")
    reconcile.undo_decision(image_id=image.pk, at=AT, by="user:c")
    image.refresh_from_db()
    assert image.state == "matched"
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == pytest.approx(1e-5)
    give(image, exam)
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    route.record_sent(delivery_id=image.deliveries.get().pk, at=AT, corrections=image.corrections)
    with pytest.raises(WrongState, match="has left"):
        reconcile.undo_decision(image_id=image.pk, at=AT, by="user:c")


def taken_back() -> list[tuple[str, str]]:
    """The study and the object of each rejection note."""
    said = [note_of_json(note.note) for note in notes()]
    return [(one.study_instance_uid, r.sop_instance_uid) for one in said for r in one.references]


@pytest.mark.parametrize("is_heard", [True, False])
@pytest.mark.parametrize("is_rejected", [True, False])
def test_what_was_on_its_way_when_somebody_decided_is_taken_back_at_once_and_on_its_arrival(
    is_rejected: bool, is_heard: bool
) -> None:
    """It goes out anew under a number of its own, whether or not it was heard that the old one is there."""
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    image = received(site, header(wrong, series_instance_uid=SERIES))
    route.queue_deliveries(exam_id=wrong.pk, at=AT)
    (delivery,) = route.offer(exam_id=wrong.pk, destination="PACS", at=AT)
    if is_rejected:
        reconcile.reject_image(image_id=image.pk, why="a test", at=AT, by="user:c")
    else:
        give(image, right)
        assert image.corrections["SOPInstanceUID"] != image.sop_instance_uid
        assert image.corrections["SeriesInstanceUID"] != SERIES
    old = (wrong.study_instance_uid, image.sop_instance_uid)
    assert taken_back() == [old]
    if is_heard:
        assert not route.record_sent(delivery_id=delivery.pk, at=AT, corrections={})
    else:
        why = "it did not answer"
        route.record_failure(delivery_id=delivery.pk, at=AT, why=why, corrections={}, may_have_it=True)
    assert taken_back() == [old, old]
    delivery.refresh_from_db()
    assert delivery.state == "withdrawn"


def test_what_a_killed_sender_may_have_sent_is_taken_back_and_its_number_is_not_used_again() -> None:
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    image = received(site, header(wrong, series_instance_uid=SERIES))
    route.queue_deliveries(exam_id=wrong.pk, at=AT)
    route.offer(exam_id=wrong.pk, destination="PACS", at=AT)
    image.refresh_from_db()
    assert image.state == "matched"
    with pytest.raises(WrongState, match="has left"):
        reconcile.undo_decision(image_id=image.pk, at=AT, by="user:c")
    give(image, right)
    assert taken_back() == [(wrong.study_instance_uid, image.sop_instance_uid)]
    assert image.corrections["SOPInstanceUID"] != image.sop_instance_uid


@pytest.mark.parametrize(
    ("before", "may_have_it", "is_told"),
    [(False, False, False), (False, True, True), (True, True, True)],
)
def test_a_destination_that_surely_took_nothing_is_told_nothing(
    before: bool, may_have_it: bool, is_told: bool
) -> None:
    """One that did not answer may have it, and one that is down later may have it from before."""
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    image = received(site, header(wrong))
    route.queue_deliveries(exam_id=wrong.pk, at=AT)
    if before:
        (way,) = route.offer(exam_id=wrong.pk, destination="PACS", at=AT)
        route.record_failure(delivery_id=way.pk, at=AT, why="it did not answer", may_have_it=True)
    (way,) = route.offer(exam_id=wrong.pk, destination="PACS", at=AT + minutes(1))
    assert way.may_have_it is before
    route.record_failure(delivery_id=way.pk, at=AT, why="told so", may_have_it=may_have_it)
    give(image, right)
    assert bool(taken_back()) is is_told


def test_what_was_kept_back_after_all_is_nowhere() -> None:
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    image = received(site, header(wrong))
    route.queue_deliveries(exam_id=wrong.pk, at=AT)
    ways = route.offer(exam_id=wrong.pk, destination="PACS", at=AT)
    route.record_not_offered(delivery_ids={way.pk for way in ways})
    give(image, right)
    assert taken_back() == []


def test_a_second_decision_never_brings_back_the_number_that_was_taken_back() -> None:
    site = site_with_pacs()
    wrong, right = performed(site), another(site)
    image = sent(wrong, "PACS")
    give(image, right)
    once = image.corrections["SOPInstanceUID"]
    assert route.queue_deliveries(exam_id=right.pk, at=AT) == 1
    give(image, wrong)
    assert image.corrections["SOPInstanceUID"] not in (image.sop_instance_uid, once)
    assert image.corrections["SeriesInstanceUID"] != SERIES
    assert len(notes()) == 1
    assert image.decided_by == "user:c"
    reconcile.undo_decision(image_id=image.pk, at=AT, by="user:c")
    image.refresh_from_db()
    assert (image.exam, image.corrections["SOPInstanceUID"]) == (right, once)
    route.queue_deliveries(exam_id=right.pk, at=AT)
    route.record_sent(delivery_id=image.deliveries.get().pk, at=AT, corrections=image.corrections)
    image.refresh_from_db()
    assert (image.state, image.decided_by) == ("sent", "user:c")
    give(image, wrong)
    assert taken_back() == [
        (wrong.study_instance_uid, image.sop_instance_uid),
        (right.study_instance_uid, once),
    ]
    assert image.corrections["SOPInstanceUID"] not in (image.sop_instance_uid, once)


def test_nobody_is_asked_to_send_again_what_was_decided_otherwise() -> None:
    site = site_with_pacs()
    exam = performed(site)
    image = received(site, header(exam))
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    key = f"delivery:{image.pk}:PACS"
    for _ in range(ATTEMPTS_MAX):
        route.record_failure(delivery_id=image.deliveries.get().pk, at=AT, why="it answered A700")
    assert key in open_items(site)
    reconcile.reject_image(image_id=image.pk, why="a test", at=AT, by="user:c")
    assert key not in open_items(site)


def test_images_of_two_sites_are_never_decided_together() -> None:
    site = site_with_pacs()
    exam = performed(site)
    image = received(site, header(exam))
    other = received(make_site("E"), header())
    with pytest.raises(UnknownImage):
        reconcile.belongs_here(image_id=image.pk, also=[other.pk], exam_id=exam.pk, at=AT, by="user:c")
