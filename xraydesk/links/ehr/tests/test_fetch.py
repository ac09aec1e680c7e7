"""What is fetched from an EHR by FHIR, over a real socket: orders, patients, coverages; each once, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from joserfc.jwk import ECKey

from tests.factories import load_demo_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.attention.models import Item
from xraydesk.billing.models import Coverage
from xraydesk.desk.tests.people import signed_in
from xraydesk.journey.tests.performing import begun, jobs
from xraydesk.lib import clock
from xraydesk.links import jobs as tasks
from xraydesk.links.again import apply_again
from xraydesk.links.ehr import fetch as fetching
from xraydesk.links.ehr import session as sessions
from xraydesk.links.ehr.tests.ehr_peer import Ehr, an_ehr, coverage, earlier, patient, request
from xraydesk.links.fhir import request_codec
from xraydesk.links.messages import NotReplayable
from xraydesk.links.models import Fetching, Message
from xraydesk.links.outside.tests.http_peer import Told
from xraydesk.orders.models import Exam
from xraydesk.patients.models import Patient
from xraydesk.siteplan.link_plan import EhrPlan, Pulls
from xraydesk.siteplan.reading import from_json, to_json

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]

HERE = ("127.0.0.0/8",)


@pytest.fixture
def ehr() -> Iterator[Ehr]:
    sessions._tokens.clear()
    with an_ehr() as running:
        yield running


def asked_site(ehr: Ehr, **more: Any) -> Site:
    site = load_demo_site()
    values: dict[str, Any] = {"pulls": {str(kind): "" for kind in Pulls}, "networks": HERE} | more
    plan = EhrPlan("RIVER", ehr.base, **values)
    site.plan = to_json(replace(from_json(site.plan), ehrs=(plan,)))
    site.save()
    return site


def fetch(site: Site) -> None:
    fetching.fetch(site_id=site.pk, ehr="RIVER")


def messages() -> list[tuple[str, str]]:
    return list(Message.objects.order_by("id").values_list("control_id", "state"))


def test_an_order_is_fetched_with_its_patient_and_who_pays_and_never_twice(ehr: Ehr) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=30))
    ehr.put(coverage(), earlier(days=30))
    ehr.put(request(), earlier(days=1))
    ehr.put(request("done", status="completed"), earlier(days=400))
    for _ in range(3):
        fetch(site)
    exam = Exam.objects.get()
    assert (exam.order.placer, exam.order.placer_authority, exam.reason) == ("PL-r1", "EHR", "cough")
    assert (exam.patient.family, exam.triage) == ("Moreau", "waiting")
    assert not exam.order.details
    assert Coverage.objects.get().patient == exam.patient
    assert messages() == [
        ("Patient/p1/1", "applied"),
        ("Coverage/c1/1", "applied"),
        ("ServiceRequest/r1/1", "applied"),
    ]
    assert not Item.objects.exists()
    assert [len(m.facts) for m in Message.objects.order_by("id")] == [1, 0, 1]


def test_pages_are_followed_and_each_order_comes_in_once(ehr: Ehr) -> None:
    site = asked_site(ehr)
    for number in range(5):
        ehr.put(patient(f"p{number}", str(number), f"Moreau{number}"), earlier(days=9))
        ehr.put(request(f"r{number}", f"p{number}"), earlier(minutes=90 - number))
    fetch(site)
    assert Exam.objects.count() == 5
    row = Fetching.objects.get(kind="ServiceRequest")
    assert row.since is not None
    assert row.further == ""
    assert row.answered_at is not None
    ehr.heard.clear()
    ehr.put(request("r9", "p1"))
    fetch(site)
    assert Exam.objects.count() == 6
    assert any("ServiceRequest" in a.target and "_lastUpdated=ge" in a.target for a in ehr.heard)


@pytest.mark.parametrize(
    ("further", "times", "why"),
    [
        ("http://127.0.0.1:9/R4/ServiceRequest?_page=2", 1, "it leads to an address beyond its own"),
        ("ServiceRequest?_page=2", 2, "its pages lead back to one that was read already"),
    ],
)
def test_a_next_page_elsewhere_or_read_before_is_not_asked_and_what_was_read_stays(
    ehr: Ehr, further: str, times: int, why: str
) -> None:
    site = asked_site(ehr, pulls={"ServiceRequest": ""})
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    further = further if "://" in further else f"{ehr.base}/{further}"

    def lead(asked: Any) -> Told | None:
        if not asked.target.startswith("/R4/ServiceRequest"):
            return None
        page = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": ehr.one("ServiceRequest")}],
            "link": [{"relation": "next", "url": further}],
        }
        return Told(200, json.dumps(page).encode())

    ehr.before = lead
    fetch(site)
    row = Fetching.objects.get()
    assert (row.why, row.further) == (why, "")
    assert len([asked for asked in ehr.heard if asked.target.startswith("/R4/ServiceRequest")]) == times
    assert Exam.objects.count() == 1


def test_changes_a_hold_and_a_cancellation_follow_and_a_later_version_ends_what_waited(ehr: Ehr) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    fetch(site)
    ehr.put(request(reasonCode=[{"text": "fever"}]))
    fetch(site)
    assert Exam.objects.get().reason == "fever"
    ehr.put(request(status="on-hold", reasonCode=[{"text": "fever"}]))
    fetch(site)
    assert Exam.objects.get().triage == "held"
    ehr.put(request(status="nonsense"))
    fetch(site)
    item = Item.objects.get(closed_at=None, kind="message could not be applied")
    assert "ServiceRequest.status" in item.text
    ehr.put(request(status="revoked"))
    fetch(site)
    assert Exam.objects.get().triage == "cancelled"
    item.refresh_from_db()
    assert item.closed_how == "a later version was applied"
    ehr.put(request(status="revoked", reasonCode=[{"text": "x"}]))
    fetch(site)
    assert [state for _, state in messages()][-3:] == [
        "waiting for a person",
        "applied",
        "kept, nothing to do",
    ]


def test_a_patient_is_brought_up_to_date_where_they_are_known_and_else_not_taken_in(ehr: Ehr) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    fetch(site)
    ehr.put(patient(family="Durand"))
    ehr.put(patient("p2", "4712", "Stranger"))
    ehr.put(coverage("c2", "p2"))
    fetch(site)
    assert list(Patient.objects.values_list("family", flat=True)) == ["Durand"]
    assert not Message.objects.filter(control_id__contains="p2").exists()
    assert not Coverage.objects.exists()


def test_an_id_of_the_ehrs_never_stands_for_one_of_ours(ehr: Ehr) -> None:
    site = asked_site(ehr)
    ours = Patient.objects.create(site=site, family="Ours", created_at=clock.now())
    ehr.put(request(of=str(ours.pk)), earlier(days=1))
    ehr.before = lambda asked: Told(404) if "/Patient/" in asked.target else None
    fetch(site)
    assert not Exam.objects.exists()
    assert Fetching.objects.get(kind="ServiceRequest").why == "it answered 404 when it was asked"


@pytest.mark.parametrize(
    ("resource", "named"),
    [
        (request(intent="nonsense"), "ServiceRequest.intent"),
        ({k: v for k, v in request().items() if k != "subject"}, "ServiceRequest.subject"),
        (request(subject={"display": "somebody"}), "ServiceRequest.subject"),
        (request(code={"text": "something"}), "ServiceRequest.code"),
        (request(note=[{"text": "no text has a \0"}]), "ServiceRequest.note[0].text"),
        (request(quantityQuantity={"value": Decimal("1e999")}), "ServiceRequest.quantityQuantity.value"),
        (request(occurrenceTiming={"code": {"text": "daily"}}), "ServiceRequest.occurrenceTiming"),
    ],
)
def test_what_cannot_be_read_becomes_one_item_that_names_the_element(
    ehr: Ehr, resource: dict[str, Any], named: str
) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(resource, earlier(days=1))
    fetch(site)
    fetch(site)
    item = Item.objects.get()
    assert named in item.text
    assert item.message is not None
    assert Message.objects.get(pk=item.message).state == "waiting for a person"
    assert not Exam.objects.exists()


def test_what_the_desk_fails_over_is_put_before_a_person_and_what_is_behind_it_comes_in(
    ehr: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(request("r1", identifier=[{"value": "STUMBLE"}]), earlier(minutes=9))
    ehr.put(request("r2"), earlier(minutes=8))
    read = request_codec.read_request

    def stumble(resource: Any, **told: Any) -> Any:
        if resource["identifier"][0]["value"] == "STUMBLE":
            raise OverflowError("date value out of range")
        return read(resource, **told)

    monkeypatch.setattr(request_codec, "read_request", stumble)
    fetch(site)
    assert Exam.objects.count() == 1
    item = Item.objects.get()
    assert "failed while applying it (OverflowError)" in item.text
    assert Message.objects.get(pk=item.message).state == "waiting for a person"


def test_a_code_that_nobody_mapped_becomes_an_order_as_one_by_hl7_does(ehr: Ehr) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(code={"coding": [{"system": "http://river.example/codes", "code": "RAD77"}]}))
    fetch(site)
    exam = Exam.objects.get()
    assert (exam.procedure, exam.procedure_code) == (None, "RAD77")
    assert exam.order.source == "link:fhir:RIVER"


def test_a_cancellation_after_the_exam_began_is_an_item_and_the_exam_goes_on(ehr: Ehr) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    fetch(site)
    begun(site, Exam.objects.get(), at=clock.now())
    ehr.put(request(status="revoked"))
    fetch(site)
    assert Item.objects.filter(kind="cancelled after it began").count() == 1
    assert Exam.objects.get().triage != "cancelled"


def test_an_ehr_that_is_away_is_told_of_after_ten_minutes_and_hinders_nobody(ehr: Ehr) -> None:
    site = asked_site(ehr, pulls={"ServiceRequest": ""})
    ehr.before = lambda asked: Told(503)
    fetch(site)
    row = Fetching.objects.get()
    assert row.failing_since is not None
    assert not Item.objects.exists()
    Fetching.objects.update(failing_since=clock.now() - timedelta(minutes=11))
    fetch(site)
    item = Item.objects.get()
    assert "RIVER gives no ServiceRequest" in item.text
    assert "503" in item.text
    admin = signed_in(site, Role.ADMINISTRATOR)
    page = admin.get(reverse("link", args=["in", "RIVER"]))
    assert "not answering" in page.content.decode()
    assert "503" in page.content.decode()
    assert "RIVER" in admin.get(reverse("messages")).content.decode()
    ehr.before = lambda asked: None
    fetch(site)
    item.refresh_from_db()
    assert item.closed_how == "it answers again"
    assert "up" in admin.get(reverse("link", args=["in", "RIVER"])).content.decode()


def test_an_ehr_that_asks_to_be_left_alone_is_asked_nothing_and_then_goes_on_with_its_page(ehr: Ehr) -> None:
    site = asked_site(ehr)
    for number in range(3):
        ehr.put(patient(f"p{number}", str(number), f"Moreau{number}"), earlier(days=9))
        ehr.put(request(f"r{number}", f"p{number}"), earlier(minutes=90 - number))
    ehr.before = lambda asked: (
        Told(429, headers={"Retry-After": "300"}) if "_page=1" in asked.target else None
    )
    fetch(site)
    row = Fetching.objects.get(kind="ServiceRequest")
    assert row.left_alone_until is not None
    assert timedelta(seconds=290) < row.left_alone_until - clock.now() <= timedelta(seconds=300)
    assert (row.why, bool(row.further), Exam.objects.count()) == ("it answered 429", True, 2)
    heard = len(ehr.heard)
    fetch(site)
    assert len(ehr.heard) == heard
    ehr.before = lambda asked: None
    Fetching.objects.filter(pk=row.pk).update(left_alone_until=clock.now())
    fetch(site)
    assert Exam.objects.count() == 3


def test_a_stranger_sees_nothing_of_it(ehr: Ehr) -> None:
    asked_site(ehr)
    for direction in ("in", "out"):
        told = Client().get(reverse("link", args=[direction, "RIVER"]))
        assert told.status_code in (302, 401, 403)
    other = Site.objects.create(
        code="OTHER", name="Other", timezone="UTC", assigning_authority="X", ae_title="O"
    )
    elsewhere = signed_in(other, Role.ADMINISTRATOR)
    assert elsewhere.get(reverse("link", args=["in", "RIVER"])).status_code == 404


def test_row_23_an_ehr_within_is_not_asked_unless_the_site_file_lists_its_network(ehr: Ehr) -> None:
    site = asked_site(ehr, networks=())
    fetch(site)
    assert ehr.heard == []
    assert "lists no network" in Fetching.objects.filter(kind="ServiceRequest").get().why


def test_the_desk_signs_in_with_its_key_and_anew_where_a_token_is_refused(ehr: Ehr, tmp_path: Path) -> None:
    key = ECKey.generate_key("P-384", {"kid": "k1"}, auto_kid=False)
    (tmp_path / "key.jwk").write_text(json.dumps(key.as_dict(private=True)))
    ehr.keys = {"keys": [key.as_dict(private=False)]}
    site = asked_site(ehr, client_id="xraydesk", key=str(tmp_path / "key.jwk"))
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    fetch(site)
    assert (Exam.objects.count(), ehr.given) == (1, 1)
    ehr.tokens.clear()
    ehr.put(request("r2"))
    fetch(site)
    assert (Exam.objects.count(), ehr.given) == (2, 2)
    (tmp_path / "key.jwk").unlink()
    sessions._tokens.clear()
    fetch(site)
    assert "own key" in Fetching.objects.get(kind="ServiceRequest").why


def test_a_person_applies_again_what_waited_and_not_what_a_later_version_replaced(ehr: Ehr) -> None:
    site = asked_site(ehr)
    ehr.put(patient(), earlier(days=9))
    ehr.put(request(code={"text": "nothing"}), earlier(days=1))
    fetch(site)
    message = Message.objects.get(type="ServiceRequest")
    again = apply_again(message_id=message.pk, at=clock.now(), by="user:ada")
    assert again.state == "waiting for a person"
    ehr.put(request())
    fetch(site)
    with pytest.raises(NotReplayable, match="later version"):
        apply_again(message_id=message.pk, at=clock.now(), by="user:ada")
    with pytest.raises(NotReplayable, match="already"):
        applied = Message.objects.get(control_id="ServiceRequest/r1/2")
        apply_again(message_id=applied.pk, at=clock.now(), by="user:ada")
    page = signed_in(site, Role.ADMINISTRATOR).get(reverse("message", args=[message.pk]))
    assert page.status_code == 200


def test_an_order_whose_patient_could_not_be_read_is_read_again_once_they_can(ehr: Ehr) -> None:
    site = asked_site(ehr)
    unreadable = patient() | {"birthDate": "July"}
    ehr.put(unreadable, earlier(days=9))
    ehr.put(coverage(), earlier(days=9))
    ehr.put(request(), earlier(days=1))
    fetch(site)
    assert not Exam.objects.exists()
    assert Item.objects.filter(closed_at=None).count() == 2
    ehr.put(patient())
    fetch(site)
    exam = Exam.objects.get()
    assert exam.patient.family == "Moreau"
    assert not Item.objects.filter(closed_at=None).exists()
    read = Message.objects.get(type="ServiceRequest")
    assert (read.state, read.accession) == ("applied", exam.accession)
    assert read.facts
    assert Item.objects.get(message=read.pk).closed_how == "read again: its patient could be read"


def test_every_ehr_is_asked_by_a_job_of_its_own_and_a_paused_one_is_not_asked(ehr: Ehr) -> None:
    site = asked_site(ehr)
    tasks.fetch_all.func(0)
    tasks.fetch_all.func(0)
    assert jobs("fetch").count({"site_id": site.pk, "ehr": "RIVER"}) == 1
    admin = signed_in(site, Role.ADMINISTRATOR)
    admin.post(reverse("link-pause", args=["RIVER"]))
    tasks.fetch.func(site.pk, "RIVER")
    assert ehr.heard == []
    admin.post(reverse("link-resume", args=["RIVER"]))
    tasks.fetch.func(site.pk, "RIVER")
    assert ehr.heard
