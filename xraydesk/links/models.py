"""Every raw message, in and out; and resources as they were sent."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.lib.exact_json import ExactDecoder, ExactEncoder
from xraydesk.links.states import Direction, MessageState, SubscriptionState


class Message(models.Model):
    """One message as it was on the wire, what was read in it, and what became of it.

    `body_sha256` is of everything after the MSH segment: a resend with the same control
    number and body is recognised by it and stored once.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    direction = models.CharField(max_length=3)
    link = models.CharField(max_length=64)
    control_id = models.CharField(max_length=199, blank=True)
    type = models.CharField(max_length=32, blank=True)
    at = models.DateTimeField()
    state = models.CharField(max_length=24)
    ack = models.CharField(max_length=2, blank=True)
    answer = models.BinaryField(default=b"")
    why = models.CharField(max_length=500, blank=True)
    raw = models.BinaryField()
    charset = models.CharField(max_length=32, blank=True)
    body_sha256 = models.CharField(max_length=64)
    accession = models.CharField(max_length=16, blank=True)
    patient = models.BigIntegerField(null=True)
    facts = ArrayField(models.BigIntegerField(), default=list)
    """Incoming: the facts that happened because of it, as often as it was applied."""
    seen = models.PositiveIntegerField(default=1)
    site_version = models.PositiveIntegerField(default=0)
    """Incoming: the version of the site file under whose rules it was read the last time."""
    replayed_at = models.DateTimeField(null=True)
    fact = models.BigIntegerField(null=True)
    """Outgoing: the fact that it tells of; each fact is told once a link and type."""
    attempts = models.PositiveIntegerField(default=0)
    given = models.PositiveIntegerField(default=0)
    """Outgoing: how many of the attempts reached the other system, which did not answer."""
    next_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    """When it was given to the wire the last time; the answer may still be missing."""
    answered_at = models.DateTimeField(null=True)
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "direction", "link", "control_id", "body_sha256"],
                condition=~Q(control_id=""),
                name="a_message_once",
            ),
            models.UniqueConstraint(
                fields=["site", "link", "fact", "type"],
                condition=Q(direction=Direction.OUT.value, fact__isnull=False),
                name="a_fact_is_told_once_a_link",
            ),
            models.CheckConstraint(
                condition=Q(direction__in=[d.value for d in Direction]), name="message_direction_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in MessageState]), name="message_state_is_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "-at", "-id"], name="message_by_time"),
            models.Index(fields=["site", "control_id"], name="message_by_control_id"),
            models.Index(fields=["site", "accession"], name="message_of_exam"),
            models.Index(
                fields=["site", "link", "id"],
                condition=Q(direction="out", state__in=["queued", "sent"]),
                name="message_to_go",
            ),
        ]


class SentResource(models.Model):
    """A FHIR resource as it was sent last, beside the row that was made of it: `kind` is its type, `key` the row's.

    What the desk has no column for is answered from here.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    kind = models.CharField(max_length=32)
    key = models.BigIntegerField()
    resource = models.JSONField(encoder=ExactEncoder, decoder=ExactDecoder)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "kind", "key"], name="a_resource_was_sent_last_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "kind", "at"], name="sent_resource_by_time")]


class Paused(models.Model):
    """A person keeps what goes to one system back; while the row is there, nothing goes."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    outlink = models.CharField(max_length=64)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "outlink"], name="a_link_is_paused_once"),
        ]


class WorklistQuery(models.Model):
    """What a machine asked of the worklist, as it sent it, and what it was answered the last time it asked just that.

    `keys` is the query as `query_codec` writes it; it may name a patient. `status` is the
    final one of PS3.4 table K.4-2.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    calling_ae = models.CharField(max_length=16)
    address = models.CharField(max_length=64)
    keys = models.JSONField(default=dict)
    sha256 = models.CharField(max_length=64)
    first_at = models.DateTimeField()
    at = models.DateTimeField()
    times = models.PositiveBigIntegerField(default=1)
    status = models.PositiveIntegerField()
    comment = models.CharField(max_length=64, blank=True)
    answered = models.PositiveIntegerField()
    accessions = ArrayField(models.CharField(max_length=16), default=list)
    earlier = ArrayField(models.CharField(max_length=16), default=list)
    """What it was told of before and no more, the latest first: an exam leaves the list once it was done."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "calling_ae", "sha256"], name="a_query_is_kept_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["at"], name="query_by_time")]


class DicomCall(models.Model):
    """Calls for an association by one AE title from one address with one outcome, counted; `outcome` is a verdict's name."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    calling_ae = models.CharField(max_length=16)
    called_ae = models.CharField(max_length=16)
    address = models.CharField(max_length=64)
    outcome = models.CharField(max_length=24)
    first_at = models.DateTimeField()
    at = models.DateTimeField()
    times = models.PositiveBigIntegerField(default=1)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "calling_ae", "called_ae", "address", "outcome"],
                name="calls_are_counted_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "-at"], name="call_by_time")]


class ConnectionCheck(models.Model):
    """One try of a connection to a machine or a destination that a person asked for, and what came of it, in words."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    ae_title = models.CharField(max_length=16)
    where = models.CharField(max_length=300)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    reached = models.BooleanField()
    echoed = models.BooleanField()
    said = models.CharField(max_length=300)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["site", "ae_title", "-at"], name="check_of_connection")]


class MachineClock(models.Model):
    """How far a machine's clock is off: for each of its last reports, what it told less when it came, in seconds."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    ae_title = models.CharField(max_length=16)
    at = models.DateTimeField()
    ahead_seconds = ArrayField(models.FloatField(), default=list)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "ae_title"], name="a_machine_has_one_clock"),
        ]


class AllowedCaller(models.Model):
    """An AE title that a person let in although the site file does not name it; it stands in no room."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    ae_title = models.CharField(max_length=16)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "ae_title"],
                condition=Q(ended_at__isnull=True),
                name="a_caller_is_let_in_once",
            ),
        ]


class Counterpart(models.Model):
    """A resource of an EHR, and what is the same thing here: a row (`key`), or what the desk wrote there itself (`own`)."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    ehr = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)
    remote_id = models.CharField(max_length=64)
    key = models.BigIntegerField(null=True)
    """The patient, exam or coverage that was made of it; none while it could not be applied."""
    own = models.CharField(max_length=200, blank=True)
    """The number under which the desk wrote it there."""
    heard = models.CharField(max_length=64, blank=True)
    """The version that was fetched last, applied or put before a person."""
    written = models.CharField(max_length=200, blank=True)
    """The version (ETag) that the desk's own writing left there."""
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "ehr", "kind", "remote_id"], name="a_counterpart_once"),
            models.UniqueConstraint(
                fields=["site", "ehr", "kind", "own"], condition=~Q(own=""), name="written_there_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "ehr", "kind", "key"], name="counterpart_of_row")]


class Fetching(models.Model):
    """How far an EHR was asked for one type, and how it goes."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    ehr = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)
    since = models.DateTimeField(null=True)
    """What changed there before this moment was fetched."""
    latest = models.DateTimeField(null=True)
    """The newest change among the pages that were read since."""
    further = models.TextField(blank=True)
    """The page to go on with; empty where all were read."""
    answered_at = models.DateTimeField(null=True)
    called_at = models.DateTimeField(null=True)
    """When the EHR called last because something had changed there."""
    left_alone_until = models.DateTimeField(null=True)
    """It asked to be left alone until then (Retry-After); all of it, whatever the type."""
    failing_since = models.DateTimeField(null=True)
    why = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "ehr", "kind"], name="an_ehr_is_asked_once"),
        ]


class Subscription(models.Model):
    """A program that asked to be called when something changes; the calls wait among the messages, for the link `link`.

    `who` asked, and `scopes` are what its token could do then (None where its role alone limits it). `sealed` holds what
    its calls are signed with and the headers that they carry; `resource` is what it sent, without those.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    who = models.CharField(max_length=80)
    scopes = models.CharField(max_length=1000, null=True)
    topic = models.CharField(max_length=64)
    filters = models.JSONField(default=list)
    endpoint = models.CharField(max_length=500)
    content = models.CharField(max_length=16)
    heartbeat_seconds = models.PositiveIntegerField(default=0)
    """0 where no heartbeat was asked for."""
    until = models.DateTimeField(null=True)
    sealed = models.TextField()
    resource = models.JSONField()
    base = models.CharField(max_length=300)
    """The address of this server as the program knows it."""
    state = models.CharField(max_length=12)
    why = models.CharField(max_length=500, blank=True)
    events = models.PositiveBigIntegerField(default=0)
    """How many events were told since it began."""
    failing_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in SubscriptionState]),
                name="subscription_state_is_known",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "state", "topic"], name="subscription_by_topic")]

    @property
    def link(self) -> str:
        """The name under which its calls wait."""
        return f"hook-{self.pk}"
