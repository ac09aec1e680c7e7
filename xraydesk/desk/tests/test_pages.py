"""The pages about one exam, one patient, one image, one room, and the lists of what waits."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_booking, make_exam, make_patient, make_site, plan_with
from xraydesk.access.models import RecordRead, Site
from xraydesk.access.roles import Role
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.desk.endings import ENDINGS
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import ImageState
from xraydesk.lib import clock
from xraydesk.orders.models import Exam
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Patient
from xraydesk.rooms.models import Modality
from xraydesk.siteplan.link_plan import LinkPlan, OutlinkPlan
from xraydesk.siteplan.reading import from_json, to_json

pytestmark = pytest.mark.django_db


def soon(exam: Exam, room: str = "XR1", minutes: int = 5) -> Exam:
    make_booking(exam, room=room, start=clock.now() + timedelta(minutes=minutes))
    return exam


def make_image(exam: Exam, **fields: Any) -> Image:
    defaults: dict[str, Any] = {
        "sop_instance_uid": "2.25.1",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "study_instance_uid": exam.study_instance_uid,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "accession": exam.accession,
        "patient_id": "W1",
        "patient_name": "Other^Person",
        "modality": "DX",
        "path": "1.dcm",
        "size_bytes": 1,
        "sha256": "0",
        "state": ImageState.QUARANTINED,
        "why": "the image says another patient",
        "received_at": clock.now(),
        "header": {
            "sop_instance_uid": "2.25.1",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "study_instance_uid": exam.study_instance_uid,
            "accession": exam.accession,
            "patient_id": "W1",
            "patient_name": "Other^Person",
        },
    }
    return Image.objects.create(site=exam.site, exam=exam, **(defaults | fields))


def pages(exam: Exam, image: Image) -> list[str]:
    return [
        reverse("attention"),
        reverse("triage"),
        f"{reverse('triage')}?exam={exam.accession}",
        reverse("exam", args=[exam.accession]),
        reverse("exam-check", args=[exam.accession]),
        reverse("exam-worklist", args=[exam.accession]),
        reverse("patient", args=[exam.patient_id]),
        reverse("image", args=[image.pk]),
        reverse("rooms"),
        reverse("room", args=["XR1"]),
        reverse("search"),
        reverse("order-new"),
    ]


def posts(exam: Exam, image: Image, item: Item) -> list[str]:
    return [
        reverse("order-new"),
        reverse("item-done", args=[item.pk]),
        reverse("item-undone", args=[item.pk]),
        *(reverse(f"triage-{what}", args=[exam.accession]) for what in ("accept", "hold", "cancel", "amend")),
        *(reverse(f"exam-{what}", args=[exam.accession]) for what in ("note", "check", "end", "discontinue")),
        reverse("images-release", args=[exam.accession]),
        *(reverse(f"image-{what}", args=[image.pk]) for what in ("belongs", "undo", "reject", "send-again")),
        *(reverse(f"room-{what}", args=["XR1"]) for what in ("take", "state", "note")),
    ]


def furnished(site: Site) -> tuple[Exam, Image, Item]:
    exam = soon(make_exam(site))
    item = raise_item(
        site_id=site.pk,
        kind=ItemKind.MERGE_REQUESTED,
        key="message:1",
        at=clock.now(),
        accession=exam.accession,
    )
    return exam, make_image(exam), item


def test_every_page_opens_for_a_coordinator_and_says_no_name_in_its_title() -> None:
    exam, image, _ = furnished(make_site())
    browser = signed_in(exam.site)
    for page in pages(exam, image):
        response = browser.get(page)
        assert response.status_code == 200, page
        html = response.content.decode()
        assert html.count("<h1") == 1, page
        assert "Prüfer" not in html[html.index("<title>") : html.index("</title>")], page


def test_a_stranger_is_led_to_the_sign_in_form_from_every_page_and_form() -> None:
    exam, image, item = furnished(make_site())
    for page in pages(exam, image):
        response = Client().get(page)
        assert (response.status_code, response["Location"].split("?")[0]) == (302, reverse("sign-in")), page
    for form in posts(exam, image, item):
        assert Client().post(form).status_code == 302, form
    assert not Fact.objects.exists()


@pytest.mark.parametrize("role", [Role.PORTER, Role.MANAGER, Role.SYSTEM])
def test_a_role_without_the_right_finds_no_such_page(role: Role) -> None:
    exam, image, item = furnished(make_site())
    browser = signed_in(exam.site, role)
    for page in pages(exam, image):
        assert browser.get(page).status_code == 404, page
    for form in posts(exam, image, item):
        assert browser.post(form).status_code == 404, form


def test_another_sites_exam_patient_image_and_item_are_not_there() -> None:
    """Row 57: another site's object is 404 for every role."""
    exam, image, item = furnished(make_site())
    for role in Role:
        browser = signed_in(make_site(f"O{role}"), role)
        for page in pages(exam, image):
            if exam.accession in page or page.endswith((f"/{image.pk}", f"/{exam.patient_id}")):
                assert browser.get(page).status_code == 404, (role, page)
        for form in posts(exam, image, item):
            if "/rooms/" not in form and "/orders/" not in form:
                assert browser.post(form).status_code == 404, (role, form)


def test_each_look_at_a_record_is_logged_and_an_administrator_sees_it() -> None:
    exam, _, _ = furnished(make_site())
    signed_in(exam.site).get(reverse("exam", args=[exam.accession]))
    read = RecordRead.objects.get()
    assert (read.who, read.patient, read.accession) == ("user:coordinator-T", exam.patient_id, exam.accession)
    html = signed_in(exam.site, Role.ADMINISTRATOR).get(reverse("reads")).content.decode()
    assert "user:coordinator-T" in html
    assert signed_in(exam.site).get(reverse("reads")).status_code == 404


def test_who_read_what_is_asked_by_a_name_as_it_is_signed_in_with_and_by_days_that_there_are() -> None:
    exam = make_exam(make_site())
    signed_in(exam.site).get(reverse("exam", args=[exam.accession]))
    admin, address = signed_in(exam.site, Role.ADMINISTRATOR), reverse("reads")
    who = RecordRead.objects.get().who
    asked = admin.get(address, {"who": who.removeprefix("user:")}).content.decode()
    assert reverse("exam", args=[exam.accession]) in asked
    assert exam.accession not in admin.get(address, {"who": "nobody"}).content.decode()
    for wrong in ({"day": "0001-01-01"}, {"day": "9999-12-31"}, {"day": "yesterday"}):
        assert admin.get(address, wrong).status_code == 404
    assert admin.get(address, {"patient": "²"}).status_code == 200


def test_an_item_is_ended_by_its_button_and_comes_back_by_undo() -> None:
    _, _, item = furnished(make_site())
    browser = signed_in(item.site)
    browser.post(reverse("item-done", args=[item.pk]))
    item.refresh_from_db()
    assert (item.closed_by, item.closed_at is not None) == ("user:coordinator-T", True)
    browser.post(reverse("item-undone", args=[item.pk]))
    item.refresh_from_db()
    assert item.closed_at is None
    assert list(Fact.objects.values_list("kind", flat=True)) == ["item closed", "item raised"]


def test_an_item_that_needs_a_decision_cannot_just_be_taken_off() -> None:
    exam, _, _ = furnished(make_site())
    item = raise_item(
        site_id=exam.site_id,
        kind=ItemKind.EXAM_HELD,
        key="exam held:X",
        at=clock.now(),
        accession=exam.accession,
    )
    assert signed_in(exam.site).post(reverse("item-done", args=[item.pk])).status_code == 404


def test_every_kind_with_a_button_that_only_ends_it_is_ended_by_it() -> None:
    exam, _, _ = furnished(make_site())
    browser = signed_in(exam.site)
    kinds = [kind for kind, ways in ENDINGS.items() if any(way.url_name == "item-done" for way in ways)]
    assert ItemKind.READER_DOUBTS_LABEL in kinds
    for kind in kinds:
        item = raise_item(site_id=exam.site_id, kind=kind, key=f"one:{kind}", at=clock.now())
        assert browser.post(reverse("item-done", args=[item.pk])).status_code == 303, kind
        item.refresh_from_db()
        assert item.closed_by == "user:coordinator-T"


def test_the_attention_list_leads_nobody_to_a_page_that_is_not_theirs() -> None:
    site = make_site()
    exam = make_exam(site, triage=TriageState.HELD)
    raise_item(site_id=site.pk, kind=ItemKind.EXAM_HELD, key="held", at=clock.now(), accession=exam.accession)
    address = reverse("triage")
    coordinator, administrator = signed_in(site), signed_in(site, Role.ADMINISTRATOR)
    assert f'href="{address}?exam={exam.accession}"' in coordinator.get(reverse("attention")).content.decode()
    shown = administrator.get(reverse("attention")).content.decode()
    assert f'href="{address}' not in shown
    assert f'<a class="btn" href="{reverse("exam", args=[exam.accession])}">Open exam</a>' in shown
    assert administrator.get(address).status_code == 404


def test_a_name_written_from_right_to_left_turns_no_date_round() -> None:
    site = make_site()
    exam = make_exam(site, triage=TriageState.HELD)
    Patient.objects.filter(pk=exam.patient_id).update(family="القحطاني", given="عبد الرحمن")
    raise_item(site_id=site.pk, kind=ItemKind.EXAM_HELD, key="held", at=clock.now(), accession=exam.accession)
    shown = signed_in(site).get(reverse("attention")).content.decode()
    assert "<bdi>القحطاني, عبد الرحمن</bdi> · <bdi>" in shown


def test_why_an_exam_is_held_is_said_once_on_its_page() -> None:
    site = make_site()
    exam = make_exam(site, triage=TriageState.HELD)
    address = reverse("exam", args=[exam.accession])
    assert "Held: Held by a person." in signed_in(site).get(address).content.decode()
    raise_item(
        site_id=site.pk,
        kind=ItemKind.EXAM_HELD,
        key="held",
        at=clock.now(),
        text="Chest is held. Held by a person.",
        accession=exam.accession,
    )
    page = signed_in(site).get(address).content.decode()
    assert page.count("Held by a person.") == 1
    assert "Chest is held. Held by a person." in page


def test_a_held_exam_is_accepted_from_the_triage_page() -> None:
    exam = make_exam(make_site(), triage=TriageState.HELD)
    signed_in(exam.site).post(reverse("triage-accept", args=[exam.accession]), {"why": "asked by phone"})
    exam.refresh_from_db()
    assert exam.triage == TriageState.ACCEPTED
    assert Fact.objects.filter(kind="accepted in triage", by="user:coordinator-T").exists()


def test_a_side_is_corrected_from_the_triage_page() -> None:
    exam = make_exam(make_site(), code="XRKNEE2", triage=TriageState.HELD)
    signed_in(exam.site).post(
        reverse("triage-amend", args=[exam.accession]), {"side": "L", "priority": "stat"}
    )
    exam.refresh_from_db()
    assert (exam.laterality, exam.priority) == ("L", "stat")


def test_begin_waits_for_the_checks_and_then_begins() -> None:
    exam = soon(make_exam(make_site()))
    browser = signed_in(exam.site, Role.TECHNOLOGIST)
    form = reverse("exam-check", args=[exam.accession])
    browser.post(form, {"begin": "XR1"})
    assert not Fact.objects.filter(kind="begun").exists()
    browser.post(form, {"identity": "confirmed", "begin": "XR1"})
    assert Fact.objects.filter(kind="begun", room="XR1").exists()
    browser.post(reverse("exam-end", args=[exam.accession]))
    assert Fact.objects.filter(kind="ended").exists()


def test_an_image_of_another_patient_is_decided_on_the_image_page() -> None:
    exam, image, _ = furnished(make_site())
    browser = signed_in(exam.site)
    html = browser.get(reverse("image", args=[image.pk])).content.decode()
    assert "differs" in html
    browser.post(reverse("image-belongs", args=[image.pk]), {"exam": exam.accession})
    image.refresh_from_db()
    assert (image.state, image.exam_id) == (ImageState.MATCHED, exam.pk)
    assert image.corrections["PatientID"] != "W1"


def test_an_image_says_who_decided_about_it_a_person_or_a_rule() -> None:
    site = make_site()
    exam = make_exam(site)
    make_exam(site)
    for by, words in (("rule", "decided by rule,"), ("user:ada", "decided by ada,")):
        image = make_image(
            exam, decided_by=by, decided_at=clock.now(), path=f"{words}.dcm", sop_instance_uid=by
        )
        text = signed_in(site).get(reverse("image", args=[image.pk])).content.decode()
        assert words in text
        assert "·  ·" not in text


def test_an_image_is_rejected_only_with_a_reason() -> None:
    exam, image, _ = furnished(make_site())
    browser = signed_in(exam.site)
    browser.post(reverse("image-reject", args=[image.pk]))
    image.refresh_from_db()
    assert image.state == ImageState.QUARANTINED
    browser.post(reverse("image-reject", args=[image.pk]), {"why": "a test exposure"})
    image.refresh_from_db()
    assert image.state == ImageState.REJECTED


def test_an_exam_is_taken_to_another_room() -> None:
    exam = soon(make_exam(make_site()))
    signed_in(exam.site, Role.TECHNOLOGIST).post(reverse("room-take", args=["XR2"]), {"exam": exam.accession})
    assert Fact.objects.filter(kind="taken to another room", accession=exam.accession).exists()


def test_a_room_goes_down_and_comes_back() -> None:
    site = make_site()
    browser = signed_in(site, Role.TECHNOLOGIST)
    browser.post(reverse("room-state", args=["XR1"]), {"reason": "detector fault", "minutes": "60"})
    assert "Down" in browser.get(reverse("room", args=["XR1"])).content.decode()
    browser.post(reverse("room-state", args=["XR1"]), {"ready": "1"})
    assert [*Fact.objects.values_list("kind", flat=True)] == ["room down", "room ready"]


def test_notes_are_kept_on_exams_and_rooms_but_not_empty_ones() -> None:
    exam = soon(make_exam(make_site()))
    browser = signed_in(exam.site)
    for text in ("", "comes with her daughter"):
        browser.post(reverse("exam-note", args=[exam.accession]), {"text": text})
        browser.post(reverse("room-note", args=["XR1"]), {"text": text})
    assert [note.text for note in exam.notes.all()] == ["comes with her daughter"]
    assert "comes with her daughter" in browser.get(reverse("room", args=["XR1"])).content.decode()


def test_search_finds_by_name_without_a_name_in_the_address() -> None:
    site = make_site()
    patient = make_patient(site, number="N4711")
    exam = make_exam(site, patient=patient)
    browser = signed_in(site)
    for typed in ("prufer", "ADA PRÜ", "N47"):
        response = browser.post(reverse("search"), {"q": typed})
        assert response.status_code == 200
        assert reverse("patient", args=[patient.pk]) in response.content.decode(), typed
    assert browser.post(reverse("search"), {"q": exam.accession})["Location"] == reverse(
        "exam", args=[exam.accession]
    )
    assert browser.post(reverse("search"), {"q": "xr1"})["Location"] == reverse("room", args=["XR1"])
    assert "Nothing found" in browser.post(reverse("search"), {"q": "zzzz"}).content.decode()


def test_empty_lists_say_what_their_emptiness_means() -> None:
    browser = signed_in(make_site())
    assert "Nothing waits for a person" in browser.get(reverse("attention")).content.decode()
    assert "No request waits for a decision" in browser.get(reverse("triage")).content.decode()
    assert "No one waits for XR1" in browser.get(reverse("room", args=["XR1"])).content.decode()


def test_what_a_message_says_is_shown_as_text_never_as_markup() -> None:
    site = make_site()
    patient = make_patient(site, family="<script>alert(1)</script>")
    exam = soon(make_exam(site, patient=patient, reason="<img src=x onerror=alert(1)>"))
    html = signed_in(site).get(reverse("exam", args=[exam.accession])).content.decode()
    assert "<script>alert" not in html
    assert "<img src=x" not in html


@pytest.mark.parametrize("count", [1, 12])
def test_the_attention_list_takes_a_fixed_number_of_queries(
    count: int, django_assert_max_num_queries: Any
) -> None:
    site = make_site()
    for number in range(count):
        exam = make_exam(site)
        raise_item(
            site_id=site.pk,
            kind=ItemKind.EXAM_HELD,
            key=f"k{number}",
            at=clock.now(),
            accession=exam.accession,
        )
    browser = signed_in(site)
    with django_assert_max_num_queries(22):
        assert browser.get(reverse("attention")).status_code == 200


def order_fields(browser: Client, exam: Exam, **typed: str) -> dict[str, str]:
    page = browser.get(reverse("order-new")).content.decode()
    key = page.split('name="key" value="')[1].split('"')[0]
    return {
        "key": key, "family": "Osei", "given": "Kwabena", "birth_date": "1971-02-03", "sex": "M",
        "patient_class": "O", "transport": "WALK", "priority": "routine", "reason": "fell on the stairs",
        "provider_name": "Dr Okafor", "procedure1": str(exam.procedure_id),
    } | typed  # fmt: skip


def test_an_order_by_form_is_an_exam_and_pressing_twice_is_one_order() -> None:
    exam = make_exam(make_site())
    browser = signed_in(exam.site)
    fields = order_fields(browser, exam)
    for _ in range(2):
        assert browser.post(reverse("order-new"), fields).status_code == 303
    [made] = Exam.objects.exclude(pk=exam.pk).select_related("order", "patient")
    assert made.order.placer.startswith("F")
    assert (made.patient.family, made.reason) == ("Osei", "fell on the stairs")


def test_a_form_with_a_gap_is_given_back_with_what_was_typed() -> None:
    exam = make_exam(make_site())
    browser = signed_in(exam.site)
    response = browser.post(reverse("order-new"), order_fields(browser, exam, reason="", birth_date="soon"))
    assert response.status_code == 400
    html = response.content.decode()
    assert "Kwabena" in html
    assert html.count('aria-invalid="true"') == 2
    assert Exam.objects.count() == 1


def test_the_order_form_starts_with_what_is_known_of_the_patient() -> None:
    exam = make_exam(make_site())
    html = signed_in(exam.site).get(f"{reverse('order-new')}?patient={exam.patient_id}").content.decode()
    assert "Prüfer" in html
    assert (
        "Prüfer"
        not in signed_in(make_site("O"))
        .get(f"{reverse('order-new')}?patient={exam.patient_id}")
        .content.decode()
    )


def test_the_messages_page_says_which_links_are_in_clear_and_from_where() -> None:
    site = make_site()
    told = OutlinkPlan("BILLING", "10.1.1.1", 2575, (), "XRAYDESK", "XRAY", "BILLS", "HOSP")
    plan = from_json(
        plan_with(
            LinkPlan("EHR", "orders", "EHR", "HOSP"),
            LinkPlan("OLD-WARD", "orders", "WARD", "HOSP", insecure=True, peers=("10.1.2.3", "10.9.0.0/16")),
        )
    )
    site.plan = to_json(
        replace(plan, outlinks=(replace(told, insecure=True), replace(told, name="SAFE", tls=True)))
    )
    site.save()
    page = signed_in(site).get(reverse("messages")).content.decode()
    rows = {
        re.sub(r"<[^>]+>", "", row.split("</th>")[0]).strip(): re.sub(r"<[^>]+>", "", row)
        for row in page.split("<tr>")
        if '<th scope="row">' in row
    }
    assert "in clear from 10.1.2.3, 10.9.0.0/16" in rows["OLD-WARD"]
    assert "in clear" not in rows["EHR"]
    assert "with TLS" in rows["EHR"]
    assert "in clear" in rows["BILLING"]
    assert "in clear" not in rows["SAFE"]
    assert '<b class="tag heavy">OLD-WARD in clear</b>' in page, "without opening anything"


def test_a_machine_is_chosen_on_the_worklist_page_and_an_unknown_one_is_not_there() -> None:
    exam, _, _ = furnished(make_site())
    browser = signed_in(exam.site)
    page = reverse("exam-worklist", args=[exam.accession])
    assert "XR2 does not show it" in browser.get(f"{page}?station=XR2").content.decode()
    assert browser.get(f"{page}?station=NOPE").status_code == 404
    Modality.objects.all().delete()
    assert "No machines here" in browser.get(page).content.decode()
