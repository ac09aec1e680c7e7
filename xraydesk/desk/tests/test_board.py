"""The board, its panel, and the list to print."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.factories import make_booking, make_exam, make_site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.scenes import PASSWORD, full_day, make_user
from xraydesk.lib import clock

pytestmark = pytest.mark.django_db


def signed_in(name: str) -> Client:
    client = Client()
    answer = client.post("/sign-in", {"username": name, "password": PASSWORD})
    assert answer.status_code == 303
    return client


def test_a_full_board_draws_every_stage_and_escapes_names() -> None:
    at = clock.now()
    site = full_day(at)
    client = signed_in(make_user(site, Role.COORDINATOR))
    text = client.get("/").content.decode()
    for stage in ("scheduled", "arrived", "inroom", "done", "images"):
        assert f'data-stage="{stage}"' in text
    assert "<b>Bold</b>" not in text
    assert "&lt;b&gt;Bold&lt;/b&gt;" in text
    assert "no name yet" in text
    assert text.count("<h1") == 1
