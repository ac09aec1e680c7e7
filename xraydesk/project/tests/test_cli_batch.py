"""`xraydesk batch`: one start, many questions, each answered by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from tests.factories import make_exam, make_site
from xraydesk.project import cli_batch
from xraydesk.project.cli import run
from xraydesk.project.config import config

Batch = Callable[[str], list[Any]]


@pytest.fixture
def batch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Batch]:
    monkeypatch.setenv("XRAYDESK_HOME", os.environ["XRAYDESK_HOME"])

    def batch(text: str) -> list[Any]:
        monkeypatch.setattr("sys.stdin", StringIO(text))
        assert run(["batch"]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        return [json.loads(line) for line in told.out.splitlines()]

    yield batch
    config.cache_clear()


@pytest.mark.django_db
def test_each_question_is_answered_by_one_line_with_its_status(batch: Batch) -> None:
    site = make_site()
    exam = make_exam(site)
    questions = [
        ["exam", "show", exam.accession, "--json"],
        ["exam", "show", "X", "--json"],
        ["exam", "list", "--placer", "none", "--json"],
        ["exam", "lost"],
        ["--help"],
    ]
    found, missing, empty, wrong, helped = batch("\n".join(json.dumps(q) for q in questions))
    assert found["status"] == 0
    assert json.loads(found["stdout"])["accession"] == exam.accession
    assert missing == {"status": 1, "stdout": "", "stderr": "There is no exam X.\n"}
    assert empty == {"status": 0, "stdout": "", "stderr": ""}
    assert wrong["status"] == 2
    assert "No such command" in wrong["stderr"]
    assert helped["status"] == 0
    assert "batch" in helped["stdout"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("exam list", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"exam": "list"}', "array of texts"),
        ('["exam", 1]', "array of texts"),
        ('["batch"]', "does not end"),
        ('["up"]', "does not end"),
    ],
)
def test_a_question_that_is_none_is_refused_and_the_next_one_answered(
    batch: Batch, line: str, why: str
) -> None:
    refused, answered = batch(line + '\n\n["--help"]\n')
    assert (refused["status"], refused["stdout"]) == (2, "")
    assert why in refused["stderr"]
    assert answered["status"] == 0


def test_a_question_that_is_too_long_is_read_past(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_batch, "QUESTION_CHARS_MAX", 20)
    refused, answered = batch('["' + "x" * 95 + '"]\n["--help"]\n')
    assert "longer than 20 characters" in refused["stderr"]
    assert answered["status"] == 0


def test_a_question_that_breaks_the_program_ends_no_other_and_tells_no_values(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: Path) -> list[Any]:
        raise RuntimeError("Ada Prüfer")

    monkeypatch.setattr("xraydesk.project.cli_read._told", broken)
    failed, answered = batch('["read","a"]\n["--help"]\n')
    assert failed["status"] == 2
    assert "RuntimeError in broken" in failed["stderr"]
    assert "Prüfer" not in failed["stderr"]
    assert answered["status"] == 0


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
def test_a_batch_of_its_own_process_outlives_the_loss_of_its_database_connection(tmp_path: Path) -> None:
    exam = make_exam(make_site())
    database = settings.DATABASES["default"]
    url = f"postgresql://xraydesk@/{connection.settings_dict['NAME']}?host={quote(database['HOST'], safe='')}&port={database['PORT']}"
    environment = {**os.environ, "DATABASE_URL": url, "XRAYDESK_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "xraydesk", "batch"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(json.dumps(["exam", "show", exam.accession, "--json"]) + "\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
            assert (told["status"], told["stderr"]) == (0, "")
            assert json.loads(told["stdout"])["accession"] == exam.accession
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                assert cursor.fetchone()[0] >= 1
        process.stdin.close()
        assert process.wait(10) == 0
