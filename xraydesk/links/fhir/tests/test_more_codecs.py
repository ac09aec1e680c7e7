"""The plan, tasks, critical results and the log of access as resources; what is read in those that are sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from tests.factories import AT
from xraydesk.links.fhir import (
    answers_codec,
    audit_codec,
    capability_codec,
    coverage_codec,
    elements_codec,
    hooks_codec,
    map_codec,
    patient_codec,
    plan_codec,
    report_codec,
    request_codec,
    scopes_codec,
    shape_codec,
    task_codec,
)
from xraydesk.links.fhir.elements_codec import CODES_PREFIX
from xraydesk.links.fhir.overlay_codec import overlaid
from xraydesk.orders.rules import Code, Decision, Finding, Level
from xraydesk.patients.demographics import Demographics, Identifier, Name
from xraydesk.siteplan.link_plan import OrderControl

ROOM = plan_codec.LocationFacts(
    id="1",
    code="XR1",
    name="Room 1",
    kind="general",
    building="Main",
    down=False,
    retired=False,
    hours={"mon": [["07:00", "19:00"]], "tue": [["00:00", "00:00"]]},
)
BOOKING = plan_codec.AppointmentFacts(
    id="7",
    state="booked",
    arrived=False,
    accession="A1",
    request_id="3",
    patient_id="1",
    room_id="1",
    room_name="Room 1",
    technologist_id="2",
    technologist_name="Tess",
    code="XRCHEST2",
    code_system="L",
    text="Chest 2 views",
    start=AT,
    end=AT + timedelta(minutes=10),
    created_at=AT,
    why_ended="",
    slot_ids=("1-1",),
)
TASK = task_codec.TaskFacts(
    id="transport.1",
    code="transport",
    words="Bring the patient",
    status="requested",
    request_id="3",
    patient_id="1",
    priority="stat",
    authored_at=AT,
    begun_at=AT,
    ended_at=None,
    due_at=AT,
    owner="Paul",
    why="lift broken",
)
FINDING = report_codec.FindingFacts(
    id="1",
    patient_id="1",
    request_id="3",
    report_id="5",
    state="open",
    category=1,
    words="Pneumothorax.",
    opened_at=AT,
    read_back_at=AT,
    people=("Dr Okafor",),
    calls=(
        report_codec.CallFacts(AT, "phone", "", "no answer", ""),
        report_codec.CallFacts(AT, "phone", "Dr Okafor", "read back", "Pneumothorax right"),
    ),
)
READ = audit_codec.ReadFacts("1", AT, "user:ada", "1", "A1", "exam page", "on call", "T")


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    assert shape_codec.issues_of(resource, resource["resourceType"]) == []
    return resource


@pytest.mark.parametrize(
    ("change", "status"), [({}, "active"), ({"down": True}, "suspended"), ({"retired": True}, "inactive")]
)
def test_a_room_says_whether_it_can_be_used_and_when(change: dict[str, Any], status: str) -> None:
    told = valid(plan_codec.location(replace(ROOM, **change)))
    assert told["status"] == status
    assert told["hoursOfOperation"] == [
        {"daysOfWeek": ["mon"], "openingTime": "07:00:00", "closingTime": "19:00:00"},
        {"daysOfWeek": ["tue"], "allDay": True},
    ]
    portable = plan_codec.location(replace(ROOM, kind="portable"))
    assert portable["physicalType"]["coding"][0]["code"] == "ve"


def test_people_and_plans_of_rooms() -> None:
    told = valid(plan_codec.practitioner(plan_codec.PractitionerFacts("2", "T1", "Tess", retired=False)))
    assert (told["id"], told["active"]) == ("2", True)
    told = valid(plan_codec.schedule(plan_codec.ScheduleFacts("1", "1", "Room 1", True, AT, AT)))
    assert told["active"] is True
    assert told["planningHorizon"]["start"] == told["planningHorizon"]["end"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, "booked"),
        ({"arrived": True}, "arrived"),
        ({"state": "done", "arrived": True}, "fulfilled"),
        ({"state": "no-show"}, "noshow"),
        ({"state": "held"}, "pending"),
        ({"state": "cancelled", "why_ended": "rain"}, "cancelled"),
        ({"state": "released"}, "cancelled"),
    ],
)
def test_an_appointment_says_where_it_stands(change: dict[str, Any], status: str) -> None:
    told = valid(plan_codec.appointment(replace(BOOKING, **change)))
    assert told["status"] == status
    assert told.get("cancelationReason") == ({"text": "rain"} if "why_ended" in change else None)
    assert [p["actor"]["reference"] for p in told["participant"]] == [
        "Patient/1",
        "Location/1",
        "Practitioner/2",
    ]


def test_an_appointment_without_a_technologist_names_none() -> None:
    told = valid(plan_codec.appointment(replace(BOOKING, technologist_id="", technologist_name="")))
    assert len(told["participant"]) == 2


def test_a_free_place_and_what_could_be_had_there() -> None:
    facts = plan_codec.SlotFacts(
        "1-2-3", "1", "free", "XRCHEST2", "L", "Chest", AT, AT + timedelta(minutes=10)
    )
    slot = valid(plan_codec.slot(facts))
    for patient in ("", "Patient/1"):
        told = valid(plan_codec.proposed(slot, room_id="1", patient=patient))
        assert len(told["participant"]) == (2 if patient else 1)
        assert told["slot"] == [{"reference": "Slot/1-2-3"}]


def test_a_task_with_everything_and_with_hardly_anything() -> None:
    assert valid(task_codec.task(TASK))["statusReason"] == {"text": "lift broken"}
    bare = valid(task_codec.task(replace(TASK, begun_at=None, due_at=None, owner="", why="")))
    assert not {"statusReason", "executionPeriod", "restriction", "owner"} & bare.keys()


def test_a_critical_result_tells_each_attempt() -> None:
    told = valid(report_codec.communication(FINDING))
    assert [note["text"] for note in told["note"]] == [
        "phone, nobody reached: no answer",
        "phone, Dr Okafor, read back: Pneumothorax right",
    ]
    bare = valid(report_codec.communication(replace(FINDING, report_id="", words="")))
    assert not {"about", "payload"} & bare.keys()


@pytest.mark.parametrize(
    ("what", "action", "subtype"),
    [
        ("exam page", "R", "exam page"),
        ("FHIR read Patient", "R", "read"),
        ("FHIR search Patient", "E", "search-type"),
        ("FHIR create Patient", "C", "create"),
        ("FHIR update Patient", "U", "update"),
    ],
)
def test_a_look_at_a_record_is_an_audit_event(what: str, action: str, subtype: str) -> None:
    told = valid(audit_codec.audit_event(replace(READ, what=what)))
    assert (told["action"], told["subtype"][0]["display"]) == (action, subtype)
    bare = valid(audit_codec.audit_event(replace(READ, what=what, accession="", reason="")))
    assert len(bare["entity"]) == 1
    assert "purposeOfEvent" not in bare


def test_the_statement_is_valid_with_and_without_apps() -> None:
    one = capability_codec.Served("Patient", "a patient", {"_id": "token"}, ["Patient:x"], [], ["create"], {})
    for oauth in ({}, {"token": "https://desk/token"}):
        told = capability_codec.capability_statement(
            at=AT, base="https://desk", version="1", served=[one], oauth=oauth
        )
        CapabilityStatement.model_validate(told)
        assert ("service" in told["rest"][0]["security"]) == bool(oauth)


@pytest.mark.parametrize("authority", ["HOSP", "1.2.3", "http://hosp.example/mrn"])
def test_an_issuer_is_written_and_read_back(authority: str) -> None:
    assert elements_codec.authority_of(elements_codec.identifier_system(authority)) == authority


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Patient/1", "1"),
        ("https://desk/fhir/R4/Patient/1/_history/2", "1"),
        ("https://elsewhere/fhir/R4/Patient/1", None),
        ("Group/1", None),
        ("urn:uuid:1", None),
    ],
)
def test_a_reference_is_read(text: str, key: str | None) -> None:
    assert elements_codec.read_reference(text, "Patient", "https://desk/fhir/R4") == key


def test_every_reference_below_an_element_is_found() -> None:
    told = [{"actor": {"reference": "Patient/1"}}, {"actor": {"display": "x"}}, 5]
    assert list(elements_codec.references(told)) == ["Patient/1"]


def test_a_version_follows_content_alone() -> None:
    one = elements_codec.with_meta({"resourceType": "Patient", "id": "1"}, AT)
    other = elements_codec.with_meta({"resourceType": "Patient", "id": "1", "meta": {"tag": []}}, None)
    assert one["meta"]["versionId"] == other["meta"]["versionId"]
    assert other["meta"]["tag"] == []
    assert "lastUpdated" not in other["meta"]


def test_a_subset_is_marked_as_one() -> None:
    told = answers_codec.subset(
        {"resourceType": "Patient", "id": "1", "gender": "male", "_gender": {}, "photo": []}, ["gender"]
    )
    assert set(told) == {"resourceType", "id", "gender", "_gender", "meta"}
    assert told["meta"]["tag"] == [answers_codec.SUBSETTED]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ({"resourceType": "Group"}, "Patient.resourceType"),
        ({"resourceType": "Patient", "name": [{"use": "sometimes"}]}, "Patient.name[0].use"),
        ({"resourceType": "Patient", "gender": "f"}, "Patient.gender"),
        ({"resourceType": "Patient", "shoe": 9}, "Patient.shoe"),
        ({"resourceType": "Patient", "birthDate": "1.2.1960"}, "Patient.birthDate"),
        ({"resourceType": "Patient", "name": [None]}, "Patient.name"),
    ],
)
def test_a_wrong_shape_names_its_element(resource: dict[str, Any], path: str) -> None:
    issues = shape_codec.issues_of(resource, "Patient")
    assert path in [issue.path for issue in issues]


def test_a_resource_nested_too_deep_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(shape_codec.DEPTH_MAX + 1):
        deep = {"extension": [deep]}
    assert shape_codec.issues_of({"resourceType": "Patient", **deep}, "Patient")[0].code == "too-long"


def test_a_list_of_codes_that_is_cut_short_refuses_none() -> None:
    task = {"resourceType": "Task", "status": "completed", "intent": "order"}
    assert shape_codec.issues_of(task, "Task") == []
    assert shape_codec.issues_of(task | {"intent": "whim"}, "Task")[0].path == "Task.intent"


SENT: dict[str, Any] = {
    "resourceType": "Patient",
    "meta": {"profile": ["http://p"], "versionId": "9"},
    "identifier": [
        {"value": "N1", "system": "urn:oid:1.2.3", "type": {"coding": [{"code": "MR"}]}},
        {"value": "N0", "use": "old"},
        {"system": "urn:oid:1.2.3"},
    ],
    "name": [
        {"use": "old", "family": "Old"},
        {"family": "Nick"},
        {"use": "official", "family": "Prüfer", "given": ["Ada", "M", "B"], "prefix": ["Dr"]},
    ],
    "birthDate": "1969-05-12",
    "gender": "female",
    "telecom": [{"system": "email", "value": "a@b"}, {"system": "phone", "value": "555"}],
    "address": [{"line": ["Elm 1"], "city": "Hof", "postalCode": "9"}],
    "communication": [
        {"language": {"text": "x"}},
        {"language": {"coding": [{"display": "Dutch"}]}, "preferred": True},
    ],
    "deceasedDateTime": "2020-01-01",
}


def test_what_is_read_in_a_patient() -> None:
    assert patient_codec.read_patient(SENT) == Demographics(
        identifiers=(Identifier("N1", "1.2.3", "MR"),),
        name=Name("Prüfer", "Ada", "M B", "Dr", ""),
        birth_date=date(1969, 5, 12),
        sex="F",
        phone="555",
        address="Elm 1, 9 Hof",
        language="Dutch",
        deceased=True,
    )
    bare = patient_codec.read_patient({"resourceType": "Patient", "birthDate": "1969"})
    assert bare == Demographics(identifiers=())


def own_patient(**more: Any) -> dict[str, Any]:
    said = patient_codec.read_patient(SENT)
    facts = patient_codec.PatientFacts(
        "1",
        said.identifiers,
        said.name,
        said.birth_date,
        said.sex,
        said.phone,
        said.address,
        said.language,
        said.deceased,
    )
    return patient_codec.patient(replace(facts, **more))


def test_a_patient_is_told_as_it_was_sent_while_that_is_true() -> None:
    told = overlaid(own_patient(), SENT, patient_codec.PARTS)
    assert told == SENT | {"id": "1", "meta": {"profile": ["http://p"]}}
    assert overlaid(own_patient(), None, patient_codec.PARTS) == own_patient()


def test_what_was_changed_here_is_told_as_it_is_here() -> None:
    own = own_patient(
        phone="", merged_into="2", identifiers=(Identifier("N1", "1.2.3"), Identifier("N5", "HOSP"))
    )
    told = overlaid(own, {k: v for k, v in SENT.items() if k != "meta"}, patient_codec.PARTS)
    assert "telecom" not in told
    assert told["active"] is False
    assert told["link"][0]["other"] == {"reference": "Patient/2"}
    assert [i.get("value") for i in told["identifier"]] == ["N1", "N0", None, "N5"]
    assert "meta" not in told


REQUEST: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "status": "active",
    "intent": "order",
    "priority": "stat",
    "identifier": [
        {"value": "F1", "type": {"coding": [{"code": "FILL"}]}},
        {"value": "P1", "system": "http://ehr"},
        {"value": "P2"},
        {"value": "A1", "type": {"coding": [{"code": "ACSN"}]}},
        {"value": "urn:oid:1.2.3", "system": "urn:dicom:uid"},
    ],
    "code": {
        "coding": [
            {"system": "http://loinc.org", "code": "XRKNEE2"},
            {"system": "urn:xraydesk:codes:L", "code": "XRKNEE2"},
        ]
    },
    "subject": {"reference": "Patient/1"},
    "occurrencePeriod": {"start": "2026-03-05T09:30:00Z"},
    "requester": {"identifier": {"value": "77"}, "display": "Dr Okafor"},
    "reasonCode": [{"text": "fall"}, {"coding": [{"display": "pain"}]}, {}],
    "bodySite": [{"text": "Left knee"}],
    "note": [{"text": "one"}, {"text": "two"}],
}
OFFERED = [("XRKNEE2", "L")]


def test_what_is_read_in_a_request() -> None:
    asked = request_codec.read_request(REQUEST, patient=Demographics(()), offered=OFFERED)
    [exam] = asked.exams
    assert (asked.control, asked.placer, asked.placer_authority) == (OrderControl.NEW, "P1", "http://ehr")
    assert (exam.code, exam.system, exam.laterality, exam.priority) == ("XRKNEE2", "L", "L", "stat")
    assert (exam.accession, exam.study_instance_uid) == ("A1", "1.2.3")
    assert (exam.reason, exam.clinical_information) == ("fall; pain", "one\ntwo")
    assert (asked.provider_id, asked.provider_name) == ("77", "Dr Okafor")
    again = request_codec.read_request(REQUEST, patient=Demographics(()), offered=OFFERED, standing="active")
    assert again.control is OrderControl.CHANGE


@pytest.mark.parametrize(
    ("system", "fits"),
    [("", True), ("L", True), ("http://hosp/codes", True), ("http://snomed.info/sct", False)],
)
def test_a_code_of_a_public_table_is_never_one_of_ours(system: str, fits: bool) -> None:
    asked = REQUEST | {"code": {"coding": [{}, {"system": system, "code": "XRKNEE2"}]}}
    if fits:
        assert request_codec.read_code(asked, OFFERED) == ("XRKNEE2", "L")
        return
    with pytest.raises(request_codec.Unfit):
        request_codec.read_code(asked, OFFERED)


@pytest.mark.parametrize(
    "change",
    [
        {"code": {"text": "knee"}},
        {"code": {"coding": [{"code": "OTHER"}]}},
        {"intent": "plan"},
        {"status": "unknown"},
        {"doNotPerform": True},
        {"occurrenceTiming": {}},
        {"occurrenceDateTime": "9999-12-31T23:59:59-14:00"},
    ],
)
def test_what_cannot_be_asked_for(change: dict[str, Any]) -> None:
    with pytest.raises(request_codec.Unfit):
        request_codec.read_request(REQUEST | change, patient=Demographics(()), offered=OFFERED)


def test_a_request_is_told_as_it_was_sent_while_that_is_true() -> None:
    asked = request_codec.read_request(REQUEST, patient=Demographics(()), offered=OFFERED)
    [exam] = asked.exams
    facts = request_codec.RequestFacts(
        id="3",
        patient_id="1",
        placer=asked.placer,
        placer_authority=asked.placer_authority,
        accession=exam.accession,
        study_instance_uid=exam.study_instance_uid,
        stage="ordered",
        priority=exam.priority,
        code=exam.code,
        code_system=exam.system,
        text="Knee",
        body_part="KNEE",
        laterality=exam.laterality,
        authored_at=AT,
        wished_at=exam.requested_at,
        provider_name=asked.provider_name,
        provider_id=asked.provider_id,
        reason=exam.reason,
        clinical_information=exam.clinical_information,
    )
    own = request_codec.service_request(facts)
    own["identifier"] = [i for i in own["identifier"] if i["value"] != "urn:oid:1.2.3"] + [
        own["identifier"][-1]
    ]
    told = overlaid(own, REQUEST, request_codec.PARTS)
    assert told == REQUEST | {"id": "3"}
    moved = overlaid(
        request_codec.service_request(replace(facts, wished_at=AT)), REQUEST, request_codec.PARTS
    )
    assert moved["occurrenceDateTime"] == AT.isoformat()
    assert "occurrencePeriod" not in moved


def test_a_request_keeps_the_code_of_a_table_that_means_the_departments_own() -> None:
    table = "http://their.example"
    ours = {"coding": [{"system": f"{CODES_PREFIX}L", "code": "XRKNEE2"}, {"system": table, "code": "K2"}]}

    def told(code: str) -> dict[str, Any]:
        sent = {"code": {"coding": [{"system": table, "code": code}]}}
        (of_code,) = (part for part in request_codec.PARTS if part.elements == ("code",))
        own = {"resourceType": "ServiceRequest", "id": "3", "code": ours}
        return overlaid(own, sent, (of_code,))["code"]  # type: ignore[no-any-return]

    assert told("K2") == {"coding": [{"system": table, "code": "K2"}]}
    assert told("K3") == ours


def test_what_is_read_in_a_coverage() -> None:
    told = coverage_codec.read_coverage(
        {"status": "active", "payor": [{"identifier": {"value": "9"}}], "period": {"end": "2026-12"}}
    )
    assert told == coverage_codec.CoverageSaid("active", "", "", "", "9", None, None)


def test_a_coverage_is_told_as_it_was_sent_of_the_record_that_stands() -> None:
    sent = {"resourceType": "Coverage", "id": "x", "status": "active", "payor": [{"display": "P"}]}
    sent["beneficiary"] = {"reference": "Patient/9", "display": "Ada"}
    told = valid(coverage_codec.coverage("1", "2", sent))
    assert told == sent | {"id": "1", "beneficiary": {"reference": "Patient/2", "display": "Ada"}}


def test_what_counts_to_a_summary_and_what_cannot_be_missing() -> None:
    assert "birthDate" in shape_codec.summary_elements("Patient")
    assert "photo" not in shape_codec.summary_elements("Patient")
    assert set(shape_codec.mandatory_elements("Coverage")) == {"beneficiary", "payor", "status"}


def test_an_outcome_names_the_element_where_there_is_one() -> None:
    issues = [answers_codec.Issue("value", "Wrong.", "Patient.name"), answers_codec.ALL_WELL]
    told = valid(answers_codec.outcome(issues, [{"resourceType": "Patient", "id": "1"}]))
    assert [issue.get("expression") for issue in told["issue"]] == [["Patient.name"], None]


@pytest.mark.parametrize(
    ("scopes", "kind", "done", "may"),
    [
        ("system/*.read", "Patient", "search", True),
        ("system/*.read", "Patient", "create", False),
        ("system/Patient.rs", "Patient", "read", True),
        ("system/Patient.rs", "Coverage", "read", False),
        ("user/Patient.cu", "Patient", "update", True),
        ("user/Patient.cu", "Patient", "read", False),
        ("openid launch", "Patient", "read", False),
        ("user/Patient.", "Patient", "read", False),
    ],
)
def test_a_scope_lets_in_what_it_says(scopes: str, kind: str, done: str, may: bool) -> None:
    assert any(scopes_codec.allows(s, kind, done) for s in scopes_codec.read_scopes(scopes)) is may


def test_no_more_is_granted_than_a_client_is_registered_for() -> None:
    registered = ["system/*.rs", "launch"]
    asked = "system/Patient.read system/Patient.write launch openid user/Patient.rs launch"
    assert scopes_codec.granted(asked, registered) == "system/Patient.read launch"


def test_a_person_is_asked_in_words_and_for_the_patient_where_it_is_of_one() -> None:
    assert scopes_codec.in_words("user/*.read system/Patient.cu openid") == [
        "read, search: every kind of record",
        "add, change: Patient",
    ]
    for text, one in (("user/*.rs", False), ("launch/patient", True), ("patient/Task.rs", True)):
        assert scopes_codec.of_one_patient(text) is one


def test_a_map_groups_the_departments_codes_by_both_systems_and_says_what_means_what() -> None:
    local = map_codec.local_uri("procedures", "L")
    assert (local, map_codec.local_uri("body-sites", "")) == (f"{CODES_PREFIX}L", map_codec.BODY_PARTS)
    pairs = [
        map_codec.PairFacts(local, "CHEST", "http://their.example", "1", "Chest", "equivalent"),
        map_codec.PairFacts(local, "CHEST", "http://their.example", "2", "", "wider"),
        map_codec.PairFacts(local, "KNEE", "http://their.example", "3", "", "equivalent"),
        map_codec.PairFacts(local, "KNEE", "http://other.example", "K", "", "equivalent"),
    ]
    told = map_codec.concept_map(map_codec.MapFacts("7", "urn:map:7", "procedures", "2026", pairs))
    get_fhir_model_class("ConceptMap").model_validate(told)
    assert [(g["source"], g["target"], [e["code"] for e in g["element"]]) for g in told["group"]] == [
        (local, "http://their.example", ["CHEST", "KNEE"]),
        (local, "http://other.example", ["KNEE"]),
    ]
    assert told["group"][0]["element"][0]["target"] == [
        {"code": "1", "display": "Chest", "equivalence": "equivalent"},
        {"code": "2", "equivalence": "wider"},
    ]


def test_what_a_code_means_is_answered_with_the_map_that_says_so_or_that_none_does() -> None:
    found = map_codec.Match("http://their.example", "1", "Chest", "equivalent", "urn:map:7")
    told = map_codec.translation([found])
    get_fhir_model_class("Parameters").model_validate(told)
    result, match = told["parameter"]
    assert (result["valueBoolean"], match["name"]) == (True, "match")
    assert [p["name"] for p in match["part"]] == ["equivalence", "concept", "source"]
    assert match["part"][1]["valueCoding"] == {
        "system": "http://their.example",
        "code": "1",
        "display": "Chest",
    }
    none = map_codec.translation([])
    assert [p["name"] for p in none["parameter"]] == ["result", "message"]
    assert none["parameter"][0]["valueBoolean"] is False


GOOD, NOTE, ASK, HOLD = (
    Finding(level, Code.PERSON, f"{level} sentence.", detail)
    for level, detail in (
        (Level.GOOD, ""),
        (Level.NOTE, "Behind it."),
        (Level.ASK, ""),
        (Level.HOLD, ""),
    )
)


def test_a_card_says_what_speaks_against_an_order_and_nothing_where_all_is_well() -> None:
    assert hooks_codec.card_of("Knee", Decision(True, (GOOD,)), about="1") is None
    noted = hooks_codec.card_of("Knee", Decision(True, (GOOD, NOTE)), about="1")
    assert noted == hooks_codec.Card("Knee: note sentence.", "- note sentence. Behind it.", "info", "1")
    held = hooks_codec.card_of("Knee", Decision(False, (NOTE, ASK, HOLD)), about="1")
    assert held is not None
    assert (held.summary, held.indicator) == (
        "Knee: would be held. ask sentence. hold sentence.",
        "warning",
    )
    long = hooks_codec.Card("x" * 200, "", "info", "2")
    told = hooks_codec.cards([held, long], link="https://desk.example/")["cards"]
    assert [len(card["summary"]) for card in told] == [len(held.summary), hooks_codec.SUMMARY_LENGTH_MAX]
    assert told[0]["uuid"] != told[1]["uuid"]
    assert told == hooks_codec.cards([held, long], link="https://desk.example/")["cards"]
    assert [s["id"] for s in hooks_codec.services()["services"]] == [
        "order-select",
        "order-sign",
        "appointment-book",
    ]


@pytest.mark.parametrize(
    ("context", "ids"),
    [
        ({}, []),
        ({"draftOrders": []}, []),
        ({"draftOrders": {"entry": "1"}}, []),
        ({"draftOrders": {"entry": ["1", {}, {"resource": 1}]}}, []),
        ({}, None),
        ({"selections": ["ServiceRequest/2", "MedicationRequest/9"]}, ["2"]),
        ({"selections": "ServiceRequest/2"}, None),
        ({"selections": ["ServiceRequest/2", 3]}, None),
    ],
)
def test_only_x_ray_orders_being_written_are_looked_at_and_those_chosen_where_any_are(
    context: dict[str, Any], ids: list[str] | None
) -> None:
    """`None` stands for as many of all as are looked at in one call."""
    written = [
        {"resource": {"resourceType": kind, "id": str(number)}}
        for kind in ("MedicationRequest", "ServiceRequest")
        for number in range(12)
    ]
    if ids is None or "selections" in context:
        context = context | {"draftOrders": {"entry": written}}
    expected = [str(number) for number in range(hooks_codec.DRAFTS_MAX)] if ids is None else ids
    assert [r["id"] for r in hooks_codec.drafts(context)] == expected


def test_the_places_about_to_be_booked_are_looked_at_so_many_at_once() -> None:
    entries = [{"resource": {"resourceType": "Appointment", "id": str(number)}} for number in range(12)]
    found = hooks_codec.appointments({"appointments": {"entry": entries}})
    assert [r["id"] for r in found] == [str(number) for number in range(hooks_codec.DRAFTS_MAX)]


@pytest.mark.parametrize(
    ("based", "told"),
    [
        (None, ("", "")),
        ([], ("", "")),
        ([7], ("", "")),
        ([{"reference": "ServiceRequest/7"}], ("ServiceRequest/7", "")),
        ([{"identifier": {"value": "A1"}}], ("", "A1")),
        ([{"identifier": {"system": "urn:x", "value": "A1"}}], ("", "urn:x|A1")),
        ([{"identifier": {"system": "urn:x"}}], ("", "")),
        ([{"identifier": {"value": ""}}], ("", "")),
        ([{"identifier": "A1"}], ("", "")),
    ],
)
def test_which_order_a_place_is_for(based: Any, told: tuple[str, str]) -> None:
    assert hooks_codec.based_on({"basedOn": based}) == told
