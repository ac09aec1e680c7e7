"""Each resource with everything known and with hardly anything: both are valid, and neither tells what is not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.servicerequest import ServiceRequest

from tests.factories import AT
from xraydesk.links.fhir import answers_codec, patient_codec, report_codec, request_codec, study_codec
from xraydesk.patients.demographics import Identifier, Name

WHOLE_PATIENT = patient_codec.PatientFacts(
    id="1",
    identifiers=(Identifier("N1", "HOSP", "MR"), Identifier("N2", "1.2.3", "")),
    name=Name("Prüfer", "Ada", "Maria", "Dr", "II"),
    birth_date=date(1969, 5, 12),
    sex="F",
    phone="555",
    deceased=True,
    merged_into="2",
)
BARE_PATIENT = patient_codec.PatientFacts(
    id="1", identifiers=(), name=Name("", "", "", "", ""), birth_date=None, sex=""
)
WHOLE_REQUEST = request_codec.RequestFacts(
    id="3",
    patient_id="1",
    placer="P1",
    placer_authority="EHR",
    accession="A1",
    study_instance_uid="1.2.3",
    stage="ended",
    priority="stat",
    code="XRKNEE2",
    code_system="L",
    text="Knee 2 views",
    body_part="KNEE",
    laterality="L",
    authored_at=AT,
    wished_at=AT,
    provider_name="Dr Okafor",
    reason="fall",
)
WHOLE_STUDY = study_codec.StudyFacts(
    id="4",
    patient_id="1",
    request_id="3",
    study_instance_uid="1.2.3",
    accession="A1",
    description="Knee",
    started_at=AT,
    instances=(
        study_codec.InstanceFacts("1.2.3.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.4", "DX", "KNEE"),
        study_codec.InstanceFacts("1.2.3.2", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.4", "DX", "KNEE"),
        study_codec.InstanceFacts("1.2.3.3", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.5", "", ""),
    ),
)
WHOLE_REPORT = report_codec.ReportFacts(
    id="5",
    patient_id="1",
    request_id="3",
    study_id="4",
    accession="A1",
    state="final",
    code="XRKNEE2",
    code_system="L",
    code_text="Knee 2 views",
    begun_at=AT,
    said_at=AT,
    radiologist="Rita Reader",
    text="No fracture.",
    impression="Normal.",
)


def test_a_patient_with_everything_and_with_nothing() -> None:
    told = patient_codec.patient(WHOLE_PATIENT)
    Patient.model_validate(told)
    assert told["name"] == [
        {"family": "Prüfer", "given": ["Ada", "Maria"], "prefix": ["Dr"], "suffix": ["II"]}
    ]
    assert [i["system"] for i in told["identifier"]] == ["urn:xraydesk:issuer:HOSP", "urn:oid:1.2.3"]
    assert (told["active"], told["link"][0]["type"], told["deceasedBoolean"]) == (False, "replaced-by", True)
    bare = patient_codec.patient(BARE_PATIENT)
    Patient.model_validate(bare)
    assert bare == {"resourceType": "Patient", "id": "1", "active": True}


@pytest.mark.parametrize(
    ("laterality", "part", "site"),
    [("L", "KNEE", "left knee"), ("", "KNEE", "knee"), ("R", "", "right"), ("", "", None)],
)
def test_the_side_and_part_of_a_request_are_words(laterality: str, part: str, site: str | None) -> None:
    told = request_codec.service_request(replace(WHOLE_REQUEST, laterality=laterality, body_part=part))
    ServiceRequest.model_validate(told)
    assert told.get("bodySite") == ([{"text": site}] if site else None)


def test_a_request_with_everything_and_with_hardly_anything() -> None:
    told = request_codec.service_request(WHOLE_REQUEST)
    assert (told["status"], told["priority"], told["requester"]) == (
        "completed",
        "stat",
        {"display": "Dr Okafor"},
    )
    assert told["code"]["coding"][0]["system"] == "urn:xraydesk:codes:L"
    bare = request_codec.service_request(
        replace(
            WHOLE_REQUEST,
            code="",
            code_system="",
            text="",
            wished_at=None,
            provider_name="",
            reason="",
            stage="ordered",
        )
    )
    assert bare["status"] == "active"
    assert not {"occurrenceDateTime", "requester", "reasonCode"} & bare.keys()
    assert "code" not in bare
    unsystematic = request_codec.service_request(replace(WHOLE_REQUEST, code_system="", placer_authority=""))
    assert unsystematic["code"]["coding"] == [{"code": "XRKNEE2", "display": "Knee 2 views"}]
    assert "system" not in unsystematic["identifier"][0]


def test_a_study_whose_images_were_all_taken_away_says_so() -> None:
    told = study_codec.withdrawn(study_codec.imaging_study(WHOLE_STUDY))
    ImagingStudy.model_validate(told)
    assert (told["status"], told["id"]) == ("entered-in-error", WHOLE_STUDY.id)
    assert not {"numberOfInstances", "series", "modality"} & told.keys()


def test_a_study_with_everything_and_with_hardly_anything() -> None:
    told = study_codec.imaging_study(WHOLE_STUDY)
    ImagingStudy.model_validate(told)
    assert (told["numberOfSeries"], told["numberOfInstances"]) == (2, 3)
    assert told["modality"] == [{"system": study_codec.DCM_SYSTEM, "code": "DX"}]
    assert [s["modality"]["code"] for s in told["series"]] == ["DX", "OT"]
    assert [s.get("bodySite") for s in told["series"]] == [{"display": "KNEE"}, None]
    bare = study_codec.imaging_study(replace(WHOLE_STUDY, description="", started_at=None, instances=()))
    ImagingStudy.model_validate(bare)
    assert not {"description", "started", "series", "modality"} & bare.keys()


def test_a_report_with_everything_and_with_hardly_anything() -> None:
    told = report_codec.diagnostic_report(WHOLE_REPORT)
    DiagnosticReport.model_validate(told)
    assert told["conclusion"] == "Normal."
    assert told["presentedForm"][0]["contentType"].startswith("text/plain")
    bare = report_codec.diagnostic_report(
        replace(WHOLE_REPORT, begun_at=None, radiologist="", study_id="", text="", impression="")
    )
    DiagnosticReport.model_validate(bare)
    assert (
        not {"effectiveDateTime", "resultsInterpreter", "imagingStudy", "conclusion", "presentedForm"}
        & bare.keys()
    )
    assert (
        report_codec.diagnostic_report(replace(WHOLE_REPORT, impression=""))["conclusion"] == "No fracture."
    )


def test_documents_are_presented_forms_and_get_their_bytes_afterwards() -> None:
    documents = [
        report_codec.DocumentFacts("application/pdf", "Chest", 10, WHOLE_REPORT.said_at),
        report_codec.DocumentFacts("application/pdf", "", 20, WHOLE_REPORT.said_at),
    ]
    told = report_codec.diagnostic_report(replace(WHOLE_REPORT, documents=documents))
    whole = report_codec.with_documents(told, [b"%PDF-1.4 x", b""])
    DiagnosticReport.model_validate(whole)
    text, first, second = whole["presentedForm"]
    assert text == told["presentedForm"][0]
    assert first == told["presentedForm"][1] | {"data": "JVBERi0xLjQgeA=="}
    assert (first["title"], first["size"]) == ("Chest", 10)
    assert second == told["presentedForm"][2]


@pytest.mark.parametrize("further", [None, "https://desk/next"])
def test_a_page_of_results_says_whether_there_is_another(further: str | None) -> None:
    found = [answers_codec.Entry(patient_codec.patient(BARE_PATIENT))]
    told = answers_codec.searchset(
        found, total=1, base="https://desk", here="https://desk/p", further=further
    )
    Bundle.model_validate(told)
    assert [link["relation"] for link in told["link"]] == (["self", "next"] if further else ["self"])
    empty = answers_codec.searchset([], total=None, base="https://desk", here="https://desk/p", further=None)
    assert not {"entry", "total"} & empty.keys()
