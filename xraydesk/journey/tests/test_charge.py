"""A charge follows what was done: made, held, mended, taken, credited."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import AT, make_exam
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.billing.models import Charge
from xraydesk.billing.rules import Why
from xraydesk.billing.states import ChargeState
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.header import DOCUMENTS
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import ImageState, StepState
from xraydesk.journey import charge as journey
from xraydesk.journey.errors import WrongState
from xraydesk.journey.tests.performing import begun, site_with_pacs, told
from xraydesk.journey.unscheduled import DESK_AUTHORITY
from xraydesk.orders.models import Exam, Order, Procedure
from xraydesk.reactions.table import REACTIONS
from xraydesk.results.models import Report

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(hours=1)


def image(exam: Exam, view: str, side: str = "", state: ImageState = ImageState.SENT) -> Image:
    number = Image.objects.count() + 1
    return Image.objects.create(
        site=exam.site,
        exam=exam,
        sop_instance_uid=f"1.2.{number}",
        sop_class_uid="1",
        transfer_syntax_uid="1",
        modality="DX",
        view_position=view,
        laterality=side,
        path=f"{number}.dcm",
        size_bytes=1,
        sha256="0",
        state=state,
        received_at=AT,
    )


def read(exam: Exam, state: str = "final") -> Report:
    report, _ = Report.objects.update_or_create(
        site=exam.site, exam=exam, defaults={"state": state, "said_at": AT, "changed_at": AT}
    )
    return report


def review(exam: Exam) -> Charge | None:
    return journey.review_charge(exam_id=exam.pk, at=LATER)


@pytest.fixture
def exam() -> Exam:
    """Done as ordered, with its two images, not read yet."""
    site = site_with_pacs()
    Procedure.objects.filter(site=site, code="XRCHEST2").update(charge_code="RXCHEST2")
    exam = make_exam(site)
    uid = begun(site, exam)
    image(exam, "PA")
    image(exam, "LL")
    told(site, uid, StepState.COMPLETED)
    return exam


def facts_of(exam: Exam) -> list[str]:
    kinds = ("charge held", "charged", "charge accepted", "charge credited")
    return list(
        Fact.objects.filter(accession=exam.accession, kind__in=kinds)
        .order_by("id")
        .values_list("kind", flat=True)
    )


def open_items() -> list[str]:
    return list(Item.objects.filter(kind=ItemKind.CHARGE_HELD, closed_at=None).values_list("text", flat=True))


def test_an_exam_waits_for_its_report_and_is_then_charged_by_itself(exam: Exam) -> None:
    held = review(exam)
    assert held is not None
    assert (held.state, held.reasons[0]["key"]) == (ChargeState.HELD, "no report")
    assert open_items() == []
    read(exam)
    ready = review(exam)
    assert ready is not None
    assert (ready.pk, ready.state, ready.code, ready.gone_at) == (
        held.pk,
        ChargeState.READY,
        "RXCHEST2",
        LATER,
    )
    assert (ready.number, ready.views) == (f"{exam.accession}-1", ["PA", "LL"])
    assert review(exam) == ready
    assert facts_of(exam) == [FactKind.CHARGE_HELD, FactKind.CHARGE_READY]


def test_nothing_is_charged_before_the_exam_ended() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    assert review(exam) is None
    begun(site, exam)
    image(exam, "PA")
    assert review(exam) is None
    assert journey.review_charge(exam_id=0, at=AT) is None


def test_a_discrepancy_is_an_item_that_closes_itself_when_it_is_mended(exam: Exam) -> None:
    read(exam)
    third = image(exam, "OBL")
    review(exam)
    (text,) = open_items()
    assert "3 of 2 views" in text
    image(exam, "AX", state=ImageState.QUARANTINED)
    review(exam)
    (text,) = open_items()
    assert "1 image waits for a decision" in text
    Image.objects.filter(view_position="AX").update(state=ImageState.REJECTED)
    Image.objects.filter(pk=third.pk).update(state=ImageState.REJECTED)
    charge = review(exam)
    assert charge is not None
    assert charge.state == ChargeState.READY
    assert open_items() == []


def test_an_image_that_the_machine_tells_of_and_that_never_came_is_a_discrepancy_until_it_comes() -> None:
    site = site_with_pacs()
    Procedure.objects.filter(site=site, code="XRCHEST2").update(charge_code="RXCHEST2")
    exam = make_exam(site)
    uid = begun(site, exam)
    came = image(exam, "PA")
    made = (came.sop_instance_uid, "1.2.99", "1.2.100")
    told(site, uid, StepState.COMPLETED, referenced_images=made, attributes={DOCUMENTS: ["1.2.100"]})
    read(exam)
    held = review(exam)
    assert held is not None
    assert (held.state, held.views) == (ChargeState.HELD, ["PA", "view"])
    (text,) = open_items()
    assert "1 image has not come" in text
    late = image(exam, "LL")
    Image.objects.filter(pk=late.pk).update(sop_instance_uid="1.2.99")
    ready = review(exam)
    assert ready is not None
    assert (ready.state, ready.views) == (ChargeState.READY, ["PA", "LL"])
    assert open_items() == []


def test_of_images_of_a_step_for_several_exams_nobody_knows_whose_are_missing() -> None:
    site = site_with_pacs()
    Procedure.objects.filter(site=site, code="XRCHEST2").update(charge_code="RXCHEST2")
    one, other = make_exam(site), make_exam(site)
    uid = begun(site, one, other)
    image(one, "PA"), image(one, "LL")
    told(site, uid, StepState.COMPLETED, referenced_images=("1.2.98", "1.2.99"))
    read(one)
    charge = review(one)
    assert charge is not None
    assert charge.state == ChargeState.READY


def test_what_went_out_and_is_wrong_is_credited_and_charged_anew(exam: Exam) -> None:
    read(exam)
    first = review(exam)
    assert first is not None
    journey.charge_answered(
        site_id=exam.site_id,
        number=first.number,
        credit=False,
        accepted=True,
        why="",
        at=LATER,
        by="link:EHR-OUT",
    )
    read(exam, "cancelled")
    second = review(exam)
    assert second is not None
    first.refresh_from_db()
    assert (first.state, second.state, second.number) == (
        ChargeState.CREDITED,
        ChargeState.HELD,
        f"{exam.accession}-2",
    )
    assert facts_of(exam)[-3:] == [FactKind.CHARGE_ACCEPTED, FactKind.CHARGE_CREDITED, FactKind.CHARGE_HELD]
    credited = Fact.objects.get(kind=FactKind.CHARGE_CREDITED)
    assert credited.data["gone"] is True


def test_a_cancel_credits_the_charge_of_an_exam_that_was_not_done_after_all(exam: Exam) -> None:
    read(exam)
    review(exam)
    Image.objects.all().update(state=ImageState.REJECTED)
    Exam.objects.filter(pk=exam.pk).update(triage="cancelled")
    assert review(exam) is None
    assert Charge.objects.get().state == ChargeState.CREDITED
    assert review(exam) is None
    assert facts_of(exam) == [FactKind.CHARGE_READY, FactKind.CHARGE_CREDITED]


def test_a_person_lets_it_go_as_done_with_a_reason_and_can_take_it_back(exam: Exam) -> None:
    read(exam)
    image(exam, "OBL")
    held = review(exam)
    assert held is not None
    with pytest.raises(WrongState, match="Say why"):
        journey.charge_as_done(charge_id=held.pk, why=" ", at=LATER, by="user:ada")
    journey.charge_as_done(charge_id=held.pk, why="asked for by the reader", at=LATER, by="user:ada")
    charge = review(exam)
    assert charge is not None
    assert (charge.pk, charge.state, charge.override_by) == (held.pk, ChargeState.READY, "user:ada")
    assert open_items() == []
    with pytest.raises(WrongState, match="is ready"):
        journey.charge_as_done(charge_id=held.pk, why="x", at=LATER, by="user:ada")
    again = journey.take_back_charge(charge_id=held.pk, at=LATER, by="user:ada")
    assert again is not None
    assert (again.state, len(open_items())) == (ChargeState.HELD, 1)
    with pytest.raises(WrongState, match="credited already"):
        journey.take_back_charge(charge_id=held.pk, at=LATER, by="user:ada")
    for step in (journey.take_back_charge, journey.charge_as_done):
        more: dict[str, Any] = {"why": "x"} if step is journey.charge_as_done else {}
        with pytest.raises(journey.UnknownCharge):
            step(charge_id=0, at=LATER, by="user:ada", **more)


def test_what_a_person_took_back_is_not_charged_again_until_it_is_corrected_or_a_person_says_so(
    exam: Exam,
) -> None:
    read(exam)
    first = review(exam)
    assert first is not None
    assert first.state == ChargeState.READY
    again = journey.take_back_charge(charge_id=first.pk, at=LATER, by="user:ada")
    assert again is not None
    assert (again.state, [r["key"] for r in again.reasons]) == (ChargeState.HELD, [Why.TAKEN_BACK])
    assert review(exam) == again
    assert journey.flag_charges_waiting(site=exam.site, at=LATER + timedelta(days=2)) == 0
    assert open_items() == [], "who took it back knows of it"
    Procedure.objects.filter(code="XRCHEST2").update(charge_code="RXOTHER")
    corrected = review(exam)
    assert corrected is not None
    assert (corrected.pk, corrected.state, corrected.code) == (again.pk, ChargeState.READY, "RXOTHER")
    held = journey.take_back_charge(charge_id=corrected.pk, at=LATER, by="user:ada")
    assert held is not None
    journey.charge_as_done(charge_id=held.pk, why="it was right after all", at=LATER, by="user:ada")
    gone = review(exam)
    assert gone is not None
    assert (gone.pk, gone.state) == (held.pk, ChargeState.READY)


def test_without_a_code_nobody_can_let_it_go(exam: Exam) -> None:
    Procedure.objects.all().update(charge_code="")
    read(exam)
    held = review(exam)
    assert held is not None
    with pytest.raises(WrongState, match="no charge code"):
        journey.charge_as_done(charge_id=held.pk, why="x", at=LATER, by="user:ada")


def test_a_refusal_there_holds_it_with_their_words_until_something_is_mended(exam: Exam) -> None:
    read(exam)
    charge = review(exam)
    assert charge is not None

    def answer(**fields: Any) -> None:
        given = {"credit": False, "accepted": False, "why": "unknown code", "number": charge.number}
        journey.charge_answered(site_id=exam.site_id, at=LATER, by="link:EHR-OUT", **(given | fields))

    answer(number="no such")
    answer(credit=True)
    charge.refresh_from_db()
    assert charge.state == ChargeState.READY
    answer()
    charge.refresh_from_db()
    assert charge.state == ChargeState.HELD
    assert "unknown code" in open_items()[0]
    answer(accepted=True)
    charge.refresh_from_db()
    assert charge.state == ChargeState.HELD
    review(exam)
    charge.refresh_from_db()
    assert charge.state == ChargeState.READY
    assert open_items() == []


def test_a_charge_that_waits_a_day_for_its_report_is_put_before_a_person(exam: Exam) -> None:
    review(exam)
    assert journey.flag_charges_waiting(site=exam.site, at=LATER + timedelta(hours=23)) == 0
    late = LATER + timedelta(hours=25)
    assert journey.flag_charges_waiting(site=exam.site, at=late) == 1
    assert journey.flag_charges_waiting(site=exam.site, at=late) == 0
    journey.review_charge(exam_id=exam.pk, at=late)
    assert "has no report" in open_items()[0]
    read(exam)
    review(exam)
    assert open_items() == []


def test_an_exam_without_an_order_is_not_charged_and_a_day_later_a_person_is_asked_for_one(
    exam: Exam,
) -> None:
    read(exam)
    Order.objects.update(placer_authority=DESK_AUTHORITY, source="modality:XR1")
    review(exam)
    charge = Charge.objects.get()
    assert (charge.state, [r["key"] for r in charge.reasons], open_items()) == ("held", [Why.NO_ORDER], [])
    assert journey.flag_charges_waiting(site=exam.site, at=LATER + timedelta(hours=25)) == 1
    assert "has no order" in open_items()[0]
    Order.objects.update(placer_authority="EHR", source="link:EHR")
    review(exam)
    assert (Charge.objects.get().state, open_items()) == ("ready", [])


def test_whatever_changes_what_was_done_leads_to_a_review() -> None:
    kinds = {kind for kind, what in REACTIONS.items() if "review_charges" in {r.__name__ for r in what}}
    assert kinds >= {
        FactKind.EXAM_ENDED,
        FactKind.EXAM_DISCONTINUED,
        FactKind.EXAM_REOPENED,
        FactKind.IMAGE_MATCHED,
        FactKind.IMAGE_REJECTED,
        FactKind.IMAGE_QUARANTINED,
        FactKind.REPORT_RECEIVED,
        FactKind.ORDER_CHANGED,
        FactKind.EXAM_CANCELLED,
    }
