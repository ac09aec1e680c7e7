"""Speaking FHIR to one EHR: signing in (SMART Backend Services) by Authlib, asking, and what a bad answer means."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc7523 import private_key_jwt_sign
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from xraydesk.lib import clock
from xraydesk.links.ehr.searchset_codec import NotASearchset, read_json
from xraydesk.links.outgoing.wire import Later, NoAnswer, NotReached
from xraydesk.links.outside import client
from xraydesk.links.outside.address_rules import is_below
from xraydesk.links.outside.client import HttpAnswer, Reach
from xraydesk.links.outside.retry_rules import retry_after_seconds
from xraydesk.siteplan.link_plan import EhrPlan, Pulls, Pushes

FHIR_JSON = "application/fhir+json"
ASSERTION_SECONDS = 240
TOKEN_SECONDS_MIN = 30
"""A token that is good for no longer is asked for anew."""

ALGORITHMS = {"RSA": "RS384", "EC": "ES384"}
WRITTEN = {
    Pushes.APPOINTMENTS: "Appointment",
    Pushes.STUDIES: "ImagingStudy",
    Pushes.REPORTS: "DiagnosticReport",
    Pushes.COMMUNICATIONS: "Communication",
}
"""The type behind each thing that is written."""

_tokens: dict[tuple[str, str, str], tuple[str, float]] = {}
"""By EHR and what is asked for: a token and until when it is good (time.monotonic). Kept in this process alone."""
_tokens_lock = threading.Lock()


AGAIN = frozenset({408, 425, 429})
"""Answers that ask for another try, as every 5xx does."""


class NotLetIn(NotReached):
    """The EHR gives no token, or takes none: nothing was sent."""


class Session:
    """Requests to one EHR; nothing beyond its base is asked, but the place of its tokens."""

    def __init__(self, ehr: EhrPlan) -> None:
        self.ehr = ehr
        self._reach = Reach(ehr.networks, ehr.authority)

    def get(self, url: str) -> Any:
        """What is at an address below the base, as JSON. Raises OSError: nobody there, no right, or no answer that can be read."""
        answered = self.ask("GET", url)
        raise_later(answered)
        if answered.status != 200:
            raise NoAnswer(f"it answered {answered.status} when it was asked")
        try:
            return read_json(answered.body)
        except NotASearchset as bad:
            raise NoAnswer(str(bad)) from None

    def ask(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """One request, signed in; a token that is refused is asked for anew once. Raises OSError."""
        if not is_below(url, self.ehr.base):
            raise NoAnswer("it leads to an address beyond its own")
        told = {"Accept": FHIR_JSON, **(headers or {})}
        if body is not None:
            told["Content-Type"] = FHIR_JSON
        answered = self._asked(method, url, body, told)
        if answered.status == 401 and self.ehr.client_id:
            self._forget()
            answered = self._asked(method, url, body, told)
        if answered.status == 401:
            raise NotLetIn("it lets the desk in no more (401)")
        if 300 <= answered.status < 400 and answered.status != 304:
            raise NoAnswer(f"it leads elsewhere ({answered.status}), and nothing is followed")
        return answered

    def _asked(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> HttpAnswer:
        token = self._token() if self.ehr.client_id else ""
        signed = {**headers, "Authorization": f"Bearer {token}"} if token else headers
        return client.ask(method, url, reach=self._reach, headers=signed, body=body)

    def _known_as(self) -> tuple[str, str, str]:
        return self.ehr.base, self.ehr.client_id, self._scope()

    def _scope(self) -> str:
        """What the desk asks to be allowed: no more than the site file has it do."""
        read = [f"system/{kind}.rs" for kind in Pulls if kind in self.ehr.pulls]
        return " ".join([*read, *(f"system/{WRITTEN[one]}.crus" for one in self.ehr.sends)])

    def _forget(self) -> None:
        with _tokens_lock:
            _tokens.pop(self._known_as(), None)

    def _token(self) -> str:
        with _tokens_lock:
            kept, good_until = _tokens.get(self._known_as(), ("", 0.0))
        if kept and good_until > time.monotonic():
            return kept
        where = self.ehr.token or self._token_address()
        asked = {
            "grant_type": "client_credentials",
            "scope": self._scope(),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self._assertion(where),
        }
        answered = client.ask(
            "POST",
            where,
            reach=self._reach,
            headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
            body=urlencode(asked).encode(),
        )
        raise_later(answered)
        told = _object(answered)
        token, seconds = told.get("access_token"), told.get("expires_in", 300)
        if answered.status != 200 or not isinstance(token, str) or not token.isascii() or "\n" in token:
            raise NotLetIn(f"it gives the desk no token ({answered.status})")
        until = time.monotonic() + (seconds if isinstance(seconds, int) else 300) - TOKEN_SECONDS_MIN
        with _tokens_lock:
            _tokens[self._known_as()] = (token, until)
        return token

    def _token_address(self) -> str:
        """Where tokens are had, as the server says (SMART App Launch 2, `.well-known`)."""
        url = f"{self.ehr.base}/.well-known/smart-configuration"
        told = _object(client.ask("GET", url, reach=self._reach, headers={"Accept": "application/json"}))
        found = told.get("token_endpoint")
        if not isinstance(found, str) or (self.ehr.tls and not found.startswith("https://")):
            raise NotLetIn("it does not say where tokens are had: write token into the site file")
        return found

    def _assertion(self, audience: str) -> str:
        """The proof of who the desk is: a JWT that it signed (RFC 7523)."""
        try:
            data = json.loads(Path(self.ehr.key).read_text(encoding="utf-8"))
            key = import_key(data)
            algorithm = ALGORITHMS[str(data["kty"])]
            return str(
                private_key_jwt_sign(
                    key,
                    self.ehr.client_id,
                    audience,
                    alg=algorithm,
                    header={"kid": data.get("kid") or key.thumbprint(), "alg": algorithm},
                    expires_in=ASSERTION_SECONDS,
                )
            )
        except (OSError, ValueError, KeyError, TypeError, JoseError) as bad:
            raise NotLetIn(f"the desk's own key cannot be used ({type(bad).__name__})") from None


def raise_later(answered: HttpAnswer) -> None:
    """Raise Later for an answer that asks for another try, with how long the EHR asks to be left alone."""
    if answered.status in AGAIN or answered.status >= 500:
        wait = retry_after_seconds(answered.headers.get("retry-after", ""), at=clock.now())
        raise Later(f"it answered {answered.status}", wait)


def _object(answered: HttpAnswer) -> Mapping[str, Any]:
    try:
        told = read_json(answered.body)
    except NotASearchset:
        return {}
    return told if isinstance(told, dict) else {}
