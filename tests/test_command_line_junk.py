"""Whatever the command line is handed, it ends with 1 or 2 and a sentence, never with the inside of a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared_data import shared_data

pytestmark = pytest.mark.link

JUNK = {
    "empty": b"",
    "zeros": bytes(4096),
    "noise": bytes(range(256)) * 16,
    "utf-16": "MSH|^~\\&|ÄÖÜ".encode("utf-16"),
    "half-a-header": b"MSH",
    "msh-of-nothing": b"MSH|",
    "preamble": bytes(128) + b"DICM",
    "preamble-and-noise": bytes(128) + b"DICM" + bytes(range(256)),
    "isa": b"ISA*",
    "long-isa": b"ISA" + b"*" * 500,
    "deep": b"[" * 50_000,
    "carriage-returns": b"\r" * 10_000,
}
COMMANDS = [
    ["nonsense"],
    ["--nonsense"],
    ["read"],
    ["read", "/no/such/file"],
    ["read", "/"],
    ["read", "/dev/null"],
    ["site"],
    ["site", "check"],
    ["site", "check", "/no/such/file"],
    ["site", "check", "/"],
    ["site", "check", "/dev/null"],
    ["exam", "show"],
    ["exam", "list", "--date", "yesterday"],
    ["user", "create", "x", "--role", "nonsense"],
    ["message", "show", "nonsense"],
    ["message", "list", "--limit", "-5"],
    ["worklist", "explain"],
    ["up", "--http", "nonsense", "--home", "/tmp/never-made"],
    ["up", "--site", "/no/such/file", "--tls-cert", "/no/such/file", "--home", "/tmp/never-made"],
    ["batch", "extra"],
]


def run(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """One run of the program beside no desk at all."""
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith(("XRAYDESK_", "DATABASE_URL"))}
    return subprocess.run(
        [sys.executable, "-m", "xraydesk", *arguments],
        input=text,
        capture_output=True,
        env=surroundings,
        timeout=240,
    )


def told(done: subprocess.CompletedProcess[bytes]) -> str:
    """What it said of the trouble; checked to be a sentence for a person."""
    said = done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in said + done.stdout.decode("utf-8", "replace"), said
    assert done.returncode in (0, 1, 2), (done.returncode, said)
    return said


@pytest.fixture(scope="module")
def junk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("junk")
    for name, content in JUNK.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in JUNK}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_wrong_use_ends_with_a_sentence(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode in (1, 2)
    assert told(done).strip() or done.stdout.strip()


def test_files_of_junk_are_each_refused_with_a_reason(junk: dict[str, Path]) -> None:
    done = run("read", "--json", *map(str, junk.values()))
    told(done)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(line["file"]).name for line in lines} == set(JUNK)
    assert all(line["error"] for line in lines if Path(line["file"]).name != "msh-of-nothing")
    assert done.returncode == 1


@pytest.mark.parametrize("name", JUNK)
def test_a_site_file_of_junk_is_refused_with_a_reason(junk: dict[str, Path], name: str) -> None:
    done = run("site", "check", str(junk[name]))
    assert done.returncode in (1, 2)
    assert told(done).strip() or done.stdout.strip()


def test_every_line_of_junk_in_a_batch_is_answered_by_one_line() -> None:
    lines = [
        b"junk", b"[1,2]", b'{"a":1}', b'["nonsense"]', b'["batch"]', b'["up"]', b"null", b"[" * 20_000, b'"x"', b"[]",
        b'["read","/no/such/file"]', b'["site","check","\\u0000"]', b'["exam","show","\\u0000","--json"]', b'["read","--json","\\ud800"]',
        b"\xff\xfe", b'["--help"]', b'["site","check"]',
    ]  # fmt: skip
    done = run("batch", text=b"\n".join(lines) + b"\n")
    told(done)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    assert all(set(answer) == {"status", "stdout", "stderr"} for answer in answers)
    assert [
        line for line, answer in zip(lines, answers, strict=True) if "broke the program" in answer["stderr"]
    ] == []
    assert done.returncode == 0


@pytest.mark.data
def test_every_file_of_other_vendors_is_read_or_refused_with_a_reason() -> None:
    files = sorted(path for path in shared_data().rglob("*") if path.is_file())
    done = run("read", "--json", *map(str, files))
    told(done)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["file"] for line in lines} == set(map(str, files))
    assert all(line.get("error") or line.get("kind") for line in lines)
