"""Services whose keys are had at an address: over a real socket, seldom, and never within unless it was said (row 23 of the faults)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories import AT, make_site
from xraydesk.access import app_actions
from xraydesk.access.models import App, Site
from xraydesk.links.fhir import app_keys
from xraydesk.links.fhir.tests.test_sign_in import NEW, OLD, ask, signed
from xraydesk.links.outside.tests.http_peer import Asked, Told, peer

pytestmark = [pytest.mark.link, pytest.mark.django_db]


class Keys:
    """What the address answers, and how often it was asked."""

    def __init__(self) -> None:
        self.told: list[Any] = [OLD.as_dict(private=False)]
        self.status, self.count, self.body = 200, 0, b""

    def answer(self, asked: Asked) -> Told:
        self.count += 1
        return Told(self.status, self.body or json.dumps({"keys": self.told}).encode())


@pytest.fixture
def keys() -> Iterator[tuple[Keys, str]]:
    app_keys._kept.clear()
    held = Keys()
    with peer(held.answer) as base:
        yield held, f"{base}/jwks.json"


def app_with(address: str, *networks: str, site: Site | None = None) -> App:
    return app_actions.create_app(
        site=site or make_site(),
        name="lab",
        scopes="system/*.cruds",
        keys_at=address,
        networks=networks,
        at=AT,
    )


HERE = "127.0.0.0/8"


def test_keys_are_fetched_once_and_kept(keys: tuple[Keys, str]) -> None:
    held, address = keys
    app = app_with(address, HERE)
    assert [ask(signed(app))[0] for _ in range(3)] == [200] * 3
    assert held.count == 1


def test_a_new_key_is_asked_for_but_not_at_every_knock(
    keys: tuple[Keys, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, address = keys
    app = app_with(address, HERE)
    assert ask(signed(app))[0] == 200
    held.told.append(NEW.as_dict(private=False))
    assert [ask(signed(app, NEW, "RS384"))[0] for _ in range(3)] == [400] * 3
    assert held.count == 1
    monkeypatch.setattr(app_keys, "AGAIN_SECONDS", 0.0)
    assert ask(signed(app, NEW, "RS384"))[0] == 200
    assert held.count == 2


def test_a_key_that_was_taken_away_lets_nobody_in_once_they_are_asked_anew(
    keys: tuple[Keys, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, address = keys
    app = app_with(address, HERE)
    assert ask(signed(app))[0] == 200
    held.told = [NEW.as_dict(private=False)]
    monkeypatch.setattr(app_keys, "KEPT_SECONDS", 0.0)
    assert ask(signed(app))[0] == 400


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"{}"),
        (302, b""),
        (200, b"nonsense"),
        (200, b"[]"),
        (200, b'{"keys": 7}'),
        (200, b'{"keys": [7, {"kty": "oct"}]}'),
        (200, b" " * 70_000),
        (0, b"x"),
    ],
)
def test_what_is_no_key_set_lets_nobody_in(keys: tuple[Keys, str], status: int, body: bytes) -> None:
    held, address = keys
    held.status, held.body = status, body
    assert ask(signed(app_with(address, HERE)))[1]["error"] == "invalid_client"


def test_a_secret_key_at_an_address_lets_nobody_in(keys: tuple[Keys, str]) -> None:
    held, address = keys
    held.told = [OLD.as_dict(private=True)]
    assert ask(signed(app_with(address, HERE)))[0] == 400


def test_row_23_keys_within_are_not_fetched_unless_the_network_was_given(keys: tuple[Keys, str]) -> None:
    held, address = keys
    assert ask(signed(app_with(address)))[0] == 400
    assert held.count == 0


def test_keys_that_are_given_end_those_at_the_address(keys: tuple[Keys, str]) -> None:
    held, address = keys
    app = app_with(address, HERE)
    assert app_actions.set_keys(site=app.site, name="lab", keys=[NEW.as_dict(private=False)])
    assert ask(signed(app, NEW, "RS384"))[0] == 200
    assert ask(signed(app))[0] == 400
    assert held.count == 0


@pytest.mark.parametrize(
    "given",
    [
        {"keys_at": "http://lab.example/jwks.json"},
        {"keys_at": "https://lab.example/" + "x" * 500},
        {"keys_at": "https://lab.example/jwks.json", "networks": ["ten"]},
        {"keys_at": "https://lab.example/jwks.json", "redirects": ["https://lab.example/back"]},
        {"keys_at": "https://lab.example/jwks.json", "keys": [OLD.as_dict(private=False)]},
        {},
    ],
)
def test_what_cannot_be_is_not_taken(given: dict[str, Any]) -> None:
    with pytest.raises(app_actions.BadApp):
        app_actions.create_app(site=make_site(), name="lab", scopes="system/*.rs", at=AT, **given)
