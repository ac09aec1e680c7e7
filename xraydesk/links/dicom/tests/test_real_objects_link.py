"""Real objects of many vendors over the wire, from dcmtk and from pynetdicom; what goes on goes on untouched."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dsutils import create_file_meta, encode, encode_file_meta, split_dataset
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation

from tests.certificates import certificate_of
from tests.factories import make_exam
from tests.running import collect_sockets
from tests.shared_data import shared_data
from xraydesk.imaging.models import Delivery, Image, PerformedStep
from xraydesk.imaging.states import StepState
from xraydesk.journey import route
from xraydesk.journey.tests.performing import PACS, begun, site_with_pacs, told
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import mpps, send, store, worklist
from xraydesk.links.dicom.elements import Encoder, tree_of
from xraydesk.links.dicom.sop_classes import (
    MODALITY_PERFORMED_STEP,
    MODALITY_WORKLIST,
    STORAGE_SYNTAXES,
)
from xraydesk.links.dicom.tests.dumps import read_dump
from xraydesk.links.dicom.tests.peers import listening
from xraydesk.links.dicom.tests.test_images_link import CR, drawn
from xraydesk.links.dicom.tests.test_worklist_dcmtk import EVERYTHING, QUERIES, _expected, _lines
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]

CANNOT_UNDERSTAND = 0xC000
OFFERS = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.91": "-xw",
}
"""What storescu is told to offer for a transfer syntax."""


@pytest.fixture
def site():
    return site_with_pacs()


@pytest.fixture
def desk(tmp_path, site, settings):
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    with listening(tmp_path, [mpps.SERVICE, store.SERVICE, worklist.SERVICE]) as running:
        yield running


def real_objects() -> dict[Path, dict[str, Any]]:
    """Every object that a machine could send, with what it is known to contain."""
    index = json.loads(shared_data("dicom_index.json").read_text())
    folders = ("dicom_images/", "dicom_charsets/", "dicom_other/", "rdsr/")
    return {shared_data(*name.split("/")): said for name, said in index.items() if name.startswith(folders)}


def as_expected(said: dict[str, Any], image: Image) -> None:
    assert image.patient_id == (said.get("PatientID") or "")
    assert image.patient_name == (said.get("PatientName") or "")
    assert image.modality == (said.get("Modality") or "")
    assert image.accession == (said.get("AccessionNumber") or "")
    dose = said.get("ImageAndFluoroscopyAreaDoseProduct")
    assert image.header.get("dap_gym2") == (pytest.approx(dose * 1e-5) if dose is not None else None)
    assert image.state == "quarantined"


def data_set_of(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]


@pytest.mark.data
def test_every_real_object_from_pynetdicom_lies_in_the_spool_byte_for_byte(desk) -> None:
    """Over one association with as many contexts as there are kinds, and a window of several operations proposed."""
    sent, kinds = {}, {}
    for path, said in real_objects().items():
        try:
            meta = split_dataset(path)[0]
        except InvalidDicomError:  # it has no meta information; no machine could send it so
            continue
        if "TransferSyntaxUID" in meta and "MediaStorageSOPInstanceUID" in meta:
            sent[path] = (meta, said)
            kinds[(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)] = True
    assert len(sent) > 40
    ae = AE(ae_title="XR1")
    for sop_class, syntax in kinds:
        ae.add_requested_context(sop_class, syntax)
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    association = ae.associate("127.0.0.1", desk.port, ae_title="XRAYDESK", ext_neg=[window])
    answers = {}
    for path, (meta, _) in sent.items():
        if any(c.abstract_syntax == meta.MediaStorageSOPClassUID for c in association.accepted_contexts):
            answers[path] = association.send_c_store(path).Status
    association.release()
    assert {path.name for path in sent if path not in answers} == {"Issue195.dcm"}  # a worklist entry
    # The one is cut short; the other has another number within than its meta information says.
    refused = {path.name for path, status in answers.items() if status}
    assert refused == {"MR_truncated.dcm", "CR-ModalitySequenceLUT.dcm"}
    for path, status in answers.items():
        if status:
            assert status == CANNOT_UNDERSTAND
            continue
        meta, said = sent[path]
        image = Image.objects.get(sop_instance_uid=meta.MediaStorageSOPInstanceUID, size_bytes__gte=0, copy=0)
        kept = desk.spool / image.path
        if data_set_of(kept) != data_set_of(path):  # two of them have one number
            kept = desk.spool / Image.objects.get(sop_instance_uid=image.sop_instance_uid, copy=1).path
            assert data_set_of(kept) == data_set_of(path)
            continue
        assert image.transfer_syntax_uid == meta.TransferSyntaxUID
        as_expected(said, image)


@pytest.mark.data
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_every_real_image_from_storescu_comes_in_over_tls_with_a_certificate(
    tmp_path, site, settings
) -> None:
    """All of one transfer syntax over one association; what they hold is what they are known to hold."""
    if shutil.which("storescu") is None:
        pytest.skip("storescu of dcmtk is not installed here")
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    desks, machines = certificate_of(tmp_path, "localhost"), certificate_of(tmp_path, "xr1")
    wanted = {
        path: said for path, said in real_objects().items() if path.parent.name in ("dicom_images", "rdsr")
    }
    groups: dict[str, list[str]] = {}
    for path, said in wanted.items():
        groups.setdefault(said["transfer_syntax"], []).append(str(path))
    with listening(
        tmp_path, [store.SERVICE], dicom="0.0.0.0:0", tls_cert=desks[0], tls_key=desks[1], dicom_client_ca=machines[0]
    ) as running:  # fmt: skip
        for syntax, paths in groups.items():
            line = [
                "storescu",
                "-R",
                *([OFFERS[syntax]] if syntax in OFFERS else []),
                "-aet",
                "XR1",
                "-aec",
                "XRAYDESK",
            ]
            line += [
                "+tls",
                str(machines[1]),
                str(machines[0]),
                "+cf",
                str(desks[0]),
                "127.0.0.1",
                str(running.port),
            ]
            done = subprocess.run([*line, *paths], capture_output=True, timeout=120)
            assert done.returncode == 0, done.stderr.decode()
        for path, said in wanted.items():
            image = Image.objects.get(sop_instance_uid=said["SOPInstanceUID"], copy=0)
            as_expected(said, image)
            theirs, ours = dcmread(path), dcmread(running.spool / image.path)
            assert ours.get("PixelData") == theirs.get("PixelData")
    collect_sockets()


# -- untouched on its way --------------------------------------------------------------------

FRAGMENTS = (
    b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\6\0\0\0\xff\xd8ab\xff\xd9" + b"\xfe\xff\xdd\xe0\0\0\0\0"
)


def odd(ds: Dataset, syntax: UID) -> bytes:
    """An image as no program of ours would write it: a group's length, a sequence without one, private elements, padding."""
    is_implicit, order = syntax.is_implicit_VR, "<" if syntax.is_little_endian else ">"
    del ds.PixelData
    data = encode(ds, is_implicit, syntax.is_little_endian) or b""

    def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
        head = struct.pack(order + "HH", group, number)
        size = len(value) if length is None else length
        if is_implicit:
            return head + struct.pack(order + "L", size) + value
        if vr in (b"SQ", b"OB", b"OW", b"UN"):
            return head + vr + b"\0\0" + struct.pack(order + "L", size) + value
        return head + vr + struct.pack(order + "H", size) + value

    undefined = 0xFFFFFFFF
    item = struct.pack(order + "HHL", 0xFFFE, 0xE000, undefined) + element(0x0008, 0x0100, b"SH", b"A1  ")
    item += struct.pack(order + "HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    pixels = element(0x7FE0, 0x0010, b"OW", bytes(32))
    if syntax.is_compressed:
        pixels = element(0x7FE0, 0x0010, b"OB", FRAGMENTS, undefined)
    return b"".join([
        element(0x0008, 0x0000, b"UL", struct.pack(order + "L", 77)),
        data,
        element(0x0029, 0x0010, b"LO", b"A VENDOR"),
        element(0x0029, 0x1001, b"UN", b"\1\2\3\4"),
        element(0x0040, 0x0260, b"SQ", item, undefined),
        pixels,
        element(0xFFFC, 0xFFFC, b"OB", bytes(10)),
    ])  # fmt: skip


def test_what_came_goes_on_byte_for_byte_in_every_transfer_syntax(desk, site, tmp_path) -> None:
    """Implicit and explicit, big endian, the JPEG family and RLE: kept and sent as it came, and never read whole."""
    exam = make_exam(site)
    sent: dict[str, bytes] = {}
    uid = begun(site, exam)
    ae = AE(ae_title="XR1")
    for syntax in STORAGE_SYNTAXES:
        ae.add_requested_context(CR, syntax)
    association = ae.associate("127.0.0.1", desk.port, ae_title="XRAYDESK")
    for number, syntax in enumerate(map(UID, STORAGE_SYNTAXES)):
        ds = drawn(exam)
        uid_of_it, data = ds.SOPInstanceUID, odd(ds, syntax)
        meta = create_file_meta(
            sop_class_uid=UID(CR),
            sop_instance_uid=UID(uid_of_it),
            transfer_syntax=syntax,
            implementation_uid=UID("1.2.3"),
        )
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(bytes(128) + b"DICM" + encode_file_meta(meta) + data)
        sent[uid_of_it] = data
        assert association.send_c_store(path).Status == 0, syntax
    association.release()
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=store.clock.now())
    came: dict[str, bytes] = {}

    def take(event: evt.Event) -> int:
        came[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
        return 0

    pacs = AE(ae_title="PACS")
    pacs.add_supported_context(CR, list(STORAGE_SYNTAXES))
    server = pacs.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, destinations=(replace(PACS, port=server.socket.getsockname()[1]),)))
    site.save()
    try:
        send.deliver(exam_id=exam.pk, destination="PACS")
    finally:
        server.shutdown()
        server.server_close()
    assert {d.state for d in Delivery.objects.all()} == {"sent"}
    assert came == sent


# -- steps and worklists ---------------------------------------------------------------------


@pytest.mark.data
def test_a_real_machines_step_is_begun_and_ended_over_the_wire(desk, site) -> None:
    began, ended = (dcmread(shared_data("mpps", f"mpps-{name}1.dcm")) for name in ("inprogress", "completed"))
    uid = new_uid()
    association = desk.associate([MODALITY_PERFORMED_STEP])
    assert association.send_n_create(began, MODALITY_PERFORMED_STEP, uid)[0].Status == 0
    assert association.send_n_set(ended, MODALITY_PERFORMED_STEP, uid)[0].Status == 0
    assert association.send_n_set(ended, MODALITY_PERFORMED_STEP, uid)[0].ErrorID == 0xA710
    association.release()
    assert PerformedStep.objects.get(sop_instance_uid=uid).state == StepState.COMPLETED


@pytest.mark.data
def test_dcmtks_queries_are_answered_over_the_wire_as_dcmtk_answers_them(desk, tmp_path, monkeypatch) -> None:
    """findscu asks, then pynetdicom: the entries of dcmtk's database stand in for booked exams."""
    entries = [tree_of(read_dump(path)) for path in shared_data("mwl", "dcmtk_db").glob("*.dump")]
    monkeypatch.setattr(worklist, "booked", lambda *_: iter(entries))
    monkeypatch.setattr(worklist, "matched_tree", lambda entry, *_: entry)
    monkeypatch.setattr(worklist, "SUPPORTED", EVERYTHING)
    expected = json.loads(shared_data("mwl", "dcmtk_expected_answers.json").read_text())
    for number in QUERIES:
        query = read_dump(shared_data("mwl", "dcmtk_queries", f"wlistqry{number}.dump"))
        wanted = sorted(_expected(lines) for lines in expected[f"wlistqry{number}.dump"]["all_items"])
        for ask in (by_findscu, by_pynetdicom):
            assert answered(ask(desk, query, tmp_path)) == wanted, (number, ask)


def answered(found: list[Dataset]) -> list[list[str]]:
    return sorted(_lines(tree_of(ds)) for ds in found)


def by_pynetdicom(desk: Any, query: Dataset, _: Path) -> list[Dataset]:
    association = desk.associate([MODALITY_WORKLIST])
    found = [ds for _, ds in association.send_c_find(query, MODALITY_WORKLIST) if ds is not None]
    association.release()
    return found


def by_findscu(desk: Any, query: Dataset, folder: Path) -> list[Dataset]:
    if shutil.which("findscu") is None:
        pytest.skip("findscu of dcmtk is not installed here")
    asked, into = folder / "query.dcm", folder / "answers"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    asked.write_bytes(Encoder(is_implicit=False, charset=("ISO_IR 100",)).encode(tree_of(query)))
    line = [
        "findscu",
        "-W",
        "-aet",
        "XR1",
        "-aec",
        "XRAYDESK",
        "-X",
        "-od",
        str(into),
        "127.0.0.1",
        str(desk.port),
    ]
    done = subprocess.run([*line, str(asked)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return [dcmread(path, force=True) for path in sorted(into.iterdir())]
