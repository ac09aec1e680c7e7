"""`xraydesk media`: a look at what was brought, and bringing it in."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_patient
from xraydesk.access.models import Site
from xraydesk.imaging.models import Image, OutsideStudy
from xraydesk.journey.tests.performing import site_with_pacs
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom.tests.test_media import disc, made
from xraydesk.project import cli_media
from xraydesk.project.cli import run
from xraydesk.project.config import config

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("XRAYDESK_HOME", os.environ["XRAYDESK_HOME"])
    config.cache_clear()
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    return site_with_pacs()


def test_a_medium_is_looked_at_and_brought_in(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_patient(site, number="N1")
    certain, waiting = new_uid(), new_uid()
    path = disc(
        tmp_path / "cd",
        made(certain, PatientID="N1", IssuerOfPatientID="HOSP"),
        made(waiting, AcquisitionTime="233000"),
        made(waiting),
    )
    with monkeypatch.context() as alone:
        alone.setattr(cli_media, "desk", lambda home: pytest.fail("a look asks no desk"))
        assert run(["media", "look", str(path), "--json"]) == 0
    told = capsys.readouterr()
    rows = [json.loads(line) for line in told.out.splitlines()]
    assert [(row["patient_id"], row["objects"], row["becomes"]) for row in rows] == [
        ("N1", 1, ""),
        ("0815", 2, ""),
    ]
    assert told.err == "2 left: it is no DICOM.\n"
    assert not Image.objects.exists()
    assert run(["media", "bring", str(path), "--from", "St. Mary's", "--json"]) == 0
    told = capsys.readouterr()
    exam = OutsideStudy.objects.get(study_instance_uid=certain).exam
    assert exam is not None
    becomes = [json.loads(line)["becomes"] for line in told.out.splitlines()]
    assert {json.loads(line)["on"] for line in told.out.splitlines()} == {"2026-03-01"}
    assert becomes == [f"exam {exam.accession}", "waiting"]
    assert told.err.startswith("3 objects kept, 0 were here already.\n")


def test_the_same_command_goes_on_where_it_was_stopped(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_uid()
    path = disc(tmp_path / "cd", made(study), made(study), made(study))
    command = ["media", "bring", str(path), "--from", "St. Mary's"]

    def pressed(done: int, files: int) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(cli_media, "_progress", pressed)
        assert run(command) == 2
    assert "waiting at 3 of 5 files. The same command goes on there." in capsys.readouterr().err
    assert run(["media", "list", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["state"], row["files_done"], row["kept"]) == ("waiting", 3, 1)
    assert run(command) == 0
    assert capsys.readouterr().err.startswith("3 objects kept, 0 were here already.\n")
    assert run(["media", "stop", str(row["id"])]) == 2
    assert "over already" in capsys.readouterr().err
    assert Image.objects.count() == 3


def test_what_cannot_be_read_or_would_be_kept_by_another_user_is_said(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(tmp_path / "gone")
    assert run(["media", "look", gone]) == 2
    assert run(["media", "bring", gone, "--from", "x"]) == 2
    assert capsys.readouterr().err.count("There is no such folder or file.") == 2
    path = disc(tmp_path / "cd", made(new_uid()))
    with monkeypatch.context() as other:
        other.setattr(cli_media.os, "geteuid", lambda: 12345)
        assert run(["media", "bring", str(path), "--from", "x"]) == 2
    assert "Ask as the user who started" in capsys.readouterr().err
