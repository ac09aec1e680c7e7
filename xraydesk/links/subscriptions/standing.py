"""Who is called, and how it stands with them. The only writer of its table."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.db import transaction

from xraydesk.access.members import Member
from xraydesk.access.models import App, Site, Token
from xraydesk.access.roles import Role
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.lib.prepared import Question, ask
from xraydesk.links.models import Subscription
from xraydesk.links.outgoing.defer import defer_sending
from xraydesk.links.outside.client import Reach
from xraydesk.links.states import SubscriptionState
from xraydesk.links.subscriptions.signing_codec import SECRET_BYTES, secret_of
from xraydesk.links.subscriptions.subscription_codec import Asked
from xraydesk.siteplan.link_plan import SubscriberPlan
from xraydesk.siteplan.reading import from_json

HOOK_PREFIX = "hook-"
SUBSCRIPTIONS_MAX = 100
"""No program has more of them."""

GIVEN_UP_AFTER = timedelta(days=3)
"""Who takes no call for so long is not called any more, until they subscribe anew."""

CALLED = (SubscriptionState.ACTIVE, SubscriptionState.ERROR)
"""States in which events are told."""

STANDING = (SubscriptionState.REQUESTED, *CALLED)
WHY_LENGTH_MAX = 500


class TooMany(Exception):
    """The program has as many Subscriptions as one may have."""


@dataclass(frozen=True)
class Hook:
    """Where the calls of one Subscription go, as the queue of messages needs it."""

    key: int
    name: str
    where: str
    reach: Reach
    secret: str
    headers: tuple[str, ...]

    @property
    def tls(self) -> bool:
        """True where it is called with TLS."""
        return self.where.startswith("https:")


def _seal() -> Fernet:
    digest = hashlib.sha256(b"what subscribers are called with\0" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))


def subscriber(site: Site, who: str) -> SubscriberPlan:
    """What the site file lets a program be called at; public addresses with TLS where it says nothing."""
    name = who.partition(":")[2]
    named = from_json(site.plan).subscribers if site.plan else ()
    return next((one for one in named if one.name == name), SubscriberPlan(name))


def create(
    *,
    member: Member,
    asked: Asked,
    resource: Mapping[str, Any],
    base: str,
    at: datetime,
) -> tuple[Subscription, str]:
    """Keep what a program asks for; it is called once it answered the handshake. With it, the secret that its calls are signed with.

    Raises TooMany.
    """
    if Subscription.objects.filter(site=member.site, who=member.who).count() >= SUBSCRIPTIONS_MAX:
        raise TooMany(f"One program has at most {SUBSCRIPTIONS_MAX} Subscriptions.")
    secret = secret_of(secrets.token_bytes(SECRET_BYTES))
    sealed = json.dumps({"secret": secret, "headers": asked.headers})
    row = Subscription.objects.create(
        site=member.site,
        who=member.who,
        scopes=member.scopes,
        topic=asked.topic,
        filters=list(asked.filters),
        endpoint=asked.endpoint,
        content=asked.content,
        heartbeat_seconds=asked.heartbeat_seconds,
        until=asked.until,
        sealed=_seal().encrypt(sealed.encode()).decode(),
        resource=dict(resource),
        base=base,
        state=SubscriptionState.REQUESTED,
        created_at=at,
        changed_at=at,
    )
    return row, secret


def holder(row: Subscription) -> Member | None:
    """The program that subscribed, with the role that it has now; None where it may come in no more."""
    kind, _, name = row.who.partition(":")
    role: Role | None = None
    if kind == "token":
        token = Token.objects.filter(site=row.site_id, name=name, revoked_at=None).first()
        role = Role(token.role) if token else None
    elif (
        kind == "app"
        and App.objects.filter(site=row.site_id, name=name, people=False, revoked_at=None).exists()
    ):
        role = Role.SYSTEM
    if role is None:
        return None
    return Member(who=row.who, name=name, site=row.site, role=role, scopes=row.scopes)


def is_anybody_called(*, site_id: int, topics: Sequence[str]) -> bool:
    """Whether anybody at a site is called about one of some topics."""
    called = "site_id = $1 AND topic = ANY ($2::text[]) AND state = ANY ($3::text[])"
    question = Question(
        f"SELECT 1 FROM links_subscription WHERE {called} LIMIT 1",
        [site_id, [*topics], [state.value for state in CALLED]],
        frozenset({"links_subscription"}),
    )
    return bool(ask(question))


def hook_of(site: Site, link: str) -> Hook | None:
    """Where the calls of a link go; None where nobody is called any more."""
    key = link.removeprefix(HOOK_PREFIX)
    if not link.startswith(HOOK_PREFIX) or not key.isdecimal():
        return None
    row = Subscription.objects.filter(site=site, pk=int(key), state__in=STANDING).first()
    if row is None:
        return None
    opened = json.loads(_seal().decrypt(row.sealed.encode()))
    plan = subscriber(site, row.who)
    return Hook(
        row.pk,
        row.link,
        row.endpoint,
        Reach(plan.networks, plan.authority),
        opened["secret"],
        tuple(opened["headers"]),
    )


def taken(key: int, *, at: datetime) -> None:
    """A call was answered well: who waited for the handshake, or failed, is called from now on."""
    Subscription.objects.filter(pk=key, state__in=STANDING).exclude(
        state=SubscriptionState.ACTIVE, failing_since=None
    ).update(state=SubscriptionState.ACTIVE, why="", failing_since=None, changed_at=at)


def failed(key: int, why: str, *, at: datetime) -> None:
    """A call was refused, or nobody answered."""
    fails = Subscription.objects.filter(pk=key, state__in=STANDING)
    fails.filter(failing_since=None).update(failing_since=at, changed_at=at)
    fails.exclude(state=SubscriptionState.REQUESTED).update(state=SubscriptionState.ERROR)
    fails.update(why=why[:WHY_LENGTH_MAX])


@transaction.atomic
def end(row: Subscription, why: str, *, at: datetime) -> None:
    """Call somebody no more; what waits for them is withdrawn."""
    ended = Subscription.objects.filter(pk=row.pk, state__in=STANDING)
    if ended.update(state=SubscriptionState.OFF, why=why[:WHY_LENGTH_MAX], changed_at=at):
        close_items(site_id=row.site_id, key=f"outlink:{row.link}", at=at, by="rule", how="called no more")
        defer_sending(site_id=row.site_id, outlink=row.link)


@transaction.atomic
def give_up(row: Subscription, *, at: datetime) -> None:
    """Who took no call for days is called no more, and a person hears of it."""
    end(row, "it took no call for three days", at=at)
    raise_item(
        site_id=row.site_id,
        kind=ItemKind.MESSAGE_NOT_SENT,
        key=f"given up:{row.link}",
        at=at,
        text=f"{row.who} took no call at {row.endpoint} for three days and is called no more. What happened since "
        "then it must ask for itself: tell its people; it subscribes anew when it runs again.",
    )


@transaction.atomic
def delete(row: Subscription, *, at: datetime) -> None:
    """A program, or a person for it, ends a Subscription."""
    end(row, "ended", at=at)
    Subscription.objects.filter(pk=row.pk).delete()
