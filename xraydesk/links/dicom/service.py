"""What the DICOM listener asks of the code that knows an exam: one request in, answers out.

The server (`server.py`) owns sockets, associations, limits and encoding. For each request
it runs the handler of the request's SOP class in one of its worker threads, which has a
database connection of its own, and sends what the handler yields, in order:

- `Response`: one DIMSE response. Pending ones (FF00, FF01) may be many; the last yielded
  `Response` is the final one. What is yielded is on the wire before the handler goes on
  past its next `Notify`, so commit before you yield.
- `Notify`: an N-EVENT-REPORT on the same association, after the final response. The
  handler is resumed with the peer's status, or None where the peer had gone, refused or
  did not answer in time: `status = yield Notify(...)`. No thread is held meanwhile, and it
  may be resumed in another thread: leave no transaction open across a `yield`.

A handler that cannot do what is asked raises `Refused`. Anything else that it raises
becomes the failure status of its service, a log line without patient data and an item.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydicom.dataset import Dataset

from xraydesk.access.models import Site
from xraydesk.links.dicom.reading import decode
from xraydesk.links.dicom.spool import SpooledFile


@dataclass(frozen=True)
class Response:
    """One DIMSE response: a status of PS3.7 annex C or of the service, with what it needs.

    `dataset` is the response's data set, as a `Dataset` or already encoded in the request's
    transfer syntax. `elements` are further command elements by keyword: `ErrorComment` (at
    most 64 characters, never a patient's name), `ErrorID`, `OffendingElement`,
    `AttributeIdentifierList`, `AffectedSOPInstanceUID`, `EventTypeID`, `ActionTypeID`.
    """

    status: int
    dataset: Dataset | bytes | None = None
    elements: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Notify:
    """An N-EVENT-REPORT to send on the same association (PS3.4 J.3.3), and how long to wait for its answer."""

    sop_class_uid: str
    sop_instance_uid: str
    event_type: int
    dataset: Dataset
    answer_seconds_max: float = 30.0


class Refused(Exception):
    """The request cannot be done; `status` and `elements` go back to whoever asked."""

    def __init__(self, status: int, comment: str = "", **elements: Any) -> None:
        super().__init__(comment)
        self.response = Response(
            status, elements=({"ErrorComment": comment[:64]} if comment else {}) | elements
        )


Answers = Generator[Response | Notify, int | None, None]
"""What a handler is: a generator function that yields responses and is resumed with a notice's status."""


@dataclass
class Request:
    """One DIMSE request as it came over an association.

    `command` is pynetdicom's primitive (`pynetdicom.dimse_primitives.C_STORE`, `N_CREATE`, …):
    its attributes are named as in PS3.7. `file` is set for C-STORE, `dataset_bytes` for the
    others. `known_ae` is True where the calling AE title is one of the site's modalities.
    """

    site: Site
    calling_ae: str
    called_ae: str
    peer_address: str
    known_ae: bool
    abstract_syntax: str
    transfer_syntax: str
    command: Any
    dataset_bytes: bytes = b""
    file: SpooledFile | None = None
    charsets: tuple[str, ...] = ()
    """What the caller can show, as the site file says; what it sends without naming a character set is read so."""
    is_cancelled: Callable[[], bool] = lambda: False

    @cached_property
    def dataset(self) -> Dataset:
        """The request's data set; raises `reading.BadDataSet` where it cannot be read."""
        return decode(self.dataset_bytes, self.transfer_syntax, charsets=self.charsets)


Handler = Callable[[Request], Answers]


@dataclass(frozen=True)
class Service:
    """What the listener offers for some SOP classes.

    `commands` are the DIMSE requests that it takes, by pynetdicom's class name (`C_STORE`,
    `C_FIND`, `N_CREATE`, `N_SET`, `N_ACTION`, `N_GET`, `C_ECHO`); others get 0211H.
    `failure_status` is sent for anything unexpected; `bad_dataset_status` where the data set
    cannot be read. `goes_on` is True where the handler has something to do after its final
    response that the peer need not wait for: it is resumed once that is on the wire, and the association may be
    released meanwhile. Such a handler yields nothing more. `statuses` says when each status of its own is sent;
    the conformance statement tells them.
    """

    name: str
    handle: Handler
    commands: frozenset[str]
    sop_classes: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]
    failure_status: int = 0x0110
    bad_dataset_status: int = 0x0110
    goes_on: bool = False
    statuses: Mapping[int, str] = field(default_factory=dict)
