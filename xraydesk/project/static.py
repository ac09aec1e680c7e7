"""The desk's own style sheets, scripts and pictures, served from memory.

There are few and they are small: each is read once, compressed once, and named by its
content in the addresses that pages use, so that browsers keep it until it changes.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import StaticFilesStorage

FILE_BYTES_MAX = 5_000_000

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class StaticFile:
    """One file as it goes over the wire."""

    body: bytes
    gzipped: bytes
    """Empty where compressing gains nothing."""
    content_type: str
    version: str


@lru_cache(maxsize=1)
def static_files() -> dict[str, StaticFile]:
    """Every static file of every package, by its path below `/static/`; the first package that has it wins."""
    found: dict[str, StaticFile] = {}
    for finder in get_finders():
        for path, storage in finder.list([]):
            if path not in found:
                found[path] = _read(Path(storage.path(path)))
    return found


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    if len(body) > FILE_BYTES_MAX:
        raise ValueError(f"{path.name} is too large to be served from memory")
    packed = gzip.compress(body, 9, mtime=0)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    text = kind.startswith("text/") or kind in ("image/svg+xml", "application/json")
    return StaticFile(
        body=body,
        gzipped=packed if len(packed) < len(body) * 0.9 else b"",
        content_type=f"{kind}; charset=utf-8" if text else kind,
        version=hashlib.sha256(body).hexdigest()[:12],
    )


class NamedByContent(StaticFilesStorage):
    """Gives `{% static %}` addresses that carry the version of the file."""

    def url(self, name: str | None) -> str:
        """The address of a file, with its version."""
        address = super().url(name)
        file = static_files().get(name or "")
        return f"{address}?v={file.version}" if file else address


class StaticFiles:
    """An ASGI application that answers `/static/` itself and hands everything else on."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.files = static_files()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/static/"):
            await self.application(scope, receive, send)
            return
        file = self.files.get(scope["path"].removeprefix("/static/"))
        status, headers, body = _answer(scope, file)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _answer(scope: Scope, file: StaticFile | None) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    if file is None:
        return 404, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"9")], b"not found"
    if scope["method"] not in ("GET", "HEAD"):
        return 405, [(b"allow", b"GET, HEAD"), (b"content-length", b"0")], b""
    asked = dict(scope["headers"])
    tag = f'"{file.version}"'.encode()
    versions = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("v", [])
    headers = [
        (b"etag", tag),
        (b"vary", b"accept-encoding"),
        (b"x-content-type-options", b"nosniff"),
        (
            b"cache-control",
            b"public, max-age=31536000, immutable" if versions == [file.version] else b"no-cache",
        ),
    ]
    if tag in asked.get(b"if-none-match", b""):
        return 304, headers, b""
    body = file.body
    if file.gzipped and b"gzip" in asked.get(b"accept-encoding", b""):
        body = file.gzipped
        headers.append((b"content-encoding", b"gzip"))
    headers += [
        (b"content-type", file.content_type.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    return 200, headers, body
