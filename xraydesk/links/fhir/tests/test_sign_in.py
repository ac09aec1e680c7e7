"""Apps that sign in: services by signed requests, apps of people by a code; what their tokens may do."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tests.factories import AT, make_exam, make_patient, make_site
from xraydesk.access import app_actions
from xraydesk.access.members import begin_session
from xraydesk.access.models import App, AppRefresh, AppToken, RecordRead, Site, User
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.lib import clock
from xraydesk.lib.ids import new_secret
from xraydesk.links.fhir.tests.test_fhir import BASE, get
from xraydesk.links.fhir.tests.test_writes import ADA, send
from xraydesk.patients.models import Patient

pytestmark = pytest.mark.django_db
TOKEN = "/fhir/R4/auth/token"
HERE = "http://testserver/fhir/R4/auth/token"
BACK = "https://app.example/back"
OLD = ECKey.generate_key("P-384", {"kid": "old"})
NEW = RSAKey.generate_key(2048, {"kid": "new"})
STRANGE = ECKey.generate_key("P-384", {"kid": "old"})


def service(site: Site, scopes: str = "system/*.cruds", *keys: Any) -> App:
    return app_actions.create_app(
        site=site,
        name=f"svc{App.objects.count()}",
        scopes=scopes,
        keys=[key.as_dict(private=False) for key in keys or (OLD, NEW)],
        at=AT,
    )


def signed(app: App, key: Any = OLD, alg: str = "ES384", **claims: Any) -> str:
    until = int((clock.now() + timedelta(minutes=4)).timestamp())
    told = {
        "iss": app.client_id,
        "sub": app.client_id,
        "aud": HERE,
        "exp": until,
        "jti": new_secret(),
    } | claims
    header = {"alg": alg, "kid": key.as_dict().get("kid")}
    return jwt.encode(header, {n: v for n, v in told.items() if v is not None}, key, algorithms=[alg])


def ask(assertion: str, scope: str = "system/*.cruds") -> tuple[int, Any]:
    response = Client().post(
        TOKEN,
        {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        },
    )
    assert response["Cache-Control"] == "no-store"
    return response.status_code, response.json()


def with_token(secret: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {secret}"})


def test_where_apps_sign_in_is_told_to_anybody() -> None:
    told = Client().get(BASE + ".well-known/smart-configuration").json()
    assert told["token_endpoint"] == HERE
    assert told["code_challenge_methods_supported"] == ["S256"]
    _, statement = get(Client(), "metadata")
    assert statement["rest"][0]["security"]["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


@pytest.mark.parametrize(("key", "alg"), [(OLD, "ES384"), (NEW, "RS384")])
def test_a_service_is_let_in_by_its_signature_and_does_what_it_may(key: Any, alg: str) -> None:
    site = make_site()
    app = service(site)
    status, told = ask(signed(app, key, alg))
    assert (status, told["token_type"], told["expires_in"]) == (200, "bearer", 300)
    client = with_token(told["access_token"])
    assert send(client, "POST", "Patient", ADA)[0] == 201
    assert get(client, "Patient")[1]["total"] == 1
    logged = RecordRead.objects.first()
    assert logged is not None
    assert (logged.who, logged.reason) == (f"app:{app.name}", f"through the app {app.name}")
    assert not AppToken.objects.filter(sha256=told["access_token"]).exists()


@pytest.mark.parametrize(
    ("key", "alg", "claims"),
    [
        (STRANGE, "ES384", {}),
        (OLD, "ES384", {"aud": "https://elsewhere.example/token"}),
        (OLD, "ES384", {"iss": "somebody"}),
        (OLD, "ES384", {"sub": None}),
        (OLD, "ES384", {"sub": 7}),
        (OLD, "ES384", {"sub": "nobody"}),
        (OLD, "ES384", {"jti": None}),
        (OLD, "ES384", {"jti": 7}),
        (OLD, "ES384", {"exp": None}),
        (OLD, "ES384", {"exp": 1_000_000_000}),
        (OLD, "ES384", {"exp": 9_000_000_000}),
        (NEW, "RS256", {}),
    ],
)
def test_what_is_not_rightly_signed_lets_nobody_in(key: Any, alg: str, claims: dict[str, Any]) -> None:
    app = service(make_site())
    status, told = ask(signed(app, key, alg, **claims))
    assert status == 400
    assert told["error"] == "invalid_client"
    assert not AppToken.objects.exists()


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c", "e30.e30.e30"])
def test_what_is_no_signed_request_lets_nobody_in(assertion: str) -> None:
    service(make_site())
    status, told = ask(assertion)
    assert status == 400
    assert told["error"] == "invalid_client"


def test_a_signed_request_is_good_once() -> None:
    app = service(make_site())
    assertion = signed(app)
    assert ask(assertion)[0] == 200
    assert ask(assertion)[0] == 400


def test_keys_are_changed_with_old_and_new_side_by_side() -> None:
    site = make_site()
    app = service(site, "system/*.rs", OLD)
    assert ask(signed(app, NEW, "RS384"))[0] == 400
    app_actions.set_keys(site=site, name=app.name, keys=[k.as_dict(private=False) for k in (OLD, NEW)])
    assert ask(signed(app, OLD))[0] == ask(signed(app, NEW, "RS384"))[0] == 200
    app_actions.set_keys(site=site, name=app.name, keys=[NEW.as_dict(private=False)])
    assert ask(signed(app, OLD))[0] == 400
    assert ask(signed(app, NEW, "RS384"))[0] == 200


def test_a_secret_key_is_not_taken() -> None:
    site = make_site()
    for keys in ([OLD.as_dict(private=True)], [{"kty": "oct", "kid": "1"}], [{"kty": "RSA"}], [7]):
        with pytest.raises(app_actions.BadApp):
            app_actions.create_app(site=site, name="svc", scopes="system/*.rs", keys=keys, at=AT)


def test_a_token_does_no_more_than_its_scopes_say() -> None:
    site = make_site()
    exam = make_exam(site)
    app = service(site, "system/Patient.rs system/ServiceRequest.read")
    status, told = ask(signed(app), "system/Patient.rs system/ServiceRequest.write system/Coverage.rs")
    assert (status, told["scope"]) == (200, "system/Patient.rs")
    client = with_token(told["access_token"])
    assert get(client, f"Patient/{exam.patient_id}")[0] == 200
    assert get(client, "ServiceRequest")[0] == 404
    assert send(client, "POST", "Patient", ADA)[0] == 403
    _, found = get(client, "Patient?_revinclude=ServiceRequest:patient")
    assert [e["resource"]["resourceType"] for e in found["entry"]] == ["Patient"]
    _, told = ask(signed(app), "system/ServiceRequest.rs")
    client = with_token(told["access_token"])
    assert get(client, "ServiceRequest")[0] == 200
    assert get(client, "ServiceRequest?patient.birthdate=1969-05-12")[0] == 400


@pytest.mark.parametrize(
    ("scopes", "given"),
    [
        ("patient/*.rs", {"keys": [OLD.as_dict(private=False)]}),
        ("system/*.rs user/Patient.r", {"keys": [OLD.as_dict(private=False)]}),
        ("launch/patient patient/*.rs system/*.rs", {"redirects": [BACK]}),
    ],
)
def test_an_app_is_registered_for_those_it_acts_for_alone(scopes: str, given: dict[str, Any]) -> None:
    with pytest.raises(app_actions.BadApp, match="is given"):
        app_actions.create_app(site=make_site(), name="odd", scopes=scopes, at=AT, **given)


def test_a_scope_of_one_patient_opens_nothing_where_none_was_chosen() -> None:
    site = make_site()
    patient = make_patient(site)
    app = service(site)
    app.scopes = "patient/*.rs"
    app.save()
    token = ask(signed(app), "patient/*.rs")[1]["access_token"]
    assert get(with_token(token), f"Patient/{patient.pk}")[0] == 404
    assert get(with_token(token), "Patient")[0] == 404


def test_a_token_ends_with_its_time_and_with_its_app() -> None:
    site = make_site()
    app = service(site)
    _, told = ask(signed(app))
    client = with_token(told["access_token"])
    assert get(client, "Patient")[0] == 200
    AppToken.objects.update(until=clock.now())
    assert get(client, "Patient")[0] == 401
    _, told = ask(signed(app))
    assert app_actions.revoke_app(site=site, name=app.name, at=AT)
    assert get(with_token(told["access_token"]), "Patient")[0] == 401
    assert ask(signed(app))[0] == 400


def test_a_token_of_an_app_opens_no_page() -> None:
    site = make_site()
    _, told = ask(signed(service(site)))
    response = with_token(told["access_token"]).get("/attention")
    assert response.status_code == 302


def person(site: Site, role: Role = Role.COORDINATOR) -> Client:
    user = User.objects.create(name=role.value)
    user.memberships.create(site=site, role=role)
    client = Client()
    session = client.session
    begin_session(session, user)
    session.save()
    return client


VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def opened(site: Site, scopes: str = "user/*.rs patient/*.rs launch/patient") -> App:
    return app_actions.create_app(site=site, name="viewer", scopes=scopes, redirects=[BACK], at=AT)


def asked(app: App, **change: str) -> dict[str, str]:
    told = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": BACK,
        "scope": "user/*.rs",
        "state": "s1",
        "aud": HERE.removesuffix("/auth/token"),
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **change,
    }
    return {name: value for name, value in told.items() if value}


def agree(client: Client, app: App, form: dict[str, str] | None = None, **change: str) -> Any:
    query = "&".join(
        f"{n}={v}".replace("/", "%2F").replace(" ", "%20") for n, v in asked(app, **change).items()
    )
    return client.post(f"/apps/authorize?{query}", form or {"allow": "yes"})


def code_in(response: Any) -> str:
    assert response.status_code == 302
    assert response["Location"].startswith(BACK)
    return parse_qs(urlsplit(response["Location"]).query)["code"][0]


def exchange(app: App, code: str, **change: str) -> tuple[int, Any]:
    told = {
        "grant_type": "authorization_code",
        "client_id": app.client_id,
        "code": code,
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
        **change,
    }
    response = Client().post(TOKEN, told)
    return response.status_code, response.json()


def test_an_app_that_somebody_opens_acts_for_them() -> None:
    site = make_site()
    exam = make_exam(site)
    app, client = opened(site), person(site)
    page = client.get("/apps/authorize", asked(app))
    assert page.status_code == 200
    assert "Let viewer in?" in page.content.decode()
    assert "https://app.example" in page["Content-Security-Policy"]
    response = agree(client, app)
    assert parse_qs(urlsplit(response["Location"]).query)["state"] == ["s1"]
    status, told = exchange(app, code_in(response))
    assert (status, told["expires_in"], told["scope"]) == (200, 3600, "user/*.rs")
    reader = with_token(told["access_token"])
    assert get(reader, f"Patient/{exam.patient_id}")[0] == 200
    assert RecordRead.objects.get().who == "user:coordinator"
    assert send(reader, "POST", "Patient", ADA)[0] == 403
    User.objects.update(is_active=False)
    assert get(reader, "Patient")[0] == 401


def test_a_code_is_good_once_and_for_its_app_and_verifier_alone() -> None:
    site = make_site()
    app, client = opened(site), person(site)
    code = code_in(agree(client, app))
    assert exchange(app, code)[0] == 200
    assert exchange(app, code)[1]["error"] == "invalid_grant"
    for change in (
        {"code_verifier": "w" * 64},
        {"code_verifier": ""},
        {"redirect_uri": "https://other.example/"},
    ):
        status, told = exchange(app, code_in(agree(client, app)), **change)
        assert (status, told["error"] in ("invalid_grant", "invalid_request")) == (400, True)
    other = app_actions.create_app(site=site, name="other", scopes="user/*.rs", redirects=[BACK], at=AT)
    assert exchange(other, code_in(agree(client, app)))[0] == 400
    assert AppToken.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": BACK + "/more"},
        {"client_id": "nobody"},
        {"response_type": "token"},
        {"aud": "https://evil.example/fhir/R4"},
        {"aud": ""},
        {"code_challenge": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
    ],
)
def test_what_is_not_rightly_asked_for_leads_nowhere(change: dict[str, str]) -> None:
    site = make_site()
    app, client = opened(site), person(site)
    for response in (client.get("/apps/authorize", asked(app, **change)), agree(client, app, **change)):
        assert response.status_code == 400
        assert "Location" not in response


def test_who_says_no_lets_nobody_in() -> None:
    site = make_site()
    response = agree(person(site), opened(site), {"refuse": "yes"})
    assert response.status_code == 302
    assert "error=access_denied" in response["Location"]


def test_an_app_for_one_patient_sees_that_one_alone() -> None:
    site = make_site()
    ada = make_exam(site, patient=make_patient(site, number="N77"))
    other = make_exam(site)
    app, client = opened(site), person(site)
    scope = "patient/*.rs launch/patient"
    assert "Patient number" in client.get("/apps/authorize", asked(app, scope=scope)).content.decode()
    assert agree(client, app, {"allow": "yes", "number": "N78"}, scope=scope).status_code == 422
    _, told = exchange(app, code_in(agree(client, app, {"allow": "yes", "number": "N77"}, scope=scope)))
    assert told["patient"] == str(ada.patient_id)
    reader = with_token(told["access_token"])
    assert get(reader, f"Patient/{ada.patient_id}")[0] == 200
    assert get(reader, f"Patient/{other.patient_id}")[0] == 404
    assert get(reader, f"ServiceRequest/{other.pk}")[0] == 404
    for kind in ("Patient", "ServiceRequest"):
        assert get(reader, kind)[1]["total"] == 1
    assert get(reader, f"ServiceRequest?patient={other.patient_id}")[1]["total"] == 0
    assert get(reader, "Task")[1]["total"] == 1
    found = match_of(reader, "N77"), match_of(reader, "none")
    assert found == (1, 0)


def match_of(client: Client, number: str) -> int:
    told = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": {"resourceType": "Patient", "identifier": [{"value": number}]}}
        ],
    }
    response = client.post(BASE + "Patient/$match", json.dumps(told), content_type="application/fhir+json")
    return int(response.json()["total"])


@pytest.mark.parametrize("role", [Role.PORTER, Role.TECHNOLOGIST])
def test_who_may_not_read_by_fhir_lets_no_app_in(role: Role) -> None:
    site = make_site()
    app = opened(site)
    assert person(site, role).get("/apps/authorize", asked(app)).status_code == 404
    assert Client().get("/apps/authorize", asked(app)).status_code == 302


def test_an_app_of_another_site_is_not_there() -> None:
    app = opened(make_site("OTHER"))
    assert person(make_site()).get("/apps/authorize", asked(app)).status_code == 404
    assert Patient.objects.count() == 0


@pytest.mark.parametrize(
    "address", ["http://app.example/", "javascript:alert(1)", "https://app.example/#x", "app.example"]
)
def test_an_address_in_clear_or_with_a_fragment_is_not_taken(address: str) -> None:
    with pytest.raises(app_actions.BadApp):
        app_actions.create_app(site=make_site(), name="x", scopes="user/*.rs", redirects=[address], at=AT)


STAYS = "user/*.rs offline_access"


def refresh(app: App, secret: str, **change: str) -> tuple[int, Any]:
    told = {"grant_type": "refresh_token", "client_id": app.client_id, "refresh_token": secret, **change}
    response = Client().post(TOKEN, told)
    assert response["Cache-Control"] == "no-store"
    return response.status_code, response.json()


def signed_in_for_long(site: Site, **change: str) -> tuple[App, Any]:
    app, client = opened(site, f"{STAYS} user/Patient.rs launch/patient"), person(site)
    page = client.get("/apps/authorize", asked(app, scope=STAYS)).content.decode()
    assert "stay signed in for you" in page
    status, told = exchange(app, code_in(agree(client, app, scope=STAYS, **change)))
    assert status == 200
    return app, told


def reads(told: Any) -> int:
    return get(with_token(told["access_token"]), "Patient")[0]


def test_an_app_that_stays_signed_in_gets_its_next_token_once_for_each_refresh_token() -> None:
    app, first = signed_in_for_long(make_site())
    assert not AppRefresh.objects.filter(sha256=first["refresh_token"]).exists()
    status, second = refresh(app, first["refresh_token"])
    assert (status, second["scope"], reads(second)) == (200, STAYS, 200)
    assert second["refresh_token"] != first["refresh_token"]
    narrow = refresh(app, second["refresh_token"], scope="user/Patient.rs")
    assert narrow[0] == 400
    assert narrow[1]["error"] == "invalid_scope"


def test_a_narrower_token_leaves_what_was_agreed_to() -> None:
    app, first = signed_in_for_long(make_site())
    _, second = refresh(app, first["refresh_token"], scope="user/*.rs")
    assert second["scope"] == "user/*.rs"
    assert refresh(app, second["refresh_token"])[1]["scope"] == STAYS


def test_a_refresh_token_in_two_hands_ends_all_that_came_from_the_same_agreement() -> None:
    site = make_site()
    app, first = signed_in_for_long(site)
    other = exchange(app, code_in(agree(signed_in(site), app, scope=STAYS)))[1]
    _, second = refresh(app, first["refresh_token"])
    assert refresh(app, first["refresh_token"])[1]["error"] == "invalid_grant"
    assert [reads(told) for told in (first, second)] == [401, 401]
    assert refresh(app, second["refresh_token"])[0] == 400
    assert reads(other) == 200
    assert refresh(app, other["refresh_token"])[0] == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_uses_at_once_one_is_answered_and_the_agreement_ends() -> None:
    app, first = signed_in_for_long(make_site())

    def use(_: int) -> int:
        try:
            return refresh(app, first["refresh_token"])[0]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, range(2))) == [200, 400]
    assert not AppRefresh.objects.exists()


def test_what_ends_an_agreement_ends_its_refresh_tokens() -> None:
    site = make_site()
    app, told = signed_in_for_long(site)
    stranger = app_actions.create_app(site=site, name="other", scopes=STAYS, redirects=[BACK], at=AT)
    for wrong in ("", "nonsense"):
        assert refresh(app, wrong)[0] == 400
    assert refresh(stranger, told["refresh_token"])[0] == 400
    User.objects.update(is_active=False)
    assert refresh(app, told["refresh_token"])[0] == 400
    User.objects.update(is_active=True)
    _, told = exchange(app, code_in(agree(signed_in(site), app, scope=STAYS)))
    AppRefresh.objects.update(until=clock.now())
    assert refresh(app, told["refresh_token"])[0] == 400
    _, told = exchange(app, code_in(agree(signed_in(site), app, scope=STAYS)))
    app_actions.revoke_app(site=site, name="viewer", at=AT)
    assert refresh(app, told["refresh_token"])[0] in (400, 401)


def test_who_did_not_ask_for_it_gets_no_refresh_token_and_a_service_never() -> None:
    site = make_site()
    app, client = opened(site, STAYS), person(site)
    assert "refresh_token" not in exchange(app, code_in(agree(client, app)))[1]
    lab = service(site, "system/*.rs offline_access")
    status, told = ask(signed(lab), scope="system/*.rs offline_access")
    assert status == 200
    assert "refresh_token" not in told
