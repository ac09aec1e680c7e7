"""Sites, the people and programs that may use them, and who read what."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from xraydesk.access.roles import Role
from xraydesk.lib.shared_field import SharedJSONField


class Site(models.Model):
    """One organisation with one patient index; its buildings are locations.

    `plan` holds the site file as it was last loaded (see `xraydesk.siteplan`).
    """

    code = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=120)
    timezone = models.CharField(max_length=64)
    assigning_authority = models.CharField(max_length=64)
    ae_title = models.CharField(max_length=16)
    plan = SharedJSONField(default=dict)
    version = models.PositiveIntegerField(default=0)
    """How often its file was loaded with something changed."""
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(code=""), name="site_has_a_code"),
        ]

    def __str__(self) -> str:
        return self.code


class SiteVersion(models.Model):
    """A site file as it was loaded once: which rules held when, and what can be loaded again."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    plan = models.JSONField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "number"], name="site_version_once"),
        ]


class Location(models.Model):
    """A building or floor with x-ray rooms; roles may be limited to some of them."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="locations")
    code = models.CharField(max_length=32)
    name = models.CharField(max_length=120)
    sort = models.IntegerField(default=0)
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "code"], name="location_code_in_site"),
        ]

    def __str__(self) -> str:
        return self.code


class Users(BaseUserManager["User"]):
    """People by their sign-in name."""


class User(AbstractBaseUser):
    """A person who signs in. What they may do is in their memberships."""

    name = models.CharField(max_length=64, unique=True)
    full_name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    failed_attempts = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)
    guide_closed_at = models.DateTimeField(null=True, blank=True)
    """When they said that they need no introduction any more."""

    USERNAME_FIELD = "name"
    objects = Users()

    def __str__(self) -> str:
        return self.name


class SignInTries(models.Model):
    """Wrong passwords from one place within a while: a network address, or a browser in which a person signed in before."""

    place = models.CharField(max_length=80, unique=True)
    count = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(db_index=True)


class Membership(models.Model):
    """A role that a person has at a site; no locations means all of them."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(r.value, r.value) for r in Role])
    locations: models.ManyToManyField[Location, Any] = models.ManyToManyField(Location, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "user"], name="one_role_a_person_and_site"),
            models.CheckConstraint(
                condition=Q(role__in=[r.value for r in Role]), name="membership_role_is_known"
            ),
        ]


class Token(models.Model):
    """A bearer token of a program; only its SHA-256 is kept."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    name = models.CharField(max_length=64)
    role = models.CharField(max_length=16, choices=[(r.value, r.value) for r in Role])
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "name"], condition=Q(revoked_at=None), name="token_name_in_site"
            ),
            models.CheckConstraint(condition=Q(role__in=[r.value for r in Role]), name="token_role_is_known"),
        ]


class App(models.Model):
    """A program of somebody else that signs in by OAuth 2 (SMART App Launch): a service with keys, or one that people open.

    `keys` are the public keys of a service (JWK), old and new side by side while they change; or they are had
    `keys_at` an address, which may lie in one of `networks` where that is within.
    `issuer` is how an EHR names itself where it signs each call of its own (CDS Hooks).
    `people` says that it acts for a person who signs in here; then `redirects` are the only
    addresses it is answered at. `scopes` is the most that it may ask for.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    client_id = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=64)
    people = models.BooleanField(default=False)
    keys = models.JSONField(default=list)
    keys_at = models.CharField(max_length=500, blank=True)
    networks = ArrayField(models.CharField(max_length=64), default=list)
    issuer = models.CharField(max_length=500, blank=True)
    redirects = ArrayField(models.CharField(max_length=500), default=list)
    scopes = models.CharField(max_length=1000)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "name"], condition=Q(revoked_at=None), name="app_name_in_site"
            ),
            models.UniqueConstraint(
                fields=["issuer"], condition=Q(revoked_at=None) & ~Q(issuer=""), name="an_issuer_is_one_app"
            ),
            models.CheckConstraint(
                condition=Q(people=False) | Q(keys=[], keys_at=""), name="an_app_of_people_has_no_keys"
            ),
        ]


class AppCode(models.Model):
    """What an app is given once a person has agreed, to be exchanged for a token; only its SHA-256 is kept. Used once."""

    app = models.ForeignKey(App, on_delete=models.CASCADE)
    sha256 = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    redirect = models.CharField(max_length=500)
    scopes = models.CharField(max_length=1000)
    patient = models.BigIntegerField(null=True)
    challenge = models.CharField(max_length=128)
    until = models.DateTimeField()


class AppToken(models.Model):
    """A bearer token of an app, good for a short time; only its SHA-256 is kept. `patient` is the one record it may see."""

    app = models.ForeignKey(App, on_delete=models.CASCADE)
    sha256 = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE)
    scopes = models.CharField(max_length=1000)
    patient = models.BigIntegerField(null=True)
    until = models.DateTimeField()
    family = models.CharField(max_length=64, blank=True)
    """The sign-in that it came from, where that goes on by refresh tokens; it ends with it."""


class AppRefresh(models.Model):
    """What an app gets its next token for, while a person's agreement holds; only its SHA-256 is kept. Used once.

    All that came from one agreement are a `family`. A used one stays, so that a second use is seen: somebody else has
    it then, and the whole family ends.
    """

    app = models.ForeignKey(App, on_delete=models.CASCADE)
    sha256 = models.CharField(max_length=64, unique=True)
    family = models.CharField(max_length=64)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    scopes = models.CharField(max_length=1000)
    patient = models.BigIntegerField(null=True)
    until = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["app", "family"], name="refresh_of_family")]


class AppAssertion(models.Model):
    """The number of a signed request for a token, kept until it is too old, so that nobody sends it twice."""

    app = models.ForeignKey(App, on_delete=models.CASCADE)
    number = models.CharField(max_length=255)
    until = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["app", "number"], name="an_assertion_once"),
        ]


class RecordRead(models.Model):
    """One look at one patient's record: who, when, through which page, and why where a reason was asked.

    Append-only. `patient` is the key of the patient row, kept as a number so that the log
    outlives merges; `who` is `user:NAME` or `token:NAME`.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    at = models.DateTimeField()
    who = models.CharField(max_length=80)
    patient = models.BigIntegerField()
    accession = models.CharField(max_length=16, blank=True)
    what = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["site", "-at"], name="record_read_by_time"),
            models.Index(fields=["site", "patient", "-at"], name="record_read_by_patient"),
        ]
