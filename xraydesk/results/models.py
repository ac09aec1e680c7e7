"""Reports with all their versions, findings that must be told, and who was told when."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.imaging.models import OutsideStudy
from xraydesk.orders.models import Exam
from xraydesk.results.reporting import DocumentKind
from xraydesk.results.states import (
    CallOutcome,
    CallWay,
    Category,
    DocumentState,
    FindingSource,
    FindingState,
    ReportState,
)


class Report(models.Model):
    """What was read in one exam's images, as it was last said; every version is kept beside it.

    `category` is the radiologist's own flag (None where there is none). `read_at` is when it
    first became final or corrected, `said_at` when the last version was written.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="reports")
    state = models.CharField(max_length=12)
    version = models.PositiveSmallIntegerField(default=1)
    text = models.TextField(blank=True)
    impression = models.TextField(blank=True)
    category = models.PositiveSmallIntegerField(null=True)
    radiologist_id = models.CharField(max_length=64, blank=True)
    radiologist_name = models.CharField(max_length=200, blank=True)
    said_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["exam"], name="one_report_an_exam"),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in ReportState]), name="report_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(category=None) | Q(category__in=[c.value for c in Category]),
                name="report_category_is_known",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "-changed_at"], name="report_by_change"),
            models.Index(fields=["site", "said_at"], name="report_by_time"),
            models.Index(fields=["site", "state"], name="report_by_state"),
        ]


class ReportVersion(models.Model):
    """One version of a report as it came: never changed. `message` is the message that brought it."""

    id = models.BigAutoField(primary_key=True)
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12)
    text = models.TextField(blank=True)
    impression = models.TextField(blank=True)
    radiologist_name = models.CharField(max_length=200, blank=True)
    said_at = models.DateTimeField()
    received_at = models.DateTimeField()
    by = models.CharField(max_length=80)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["report", "version"], name="one_report_a_version"),
        ]


class Document(models.Model):
    """A report as a document: a PDF, a clinical document (CDA), a text; kept with the exam that it is of.

    `exam` is empty while nobody knows whose the study of another house is that it came with (`outside`). `text` is
    what it says where that can be read plainly. `source` says in words how it came.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, null=True, on_delete=models.PROTECT, related_name="documents")
    outside = models.ForeignKey(OutsideStudy, null=True, on_delete=models.PROTECT, related_name="documents")
    state = models.CharField(max_length=12)
    kind = models.CharField(max_length=32)
    title = models.CharField(max_length=120, blank=True)
    content = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    text = models.TextField(blank=True)
    read_by = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=120, blank=True)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    moved_at = models.DateTimeField(null=True)
    """When somebody last said what it is, or it came again."""
    taken_at = models.DateTimeField(null=True)
    """When another system took it with its report, as far as was seen; the message may be forgotten since."""
    released_at = models.DateTimeField(null=True)
    """When its content was let go of; what it was, and its report, stay."""
    released_why = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | ~Q(released_why=""),
                name="a_document_let_go_says_why",
            ),
            models.UniqueConstraint(
                fields=["outside", "sha256"],
                condition=Q(outside__isnull=False),
                name="a_study_has_a_document_once",
            ),
            models.UniqueConstraint(
                fields=["exam", "sha256"],
                condition=Q(exam__isnull=False, outside__isnull=True),
                name="an_exam_has_a_document_once",
            ),
            models.CheckConstraint(
                condition=Q(exam__isnull=False) | Q(outside__isnull=False),
                name="a_document_is_of_an_exam_or_a_study",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in DocumentState]), name="document_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[k.value for k in DocumentKind]), name="document_kind_is_known"
            ),
        ]


class Finding(models.Model):
    """Something in a report that somebody must be told, with its clock and the people to tell, in order.

    `people` holds `results.people.Person` rows as JSON, `turn` which of them is to be told now,
    `turn_until` when it passes to the next one. `due_at` is when it must have been read back.
    `key` names the cause (`flag`, `phrase:…`), so that the same words are asked about once.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="findings_to_tell")
    report = models.ForeignKey(Report, null=True, on_delete=models.PROTECT, related_name="findings")
    key = models.CharField(max_length=120)
    source = models.CharField(max_length=12)
    category = models.PositiveSmallIntegerField()
    words = models.CharField(max_length=500)
    state = models.CharField(max_length=12)
    found_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    people = models.JSONField(default=list)
    turn = models.PositiveSmallIntegerField(default=0)
    turn_until = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=80, blank=True)
    ended_at = models.DateTimeField(null=True)
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["exam", "key"], name="a_finding_once_an_exam"),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in FindingState]), name="finding_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(source__in=[s.value for s in FindingSource]), name="finding_source_is_known"
            ),
            models.CheckConstraint(
                condition=Q(category__in=[c.value for c in Category]), name="finding_category_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=FindingState.OPEN.value) | Q(due_at__isnull=False),
                name="an_open_finding_has_a_clock",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "due_at"], condition=Q(state="open"), name="finding_open"),
        ]


class Call(models.Model):
    """One attempt to tell somebody of a finding (ACR communication parameter 2020: who, whom, when, how, read-back)."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    finding = models.ForeignKey(Finding, on_delete=models.PROTECT, related_name="calls")
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    role = models.CharField(max_length=32)
    recipient = models.CharField(max_length=200)
    reached_at = models.CharField(max_length=64, blank=True)
    way = models.CharField(max_length=16)
    outcome = models.CharField(max_length=24)
    read_back = models.CharField(max_length=500, blank=True)
    note = models.CharField(max_length=250, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(outcome__in=[o.value for o in CallOutcome]), name="call_outcome_is_known"
            ),
            models.CheckConstraint(condition=Q(way__in=[w.value for w in CallWay]), name="call_way_is_known"),
            models.CheckConstraint(
                condition=~Q(outcome=CallOutcome.READ_BACK.value) | (~Q(read_back="") & ~Q(recipient="")),
                name="a_read_back_has_words_and_a_person",
            ),
        ]
