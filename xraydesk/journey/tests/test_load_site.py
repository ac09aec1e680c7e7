"""Loading a department: repeatable, in one transaction, and never at the cost of an exam."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection

from tests.factories import AT, SITE_FILES, load_demo_site, make_booking, make_exam
from xraydesk.access.models import Location, Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Delivery, Image, PerformedStep, StepExam
from xraydesk.imaging.states import DeliveryState, ImageState, StepState
from xraydesk.journey.load_site import PlanDoesNotFit, WouldOrphan, load_site
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam, Procedure
from xraydesk.orders.states import TriageState
from xraydesk.rooms.models import Modality, Room, Ward
from xraydesk.scheduling.models import Booking
from xraydesk.scheduling.states import BookingState
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import from_json, read_toml
from xraydesk.staff.models import Porter, Technologist

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return load_demo_site()


@pytest.fixture
def plan(site: Site) -> SitePlan:
    return from_json(site.plan)


def without(plan: SitePlan, part: str, code: str) -> SitePlan:
    """The plan without one room, technologist… of that code, and without machines of a room that is gone."""
    changed = replace(plan, **{part: tuple(p for p in getattr(plan, part) if getattr(p, "code", "") != code)})
    rooms = {room.code for room in changed.rooms}
    return replace(changed, modalities=tuple(m for m in changed.modalities if m.room in rooms))


def book(site: Site, *, room: str = "XR5", technologist: str = "T01", **fields: object) -> Exam:
    exam = make_exam(site, code="XRKNEE2")
    who = Technologist.objects.get(site=site, code=technologist)
    make_booking(exam, room=room, technologist=who, start=AT + timedelta(hours=1), **fields)
    return exam


def begin(exam: Exam, room: str = "XR5", state: StepState = StepState.IN_PROGRESS) -> PerformedStep:
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        room=Room.objects.get(site=exam.site, code=room),
        ae_title=room,
        state=state,
        by="modality:XR5",
        started_at=AT,
        ended_at=None if state is StepState.IN_PROGRESS else AT,
    )
    StepExam.objects.create(step=step, exam=exam)
    return step


def test_the_first_load_makes_the_whole_department(site: Site, plan: SitePlan) -> None:
    assert plan == read_toml(SITE_FILES / "hospital.toml")
    assert [room.code for room in Room.objects.order_by("sort")] == [room.code for room in plan.rooms]
    assert Room.objects.get(code="XR4").hours["sun"] == [["00:00", "00:00"]]
    assert Location.objects.count() == 2
    assert Modality.objects.count() == 8
    assert Technologist.objects.count() == len(plan.technologists)
    assert Porter.objects.count() == 3
    assert set(Ward.objects.values_list("code", flat=True)) == {"ED", "W2", "W3", "W4", "W5", "W6"}
    assert Procedure.objects.get(code="XRHIP").pregnancy_check
    assert site.timezone == "America/New_York"
    fact = Fact.objects.get(kind=FactKind.SITE_LOADED)
    assert fact.by == "desk"
    assert "room XR3: added" in fact.data["lines"]


def test_a_second_load_changes_nothing_and_records_nothing(plan: SitePlan) -> None:
    with connection.execute_wrapper(_no_writes):
        assert load_site(plan=plan, at=AT, by="desk") == []
    assert Fact.objects.filter(kind=FactKind.SITE_LOADED).count() == 1


def _no_writes(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
    assert not sql.startswith(("INSERT", "UPDATE", "DELETE")), sql
    return execute(sql, params, many, context)


def test_what_is_changed_is_told_and_written(plan: SitePlan) -> None:
    chest = replace(plan.procedures[0], minutes=12)
    changed = replace(plan, procedures=(chest, *plan.procedures[1:]), name="X-ray")
    assert load_site(plan=changed, at=AT, by="user:ada") == [
        "site HOSP: name Radiography, General Hospital → X-ray",
        "procedure XRCHEST2: minutes 10 → 12",
    ]
    assert Procedure.objects.get(code="XRCHEST2").minutes == 12
    assert Site.objects.get().name == "X-ray"


def test_what_is_dropped_is_retired_and_comes_back_as_the_same_row(plan: SitePlan) -> None:
    key = Room.objects.get(code="XR6").pk
    smaller = without(plan, "rooms", "XR6")
    smaller = replace(
        smaller, procedures=tuple(p for p in smaller.procedures if p.code != "XRTUBEP"), wards=plan.wards[:-1]
    )
    lines = load_site(plan=smaller, at=AT, by="desk")
    assert lines == [
        "room XR6: removed",
        "modality XR6: removed",
        "procedure XRTUBEP: removed",
        "ward W6: removed",
    ]
    assert Room.objects.get(code="XR6").retired
    assert Modality.objects.get(ae_title="XR6").retired
    assert Procedure.objects.get(code="XRTUBEP").retired
    load_site(plan=plan, at=AT, by="desk")
    room = Room.objects.get(code="XR6")
    assert not room.retired
    assert room.pk == key


def test_a_location_that_is_dropped_does_not_widen_the_roles_limited_to_it(plan: SitePlan) -> None:
    moved = replace(
        plan,
        locations=plan.locations[:1],
        rooms=tuple(replace(room, location="MAIN") for room in plan.rooms),
    )
    load_site(plan=moved, at=AT, by="desk")
    assert Location.objects.get(code="CLINIC").retired


def test_a_room_that_is_down_stays_down_over_a_load(plan: SitePlan) -> None:
    Room.objects.filter(code="XR2").update(state="down", down_reason="no tube")
    renamed = replace(plan, rooms=tuple(replace(room, name=f"{room.name}!") for room in plan.rooms))
    load_site(plan=renamed, at=AT, by="desk")
    assert Room.objects.get(code="XR2").down_reason == "no tube"


def test_exams_are_never_touched(site: Site, plan: SitePlan) -> None:
    exam = book(site)
    before = Exam.objects.values().get(pk=exam.pk), Booking.objects.values().get(exam=exam)
    changed = replace(plan, procedures=tuple(replace(p, text=f"{p.text}!") for p in plan.procedures))
    load_site(plan=changed, at=AT, by="desk")
    assert (Exam.objects.values().get(pk=exam.pk), Booking.objects.values().get(exam=exam)) == before


def refused(plan: SitePlan) -> tuple[str, ...]:
    """What a load is refused for; and nothing of it is done."""
    rows = list(Room.objects.values()), list(Procedure.objects.values()), list(Site.objects.values())
    with pytest.raises(WouldOrphan) as caught:
        load_site(plan=replace(plan, name="Another name"), at=AT, by="desk")
    assert rows == (
        list(Room.objects.values()),
        list(Procedure.objects.values()),
        list(Site.objects.values()),
    )
    return caught.value.orphans


def test_a_room_with_bookings_to_come_is_kept(site: Site, plan: SitePlan) -> None:
    exam = book(site)
    assert refused(without(plan, "rooms", "XR5")) == (
        f"room XR5 has bookings to come: {exam.accession}; move them first",
    )


@pytest.mark.parametrize("state", [BookingState.DONE, BookingState.CANCELLED, BookingState.NO_SHOW])
def test_a_room_whose_bookings_are_over_can_go(site: Site, plan: SitePlan, state: BookingState) -> None:
    book(site, state=state)
    assert "room XR5: removed" in load_site(plan=without(plan, "rooms", "XR5"), at=AT, by="desk")


def test_a_long_list_of_exams_is_cut_and_counted(site: Site, plan: SitePlan) -> None:
    exams = []
    for number in range(7):
        exam = make_exam(site, code="XRKNEE2")
        start = AT + timedelta(hours=1 + number)
        make_booking(exam, room="XR5", technologist=None, start=start)
        exams.append(exam.accession)
    (line,) = refused(without(plan, "rooms", "XR5"))
    assert f"{', '.join(exams[:5])} and 2 more" in line


def test_a_room_with_an_exam_under_way_is_kept(site: Site, plan: SitePlan) -> None:
    exam = make_exam(site, code="XRKNEE2")
    begin(exam)
    orphans = refused(without(plan, "rooms", "XR5"))
    assert f"room XR5 has exams under way: {exam.accession}; end them first" in orphans
    assert f"AE title XR5 has a step under way for {exam.accession}; end it first" in orphans


def test_a_seat_that_is_booked_is_kept(site: Site, plan: SitePlan) -> None:
    two = replace(plan, rooms=tuple(replace(r, seats=2) if r.code == "XR5" else r for r in plan.rooms))
    load_site(plan=two, at=AT, by="desk")
    exam = book(site, seat=1)
    assert refused(plan) == (f"room XR5 has bookings beyond 1 at once: {exam.accession}; move them first",)


def test_a_technologist_with_bookings_to_come_is_kept(site: Site, plan: SitePlan) -> None:
    exam = book(site, technologist="T02")
    assert refused(without(plan, "technologists", "T02")) == (
        f"technologist T02 has bookings to come: {exam.accession}; give them to others first",
    )


def test_a_procedure_with_open_exams_is_kept(site: Site, plan: SitePlan) -> None:
    exam = make_exam(site, code="XRKNEE2", triage=TriageState.HELD)
    assert refused(without(plan, "procedures", "XRKNEE2")) == (
        f"procedure XRKNEE2 has open exams: {exam.accession}; do or cancel them first",
    )


def test_a_procedure_whose_exams_are_over_can_go(site: Site, plan: SitePlan) -> None:
    begin(make_exam(site, code="XRKNEE2"), state=StepState.COMPLETED)
    begin(make_exam(site, code="XRKNEE2"), state=StepState.DISCONTINUED)
    make_exam(site, code="XRKNEE2", triage=TriageState.CANCELLED)
    load_site(plan=without(plan, "procedures", "XRKNEE2"), at=AT, by="desk")
    assert Procedure.objects.get(code="XRKNEE2").retired


def test_a_procedure_is_kept_for_an_exam_that_was_broken_off_but_is_still_booked(
    site: Site, plan: SitePlan
) -> None:
    begin(book(site), state=StepState.DISCONTINUED)
    assert len(refused(without(plan, "procedures", "XRKNEE2"))) == 1


def test_a_ward_whose_patients_wait_is_kept(site: Site, plan: SitePlan) -> None:
    exam = make_exam(site, code="XRKNEE2")
    exam.order.ward = "W3"
    exam.order.save()
    assert refused(without(plan, "wards", "W3")) == (
        f"ward W3 has patients with open exams: {exam.accession}; do or cancel them first",
    )


def test_a_destination_that_images_wait_for_is_kept(site: Site, plan: SitePlan) -> None:
    image = Image.objects.create(
        site=site,
        sop_instance_uid=new_uid(),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path="a",
        size_bytes=1,
        sha256="0",
        state=ImageState.MATCHED,
        received_at=AT,
    )
    Delivery.objects.create(
        site=site, image=image, destination="PACS", state=DeliveryState.WAITING, next_at=AT
    )
    assert refused(replace(plan, destinations=())) == (
        "destination PACS is waited for by 1 images; send them first",
    )


def test_the_issuer_of_patients_numbers_is_kept_once_there_are_patients(site: Site, plan: SitePlan) -> None:
    other = replace(plan, assigning_authority="OTHER")
    assert load_site(plan=other, at=AT, by="desk") == ["site HOSP: assigning authority HOSP → OTHER"]
    load_site(plan=plan, at=AT, by="desk")
    make_exam(site, code="XRKNEE2")
    (line,) = refused(other)
    assert line.startswith("1 patients' numbers are of the issuer HOSP")


def test_a_plan_that_contradicts_itself_is_refused_whole(plan: SitePlan) -> None:
    with pytest.raises(PlanDoesNotFit, match="room 1, location: there is no location NOWHERE"):
        load_site(
            plan=replace(plan, rooms=(replace(plan.rooms[0], location="NOWHERE"), *plan.rooms[1:])),
            at=AT,
            by="desk",
        )


def test_another_code_makes_another_site_and_leaves_the_first_alone(site: Site, plan: SitePlan) -> None:
    load_site(plan=replace(plan, code="SECOND"), at=AT, by="desk", simulated=True)
    assert Room.objects.filter(site=site, retired=False).count() == len(plan.rooms)
    assert Room.objects.filter(site__code="SECOND").count() == len(plan.rooms)
    assert Site.objects.get(code="SECOND").simulated


def test_a_load_that_fails_half_way_leaves_nothing(plan: SitePlan) -> None:
    seatless = replace(plan, code="NEW", rooms=(*plan.rooms[:-1], replace(plan.rooms[-1], seats=0)))
    with pytest.raises(IntegrityError):
        load_site(plan=seatless, at=AT, by="desk")
    assert not Site.objects.filter(code="NEW").exists()
    assert not Room.objects.filter(site__code="NEW").exists()


def test_a_plan_in_a_form_of_an_older_desk_is_loaded_over(site: Site, plan: SitePlan) -> None:
    Site.objects.filter(pk=site.pk).update(plan={"format": "older"})
    assert "site HOSP: added" in load_site(plan=plan, at=AT, by="desk")
    assert from_json(Site.objects.get(pk=site.pk).plan) == plan
