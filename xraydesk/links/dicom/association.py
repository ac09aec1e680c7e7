"""One association: its socket, its states, its deadlines, and its requests one after another."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from xraydesk.links.dicom import negotiation
from xraydesk.links.dicom.admission import Verdict
from xraydesk.links.dicom.directory import Entry
from xraydesk.links.dicom.inbox import OUT_OF_RESOURCES, Inbox, Message
from xraydesk.links.dicom.messages import (
    BrokenCommand,
    is_request,
    kind_of,
    notice_command,
    response_command,
    write_data_set,
)
from xraydesk.links.dicom.negotiation import Proposal
from xraydesk.links.dicom.pdus import P_DATA, BrokenPdu, Pdu, PduReader, Piece, data_pdus
from xraydesk.links.dicom.pipe import ObjectPipe
from xraydesk.links.dicom.service import Notify, Request, Response
from xraydesk.links.dicom.spool import SpooledFile, SpoolRefused
from xraydesk.links.dicom.states import Action, Event, State, step
from xraydesk.links.dicom.work import Unit

if TYPE_CHECKING:
    from xraydesk.links.dicom.server import Listener

SMALL_BUFFER_BYTES = 16_384
LARGE_BUFFER_BYTES = 1_048_576
BUFFER_BYTES_LEFT_MIN = 65_536
"""A buffer with less room than this goes to the disk; a new one is taken."""
WINDOW_BYTES_MIN = 16_384
"""A message under way brings at least so much in each idle time, or is complete by then."""
REQUESTS_WAITING_MAX = 16
"""No more than one was agreed (PS3.7 D.3.3.3); some peers send ahead all the same."""
CLOSING_SECONDS = 5.0
"""How long a peer has to close after the last PDU (ARTIM, PS3.8 section 9.1.5)."""

_EVENTS = {
    1: Event.ASSOCIATE_RQ,
    2: Event.ASSOCIATE_AC,
    3: Event.ASSOCIATE_RJ,
    4: Event.P_DATA,
    5: Event.RELEASE_RQ,
    6: Event.RELEASE_RP,
    7: Event.PEER_ABORT,
}
_log = structlog.get_logger(__name__)


class Association(asyncio.BufferedProtocol):
    """Lives on the event loop; only handlers and file writes run elsewhere."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._state = State.CLOSED
        self._reader = PduReader()
        self._buffer = bytearray(SMALL_BUFFER_BYTES)
        self._feeding = self._buffer
        self._filled = 0
        self._spare: list[bytearray] = []
        self._inbox: Inbox | None = None
        self._queue: deque[Message] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._window_since = 0.0
        self._window_bytes = 0
        self._idle_since: float | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._cancelled: set[int] = set()
        self._notice: tuple[int, asyncio.Future[int | None]] | None = None
        self._notices_sent = 0
        self._address = ""
        self._proposal: Proposal | None = None
        self._entry: Entry | None = None
        self._is_reading = True

    # -- what the listener asks ------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """True where the caller is one of the site's modalities."""
        return (
            self._entry is not None
            and self._proposal is not None
            and self._proposal.caller.calling_ae in self._entry.modalities
        )

    @property
    def peer(self) -> tuple[str, str]:
        """Calling AE title and address; no title before it has said it."""
        return (self._proposal.caller.calling_ae if self._proposal is not None else "", self._address)

    @property
    def idle_since(self) -> float | None:
        """The time (monotonic, s) since when nothing was asked; None while at work."""
        return self._idle_since if self._state is State.ASSOCIATED else None

    @property
    def is_at_work(self) -> bool:
        """True while a request is being answered."""
        return self._worker is not None

    def end(self) -> None:
        """Abort: the place is needed, a deadline has passed, or the desk ends."""
        if self._state is State.OPEN:
            self._happen(Event.TIMER)
        elif self._state in {State.ASKED, State.ASSOCIATED, State.RELEASING}:
            self._happen(Event.ABORT)
        elif self._state is State.ENDING and self._transport is not None:
            self._transport.abort()

    # -- the socket ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for an association request, not for ever."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._state = State.OPEN
        self._watch(self._listener.idle_seconds)
        self._listener.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the socket's next bytes go."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        self._window_bytes += nbytes
        self._feeding = self._buffer
        data = memoryview(self._buffer)[self._filled : self._filled + nbytes]
        self._filled += nbytes
        try:
            for item in self._reader.feed(data):
                self._take(item)
                if self._state in {State.CLOSED, State.ENDING}:
                    break
        except BrokenPdu as error:
            self._happen(Event.INVALID_PDU, why=str(error))
        except BrokenCommand as error:
            self._happen(Event.INVALID_PDU, why=str(error))
        self._pass_on()

    def _pass_on(self) -> None:
        """Give an object's bytes to its pipe once the buffer is full; use the buffer again otherwise."""
        inbox = self._inbox
        pipe = inbox.object if inbox else None
        if inbox is None or pipe is None or not inbox.views:
            self._filled = 0
            return
        if len(self._buffer) - self._filled < min(BUFFER_BYTES_LEFT_MIN, len(self._buffer) // 2):
            self._hand_over(pipe)

    def _hand_over(self, pipe: ObjectPipe) -> None:
        assert self._inbox is not None
        pipe.add(self._inbox.views, self._buffer)
        self._inbox.views = []
        self._buffer = self._spare.pop() if self._spare else bytearray(LARGE_BUFFER_BYTES)
        self._filled = 0
        if pipe.is_full:
            self._pause()

    def _pause(self) -> None:
        if self._is_reading and self._transport is not None and not self._transport.is_closing():
            self._is_reading = False
            self._transport.pause_reading()

    def _give_back(self, buffer: bytearray) -> None:
        if len(buffer) == LARGE_BUFFER_BYTES and len(self._spare) < 2 and self._state is State.ASSOCIATED:
            self._spare.append(buffer)
        if not self._is_reading and self._transport is not None and not self._transport.is_closing():
            self._is_reading = True
            self._window_since, self._window_bytes = time.monotonic(), WINDOW_BYTES_MIN
            self._transport.resume_reading()

    def eof_received(self) -> bool | None:
        """The peer has closed its side: so do we."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the association; what its handlers do now goes on to its end."""
        if self._state is not State.CLOSED:
            self._happen(Event.PEER_CLOSED)

    def pause_writing(self) -> None:
        """The peer reads slowly."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._can_write.set()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    # -- states ----------------------------------------------------------------------------

    def _happen(self, event: Event, data: bytes = b"", why: str = "") -> None:
        """Go on by the table of `states`, and do what it says."""
        action, self._state = step(self._state, event)
        match action:
            case Action.JUDGE:
                self._judge(data)
            case Action.TAKE_DATA | Action.IGNORE | Action.SEND_ACCEPT:
                if data:
                    self._send(data)
            case Action.SEND_REJECT:
                self._last_word(data)
            case Action.FINISH_WORK:
                self._stop_waiting()
                if self._worker is None:
                    self._happen(Event.RELEASE)
            case Action.SEND_RELEASE:
                self._last_word(negotiation.release())
            case Action.SEND_ABORT:
                if event is not Event.ABORT:
                    _log.warning("dicom_association_aborted", address=self._address, pdu=event.name, why=why)
                self._last_word(_abort(event))
            case Action.CLOSE:
                if self._transport is not None:
                    self._transport.abort()
                self._forget()
            case Action.FORGET:
                self._forget()

    def _last_word(self, data: bytes) -> None:
        self._send(data)
        self._drop()
        self._watch(min(CLOSING_SECONDS, self._listener.idle_seconds))
        if self._transport is not None and not self._is_reading and not self._transport.is_closing():
            self._is_reading = True
            self._transport.resume_reading()

    def _forget(self) -> None:
        self._drop()
        if self._timer is not None:
            self._timer.cancel()
        self._can_write.set()
        self._listener.closed(self)

    def _drop(self) -> None:
        """Nothing more is taken: give up an object half received."""
        self._idle_since = None
        self._stop_waiting()
        self._spare.clear()
        if self._inbox is not None and self._inbox.object is not None:
            self._inbox.object.abandon()
        self._inbox = None
        self._queue_dropped()
        self._listener.left(self)

    def _queue_dropped(self) -> None:
        while self._queue:
            message = self._queue.popleft()
            if message.object is not None:
                message.object.abandon()

    def _stop_waiting(self) -> None:
        if self._notice is not None and not self._notice[1].done():
            self._notice[1].set_result(None)

    # -- deadlines -------------------------------------------------------------------------

    def _watch(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """A deadline may have passed: end the association, or look again later."""
        if self._state in {State.OPEN, State.ENDING}:
            self._happen(Event.TIMER)
            return
        limit, now = self._listener.idle_seconds, time.monotonic()
        if self._state is not State.ASSOCIATED or self._worker is not None or not self._is_reading:
            self._watch(limit)
            return
        is_taking = not self._reader.is_between_pdus or (self._inbox is not None and not self._inbox.is_empty)
        if is_taking:
            if now - self._window_since < limit:
                self._watch(self._window_since + limit - now)
            elif self._window_bytes >= WINDOW_BYTES_MIN:
                self._window_since, self._window_bytes = now, 0
                self._watch(limit)
            else:
                self._happen(Event.ABORT)
            return
        since = self._idle_since or now
        if now - since >= limit:
            self._happen(Event.ABORT)
        else:
            self._watch(since + limit - now)

    def _rest(self) -> None:
        """A request is answered and no other has begun."""
        self._idle_since = time.monotonic()
        self._watch(self._listener.idle_seconds)

    # -- association -----------------------------------------------------------------------

    def _judge(self, data: bytes) -> None:
        try:
            self._proposal = negotiation.read_proposal(data, self._address)
        except BrokenPdu as error:
            self._happen(Event.INVALID_PDU, why=str(error))
            return
        entry = self._listener.at_hand(self._proposal)
        if entry is not None:
            self._decide(entry, Verdict.TAKEN)
        else:
            self._worker = self._loop.create_task(self._look_up(self._proposal))

    async def _look_up(self, proposal: Proposal) -> None:
        entry, verdict = await self._listener.judge(proposal)
        self._worker = None
        if self._state is State.ASKED:
            self._decide(entry, verdict)

    def _decide(self, entry: Entry | None, verdict: Verdict) -> None:
        assert self._proposal is not None
        self._entry = entry
        if verdict is Verdict.TAKEN and not self._listener.take_place(self):
            verdict = Verdict.FULL
        self._listener.heard(self._proposal, entry, verdict)
        if verdict is not Verdict.TAKEN or entry is None:
            _log.info("dicom_association_refused", address=self._address, why=verdict.name)
            self._happen(Event.REJECT, negotiation.reject(*verdict.value))
            return
        answer, contexts = negotiation.accept(self._proposal, self._listener.offered)
        self._inbox = Inbox(
            contexts,
            self._listener.services,
            object_bytes_max=self._listener.object_bytes_max,
            open_object=self._open_object,
        )
        self._rest()
        self._happen(Event.ACCEPT, answer)

    def _open_object(self, message: Message) -> ObjectPipe:
        return ObjectPipe(
            self._listener.new_object(message), self._listener.writers, give_back=self._give_back
        )

    # -- requests --------------------------------------------------------------------------

    def _take(self, item: Pdu | Piece) -> None:
        if isinstance(item, Pdu):
            if item.type == P_DATA and self._inbox is not None and self._inbox.is_empty:
                self._window_since, self._window_bytes = time.monotonic(), 0
            self._happen(_EVENTS[item.type], item.data)
            return
        if self._inbox is None:
            return
        pipe = self._inbox.object
        message = self._inbox.take(item)
        if message is None:
            self._own_last_view()
            return
        self._own_last_view()
        if pipe is not None and self._inbox.views:
            self._hand_over(pipe)
        self._whole(message)

    def _own_last_view(self) -> None:
        """Copy a view into a buffer that has gone to the disk already with the end of an object before this one."""
        if self._feeding is not self._buffer and self._inbox is not None and self._inbox.views:
            self._inbox.views[-1] = memoryview(bytes(self._inbox.views[-1]))

    def _whole(self, message: Message) -> None:
        command = message.command
        if kind_of(command) == "C_CANCEL":
            self._cancelled.add(command.MessageIDBeingRespondedTo)
        elif not is_request(command):
            if self._notice is not None and self._notice[0] == command.MessageIDBeingRespondedTo:
                _, answered = self._notice
                if not answered.done():
                    answered.set_result(command.Status)
        elif len(self._queue) >= REQUESTS_WAITING_MAX:
            raise BrokenCommand("too many requests at once")
        else:
            self._idle_since = None
            self._queue.append(message)
            if self._worker is None:
                self._cancelled.clear()
                self._worker = self._loop.create_task(self._work())

    async def _work(self) -> None:
        """Answer what waits, one after another."""
        try:
            while self._queue:
                await self._answer(self._queue.popleft())
        except Exception as error:  # the loop's boundary: this association ends, the others go on
            _log.error("dicom_association_failed", address=self._address, error=type(error).__name__)
            self.end()
        finally:
            self._worker = None
        if self._state is State.RELEASING:
            self._happen(Event.RELEASE)
        elif self._state is State.ASSOCIATED:
            self._rest()

    async def _answer(self, message: Message) -> None:
        file: SpooledFile | None = None
        if message.object is not None:
            try:
                file = await message.object.finish()
            except SpoolRefused as error:
                message.refusal = Response(OUT_OF_RESOURCES, elements={"ErrorComment": str(error)[:64]})
        if message.refusal is not None or message.service is None:
            self._refuse(message)
            return
        request = self._request(message, file)
        assert self._proposal is not None
        unit = Unit(
            message.service, request, context_id=message.context_id, length_max=self._proposal.length_max
        )
        told: int | None = None
        while True:
            batch = await self._loop.run_in_executor(self._listener.units, unit.advance, told)
            told = None
            if self._is_gone:
                if batch.is_done:
                    return
                continue
            self._send(b"".join(batch.pdus))
            await self._drain()
            if batch.is_answered:
                self._listener.go_on(unit)
            if batch.is_done or batch.is_answered:
                return
            if batch.notice is not None:
                told = await self._notify(batch.notice, message)

    @property
    def _is_gone(self) -> bool:
        return self._state not in {State.ASSOCIATED, State.RELEASING}

    def _request(self, message: Message, file: SpooledFile | None) -> Request:
        assert self._proposal is not None
        assert self._entry is not None
        number = message.command.MessageID
        return Request(
            site=self._entry.site,
            calling_ae=self._proposal.caller.calling_ae,
            called_ae=self._proposal.called_ae,
            peer_address=self._address,
            known_ae=self.is_known,
            charsets=self._entry.charsets.get(self._proposal.caller.calling_ae, ()),
            abstract_syntax=message.context.abstract_syntax,
            transfer_syntax=message.context.transfer_syntax,
            command=message.command,
            dataset_bytes=bytes(message.data),
            file=file,
            is_cancelled=lambda: number in self._cancelled or self._is_gone,
        )

    def _refuse(self, message: Message) -> None:
        response = message.refusal or Response(0x0110)
        command = response_command(message.command, response, has_data_set=False)
        self._send_data(message, command, is_command=True)

    def _send_data(self, message: Message, data: bytes, *, is_command: bool) -> None:
        assert self._proposal is not None
        length_max = self._proposal.length_max
        self._send(
            b"".join(data_pdus(message.context_id, data, is_command=is_command, length_max=length_max))
        )

    async def _drain(self) -> None:
        """Wait until the peer has read most of what was sent; end the association where it never does."""
        if self._can_write.is_set():
            return
        try:
            await asyncio.wait_for(self._can_write.wait(), self._listener.idle_seconds)
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()

    async def _notify(self, notice: Notify, message: Message) -> int | None:
        """Send an N-EVENT-REPORT; its answer's status, None where the peer gave none in time."""
        if self._state is not State.ASSOCIATED:
            return None
        self._notices_sent = self._notices_sent % 65_535 + 1
        answered: asyncio.Future[int | None] = self._loop.create_future()
        self._notice = (self._notices_sent, answered)
        self._send_data(message, notice_command(notice, self._notices_sent), is_command=True)
        data = write_data_set(notice.dataset, message.context.transfer_syntax)
        self._send_data(message, data, is_command=False)
        try:
            return await asyncio.wait_for(answered, notice.answer_seconds_max)
        except TimeoutError:
            return None
        finally:
            self._notice = None


def _abort(event: Event) -> bytes:
    if event is Event.ABORT:
        return negotiation.abort(0, by_service=True)
    reason = negotiation.INVALID_VALUE if event is Event.INVALID_PDU else negotiation.UNEXPECTED_PDU
    return negotiation.abort(reason)
