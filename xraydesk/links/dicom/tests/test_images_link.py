"""Performed steps, images, promises and deliveries over real loopback associations."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import DatabaseError
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt

from tests.factories import AT, make_booking, make_exam, make_patient
from tests.shared_data import shared_data
from xraydesk.attention.models import Item
from xraydesk.desk.tests.people import signed_in
from xraydesk.dose.queries import dose_of_exam
from xraydesk.dose.report import DoseSource
from xraydesk.imaging.models import Commitment, Delivery, Image, PerformedStep
from xraydesk.imaging.rejection_rules import RejectionCode
from xraydesk.imaging.rules import ATTEMPTS_MAX
from xraydesk.imaging.states import StepState
from xraydesk.journey import reconcile, route
from xraydesk.journey.tests.performing import PACS, begun, jobs, open_items, site_with_pacs, stage, told
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import commit, mpps, send, store
from xraydesk.links.dicom.sop_classes import (
    MODALITY_PERFORMED_STEP,
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
)
from xraydesk.links.dicom.spool_sweep import AGE_MIN, sweep_kept
from xraydesk.links.dicom.tests.peers import listening
from xraydesk.links.dicom.tests.test_mpps_codec import creation, end, item
from xraydesk.links.tasks import TELL_TASK
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Modality
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
CR = "1.2.840.10008.5.1.4.1.1.1"


@pytest.fixture
def site():
    return site_with_pacs()


@pytest.fixture
def desk(tmp_path, site, settings):
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    with listening(tmp_path, [mpps.SERVICE, store.SERVICE, commit.SERVICE]) as running:
        yield running


def drawn(exam: Exam, **values: Any) -> Dataset:
    """A small image of an exam."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = CR, new_uid(), new_uid()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.PatientID, ds.PatientName = exam.patient.identifiers.get().value, "Prüfer^Ada"
    ds.PatientBirthDate, ds.PatientSex = "19690512", "F"
    ds.AccessionNumber, ds.StudyInstanceUID = exam.accession, exam.study_instance_uid
    ds.Modality, ds.BodyPartExamined = "CR", "CHEST"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 4, 4, 16, 12, 11
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.PixelData = bytes(range(32))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def stored(desk, *datasets: Dataset) -> list[int]:
    association = desk.associate([CR])
    assert association.is_established
    try:
        return [association.send_c_store(ds).Status for ds in datasets]
    finally:
        association.release()


def files(desk) -> list[Path]:
    return [path for path in desk.spool.rglob("*") if path.is_file()]


# -- objects in ------------------------------------------------------------------------------

LETTERS = ("chrFren", "chrGerm", "chrGreek", "chrH31", "chrRuss", "chrX1")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize("is_named", [True, False])
def test_names_in_all_letters_are_read_as_they_are_meant(desk, site, tmp_path, is_named) -> None:
    """Row 38: by the character set that the object names, or by what its machine is known to use."""
    paths = [shared_data("dicom_charsets", f"{name}.dcm") for name in LETTERS]
    meant = [dcmread(path) for path in paths]
    room = Modality.objects.filter(site=site).first().room
    for number, ds in enumerate(meant):
        terms = ds.SpecificCharacterSet
        charsets = [term or "ISO 2022 IR 6" for term in ([terms] if isinstance(terms, str) else terms)]
        machine = {"ae_title": f"LETTERS{number}", "modality": "OT", "charsets": [] if is_named else charsets}
        Modality.objects.create(site=site, room=room, **machine)
    for number, path in enumerate(paths):
        data = path.read_bytes()
        if not is_named:
            start = data.index(b"\x08\x00\x05\x00CS")
            data = data[:start] + data[start + 8 + int.from_bytes(data[start + 6 : start + 8], "little") :]
        sent = tmp_path / path.name
        sent.write_bytes(data)
        association = desk.associate([SECONDARY_CAPTURE], calling=f"LETTERS{number}")
        assert association.send_c_store(sent).Status == 0
        association.release()
    found = dict(Image.objects.values_list("sop_instance_uid", "patient_name"))
    assert found == {ds.SOPInstanceUID: str(ds.PatientName) for ds in meant}


def test_an_image_is_on_the_disk_and_in_the_record_before_success(desk, site) -> None:
    exam = make_exam(site)
    ds = drawn(exam)
    assert stored(desk, ds) == [0]
    image = Image.objects.get()
    assert (image.state, image.exam, image.calling_ae_title) == ("matched", exam, "XR1")
    kept = dcmread(desk.spool / image.path)
    assert kept.PixelData == ds.PixelData
    assert kept.preamble == bytes(128)
    assert (desk.spool / image.path).stat().st_size == image.size_bytes


def test_the_same_object_again_is_a_no_op_and_another_under_its_number_is_kept_apart(desk, site) -> None:
    """Row 33."""
    exam = make_exam(site)
    ds = drawn(exam)
    other = drawn(exam, SOPInstanceUID=ds.SOPInstanceUID, BodyPartExamined="HAND")
    assert stored(desk, ds, ds, other) == [0, 0, 0]
    assert list(Image.objects.order_by("copy").values_list("copy", "state")) == [
        (0, "matched"),
        (1, "quarantined"),
    ]
    assert len(files(desk)) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"StudyInstanceUID": "../../etc/passwd"},
        {"Rows": 30000, "Columns": 30000},
    ],
)
def test_an_object_that_would_do_harm_is_refused_and_leaves_nothing(desk, site, values) -> None:
    """Rows 27 and 29."""
    assert stored(desk, drawn(make_exam(site), **values)) == [0xC000]
    assert files(desk) == []
    assert not Image.objects.exists()


def test_a_database_that_fails_is_told_as_out_of_resources(desk, site, monkeypatch) -> None:
    """Row 31: never Success. Row 32: the file without a row is swept later."""

    def fail(**_: Any) -> None:
        raise DatabaseError

    exam = make_exam(site)
    with monkeypatch.context() as broken:
        broken.setattr(store, "receive_image", fail)
        assert stored(desk, drawn(exam)) == [0xA700]
    assert len(files(desk)) == 1
    assert sweep_kept(desk.spool, at=store.clock.now()) == 0
    assert stored(desk, drawn(exam)) == [0]
    assert sweep_kept(desk.spool, at=store.clock.now() + 2 * AGE_MIN) == 1
    assert len(files(desk)) == 1


def test_a_disk_that_fails_is_told_as_out_of_resources(desk, site, monkeypatch) -> None:
    """Row 31."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xraydesk.links.dicom.spool.os.rename", full)
    assert stored(desk, drawn(make_exam(site))) == [0xA700]
    assert files(desk) == []
    assert not Image.objects.exists()


def test_too_many_objects_under_one_number_are_refused(desk, site, monkeypatch) -> None:
    monkeypatch.setattr(reconcile, "COPIES_MAX", 1)
    ds = drawn(make_exam(site))
    other = drawn(make_exam(site), SOPInstanceUID=ds.SOPInstanceUID)
    assert stored(desk, ds, other) == [0, 0xA900]
    assert len(files(desk)) == 1


DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"


def dose_report(exam: Exam, **values: Any) -> Dataset:
    """A dose report of one exam with a total of 4.1e-5 Gy·m²."""
    total = item(
        ValueType="NUM",
        ConceptNameCodeSequence=[item(CodeValue="113722", CodingSchemeDesignator="DCM")],
        MeasuredValueSequence=[
            item(
                NumericValue="0.000041",
                MeasurementUnitsCodeSequence=[item(CodeValue="Gy.m2", CodingSchemeDesignator="UCUM")],
            )
        ],
    )
    plane = item(
        ValueType="CONTAINER",
        ConceptNameCodeSequence=[item(CodeValue="113702", CodingSchemeDesignator="DCM")],
        ContentSequence=[total],
    )
    ds = drawn(exam, SOPClassUID=DOSE_SR, Modality="SR", ContentSequence=[plane])
    del ds.PixelData
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def sent_report(desk, ds: Dataset) -> int:
    association = desk.associate([DOSE_SR])
    try:
        return association.send_c_store(ds).Status
    finally:
        association.release()


def test_a_dose_report_counts_for_its_exam(desk, site) -> None:
    exam = make_exam(site)
    assert sent_report(desk, dose_report(exam)) == 0
    dose = dose_of_exam(exam_id=exam.pk)
    assert (dose.total_dap_gym2, dose.source) == (pytest.approx(4.1e-5), DoseSource.REPORT)


def test_a_dose_report_that_cannot_be_read_is_kept_and_becomes_an_item(desk, site, monkeypatch) -> None:
    def broken(_: Dataset) -> None:
        raise ValueError

    monkeypatch.setattr(store, "read_dose_report", broken)
    exam = make_exam(site)
    assert sent_report(desk, dose_report(exam)) == 0
    image = Image.objects.get()
    assert image.state == "matched"
    assert f"dose report:{image.pk}" in open_items(site)


# -- performed steps -------------------------------------------------------------------------


def referencing(exam: Exam, **values: Any) -> Dataset:
    own = item(
        StudyInstanceUID=exam.study_instance_uid,
        AccessionNumber=exam.accession,
        RequestedProcedureID=exam.requested_procedure_id,
        ScheduledProcedureStepID=exam.scheduled_step_id,
    )
    return creation(ScheduledStepAttributesSequence=[own], **values)


class Machine:
    """A modality that tells of its steps."""

    def __init__(self, desk) -> None:
        self.association = desk.associate([MODALITY_PERFORMED_STEP])

    def create(self, ds: Dataset, uid: str | None) -> Dataset:
        return self.association.send_n_create(ds, MODALITY_PERFORMED_STEP, uid)[0]

    def set(self, ds: Dataset, uid: str) -> Dataset:
        return self.association.send_n_set(ds, MODALITY_PERFORMED_STEP, uid)[0]


@pytest.fixture
def machine(desk) -> Iterator[Machine]:
    machine = Machine(desk)
    yield machine
    machine.association.release()


def test_a_machine_begins_and_ends_an_exam(machine: Machine, site) -> None:
    """Row 35: 0111H, 0112H, 0110H with Error ID A710H."""
    exam = make_exam(site)
    make_booking(exam)
    uid = new_uid()
    assert machine.set(end(), uid).Status == 0x0112
    assert machine.create(referencing(exam), uid).Status == 0
    assert stage(exam) == "begun"
    assert machine.create(referencing(exam), uid).Status == 0x0111
    assert machine.set(item(PerformedProcedureStepDescription="Chest"), uid).Status == 0
    assert machine.set(end(PerformedSeriesSequence=[]), uid).Status == 0x0121
    assert machine.set(end(), uid).Status == 0
    assert stage(exam) == "ended"
    final = machine.set(end(), uid)
    assert (final.Status, final.ErrorID) == (0x0110, 0xA710)


@pytest.mark.parametrize(
    ("values", "status"),
    [({"PerformedProcedureStepStatus": "COMPLETED"}, 0x0106), ({"PerformedProcedureStepID": ""}, 0x0121)],
)
def test_a_beginning_that_is_wrong_is_refused(machine: Machine, site, values, status) -> None:
    assert machine.create(referencing(make_exam(site), **values), new_uid()).Status == status
    assert not PerformedStep.objects.exists()


def test_a_machine_that_names_no_step_is_given_a_name(machine: Machine, site) -> None:
    assert machine.create(referencing(make_exam(site)), None).Status == 0
    assert PerformedStep.objects.get().sop_instance_uid.startswith("2.25.")


def test_a_station_that_the_site_does_not_name_is_the_callers(machine: Machine, site) -> None:
    machine.create(referencing(make_exam(site), PerformedStationAETitle="CONSOLE7"), new_uid())
    assert PerformedStep.objects.get().room.code == "XR1"


def grouped(*exams: Exam, **values: Any) -> Dataset:
    """One step for several scheduled ones (IHE SWF.b, group case)."""
    items = [referencing(exam).ScheduledStepAttributesSequence[0] for exam in exams]
    return creation(ScheduledStepAttributesSequence=items, **values)


def shown(site, exam: Exam) -> str:
    """The exam's stage as its page and the board show it."""
    browser = signed_in(site)
    page = browser.get(f"/exams/{exam.accession}").content.decode()
    (on_page,) = re.findall(r"Stages: ([\w ]+)</h2>", page)
    board = browser.get("/", {"day": f"{AT:%Y-%m-%d}"}).content.decode()
    found = re.findall(rf'data-stage="(\w+)" href="[^"]*{exam.accession}', board)
    return " ".join([on_page, *dict.fromkeys(found)])


def test_one_step_for_several_exams_and_several_steps_for_one(machine: Machine, desk, site) -> None:
    """Rows 35 and 36, grouped: each exam stands as it was done, and dose is counted once."""
    patient = make_patient(site)
    exams = [make_exam(site, patient=patient) for _ in range(3)]
    for number, exam in enumerate(exams):
        make_booking(exam, start=AT + timedelta(minutes=20 * number))
    one, two, three = exams
    first, second = new_uid(), new_uid()
    assert machine.create(grouped(one, two), first).Status == 0
    assert [stage(exam) for exam in exams] == ["begun", "begun", "scheduled"]
    assert machine.create(grouped(one, three, PerformedProcedureStepID="P2"), second).Status == 0
    assert stored(desk, drawn(two)) == [0]
    total = {"ImageAndFluoroscopyAreaDoseProduct": "0.5"}
    assert machine.set(end(**total), first).Status == 0
    # The first goes on in the second step; what is done is done.
    assert [stage(exam) for exam in exams] == ["begun", "ended", "begun"]
    assert machine.set(end(**total), first).Status == 0x0110
    assert machine.set(end("DISCONTINUED", **reason("110513")), second).Status == 0
    assert [stage(exam) for exam in exams] == ["ended", "ended", "discontinued"]
    doses = [dose_of_exam(exam_id=exam.pk).total_dap_gym2 for exam in exams]
    assert doses == [pytest.approx(5e-6), None, None]
    assert [shown(site, exam).split()[0] for exam in exams] == ["ended", "ended", "discontinued"]


def test_a_wrong_entry_among_several_reopens_all_of_the_step_and_holds_their_images(
    machine: Machine, desk, site
) -> None:
    """Rows 36 and 40, grouped."""
    exams = [make_exam(site), make_exam(site)]
    for number, exam in enumerate(exams):
        make_booking(exam, start=AT + timedelta(minutes=20 * number))
    uid = new_uid()
    assert machine.create(grouped(*exams), uid).Status == 0
    images = [drawn(exam) for exam in exams]
    assert stored(desk, *images) == [0, 0]
    assert machine.set(end("DISCONTINUED", **reason("110514")), uid).Status == 0
    assert [stage(exam) for exam in exams] == ["scheduled", "scheduled"]
    assert list(Image.objects.values_list("state", flat=True)) == ["held", "held"]
    assert machine.create(grouped(exams[0]), new_uid()).Status == 0
    assert [stage(exam) for exam in exams] == ["begun", "scheduled"]


def reason(code: str) -> dict[str, Any]:
    return {
        "PerformedProcedureStepDiscontinuationReasonCodeSequence": [
            item(CodeValue=code, CodingSchemeDesignator="DCM", CodeMeaning="why")
        ]
    }


@pytest.mark.data
def test_a_real_machines_step_is_taken_over_the_wire(desk, site) -> None:
    """Implicit VR with group lengths, as it came; a step of nobody known makes an exam of its own."""
    folder = shared_data("mpps")
    association = desk.associate([MODALITY_PERFORMED_STEP])
    begun_file, ended_file = (dcmread(folder / f"mpps-{n}1.dcm") for n in ("inprogress", "completed"))
    uid = begun_file.file_meta.MediaStorageSOPInstanceUID
    assert association.send_n_create(begun_file, MODALITY_PERFORMED_STEP, uid)[0].Status == 0
    (exam,) = Exam.objects.filter(accession="113425301")
    assert stage(exam) == "begun"
    assert association.send_n_set(ended_file, MODALITY_PERFORMED_STEP, uid)[0].Status == 0
    association.release()
    assert stage(exam) == "ended"
    assert len(PerformedStep.objects.get().referenced_images) == 2
    assert dose_of_exam(exam_id=exam.pk).total_dap_gym2 == pytest.approx(0.5703e-5)


@pytest.mark.data
@pytest.mark.parametrize("message", ["ncreate", "nset"])
def test_what_dcm4che_says_is_needed_of_a_step_is_enough(desk, site, message) -> None:
    """Its description of a step: with a value for every attribute of type 1, all of type 2 empty, nothing else."""
    root = ElementTree.parse(shared_data("mpps", f"mpps-{message}-iod.xml")).getroot()
    said = least_of(root)
    association = desk.associate([MODALITY_PERFORMED_STEP])
    uid = new_uid()
    if message == "nset":
        assert association.send_n_create(creation(), MODALITY_PERFORMED_STEP, uid)[0].Status == 0
        series = root.find("DataElement[@keyword='PerformedSeriesSequence']/Item")
        assert series is not None
        said.PerformedSeriesSequence = [least_of(series)]
        said.PerformedProcedureStepStatus = "COMPLETED"
        said.PerformedProcedureStepEndDate, said.PerformedProcedureStepEndTime = "20260302", "102000"
        status = association.send_n_set(said, MODALITY_PERFORMED_STEP, uid)[0].Status
    else:
        said.PerformedProcedureStepStatus = "IN PROGRESS"
        said.PerformedProcedureStepStartDate, said.PerformedProcedureStepStartTime = "20260302", "101500"
        status = association.send_n_create(said, MODALITY_PERFORMED_STEP, uid)[0].Status
    association.release()
    assert status == 0


FILLED = {"UI": "1.2.3", "DA": "20260302", "TM": "101500", "US": 1, "IS": "1", "DS": "1"}


def least_of(node: ElementTree.Element) -> Dataset:
    """The smallest data set that dcm4che's description of an object lets pass."""
    made = Dataset()
    for element in node.findall("DataElement"):
        kind, vr, tag = element.get("type"), element.get("vr", ""), int(element.get("tag", ""), 16)
        if kind not in {"1", "2"} or element.find("If") is not None:
            continue
        if vr == "SQ":
            of_items = element.find("Item")
            filled = kind == "1" and of_items is not None
            made.add_new(tag, vr, [least_of(of_items)] if filled else [])
        else:
            made.add_new(tag, vr, FILLED.get(vr, "X") if kind == "1" else None)
    return made


# -- promises --------------------------------------------------------------------------------


def asking(*objects: tuple[str, str]) -> Dataset:
    refs = [item(ReferencedSOPClassUID=c, ReferencedSOPInstanceUID=u) for c, u in objects]
    return item(TransactionUID=new_uid(), ReferencedSOPSequence=refs)


def asked(desk, ds: Dataset, *, answer: int = 0, action: int = 1, seconds: float = 5) -> tuple[int, list]:
    told_events: list[tuple[int, Dataset]] = []

    def report(event: Any) -> tuple[int, None]:
        told_events.append((event.event_type, event.event_information))
        return answer, None

    association = desk.associate([STORAGE_COMMITMENT], evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    status, _ = association.send_n_action(ds, action, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
    deadline = time.monotonic() + seconds
    while status.Status == 0 and not told_events and time.monotonic() < deadline:
        time.sleep(0.02)
    association.release()
    return status.Status, told_events


def settled() -> Commitment:
    """The commitment once the handler has seen the answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not Commitment.objects.exclude(told_at=None).exists():
        time.sleep(0.02)
    return Commitment.objects.get()


def test_what_is_kept_is_promised_on_the_same_association(desk, site) -> None:
    images = [drawn(make_exam(site)), drawn(make_exam(site))]
    stored(desk, *images)
    status, events = asked(desk, asking(*((CR, i.SOPInstanceUID) for i in images)))
    assert status == 0
    assert [event for event, _ in events] == [1]
    assert len(events[0][1].ReferencedSOPSequence) == 2
    assert "FailedSOPSequence" not in events[0][1]
    assert settled().told_at is not None


def test_what_is_not_kept_is_named_with_its_reason(desk, site) -> None:
    image = drawn(make_exam(site))
    gone = drawn(make_exam(site))
    stored(desk, image, gone)
    (desk.spool / Image.objects.get(sop_instance_uid=gone.SOPInstanceUID).path).unlink()
    dx = "1.2.840.10008.5.1.4.1.1.1.1"
    wanted = [(dx, image.SOPInstanceUID), (CR, "1.2.3.4"), (CR, gone.SOPInstanceUID)]
    _, events = asked(desk, asking(*wanted))
    assert events[0][0] == 2
    assert [i.FailureReason for i in events[0][1].FailedSOPSequence] == [0x0119, 0x0112, 0x0112]


@pytest.mark.parametrize(
    ("ds", "action", "status"),
    [
        (item(TransactionUID="1.2.3"), 1, 0x0115),
        (asking((CR, "../x")), 1, 0x0115),
        (item(ReferencedSOPSequence=[]), 1, 0x0115),
        (asking((CR, "1.2.3")), 2, 0x0123),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(desk, ds, action, status) -> None:
    assert asked(desk, ds, action=action)[0] == status
    assert not Commitment.objects.exists()


@contextmanager
def peer(ae_title: str, *, answer: Any, event: Any, contexts: Any) -> Iterator[int]:
    """pynetdicom as a server on a free port."""
    ae = AE(ae_title=ae_title)
    for context in contexts:
        ae.add_supported_context(context, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(event, answer)])
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()
        server.server_close()


def test_a_promise_refused_on_its_association_is_told_over_a_new_one(desk, site) -> None:
    """Row 39."""
    image = drawn(make_exam(site))
    stored(desk, image)
    asked(desk, asking((CR, image.SOPInstanceUID)), answer=0x0110)
    deadline = time.monotonic() + 5
    kept = Commitment.objects.get()
    asked_for = {"commitment_id": kept.pk}
    while jobs(TELL_TASK).count(asked_for) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert jobs(TELL_TASK).count(asked_for) == 2
    assert kept.told_at is None
    events: list[int] = []

    def take(event: Any) -> tuple[int, None]:
        events.append(event.event_type)
        return 0x0000, None

    with peer("XR1", answer=take, event=evt.EVT_N_EVENT_REPORT, contexts=[STORAGE_COMMITMENT]) as port:
        Modality.objects.filter(ae_title="XR1").update(host="127.0.0.1", port=port)
        commit.tell(kept.pk, at=AT)
        commit.tell(kept.pk, at=AT)
    assert events == [1]
    kept.refresh_from_db()
    assert kept.told_at == AT


def test_a_promise_that_nobody_takes_becomes_an_item(site) -> None:
    kept = Commitment.objects.create(site=site, transaction_uid="1.2", ae_title="XR1", asked_at=AT)
    for _ in range(ATTEMPTS_MAX):
        assert open_items(site) == []
        commit.tell(kept.pk, at=AT)
    assert open_items(site) == [f"commitment:{kept.pk}"]
    assert "no address" in Item.objects.get().text


# -- images out ------------------------------------------------------------------------------


class Archive:
    """A PACS that keeps what it is given, or answers as a test wants."""

    def __init__(self) -> None:
        self.kept: list[Dataset] = []
        self.answers: list[int] = []
        self.associations = 0
        self.cannot_bear: set[str] = set()
        """SOP Instance UIDs under which it breaks off."""

    def take(self, event: Any) -> int:
        ds = event.dataset
        ds.file_meta = event.file_meta
        if ds.SOPInstanceUID in self.cannot_bear:
            event.assoc.abort()
            return 0xC000
        answer = self.answers.pop(0) if self.answers else 0
        if answer in (0, 0xB000):
            self.kept.append(ds)
        return answer

    def came(self, _: Any) -> None:
        self.associations += 1


@pytest.fixture
def archive(site) -> Iterator[Archive]:
    archive = Archive()
    ae = AE(ae_title="PACS")
    ae.supported_contexts = AllStoragePresentationContexts
    handlers = [(evt.EVT_C_STORE, archive.take), (evt.EVT_ACCEPTED, archive.came)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, destinations=(replace(PACS, port=server.socket.getsockname()[1]),)))
    site.save()
    yield archive
    server.shutdown()
    server.server_close()


def performed(desk, site, exam: Exam, *datasets: Dataset) -> None:
    uid = begun(site, exam)
    assert set(stored(desk, *datasets)) == {0}
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=store.clock.now())


def states() -> list[str]:
    return list(Image.objects.order_by("id").values_list("state", flat=True))


def test_images_of_an_exam_go_over_one_association_as_they_came(desk, site, archive: Archive) -> None:
    exam = make_exam(site)
    datasets = [drawn(exam), drawn(exam)]
    performed(desk, site, exam, *datasets)
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["sent", "sent"]
    assert archive.associations == 1
    for sent, came in zip(archive.kept, datasets, strict=True):
        assert sent == came
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert archive.associations == 1


def test_the_wrong_patients_image_is_corrected_on_its_way_and_says_what_it_was(
    desk, site, archive: Archive
) -> None:
    """Row 40: corrected everywhere, the kept file stays as it came."""
    exam = make_exam(site)
    wrong = drawn(exam, PatientID="W1", PatientName="Müller^Öda", SpecificCharacterSet="ISO_IR 100")
    performed(desk, site, exam, drawn(exam), wrong)
    assert states() == ["matched", "quarantined"]
    image = Image.objects.get(state="quarantined")
    exam.patient.family, exam.patient.given = "Иванова", "Ада"
    exam.patient.save()
    reconcile.belongs_here(image_id=image.pk, exam_id=exam.pk, at=AT, by="user:c")
    route.queue_deliveries(exam_id=exam.pk, at=store.clock.now())
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["sent", "sent"]
    sent = archive.kept[1]
    assert (str(sent.PatientName), sent.PatientID) == (
        "Иванова^Ада",
        exam.patient.identifiers.get().value,
    )
    assert sent.SpecificCharacterSet == "ISO_IR 192"
    change = sent.OriginalAttributesSequence[0]
    before = change.ModifiedAttributesSequence[0]
    assert (str(before.PatientName), before.PatientID) == ("Müller^Öda", "W1")
    assert change.ReasonForTheAttributeModification == "CORRECT"
    assert sent.PixelData == wrong.PixelData
    assert dcmread(desk.spool / image.path).PatientID == "W1"


@pytest.mark.parametrize(("issuer", "others"), [("ELSEWHERE", ["E77"]), ("HOSP", [])])
def test_an_image_from_outside_gets_our_number_and_keeps_the_one_it_came_with(
    desk, site, archive: Archive, issuer: str, others: list[str]
) -> None:
    exam = make_exam(site)
    outside = drawn(exam, PatientID="E77", IssuerOfPatientID=issuer, StudyInstanceUID=new_uid())
    performed(desk, site, exam, outside)
    image = Image.objects.get(state="quarantined")
    reconcile.belongs_here(image_id=image.pk, exam_id=exam.pk, at=AT, by="user:c")
    route.queue_deliveries(exam_id=exam.pk, at=store.clock.now())
    send.deliver(exam_id=exam.pk, destination="PACS")
    (sent,) = archive.kept
    number = exam.patient.identifiers.get()
    assert (sent.PatientID, sent.IssuerOfPatientID) == (number.value, number.authority)
    assert (sent.AccessionNumber, sent.StudyInstanceUID) == (exam.accession, exam.study_instance_uid)
    assert [one.PatientID for one in sent.get("OtherPatientIDsSequence") or []] == others
    before = sent.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert (before.PatientID, before.IssuerOfPatientID) == ("E77", issuer)
    assert before.StudyInstanceUID == outside.StudyInstanceUID


def test_one_refusal_does_not_hold_up_the_others_and_is_tried_again(desk, site, archive: Archive) -> None:
    exam = make_exam(site)
    performed(desk, site, exam, drawn(exam), drawn(exam), drawn(exam))
    archive.answers = [0xA700, 0xB000]
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["matched", "sent", "sent"]
    delivery = Delivery.objects.get(state="waiting")
    assert (delivery.attempts, delivery.last_error) == (1, "it answered A700")
    Delivery.objects.update(next_at=AT)
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["sent"] * 3


def test_an_image_under_which_a_destination_breaks_off_stops_no_other(desk, site, archive: Archive) -> None:
    """Row 41."""
    exam = make_exam(site)
    images = [drawn(exam) for _ in range(4)]
    performed(desk, site, exam, *images)
    archive.cannot_bear = {images[1].SOPInstanceUID}
    assert send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["sent", "matched", "sent", "sent"]
    left = Delivery.objects.get(state="waiting")
    assert (left.attempts, left.last_error, left.may_have_it) == (1, "it did not answer", True)
    assert archive.associations == 2


def test_a_destination_that_breaks_off_each_time_is_left_alone_and_what_was_not_tried_counts_no_try(
    desk, site, archive: Archive
) -> None:
    exam = make_exam(site)
    images = [drawn(exam) for _ in range(5)]
    performed(desk, site, exam, *images)
    archive.cannot_bear = {ds.SOPInstanceUID for ds in images}
    assert not send.deliver(exam_id=exam.pk, destination="PACS")
    ways = Delivery.objects.order_by("id").values_list("attempts", "may_have_it")
    assert list(ways) == [(1, True)] * 3 + [(0, False)] * 2
    archive.cannot_bear = set()
    assert send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["matched"] * 3 + ["sent"] * 2


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_destination_that_is_down_and_one_that_is_no_more(desk, site) -> None:
    exam = make_exam(site)
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, destinations=(replace(PACS, port=1),)))
    site.save()
    performed(desk, site, exam, drawn(exam))
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert Delivery.objects.get().last_error == "it takes no association"
    site.plan = to_json(replace(plan, destinations=()))
    site.save()
    Delivery.objects.update(next_at=AT)
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert "names no such destination" in Delivery.objects.get().last_error


def test_a_run_killed_half_way_goes_on_where_it_stopped(desk, site, archive: Archive, monkeypatch) -> None:
    """Row 41: each image is recorded as soon as it was answered."""
    exam = make_exam(site)
    performed(desk, site, exam, drawn(exam), drawn(exam), drawn(exam))
    whole, count = send.record_sent, [0]

    class Killed(BaseException):
        pass

    def killed(**values: Any) -> bool:
        count[0] += 1
        if count[0] == 2:
            raise Killed
        return whole(**values)

    with monkeypatch.context() as broken:
        broken.setattr(send, "record_sent", killed)
        with pytest.raises(Killed):
            send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["sent", "matched", "matched"]
    assert route.resume_deliveries(at=store.clock.now()) == 1
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["sent"] * 3
    assert len(archive.kept) == 4


def test_what_a_killed_sender_left_behind_is_taken_back_once_somebody_decides(
    desk, site, archive: Archive, monkeypatch
) -> None:
    """Row 40: the archive took it, the desk was killed before it wrote that down, and then a person decided otherwise."""
    picked = make_exam(site)
    meant = make_exam(site, patient=make_patient(site, number="N2", family="Other", given="Person"))
    first, second = drawn(picked), drawn(picked)
    performed(desk, site, picked, first, second)

    class Killed(BaseException):
        pass

    def killed(**_: Any) -> bool:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(send, "record_sent", killed)
        with pytest.raises(Killed):
            send.deliver(exam_id=picked.pk, destination="PACS")
    told(site, begun(site, meant), StepState.COMPLETED)
    one, two = Image.objects.order_by("id")
    both = {"also": [two.pk], "exam_id": meant.pk, "at": store.clock.now(), "by": "user:c"}
    reconcile.belongs_here(image_id=one.pk, **both)
    route.queue_deliveries(exam_id=meant.pk, at=store.clock.now())
    send.deliver(exam_id=picked.pk, destination="PACS")
    send.deliver(exam_id=meant.pk, destination="PACS")
    assert not Delivery.objects.exclude(state="sent").exists()
    assert [ds.AccessionNumber for ds in in_use(archive)] == [meant.accession] * 2
    known = {first.SOPInstanceUID, second.SOPInstanceUID}
    assert known.isdisjoint(ds.SOPInstanceUID for ds in in_use(archive))


def test_a_file_that_is_gone_is_told_and_the_others_go(desk, site, archive: Archive) -> None:
    exam = make_exam(site)
    performed(desk, site, exam, drawn(exam), drawn(exam))
    (desk.spool / Image.objects.order_by("id")[0].path).unlink()
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert states() == ["matched", "sent"]
    assert "cannot be read" in Delivery.objects.get(state="waiting").last_error


def test_images_of_many_machines_at_once_are_all_kept(desk, site) -> None:
    exam = make_exam(site)
    datasets = [drawn(exam) for _ in range(12)]
    threads = [threading.Thread(target=stored, args=(desk, *datasets[n::4])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert states() == ["matched"] * 12


def in_use(archive: Archive) -> list[Dataset]:
    """What a PACS still shows: all that it has, without what a rejection note took out of use, and without the notes."""
    hidden = {
        (series.SeriesInstanceUID, one.ReferencedSOPInstanceUID)
        for note in archive.kept
        if note.Modality == "KO"
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    return [
        ds
        for ds in archive.kept
        if ds.Modality != "KO" and (ds.SeriesInstanceUID, ds.SOPInstanceUID) not in hidden
    ]


def test_what_left_under_a_wrong_entry_is_taken_out_of_use_and_comes_anew(
    desk, site, archive: Archive
) -> None:
    """Row 40: the PACS that has the old one gets a rejection note, 113038, and the corrected object under new numbers."""
    picked = make_exam(site)
    meant = make_exam(site, patient=make_patient(site, number="N2", family="Other", given="Person"))
    first, second = drawn(picked), drawn(picked)
    second.SeriesInstanceUID = first.SeriesInstanceUID
    performed(desk, site, picked, first, second)
    send.deliver(exam_id=picked.pk, destination="PACS")
    assert states() == ["sent", "sent"]
    told(site, begun(site, meant), StepState.COMPLETED)
    one = Image.objects.get(sop_instance_uid=first.SOPInstanceUID)
    reconcile.belongs_here(image_id=one.pk, exam_id=meant.pk, at=store.clock.now(), by="user:c")
    route.queue_deliveries(exam_id=meant.pk, at=store.clock.now())
    archive.answers = [0xA700]
    send.deliver(exam_id=picked.pk, destination="PACS")
    Delivery.objects.filter(state="waiting").update(next_at=AT)
    send.deliver(exam_id=picked.pk, destination="PACS")
    send.deliver(exam_id=meant.pk, destination="PACS")
    assert not Delivery.objects.exclude(state="sent").exists()
    note, anew = archive.kept[2:]
    title = note.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == ("113038", "DCM")
    assert (note.PatientID, note.StudyInstanceUID) == (first.PatientID, picked.study_instance_uid)
    assert [ds.SOPInstanceUID for ds in in_use(archive)] == [second.SOPInstanceUID, anew.SOPInstanceUID]
    assert anew.SOPInstanceUID != first.SOPInstanceUID
    assert anew.SeriesInstanceUID != first.SeriesInstanceUID
    assert (anew.PatientID, anew.AccessionNumber) == ("N2", meant.accession)
    assert anew.PixelData == first.PixelData
    was = anew.OriginalAttributesSequence[0].ModifiedAttributesSequence[0]
    assert (was.SOPInstanceUID, was.PatientID) == (first.SOPInstanceUID, first.PatientID)
    assert Image.everything.get(modality="KO").state == "sent"


@pytest.mark.parametrize("code", ["113001", "113037", "113039"])
def test_a_rejected_image_is_taken_out_of_use_where_it_is(desk, site, archive: Archive, code: str) -> None:
    exam = make_exam(site)
    performed(desk, site, exam, drawn(exam))
    send.deliver(exam_id=exam.pk, destination="PACS")
    image = Image.objects.get()
    reconcile.reject_image(
        image_id=image.pk, why="as told", at=store.clock.now(), by="user:c", code=RejectionCode(code)
    )
    send.deliver(exam_id=exam.pk, destination="PACS")
    assert archive.kept[1].ConceptNameCodeSequence[0].CodeValue == code
    assert in_use(archive) == []
