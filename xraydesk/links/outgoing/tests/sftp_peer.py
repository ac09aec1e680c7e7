"""A host that takes files by SFTP, over a real socket: paramiko's own server side, on a folder of this machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

USER = "xraydesk"


@dataclass
class Host:
    """What it knows, and what it was asked."""

    folder: Path
    key: paramiko.PKey
    port: int = 0
    password: str = ""
    public: paramiko.PKey | None = None
    has_extension: bool = True
    cuts_at: int = 0
    """So many bytes of a file are kept, and no more; 0 for all."""
    renamed: list[tuple[str, str]] = field(default_factory=list)
    tried: int = 0


class _Door(paramiko.ServerInterface):
    def __init__(self, host: Host) -> None:
        self.host = host

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        self.host.tried += 1
        fits = username == USER and bool(password) and password == self.host.password
        return paramiko.AUTH_SUCCESSFUL if fits else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.host.tried += 1
        return (
            paramiko.AUTH_SUCCESSFUL if username == USER and key == self.host.public else paramiko.AUTH_FAILED
        )

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: _Door, *args: Any, **more: Any) -> None:
        super().__init__(server, *args, **more)
        self.host = server.host

    def _path(self, name: str) -> Path:
        return self.host.folder / name.lstrip("/")

    def list_folder(self, path: str) -> Any:
        found = []
        for entry in self._path(path).iterdir():
            told = paramiko.SFTPAttributes.from_stat(entry.stat())
            told.filename = entry.name
            found.append(told)
        return found

    def stat(self, path: str) -> Any:
        return paramiko.SFTPAttributes.from_stat(self._path(path).stat())

    def open(self, path: str, flags: int, attr: Any) -> Any:
        try:
            number = os.open(self._path(path), flags, 0o600)
        except OSError as trouble:
            return paramiko.SFTPServer.convert_errno(trouble.errno)
        handle = _Handle(flags)
        handle.cuts_at = self.host.cuts_at
        handle.writefile = os.fdopen(number, "wb")
        return handle

    def rename(self, oldpath: str, newpath: str) -> int:
        if self._path(newpath).exists():
            return paramiko.SFTP_FAILURE
        return self._named(oldpath, newpath)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        return self._named(oldpath, newpath) if self.host.has_extension else paramiko.SFTP_OP_UNSUPPORTED

    def _named(self, oldpath: str, newpath: str) -> int:
        self._path(oldpath).replace(self._path(newpath))
        self.host.renamed.append((oldpath, newpath))
        return paramiko.SFTP_OK

    def remove(self, path: str) -> int:
        self._path(path).unlink()
        return paramiko.SFTP_OK


class _Handle(paramiko.SFTPHandle):
    cuts_at = 0

    def write(self, offset: int, data: bytes) -> int:
        return super().write(offset, data[: max(0, self.cuts_at - offset)] if self.cuts_at else data)


@contextmanager
def an_sftp_host(folder: Path, **knows: Any) -> Iterator[Host]:
    """A host that runs until the block ends."""
    host = Host(folder, paramiko.RSAKey.generate(2048), **knows)
    listener = socket.create_server(("127.0.0.1", 0))
    host.port = listener.getsockname()[1]
    open_: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(host.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files)
            open_.append(transport)
            try:
                transport.start_server(server=_Door(host))
            except (paramiko.SSHException, EOFError):
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for transport in open_:
            transport.close()
        thread.join(10)
