"""The stream behind every page, over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from django.db import connection, transaction

from tests.factories import make_site
from xraydesk.access.models import Site
from xraydesk.access.roles import Role
from xraydesk.desk import live
from xraydesk.desk.tests.browser import serving
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.queries import revision
from xraydesk.lib import clock

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]

SOON_SECONDS = 10


def happen(site: Site) -> int:
    """Something happens at a site; its new revision."""
    with transaction.atomic():
        fact = record(site_id=site.pk, kind=FactKind.NOTE_WRITTEN, at=clock.now(), by="desk", room="XR1")
    return fact.pk


@contextmanager
def opened(address: str, cookie: str = "") -> Iterator[http.client.HTTPResponse]:
    place = urlsplit(address)
    wire = http.client.HTTPConnection(place.hostname or "", place.port, timeout=SOON_SECONDS)
    wire.request("GET", "/live", headers={"Cookie": cookie} if cookie else {})
    answer = wire.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        wire.close()


def cookie_of(site: Site, role: Role = Role.COORDINATOR) -> str:
    client = signed_in(site, role)
    return f"xraydesk_session={client.cookies['xraydesk_session'].value}"


def next_revision(answer: http.client.HTTPResponse) -> int:
    """Reads lines until one tells a revision."""
    while line := answer.readline():
        if line.startswith(b"data: "):
            return int(line[6:])
    raise AssertionError("the stream ended")


def streams_of_database() -> int:
    """Connections to this test's database, other than ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def until(reached: object, seconds: float = SOON_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to be so"
        time.sleep(0.05)


def test_a_page_is_told_the_revision_at_once_and_of_each_change_of_its_own_site() -> None:
    site, other = make_site("T"), make_site("O")
    first = happen(site)
    with serving() as address, opened(address, cookie_of(site)) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        until(lambda: next_revision(answer) == first)
        happen(other)
        second = happen(site)
        assert next_revision(answer) == second
        assert revision(site_id=site.pk) == second


def test_a_stranger_and_a_role_without_a_live_page_get_no_stream() -> None:
    site = make_site()
    with serving() as address:
        with opened(address) as answer:
            assert answer.status == 401
        with opened(address, cookie_of(site, Role.SYSTEM)) as answer:
            assert answer.status == 404


def test_open_boards_hold_no_connection_to_the_database() -> None:
    """Row 51: however many boards are open, one connection of the process listens for all of them."""
    site = make_site()
    cookie = cookie_of(site)
    happen(site)
    with serving() as address:
        held = []
        for _ in range(30):
            stream = opened(address, cookie)
            answer = stream.__enter__()
            next_revision(answer)
            held.append((stream, answer))
        until(lambda: streams_of_database() == 1)
        newest = happen(site)
        for stream, answer in held:
            until(lambda answer=answer: next_revision(answer) == newest)
            stream.__exit__(None, None, None)


def test_streams_end_when_the_server_is_told_to_stop() -> None:
    site = make_site()
    happen(site)
    with serving() as address:
        stream = opened(address, cookie_of(site))
        answer = stream.__enter__()
        next_revision(answer)
        began = time.monotonic()
    assert time.monotonic() - began < 3
    while answer.readline():
        pass
    stream.__exit__(None, None, None)


def test_with_too_many_open_pages_one_more_is_asked_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site()
    monkeypatch.setattr("xraydesk.desk.views.live.STREAMS_MAX", 0)
    with serving() as address, opened(address, cookie_of(site)) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "10"


def test_a_quiet_stream_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site()
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.1)
    newest = happen(site)
    with serving() as address, opened(address, cookie_of(site)) as answer:
        until(lambda: next_revision(answer) == newest)
        assert next_revision(answer) == newest


def test_a_stream_ends_after_its_time_so_that_rights_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = make_site()
    monkeypatch.setattr(live, "STREAM_SECONDS_MAX", 0.2)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    with serving() as address, opened(address, cookie_of(site)) as answer:
        began = time.monotonic()
        while answer.readline():
            assert time.monotonic() - began < SOON_SECONDS


def test_where_notifications_do_not_come_through_the_revisions_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row 49: a pooler in transaction mode takes LISTEN and drops what would come; then the desk asks."""
    site = make_site()
    first = happen(site)
    monkeypatch.setattr(live, "CHANNEL", "xraydesk_facts; UNLISTEN *")
    monkeypatch.setattr(live, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(live, "PROBE_SECONDS", 0.1)
    with serving() as address, opened(address, cookie_of(site)) as answer:
        until(lambda: next_revision(answer) == first)
        second = happen(site)
        until(lambda: next_revision(answer) == second)


def test_a_database_that_went_away_is_listened_to_again() -> None:
    """Row 48: the database restarts; pages hear of changes again without a hand."""
    site = make_site()
    first = happen(site)
    with serving() as address, opened(address, cookie_of(site)) as answer:
        until(lambda: next_revision(answer) == first)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE '%live'"
            )
            assert cursor.fetchone()[0] == 1
        second = happen(site)
        until(lambda: next_revision(answer) == second)


def test_who_waits_is_woken_by_a_newer_revision_only() -> None:
    async def wait() -> list[int]:
        heard = live.Revisions()
        heard.tell(1, 5)
        at_once = await heard.beyond(1, 4, 1)
        nothing_new = await heard.beyond(1, 5, 0.01)
        waiting = asyncio.create_task(heard.beyond(1, 5, 5))
        await asyncio.sleep(0)
        heard.tell(2, 9)
        heard.tell(1, 5)
        heard.tell(1, 6)
        return [at_once, nothing_new, await waiting]

    assert asyncio.run(wait()) == [5, 5, 6]
