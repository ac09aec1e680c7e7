"""Apps of others: made, their keys changed, let in for a while, shut out. The only writer of their tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from xraydesk.access.actions import AccessRefused, BadName, NameTaken
from xraydesk.access.members import token_digest
from xraydesk.access.models import App, AppAssertion, AppCode, AppRefresh, AppToken, Site, User
from xraydesk.lib.ids import new_secret
from xraydesk.lib.networks import is_network

CODE_FOR = timedelta(minutes=2)
SERVICE_TOKEN_FOR = timedelta(minutes=5)
"""SMART Backend Services: no longer than five minutes; the service asks again."""

PERSON_TOKEN_FOR = timedelta(hours=1)
AGREED_FOR = timedelta(days=90)
"""An app that stays signed in does so for no longer than this after somebody agreed."""

ASSERTION_FOR_MAX = timedelta(minutes=10)
"""A signed request may be good for no longer; its number is kept so long."""

REDIRECTS_MAX = 10
NETWORKS_MAX = 10
ADDRESS_LENGTH_MAX = 500
KEYS_MAX = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REDIRECT = re.compile(r"(https://[^\s#]+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?/[^\s#]*)")


class BadApp(AccessRefused):
    """What the app is said to be cannot be."""


def create_app(
    *,
    site: Site,
    name: str,
    scopes: str,
    keys: Sequence[dict[str, Any]] = (),
    keys_at: str = "",
    networks: Sequence[str] = (),
    issuer: str = "",
    redirects: Sequence[str] = (),
    at: datetime,
) -> App:
    """Let an app sign in: a service by its `keys` or those at an address, or one that people open and that is answered at `redirects`.

    `networks` within are those that the address of its keys may lie in; else it is public. `issuer` is how an EHR names
    itself where it signs its calls of CDS Hooks.

    Raises BadName, BadApp or NameTaken.
    """
    if not _NAME.fullmatch(name):
        raise BadName("A name has 1 to 64 letters, digits, dots, hyphens or underscores, and no spaces.")
    if [bool(keys), bool(keys_at), bool(redirects)].count(True) != 1:
        raise BadApp(
            "Give a service its public keys or the address they are had at, "
            "or an app that people open the addresses it is answered at."
        )
    if keys_at and (len(keys_at) > ADDRESS_LENGTH_MAX or not _REDIRECT.fullmatch(keys_at)):
        raise BadApp("Keys are had at an address that begins with https:// (http:// on this machine alone).")
    if len(networks) > NETWORKS_MAX or not all(is_network(one) for one in networks):
        raise BadApp("A network is written as 10.0.0.0/8.")
    if issuer and (len(issuer) > ADDRESS_LENGTH_MAX or issuer.split() != [issuer] or redirects):
        raise BadApp("An issuer is what a service writes as iss: an address, without spaces.")
    if not scopes.strip():
        raise BadApp("Say what it may do, such as system/*.rs.")
    _check_contexts(scopes, people=bool(redirects))
    if len(redirects) > REDIRECTS_MAX or not all(_REDIRECT.fullmatch(one) for one in redirects):
        raise BadApp("An address begins with https:// (http:// on this machine alone) and has no fragment.")
    try:
        with transaction.atomic():
            return App.objects.create(
                site=site,
                client_id=new_secret(16),
                name=name,
                people=bool(redirects),
                keys=public_keys(keys),
                keys_at=keys_at,
                networks=list(networks),
                issuer=issuer,
                redirects=list(redirects),
                scopes=" ".join(scopes.split()),
                created_at=at,
            )
    except IntegrityError:
        words = f"There is an app {name}, or one of that issuer, already: revoke it, or choose another name."
        raise NameTaken(words) from None


def _check_contexts(scopes: str, *, people: bool) -> None:
    """A service acts for nobody: `user/` and `patient/` would limit it to nobody's records. Raises BadApp."""
    fit = ("user", "patient") if people else ("system",)
    for one in scopes.split():
        context = one.partition("/")[0]
        if context in ("user", "patient", "system") and context not in fit:
            who = "An app that people open acts for them: it" if people else "A service acts for itself: it"
            raise BadApp(f"{who} is given {' or '.join(f'{c}/…' for c in fit)}, and not {one[:60]}.")


PUBLIC_PARTS = {"kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y"}
"""What a public key tells (RFC 7518); anything else of it, a secret above all, is not kept."""


def public_keys(keys: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keys as they are kept. Raises BadApp where one is none, or is a secret."""
    if len(keys) > KEYS_MAX:
        raise BadApp(f"An app has at most {KEYS_MAX} keys.")
    for key in keys:
        if (
            not isinstance(key, dict)
            or key.get("kty") not in ("RSA", "EC")
            or not isinstance(key.get("kid"), str)
        ):
            raise BadApp("A key is a JWK of kty RSA or EC, with a kid.")
        if "d" in key:
            raise BadApp(
                "That is a secret key. Keep it to yourself, make a new one, and give the public one."
            )
    return [{name: value for name, value in key.items() if name in PUBLIC_PARTS} for key in keys]


def set_keys(*, site: Site, name: str, keys: Sequence[dict[str, Any]]) -> bool:
    """Change the keys of a service; what is signed with others is refused from now on. False where there is no such app."""
    kept = public_keys(keys)
    if not kept:
        raise BadApp("A service has at least one key; revoke it where it is to have none.")
    return (
        App.objects.filter(site=site, name=name, revoked_at=None, people=False).update(keys=kept, keys_at="")
        == 1
    )


def revoke_app(*, site: Site, name: str, at: datetime) -> bool:
    """Shut an app out from now on, its tokens included; False where none of that name is in force."""
    return App.objects.filter(site=site, name=name, revoked_at=None).update(revoked_at=at) == 1


def note_assertion(*, app: App, number: str, at: datetime) -> bool:
    """Note the number of a signed request; False where it was sent before."""
    AppAssertion.objects.filter(app=app, until__lte=at).delete()
    _, first = AppAssertion.objects.get_or_create(
        app=app, number=token_digest(number), defaults={"until": at + ASSERTION_FOR_MAX}
    )
    return first


def issue_code(
    *,
    app: App,
    user: User,
    code: str,
    redirect: str,
    scopes: str,
    patient: int | None,
    challenge: str,
    at: datetime,
) -> None:
    """Keep what a person agreed to, until the app fetches its token."""
    AppCode.objects.filter(app=app, until__lte=at).delete()
    AppCode.objects.create(
        app=app,
        user=user,
        sha256=token_digest(code),
        redirect=redirect,
        scopes=scopes,
        patient=patient,
        challenge=challenge,
        until=at + CODE_FOR,
    )


def take_code(*, app: App, code: str, at: datetime) -> AppCode | None:
    """What was agreed to under a code, which is used up by this; None where it is unknown, too old, or used."""
    with transaction.atomic():
        found = (
            AppCode.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(app=app, sha256=token_digest(code))
            .first()
        )
        if found is None:
            return None
        AppCode.objects.filter(pk=found.pk).delete()
    return found if found.until > at else None


def issue_refresh(
    *,
    app: App,
    secret: str,
    user: User,
    scopes: str,
    patient: int | None,
    was: AppRefresh | None,
    at: datetime,
) -> str:
    """Keep what the next token is had for: of a new family, or of that of the one that was used up. The family."""
    AppRefresh.objects.filter(app=app, until__lte=at).delete()
    family = was.family if was else new_secret(16)
    AppRefresh.objects.create(
        app=app,
        sha256=token_digest(secret),
        family=family,
        user=user,
        scopes=was.scopes if was else scopes,
        patient=patient,
        until=was.until if was else at + AGREED_FOR,
    )
    return family


def take_refresh(*, app: App, secret: str, at: datetime) -> AppRefresh | None:
    """What was agreed to under a refresh token, which is used up by this; None where it is unknown or too old.

    One that was used before is in two hands: everything that came from the same agreement ends, tokens included.
    """
    with transaction.atomic():
        found = (
            AppRefresh.objects.select_for_update(of=("self",))
            .select_related("user")
            .filter(app=app, sha256=token_digest(secret))
            .first()
        )
        if found is None or found.until <= at:
            return None
        if found.used_at is not None:
            AppToken.objects.filter(app=app, family=found.family).delete()
            AppRefresh.objects.filter(app=app, family=found.family).delete()
            return None
        AppRefresh.objects.filter(pk=found.pk).update(used_at=at)
    return found


def issue_token(
    *,
    app: App,
    secret: str,
    user: User | None,
    scopes: str,
    patient: int | None,
    at: datetime,
    family: str = "",
) -> None:
    """Keep a token of an app, for as long as its kind is good."""
    AppToken.objects.filter(app=app, until__lte=at).delete()
    AppToken.objects.create(
        app=app,
        sha256=token_digest(secret),
        user=user,
        scopes=scopes,
        patient=patient,
        until=at + (PERSON_TOKEN_FOR if user else SERVICE_TOKEN_FOR),
        family=family,
    )


def apps_of(site: Site) -> Iterable[App]:
    """Apps that may sign in at a site, by name."""
    return App.objects.filter(site=site, revoked_at=None).order_by("name")
