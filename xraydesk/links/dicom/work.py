"""Runs the handler of one request in a worker thread and encodes what it answers.

A unit of work has a database connection of its own thread. Whatever a handler does, the
peer gets exactly one final response.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, transaction

from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.lib import clock
from xraydesk.links.dicom.messages import (
    PENDING,
    kind_of,
    response_command,
    write_data_set,
)
from xraydesk.links.dicom.pdus import data_pdus
from xraydesk.links.dicom.reading import BadDataSet
from xraydesk.links.dicom.service import Answers, Notify, Refused, Request, Response, Service

BATCH_BYTES = 262_144
"""Answers are handed to the socket in portions of about this size."""
CANCELLED = 0xFE00

_log = structlog.get_logger(__name__)


@dataclass
class Batch:
    """Encoded answers to send, and what comes next: a notice, more, or nothing."""

    pdus: list[bytes] = field(default_factory=list)
    notice: Notify | None = None
    is_done: bool = False
    is_answered: bool = False
    """True where the peer has all that it gets, and the handler still has something to do."""


class Unit:
    """One request being answered; `advance` is called in worker threads until it is done."""

    def __init__(self, service: Service, request: Request, *, context_id: int, length_max: int) -> None:
        self._service = service
        self._request = request
        self._context_id = context_id
        self._length_max = length_max
        self._answers: Answers | None = None
        self._has_ended = False
        self._commands: dict[int, bytes] = {}

    def advance(self, told: int | None) -> Batch:
        """Run the handler up to the next portion; `told` is the peer's answer to a notice."""
        batch = Batch()
        close_old_connections()
        try:
            self._run(batch, told)
        except Exception as error:  # a protocol boundary: the peer must get an answer, and a person an item
            self._close_handler()
            self._fail(batch, error)
        finally:
            close_old_connections()
        if batch.is_done:
            self._finish(batch)
        return batch

    def _run(self, batch: Batch, told: int | None) -> None:
        if self._answers is None:
            self._answers = self._service.handle(self._request)
        size = 0
        while size < BATCH_BYTES:
            try:
                answer = self._answers.send(told)
            except StopIteration:
                batch.is_done = True
                return
            told = None
            if isinstance(answer, Notify):
                batch.notice = answer
                return
            if answer.status in PENDING and self._request.is_cancelled():
                self._close_handler()
                self._respond(batch, Response(CANCELLED))
                batch.is_done = True
                return
            size += self._respond(batch, answer)
            if self._has_ended and self._service.goes_on:
                batch.is_answered = True
                return

    def _respond(self, batch: Batch, response: Response) -> int:
        """Encode one response; nothing after the final one."""
        if self._has_ended:
            raise RuntimeError("a handler answered after its final response")
        data = b""
        if response.dataset is not None:
            data = write_data_set(response.dataset, self._request.transfer_syntax)
        pdus = [*self._pdus(self._command(response, has_data_set=bool(data)), is_command=True)]
        if data:
            pdus += self._pdus(data, is_command=False)
        self._has_ended = response.status not in PENDING
        batch.pdus += pdus
        return sum(map(len, pdus))

    def _command(self, response: Response, *, has_data_set: bool) -> bytes:
        """The command set; that of pending answers is the same each time and encoded once."""
        if response.status not in PENDING or response.elements:
            return response_command(self._request.command, response, has_data_set=has_data_set)
        if response.status not in self._commands:
            self._commands[response.status] = response_command(
                self._request.command, response, has_data_set=has_data_set
            )
        return self._commands[response.status]

    def _pdus(self, data: bytes, *, is_command: bool) -> list[bytes]:
        return [*data_pdus(self._context_id, data, is_command=is_command, length_max=self._length_max)]

    def _close_handler(self) -> None:
        if self._answers is not None:
            self._answers.close()

    def _fail(self, batch: Batch, error: Exception) -> None:
        batch.notice, batch.is_done = None, True
        if isinstance(error, Refused):
            response = error.response
        elif isinstance(error, BadDataSet):
            response = Response(self._service.bad_dataset_status, elements={"ErrorComment": str(error)[:64]})
        else:
            _tell(self._service, self._request, error)
            comment = "the desk could not do this; try again"
            response = Response(self._service.failure_status, elements={"ErrorComment": comment})
        if not self._has_ended:
            self._respond(batch, response)

    def _finish(self, batch: Batch) -> None:
        if self._request.file is not None:
            self._request.file.discard()
        if not self._has_ended:
            self._respond(batch, Response(self._service.failure_status))


def _tell(service: Service, request: Request, error: Exception) -> None:
    """Log an unexpected failure by its kind, and put it before a person where the database still answers."""
    where = _where(error)
    _log.error("dicom_request_failed", service=service.name, ae=request.calling_ae, error=where)
    try:
        close_old_connections()
        with transaction.atomic():
            raise_item(
                site_id=request.site.pk,
                kind=ItemKind.REACTION_FAILED,
                key=f"dicom:{service.name}:{request.calling_ae}",
                at=clock.now(),
                text=(
                    f"A {kind_of(request.command).replace('_', '-')} request of {request.calling_ae} "
                    f"({service.name}) could not be done; the machine was told so and may ask again"
                ),
                data={"error": where},
            )
    except DatabaseError:
        _log.error("dicom_failure_without_item", service=service.name, ae=request.calling_ae)


def _where(error: Exception) -> str:
    """The kind of an error and the line it came from; never its text, which may name a patient."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"


UnitRunner = Callable[[int | None], Batch]
