"""What is broken or meant to do harm is answered in its protocol's own words, and other work goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind, Verification

from tests import modality
from tests.database import with_tables
from tests.running import Desk, framed, running_desk, until
from xraydesk.links.dicom.tests.peers import association_request

pytestmark = pytest.mark.link

SECONDS_MAX = 20
GROWTH_KB_MAX = 80_000
"""So much more memory a listener may have after all of this (16 MiB frames were on their way)."""
KINDS = ("web", "mllp", "dicom", "worker")
OUTSIDE = ("django.security", "django.request", "pynetdicom")
"""Loggers that tell of what was wrong with a request, with the place where that was noticed."""


def order(placer: str, patient: str, *, name: str = "Test^Person", segments: str = "") -> str:
    when = f"{datetime.now() + timedelta(days=1):%Y%m%d}110000"
    return "\r".join(
        [
            f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|{datetime.now():%Y%m%d%H%M%S}||ORM^O01^ORM_O01|C{placer}|P|2.5.1",
            f"PID|1||{patient}^^^HOSP^MR||{name}||19690512|F",
            "PV1|1|O|RAD",
            f"ORC|NW|{placer}^EHR|||||1^^^{when}^^R|||||7001^Okafor^Ngozi",
            f"OBR|1|{placer}^EHR||XRCHEST1^Chest 1 view^L||||||||||||7001^Okafor^Ngozi|||||||||||||||cough|||||{when}",
            segments,
        ]
    )


class Answers:
    """The desk, and what shows that it still works."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._number = 0
        token = desk.demo()["token"]
        self.bearer = {"Authorization": f"Bearer {token}"}

    def works(self) -> None:
        """An order, a C-ECHO and a page are answered as on any day."""
        self._number += 1
        placer = f"W{self._number}"
        assert f"MSA|AA|C{placer}" in self.desk.ask(order(placer, f"WP{self._number}"))
        assert echo(self.desk) == 0x0000
        assert self.desk.get("/sign-in")[0] == 200

    def raw(
        self, port: int, data: bytes, *, seconds: float = SECONDS_MAX, half: bool = False
    ) -> bytes | None:
        """Send bytes; what came back until the desk hung up, None where it never did."""
        found = b""
        with socket.create_connection(("127.0.0.1", port), seconds) as line:
            # The desk may have answered and gone already: ENOTCONN is an OSError and no ConnectionError.
            with contextlib.suppress(OSError):
                line.sendall(data)
                if half:
                    line.shutdown(socket.SHUT_WR)
            try:
                while part := line.recv(65536):
                    found += part
            except TimeoutError:
                return None
            except ConnectionError:
                return found
        return found

    def http(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """One request, whatever its path and method look like."""
        line = http.client.HTTPConnection("127.0.0.1", self.desk.http, timeout=SECONDS_MAX)
        try:
            line.putrequest(method, path, skip_accept_encoding=True)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                line.putheader(name, value)
            with contextlib.suppress(ConnectionError):
                line.endheaders(body)
            answer = line.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            line.close()


def echo(desk: Desk, *, called: str = "XRAYDESK", calling: str = "XR1") -> int | None:
    entity = AE(ae_title=calling)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", desk.dicom, ae_title=called)
    if not association.is_established:
        return None
    status = association.send_c_echo()
    association.release()
    return int(status.Status) if "Status" in status else None


def memory_kb(desk: Desk) -> dict[str, int]:
    """Resident memory of the two listeners."""
    pids = desk.children()
    return {
        kind: int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pids[kind]}/status").read_text())[1])  # type: ignore[index]
        for kind in ("mllp", "dicom", "web")
    }


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """One desk for all of it: what one test breaks, another notices."""
    folder = tmp_path_factory.mktemp("hostile")
    limits = {
        "XRAYDESK_MLLP_MAX_BYTES": "1000000",
        "XRAYDESK_MLLP_FRAME_SECONDS": "2",
        "XRAYDESK_DICOM_IDLE_SECONDS": "2",
    }
    with running_desk(with_tables(folder), "--demo", "--demo-quiet", env=limits) as desk:
        found = Answers(desk)
        found.works()
        before, pids = memory_kb(desk), desk.children()
        yield found
        found.works()
        after = memory_kb(desk)
        assert desk.children() == pids, "a process died"
        grown = {kind: after[kind] - before[kind] for kind in before}
        assert max(grown.values()) < GROWTH_KB_MAX, grown
        told = {path.name: path.read_text(errors="replace") for path in (desk.home / "logs").iterdir()}
        traces = {name for name, text in told.items() if "Traceback" in text}
        assert traces == set()
        lines = [json.loads(line) for name in KINDS for line in told.get(f"{name}.log", "").splitlines()]
        assert [line for line in lines if "places" in line and not line["logger"].startswith(OUTSIDE)] == []


# ---- HL7 v2 over MLLP -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(range(256)) * 40,
        b"\x00" * 5000,
        b"\x0b\x0b\x0b\x0b",
        b"\x1c\r" * 1000,
        b"\x0b" + b"MSH|^~\\&|" + b"\xff" * 1000 + b"\x1c\r",
        b"\x0bMSH\x1c\r\x0b\x1c\r\x0bM\x1c\r",
        b"\x0bMSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|2026||ORM^O01|N1|P|2.5.1\rPID|" + b"^" * 50_000 + b"\x1c\r",
        b"\x0bMSH|||||||||||||||||\x1c\r",
        b"\x0bMSHHHHHHHHHHHHHH\x1c\r",
        b"\x0bFHS|^~\\&|EHR|HOSP\rBHS|^~\\&\rBTS|99\rFTS|1\r\x1c\r",
    ],
    ids=lambda b: b[:12].hex(),
)
def test_noise_on_the_order_link_is_refused_or_hung_up_on(answers: Answers, noise: bytes) -> None:
    """Row 11."""
    found = answers.raw(answers.desk.mllp, noise, half=True)
    assert found is not None, "the desk kept the line for ever"
    assert b"MSA|AA" not in found
    answers.works()


def test_a_frame_that_never_ends_has_a_deadline_however_it_dribbles(answers: Answers) -> None:
    """Row 11: the time runs from a frame's first byte."""
    with socket.create_connection(("127.0.0.1", answers.desk.mllp), SECONDS_MAX) as line:
        line.sendall(b"\x0bMSH|^~\\&|EHR|HOSP|")
        ended = threading.Event()

        def dribble() -> None:
            while not ended.wait(0.3):
                with contextlib.suppress(OSError):
                    line.sendall(b"x")

        dribbler = threading.Thread(target=dribble)
        dribbler.start()
        began = datetime.now()
        with contextlib.suppress(ConnectionError):
            while line.recv(65536):
                pass
        assert (datetime.now() - began).total_seconds() < 8
        ended.set()
        dribbler.join()
    answers.works()


def test_a_frame_above_the_cap_is_refused_and_the_line_closed(answers: Answers) -> None:
    """Row 12."""
    found = answers.raw(answers.desk.mllp, b"\x0b" + order("BIG", "BIG").encode() + b"A" * 3_000_000)
    assert found is not None
    assert found == b"" or b"|AR|" in found or b"MSA|AR" in found
    answers.works()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("XRCHEST1", "XR\x00CHEST1"),
        ("Test^Person", "Te\x00st^Per\x00son"),
        ("NP9", "N\x00P9"),
        ("19690512", "99999999"),
        ("ORC|NW|", "ORC|\x00|"),
        ("ORC|NW|", "ORC|NW|" + "9" * 500),
        ("NP9", "9" * 5000),
        ("Test^Person", "Ñ" * 20_000),
        ("|F", "|" + "F" * 3000),
        ("XRCHEST1", "X" * 3000),
        ("|O|RAD", "|" + "O" * 300 + "|" + "R" * 3000),
        ("|P|2.5.1", "|P|" + "9" * 300),
        ("110000", "116199"),
        ("110000", "110000+9999"),
        ("ORM^O01^ORM_O01", "A" * 4000),
        ("|EHR|HOSP", "|" + "E" * 3000 + "|HOSP"),
    ],
    ids=lambda value: value[:12].encode().hex(),
)
def test_an_order_with_a_bad_field_is_answered_and_nobody_falls_over(
    answers: Answers, old: str, new: str
) -> None:
    placer = f"B{abs(hash((old, new))) % 1_000_000}"
    message = order(placer, "NP9")
    assert old in message
    answer = answers.desk.ask(message.replace(old, new))
    assert re.search(r"MSA\|(AA|AE|AR)\|", answer), answer
    answers.works()


def test_a_control_id_of_junk_is_answered(answers: Answers) -> None:
    for junk in ("", "\x00", "C" * 4000, "^&~", "'; DROP TABLE links_message; --"):
        message = order("JUNKID", "NP9").replace("CJUNKID", junk)
        assert re.search(r"MSA\|(AA|AE|AR)\|", answers.desk.ask(message))
    answers.works()


def test_a_hundred_open_idle_lines_keep_nobody_out(answers: Answers) -> None:
    """Row 25, on the order link."""
    with contextlib.ExitStack() as lines:
        for _ in range(100):
            lines.enter_context(socket.create_connection(("127.0.0.1", answers.desk.mllp), 5))
        answers.works()


def test_answers_that_nobody_reads_do_not_pile_up(answers: Answers) -> None:
    with socket.create_connection(("127.0.0.1", answers.desk.mllp), 5) as line:
        line.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for number in range(300):
                line.sendall(framed(order(f"U{number}", "UP").replace("ORM^O01^ORM_O01", "ZZZ^Z01")))
    answers.works()


# ---- DICOM ------------------------------------------------------------------------------------


def associate_rq(called: bytes = b"XRAYDESK", calling: bytes = b"XR1", items: bytes = b"") -> bytes:
    body = struct.pack(">HH16s16s32s", 1, 0, called.ljust(16), calling.ljust(16), b"") + items
    return struct.pack(">BBI", 1, 0, len(body)) + body


GOOD_ITEMS = (
    b"\x10\x00\x00\x151.2.840.10008.3.1.1.1"
    b"\x20\x00\x00\x2e\x01\x00\x00\x00\x30\x00\x00\x111.2.840.10008.1.1\x40\x00\x00\x111.2.840.10008.1.2"
    b"\x50\x00\x00\x08\x51\x00\x00\x04\x00\x00\x40\x00"
)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">BBI", 1, 0, 0xFFFFFFFF) + b"x" * 100,
        struct.pack(">BBI", 4, 0, 0xFFFFFFFF) + b"x" * 100,
        struct.pack(">BBI", 1, 0, 0),
        struct.pack(">BBI", 1, 0, 4) + b"abcd",
        struct.pack(">BBI", 0x99, 0, 4) + b"abcd",
        b"GET / HTTP/1.0\r\n\r\n",
        bytes(range(256)) * 20,
        associate_rq(items=b"\x10\x00\xff\xff1.2"),
        associate_rq(items=b"\x20\x00\x00\x04\x01\x00\x00\x00" * 300),
        associate_rq(called=b"\xff" * 16, calling=b"\x00" * 16, items=GOOD_ITEMS),
        associate_rq(items=GOOD_ITEMS) + struct.pack(">BBI", 4, 0, 0xFFFFFFF0) + b"y" * 200,
        associate_rq(items=GOOD_ITEMS) + struct.pack(">BBIIBB", 4, 0, 6, 0xFFFFFFFF, 1, 3),
        associate_rq(items=GOOD_ITEMS) + struct.pack(">BBIIBB", 4, 0, 6, 2, 1, 3),
        associate_rq(items=GOOD_ITEMS) + struct.pack(">BBIIBB", 4, 0, 10, 6, 1, 3) + b"\xff\xff\xff\xff",
        associate_rq(items=GOOD_ITEMS) + struct.pack(">BBIIBB", 4, 0, 10, 6, 77, 3) + b"abcd",
        associate_rq(items=GOOD_ITEMS) + associate_rq(items=GOOD_ITEMS),
        associate_rq(items=GOOD_ITEMS) + struct.pack(">BBI", 6, 0, 4) + b"\0\0\0\0",
    ],
    ids=lambda b: f"{b[:6].hex()}-{len(b)}",
)
def test_bytes_that_are_no_dicom_end_the_connection_in_time(answers: Answers, data: bytes) -> None:
    """Row 24: a bogus length is refused before anything is kept for it."""
    found = answers.raw(answers.desk.dicom, data)
    assert found is not None, "the desk kept the connection for ever"
    assert found == b"" or found[0] in (2, 3, 6, 7)
    answers.works()


def test_dozens_of_half_open_associations_keep_no_machine_out(answers: Answers) -> None:
    """Row 25: known AE titles keep their places."""
    with contextlib.ExitStack() as lines:
        for number in range(120):
            line = lines.enter_context(socket.create_connection(("127.0.0.1", answers.desk.dicom), 5))
            if number % 3 == 1:
                line.sendall(associate_rq(calling=b"STRANGER", items=GOOD_ITEMS))
            elif number % 3 == 2:
                line.sendall(associate_rq(items=GOOD_ITEMS)[: 20 + number])
        answers.works()


def test_the_wrong_called_title_and_an_unknown_caller_are_rejected(answers: Answers) -> None:
    assert echo(answers.desk, called="SOMEBODY") is None
    stranger = association_request([ModalityWorklistInformationFind], calling="STRANGER")
    assert answers.raw(answers.desk.dicom, stranger) == bytes.fromhex("0300 00000004 00010103")
    answers.works()


def nested(depth: int) -> Dataset:
    made = Dataset()
    made.PatientID = "deep"
    for _ in range(depth):
        outer = Dataset()
        outer.RequestAttributesSequence = [made]
        made = outer
    return made


def test_an_image_nested_too_deep_is_refused(answers: Answers) -> None:
    """Row 28: written as bytes, since no library writes it."""
    depth = 20_000
    tag = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    statuses = store_bytes(answers.desk, tag * depth + end * depth)
    assert statuses[0] is not None
    assert statuses[0] & 0xF000 in (0xA000, 0xC000)
    answers.works()


def store_bytes(desk: Desk, data: bytes, uid: str | None = None) -> list[int | None]:
    """C-STORE a data set of these very bytes."""
    from io import BytesIO

    from pynetdicom.dimse_primitives import C_STORE

    entity = AE(ae_title="XR1")
    entity.add_requested_context(modality.DX_IMAGE, [ExplicitVRLittleEndian])
    association = entity.associate("127.0.0.1", desk.dicom, ae_title="XRAYDESK")
    assert association.is_established
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = modality.DX_IMAGE, uid or modality.new_uid()
    request.DataSet = BytesIO(data)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        pass
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    if association.is_established:
        association.release()
    return [int(answer.Status) if answer is not None else None]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        b"junk that is no data set at all",
        b"\x08\x00\x18\x00UI\xff\xff1.2",
        b"\x08\x00\x05\x00CS\x0a\x00NO_SUCH_CS" + b"\x10\x00\x20\x00LO\x04\x00\xff\xfe\xfd\xfc",
        b"\x10\x00\x20\x00LO\x04\x00a\x00b\x00",
        b"\xe0\x7f\x10\x00OW\x00\x00\xff\xff\xff\x7f",
    ],
    ids=lambda b: f"{len(b)}-{b[:6].hex()}",
)
def test_an_image_that_is_none_gets_a_status(answers: Answers, data: bytes) -> None:
    (status,) = store_bytes(answers.desk, data)
    assert status is not None
    answers.works()


@pytest.mark.parametrize(
    "uid", ["../../../../etc/passwd", "1.2/../../3", "..", "1.2\\..\\3", "/tmp/x", "1.2\x00.3"]
)
def test_a_path_in_a_uid_leads_nowhere(answers: Answers, uid: str) -> None:
    """Row 29."""
    spool = answers.desk.home / "spool"
    outside = set(answers.desk.home.iterdir())
    body = (
        b"\x08\x00\x16\x00UI\x1c\x00" + modality.DX_IMAGE.encode().ljust(28, b"\0")
        + b"\x08\x00\x18\x00UI" + struct.pack("<H", len(padded(uid))) + padded(uid)
        + b"\x20\x00\x0d\x00UI" + struct.pack("<H", len(padded(uid))) + padded(uid)
    )  # fmt: skip
    (status,) = store_bytes(answers.desk, body)
    assert status is not None
    assert set(answers.desk.home.iterdir()) - outside <= {spool}
    kept = [p for p in spool.rglob("*") if p.is_file()]
    assert all(re.fullmatch(r"[0-9a-f]{32}\.dcm|[0-9]+-[0-9]+\.part", p.name) for p in kept)
    answers.works()


def padded(uid: str) -> bytes:
    raw = uid.encode()
    return raw + b"\0" * (len(raw) % 2)


@pytest.mark.parametrize(
    "change",
    [
        {"ScheduledStepAttributesSequence": []},
        {"PerformedProcedureStepStatus": "NONSENSE"},
        {"PerformedProcedureStepStatus": "COMPLETED"},
        {"PerformedProcedureStepStatus": ""},
        {"PerformedStationAETitle": ""},
        {"PerformedProcedureStepStartDate": ""},
        {"PerformedProcedureStepStartTime": ""},
        {"PatientID": "x" * 64},
        {"PatientName": "Ñandú^" * 10},
        {"Modality": ""},
        {"PerformedSeriesSequence": [Dataset(), Dataset()]},
        {"PerformedProcedureStepID": "../../etc"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_step_with_bad_attributes_gets_a_status(answers: Answers, change: dict[str, Any]) -> None:
    begun = modality.step_begun("XR1", accession="NOSUCH", study=modality.new_uid(), **change)
    status = modality.tell_step(answers.desk.dicom, "XR1", "send_n_create", begun, modality.new_uid())
    assert status is not None
    answers.works()


def test_a_step_without_any_attribute_and_one_nobody_knows_are_refused(answers: Answers) -> None:
    """Row 35."""
    port = answers.desk.dicom
    bare = Dataset()
    bare.SpecificCharacterSet = "ISO_IR 192"
    assert modality.tell_step(port, "XR1", "send_n_create", bare, modality.new_uid()) not in (None, 0)
    assert (
        modality.tell_step(port, "XR1", "send_n_set", modality.step_ended([]), modality.new_uid()) == 0x0112
    )
    deep = modality.step_begun("XR1", accession="", study=modality.new_uid())
    deep.RequestAttributesSequence = [nested(60)]
    assert modality.tell_step(port, "XR1", "send_n_create", deep, modality.new_uid()) is not None
    answers.works()


@pytest.mark.parametrize(
    "keys",
    [
        {"SpecificCharacterSet": "ISO_IR 6"},
        {"PatientName": "*" * 60},
        {"PatientName": "\\" * 30},
        {"PatientID": "%_'\"; --"},
        {"AccessionNumber": "?" * 16},
        {"PatientBirthDate": "20260101-20250101"},
        {"StudyInstanceUID": "1.2.3"},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Ж*"},
        {"QueryRetrieveLevel": "NONSENSE"},
    ],
    ids=lambda keys: "-".join(keys) or "none",
)
@pytest.mark.parametrize("step", [None, {"ScheduledProcedureStepStartDate": "99999999-"}, {"Modality": "??"}])
def test_a_worklist_question_of_rubbish_gets_a_final_status(
    answers: Answers, keys: dict[str, str], step: dict[str, str] | None
) -> None:
    asked = Dataset()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pydicom.config.settings._writing_validation_mode", 0)
        patch.setattr("pydicom.config.settings.reading_validation_mode", 0)
        for keyword, value in keys.items():
            setattr(asked, keyword, value)
        if step is not None:
            inner = Dataset()
            for keyword, value in step.items():
                setattr(inner, keyword, value)
            asked.ScheduledProcedureStepSequence = [inner]
        entity = AE(ae_title="XR1")
        entity.add_requested_context(ModalityWorklistInformationFind, [ImplicitVRLittleEndian])
        association = entity.associate("127.0.0.1", answers.desk.dicom, ae_title="XRAYDESK")
        assert association.is_established
        statuses = [
            s.get("Status") for s, _ in association.send_c_find(asked, ModalityWorklistInformationFind)
        ]
        association.release()
    assert statuses
    assert statuses[-1] is not None
    assert statuses[-1] not in (0xFF00, 0xFF01)
    answers.works()


# ---- HTTP -------------------------------------------------------------------------------------

STRANGE_PATHS = [
    "/../../../../etc/passwd",
    "/static/../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static/..%5c..%5cx",
    "/static/desk/%00",
    "/exams/%00",
    "/exams/%FF%FE",
    "/exams/" + "A" * 5000,
    "/exams/%2e%2e%2f",
    "/patients/99999999999999999999999999",
    "/images/99999999999999999999999999",
    "/messages/99999999999999999999999999",
    "/rooms/%00",
    "/search?q=%00",
    "/search?q=%FF",
    "/search?q=" + "a" * 20_000,
    "/search?" + "&".join(f"a{n}=1" for n in range(2000)),
    "/?day=%00",
    "/?day=9999-12-31",
    "/?day=0001-01-01",
    "/?day=2026-02-31",
    "/?exam=%00&room=%00&location=%00",
    "/day?day=9999-12-31",
    "/day?day=0001-01-01",
    "/day?day=x&room=%00",
    "/triage?exam=%00",
    "/messages?before=99999999999999999999&state=%00&q=%00",
    "/messages?page=99999999999999999999",
    "/attention?kind=%00&page=-1",
    "/reads?page=99999999999999999999&patient=%00",
    "/orders/new?patient=%00",
    "/live?board=%00",
    "/fhir/R4/Patient?_id=%00",
    "/fhir/R4/Patient?_id=" + "9" * 300,
    "/fhir/R4/Patient?identifier=%00%7C%00",
    "/fhir/R4/Patient?identifier=%7C" + "9" * 3000,
    "/fhir/R4/Patient?_count=99999999999999999999",
    "/fhir/R4/Patient?_count=-1",
    "/fhir/R4/Patient?_offset=%FF",
    "/fhir/R4/ServiceRequest?patient=%00",
    "/fhir/R4/ServiceRequest/%00",
    "/fhir/R4/ServiceRequest/99999999999999999999",
    "/fhir/R4/%2e%2e/%2e%2e/",
    "/fhir/R4/" + "A" * 3000,
]


@pytest.fixture(scope="module")
def session(answers: Answers) -> dict[str, str]:
    """A coordinator's browser, for all tests of pages."""
    return signed_in(answers)


def signed_in(answers: Answers) -> dict[str, str]:
    """Headers of somebody signed in as coordinator, with the token for forms."""
    status, page = answers.desk.get("/sign-in")
    assert status == 200
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    line = http.client.HTTPConnection("127.0.0.1", answers.desk.http, timeout=SECONDS_MAX)
    line.request("GET", "/sign-in")
    first = line.getresponse()
    page = first.read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    cookie = re.search(r"csrftoken=([^;]+)", first.getheader("Set-Cookie") or "")
    assert token is not None
    assert cookie is not None
    user = next(u for u in answers.desk.demo()["users"] if u["role"] == "coordinator")
    body = urllib.parse.urlencode(
        {"username": user["name"], "password": user["password"], "csrfmiddlewaretoken": token[1]}
    )
    line.request(
        "POST", "/sign-in", body,
        {"Cookie": f"csrftoken={cookie[1]}", "Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    answer = line.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    told = " ".join(value for name, value in answer.getheaders() if name.lower() == "set-cookie")
    fresh = re.search(r"csrftoken=([^;]+)", told)
    own = re.search(r"xraydesk_session=([^;]+)", told)
    assert fresh is not None
    assert own is not None
    line.close()
    return {"Cookie": f"csrftoken={fresh[1]}; xraydesk_session={own[1]}", "X-CSRFToken": fresh[1]}


@pytest.mark.parametrize("path", STRANGE_PATHS, ids=lambda path: path[:40].replace("\x00", ""))
@pytest.mark.parametrize("who", ["nobody", "coordinator", "program"])
def test_a_strange_address_is_no_error_of_the_desk(
    answers: Answers, session: dict[str, str], path: str, who: str
) -> None:
    headers = {"nobody": {}, "coordinator": session, "program": answers.bearer}[who]
    if path.startswith("/live"):
        return
    status, page = answers.http("GET", path, headers=headers)
    assert status < 500, (status, path)
    assert "root:x:" not in page
    assert "Traceback" not in page


def test_strange_methods_are_refused(answers: Answers, session: dict[str, str]) -> None:
    for method in ("TRACE", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO", "POST"):
        for path in (
            "/",
            "/sign-in",
            "/exams/X",
            "/fhir/R4/Patient",
            "/metrics",
            "/readyz",
            "/static/desk/desk.css",
        ):
            status, _ = answers.http(method, path, headers={**session, **answers.bearer})
            assert status < 500, (method, path)
    answers.works()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=" + b"x" * 4_000_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(5000)), "application/x-www-form-urlencoded"),
        (b"\xff\xfe\x00%zz&&&===", "application/x-www-form-urlencoded"),
        (b"username=%00&password=%00", "application/x-www-form-urlencoded"),
        (b"username=%FF&password=%FF&next=//evil.example", "application/x-www-form-urlencoded"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"; filename="../../x"\r\n\r\nhello\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
        (b"garbage", "multipart/form-data; boundary="),
        (b"garbage", "multipart/form-data; boundary=" + "x" * 400),
        (b"{", "application/json"),
        (b"", "application/x-www-form-urlencoded; charset=no-such"),
    ],
    ids=lambda value: str(value[:24]),
)
def test_a_form_of_junk_is_refused(answers: Answers, session: dict[str, str], body: bytes, kind: str) -> None:
    paths = ("/sign-in", "/orders/new", "/exams/X/book", "/exams/%00/move", "/attention/1/done", "/rooms/XR1/note",
             "/rooms/XR1/state", "/triage/X/hold", "/fhir/R4/Patient")  # fmt: skip
    for path in paths:
        for headers in ({}, session, answers.bearer):
            status, page = answers.http("POST", path, body, {"Content-Type": kind, **headers})
            assert status < 500, (path, status)
            assert "Traceback" not in page


def test_a_form_with_a_wrong_token_is_refused(answers: Answers, session: dict[str, str]) -> None:
    wrong = {**session, "X-CSRFToken": "x" * 64, "Content-Type": "application/x-www-form-urlencoded"}
    assert answers.http("POST", "/rooms/XR1/note", b"text=hello", wrong)[0] == 403
    del wrong["X-CSRFToken"]
    assert answers.http("POST", "/rooms/XR1/note", b"text=hello", wrong)[0] == 403


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b"\xff\xfe", b"null", b'{"resourceType": 7}', b'{"a":' * 5000]
)
@pytest.mark.parametrize("path", ["/fhir/R4/ServiceRequest", "/fhir/R4/Appointment/$book", "/fhir/R4/"])
def test_bad_json_to_fhir_is_refused_with_an_outcome(answers: Answers, body: bytes, path: str) -> None:
    status, told = answers.http(
        "POST", path, body, {"Content-Type": "application/fhir+json", **answers.bearer}
    )
    assert 400 <= status < 500
    assert "OperationOutcome" in told


def test_junk_in_headers_is_no_error_of_the_desk(answers: Answers) -> None:
    for headers in (
        {"Authorization": "Bearer \xff\xfe"},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer"},
        {"Cookie": "xraydesk_session=\x01\x02; csrftoken=%00; =;;;"},
        {"Cookie": "xraydesk_session=" + "a" * 5000},
        {"Host": "evil.example"},
        {"Host": "a b c"},
        {"Host": "[::1"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "'\"<>"},
        {"Accept-Language": "x" * 4000, "Accept-Charset": "\xff"},
        {"If-Modified-Since": "never", "If-None-Match": '"' * 100, "Range": "bytes=9999999-1"},
        {"HX-Request": "true", "HX-Current-URL": "\xff://", "HX-Target": "<script>"},
        {"Last-Event-ID": "junk"},
        {"Content-Length": "-5"},
    ):
        for path in ("/sign-in", "/fhir/R4/Patient", "/static/desk/desk.css", "/"):
            with contextlib.suppress(http.client.HTTPException, TimeoutError):
                status, _ = answers.http("GET", path, headers=headers)
                assert status < 500, (headers, path)
    answers.works()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x00" * 1000,
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: 1\r\n" % n for n in range(5000)) + b"\r\n",
        b"POST /sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    ],
    ids=lambda b: b[:16].hex(),
)
def test_bytes_that_are_no_http_are_refused(answers: Answers, data: bytes) -> None:
    found = answers.raw(answers.desk.http, data, half=True)
    assert found is not None
    assert b" 500 " not in found[:30]
    answers.works()


def test_hundreds_of_requests_that_never_end_keep_nobody_out(answers: Answers) -> None:
    with contextlib.ExitStack() as lines:
        for number in range(200):
            line = lines.enter_context(socket.create_connection(("127.0.0.1", answers.desk.http), 5))
            if number % 2:
                line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            else:
                line.sendall(b"POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nusername=")
        answers.works()


# ---- two at once ------------------------------------------------------------------------------


def test_one_patients_first_two_orders_over_two_lines_at_once_are_one_patient(answers: Answers) -> None:
    """Row 20."""
    for attempt in range(8):
        patient, gate = f"TWICE{attempt}", threading.Barrier(2)

        def send(number: int, patient: str = patient, gate: threading.Barrier = gate) -> str:
            with socket.create_connection(("127.0.0.1", answers.desk.mllp), SECONDS_MAX) as line:
                gate.wait(5)
                line.sendall(framed(order(f"{patient}-{number}", patient)))
                return line.recv(65536).decode()

        with ThreadPoolExecutor(2) as pool:
            assert ["MSA|AA" in told for told in pool.map(send, range(2))] == [True, True]
        bundle = answers.http("GET", f"/fhir/R4/Patient?identifier={patient}", headers=answers.bearer)
        assert '"total": 1,' in bundle[1] or '"total":1,' in bundle[1], bundle


def test_sixteen_who_book_one_place_at_once_are_one_winner_and_fifteen_told_politely(
    answers: Answers, session: dict[str, str]
) -> None:
    """Row 42: 409 and other places, never an error, never two in one place."""
    exams = unbooked(answers, session, 16)
    start = f"{(datetime.now() + timedelta(days=3)):%Y-%m-%d}"
    _, page = answers.http("GET", f"/exams/{exams[0]}/move?room=XR1&day={start}&start=11:00", headers=session)
    value = re.search(r'name="place" value="([^"]+)"', page)
    assert value is not None, page
    body = urllib.parse.urlencode({"place": value[1].replace("&amp;", "&")}).encode()
    gate = threading.Barrier(16)

    def book(accession: str) -> tuple[int, str]:
        gate.wait(10)
        return answers.http(
            "POST", f"/exams/{accession}/book", body,
            {**session, "Content-Type": "application/x-www-form-urlencoded"},
        )  # fmt: skip

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(book, exams))
    assert Counter(status for status, _ in told) == {303: 1, 409: 15}
    assert all('name="place"' in page for status, page in told if status == 409), "other places are offered"
    answers.works()


def unbooked(answers: Answers, session: dict[str, str], count: int) -> list[str]:
    """Exams of that many patients, accepted, whose place was taken back."""
    for number in range(count):
        assert "MSA|AA" in answers.desk.ask(order(f"S{number}", f"SP{number}"))

    def placed() -> list[dict[str, Any]]:
        listed = answers.desk.objects("exam", "list", "--all")
        return [e for e in listed if re.fullmatch(r"S\d+", e["placer"]) and e["start"]]

    found = until(lambda: placed() if len(placed()) == count else None, 40)
    assert found
    for exam in found:
        status, _ = answers.http("POST", f"/exams/{exam['accession']}/cancel-booking", headers=session)
        assert status == 303
    return [str(exam["accession"]) for exam in found]
