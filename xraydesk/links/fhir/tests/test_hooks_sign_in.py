"""An EHR signs its calls of CDS Hooks: who is let in, and who is not."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.factories import AT, make_patient, make_site
from xraydesk.access import app_actions
from xraydesk.access.models import App, RecordRead, Site
from xraydesk.lib import clock
from xraydesk.lib.ids import new_secret
from xraydesk.links.fhir.tests.test_hooks import ADA, WHERE, draft, drafts

pytestmark = pytest.mark.django_db
ISSUER = "https://ehr.example/fhir"
EC = ECKey.generate_key("P-384", {"kid": "ec"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
STRANGE = ECKey.generate_key("P-384", {"kid": "ec"})
SIGN = f"{WHERE}order-sign"


def ehr(site: Site, scopes: str = "system/ServiceRequest.rs system/Patient.rs") -> App:
    keys = [key.as_dict(private=False) for key in (EC, RSA)]
    return app_actions.create_app(site=site, name="ehr", scopes=scopes, keys=keys, issuer=ISSUER, at=AT)


def signed(key: Any = EC, alg: str = "ES384", header: dict[str, Any] | None = None, **claims: Any) -> str:
    told = {
        "iss": ISSUER,
        "aud": f"http://testserver{SIGN}",
        "exp": int((clock.now() + timedelta(minutes=4)).timestamp()),
        "iat": int(clock.now().timestamp()),
        "jti": new_secret(),
    } | claims
    kept = {name: value for name, value in told.items() if value is not None}
    return jwt.encode(
        {"alg": alg, "kid": key.as_dict()["kid"], "typ": "JWT"} | (header or {}), kept, key, algorithms=[alg]
    )


def call(token: str, where: str = SIGN) -> tuple[int, Any]:
    told = {"hook": where.rpartition("/")[2], "hookInstance": "1", "prefetch": {"patient": ADA}}
    told["context"] = drafts(draft("1", "XRKNEE2"))
    headers = {"Authorization": f"Bearer {token}"}
    answered = Client(enforce_csrf_checks=True).post(
        where, json.dumps(told), content_type="application/json", headers=headers
    )
    return answered.status_code, answered.json()


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES384"), (RSA, "RS384")])
def test_an_ehr_that_signs_its_call_is_answered_once(key: Any, alg: str) -> None:
    site = make_site()
    make_patient(site, number="N77")
    ehr(site)
    token = signed(key, alg)
    status, told = call(token)
    assert (status, len(told["cards"])) == (200, 1)
    assert call(token)[0] == 401
    assert {row.who for row in RecordRead.objects.all()} == {"app:ehr"}


def past(minutes: int) -> int:
    return int((clock.now() - timedelta(minutes=minutes)).timestamp())


@pytest.mark.parametrize(
    "token",
    [
        lambda: signed(STRANGE),
        lambda: signed(STRANGE, header={"jku": "https://evil.example/keys"}),
        lambda: signed(STRANGE, header={"jwk": STRANGE.as_dict(private=False)}),
        lambda: signed(header={"kid": "other"}),
        lambda: signed(RSA, "RS256"),
        lambda: signed(iss="https://other.example"),
        lambda: signed(iss=""),
        lambda: signed(iss=None),
        lambda: signed(iss=["a"]),
        lambda: signed(aud=f"http://testserver{WHERE}order-select"),
        lambda: signed(aud=None),
        lambda: signed(exp=past(5)),
        lambda: signed(exp=None),
        lambda: signed(exp=past(-60)),
        lambda: signed(exp="soon"),
        lambda: signed(jti=None),
        lambda: signed(jti=7),
        lambda: "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2Voci5leGFtcGxlL2ZoaXIifQ.",
        lambda: "W10.W10.x",
        lambda: "a.b.c",
        lambda: "é",
        lambda: "",
    ],
)
def test_a_call_that_is_not_rightly_signed_is_a_strangers(token: Any) -> None:
    ehr(make_site())
    assert call(token())[0] == 401


def test_a_signed_call_opens_nothing_else_and_ends_with_its_app() -> None:
    site = make_site()
    app = ehr(site)
    beyond = signed(aud="http://testserver/fhir/R4/Patient")
    assert Client().get("/fhir/R4/Patient", headers={"Authorization": f"Bearer {beyond}"}).status_code == 401
    app_actions.revoke_app(site=site, name=app.name, at=clock.now())
    assert call(signed())[0] == 401
    ehr(site, "system/Patient.rs")
    assert call(signed())[0] == 404


def test_an_issuer_is_one_app_and_none_of_people() -> None:
    site = make_site()
    ehr(site)
    keys = [EC.as_dict(private=False)]
    told: dict[str, Any] = {"site": site, "scopes": "system/*.rs", "at": AT}
    with pytest.raises(app_actions.NameTaken):
        app_actions.create_app(name="second", keys=keys, issuer=ISSUER, **told)
    for odd in ({"keys": keys, "issuer": "a b"}, {"redirects": ["https://a/"], "issuer": "https://b"}):
        with pytest.raises(app_actions.BadApp):
            app_actions.create_app(name="third", **told, **odd)
