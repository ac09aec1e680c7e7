"""What any bytes may be thrown at: the upper layer of DICOM, and the readers of objects, files and messages.

Each target takes bytes and returns; it raises where a reader fails in a way that it does not promise, or
where a conversation leaves something behind. `tests/seeds` holds inputs that together reach what
`benchmarks/fuzz.py` has reached so far, one in a line (base64); `test_seeds.py` plays them all again.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import shutil
import struct
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable, Container, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from xraydesk.links.dicom import (
    association,
    commit,
    echo,
    mpps,
    negotiation,
    picture,
    spool,
    store,
    work,
    worklist,
)
from xraydesk.links.dicom.admission import Listening, Verdict, judge
from xraydesk.links.dicom.association import Association
from xraydesk.links.dicom.describe import NotReadable
from xraydesk.links.dicom.describe import describe as describe_file
from xraydesk.links.dicom.directory import Entry
from xraydesk.links.dicom.dose_codec import read_dose_report
from xraydesk.links.dicom.header_codec import check_depth, read_header
from xraydesk.links.dicom.messages import kind_of
from xraydesk.links.dicom.mpps_codec import BadStep, read_creation, read_update
from xraydesk.links.dicom.negotiation import Proposal
from xraydesk.links.dicom.object_file import read_object
from xraydesk.links.dicom.picture import NoPicture, picture_of
from xraydesk.links.dicom.promise_codec import NoReport, read_report
from xraydesk.links.dicom.query_codec import json_of_tree
from xraydesk.links.dicom.reading import BadDataSet, decode
from xraydesk.links.dicom.server import Listener
from xraydesk.links.dicom.service import Answers, Refused, Request, Response, Service
from xraydesk.links.dicom.unpacking import NotUnpacked
from xraydesk.links.dicom.worklist_entry import Entry as WorklistEntry
from xraydesk.links.dicom.worklist_entry import StepStatus
from xraydesk.links.hl7 import appointment_in, merging, order, patient, report, shown
from xraydesk.links.hl7.describe import describe_message
from xraydesk.links.hl7.framing import Deframer, Frame
from xraydesk.links.hl7.reader import Message, Unreadable, read_batch
from xraydesk.links.hl7.refusals import NeedsPerson, Rejected

SEEDS = Path(__file__).parent / "seeds"
ZONE = "Europe/Berlin"
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WRITTEN_BYTES_MAX = 4_000_000
"""No conversation of a few kilobytes is answered with more."""
OBJECT_BYTES_MAX = 20_000
TURNS_MAX = 10_000
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50")


class Left(AssertionError):
    """A conversation left something behind, or was answered without measure."""


# -- the upper layer -------------------------------------------------------------------------


class _AtOnce(Executor):
    """Does at once what threads do elsewhere: the same bytes have the same end each time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # as a thread does
            done.set_exception(error)
        return done


class _Wire(asyncio.Transport):
    """The desk's end of a connection without a socket."""

    def __init__(self, protocol: Association) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = 0
        self.is_paused = self.is_over = False

    def write(self, data: Any) -> None:
        self.written += len(data)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_over

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 104) if name == "peername" else default

    def abort(self) -> None:
        if not self.is_over:
            self.is_over = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    close = abort


def _stored(request: Request) -> Answers:
    assert request.file is not None
    store._read(request, request.file)
    yield Response(0)


def _found(request: Request) -> Answers:
    said = worklist._Said()
    yield from worklist._answers(request, said)
    json_of_tree(said.query)
    yield Response(0)


def _performed(request: Request) -> Answers:
    check_depth(request.dataset)
    try:
        if kind_of(request.command) == "N_CREATE":
            read_creation(request.dataset, sop_instance_uid="1.2.3")
        else:
            read_update(request.dataset, sop_instance_uid="1.2.3")
    except BadStep as bad:
        raise Refused(bad.status, str(bad)) from bad
    yield Response(0)


def _committed(request: Request) -> Answers:
    if kind_of(request.command) == "N_EVENT_REPORT":
        with contextlib.suppress(NoReport):
            read_report(request.dataset)
    else:
        commit._asked(request.dataset)
    yield Response(0)


def _as(service: Service, handle: Callable[[Request], Answers]) -> Service:
    return replace(service, handle=handle, goes_on=False)


ENTRIES = (
    WorklistEntry(
        accession="A1",
        study_instance_uid="1.2.3",
        requested_procedure_id="R1",
        scheduled_step_id="S1",
        start=AT,
        end=AT,
        status=StepStatus.SCHEDULED,
        station_ae_titles=("XR1",),
        modality="DX",
        family="Müller",
        given="Ada",
        patient_id="N1",
    ),
)


class Upper:
    """A listener without sockets, threads or database; the real associations, inboxes, pipes and readers."""

    def __init__(self, home: Path) -> None:
        limits = SimpleNamespace(
            home=home,
            dicom="127.0.0.1:0",
            tls_cert=None,
            tls_key=None,
            dicom_client_ca=None,
            dicom_idle_seconds=3600,
            dicom_associations_max=4,
            dicom_object_bytes_max=OBJECT_BYTES_MAX,
            dicom_threads=1,
        )
        services = [
            echo.SERVICE,
            _as(store.SERVICE, _stored),
            _as(worklist.SERVICE, _found),
            _as(mpps.SERVICE, _performed),
            _as(commit.SERVICE, _committed),
        ]
        self.listener: Any = Listener(limits, services)
        self.listener.units = self.listener.writers = _AtOnce()
        site: Any = SimpleNamespace(pk=1, timezone=ZONE, plan={}, simulated=False)
        self._entry = Entry(site, frozenset({"XR1"}))
        self.listener.at_hand = lambda proposal: (
            self._entry if self._judged(proposal) is Verdict.TAKEN else None
        )
        self.listener.judge = self._judge
        self.listener.heard = lambda *_: None
        self.failures: list[Any] = []

    def _judged(self, proposal: Proposal) -> Verdict:
        """Whoever calls is one of the machines; what it calls for is judged as ever."""
        modality = replace(proposal.caller, calling_ae="XR1")
        return judge(modality, Listening(self._entry.modalities, None, {}))

    async def _judge(self, proposal: Proposal) -> tuple[Entry, Verdict]:
        return self._entry, self._judged(proposal)

    def run(self, data: bytes) -> None:
        """One conversation: `data` comes in portions of the size that its first byte tells, then the peer is gone."""
        self.failures.clear()
        with (
            mock.patch.object(worklist, "booked", return_value=ENTRIES),
            mock.patch.object(work, "_tell", lambda _, __, error: self.failures.append(error)),
            mock.patch.object(association, "_log", mock.Mock(error=self._failed)),
            mock.patch.object(work, "close_old_connections"),
            mock.patch.object(spool, "flush"),
        ):
            loop = _loop()
            loop.set_exception_handler(lambda _, told: self.failures.append(told.get("exception") or told))
            try:
                loop.run_until_complete(self._converse(data))
            finally:  # what one left must not be held against the next
                for kept in (self.listener._all, self.listener._placed, self.listener._waiting):
                    kept.clear()
        for failure in self.failures:
            raise failure if isinstance(failure, BaseException) else Left(str(failure))

    def _failed(self, event: str, **told: Any) -> None:
        self.failures.append(f"{event} {told}")

    async def _converse(self, data: bytes) -> None:
        peer = Association(self.listener)
        wire = _Wire(peer)
        peer.connection_made(wire)
        size = (data[0] if data else 0) * 16 + 1
        for start in range(1, len(data), size):
            part = data[start : start + size]
            while part and not wire.is_over:
                await self._settled(lambda: not wire.is_paused or wire.is_over)
                room = peer.get_buffer(len(part))
                taken = min(len(room), len(part))
                room[:taken] = part[:taken]
                peer.buffer_updated(taken)
                part = part[taken:]
                await asyncio.sleep(0)
        await self._settled(lambda: not peer.is_at_work)
        if not wire.is_over:
            wire.abort()
        await self._settled(lambda: not self.listener._all and not peer.is_at_work)
        for _ in range(8):
            await asyncio.sleep(0)
        if wire.written > WRITTEN_BYTES_MAX:
            raise Left(f"{wire.written} bytes were answered")
        if left := [*(self.listener.spool / spool.INCOMING).glob("*")]:
            for path in left:
                path.unlink()
            raise Left("a file was left")
        if self.listener._placed or self.listener._waiting or peer._inbox is not None or peer._queue:
            raise Left("an association was left")

    async def _settled(self, done: Callable[[], bool]) -> None:
        for _ in range(TURNS_MAX):
            if done():
                return
            await asyncio.sleep(0)
        raise Left("it does not come to an end")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


@cache
def _folder() -> Path:
    path = tempfile.mkdtemp(prefix="xraydesk-fuzz-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Path(path)


@cache
def _upper() -> Upper:
    return Upper(_folder())


def upper_layer(data: bytes) -> None:
    """A whole conversation with the listener."""
    _upper().run(data)


# -- readers ---------------------------------------------------------------------------------


def _file(data: bytes) -> Path:
    path = _folder() / "object"
    path.write_bytes(data)
    return path


def data_sets(data: bytes) -> None:
    """An object that a C-STORE brought, and the same bytes as the data set of any other message."""
    syntax, data = SYNTAXES[data[0] % len(SYNTAXES) if data else 0], data[1:]
    with contextlib.suppress(BadDataSet):
        dataset = read_object(_file(data), dataset_offset=0, transfer_syntax=syntax)
        header = read_header(
            dataset, sop_class_uid="1.2.3", sop_instance_uid="1.2.3.4", transfer_syntax_uid=syntax
        )
        if header.is_dose_report:
            with contextlib.suppress(ValueError, TypeError, AttributeError, OverflowError):
                read_dose_report(dataset)
    if syntax == SYNTAXES[3]:
        return
    with contextlib.suppress(BadDataSet):
        check_depth(decode(data, syntax))
        for read in (read_creation, read_update):
            with contextlib.suppress(BadStep):
                read(decode(data, syntax), sop_instance_uid="1.2.3")
        with contextlib.suppress(NoReport):
            read_report(decode(data, syntax))
        with contextlib.suppress(Refused):
            commit._asked(decode(data, syntax))


def files(data: bytes) -> None:
    """A file that somebody brings: read, and shown where it holds a picture."""
    path = _file(data)
    with contextlib.suppress(NotReadable):
        describe_file(path)
    # What is packed is unpacked by a process of its own, where it may fail as it likes.
    apart = NotUnpacked("It is unpacked elsewhere.")
    with contextlib.suppress(NoPicture), mock.patch.object(picture, "first_frame", side_effect=apart):
        picture_of(path, side_pixels_max=64, words="L AP")


def messages(data: bytes) -> None:
    """Bytes on an HL7 link: frames, messages, and what each reader makes of them."""
    deframer = Deframer(100_000)
    frames = [event.payload for event in deframer.feed(data) if isinstance(event, Frame)]
    for payload in [*frames, data]:
        shown.fields_of(payload, fallback="iso8859-1")
        try:
            batch = read_batch(payload)
        except Unreadable:
            continue
        for message in batch.messages[:20]:
            describe_message(message)
            trigger = message.type.partition("^")[2][:3]
            for may_read, read in _READERS:
                with contextlib.suppress(Rejected, NeedsPerson):
                    if may_read is None or trigger in may_read:
                        read(message, trigger)


_READERS: tuple[tuple[Container[str] | None, Callable[[Message, str], object]], ...] = (
    (None, lambda message, _: order.read_requisitions(message, zone=ZONE)),
    (None, lambda message, _: order.read_number_requests(message)),
    (None, lambda message, _: report.read_reports(message, zone=ZONE)),
    (patient.EVENTS, lambda message, trigger: patient.read_news(message, trigger, ZONE)),
    (merging.MERGES, lambda message, trigger: merging.read_merges(message, trigger, ZONE)),
    (
        appointment_in.EVENTS,
        lambda message, trigger: appointment_in.read_appointments(message, trigger, ZONE),
    ),
)

TARGETS: dict[str, Callable[[bytes], None]] = {
    "upper_layer": upper_layer,
    "data_sets": data_sets,
    "files": files,
    "messages": messages,
}


def seeds(target: str) -> list[bytes]:
    """What is kept for a target."""
    path = SEEDS / f"{target}.txt"
    return [b64decode(line) for line in path.read_text().split()] if path.exists() else []


def keep_seeds(target: str, kept: list[bytes]) -> None:
    """Write them in an order that does not depend on when they were found."""
    lines = sorted({b64encode(data).decode() for data in kept}, key=lambda line: (len(line), line))
    (SEEDS / f"{target}.txt").write_text("".join(line + "\n" for line in lines))


# -- where it begins -------------------------------------------------------------------------


def beginnings(target: str) -> list[bytes]:
    """Sound inputs of our own making, from which the changed ones come."""
    return [*_BEGINNINGS[target]()]


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def _conversations() -> Iterator[bytes]:
    from pynetdicom import dimse_primitives as primitives

    from xraydesk.links.dicom.messages import write_command
    from xraydesk.links.dicom.pdus import data_pdus
    from xraydesk.links.dicom.sop_classes import (
        MODALITY_PERFORMED_STEP,
        MODALITY_WORKLIST,
        STORAGE_COMMITMENT,
        STORAGE_COMMITMENT_INSTANCE,
        VERIFICATION,
    )
    from xraydesk.links.dicom.tests.peers import association_request

    cr = "1.2.840.10008.5.1.4.1.1.1"
    classes = [VERIFICATION, cr, MODALITY_WORKLIST, MODALITY_PERFORMED_STEP, STORAGE_COMMITMENT]
    asked = association_request(classes)

    def said(kind: str, about: str, data: bytes = b"", **fields: Any) -> bytes:
        primitive = getattr(primitives, kind)()
        for name, value in {"MessageID": 1, **fields}.items():
            setattr(primitive, name, value)
        context = 2 * classes.index(about) + 1
        command = write_command(primitive, has_data_set=bool(data))
        parts = [*data_pdus(context, command, is_command=True, length_max=16_384)]
        if data:
            parts += data_pdus(context, data, is_command=False, length_max=200)
        return b"".join(parts)

    sets = {name: data[1:] for name, data in _named_data_sets().items() if data[0] == 0}
    release, abort = negotiation.release(), negotiation.abort(0, by_service=True)
    hello = said("C_ECHO", VERIFICATION, AffectedSOPClassUID=VERIFICATION)
    image = said(
        "C_STORE", cr, sets["image"], AffectedSOPClassUID=cr, AffectedSOPInstanceUID="1.2.3.4", Priority=2
    )
    asking = said(
        "C_FIND", MODALITY_WORKLIST, sets["query"], AffectedSOPClassUID=MODALITY_WORKLIST, Priority=2
    )
    begun = said(
        "N_CREATE",
        MODALITY_PERFORMED_STEP,
        sets["creation"],
        AffectedSOPClassUID=MODALITY_PERFORMED_STEP,
        AffectedSOPInstanceUID="1.2.3",
    )
    ended = said(
        "N_SET",
        MODALITY_PERFORMED_STEP,
        sets["end"],
        RequestedSOPClassUID=MODALITY_PERFORMED_STEP,
        RequestedSOPInstanceUID="1.2.3",
    )
    promised = said(
        "N_ACTION",
        STORAGE_COMMITMENT,
        sets["question"],
        RequestedSOPClassUID=STORAGE_COMMITMENT,
        RequestedSOPInstanceUID=STORAGE_COMMITMENT_INSTANCE,
        ActionTypeID=1,
    )
    told = said(
        "N_EVENT_REPORT",
        STORAGE_COMMITMENT,
        sets["question"],
        AffectedSOPClassUID=STORAGE_COMMITMENT,
        AffectedSOPInstanceUID=STORAGE_COMMITMENT_INSTANCE,
        EventTypeID=2,
    )
    over = _pdu(5, bytes(4))
    for size in (3, 255):
        first = bytes([size])
        yield first + asked + hello + over
        yield first + asked + image + image + over
        yield first + asked + asking + over
        yield first + asked + begun + ended + over
        yield first + asked + promised + told + abort
    yield b"\xff" + asked + asked
    yield b"\xff" + asked + release
    yield b"\xff" + asked + hello[: len(hello) // 2] + over
    yield b"\xff" + asked + image[: len(image) // 2] + abort
    yield b"\xff" + over
    yield b"\xff" + b"\x04\x00\xff\xff\xff\xff"


def _named_data_sets() -> dict[str, bytes]:
    from pydicom.dataset import Dataset
    from pynetdicom import dsutils

    from xraydesk.links.dicom.tests.test_dose_codec import node, number, report
    from xraydesk.links.dicom.tests.test_mpps_codec import creation, end, item

    image = item(
        SOPClassUID="1.2.3", SOPInstanceUID="1.2.3.4", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.5",
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientID="N1", PatientName="Prufer^Ada", PatientSex="F",
        PatientBirthDate="19690512", AccessionNumber="A1", Modality="DX", BodyPartExamined="CHEST", ViewPosition="PA",
        AcquisitionDateTime="20260302101500.5+0100", ContentDate="20260302", ContentTime="101500",
        ImageAndFluoroscopyAreaDoseProduct="11.013", KVP="80", ExposureTime="19", ExposureIndex="100",
        WindowCenter=["2048", "1024"], WindowWidth=["4096", "2048"], RescaleSlope="1", RescaleIntercept="0",
        Rows=4, Columns=4, BitsAllocated=16, BitsStored=12, HighBit=11, SamplesPerPixel=1, PixelRepresentation=0,
        PhotometricInterpretation="MONOCHROME2", NumberOfFrames="1",
        RequestAttributesSequence=[item(AccessionNumber="A1", ScheduledProcedureStepID="S1")],
        ViewCodeSequence=[item(CodeValue="R-10206", CodeMeaning="antero-posterior")],
    )  # fmt: skip
    image.PixelData = bytes(range(32))
    image["PixelData"].VR = "OW"
    query = item(
        SpecificCharacterSet="ISO_IR 100", PatientName="M*", PatientID="", AccessionNumber="", TimezoneOffsetFromUTC="+0100",
        ScheduledProcedureStepSequence=[
            item(
                ScheduledStationAETitle="XR1",
                Modality="DX",
                ScheduledProcedureStepStartDate="20260301-20260303",
                ScheduledProcedureStepStartTime="0800-1200",
            )
        ],
    )  # fmt: skip
    question = item(
        TransactionUID="1.2.3",
        ReferencedSOPSequence=[item(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.3")],
        FailedSOPSequence=[
            item(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.4", FailureReason=0x0112)
        ],
    )
    dose = report(
        node("113702", number("113722", "0.000041", unit="Gy.m2")),
        node(
            "113706",
            node("113769", UID="1.2.3"),
            node("125203", TextValue="CHEST PA"),
            node("123014", node("G-C171", ConceptCodeSequence=[item(CodeMeaning="Left")])),
            number("122130", "107", "3", unit="mGy.cm2"),
            number("113733", "90000", unit="V"),
            number("113824", "0.005", unit="s"),
        ),
    )
    nested: Dataset = item(PatientID="N1")
    for _ in range(40):
        nested = item(RequestAttributesSequence=[nested])
    shapes = {
        "image": image,
        "query": query,
        "question": question,
        "dose": dose,
        "creation": creation(),
        "end": end(),
        "nested": nested,
    }
    found = {}
    for name, dataset in shapes.items():
        for number_, syntax in enumerate(((True, True), (False, True), (False, False))):
            encoded = dsutils.encode(dataset, *syntax)
            if encoded is not None:
                found[name if not number_ else f"{name}{number_}"] = bytes([number_]) + encoded
    return found


def _data_sets() -> Iterator[bytes]:
    named = _named_data_sets()
    yield from named.values()
    head, _, _ = named["image1"][1:].partition(b"\xe0\x7f\x10\x00")
    fragments = b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0\4\0\0\0\xff\xd8\xff\xd9"
    yield b"\3" + head + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + fragments + b"\xfe\xff\xdd\xe0\0\0\0\0"


def _files() -> Iterator[bytes]:
    from pydicom.uid import UID
    from pynetdicom import dsutils

    for data in _data_sets():
        meta = dsutils.create_file_meta(
            sop_class_uid=UID("1.2.3"),
            sop_instance_uid=UID("1.2.3.4"),
            transfer_syntax=UID(SYNTAXES[data[0]]),
            implementation_uid=UID("1.2.3.5"),
            implementation_version="FUZZ",
        )
        yield bytes(128) + b"DICM" + dsutils.encode_file_meta(meta) + data[1:]
        yield data[1:]


def _messages() -> Iterator[bytes]:
    from xraydesk.links.hl7.framing import framed
    from xraydesk.links.hl7.tests.sent import adt, result
    from xraydesk.links.hl7.tests.sent import order as ordered

    texts = [
        ordered(control="1"),
        ordered(control="2", action="CA", type_="OMG^O19^OMG_O19"),
        ordered(control="3", action="XO", extra="IPC|A1|R1|1.2.3|S1|DX|P^Protocol|||XR1", type_="OMI^O23^OMI_O23"),
        ordered(control="4", action="SN", extra="NTE|1||Fever\\.br\\for days\rDG1|1||R05^Cough\rTQ1|1||||||202603021030|||S"),
        *(adt(trigger, control=trigger) for trigger in ("A01", "A08", "A11", "A28")),
        adt("A40", control="5").rstrip("\r") + "\rMRG|N2^^^HOSP^MR\r",
        result(control="6"),
        ordered(control="7", charset="UNICODE UTF-8~ISO IR87"),
        "MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|20260302||SIU^S12|8|P|2.5.1\rSCH|P1^EHR|F1^XRD||||R||||30|MIN|^^30^202603021030||||||||||||BOOKED\r"
        "PID|1||N1^^^HOSP^MR||Prufer^Ada||19690512|F\rRGS|1\rAIS|1|A|XRCHEST2^Chest|202603021030\rAIL|1|A|XR1\r",
        "FHS|^~\\&|EHR\rBHS|^~\\&|EHR\r" + ordered(control="9") + adt("A08", control="10") + "BTS|2\rFTS|1\r",
    ]  # fmt: skip
    for text in texts:
        yield text.encode()
    yield framed(texts[0].encode()) + b"\n\0" + framed(texts[1].encode())
    yield texts[0].encode("utf-16")


_BEGINNINGS: dict[str, Callable[[], Iterator[bytes]]] = {
    "upper_layer": _conversations,
    "data_sets": _data_sets,
    "files": _files,
    "messages": _messages,
}
