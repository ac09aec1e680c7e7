"""An image comes in, and finds its exam or a person."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from tests.factories import AT, make_exam, make_site
from xraydesk.attention.models import Item
from xraydesk.dose.queries import dose_of_exam
from xraydesk.imaging.actions import header_of
from xraydesk.imaging.models import Image
from xraydesk.imaging.queries import ImageCounts, counts_of_exam, counts_of_exams, images
from xraydesk.imaging.states import StepState
from xraydesk.journey import reconcile
from xraydesk.journey.errors import UnknownExam, UnknownImage, WrongState
from xraydesk.journey.keys import standing
from xraydesk.journey.tests.performing import begun, facts, header, open_items, received, told
from xraydesk.lib import clock
from xraydesk.orders.states import TriageState

pytestmark = pytest.mark.django_db


def test_an_image_of_its_exam_is_matched_and_its_dose_counts() -> None:
    site = make_site()
    exam = make_exam(site)
    said = header(exam, dap_gym2=2.05e-5, exposure_index=286.8)
    image = received(site, said)
    assert (image.state, image.exam, image.corrections) == ("matched", exam, {})
    assert facts(exam) == ["image received", "image matched", "dose recorded"]
    assert header_of(image) == said
    received(site, header(exam, dap_gym2=2.05e-5))
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == pytest.approx(4.1e-5)


def test_an_image_of_another_patient_is_quarantined_under_the_exam_it_claims_and_its_dose_does_not_count() -> (
    None
):
    """Row 34: a Study Instance UID under another patient is accepted, quarantined, an item."""
    site = make_site()
    exam = make_exam(site)
    image = received(site, header(exam, patient_id="W1", patient_name="Other^Person", dap_gym2=1e-5))
    assert (image.state, image.exam) == ("quarantined", exam)
    item = Item.objects.get(key=f"image:{image.pk}")
    assert (item.accession, item.sop_instance_uid) == (exam.accession, image.sop_instance_uid)
    assert "another patient number" in item.text
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 is None
    assert counts_of_exam(exam.pk) == ImageCounts(received=1, quarantined=1)


def test_an_image_of_no_exam_is_kept_and_becomes_an_item() -> None:
    site = make_site()
    image = received(site, header())
    assert (image.state, image.exam) == ("quarantined", None)
    assert Item.objects.get().kind == "image without an exam"


def test_an_exam_of_another_site_is_no_exam() -> None:
    site, other = make_site(), make_site(code="E")
    assert received(site, header(make_exam(other))).exam is None


def test_the_same_bytes_again_change_nothing_and_other_bytes_are_kept_beside_the_first() -> None:
    """Row 33: equal bytes are a no-op; of different bytes the first is kept, the second quarantined."""
    site = make_site()
    exam = make_exam(site)
    said = header(exam)
    first = received(site, said, content="one")
    assert received(site, said, content="one") == first
    second = received(site, said, content="two")
    assert received(site, said, content="two") == second
    assert (first.copy, first.state, second.copy, second.state) == (0, "matched", 1, "quarantined")
    assert Item.objects.get(closed_at=None).kind == "two images with one number"
    assert counts_of_exam(exam.pk) == ImageCounts(received=1, matched=1, quarantined=1)
    with pytest.raises(WrongState, match="same number"):
        reconcile.belongs_here(image_id=second.pk, exam_id=exam.pk, at=AT, by="user:c")
    reconcile.reject_image(image_id=second.pk, why="sent twice", at=AT, by="user:c")
    assert open_items(site) == []


def test_a_sender_that_gives_everything_one_number_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "COPIES_MAX", 2)
    site = make_site()
    said = header(make_exam(site))
    received(site, said)
    received(site, said)
    with pytest.raises(reconcile.TooManyCopies):
        received(site, said)


def test_a_person_says_where_an_image_belongs_and_it_is_corrected() -> None:
    """Row 40: the wrong entry was picked; reassigned, and corrected on the way out."""
    site = make_site()
    wrong, right = make_exam(site), make_exam(site)
    image = received(site, header(wrong, patient_id="W1", dap_gym2=1e-5))
    seen = standing(image)
    reconcile.belongs_here(image_id=image.pk, exam_id=right.pk, at=AT, by="user:c", as_seen={image.pk: seen})
    image.refresh_from_db()
    number = right.patient.identifiers.get().value
    assert (image.state, image.exam, image.decided_by) == ("matched", right, "user:c")
    assert image.corrections == {
        "PatientID": number,
        "IssuerOfPatientID": "HOSP",
        "AccessionNumber": right.accession,
        "StudyInstanceUID": right.study_instance_uid,
    }
    assert image.patient_id == "W1"
    assert facts(right) == ["image matched", "image corrected"]
    assert dose_of_exam(exam_id=right.pk).total_dap_gym2 == pytest.approx(1e-5)
    assert open_items(site) == []
    with pytest.raises(WrongState, match="c decided about this image meanwhile: it is matched"):
        reconcile.belongs_here(
            image_id=image.pk, exam_id=wrong.pk, at=AT, by="user:d", as_seen={image.pk: seen}
        )
    with pytest.raises(WrongState, match="meanwhile"):
        reconcile.reject_image(image_id=image.pk, why="mine", at=AT, by="user:d", as_seen={image.pk: seen})


def test_an_image_that_comes_late_does_not_go_where_a_person_said_that_its_others_do_not_belong() -> None:
    """Row 40: the study was corrected; a straggler still says what the others said."""
    site = make_site()
    picked, meant = make_exam(site), make_exam(site)
    wall = clock.in_zone(AT, site.timezone).replace(tzinfo=None)
    first = received(site, header(picked, series_instance_uid="1.2.3", acquired_at=wall))
    reconcile.belongs_here(image_id=first.pk, exam_id=meant.pk, at=AT, by="user:c")
    of_its_series = header(picked, series_instance_uid="1.2.3")
    at_its_time = header(picked, series_instance_uid="1.2.4", acquired_at=wall + timedelta(minutes=3))
    for said in (of_its_series, at_its_time):
        late = received(site, said)
        assert (late.state, late.exam) == ("quarantined", picked)
        assert late.why == "a person said that what was taken with it belongs to another exam"
    done_later = header(picked, series_instance_uid="1.2.5", acquired_at=wall + timedelta(hours=1))
    assert received(site, done_later).state == "matched"
    assert (
        received(site, header(picked, study_instance_uid="", series_instance_uid="1.2.3")).state == "matched"
    )


def test_a_rejected_image_goes_nowhere_and_its_dose_counts_for_nobody() -> None:
    site = make_site()
    exam = make_exam(site)
    image = received(site, header(exam, dap_gym2=1e-5))
    reconcile.reject_image(image_id=image.pk, why="phantom", at=AT, by="user:c")
    image.refresh_from_db()
    assert (image.state, image.why) == ("rejected", "phantom")
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 is None
    with pytest.raises(WrongState):
        reconcile.reject_image(image_id=image.pk, why="again", at=AT, by="user:c")


def test_what_is_not_here_cannot_be_decided_about() -> None:
    site, other = make_site(), make_site(code="E")
    image = received(site, header())
    with pytest.raises(UnknownExam):
        reconcile.belongs_here(image_id=image.pk, exam_id=make_exam(other).pk, at=AT, by="user:c")
    with pytest.raises(UnknownImage):
        reconcile.reject_image(image_id=0, why="", at=AT, by="user:c")


def test_held_images_are_released_or_given_to_their_exam_and_the_item_ends() -> None:
    site = make_site()
    exam, right = make_exam(site), make_exam(site)
    uid = begun(site, exam)
    one, two = received(site, header(exam, dap_gym2=1e-5)), received(site, header(exam, dap_gym2=2e-5))
    told(site, uid, StepState.IN_PROGRESS, dap_gym2=3e-5)
    told(site, uid, StepState.DISCONTINUED, reason_code="110514", dap_gym2=3e-5)
    received(site, header(exam, patient_id="W1"))
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 is None
    assert counts_of_exam(exam.pk) == ImageCounts(received=3, held=2, quarantined=1)
    key = f"images held:{exam.accession}"
    reconcile.belongs_here(image_id=one.pk, exam_id=right.pk, at=AT, by="user:c")
    assert key in open_items(site)
    assert reconcile.release_held(exam_id=exam.pk, at=AT, by="user:c") == 1
    assert key not in open_items(site)
    two.refresh_from_db()
    assert two.state == "matched"
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == pytest.approx(2e-5)
    assert dose_of_exam(exam_id=right.pk).total_dap_gym2 == pytest.approx(1e-5)


def test_an_image_of_a_cancelled_exam_waits_for_a_person_unless_it_was_begun() -> None:
    site = make_site()
    exam = make_exam(site, triage=TriageState.CANCELLED)
    assert received(site, header(exam)).state == "quarantined"
    begun(site, exam)
    assert received(site, header(exam)).state == "matched"


def test_counts_and_lists_of_many_exams(django_assert_num_queries) -> None:
    site = make_site()
    exams = [make_exam(site) for _ in range(3)]
    for exam in exams[:2]:
        received(site, header(exam))
    stray = received(site, header(exams[2], study_instance_uid="1.2", accession="OTHER"))
    with django_assert_num_queries(1):
        counts = counts_of_exams(exam.pk for exam in exams)
    assert counts == {exam.pk: ImageCounts(received=1, matched=1) for exam in exams[:2]}
    assert counts[exams[0].pk].as_json()["matched"] == 1
    assert list(images(site=site, accession="OTHER")) == [stray]
    assert len(images(site=site)) == 3


@pytest.mark.django_db(transaction=True)
def test_one_object_sent_over_many_associations_at_once_is_stored_once() -> None:
    """Row 33, under concurrency."""
    site = make_site()
    said = header(make_exam(site))

    def send() -> None:
        try:
            received(site, said, content="one")
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Image.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_images_of_one_exam_wait_not_for_each_other_and_what_holds_them_waits_for_all() -> None:
    """Row 36, under concurrency: an image under way when its exam is reopened is held like those before it."""
    site = make_site()
    exam = make_exam(site)
    uid = begun(site, exam)

    def elsewhere(what: Callable[[], object], *, wait_ms: int) -> Future[object]:
        """Done over another connection, which waits so long for a lock."""

        def run() -> object:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"SET lock_timeout = {wait_ms}")
                return what()
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(run)

    def reopen() -> None:
        told(site, uid, StepState.DISCONTINUED, reason_code="110514")

    with transaction.atomic():
        received(site, header(exam))
        assert elsewhere(lambda: received(site, header(exam)).state, wait_ms=20_000).result() == "matched"
        assert isinstance(elsewhere(reopen, wait_ms=50).exception(), OperationalError)
    reopen()
    assert [image.state for image in Image.objects.all()] == ["held", "held"]
