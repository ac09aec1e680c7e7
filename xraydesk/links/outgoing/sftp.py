"""A folder at another host, reached by SFTP: each message becomes a file of its own there, whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import socket
from pathlib import Path
from types import TracebackType

import paramiko

from xraydesk.links.outgoing.folder import TAKEN, names_of
from xraydesk.links.outgoing.wire import ANSWER_SECONDS_MAX, CONNECT_SECONDS_MAX, Answered, NotReached
from xraydesk.siteplan.link_plan import OutlinkPlan

PASSWORD_BYTES_MAX = 1024


class SftpFolder:
    """Puts messages into a folder of another host. A connection is opened when the first goes, and closed after any failure."""

    def __init__(self, to: OutlinkPlan) -> None:
        self._to = to
        self._transport: paramiko.Transport | None = None
        self._files: paramiko.SFTPClient | None = None

    def __enter__(self) -> SftpFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
        self._transport = self._files = None

    def ask(self, raw: bytes, *, number: str, sequence: int) -> Answered:
        """Write one message under a name that sorts as it was queued.

        A name that ends in `.hl7` is whole: it is written under another one first, held against what was sent by its
        length, and then named. The same message again replaces its file. Raises NotReached where the host is not
        there, is another one, lets the desk not in, or the folder cannot be written to.
        """
        whole, begun = (f"{self._to.folder.rstrip('/')}/{name}" for name in names_of(number, sequence))
        try:
            files = self._signed_in()
            with files.open(begun, "wb") as file:
                file.write(raw)
            if files.stat(begun).st_size != len(raw):
                raise NotReached("it did not keep all of a file")
            self._name(files, begun, whole)
        except NotReached:
            self.close()
            raise
        except (OSError, EOFError, ValueError, paramiko.SSHException) as trouble:
            self.close()
            raise NotReached(_words(trouble)) from trouble
        return Answered(TAKEN, "", b"")

    @staticmethod
    def _name(files: paramiko.SFTPClient, begun: str, whole: str) -> None:
        """Give a file its name, also where one with that name lies there already."""
        try:
            files.posix_rename(begun, whole)
        except OSError:  # a host without OpenSSH's extension renames only to a name that is free
            if any(
                name == whole.rpartition("/")[2] for name in files.listdir(whole.rpartition("/")[0] or "/")
            ):
                files.remove(whole)
            files.rename(begun, whole)

    def _signed_in(self) -> paramiko.SFTPClient:
        if self._files is None:
            plain = socket.create_connection((self._to.host, self._to.port), CONNECT_SECONDS_MAX)
            self._transport = transport = paramiko.Transport(plain)
            transport.banner_timeout = transport.auth_timeout = CONNECT_SECONDS_MAX
            transport.start_client(timeout=CONNECT_SECONDS_MAX)
            # Nothing of ours is said before the host is known to be the one that is meant.
            if fingerprint(transport.get_remote_server_key()) not in self._to.host_keys:
                raise NotReached("the key that it shows is none of those in the site file: nothing was sent")
            if self._to.key:
                transport.auth_publickey(self._to.user, paramiko.PKey.from_path(self._to.key))
            else:
                transport.auth_password(self._to.user, _password(Path(self._to.password)))
            files = paramiko.SFTPClient.from_transport(transport)
            files.get_channel().settimeout(ANSWER_SECONDS_MAX)
            self._files = files
        return self._files


def fingerprint(key: paramiko.PKey) -> str:
    """A key's fingerprint as OpenSSH writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


def _password(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(PASSWORD_BYTES_MAX).decode().rstrip("\r\n")


def _words(trouble: Exception) -> str:
    """What went wrong, in words that hold nothing of the file or of who signs in."""
    if isinstance(trouble, paramiko.AuthenticationException):
        return "it does not let the desk's user in"
    if isinstance(trouble, FileNotFoundError):
        return "the folder, or a file of the desk's own with a key or password, is not there"
    if isinstance(trouble, OSError):
        return trouble.strerror or type(trouble).__name__
    return f"it was not understood ({type(trouble).__name__})"
