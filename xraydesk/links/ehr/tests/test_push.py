"""What is written into an EHR by FHIR, over a real socket: in order, once, brought up to date, and never over somebody else's change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from fhir.resources.R4B import get_fhir_model_class

from tests.factories import make_booking, make_exam
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.models import Image
from xraydesk.journey.report import receive_report
from xraydesk.journey.tests.performing import jobs
from xraydesk.lib import clock
from xraydesk.links.ehr import session as sessions
from xraydesk.links.ehr import wire
from xraydesk.links.ehr.tell import tell_ehrs
from xraydesk.links.ehr.tests.ehr_peer import Ehr, an_ehr, earlier, patient, request
from xraydesk.links.ehr.tests.test_fetch import asked_site, fetch
from xraydesk.links.fhir.tests.test_fhir import make_image
from xraydesk.links.models import Message
from xraydesk.links.outgoing import send
from xraydesk.links.outgoing.tests.test_tell import happened
from xraydesk.links.outside.tests.http_peer import Asked, Told
from xraydesk.orders.models import Exam
from xraydesk.results.models import Finding
from xraydesk.results.reporting import SaidExam, SaidReport
from xraydesk.results.states import ReportAction
from xraydesk.scheduling.models import Booking
from xraydesk.siteplan.link_plan import Pushes

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    sessions._tokens.clear()
    with an_ehr() as running:
        yield running


def told_site(ehr: Ehr, *sends: Pushes) -> Site:
    return asked_site(ehr, sends=sends or tuple(Pushes))


def booked(site: Site) -> Exam:
    exam = make_exam(site)
    make_booking(exam)
    tell_ehrs(happened(exam, FactKind.EXAM_BOOKED))
    return exam


def go(site: Site) -> None:
    Message.objects.update(next_at=None)
    send.send_out(site_id=site.pk, outlink="RIVER")


def states() -> list[tuple[str, str]]:
    return list(Message.objects.filter(direction="out").order_by("id").values_list("type", "state"))


def test_an_appointment_is_made_once_and_follows_the_exam(ehr: Ehr) -> None:
    site = told_site(ehr)
    exam = booked(site)
    assert {"site_id": site.pk, "outlink": "RIVER"} in jobs("send_out")
    go(site)
    there = ehr.one("Appointment")
    get_fhir_model_class("Appointment").model_validate(there)
    assert there["status"] == "booked"
    assert there["identifier"][0] == {"system": "urn:xraydesk:HOSP:appointment", "value": exam.accession}
    patient_told = there["participant"][0]["actor"]
    assert patient_told["identifier"]["value"] == exam.patient.identifiers.get().value
    assert not [p for p in there["participant"] if "reference" in p["actor"]]
    assert there["basedOn"][0]["identifier"]["value"] == exam.order.placer
    Booking.objects.update(state="cancelled", ended_why="the patient called")
    tell_ehrs(happened(exam, FactKind.BOOKING_RELEASED))
    go(site)
    there = ehr.one("Appointment")
    assert (there["status"], there["meta"]["versionId"]) == ("cancelled", "2")
    assert [m for m, _ in ehr.writes()] == ["POST", "PUT"]
    assert ehr.heard[-1].headers["if-match"] == 'W/"1"'
    assert states() == [("Appointment", "accepted")] * 2
    assert json.loads(bytes(Message.objects.order_by("id")[0].answer))["id"] == there["id"]


def test_what_was_fetched_is_named_by_the_ehrs_own_ids(ehr: Ehr) -> None:
    site = told_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    fetch(site)
    exam = Exam.objects.get()
    make_booking(exam)
    tell_ehrs(happened(exam, FactKind.EXAM_BOOKED))
    go(site)
    there = ehr.one("Appointment")
    assert there["basedOn"] == [{"reference": "ServiceRequest/r1"}]
    assert there["participant"][0]["actor"] == {"reference": "Patient/p1"}


def test_a_study_a_report_and_a_result_to_tell_go_there_and_name_each_other(ehr: Ehr) -> None:
    site = told_site(ehr)
    exam = make_exam(site)
    for number in range(3):
        make_image(exam, number)
        tell_ehrs(happened(exam, FactKind.IMAGE_MATCHED))
    assert states() == []
    tell_ehrs(happened(exam, FactKind.EXAM_ENDED))
    make_image(exam, 3)
    tell_ehrs(happened(exam, FactKind.IMAGE_MATCHED))
    assert states() == [("ImagingStudy", "queued")]
    go(site)
    study = ehr.one("ImagingStudy")
    assert (study["numberOfInstances"], "series" in study) == (4, False)
    assert Image.objects.filter(exam=exam).update(state="rejected") == 4
    tell_ehrs(happened(exam, FactKind.IMAGE_REJECTED))
    go(site)
    withdrawn = ehr.one("ImagingStudy")
    assert (withdrawn["status"], "numberOfInstances" in withdrawn) == ("entered-in-error", False)
    assert Image.objects.filter(exam=exam).update(state="matched") == 4
    said = SaidReport(
        action=ReportAction.FINAL,
        exam=SaidExam(accession=exam.accession),
        said_at=clock.now(),
        text="Clear.",
        impression="Clear.",
    )
    receive_report(site=site, report=said, link="", by="user:x", at=clock.now())
    tell_ehrs(happened(exam, FactKind.REPORT_RECEIVED))
    go(site)
    report = ehr.one("DiagnosticReport")
    assert report["imagingStudy"] == [{"reference": f"ImagingStudy/{study['id']}"}]
    finding = Finding.objects.create(
        site=site,
        exam=exam,
        category=1,
        state="open",
        source="flag",
        words="air",
        found_at=clock.now(),
        opened_at=clock.now(),
        due_at=clock.now(),
    )
    tell_ehrs(happened(exam, FactKind.FINDING_OPENED, finding=finding.pk))
    go(site)
    told = ehr.one("Communication")
    assert (told["status"], told["payload"]) == ("in-progress", [{"contentString": "air"}])
    for one in (study, report, told):
        get_fhir_model_class(one["resourceType"]).model_validate(one)
    assert [state for _, state in states()] == ["accepted"] * 4


def test_each_ehr_is_told_of_what_it_asked_for_and_a_fact_once(ehr: Ehr) -> None:
    site = told_site(ehr, Pushes.REPORTS)
    exam = make_exam(site)
    make_booking(exam)
    tell_ehrs(happened(exam, FactKind.EXAM_BOOKED))
    assert states() == []
    site = told_site(ehr, Pushes.APPOINTMENTS)
    fact = happened(exam, FactKind.EXAM_MOVED)
    fact.refresh_from_db()
    for _ in range(2):
        tell_ehrs(fact)
    tell_ehrs(happened(exam, FactKind.REPORT_RECEIVED))
    assert states() == [("Appointment", "queued")]


@pytest.mark.parametrize("lost", ["before it was written", "after it was written"])
def test_a_resend_after_a_lost_answer_makes_nothing_twice(ehr: Ehr, lost: str) -> None:
    site = told_site(ehr)
    exam = booked(site)

    def hang_up(asked: Asked) -> Told:
        if lost == "after it was written":
            ehr._answer(asked)
        return Told(0)

    for _ in range(2):
        ehr.before = hang_up
        go(site)
        assert states()[-1] == ("Appointment", "sent")
        ehr.before = lambda asked: None
        go(site)
        assert states()[-1] == ("Appointment", "accepted")
        assert len(ehr.held["Appointment"]) == 1
        Booking.objects.update(state="no-show")
        tell_ehrs(happened(exam, FactKind.NO_SHOW))
    go(site)
    assert ehr.one("Appointment")["status"] == "noshow"
    assert not Item.objects.exists()


def test_somebody_elses_change_is_put_before_a_person_and_overwritten_when_they_say_so(ehr: Ehr) -> None:
    site = told_site(ehr)
    exam = booked(site)
    go(site)
    ehr.put({**ehr.one("Appointment"), "comment": "changed there", "status": "cancelled"})
    Booking.objects.update(state="no-show")
    tell_ehrs(happened(exam, FactKind.NO_SHOW))
    go(site)
    assert states()[-1] == ("Appointment", "rejected there")
    item = Item.objects.get()
    assert "changed there since" in item.text
    assert ehr.one("Appointment")["status"] == "cancelled"
    browser = signed_in(site, Role.ADMINISTRATOR)
    browser.post(reverse("message-send-again", args=[item.message]))
    go(site)
    assert ehr.one("Appointment")["status"] == "noshow"
    item.refresh_from_db()
    assert item.closed_how == "sent again"


def test_what_was_deleted_there_is_made_anew(ehr: Ehr) -> None:
    site = told_site(ehr)
    exam = booked(site)
    go(site)
    ehr.held["Appointment"].clear()
    tell_ehrs(happened(exam, FactKind.EXAM_MOVED))
    go(site)
    assert len(ehr.held["Appointment"]) == 1
    assert [m for m, _ in ehr.writes()] == ["POST", "PUT", "POST"]


def test_what_the_ehr_refuses_is_an_item_with_its_words_and_the_rest_goes_on(ehr: Ehr) -> None:
    site = told_site(ehr)
    first, second = make_exam(site), make_exam(site)
    for exam in (first, second):
        make_booking(exam, room="XR1" if exam is first else "XR2")
        tell_ehrs(happened(exam, FactKind.EXAM_BOOKED))
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {"code": "invalid", "diagnostics": "no such service", "expression": ["Appointment.serviceType"]}
        ],
    }

    def refuse_first(asked: Asked) -> Told | None:
        return Told(422, json.dumps(outcome).encode()) if first.accession.encode() in asked.body else None

    ehr.before = refuse_first
    go(site)
    assert [state for _, state in states()] == ["rejected there", "accepted"]
    assert "Appointment.serviceType no such service (422)" in Item.objects.get().text


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_an_ehr_that_is_away_is_tried_again_in_order(ehr: Ehr, status: int) -> None:
    site = told_site(ehr)
    first, second = make_exam(site), make_exam(site)
    for exam in (first, second):
        make_booking(exam, room="XR1" if exam is first else "XR2")
        tell_ehrs(happened(exam, FactKind.EXAM_BOOKED))
    ehr.before = lambda asked: Told(status)
    go(site)
    assert [state for _, state in states()] == ["sent", "queued"]
    head = Message.objects.order_by("id")[0]
    assert str(status) in head.why
    assert head.next_at is not None
    ehr.before = lambda asked: None
    go(site)
    assert [state for _, state in states()] == ["accepted", "accepted"]
    told = [json.loads(a.body)["identifier"][0]["value"] for a in ehr.heard if a.method == "POST"]
    assert told == [first.accession, first.accession, second.accession]


def test_an_ehr_that_says_how_long_it_is_to_be_left_alone_is_left_alone(ehr: Ehr) -> None:
    site = told_site(ehr)
    booked(site)
    ehr.before = lambda asked: Told(503, headers={"Retry-After": "240"})
    at = clock.now()
    go(site)
    next_at = Message.objects.get(direction="out").next_at
    assert next_at is not None
    assert next_at >= at + timedelta(seconds=240)


def test_an_ehr_that_is_told_of_its_own_orders_hears_of_no_other(ehr: Ehr) -> None:
    site = asked_site(ehr, sends=tuple(Pushes), only_its_orders=True)
    booked(site)
    assert not Message.objects.filter(direction="out").exists()
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    fetch(site)
    exam = Exam.objects.get(order__placer="PL-r1")
    make_booking(exam, room="XR2")
    tell_ehrs(happened(exam, FactKind.EXAM_BOOKED))
    assert Message.objects.get(direction="out").accession == exam.accession


def test_a_paused_ehr_is_told_nothing_until_it_goes_on(ehr: Ehr) -> None:
    site = told_site(ehr)
    booked(site)
    send.pause(site=site, outlink="RIVER", at=clock.now(), by="user:ada")
    go(site)
    assert ehr.heard == []
    page = signed_in(site, Role.ADMINISTRATOR).get(reverse("link", args=["out", "RIVER"])).content.decode()
    assert "paused" in page
    send.resume(site=site, outlink="RIVER")
    go(site)
    assert ehr.one("Appointment")


def test_an_ehr_that_keeps_several_or_says_no_id(ehr: Ehr) -> None:
    site = told_site(ehr)
    booked(site)
    ehr.before = lambda asked: Told(201, b"")
    go(site)
    assert "under which id" in Message.objects.get().why
    ehr.before = lambda asked: Told(412, b"")
    go(site)
    assert "holds several" in Message.objects.get().why
    ehr.before = lambda asked: Told(
        201, b"", {"Location": f"{ehr.base}/Appointment/a7/_history/3", "ETag": 'W/"3"'}
    )
    send.send_again(message_id=Message.objects.get().pk, at=clock.now(), by="user:ada")
    go(site)
    assert states() == [("Appointment", "accepted")]


def test_a_location_names_an_id_only_of_the_type_that_was_written() -> None:
    assert wire._id_in("Appointment/12", "Appointment") == "12"
    for other in ("", "12", "https://e/R4/Patient/12", "https://e/R4/Appointment/a b"):
        assert wire._id_in(other, "Appointment") == ""
