"""The web side of a simulated PACS: it finds studies (QIDO-RS) and gives them out (WADO-RS), over a real socket (PS3.18)."""

from __future__ import annotations

import json
import ssl
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydicom import dcmread
from pydicom.dataset import Dataset

from xraydesk.parties.department import loopback

BASE = "/dicom-web"
ANSWERS_MAX = 1000
"""More than these are not told at once, whatever was asked for."""

PIECE_BYTES = 262_144

LEVELS: Mapping[str, tuple[str, ...]] = {
    "studies": (
        "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
        "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription",
    ),
    "series": ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "Laterality"),
    "instances": ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID", "InstanceNumber"),
}  # fmt: skip
"""What is told of each level."""

_OWN = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}


@dataclass
class Shelf:
    """The DICOM files of a folder, and who may ask for them: whoever shows `authorization`, or anybody where it is empty."""

    folder: Path
    authorization: str = ""
    _read: dict[Path, tuple[float, Dataset]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def objects(self, **numbers: str) -> list[tuple[Path, Dataset]]:
        """The objects with these numbers, by keyword, each with its file; the order is that of the files' names."""
        found = []
        with self._lock:
            for path in sorted(self.folder.glob("*.dcm")):
                try:
                    when = path.stat().st_mtime
                    if self._read.get(path, (0.0,))[0] != when:
                        self._read[path] = (when, dcmread(path, stop_before_pixels=True))
                except OSError:  # it was thrown out meanwhile
                    continue
                dataset = self._read[path][1]
                if all(str(dataset.get(keyword, "")) == value for keyword, value in numbers.items()):
                    found.append((path, dataset))
        return found


def find(
    shelf: Shelf, level: str, numbers: Mapping[str, str], conditions: Mapping[str, str]
) -> list[Dataset]:
    """What QIDO-RS finds at a level, one data set each: below `numbers`, where all `conditions` hold."""
    found: dict[str, Dataset] = {}
    for _, dataset in shelf.objects(**numbers):
        if all(_holds(str(dataset.get(keyword, "")), wanted) for keyword, wanted in conditions.items()):
            found.setdefault(str(dataset.get(_OWN[level], "")), dataset)
    return list(found.values())


def _holds(value: str, wanted: str) -> bool:
    first, dash, last = wanted.partition("-")
    if dash and value and value.isdecimal():
        return (not first or first <= value) and (not last or value <= last)
    return value == wanted


def told(dataset: Dataset, level: str) -> dict[str, Any]:
    """One thing that was found, in the DICOM JSON model (PS3.18 F)."""
    some = Dataset()
    for keyword in LEVELS[level]:
        if keyword in dataset:
            some.add(dataset[keyword])
    answer: dict[str, Any] = some.to_json_dict()
    if level == "studies" and "Modality" in dataset:
        answer["00080061"] = {"vr": "CS", "Value": [str(dataset.Modality)]}
    return answer


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    shelf: Shelf

    def do_GET(self) -> None:
        """Answer a search, or give out objects."""
        parts = urlsplit(self.path)
        if self.shelf.authorization and self.headers.get("Authorization", "") != self.shelf.authorization:
            return self._says(401)
        if not parts.path.startswith(f"{BASE}/"):
            return self._says(404)
        names = [unquote(name) for name in parts.path[len(BASE) + 1 :].split("/")]
        is_metadata = names[-1] == "metadata"
        levels, uids = names[: len(names) - is_metadata : 2], names[1 : len(names) - is_metadata : 2]
        if levels != ["studies", "series", "instances"][: len(levels)] and levels != ["studies", "instances"]:
            return self._says(404)
        numbers = {_OWN[level]: uid for level, uid in zip(levels, uids, strict=False)}
        if len(levels) > len(uids):
            return self._search(levels[-1], numbers, parse_qs(parts.query))
        objects = self.shelf.objects(**numbers)
        if not objects:
            return self._says(404)
        if is_metadata:
            return self._says(200, json.dumps([ds.to_json_dict() for _, ds in objects]).encode())
        return self._gives(objects)

    def _search(self, level: str, numbers: Mapping[str, str], asked: Mapping[str, list[str]]) -> None:
        limit, offset = int(asked.get("limit", ["0"])[0]), int(asked.get("offset", ["0"])[0])
        conditions = {
            keyword: values[0]
            for keyword, values in asked.items()
            if keyword not in ("limit", "offset", "includefield", "fuzzymatching")
        }
        found = find(self.shelf, level, numbers, conditions)
        page = found[offset : offset + min(limit or ANSWERS_MAX, ANSWERS_MAX)]
        if not page:
            return self._says(204)
        more = len(found) - offset - len(page)
        warning = f'299 pacs "There are {more} additional results that can be requested"' if more else ""
        return self._says(200, json.dumps([told(one, level) for one in page]).encode(), warning)

    def _says(self, status: int, body: bytes = b"", warning: str = "") -> None:
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/dicom+json")
        if warning:
            self.send_header("Warning", warning)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _gives(self, objects: Sequence[tuple[Path, Dataset]]) -> None:
        accepted = self.headers.get("Accept", "*/*").lower()
        if "multipart/related" not in accepted and "*/*" not in accepted:
            self._says(406)
            return
        boundary = uuid.uuid4().hex
        self.send_response(200)
        self.send_header(
            "Content-Type", f'multipart/related; type="application/dicom"; boundary="{boundary}"'
        )
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(ConnectionError):  # whoever asked may have seen enough
            for path, _ in objects:
                self._chunk(f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
                with path.open("rb") as file:
                    while piece := file.read(PIECE_BYTES):
                        self._chunk(piece)
            self._chunk(f"\r\n--{boundary}--\r\n".encode())
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: addresses name patients."""


class Server(ThreadingHTTPServer):
    """Takes connections; whoever hangs up, or cannot agree on certificates, is nobody's trouble."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing, as `log_message`."""


def web_port(web: str) -> int:
    """The port of a web address on this machine; raises NotLoopback for any other."""
    parts = urlsplit(web)
    return loopback(f"{parts.hostname}:{parts.port or 80}").port


@contextmanager
def served(
    folder: Path,
    *,
    port: int = 0,
    authorization: str = "",
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Serve a folder of DICOM files to whoever shows `authorization`; the base address, which with `tls` names `localhost`."""
    handler = type("PacsWebHandler", (Handler,), {"shelf": Shelf(folder, authorization)})
    server = Server(("127.0.0.1", port), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        host = "http://127.0.0.1" if tls is None else "https://localhost"
        yield f"{host}:{server.server_address[1]}{BASE}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
