"""Images go on once their exam was performed."""

from __future__ import annotations

from dataclasses import replace
from datetime import time, timedelta

import pytest

from tests.factories import AT, make_booking, make_exam, make_site
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.queries import ImageCounts, counts_of_exam
from xraydesk.imaging.rules import ATTEMPTS_MAX, AWAY_ATTEMPTS_MAX
from xraydesk.imaging.states import StepState
from xraydesk.journey import overdue, reconcile, route, routed
from xraydesk.journey.errors import WrongState
from xraydesk.journey.tests.performing import (
    PACS,
    begun,
    header,
    jobs,
    minutes,
    open_items,
    received,
    site_with_pacs,
    told,
)
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.routing_plan import DestinationPlan, RoutePlan

pytestmark = pytest.mark.django_db


def performed(site) -> tuple[Exam, Image]:
    exam = make_exam(site)
    uid = begun(site, exam)
    image = received(site, header(exam))
    told(site, uid, StepState.COMPLETED)
    return exam, image


def queue(exam: Exam) -> int:
    return route.queue_deliveries(exam_id=exam.pk, at=AT)


def test_images_wait_for_the_end_of_their_exam_and_go_once() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    received(site, header(exam))
    assert queue(exam) == 0
    uid = begun(site, exam)
    assert queue(exam) == 0
    told(site, uid, StepState.COMPLETED)
    assert [queue(exam), queue(exam)] == [1, 0]
    assert jobs("deliver") == [{"site_id": site.pk, "destination": "PACS", "lane": 0}]
    received(site, header(exam))
    assert queue(exam) == 1
    assert len(jobs("deliver")) == 1


def test_more_images_than_are_held_at_once_all_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "IMAGES_AT_ONCE_MAX", 2)
    site = site_with_pacs()
    exam, first = performed(site)
    images = [first, *(received(site, header(exam)) for _ in range(4))]
    assert [queue(exam), queue(exam)] == [5, 0]
    assert set(Delivery.objects.values_list("image", flat=True)) == {image.pk for image in images}


def test_quarantined_and_held_images_stay() -> None:
    site = site_with_pacs()
    exam, image = performed(site)
    received(site, header(exam, patient_id="W1"))
    assert queue(exam) == 1
    assert Delivery.objects.get().image == image


def test_a_site_without_a_file_sends_nothing() -> None:
    site = make_site()
    exam, _ = performed(site)
    assert queue(exam) == 0
    assert route.destinations_of(site) == ()


def test_an_image_is_sent_when_every_destination_has_it() -> None:
    archive = DestinationPlan("ARCHIVE", "ARCHIVE", "127.0.0.1", 11114)
    only_ct = DestinationPlan("CT", "CT", "127.0.0.1", 11115, sends=("CT",))
    site = site_with_pacs(PACS, archive, only_ct)
    exam, image = performed(site)
    assert queue(exam) == 2
    one, two = Delivery.objects.order_by("id")
    assert not route.record_sent(delivery_id=one.pk, at=AT)
    assert not route.record_sent(delivery_id=one.pk, at=AT)
    assert route.record_sent(delivery_id=two.pk, at=AT)
    image.refresh_from_db()
    assert image.state == "sent"
    assert counts_of_exam(exam.pk) == ImageCounts(received=1, matched=1, sent=1)


def test_a_destination_that_always_refuses_becomes_an_item_and_can_be_tried_again() -> None:
    """Row 41: capped retries, then an item."""
    site = site_with_pacs()
    exam, image = performed(site)
    queue(exam)
    delivery = Delivery.objects.get()
    at = AT
    for _ in range(ATTEMPTS_MAX - 1):
        again = route.record_failure(delivery_id=delivery.pk, at=at, why="it answered A700")
        assert again is not None
        assert again > at
        at = again
    assert route.record_failure(delivery_id=delivery.pk, at=at, why="it answered A700") is None
    assert route.record_failure(delivery_id=delivery.pk, at=at, why="late") is None
    key = f"delivery:{image.pk}:PACS"
    assert key in open_items(site)
    assert route.due(exam_id=exam.pk, destination="PACS", at=at) == []
    route.retry_delivery(delivery_id=delivery.pk, at=at, by="user:c")
    assert key not in open_items(site)
    assert route.due(exam_id=exam.pk, destination="PACS", at=at) == [delivery.pk]
    with pytest.raises(WrongState):
        route.retry_delivery(delivery_id=delivery.pk, at=at, by="user:c")


def test_a_destination_that_is_down_for_a_night_is_one_item_and_gets_all_of_it_by_itself() -> None:
    """Row 41: nothing was refused, so that nothing is given up."""
    site = site_with_pacs()
    exams = [performed(site)[0] for _ in range(2)]
    for exam in exams:
        queue(exam)
    ends = AT + timedelta(hours=12)
    for delivery in Delivery.objects.all():
        at = AT
        while at < ends:
            again = route.record_failure(
                delivery_id=delivery.pk, at=at, why="it takes no association", is_away=True
            )
            assert again is not None
            assert timedelta(0) < again - at <= timedelta(minutes=6)
            at = again
    assert [key for key in open_items(site) if "PACS" in key] == ["destination away:PACS"]
    route.destination_answers(site_id=site.pk, destination="PACS", at=ends)
    assert not [key for key in open_items(site) if "PACS" in key]
    delivery = Delivery.objects.earliest("pk")
    for _ in range(ATTEMPTS_MAX - AWAY_ATTEMPTS_MAX):
        route.record_failure(delivery_id=delivery.pk, at=ends, why="it answered A700")
    delivery.refresh_from_db()
    assert delivery.state == "failed", "what it refuses is given up all the same"


def test_everything_given_up_for_one_destination_is_tried_again_at_once() -> None:
    site = site_with_pacs()
    exam, _ = performed(site)
    queue(exam)
    Delivery.objects.update(state="failed", attempts=10)
    assert route.retry_destination(site=site, destination="PACS", at=AT, by="user:c") == 1
    assert route.retry_destination(site=site, destination="PACS", at=AT, by="user:c") == 0


def test_an_image_rejected_on_its_way_does_not_leave() -> None:
    site = site_with_pacs()
    exam, image = performed(site)
    queue(exam)
    reconcile.reject_image(image_id=image.pk, why="phantom", at=AT, by="user:c")
    assert Delivery.objects.get().state == "withdrawn"
    assert route.due(exam_id=exam.pk, destination="PACS", at=AT) == []


def test_an_image_held_and_released_goes_after_all() -> None:
    site = site_with_pacs()
    exam, _ = performed(site)
    queue(exam)
    Delivery.objects.update(state="withdrawn")
    assert queue(exam) == 1
    assert Delivery.objects.get().state == "waiting"


def test_images_whose_job_was_lost_are_asked_for_again() -> None:
    """Row 41: resumed after a kill."""
    site = site_with_pacs()
    exam, _ = performed(site)
    queue(exam)
    assert route.resume_deliveries(at=AT - timedelta(seconds=1)) == 0
    assert route.resume_deliveries(at=AT) == 1


def test_a_step_that_never_ends_is_flagged_once_it_is_old() -> None:
    """Row 36: an MPPS that never ends is flagged when old."""
    site = make_site()
    exam = make_exam(site)
    uid = begun(site, exam)
    assert overdue.flag_open_steps(site=site, at=AT + minutes(60)) == 0
    assert overdue.flag_open_steps(site=site, at=AT + minutes(60 * 5)) == 1
    (key,) = [k for k in open_items(site) if k.startswith("step open:")]
    told(site, uid, StepState.COMPLETED, at=AT + minutes(60 * 5))
    assert key not in open_items(site)


def test_images_of_an_exam_that_nobody_began_are_put_before_a_person() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    received(site, header(exam))
    assert overdue.flag_images_waiting(site=site, at=AT + minutes(10)) == 0
    assert overdue.flag_images_waiting(site=site, at=AT + minutes(31)) == 1
    assert open_items(site) == [f"images waiting:{exam.accession}"]
    begun(site, exam)
    overdue.flag_images_waiting(site=site, at=AT + minutes(36))
    assert f"images waiting:{exam.accession}" not in open_items(site)


def test_rules_see_where_and_when_an_exam_was_begun_and_the_way_keeps_its_reason() -> None:
    night = DestinationPlan("NIGHT", "NIGHT", "127.0.0.1", 11114)
    site = site_with_pacs(PACS, night)
    here = {"locations": ("MAIN",), "priorities": ("stat",), "classes": ("O",)}
    rule = RoutePlan("STAT on Monday mornings", to=("NIGHT",), hours={"mon": ((time(9), time(11)),)}, **here)
    site.plan = to_json(replace(from_json(site.plan), routes=(rule,)))
    site.save()
    exam = make_exam(site, priority="stat")
    planned = make_exam(site, priority="stat")
    make_booking(planned, start=AT + timedelta(days=1))
    begun_at = begun(site, exam)
    received(site, header(exam))
    told(site, begun_at, StepState.COMPLETED)
    late = AT + timedelta(days=1)
    assert route.queue_deliveries(exam_id=exam.pk, at=late) == 2
    assert dict(Delivery.objects.values_list("destination", "why")) == {
        "PACS": "everything goes there",
        "NIGHT": "rule “STAT on Monday mornings”",
    }
    found = routed.ways_of(planned, modalities=["DX"], at=AT)
    assert [(w.destination, w.goes) for w in found] == [("PACS", True), ("NIGHT", False)]
    unplanned = routed.routed_exams([make_exam(site)], at=AT)
    assert [(one.location, one.wall.hour) for one in unplanned.values()] == [("", 10)]


def test_an_image_that_must_not_go_somewhere_is_sent_once_the_others_have_it() -> None:
    site = site_with_pacs(PACS, DestinationPlan("LUNGS", "LUNGS", "127.0.0.1", 11114))
    exam, image = performed(site)
    queue(exam)
    pacs, lungs = Delivery.objects.order_by("id")
    route.record_refused(delivery_id=lungs.pk, at=AT, why="it is no image")
    route.record_refused(delivery_id=lungs.pk, at=AT, why="again")
    lungs.refresh_from_db()
    assert (lungs.state, lungs.last_error) == ("withdrawn", "it is no image")
    image.refresh_from_db()
    assert image.state == "matched"
    assert route.record_sent(delivery_id=pacs.pk, at=AT)
