"""What destinations promise to keep: asked for each exam, answered in any order, sent again where they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import AT, make_exam
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, Image, Promise
from xraydesk.imaging.promise_rules import ASKS_MAX, RESEND_WAIT_SECONDS
from xraydesk.imaging.states import StepState
from xraydesk.journey import promise, recall, reconcile, route
from xraydesk.journey.errors import WrongState
from xraydesk.journey.promise import Question, UnknownTransaction
from xraydesk.journey.tests import performing
from xraydesk.journey.tests.performing import (
    PACS,
    begun,
    header,
    jobs,
    minutes,
    received,
    site_with_pacs,
    told,
)
from xraydesk.orders.models import Exam

pytestmark = pytest.mark.django_db
KEEPER = replace(PACS, commits=True)


@pytest.fixture
def site():
    return site_with_pacs(KEEPER)


def sent(site, count: int = 1) -> tuple[Exam, list[str]]:
    """An exam whose images are at the PACS, and their numbers."""
    exam = make_exam(site)
    uid = begun(site, exam)
    images = [received(site, header(exam)) for _ in range(count)]
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    arrive(exam)
    return exam, [image.sop_instance_uid for image in images]


def arrive(exam: Exam, *, at=AT) -> None:
    for delivery in Delivery.objects.filter(image__exam=exam, state="waiting").order_by("id"):
        route.record_sent(delivery_id=delivery.pk, at=at, is_to_promise=True)


def ask(site, *, at=AT) -> Question:
    asked = promise.next_question(site=site, destination="PACS", at=at)
    assert asked is not None
    promise.question_taken(promise_id=asked.promise_id, at=at)
    return asked


def answer(site, asked: Question, *, kept=(), failed=(), code: int | None = 0x0112, at=AT) -> None:
    promise.answered(
        site=site,
        transaction_uid=asked.transaction_uid,
        kept=set(kept),
        failed=dict.fromkeys(failed, code),
        at=at,
        by="destination:PACS",
    )


def keeping() -> list[str]:
    return list(Delivery.objects.order_by("id").values_list("keeping", flat=True))


def open_items(site) -> list[str]:
    return [key for key in performing.open_items(site) if key.startswith("not kept")]


def key(exam: Exam) -> str:
    return f"not kept:PACS:{exam.accession}"


def test_images_are_asked_about_exam_by_exam_and_once(site) -> None:
    _, first = sent(site, 2)
    _, second = sent(site)
    one, two = ask(site), ask(site)
    assert [uid for _, uid in one.objects] == first
    assert [uid for _, uid in two.objects] == second
    assert one.transaction_uid != two.transaction_uid
    assert promise.next_question(site=site, destination="PACS", at=AT) is None
    answer(site, one, kept=first)
    assert keeping() == ["committed", "committed", "asked"]
    fact = Fact.objects.get(kind="kept by a destination")
    assert (fact.data["destination"], len(fact.data["images"]), fact.by) == ("PACS", 2, "destination:PACS")
    answer(site, one, kept=first)
    assert Fact.objects.filter(kind="kept by a destination").count() == 1


def test_a_destination_that_is_not_asked_promises_nothing() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    uid = begun(site, exam)
    received(site, header(exam))
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    route.record_sent(delivery_id=Delivery.objects.get().pk, at=AT)
    assert (keeping(), promise.committing(site)) == ([""], {})
    assert promise.look_after_promises(site=site, at=AT) == 0


def test_an_answer_in_parts_counts_in_parts(site) -> None:
    _, (one, two, three) = sent(site, 3)
    asked = ask(site)
    answer(site, asked, kept=[one])
    assert keeping() == ["committed", "asked", "asked"]
    answer(site, asked, kept=[two], failed=[three])
    assert keeping() == ["committed", "committed", "refused"]


def test_nobody_answers_what_nobody_asked(site) -> None:
    with pytest.raises(UnknownTransaction):
        answer(site, Question(0, "1.2.3", ()), kept=["1.2"])
    _, _ = sent(site)
    asked = ask(site)
    answer(site, asked, kept=["1.2.3.4"])
    assert keeping() == ["asked"]


def test_what_is_not_kept_is_sent_again_after_growing_pauses_and_then_a_person_decides(site) -> None:
    """Row 41."""
    exam, uids = sent(site)
    at = AT
    for wait in RESEND_WAIT_SECONDS:
        asked = ask(site, at=at)
        answer(site, asked, failed=uids, at=at)
        answer(site, asked, failed=uids, at=at)
        delivery, image = Delivery.objects.get(), Image.objects.get()
        assert (delivery.state, delivery.keeping, image.state) == ("waiting", "refused", "matched")
        assert delivery.next_at == at + timedelta(seconds=wait)
        assert open_items(site) == []
        at = delivery.next_at
        arrive(exam, at=at)
        assert (Image.objects.get().state, keeping()) == ("sent", ["to be asked"])
    answer(site, ask(site, at=at), failed=uids, at=at)
    assert (keeping(), open_items(site)) == (["not kept"], [key(exam)])
    assert Delivery.objects.get().keeping_why == "it does not have it"
    promise.try_again(site=site, destination="PACS", accession=exam.accession, at=at, by="user:c")
    assert (Delivery.objects.get().state, Delivery.objects.get().next_at, open_items(site)) == (
        "waiting",
        at,
        [],
    )
    arrive(exam, at=at)
    answer(site, ask(site, at=at), kept=uids, at=at)
    assert keeping() == ["committed"]


def test_a_late_promise_after_a_re_send_counts_and_a_late_refusal_does_not(site) -> None:
    exam, uids = sent(site)
    first = ask(site)
    answer(site, first, failed=uids)
    arrive(exam, at=AT + minutes(1))
    second = ask(site, at=AT + minutes(1))
    answer(site, first, failed=uids)
    assert keeping() == ["asked"]
    answer(site, first, kept=uids)
    assert keeping() == ["committed"]
    answer(site, second, failed=uids)
    assert keeping() == ["refused"]
    answer(site, first, kept=uids)
    assert keeping() == ["refused"]


def test_silence_is_asked_again_and_then_a_person_decides(site) -> None:
    """Row 41."""
    exam, uids = sent(site)
    at, questions = AT, []
    for _ in range(ASKS_MAX):
        questions.append(ask(site, at=at))
        assert promise.look_after_promises(site=site, at=at + minutes(59)) == 0
        at += minutes(60)
        assert promise.look_after_promises(site=site, at=at) == 1
        at = Delivery.objects.get().ask_at or at
    assert (keeping(), open_items(site)) == (["unanswered"], [key(exam)])
    assert Promise.objects.count() == ASKS_MAX
    answer(site, questions[0], kept=uids)
    assert (keeping(), open_items(site)) == (["committed"], [])


def test_a_question_whose_sender_was_killed_is_asked_again_soon(site) -> None:
    """Row 39, killed between the row and the request: the question was never taken, and nobody waits an hour for its answer."""
    sent(site)
    lost = promise.next_question(site=site, destination="PACS", at=AT)
    assert lost is not None
    assert promise.look_after_promises(site=site, at=AT + minutes(5)) == 1
    assert promise.look_after_promises(site=site, at=AT + minutes(7)) == 0
    assert jobs("ask_commitment") == [{"site_id": site.pk, "destination": "PACS"}]
    again = ask(site, at=AT + minutes(7))
    assert again.objects == lost.objects
    assert again.transaction_uid != lost.transaction_uid


def test_a_question_that_is_not_taken_is_asked_again_and_then_a_person_decides(site) -> None:
    exam, _ = sent(site)
    at = AT
    for _ in range(ASKS_MAX):
        asked = promise.next_question(site=site, destination="PACS", at=at)
        assert asked is not None
        promise.question_not_taken(promise_id=asked.promise_id, why="it takes no association", at=at)
        promise.question_not_taken(promise_id=asked.promise_id, why="it takes no association", at=at)
        at = Delivery.objects.get().ask_at or at
    assert (keeping(), open_items(site)) == (["unanswered"], [key(exam)])
    promise.try_again(site=site, destination="PACS", accession=exam.accession, at=at, by="user:c")
    assert (keeping(), open_items(site)) == (["to be asked"], [])
    with pytest.raises(WrongState):
        promise.seen_there(site=site, destination="PACS", accession=exam.accession, at=at, by="user:c")


def test_a_person_who_looked_ends_it(site) -> None:
    exam, uids = sent(site)
    answer(site, ask(site), failed=uids, code=0x0122)
    assert open_items(site) == [key(exam)]
    assert (
        promise.seen_there(site=site, destination="PACS", accession=exam.accession, at=AT, by="user:c") == 1
    )
    assert (keeping(), open_items(site)) == (["seen there"], [])
    assert Delivery.objects.get().keeping_why == "said by c"


def test_a_question_taken_for_an_old_one_is_asked_anew(site) -> None:
    _, uids = sent(site)
    answer(site, ask(site), failed=uids, code=0x0131)
    assert keeping() == ["to be asked"]
    assert ask(site, at=AT + minutes(1)).objects[0][1] == uids[0]


def test_what_a_person_reassigned_meanwhile_is_not_committed_under_its_old_number(site) -> None:
    _, uids = sent(site)
    asked = ask(site)
    other = make_exam(site)
    reconcile.belongs_here(image_id=Image.objects.get().pk, exam_id=other.pk, at=AT, by="user:c")
    answer(site, asked, kept=uids)
    assert Delivery.objects.filter(image__in=Image.objects.all()).get().keeping != "committed"


def test_whoever_is_sent_an_image_again_is_told_when_it_is_rejected(site) -> None:
    _, uids = sent(site)
    answer(site, ask(site), failed=uids)
    image = Image.objects.get()
    reconcile.reject_image(image_id=image.pk, why="blurred", at=AT, by="user:c")
    assert [note.deliveries.get().destination for note in recall.notes_about(image)] == ["PACS"]


def test_what_went_there_before_the_site_file_said_so_is_asked_about_too(site):
    exam, uids = sent(site)
    Delivery.objects.update(keeping="", ask_at=None)
    assert promise.next_question(site=site, destination="PACS", at=AT) is None
    promise.look_after_promises(site=site, at=AT)
    assert [uid for _, uid in ask(site).objects] == uids
    Delivery.objects.update(keeping="", ask_at=None)
    Image.objects.update(path="")
    promise.look_after_promises(site=site, at=AT)
    assert promise.next_question(site=site, destination="PACS", at=AT) is None
    assert Delivery.objects.get().image.exam_id == exam.pk
