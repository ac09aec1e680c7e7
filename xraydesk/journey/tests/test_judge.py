"""Images are held before they go on where the time and place in which they were taken speak against their label."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import AT, make_booking, make_exam, make_patient
from xraydesk.attention.models import Item
from xraydesk.dose.queries import dose_of_exam
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.states import StepState
from xraydesk.journey import reconcile, route
from xraydesk.journey.tests.performing import begun, header, minutes, received, site_with_pacs, told
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room
from xraydesk.safety.models import SafetyCheck
from xraydesk.scheduling.models import Booking

pytestmark = pytest.mark.django_db


def taken(exam: Exam, at, **said) -> Image:
    """An image of an exam that its machine dates `at`."""
    wall = clock.in_zone(at, exam.site.timezone).replace(tzinfo=None)
    return received(exam.site, header(exam, acquired_at=wall, dap_gym2=1e-5, **said), at=at)


def done(exam: Exam, start, end, **said) -> None:
    uid = begun(exam.site, exam, at=start, **said)
    told(exam.site, uid, StepState.COMPLETED, at=end)


def queue(exam: Exam, **more) -> int:
    return route.queue_deliveries(exam_id=exam.pk, at=AT + minutes(60), **more)


def doubts(image: Image) -> list[str]:
    image.refresh_from_db()
    return [finding["doubt"] for finding in image.findings]


def another(site) -> Exam:
    return make_exam(site, patient=make_patient(site, number="N2", family="Other", given="Person"))


def test_an_image_taken_while_another_patients_exam_was_open_is_held_and_asked_about() -> None:
    site = site_with_pacs()
    mine, others = make_exam(site), another(site)
    done(mine, AT, AT + minutes(5))
    begun(site, others, at=AT + minutes(20))
    right, wrong = taken(mine, AT + minutes(2)), taken(mine, AT + minutes(25))
    assert queue(mine) == 1
    assert Delivery.objects.get().image == right
    assert doubts(wrong) == ["outside its time", "another exam open"]
    assert (wrong.state, wrong.decided_by) == ("held", "rule")
    item = Item.objects.get(key=f"image:{wrong.pk}")
    assert (item.kind, item.accession) == ("label of an image in doubt", mine.accession)
    assert "another patient's exam was open in XR1" in item.text
    assert dose_of_exam(exam_id=mine.pk).total_dap_gym2 == pytest.approx(1e-5)
    assert queue(mine) == 0


def test_what_a_person_decided_is_not_held_again() -> None:
    site = site_with_pacs()
    mine, others = make_exam(site), another(site)
    done(mine, AT, AT + minutes(5))
    begun(site, others, at=AT + minutes(20))
    image = taken(mine, AT + minutes(25))
    assert queue(mine) == 0
    reconcile.belongs_here(image_id=image.pk, exam_id=mine.pk, at=AT, by="user:c")
    assert queue(mine) == 1
    assert dose_of_exam(exam_id=mine.pk).total_dap_gym2 == pytest.approx(1e-5)


def test_an_image_from_the_machine_of_another_room_and_out_of_its_time_is_held() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    done(exam, AT, AT + minutes(5), ae_title="XR2")
    there, then = taken(exam, AT + minutes(2)), taken(exam, AT + minutes(30))
    assert queue(exam) == 1
    assert doubts(there) == ["another room"]
    assert doubts(then) == ["another room", "outside its time"]
    assert then.state == "held"


def test_a_portable_goes_about_and_a_worklist_that_did_not_tell_of_the_exam_weighs_too_little_alone() -> None:
    site = site_with_pacs()
    Room.objects.filter(site=site, code="XR1").update(kind="portable")
    exam = make_exam(site)
    done(exam, AT, AT + minutes(5), ae_title="XR2")
    image = taken(exam, AT + minutes(2))
    assert queue(exam, shown={"XR1": False}) == 1
    assert doubts(image) == ["not on the worklist"]


@pytest.mark.parametrize("seen", ["", "arrived", "checked", "stat"])
def test_a_wrong_entry_of_the_worklist_is_held_where_nobody_saw_its_patient(seen: str) -> None:
    """Row 40: an exam was begun whose patient nobody saw, while another one was here for the room."""
    site = site_with_pacs()
    picked, meant = make_exam(site, priority="stat" if seen == "stat" else "routine"), another(site)
    here = make_booking(meant, room="XR1", start=AT)
    Booking.objects.filter(pk=here.pk).update(arrived_at=AT - minutes(10))
    later = make_booking(picked, room="XR2", start=AT + minutes(120))
    if seen == "arrived":
        Booking.objects.filter(pk=later.pk).update(arrived_at=AT - minutes(5))
    if seen == "checked":
        SafetyCheck.objects.create(
            site=site, exam=picked, kind="identity", answer="yes", passed=True, at=AT, by="user:t"
        )
    done(picked, AT, AT + minutes(5))
    image = taken(picked, AT + minutes(2))
    queue(picked)
    assert doubts(image) == ([] if seen else ["another patient waited"])
    assert image.state == ("matched" if seen else "held")


def test_an_image_before_its_patient_was_here_and_out_of_its_time_is_held() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    booking = make_booking(exam, room="XR1", start=AT)
    Booking.objects.filter(pk=booking.pk).update(arrived_at=AT - minutes(5))
    done(exam, AT, AT + minutes(5))
    image = taken(exam, AT - timedelta(hours=2))
    assert queue(exam) == 0
    assert doubts(image) == ["outside its time", "before arrival"]


def test_a_dose_report_or_a_document_is_written_when_its_exam_is_over() -> None:
    site = site_with_pacs()
    mine, others = make_exam(site), another(site)
    done(mine, AT, AT + minutes(5))
    begun(site, others, at=AT + minutes(20))
    for modality in ("SR", "DOC"):
        written = taken(mine, AT + minutes(25), modality=modality)
        assert queue(mine) == 1
        assert doubts(written) == []
