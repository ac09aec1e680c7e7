"""Letting apps sign in (SMART App Launch 2): OAuth 2 by Authlib, on the apps, codes and tokens that `access` keeps.

Services prove themselves by a signed request (RFC 7523, RS384 or ES384) and get a token for five minutes. Apps that
people open get a code once somebody has agreed on a page here, and exchange it with the verifier of its challenge
(RFC 7636, S256 alone).
"""

from __future__ import annotations

from typing import Any

from authlib.integrations.django_oauth2 import AuthorizationServer
from authlib.integrations.django_oauth2.requests import DjangoOAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, InvalidRequestError, OAuth2Request, grants
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7636 import CodeChallenge
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from xraydesk.access import app_actions
from xraydesk.access.models import App, AppCode, AppRefresh, AppToken, User
from xraydesk.lib import clock
from xraydesk.lib.ids import new_secret
from xraydesk.links.fhir.app_keys import keys_of
from xraydesk.links.fhir.scopes_codec import OFFLINE, granted, stays_signed_in

ALGORITHMS = ("RS384", "ES384")
FHIR_PATH = "/fhir/R4"
TOKEN_PATH = "/fhir/R4/auth/token"  # noqa: S105 - an address
AUTHORIZE_PATH = "/apps/authorize"
SCOPES_LENGTH_MAX = 1000
REFRESH = "refresh_token"


class Client(ClientMixin):  # type: ignore[misc]
    """An app as Authlib asks about it."""

    def __init__(self, app: App) -> None:
        self.app = app

    def get_client_id(self) -> str:
        """By which it is known."""
        return self.app.client_id

    def get_default_redirect_uri(self) -> str | None:
        """None: an app says where it is to be answered."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        """What it is granted of what it asks for; all that it may have where it asks for nothing."""
        return granted((scope or self.app.scopes)[:SCOPES_LENGTH_MAX], self.app.scopes.split())

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it may be answered there: letter by letter as it was registered."""
        return redirect_uri in self.app.redirects

    def check_client_secret(self, client_secret: str) -> bool:
        """Never: no app has a secret here."""
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """A service proves itself by its key; an app of people by the verifier of its challenge alone."""
        return method == ("none" if self.app.people else SignedRequest.CLIENT_AUTH_METHOD)

    def check_response_type(self, response_type: str) -> bool:
        """Codes, for apps of people."""
        return self.app.people and response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Which way it gets a token."""
        if self.app.people:
            return grant_type in ("authorization_code", REFRESH)
        return grant_type == "client_credentials"


class SignedRequest(JWTBearerClientAssertion):  # type: ignore[misc]
    """The proof of a service: a JWT that it signed."""

    def __init__(self, audiences: list[str]) -> None:
        super().__init__(validate_jti=True)
        self.audiences = audiences
        self._kid = ""

    def get_audiences(self) -> list[str]:
        """For whom it must be meant: the address of the token."""
        return self.audiences

    def extract_assertion(self, assertion: str) -> Any:
        """What the proof says before anything of it is believed; which key it names is noted."""
        headers, claims = super().extract_assertion(assertion)
        self._kid = str(headers.get("kid", ""))
        return headers, claims

    def resolve_client_public_key(self, client: Client) -> KeySet:
        """The keys of the service, old and new."""
        keys = keys_of(client.app, self._kid)
        if not keys:
            raise InvalidClientError(description="This app has no keys, or they cannot be had.")
        return KeySet.import_key_set({"keys": keys})

    def process_assertion_claims(self, assertion: str, resolve_key: Any) -> Any:
        """The claims of a proof that is signed as SMART has it, and good for no longer than it has it."""
        headers, claims = self.extract_assertion(assertion)
        if headers.get("alg") not in ALGORITHMS or not headers.get("kid"):
            raise InvalidClientError(
                description=f"Sign with {' or '.join(ALGORITHMS)}, and name the key (kid)."
            )
        until, latest = claims.get("exp"), clock.now() + app_actions.ASSERTION_FOR_MAX
        if not isinstance(until, int | float) or until > latest.timestamp():
            raise InvalidClientError(description="The request is good for too long: five minutes at most.")
        try:
            read = jwt.decode(assertion, resolve_key, algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:  # ValueError: no key of that name
            raise InvalidClientError(description="No key of this app fits.") from error
        self.verify_claims(read.claims)
        return read.claims

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        """Whether it is the first of its number."""
        app = App.objects.get(client_id=claims["sub"])
        return isinstance(jti, str) and app_actions.note_assertion(app=app, number=jti, at=clock.now())


class Code:
    """What a person agreed to, as Authlib asks about it."""

    def __init__(self, row: AppCode) -> None:
        self.row = row
        self.code_challenge = row.challenge
        self.code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        """Where the app was answered."""
        return self.row.redirect

    def get_scope(self) -> str:
        """What was agreed to."""
        return self.row.scopes


class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    """Codes for apps that people open."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Keep what was agreed to."""
        app_actions.issue_code(
            app=request.client.app,
            user=request.user,
            code=code,
            redirect=request.payload.redirect_uri,
            scopes=request.client.get_allowed_scope(request.payload.scope),
            patient=getattr(request, "patient", None),
            challenge=request.payload.data["code_challenge"],
            at=clock.now(),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        """What was agreed to under a code; it is used up by asking."""
        row = app_actions.take_code(app=client.app, code=code, at=clock.now())
        return Code(row) if row else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It went when it was asked for."""

    def authenticate_user(self, authorization_code: Code) -> User | None:
        """Who agreed; nobody where they do not work here any more."""
        user = authorization_code.row.user
        return user if user.is_active else None


class Refresh:
    """What an app gets its next token for, as Authlib asks about it."""

    def __init__(self, row: AppRefresh) -> None:
        self.row = row

    def check_client(self, client: Client) -> bool:
        """Whether it is that app's; others are never given it."""
        return self.row.app_id == client.app.pk

    def get_scope(self) -> str:
        """What was agreed to."""
        return self.row.scopes


class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    """The next token of an app that stays signed in; each refresh token is good once, and brings the next one."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        """What was agreed to; the token is used up by asking."""
        row = app_actions.take_refresh(app=self.request.client.app, secret=refresh_token, at=clock.now())
        return Refresh(row) if row else None

    def authenticate_user(self, refresh_token: Refresh) -> User | None:
        """Who agreed; nobody where they do not work here any more."""
        user = refresh_token.row.user
        return user if user.is_active else None

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        """It was used up when it was asked for."""


class Challenge(CodeChallenge):  # type: ignore[misc]
    """The challenge is S256, and never missing."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        """Refuse what has none."""
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Send code_challenge, and S256 as code_challenge_method.")
        super().validate_code_challenge(grant, redirect_uri)


class MeantForHere:
    """What an app wants to ask with its token (`aud`) is this desk: nobody else's server sends it here for a token of ours (SMART App Launch 2)."""

    def __init__(self, server: str) -> None:
        self._server = server

    def __call__(self, grant: CodeGrant) -> None:
        """Have each request for a code looked at."""
        grant.register_hook("after_validate_authorization_request_payload", self._check)

    def _check(self, grant: CodeGrant, redirect_uri: str) -> None:
        told = str(grant.request.payload.data.get("aud", ""))
        if told.rstrip("/") != self._server:
            raise InvalidRequestError(f"Send aud, and {self._server} in it: where the app will ask.")


class _Request(DjangoOAuth2Request):  # type: ignore[misc]
    """A request as Authlib reads it. Which addresses may be served in clear is decided where the desk is started."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(_AsTls(request))


class _AsTls:
    """A Django request whose address says https."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def build_absolute_uri(self) -> str:
        """The address, as it is outside of a proxy that speaks TLS."""
        return "https://" + self._request.build_absolute_uri().partition("://")[2]


class Server(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server on the desk's tables."""

    def __init__(self, base: str) -> None:
        super().__init__(App, AppToken)
        self.register_client_auth_method(
            SignedRequest.CLIENT_AUTH_METHOD,
            SignedRequest([f"{base}{TOKEN_PATH}"]),
        )
        self.register_grant(ServiceGrant)
        self.register_grant(CodeGrant, [Challenge(required=True), MeantForHere(f"{base}{FHIR_PATH}")])
        self.register_grant(RefreshGrant)

    def create_oauth2_request(self, request: HttpRequest | OAuth2Request) -> OAuth2Request:
        """A request as Authlib reads it."""
        return request if isinstance(request, OAuth2Request) else _Request(request)

    def query_client(self, client_id: str) -> Client | None:
        """An app that may sign in."""
        app = (
            App.objects.filter(client_id=str(client_id)[:64], revoked_at=None).select_related("site").first()
        )
        return Client(app) if app else None

    def generate_token(
        self,
        *,
        client: Client,
        grant_type: str,
        user: User | None,
        scope: str | None,
        include_refresh_token: bool = False,
        **_: Any,
    ) -> dict[str, Any]:
        """A new token with what it may do, and where an app stays signed in what the next one is had for."""
        length = app_actions.PERSON_TOKEN_FOR if user else app_actions.SERVICE_TOKEN_FOR
        goes_on = include_refresh_token and user is not None
        goes_on = goes_on and (grant_type == REFRESH or stays_signed_in(scope or ""))
        further = {"refresh_token": new_secret()} if goes_on else {}
        return {
            "access_token": new_secret(),
            "token_type": "bearer",
            "expires_in": int(length.total_seconds()),
            "scope": client.get_allowed_scope(scope),
            **further,
        }

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        """Keep it, and tell the app of the patient it was opened for."""
        code, was = getattr(request, "authorization_code", None), getattr(request, "refresh_token", None)
        agreed = code or was
        patient = agreed.row.patient if agreed else None
        family = ""
        if "refresh_token" in token:
            family = app_actions.issue_refresh(
                app=request.client.app,
                secret=token["refresh_token"],
                user=request.user,
                scopes=token["scope"],
                patient=patient,
                was=was.row if was else None,
                at=clock.now(),
            )
        app_actions.issue_token(
            family=family,
            app=request.client.app,
            secret=token["access_token"],
            user=request.user,
            scopes=token["scope"],
            patient=patient,
            at=clock.now(),
        )
        if patient is not None:
            token["patient"] = str(patient)


class ServiceGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    """Tokens for services."""

    TOKEN_ENDPOINT_AUTH_METHODS = (SignedRequest.CLIENT_AUTH_METHOD,)


def base_of(request: HttpRequest) -> str:
    """The address of this desk, without a stroke at its end."""
    return request.build_absolute_uri("/").rstrip("/")


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """A token for an app that proves who it is (RFC 6749 §3.2)."""
    # What is used up and what comes of it are one: whoever uses the same again waits, and sees both. A refusal is an answer.
    with transaction.atomic():
        answered: HttpResponse = Server(base_of(request)).create_token_response(request)
    answered["Cache-Control"] = "no-store"
    return answered


def smart_configuration(request: HttpRequest) -> HttpResponse:
    """Where apps sign in, and how; for anybody."""
    return JsonResponse(configuration(base_of(request)))


def configuration(base: str) -> dict[str, Any]:
    """What apps read first (`.well-known/smart-configuration`)."""
    return {
        "issuer": f"{base}{FHIR_PATH}",
        "authorization_endpoint": f"{base}{AUTHORIZE_PATH}",
        "token_endpoint": f"{base}{TOKEN_PATH}",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": [
            "launch/patient",
            "patient/*.rs",
            "user/*.rs",
            "system/*.rs",
            "system/*.cruds",
            OFFLINE,
        ],
        "capabilities": [
            "launch-standalone",
            "client-public",
            "client-confidential-asymmetric",
            "context-standalone-patient",
            "permission-offline",
            "permission-patient",
            "permission-user",
            "permission-v1",
            "permission-v2",
        ],
    }
