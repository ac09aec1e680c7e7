"""People and programs: made, let in, shut out; and the log of who read what."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import F

from xraydesk.access.members import Member, token_digest
from xraydesk.access.models import Location, Membership, RecordRead, SignInTries, Site, Token, User
from xraydesk.access.roles import Role
from xraydesk.lib.ids import new_secret

ATTEMPTS_MAX = 5
"""Wrong passwords in a row, after which a name is locked."""

ADDRESS_ATTEMPTS_MAX = 50
"""Wrong passwords from one address within LOCKED_FOR, whatever the names; many people may share one, behind a proxy or at a terminal server."""

LOCKED_FOR = timedelta(minutes=15)
FORGOTTEN_AT_ONCE_MAX = 100
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 256
"""Longer ones are refused, so that nobody makes the desk hash megabytes."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class AccessRefused(Exception):
    """Nothing was changed. The message says why, and what to do."""


class NameTaken(AccessRefused):
    """Somebody, or some program, has that name already."""


class BadName(AccessRefused):
    """The name cannot be one."""


class BadPassword(AccessRefused):
    """The password is too short or too long."""


class NotKnown(AccessRefused):
    """Name and password do not go together, or there is no such name; which of the two is not told."""


class LockedOut(AccessRefused):
    """Too many wrong passwords for this name; it is locked for a while."""


class TooManyFromThere(AccessRefused):
    """Too many wrong passwords from one address, for whatever names."""


def create_user(
    *,
    site: Site,
    name: str,
    role: Role,
    password: str,
    full_name: str = "",
    locations: Sequence[Location] = (),
) -> User:
    """Make a person who may sign in with `role` at `site`; no `locations` means all of them.

    Raises BadName, BadPassword or NameTaken.
    """
    _check_name(name)
    _check_password(password)
    try:
        with transaction.atomic():
            user = User(name=name, full_name=full_name)
            user.set_password(password)
            user.save()
            membership = Membership.objects.create(user=user, site=site, role=role)
            membership.locations.set(locations)
    except IntegrityError:
        raise NameTaken(f"There is a user {name} already: choose another name.") from None
    return user


def set_password(*, name: str, password: str) -> None:
    """Give a person a new password, and open a locked name; who is signed in with the old one is signed out.

    Raises BadPassword or NotKnown.
    """
    _check_password(password)
    user = User.objects.filter(name=name).first()
    if user is None:
        raise NotKnown(f"There is no user {name}.")
    user.set_password(password)
    user.failed_attempts = 0
    user.locked_until = None
    user.save(update_fields=["password", "failed_attempts", "locked_until"])


def sign_in(*, name: str, password: str, at: datetime, address: str = "", browser: str = "") -> User:
    """The person whose name and password these are.

    After ATTEMPTS_MAX wrong passwords in a row the name is locked for LOCKED_FOR, and even the right
    one is refused. Each attempt is counted before its password is looked at, so that many
    at once get no more tries. An unknown name, and a locked one, takes as long as a known one.

    `address` is where the request came from: after ADDRESS_ATTEMPTS_MAX wrong ones nobody new is let in from there, so
    that nobody tries one password with every name. `browser` is the secret of a browser in which this person signed in
    before, empty for any other: there its own tries count, and nobody elsewhere can lock them out by trying their name.

    Raises NotKnown, LockedOut or TooManyFromThere.
    """
    place = f"browser:{token_digest(browser)}" if browser else f"address:{_network_of(address)}"
    may_try = _may_try(place, most=ATTEMPTS_MAX if browser else ADDRESS_ATTEMPTS_MAX, at=at)
    if not may_try and not browser:
        raise TooManyFromThere("Too many wrong passwords came from there.")
    try:
        if not may_try:
            raise LockedOut("Too many wrong passwords in this browser.")
        user = User.objects.filter(name=name, is_active=True).first() if browser else _counted(name, at)
    except LockedOut:
        make_password(password[:PASSWORD_LENGTH_MAX])
        raise
    if user is None or len(password) > PASSWORD_LENGTH_MAX:
        make_password(password[:PASSWORD_LENGTH_MAX])
        raise NotKnown("That name and password do not go together.")
    if not user.check_password(password):
        raise NotKnown("That name and password do not go together.")
    if browser:
        SignInTries.objects.filter(place=place).delete()
    else:
        User.objects.filter(pk=user.pk).update(failed_attempts=0, locked_until=None)
        SignInTries.objects.filter(place=place, count__gt=0).update(count=F("count") - 1)
    return user


def _network_of(address: str) -> str:
    """An address as it is counted: of IPv6 the network, of which one machine may have every address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "none"
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _may_try(place: str, *, most: int, at: datetime) -> bool:
    """Whether there may be one more try from a place, which is counted as a wrong one until it proves right."""
    with transaction.atomic():
        tries, is_new = SignInTries.objects.select_for_update().get_or_create(
            place=place, defaults={"since": at}
        )
        if tries.since <= at - LOCKED_FOR:
            tries.count, tries.since = 0, at
        if tries.count >= most:
            return False
        tries.count += 1
        tries.save(update_fields=["count", "since"])
        if is_new:
            over = SignInTries.objects.select_for_update(skip_locked=True).filter(since__lte=at - LOCKED_FOR)
            keys = list(over.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE_MAX])
            SignInTries.objects.filter(pk__in=keys).delete()
    return True


def _counted(name: str, at: datetime) -> User | None:
    """The person, with this attempt counted as a wrong one until it proves right; raises LockedOut."""
    with transaction.atomic():
        user = User.objects.select_for_update().filter(name=name, is_active=True).first()
        if user is None:
            return None
        if user.locked_until is not None:
            if user.locked_until > at:
                raise LockedOut("Too many wrong passwords for this name.")
            user.failed_attempts, user.locked_until = 0, None
        user.failed_attempts += 1
        if user.failed_attempts >= ATTEMPTS_MAX:
            user.locked_until = at + LOCKED_FOR
        user.save(update_fields=["failed_attempts", "locked_until"])
    return user


def close_guide(*, name: str, at: datetime) -> None:
    """Somebody needs no introduction any more. Closed already: nothing changes."""
    User.objects.filter(name=name, guide_closed_at=None).update(guide_closed_at=at)


def create_token(*, site: Site, name: str, role: Role, at: datetime) -> str:
    """Make a bearer token for a program; its secret, which is kept nowhere and can be told only now.

    Raises BadName, or NameTaken where a token of that name is in force.
    """
    _check_name(name)
    secret = new_secret()
    try:
        with transaction.atomic():
            Token.objects.create(site=site, name=name, role=role, sha256=token_digest(secret), created_at=at)
    except IntegrityError:
        raise NameTaken(f"There is a token {name} already: revoke it, or choose another name.") from None
    return secret


def revoke_token(*, site: Site, name: str, at: datetime) -> bool:
    """End a token from now on; False where none of that name is in force."""
    return Token.objects.filter(site=site, name=name, revoked_at=None).update(revoked_at=at) == 1


def record_read(
    *, member: Member, patient: int, accession: str = "", what: str, reason: str = "", at: datetime
) -> None:
    """Note that a member looked at a patient's record. `patient` is the key of the patient row, `what` the page."""
    RecordRead.objects.create(
        site=member.site,
        at=at,
        who=member.who,
        patient=patient,
        accession=accession,
        what=what,
        reason=reason,
    )


def record_reads(
    *, member: Member, records: Iterable[tuple[int, str]], what: str, reason: str = "", at: datetime
) -> None:
    """Note that a member looked at several records, each (patient key, accession), by one request; one round trip."""
    RecordRead.objects.bulk_create(
        RecordRead(
            site=member.site,
            at=at,
            who=member.who,
            patient=patient,
            accession=accession,
            what=what,
            reason=reason,
        )
        for patient, accession in dict.fromkeys(records)
    )


@dataclass(frozen=True)
class NewUser:
    """A person just made, with the password that is told this once."""

    name: str
    password: str
    role: Role


def demo_users(*, site: Site) -> list[NewUser]:
    """One user for each role, named as the role, with new random passwords; those that are there get a new one."""
    made = []
    with transaction.atomic():
        for role in Role:
            password = new_secret(12)
            if User.objects.filter(name=role.value).exists():
                set_password(name=role.value, password=password)
            else:
                create_user(site=site, name=role.value, role=role, password=password)
            made.append(NewUser(role.value, password, role))
    return made


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadName("A name has 1 to 64 letters, digits, dots, hyphens, underscores or @, and no spaces.")


def _check_password(password: str) -> None:
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise BadPassword(f"A password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.")
