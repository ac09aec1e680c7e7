"""Settings, addresses and files of the desk: small decisions, without a desk."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from pydantic import AliasChoices

from tests.factories import load_demo_site, make_site
from tests.running import ROOT
from xraydesk.access.actions import create_user
from xraydesk.access.roles import Role
from xraydesk.project import addresses, prepare
from xraydesk.project.addresses import Address, read_address
from xraydesk.project.config import Config, config
from xraydesk.project.demo import ARCHIVE_PORT, ZONES, asked_here_alone, choose_zone
from xraydesk.project.examples import example_file
from xraydesk.project.static import StaticFiles, static_files
from xraydesk.project.trouble import Trouble
from xraydesk.siteplan.link_plan import LinkPlan
from xraydesk.siteplan.reading import from_json, read_toml, to_json
from xraydesk.siteplan.routing_plan import DestinationPlan


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:8080", "::1", 8080), ("localhost:1", "localhost", 1)],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    assert read_address(text, "--http") == Address(host, port)
    assert str(read_address(text, "--http")) == text


@pytest.mark.parametrize("text", ["", "8080", ":8080", "127.0.0.1:", "127.0.0.1:0", "a:65536", "a:x"])
def test_what_is_no_address_is_refused_with_its_flag(text: str) -> None:
    with pytest.raises(Trouble, match="--mllp"):
        read_address(text, "--mllp")


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("192.0.2.7", False), ("desk.example", False)],
)  # fmt: skip
def test_only_loopback_is_this_machine_alone(host: str, here: bool) -> None:
    assert Address(host, 1).is_loopback is here


@pytest.mark.link
def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(Trouble, match=f"Port {where.port} is in use"):
            addresses.check_free(where, "--http")
    addresses.check_free(where, "--http")


@pytest.mark.django_db
def test_pages_for_other_machines_need_an_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 59."""
    monkeypatch.setenv("XRAYDESK_HTTP", "0.0.0.0:8443")
    config.cache_clear()
    try:
        site = make_site()
        create_user(site=site, name="ada", role=Role.COORDINATOR, password="long enough")
        with pytest.raises(Trouble, match="user create"):
            prepare.check_exposure()
        create_user(site=site, name="bo", role=Role.ADMINISTRATOR, password="long enough")
        prepare.check_exposure()
    finally:
        monkeypatch.undo()
        config.cache_clear()


@pytest.mark.django_db
@pytest.mark.parametrize(("variable", "kind"), [("XRAYDESK_MLLP", "orders"), ("XRAYDESK_DICOM", "dicom")])
def test_links_in_clear_beyond_this_machine_need_the_site_file_to_name_who_may(
    monkeypatch: pytest.MonkeyPatch, variable: str, kind: str
) -> None:
    """Row 59."""
    site = load_demo_site()
    monkeypatch.setenv(variable, "0.0.0.0:12345")
    config.cache_clear()
    try:
        with pytest.raises(Trouble, match="insecure = true"):
            prepare.check_exposure()
        link = LinkPlan("L", kind, "XR1", "HOSP", insecure=True, peers=("10.0.0.0/8",))
        plan = from_json(site.plan)
        for other in ("orders", "dicom"):
            site.plan = to_json(replace(plan, links=(replace(link, kind=other),)))
            site.save()
            if other == kind:
                prepare.check_exposure()
            else:
                with pytest.raises(Trouble, match="in clear"):
                    prepare.check_exposure()
    finally:
        monkeypatch.undo()
        config.cache_clear()


def test_the_demonstration_is_mid_morning_whenever_it_is_started() -> None:
    """At each minute of a day, over two hundred days."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    zones = {zone: ZoneInfo(zone) for zone in ZONES}  # held: but for eight, they are else read anew each time
    for minutes in range(0, 24 * 60 * 200, 199):
        at = start + timedelta(minutes=minutes)
        wall = at.astimezone(zones[choose_zone(at)])
        assert 9 * 60 + 30 <= wall.hour * 60 + wall.minute <= 10 * 60 + 30, at


def test_the_example_departments_lie_where_up_looks_for_them() -> None:
    assert example_file("hospital.toml").read_text(encoding="utf-8").startswith("#")
    with pytest.raises(Trouble, match="--site"):
        example_file("castle.toml")


def test_flags_win_over_variables_and_variables_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xraydesk.toml").write_text('mllp_threads = 3\nae_title = "FILE"\nhttp = "127.0.0.1:1"\n')
    monkeypatch.setenv("XRAYDESK_AE_TITLE", "VARIABLE")
    monkeypatch.setenv("XRAYDESK_HTTP", "127.0.0.1:2")
    settings = Config(http="127.0.0.1:3")
    assert (settings.mllp_threads, settings.ae_title, settings.http) == (3, "VARIABLE", "127.0.0.1:3")


@pytest.mark.parametrize(
    ("name", "value"), [("XRAYDESK_MLLP_THREADS", "many"), ("XRAYDESK_DICOM_IDLE_SECONDS", "-1")]
)
def test_a_setting_that_cannot_be_so_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    config.cache_clear()
    monkeypatch.setenv(name, value)
    with pytest.raises(Trouble, match=f"{name} cannot be '{value}'"):
        config()


def test_a_settings_file_that_is_broken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.cache_clear()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xraydesk.toml").write_text("mllp_threads = ")
    with pytest.raises(Trouble, match=r"xraydesk\.toml"):
        config()


def test_the_page_about_running_names_every_setting_with_its_default() -> None:
    page = (ROOT / "docs" / "howto" / "run.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE))
    expected = {}
    for name, field in Config.model_fields.items():
        alias = field.validation_alias
        variable = str(alias) if alias and not isinstance(alias, AliasChoices) else f"XRAYDESK_{name.upper()}"
        default = field.default
        expected[variable] = "" if default in (None, "") else str(default)
    assert told == expected


def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def nothing_else(scope: Any, receive: Any, send: Any) -> None:
        sent.append({"status": 299, "headers": []})
        sent.append({"body": b"handed on"})

    async def send(message: Any) -> None:
        sent.append(message)

    address, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": address,
        "query_string": query.encode(),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(StaticFiles(nothing_else)(scope, None, send))  # type: ignore[arg-type]
    start, body = sent
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}, body["body"]


def test_a_style_sheet_is_kept_for_a_year_under_its_version_and_asked_for_again_without() -> None:
    file = static_files()["desk/desk.css"]
    status, headers, body = ask(f"/static/desk/desk.css?v={file.version}")
    assert (status, body, headers["content-type"]) == (200, file.body, "text/css; charset=utf-8")
    assert "immutable" in headers["cache-control"]
    assert ask("/static/desk/desk.css")[1]["cache-control"] == "no-cache"
    assert ask("/static/desk/desk.css?v=old")[1]["cache-control"] == "no-cache"
    assert ask("/static/desk/desk.css", if_none_match=headers["etag"])[0] == 304


def test_a_style_sheet_goes_compressed_to_whoever_can_read_that() -> None:
    file = static_files()["desk/desk.css"]
    _, headers, body = ask("/static/desk/desk.css", accept_encoding="gzip, br")
    assert (headers["content-encoding"], body) == ("gzip", file.gzipped)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/static/../project/settings.py", "GET", 404),
        ("/static/desk/none.css", "GET", 404),
        ("/static/desk/desk.css", "POST", 405),
        ("/board", "GET", 299),
    ],
)
def test_only_known_files_are_served(path: str, method: str, status: int) -> None:
    assert ask(path, method)[0] == status


def test_the_archive_of_the_demonstration_wishes_for_a_port_of_its_own() -> None:
    """Whoever came second to a port would end at once, and be started again for ever."""
    plan, usual = read_toml(example_file("hospital.toml")), Config()
    ports = {d.port for d in plan.destinations} | {o.port for o in plan.outlinks}
    ports |= {urlsplit(one.base).port or 0 for one in plan.ehrs}
    ports |= {read_address(one, "--x").port for one in (usual.http, usual.mllp, usual.dicom)}
    assert {11113, 11114, 11115} < ports
    assert ARCHIVE_PORT not in ports


def test_the_demonstration_asks_no_archive_beyond_this_machine() -> None:
    here = DestinationPlan(
        "PACS", "PACS", "127.0.0.1", 104, finds=True, web="http://127.0.0.1:8042/dicom-web"
    )
    away = replace(here, web="https://archive.example/dicom-web", web_token="/etc/token")
    assert asked_here_alone(here) == here
    assert asked_here_alone(away) == replace(here, web="")
