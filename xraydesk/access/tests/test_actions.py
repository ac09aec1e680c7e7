"""Who is let in, who is shut out, and what is kept of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from tests.factories import AT, make_site
from xraydesk.access import actions
from xraydesk.access.actions import (
    ADDRESS_ATTEMPTS_MAX,
    ATTEMPTS_MAX,
    LOCKED_FOR,
    BadName,
    BadPassword,
    LockedOut,
    NameTaken,
    NotKnown,
    TooManyFromThere,
    create_token,
    create_user,
    demo_users,
    record_read,
    revoke_token,
    set_password,
    sign_in,
)
from xraydesk.access.members import Member, member_of_token
from xraydesk.access.models import Location, Membership, SignInTries, Site, Token, User
from xraydesk.access.queries import locked_users, reads
from xraydesk.access.roles import Role

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse"


@pytest.fixture
def site() -> Site:
    return make_site()


@pytest.fixture
def ada(site: Site) -> User:
    return create_user(site=site, name="ada", role=Role.COORDINATOR, password=PASSWORD, full_name="Ada P")


def fail(times: int, at=AT) -> None:  # type: ignore[no-untyped-def]
    for _ in range(times):
        with pytest.raises(NotKnown):
            sign_in(name="ada", password="wrong wrong", at=at)


def test_a_person_signs_in_with_name_and_password(ada: User) -> None:
    assert sign_in(name="ada", password=PASSWORD, at=AT) == ada


def test_the_password_itself_is_not_kept(ada: User) -> None:
    assert PASSWORD not in ada.password


def test_outside_of_tests_passwords_are_slow_to_guess() -> None:
    from xraydesk.project import settings

    assert settings.PASSWORD_HASHERS == ["django.contrib.auth.hashers.ScryptPasswordHasher"]


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong wrong"), ("eve", PASSWORD), ("", "")])
def test_a_wrong_password_and_an_unknown_name_are_told_alike(ada: User, name: str, password: str) -> None:
    with pytest.raises(NotKnown, match="do not go together"):
        sign_in(name=name, password=password, at=AT)


def test_an_unknown_name_costs_a_hash_as_a_known_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    monkeypatch.setattr(actions, "make_password", hashed.append)
    with pytest.raises(NotKnown):
        sign_in(name="eve", password=PASSWORD, at=AT)
    assert hashed == [PASSWORD]


def test_a_locked_name_costs_a_hash_too(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(ATTEMPTS_MAX)
    hashed = []
    monkeypatch.setattr(actions, "make_password", hashed.append)
    with pytest.raises(LockedOut):
        sign_in(name="ada", password=PASSWORD, at=AT)
    assert hashed == [PASSWORD]


def test_too_many_wrong_passwords_lock_the_name_even_for_the_right_one(site: Site, ada: User) -> None:
    fail(ATTEMPTS_MAX)
    with pytest.raises(LockedOut):
        sign_in(name="ada", password=PASSWORD, at=AT)
    assert list(locked_users(site=site, at=AT)) == [ada]
    with pytest.raises(LockedOut):
        sign_in(name="ada", password=PASSWORD, at=AT + LOCKED_FOR - timedelta(seconds=1))
    assert sign_in(name="ada", password=PASSWORD, at=AT + LOCKED_FOR) == ada
    assert not locked_users(site=site, at=AT).exists()


def test_one_address_cannot_try_one_password_with_every_name(site: Site, ada: User) -> None:
    there = {"address": "10.1.2.3"}
    for number in range(ADDRESS_ATTEMPTS_MAX):
        sign_in(name="ada", password=PASSWORD, at=AT, **there)  # who is right costs nobody a try
        with pytest.raises(NotKnown):
            sign_in(name=f"name{number}", password=PASSWORD, at=AT, **there)
    with pytest.raises(TooManyFromThere):
        sign_in(name="ada", password=PASSWORD, at=AT, **there)
    assert sign_in(name="ada", password=PASSWORD, at=AT, address="10.1.2.4") == ada
    assert sign_in(name="ada", password=PASSWORD, at=AT, browser="known", **there) == ada
    assert sign_in(name="ada", password=PASSWORD, at=AT + LOCKED_FOR, **there) == ada


def test_a_machine_with_many_addresses_of_one_network_is_one_place(ada: User) -> None:
    for number in range(ADDRESS_ATTEMPTS_MAX):
        with pytest.raises(NotKnown):
            sign_in(name=f"name{number}", password="x", at=AT, address=f"2001:db8::{number:x}")
    with pytest.raises(TooManyFromThere):
        sign_in(name="ada", password=PASSWORD, at=AT, address="2001:db8::ffff")
    assert sign_in(name="ada", password=PASSWORD, at=AT, address="2001:db8:0:1::1") == ada


def test_where_a_person_signed_in_before_nobody_elsewhere_locks_them_out(site: Site, ada: User) -> None:
    fail(ATTEMPTS_MAX)
    with pytest.raises(LockedOut):
        sign_in(name="ada", password=PASSWORD, at=AT)
    assert sign_in(name="ada", password=PASSWORD, at=AT, browser="known") == ada
    assert list(locked_users(site=site, at=AT)) == [ada], "elsewhere the name stays locked"


def test_a_browser_where_somebody_signed_in_before_has_no_more_tries_than_others(ada: User) -> None:
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(NotKnown):
            sign_in(name="ada", password="wrong wrong", at=AT, browser="known")
    with pytest.raises(LockedOut):
        sign_in(name="ada", password=PASSWORD, at=AT, browser="known")
    assert sign_in(name="ada", password=PASSWORD, at=AT) == ada, "the name itself is not locked by them"
    assert sign_in(name="ada", password=PASSWORD, at=AT + LOCKED_FOR, browser="known") == ada


def test_tries_that_are_over_are_forgotten(ada: User) -> None:
    for number in range(3):
        with pytest.raises(NotKnown):
            sign_in(name="ada", password="x", at=AT, address=f"10.0.0.{number}")
    with pytest.raises(NotKnown):
        sign_in(name="eve", password="x", at=AT + LOCKED_FOR, address="10.0.0.9")
    assert [tries.place for tries in SignInTries.objects.all()] == ["address:10.0.0.9"]


def test_after_a_lock_there_are_as_many_tries_as_before(ada: User) -> None:
    fail(ATTEMPTS_MAX)
    fail(ATTEMPTS_MAX - 1, at=AT + LOCKED_FOR)
    assert sign_in(name="ada", password=PASSWORD, at=AT + LOCKED_FOR) == ada


def test_the_right_password_forgets_the_wrong_ones_before_it(ada: User) -> None:
    for _ in range(3):
        fail(ATTEMPTS_MAX - 1)
        sign_in(name="ada", password=PASSWORD, at=AT)


def test_an_attempt_is_counted_before_its_password_is_looked_at(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        User, "check_password", lambda self, _: seen.append(User.objects.get(pk=self.pk).failed_attempts)
    )
    fail(2)
    assert seen == [1, 2]


def test_someone_who_left_does_not_get_in(ada: User) -> None:
    User.objects.filter(pk=ada.pk).update(is_active=False)
    fail(ATTEMPTS_MAX + 1)


def test_an_endless_password_is_refused_without_hashing_all_of_it(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    monkeypatch.setattr(actions, "make_password", lambda text: lengths.append(len(text)))
    with pytest.raises(NotKnown):
        sign_in(name="ada", password="x" * 1_000_000, at=AT)
    assert lengths == [256]


def test_a_new_password_opens_a_locked_name(ada: User) -> None:
    fail(ATTEMPTS_MAX)
    set_password(name="ada", password="another one")
    assert sign_in(name="ada", password="another one", at=AT) == ada
    with pytest.raises(NotKnown):
        set_password(name="eve", password="another one")


def test_names_are_given_once(site: Site, ada: User) -> None:
    with pytest.raises(NameTaken, match="ada"):
        create_user(site=site, name="ada", role=Role.PORTER, password=PASSWORD)
    assert Membership.objects.get(user=ada).role == Role.COORDINATOR


@pytest.mark.parametrize("name", ["", "a b", "a" * 65, "ada\n", "-a", "<b>"])
def test_a_name_that_is_none_is_refused(site: Site, name: str) -> None:
    with pytest.raises(BadName):
        create_user(site=site, name=name, role=Role.PORTER, password=PASSWORD)
    with pytest.raises(BadName):
        create_token(site=site, name=name, role=Role.SYSTEM, at=AT)


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_a_password_has_its_length(site: Site, ada: User, password: str) -> None:
    with pytest.raises(BadPassword):
        create_user(site=site, name="bea", role=Role.PORTER, password=password)
    with pytest.raises(BadPassword):
        set_password(name="ada", password=password)


def test_a_role_can_be_limited_to_locations(site: Site) -> None:
    where = Location.objects.get(site=site)
    create_user(site=site, name="bea", role=Role.PORTER, password=PASSWORD, locations=[where])
    assert list(Membership.objects.get(user__name="bea").locations.all()) == [where]


def test_a_token_is_told_once_and_only_its_digest_is_kept(site: Site) -> None:
    secret = create_token(site=site, name="ehr", role=Role.SYSTEM, at=AT)
    kept = Token.objects.values_list().get()
    assert secret not in str(kept)
    member = member_of_token(secret)
    assert member is not None
    assert (member.who, member.role, member.site) == ("token:ehr", Role.SYSTEM, site)


def test_a_revoked_token_is_a_stranger_and_frees_its_name(site: Site) -> None:
    secret = create_token(site=site, name="ehr", role=Role.SYSTEM, at=AT)
    with pytest.raises(NameTaken):
        create_token(site=site, name="ehr", role=Role.SYSTEM, at=AT)
    assert revoke_token(site=site, name="ehr", at=AT)
    assert not revoke_token(site=site, name="ehr", at=AT)
    assert member_of_token(secret) is None
    assert member_of_token(create_token(site=site, name="ehr", role=Role.SYSTEM, at=AT)) is not None


def test_a_token_of_another_site_is_not_revoked(site: Site) -> None:
    create_token(site=site, name="ehr", role=Role.SYSTEM, at=AT)
    assert not revoke_token(site=make_site("OTHER"), name="ehr", at=AT)


def test_the_demonstration_has_one_user_a_role_and_new_passwords_each_time(site: Site) -> None:
    first, second = demo_users(site=site), demo_users(site=site)
    assert [user.name for user in first] == [role.value for role in Role]
    assert len({user.password for user in (*first, *second)}) == 2 * len(Role)
    assert sign_in(name="porter", password=second[3].password, at=AT).name == "porter"
    with pytest.raises(NotKnown):
        sign_in(name="porter", password=first[3].password, at=AT)


def test_each_look_at_a_record_is_in_the_log_of_its_own_site(site: Site) -> None:
    member = Member(who="user:ada", name="Ada", site=site, role=Role.COORDINATOR)
    stranger = Member(who="user:eve", name="Eve", site=make_site("OTHER"), role=Role.COORDINATOR)
    record_read(member=member, patient=7, accession="A1", what="exam page", at=AT)
    record_read(member=member, patient=8, what="search", reason="fell ill", at=AT + timedelta(minutes=1))
    record_read(member=stranger, patient=7, what="exam page", at=AT)
    day = {"site": site, "since": AT, "until": AT + timedelta(hours=1)}
    assert [(r.patient, r.what, r.reason) for r in reads(**day)] == [
        (8, "search", "fell ill"),
        (7, "exam page", ""),
    ]
    assert [r.who for r in reads(**day, patient=7)] == ["user:ada"]
    assert [r.patient for r in reads(**day, accession="A1")] == [7]
    assert not reads(**day, who="user:eve")
    assert not reads(site=site, since=AT - timedelta(hours=1), until=AT)


def test_the_log_of_reads_cannot_be_changed(site: Site) -> None:
    member = Member(who="user:ada", name="Ada", site=site, role=Role.COORDINATOR)
    record_read(member=member, patient=7, what="exam page", at=AT)
    with pytest.raises(Exception, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE access_recordread SET who = 'user:eve'")
