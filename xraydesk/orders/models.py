"""What was asked: orders, the exams in them, and the procedures a department offers."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.orders.states import OrderState, Priority, TriageState
from xraydesk.patients.models import Merge, Patient


class Procedure(models.Model):
    """An exam the department offers, in plain words, with what it needs."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    code = models.CharField(max_length=32)
    system = models.CharField(max_length=32, default="L")
    text = models.CharField(max_length=120)
    body_part = models.CharField(max_length=16, blank=True)
    laterality = ArrayField(models.CharField(max_length=1), default=list)
    views = ArrayField(models.CharField(max_length=32), default=list)
    minutes = models.PositiveSmallIntegerField()
    modality = models.CharField(max_length=16, default="DX")
    room_kinds = ArrayField(models.CharField(max_length=32), default=list)
    skills = ArrayField(models.CharField(max_length=32), default=list)
    preparation = models.CharField(max_length=250, blank=True)
    preparation_minutes = models.PositiveSmallIntegerField(default=0)
    escort = models.BooleanField(default=False)
    after = ArrayField(models.CharField(max_length=32), default=list)
    pregnancy_check = models.BooleanField(default=False)
    sex = models.CharField(max_length=1, blank=True)
    age_min_years = models.PositiveSmallIntegerField(null=True)
    age_max_years = models.PositiveSmallIntegerField(null=True)
    charge_code = models.CharField(max_length=32, blank=True)
    retired = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "system", "code"], name="procedure_code_in_site"),
            models.CheckConstraint(condition=Q(minutes__gte=1), name="procedure_takes_time"),
        ]

    def __str__(self) -> str:
        return self.code


class CodeMapping(models.Model):
    """Which of the department's exams a sender means by a code of its own; a person said so.

    `source` is where the order came from (`link:EHR`). One that was taken back is kept.
    """

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    source = models.CharField(max_length=80)
    code = models.CharField(max_length=64)
    system = models.CharField(max_length=64, blank=True)
    procedure = models.ForeignKey(Procedure, on_delete=models.PROTECT)
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=80)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "source", "code", "system"],
                condition=Q(ended_at=None),
                name="a_code_of_a_sender_means_one_exam",
            ),
        ]


class CodeTable(models.Model):
    """What the department's codes are in a table that others keep (LOINC, RadLex, SNOMED), as the site loaded it.

    `of` says which codes: `procedures`, or `body-sites`. No such table is part of the program.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    of = models.CharField(max_length=16)
    system = models.CharField(max_length=200)
    """The URI of the table of others."""
    version = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "of", "system"], name="a_code_table_once"),
        ]


class CodePair(models.Model):
    """One of the department's codes beside one of others; `equivalence` is a word of FHIR's ConceptMapEquivalence."""

    table = models.ForeignKey(CodeTable, on_delete=models.CASCADE, related_name="pairs")
    local = models.CharField(max_length=32)
    local_system = models.CharField(max_length=32, blank=True)
    code = models.CharField(max_length=64)
    display = models.CharField(max_length=250, blank=True)
    equivalence = models.CharField(max_length=16)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["table", "local", "local_system", "code"], name="a_pair_of_codes_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["table", "code"], name="code_pair_by_code")]


class Order(models.Model):
    """One request by a provider, known by its placer number.

    `placer_authority` is the namespace of the placer number (ORC-2.2), or the link's where it gave none.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="orders")
    placer = models.CharField(max_length=64)
    placer_authority = models.CharField(max_length=227, blank=True)
    state = models.CharField(max_length=12, default=OrderState.ACTIVE)
    source = models.CharField(max_length=80)
    visit_number = models.CharField(max_length=64, blank=True)
    account = models.CharField(max_length=64, blank=True)
    patient_class = models.CharField(max_length=1, blank=True)
    ward = models.CharField(max_length=64, blank=True)
    bed = models.CharField(max_length=64, blank=True)
    provider_id = models.CharField(max_length=64, blank=True)
    provider_name = models.CharField(max_length=200, blank=True)
    provider_phone = models.CharField(max_length=64, blank=True)
    transport = models.CharField(max_length=16, blank=True)
    received_at = models.DateTimeField()
    details = models.JSONField(default=dict)
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "placer_authority", "placer"], name="one_order_a_placer_number"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in OrderState]), name="order_state_is_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "placer"], name="order_by_placer"),
            models.Index(fields=["site", "provider_id"], name="order_by_provider"),
        ]


class NumberGiven(models.Model):
    """A filler number that a sender asked for before its order (ORC-1 SN); asked again, it is the same."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    placer = models.CharField(max_length=64)
    placer_authority = models.CharField(max_length=227, blank=True)
    number = models.CharField(max_length=16)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "placer_authority", "placer"], name="a_number_is_given_once"
            ),
        ]


class Exam(models.Model):
    """One exam to be done, one an OBR, with the numbers that never change once it is made.

    `accession`, `study_instance_uid`, `requested_procedure_id` and `scheduled_step_id` are
    fixed at creation and given to worklists as they stand here. `asked` is what the sender
    last asked for (`xraydesk.orders.asked`), the rest what the desk made of it. The stage a
    person sees is worked out from several small machines (`xraydesk.journey.stage`), never stored.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="exams")
    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="exams")
    sequence = models.PositiveSmallIntegerField(default=1)
    accession = models.CharField(max_length=16)
    filler = models.CharField(max_length=64, blank=True)
    study_instance_uid = models.CharField(max_length=64)
    requested_procedure_id = models.CharField(max_length=16)
    scheduled_step_id = models.CharField(max_length=16)
    procedure = models.ForeignKey(Procedure, null=True, on_delete=models.PROTECT)
    procedure_code = models.CharField(max_length=64, blank=True)
    procedure_text = models.CharField(max_length=250, blank=True)
    procedure_system = models.CharField(max_length=64, blank=True)
    laterality = models.CharField(max_length=1, blank=True)
    priority = models.CharField(max_length=8, default=Priority.ROUTINE)
    reason = models.TextField(blank=True)
    clinical_information = models.TextField(blank=True)
    asked = models.JSONField(default=dict)
    requested_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    triage = models.CharField(max_length=12, default=TriageState.WAITING)
    findings = models.JSONField(default=list)
    triaged_by = models.CharField(max_length=80, blank=True)
    triaged_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    cancelled_why = models.CharField(max_length=200, blank=True)
    booking_blocked = models.CharField(max_length=200, blank=True)
    joined_to = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    """The exam that was done before this one's order came, and stands in its place (`xraydesk.journey.late_order`)."""
    created_at = models.DateTimeField()
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "accession"], name="accession_in_site"),
            models.UniqueConstraint(fields=["site", "study_instance_uid"], name="study_uid_in_site"),
            models.UniqueConstraint(fields=["order", "sequence"], name="exam_sequence_in_order"),
            models.CheckConstraint(
                condition=Q(priority__in=[p.value for p in Priority]), name="exam_priority_is_known"
            ),
            models.CheckConstraint(
                condition=Q(triage__in=[t.value for t in TriageState]), name="exam_triage_is_known"
            ),
            models.CheckConstraint(
                condition=Q(laterality__in=["", "L", "R", "B"]), name="exam_side_is_known"
            ),
            models.CheckConstraint(condition=~Q(accession=""), name="exam_has_an_accession"),
            models.CheckConstraint(
                condition=Q(joined_to=None) | Q(triage=TriageState.CANCELLED.value),
                name="a_joined_exam_is_not_done_again",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "triage", "created_at"], name="exam_by_triage"),
            models.Index(fields=["site", "patient"], name="exam_of_patient"),
            models.Index(fields=["site", "requested_at"], name="exam_by_wish"),
            models.Index(fields=["site", "created_at"], name="exam_by_creation"),
            models.Index(fields=["site", "procedure_code"], name="exam_by_code"),
            models.Index(fields=["site", "priority"], name="exam_by_priority"),
            models.Index(fields=["site", "scheduled_step_id"], name="exam_by_step_id"),
        ]

    def __str__(self) -> str:
        return self.accession


class Joining(models.Model):
    """An order that came late became that of an exam done before it (`done`), and what stood there before.

    `late` is the exam that the order had made, `order` the desk's own order of `done`, `before` the values of `done`
    that the order's took the place of, and `merge` how its patient was identified with it. Undoing gives back just
    these. `was_asked` says that a person was being asked for its order.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    done = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="joinings")
    late = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+")
    merge = models.ForeignKey(Merge, null=True, on_delete=models.PROTECT, related_name="+")
    before = models.JSONField(default=dict)
    was_asked = models.BooleanField(default=False)
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    why = models.CharField(max_length=200)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["done"], condition=Q(undone_at=None), name="an_exam_has_one_late_order"
            ),
            models.UniqueConstraint(
                fields=["late"], condition=Q(undone_at=None), name="a_late_order_is_of_one_exam"
            ),
            models.CheckConstraint(condition=~Q(done=models.F("late")), name="a_joining_is_of_two_exams"),
        ]


class ExamNote(models.Model):
    """A word left about an exam."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="notes")
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    text = models.CharField(max_length=500)
