"""The worklist over a real association: what is on it, and what an answer holds."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta

import pytest
from pydicom import dcmread
from pydicom.charset import convert_encodings
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from tests.factories import AT, make_booking, make_exam, make_patient, make_site
from tests.shared_data import shared_data
from xraydesk.imaging.models import PerformedStep, StepExam
from xraydesk.lib import clock
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import echo, worklist
from xraydesk.links.dicom.explain import explain, explain_all, machines_of
from xraydesk.links.dicom.query_codec import tree_of_json
from xraydesk.links.dicom.tests.peers import listening
from xraydesk.links.models import WorklistQuery
from xraydesk.orders.models import ExamNote
from xraydesk.orders.states import TriageState
from xraydesk.patients.models import Alert
from xraydesk.rooms.models import Modality, Room
from xraydesk.scheduling.states import BookingState

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
MWL = "1.2.840.10008.5.1.4.31"


@pytest.fixture
def site():
    return make_site()


@pytest.fixture
def desk(tmp_path, site):
    with listening(tmp_path, [echo.SERVICE, worklist.SERVICE]) as running:
        yield running


def query(ae="", date="", time="", **keys):
    """A modality's usual query; `keys` for the outer level, `sps_…` for the step."""
    step = Dataset()
    step.ScheduledStationAETitle = ae
    step.ScheduledProcedureStepStartDate = date
    step.ScheduledProcedureStepStartTime = time
    step.Modality = ""
    step.ScheduledProcedureStepID = ""
    step.ScheduledProcedureStepDescription = ""
    step.ScheduledProcedureStepStatus = keys.pop("status", "")
    asked = Dataset()
    for keyword in (
        "AccessionNumber",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "RequestedProcedureID",
        "RequestedProcedureDescription",
    ):
        setattr(asked, keyword, keys.pop(keyword, ""))
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    asked.ScheduledProcedureStepSequence = [step]
    return asked


def ask(desk, dataset, **kwargs):
    """All statuses, and the answers."""
    association = desk.associate([MWL], **kwargs)
    assert association.is_established
    found = [(status.Status, answer) for status, answer in association.send_c_find(dataset, MWL)]
    association.release()
    desk.settle()
    return [status for status, _ in found], [answer for _, answer in found if answer is not None]


def accessions(desk, dataset):
    return sorted(answer.AccessionNumber for answer in ask(desk, dataset)[1])


def test_a_booked_exam_is_on_its_rooms_worklist_with_what_the_machine_needs(desk, site):
    patient = make_patient(
        site, number="MRN7", family="Nuñez", given="María", pregnancy="unknown", isolation="contact"
    )
    Alert.objects.create(site=site, patient=patient, kind="allergy", text="Latex", at=AT)
    Alert.objects.create(site=site, patient=patient, kind="fall risk", text="Fall risk", at=AT)
    exam = make_exam(
        site, patient=patient, code="XRKNEE2", laterality="L", reason="Fell from a ladder", priority="stat"
    )
    ExamNote.objects.create(site=site, exam=exam, at=AT, by="user:ann", text="Wheelchair")
    make_booking(exam)
    statuses, answers = ask(
        desk,
        query(
            "XR1",
            SpecificCharacterSet="ISO_IR 100",
            MedicalAlerts="",
            Allergies="",
            PregnancyStatus=None,
            RequestedProcedurePriority="",
            ReasonForTheRequestedProcedure="",
            IssuerOfPatientID="",
            PatientTransportArrangements="",
            RequestedProcedureCodeSequence=[],
            TimezoneOffsetFromUTC="",
        ),
    )
    assert statuses == [0xFF00, 0x0000]
    (answer,) = answers
    assert answer.SpecificCharacterSet == "ISO_IR 100"
    assert str(answer.PatientName) == "Nuñez^María"
    assert (answer.PatientID, answer.IssuerOfPatientID, answer.PatientSex) == ("MRN7", "HOSP", "F")
    assert answer.PatientBirthDate == "19690512"
    assert answer.AccessionNumber == exam.accession
    assert answer.StudyInstanceUID == exam.study_instance_uid
    assert answer.RequestedProcedureID == exam.requested_procedure_id
    assert (answer.MedicalAlerts, answer.Allergies, answer.PregnancyStatus) == ("Fall risk", "Latex", 4)
    assert (answer.RequestedProcedurePriority, answer.ReasonForTheRequestedProcedure) == (
        "STAT",
        "Fell from a ladder",
    )
    assert answer.TimezoneOffsetFromUTC == "-0500"
    assert answer.RequestedProcedureCodeSequence[0].CodeValue == "XRKNEE2"
    (step,) = answer.ScheduledProcedureStepSequence
    assert (step.ScheduledStationAETitle, step.Modality) == ("XR1", "DX")
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == (
        "20260302",
        "100000",
    )
    assert step.ScheduledProcedureStepDescription == "Knee 2 views, left"
    assert step.ScheduledProcedureStepID == exam.scheduled_step_id
    assert step.ScheduledProcedureStepStatus == "SCHEDULED"
    assert "ScheduledProtocolCodeSequence" not in step


def test_only_what_is_booked_accepted_and_not_begun_is_listed_unless_the_status_is_asked_for(desk, site):
    def exam(minute, **fields):
        made = make_exam(site, **fields.pop("exam", {}))
        booking = make_booking(made, start=AT + timedelta(minutes=minute), **fields)
        return made, booking

    waiting, _ = exam(0)
    arrived, _ = exam(10, arrived_at=AT)
    cancelled, _ = exam(20, exam={"triage": TriageState.CANCELLED}, state=BookingState.CANCELLED)
    held, _ = exam(30, exam={"triage": TriageState.HELD})
    missed, _ = exam(40, state=BookingState.NO_SHOW)
    begun, _ = exam(50)
    again, _ = exam(60)
    wrong, _ = exam(70)
    for made, state, voided in (
        (begun, "IN PROGRESS", False),
        (again, "DISCONTINUED", False),
        (wrong, "IN PROGRESS", True),
    ):
        step = PerformedStep.objects.create(
            site=site,
            sop_instance_uid=new_uid(),
            state=state,
            by="modality:XR1",
            started_at=AT,
            ended_at=None if state == "IN PROGRESS" else AT,
        )
        StepExam.objects.create(step=step, exam=made, voided=voided)
    assert accessions(desk, query("XR1")) == sorted(e.accession for e in (waiting, arrived, again, wrong))
    assert accessions(desk, query("XR1", status="ARRIVED")) == [arrived.accession]
    assert accessions(desk, query("XR1", status="STARTED")) == [begun.accession]
    assert accessions(desk, query("XR1", status="CANCELED")) == [cancelled.accession]
    assert accessions(desk, query("XR2")) == []
    assert len(accessions(desk, query())) == 4

    def why(made, ae="XR1"):
        return explain(site=site, accession=made.accession, ae_title=ae, at=AT)

    assert why(waiting) == (True, "It is booked in XR1 at 10:00 and waits there: scheduled.")
    assert why(waiting, "XR2") == (False, "It is booked in XR1 at 10:00, not in XR2, where XR2 stands.")
    assert why(waiting, "NOPE")[1] == "NOPE is no modality of this site, so it may not ask for a worklist."
    assert why(cancelled) == (False, "It was cancelled.")
    assert why(held) == (False, "It is held in triage; accept it first.")
    assert why(begun) == (False, "It was begun at 10:00 in another room, so no worklist shows it any more.")
    assert "did not come at 10:40" in why(missed)[1]
    assert why(again)[0]
    assert why(make_exam(site))[1] == "It is not booked; give it a place first."
    assert explain(site=site, accession="X", ae_title="XR1", at=AT) == (False, "There is no exam X here.")


def test_date_and_time_ranges_make_one_interval_by_the_sites_clock(desk, site):
    """Row 37: two ranges are one interval, site-local; the time-zone tag is answered, and obeyed where it differs."""
    late = make_exam(site)
    make_booking(late, start=AT + timedelta(hours=13))  # 2 March 23:00 in New York, 3 March 04:00 in UTC
    early = make_exam(site)
    make_booking(early, start=AT + timedelta(hours=16))  # 3 March 02:00
    noon = make_exam(site)
    make_booking(noon, start=AT + timedelta(hours=26))  # 3 March 12:00
    assert accessions(desk, query(date="20260302-20260303", time="2200-0600")) == sorted(
        [late.accession, early.accession]
    )
    assert accessions(desk, query(date="20260302")) == [late.accession]
    assert accessions(desk, query(date="20260303", time="1000-")) == [noon.accession]
    assert accessions(desk, query(date="20260303", TimezoneOffsetFromUTC="-0500")) == sorted(
        [early.accession, noon.accession]
    )
    _, answers = ask(desk, query(date="20260303", time="0400", TimezoneOffsetFromUTC="+0000"))
    assert [a.AccessionNumber for a in answers] == [late.accession]
    assert answers[0].TimezoneOffsetFromUTC == "+0000"
    assert answers[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime == "040000"


@pytest.mark.parametrize(
    ("family", "asked", "answered"),
    [
        ("Muñoz", "ISO_IR 100", "ISO_IR 100"),
        ("Muñoz", "", "ISO_IR 100"),
        ("Иванов", "ISO_IR 144", "ISO_IR 144"),
        ("Иванов", "ISO_IR 100", "ISO_IR 192"),
        ("Παπαδόπουλος", "ISO_IR 126", "ISO_IR 126"),
        ("山田", "ISO_IR 100", "ISO_IR 192"),
        ("山田", "\\ISO 2022 IR 87", "\\ISO 2022 IR 87"),
        ("Müller", "\\ISO 2022 IR 87", "ISO_IR 100"),
        ("Smith", "", None),
    ],
)
def test_a_name_is_answered_in_a_character_set_that_can_write_it(desk, site, family, asked, answered):
    """Row 38: the query's own character set where it fits, else one that does."""
    make_booking(make_exam(site, patient=make_patient(site, family=family, given="")))
    keys = {"SpecificCharacterSet": asked.split("\\") if "\\" in asked else asked} if asked else {}
    _, (answer,) = ask(desk, query("XR1", **keys))
    assert str(answer.PatientName) == family
    got = answer.get("SpecificCharacterSet")
    assert ("\\".join(got) if got and not isinstance(got, str) else got) == answered


@pytest.mark.parametrize(
    "case",
    [
        (["ISO_IR 100"], "Muñoz", "Muñoz", "muñoz"),
        (["ISO_IR 100"], "Иванов", "Ivanov", "ivan*"),
        (["ISO_IR 144"], "Иванов", "Иванов", "ИВАНОВ"),
        (["ISO_IR 6"], "Müller", "Mueller", "MUELLER"),
        (["ISO 2022 IR 6", "ISO 2022 IR 87"], "山田", "山田", "山*"),
        (["ISO_IR 126"], "山田", "NO. {number}", "NO. *"),
    ],
)
def test_a_machine_is_answered_in_the_letters_that_it_can_show(desk, site, case):
    """Row 38: whatever the query names; what the machine shows is found by what is read off it."""
    charsets, family, shown, asked = case
    Modality.objects.filter(site=site).update(charsets=charsets)
    patient = make_patient(site, family=family, given="")
    exam = make_exam(site, patient=patient, procedure_text="胸部 AP")
    make_booking(exam)
    shown = shown.format(number=patient.identifiers.get().value)
    _, (answer,) = ask(desk, query("XR1", SpecificCharacterSet="ISO_IR 192"))
    assert str(answer.PatientName) == shown
    assert str(answer.RequestedProcedureDescription) == (
        "胸部 AP" if "ISO 2022 IR 87" in charsets else "[not shown] AP"
    )
    named = answer.SpecificCharacterSet
    assert ([named] if isinstance(named, str) else list(named)) == charsets
    key = query("XR1")
    if len(charsets) == 1:
        # The key comes in the machine's own letters, and nothing says which they are.
        key.PatientName = PersonName(PersonName(asked).encode(convert_encodings(charsets)))
    else:
        key.SpecificCharacterSet, key.PatientName = charsets, asked
    assert accessions(desk, key) == [exam.accession]
    explained = explain_all(
        site=site, exam=exam, machine=machines_of(site)[0], machines=machines_of(site), at=clock.now()
    )
    assert [one.finds_it for one in explained.asked] == [True, True]


def test_a_query_whose_sequences_name_letters_of_their_own_is_read_as_it_is_meant(desk, site):
    """pydicom's own example: UTF-8 outside, Japanese by code extension within."""
    asked = dcmread(shared_data("dicom_charsets", "chrSQEncoding.dcm"), force=True)
    meant = str(asked.RequestedProcedureCodeSequence[0].PatientName)
    ask(desk, asked)
    kept = tree_of_json(WorklistQuery.objects.get(site=site).keys)
    assert kept[0x00321064].items[0][0x00100010].values == (meant,)


def test_a_machine_that_can_show_few_letters_is_answered_in_ascii_where_that_will_do(desk, site):
    Modality.objects.filter(site=site).update(charsets=["ISO_IR 144"])
    make_booking(make_exam(site, patient=make_patient(site, family="Smith", given="")))
    _, (answer,) = ask(desk, query("XR1"))
    assert "SpecificCharacterSet" not in answer


def test_a_name_is_found_whatever_its_case_and_accents(desk, site):
    exam = make_exam(site, patient=make_patient(site, family="Prüfer", given="Ada"))
    make_booking(exam)
    for name in ("PRUFER^ADA", "pruf*", "Prüfer*", "*ADA", "Pr?fer^Ada", "PRÜFER^ADA^"):
        assert accessions(desk, query(PatientName=name, SpecificCharacterSet="ISO_IR 192")) == [
            exam.accession
        ], name
    assert accessions(desk, query(PatientName="Prufer")) == []


def test_an_unknown_key_is_answered_with_a_warning_and_a_wrong_one_refused(desk, site):
    make_booking(make_exam(site))
    statuses, (answer,) = ask(desk, query("XR1", PatientSpeciesDescription=""))
    assert statuses == [0xFF01, 0x0000]
    assert "PatientSpeciesDescription" not in answer
    assert ask(desk, query("XR1", date="yesterday")) == ([0xA900], [])
    nothing = Dataset()
    nothing.SpecificCharacterSet = "ISO_IR 100"
    assert ask(desk, nothing) == ([0xA900], [])


def test_another_sites_exams_are_on_no_worklist_here(desk, site):
    stranger = make_site("S")
    stranger.ae_title = "OTHERDESK"
    stranger.save()
    make_booking(make_exam(stranger))
    assert accessions(desk, query()) == []
    assert len(ask(desk, query(), called="OTHERDESK")[1]) == 1


def test_a_room_with_two_machines_lists_an_exam_on_the_one_that_its_procedure_needs(desk, site):
    room = Room.objects.get(site=site, code="XR1")
    Modality.objects.create(site=site, room=room, ae_title="XR1CR", modality="CR")
    exam = make_exam(site)
    make_booking(exam)
    assert accessions(desk, query("XR1")) == [exam.accession]
    assert accessions(desk, query("XR1CR")) == []
    listed, why = explain(site=site, accession=exam.accession, ae_title="XR1CR", at=AT)
    assert not listed
    assert why == "It is booked in XR1 at 10:00 for DX: it is on the worklist of XR1, not of XR1CR."


def test_a_cancelled_query_ends_with_cancelled(desk, site):
    for number in range(60):
        make_booking(make_exam(site), start=AT + timedelta(minutes=10 * number))
    association = desk.associate([MWL])
    seen = []
    for status, _ in association.send_c_find(query(), MWL, msg_id=7):
        seen.append(status.Status)
        if len(seen) == 1:
            association.send_c_cancel(7, query_model=MWL)
    association.release()
    assert seen[-1] in {0xFE00, 0x0000}


@pytest.mark.skipif(shutil.which("findscu") is None, reason="dcmtk's findscu is not installed")
def test_findscu_finds_an_exam(desk, site):
    exam = make_exam(site)
    make_booking(exam)
    done = subprocess.run(
        ["findscu", "-W", "-aet", "XR1", "-aec", "XRAYDESK", "127.0.0.1", str(desk.port),
         "-k", "0008,0050", "-k", "0010,0010", "-k", "0040,0100[0].0040,0001=XR1"],
        capture_output=True, text=True, errors="replace", timeout=30,
    )  # fmt: skip
    assert done.returncode == 0
    assert exam.accession in done.stdout + done.stderr
