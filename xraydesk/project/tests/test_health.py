"""What the desk tells those who watch over it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import OperationalError
from django.test import Client

from tests.factories import make_exam, make_site
from xraydesk.project import health, metrics

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "ASKED_AGAIN_SECONDS", 0.0)
    health._migrated_at_least_once.cache_clear()


def test_a_desk_that_can_work_says_so(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "why": []})


def test_a_full_disk_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 53: not ready, with the reason."""
    monkeypatch.setattr(health.os, "statvfs", lambda path: SimpleNamespace(f_bavail=1, f_frsize=4096))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["why"]) == (503, ["the disk is nearly full"])


def test_a_home_that_is_gone_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "config", lambda: SimpleNamespace(home=Path("/nowhere/at/all")))
    assert client.get("/readyz").json()["why"] == ["the home folder is not there"]


def test_a_database_that_is_away_is_not_ready_but_the_process_lives(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError

    monkeypatch.setattr(health.connection, "cursor", away)
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["why"]) == (503, ["the database does not answer"])
    assert b"xraydesk_database_answers 0.0" in client.get("/metrics").content


def test_tables_out_of_date_are_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda self, targets: [("one", False)])
    assert client.get("/readyz").status_code == 503


def test_metrics_are_prometheus_text_without_any_patient(client: Client) -> None:
    """Row 55: numbers and kinds only."""
    exam = make_exam(make_site())
    client.get(f"/no/such/page/{exam.accession}")
    answer = client.get("/metrics")
    text = answer.content.decode()
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE xraydesk_requests_total counter" in text
    assert 'xraydesk_requests_total{method="GET",page="unknown",status="404"}' in text
    assert "xraydesk_database_bytes" in text
    for word in (exam.accession, exam.patient.family, exam.study_instance_uid):
        assert word not in text
