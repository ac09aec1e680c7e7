"""FHIR R4: read and search, as an EHR asks, and what a stranger gets."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.operationoutcome import OperationOutcome

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from xraydesk.access.models import RecordRead, Site, Token
from xraydesk.access.roles import Role
from xraydesk.imaging.models import Image, PerformedStep, StepExam
from xraydesk.imaging.states import ImageState, StepState
from xraydesk.journey.report import receive_report
from xraydesk.lib.ids import new_uid
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.orders.models import Exam
from xraydesk.results.models import Report
from xraydesk.results.reporting import SaidExam, SaidReport
from xraydesk.results.states import ReportAction

pytestmark = pytest.mark.django_db
BASE = "/fhir/R4/"


def caller(site: Site, role: Role = Role.SYSTEM, name: str = "ehr") -> Client:
    Token.objects.create(
        site=site, name=name, role=role, sha256=hashlib.sha256(name.encode()).hexdigest(), created_at=AT
    )
    return Client(headers={"Authorization": f"Bearer {name}"})


def get(client: Client, path: str) -> tuple[int, Any]:
    response = client.get(BASE + path)
    assert response["Content-Type"].startswith("application/fhir+json")
    return response.status_code, response.json()


def make_image(exam: Exam, number: int, state: str = ImageState.MATCHED) -> Image:
    return Image.objects.create(
        site=exam.site,
        exam=exam,
        sop_instance_uid=f"2.25.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        series_instance_uid="2.25.100",
        study_instance_uid=exam.study_instance_uid,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="DX",
        body_part="CHEST",
        path=f"{number}.dcm",
        size_bytes=1,
        sha256="0",
        state=state,
        received_at=AT,
    )


def begin(exam: Exam) -> None:
    step = PerformedStep.objects.create(
        site=exam.site,
        sop_instance_uid=new_uid(),
        ae_title="XR1",
        state=StepState.COMPLETED,
        started_at=AT,
        ended_at=AT,
        by="modality:XR1",
    )
    StepExam.objects.create(step=step, exam=exam)


def make_report(exam: Exam, **said: Any) -> Report:
    report = SaidReport(SaidExam(accession=exam.accession), ReportAction.FINAL, "Clear lungs.", said_at=AT)
    receive_report(site=exam.site, report=replace(report, **said), link="RIS", by="link:RIS", at=AT)
    return Report.objects.get(exam=exam)


def test_metadata_lists_just_what_is_served_and_is_open_to_anybody() -> None:
    status, statement = get(Client(), "metadata")
    assert status == 200
    CapabilityStatement.model_validate(statement)
    kinds = {resource["type"] for resource in statement["rest"][0]["resource"]}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("path", ["Patient", "Patient/1", "ServiceRequest?identifier=P1", "NoSuchType"])
def test_a_stranger_gets_401_and_an_outcome(path: str) -> None:
    status, outcome = get(Client(), path)
    assert status == 401
    OperationOutcome.model_validate(outcome)


@pytest.mark.parametrize("role", [Role.PORTER, Role.MANAGER, Role.TECHNOLOGIST])
def test_a_role_without_the_right_gets_404(role: Role) -> None:
    site = make_site()
    exam = make_exam(site)
    assert get(caller(site, role), f"Patient/{exam.patient_id}")[0] == 404


def test_another_sites_patient_is_404() -> None:
    site, other = make_site(), make_site("OTHER")
    patient = make_patient(other, number="MRN77")
    client = caller(site)
    assert get(client, f"Patient/{patient.pk}")[0] == 404
    assert get(client, "Patient?identifier=MRN77")[1]["total"] == 0


@pytest.mark.parametrize(
    ("search", "total"),
    [
        ("Patient?identifier=MRN77", 1),
        ("Patient?identifier=urn:xraydesk:issuer:HOSP|MRN77", 1),
        ("Patient?identifier=urn:xraydesk:issuer:ELSEWHERE|MRN77", 0),
        ("Patient?identifier=MRN77,N78", 1),
        ("Patient?identifier=", 0),
        ("Patient?_id=none", 0),
        ("ServiceRequest?identifier={placer}", 1),
        ("ServiceRequest?identifier=urn:xraydesk:issuer:EHR|{placer}", 1),
        ("ServiceRequest?identifier={accession}", 1),
        ("ServiceRequest?identifier=urn:dicom:uid|urn:oid:{study}", 1),
        ("ServiceRequest?patient=Patient/{patient}", 1),
        ("ServiceRequest?patient=none", 0),
        ("ServiceRequest?_id={exam}", 1),
        ("ImagingStudy?identifier=urn:oid:{study}", 1),
        ("ImagingStudy?patient={patient}", 1),
        ("DiagnosticReport?identifier={accession}", 1),
        ("DiagnosticReport?identifier=urn:oid:{study}", 1),
        ("DiagnosticReport?patient=Patient/{patient}", 1),
        ("DiagnosticReport?patient=none", 0),
        ("DiagnosticReport?based-on=ServiceRequest/{exam}", 1),
        ("DiagnosticReport?based-on=none", 0),
        ("DiagnosticReport?status=final", 1),
        ("DiagnosticReport?status=preliminary,final&patient={patient}", 1),
        ("DiagnosticReport?status=registered,amended", 0),
        ("DiagnosticReport?issued=2026-03-02", 1),
        ("DiagnosticReport?issued=eq2026-03-01", 0),
        ("DiagnosticReport?issued=ge2026-03-02T15:00:00Z&issued=le2026-03-02T10:00:00-05:00", 1),
        ("DiagnosticReport?issued=gt2026-03-02", 0),
        ("DiagnosticReport?issued=lt2026-03-02T15:00:00Z", 0),
    ],
)
def test_searches_that_an_ehr_makes(search: str, total: int) -> None:
    site = make_site()
    exam = make_exam(site, patient=make_patient(site, number="MRN77"), laterality="L", reason="cough")
    make_booking(exam)
    make_image(exam, 1)
    make_report(exam)
    path = search.format(
        placer=exam.order.placer,
        accession=exam.accession,
        study=exam.study_instance_uid,
        patient=exam.patient_id,
        exam=exam.pk,
    )
    status, found = get(caller(site), path)
    assert status == 200
    Bundle.model_validate(found)
    assert found["total"] == total
    assert len(found.get("entry", [])) == total


def test_a_report_tells_what_was_read_by_whom_and_of_what() -> None:
    site = make_site()
    exam = make_exam(site)
    make_image(exam, 1)
    begin(exam)
    report = make_report(
        exam, impression="Größe normal.", radiologist_id="99", radiologist_name="Reader^Rita"
    )
    status, found = get(caller(site), f"DiagnosticReport/{report.pk}")
    assert status == 200
    DiagnosticReport.model_validate(found)
    assert (found["status"], found["conclusion"]) == ("final", "Größe normal.")
    assert found["subject"] == {"reference": f"Patient/{exam.patient_id}"}
    assert found["basedOn"] == [{"reference": f"ServiceRequest/{exam.pk}"}]
    assert found["imagingStudy"] == [{"reference": f"ImagingStudy/{exam.pk}"}]
    assert found["resultsInterpreter"] == [{"display": "Reader^Rita"}]
    assert found["issued"] == found["effectiveDateTime"] == AT.isoformat()
    (form,) = found["presentedForm"]
    assert base64.b64decode(form["data"]).decode() == "Clear lungs.\nGröße normal."


@pytest.mark.parametrize(
    ("actions", "status"),
    [
        ([ReportAction.PRELIMINARY], "preliminary"),
        ([ReportAction.FINAL, ReportAction.CORRECT], "corrected"),
        ([ReportAction.FINAL, ReportAction.CANCEL], "cancelled"),
    ],
)
def test_a_report_says_how_far_it_is(actions: list[ReportAction], status: str) -> None:
    site = make_site()
    exam = make_exam(site, procedure_code="", procedure_text="A chest")
    for number, action in enumerate(actions):
        text = "" if action is ReportAction.CANCEL else f"Words {number}."
        report = make_report(exam, action=action, text=text)
    found = get(caller(site), f"DiagnosticReport/{report.pk}")[1]
    DiagnosticReport.model_validate(found)
    assert found["status"] == status
    assert found["code"] == {"text": "A chest"}
    assert ("conclusion" in found) == (status != "cancelled")
    assert "imagingStudy" not in found


def test_another_sites_report_is_404() -> None:
    report = make_report(make_exam(make_site("OTHER")))
    client = caller(make_site())
    assert get(client, f"DiagnosticReport/{report.pk}")[0] == 404
    assert get(client, "DiagnosticReport?status=final")[1]["total"] == 0


def test_a_quarantined_image_is_no_part_of_a_study() -> None:
    site = make_site()
    exam = make_exam(site)
    make_image(exam, 1, ImageState.QUARANTINED)
    client = caller(site)
    assert get(client, f"ImagingStudy?patient={exam.patient_id}")[1]["total"] == 0
    make_image(exam, 2)
    [entry] = get(client, f"ImagingStudy?patient={exam.patient_id}")[1]["entry"]
    assert entry["resource"]["numberOfInstances"] == 1


def test_a_corrected_image_is_told_under_the_number_that_it_goes_out_under() -> None:
    site = make_site()
    exam = make_exam(site)
    image = make_image(exam, 1)
    image.corrections = {
        "SOPInstanceUID": "2.25.1",
        "SeriesInstanceUID": "2.25.2",
        "BodyPartExamined": "KNEE",
    }
    image.save()
    [series] = get(caller(site), f"ImagingStudy/{exam.pk}")[1]["series"]
    assert (series["uid"], series["bodySite"]) == ("2.25.2", {"display": "KNEE"})
    assert [one["uid"] for one in series["instance"]] == ["2.25.1"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Patient/no-such-id", 404),
        ("Patient/99999999999999999999", 404),
        ("NoSuchType", 404),
        ("Patient?no-such-parameter=1", 400),
        ("ServiceRequest?_count=notanumber", 400),
        ("ServiceRequest?_count=-1", 400),
        ("Patient/%00", 404),
        ("DiagnosticReport/1", 404),
        ("DiagnosticReport?issued=yesterday", 400),
        ("DiagnosticReport?issued=2026-02-31", 400),
        ("a/b/c", 404),
    ],
)
def test_what_cannot_be_answered_is_an_outcome(path: str, status: int) -> None:
    answered, outcome = get(caller(make_site()), path)
    assert answered == status
    OperationOutcome.model_validate(outcome)


def test_what_is_only_read_refuses_a_write_with_405() -> None:
    response = caller(make_site()).post(BASE + "Location", b"{not json", content_type="application/fhir+json")
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"


def test_a_long_answer_comes_in_pages() -> None:
    site = make_site()
    for _ in range(5):
        make_exam(site)
    client = caller(site)
    status, first = get(client, "ServiceRequest?_count=2")
    assert (status, first["total"], len(first["entry"])) == (200, 5, 2)
    seen = [entry["resource"]["id"] for entry in first["entry"]]
    further: Any = first
    while nexts := [link["url"] for link in further["link"] if link["relation"] == "next"]:
        further = client.get(nexts[0]).json()
        seen += [entry["resource"]["id"] for entry in further["entry"]]
    assert len(seen) == len(set(seen)) == 5


def test_each_record_that_was_read_is_logged() -> None:
    site = make_site()
    exam = make_exam(site)
    client = caller(site)
    get(client, f"Patient/{exam.patient_id}")
    get(client, f"ServiceRequest?patient={exam.patient_id}")
    logged = list(RecordRead.objects.order_by("id").values_list("who", "patient", "accession"))
    assert logged == [("token:ehr", exam.patient_id, ""), ("token:ehr", exam.patient_id, exam.accession)]
