"""Performed steps, images in transit, and their deliveries."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from xraydesk.access.models import Site
from xraydesk.imaging.fetch_rules import FetchState
from xraydesk.imaging.medium_states import UNDER_WAY as MEDIA_UNDER_WAY
from xraydesk.imaging.medium_states import MediumState
from xraydesk.imaging.outside_rules import OutsideState
from xraydesk.imaging.prior_rules import PriorState
from xraydesk.imaging.states import DeliveryState, ImageState, KeepingState, StepState
from xraydesk.orders.models import Exam
from xraydesk.rooms.models import Room


class PerformedStep(models.Model):
    """What was really done, and where: told by the modality (MPPS) or pressed by a technologist.

    `sop_instance_uid` is the modality's for MPPS and one of ours for steps begun by hand.
    It may overlap with others and is never refused.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    sop_instance_uid = models.CharField(max_length=64)
    exams = models.ManyToManyField(Exam, related_name="steps", through="StepExam")
    room = models.ForeignKey(Room, null=True, on_delete=models.PROTECT)
    ae_title = models.CharField(max_length=16, blank=True)
    step_id = models.CharField(max_length=16, blank=True)
    modality = models.CharField(max_length=16, blank=True)
    state = models.CharField(max_length=12, default=StepState.IN_PROGRESS)
    by_hand = models.BooleanField(default=False)
    by = models.CharField(max_length=80)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    reason_code = models.CharField(max_length=16, blank=True)
    reason_text = models.CharField(max_length=200, blank=True)
    referenced_images = ArrayField(models.CharField(max_length=64), default=list)
    attributes = models.JSONField(default=dict)
    simulated = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "sop_instance_uid"], name="one_step_a_uid"),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in StepState]), name="step_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state=StepState.IN_PROGRESS.value) | Q(ended_at__isnull=False),
                name="a_final_step_has_an_end",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "started_at"], name="step_by_start")]


class StepExam(models.Model):
    """One exam that a performed step carries out (IN PROGRESS starts every step it references)."""

    step = models.ForeignKey(PerformedStep, on_delete=models.CASCADE)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT)
    voided = models.BooleanField(default=False)
    """True once the step turned out to belong to another exam (wrong worklist entry)."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["step", "exam"], name="a_step_names_an_exam_once"),
        ]


class OutsideStudy(models.Model):
    """A study that another house made and somebody brought, as it says of itself, and what became of it here.

    Its numbers are those of the other house, kept for good beside ours. `exam` is the exam of outside images that
    stands for it here once it is taken in; `source` is where it came from, in the words of who brought it.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    study_instance_uid = models.CharField(max_length=64)
    patient_id_said = models.CharField(max_length=64, blank=True)
    patient_id_issuer = models.CharField(max_length=64, blank=True)
    patient_name = models.CharField(max_length=330, blank=True)
    patient_birth_date = models.DateField(null=True)
    patient_sex = models.CharField(max_length=16, blank=True)
    accession = models.CharField(max_length=64, blank=True)
    words = models.CharField(max_length=120, blank=True)
    institution = models.CharField(max_length=120, blank=True)
    body_part = models.CharField(max_length=64, blank=True)
    laterality = models.CharField(max_length=16, blank=True)
    performed_at = models.DateTimeField(null=True)
    source = models.CharField(max_length=120, blank=True)
    brought_by = models.CharField(max_length=80)
    brought_at = models.DateTimeField()
    state = models.CharField(max_length=16, default=OutsideState.WAITING)
    why = models.CharField(max_length=200, blank=True)
    exam = models.ForeignKey(Exam, null=True, on_delete=models.PROTECT, related_name="outside_studies")
    decided_by = models.CharField(max_length=80, blank=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "study_instance_uid", "patient_id_said", "patient_id_issuer"],
                name="one_outside_study_a_number_and_patient",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in OutsideState]), name="outside_state_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=OutsideState.TAKEN.value) | Q(exam__isnull=False),
                name="what_is_taken_in_has_an_exam",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "state", "-brought_at"], name="outside_by_state")]


class Medium(models.Model):
    """A disc, folder or zip file that somebody brings in, and how far it is; its files are read in a fixed order.

    `path` is where it lies: below the spool where `is_ours` (it was uploaded, and goes when it is over), else where whoever
    brings it by a command said. `mark` tells its listing from that of another disc under the same path. `run` numbers the
    processes that read it: one that was overtaken writes nothing more. `loose` are the numbers of files that are documents.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    source = models.CharField(max_length=120)
    path = models.CharField(max_length=4096)
    is_ours = models.BooleanField()
    at = models.DateTimeField()
    by = models.CharField(max_length=80)
    state = models.CharField(max_length=8, default=MediumState.WAITING)
    why = models.CharField(max_length=300, blank=True)
    """Why it does not go on now, or why it failed."""
    mark = models.CharField(max_length=64, blank=True)
    run = models.PositiveIntegerField(default=0)
    breaks = models.PositiveSmallIntegerField(default=0)
    """How often whoever read it was gone at the file where it stands."""
    files = models.PositiveIntegerField(default=0)
    files_done = models.PositiveIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    kept = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    documents = models.PositiveIntegerField(default=0)
    missing = models.PositiveIntegerField(default=0)
    left = models.JSONField(default=dict)
    """How many files were left, by why."""
    loose = models.JSONField(default=list)
    studies = models.ManyToManyField(OutsideStudy, related_name="media")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in MediumState]), name="medium_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(files_done__lte=F("files")), name="medium_files_done_of_files"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in MEDIA_UNDER_WAY], ended_at=None)
                | (~Q(state__in=[s.value for s in MEDIA_UNDER_WAY]) & Q(ended_at__isnull=False)),
                name="medium_has_an_end_when_over",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["site", "-at"], name="medium_by_time")]


class FetchedStudy(models.Model):
    """A study to compare with that the desk fetches from an archive, and sends on to the destination where it is read.

    `exam` is the one that it was first asked for. `why` is why it was not fetched yet, or not at all; `left` is how many
    objects of it are of a kind that the desk does not carry.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="+")
    study_instance_uid = models.CharField(max_length=64)
    archive = models.CharField(max_length=32)
    destination = models.CharField(max_length=32)
    state = models.CharField(max_length=12, default=FetchState.ASKED)
    why = models.CharField(max_length=120, blank=True)
    left = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField()
    next_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "study_instance_uid", "archive", "destination"],
                condition=Q(state__in=[FetchState.ASKED.value, FetchState.ON_ITS_WAY.value]),
                name="a_study_is_fetched_once_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in FetchState]), name="fetch_state_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=FetchState.GIVEN_UP.value) | ~Q(why=""), name="what_is_given_up_says_why"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=Q(state="asked for"), name="fetch_waiting"),
            models.Index(fields=["site", "study_instance_uid", "-id"], name="fetch_of_study"),
        ]


class Images(models.Manager["Image"]):
    """What machines sent, without the rejection notes that the desk sends after them, and without what it fetched to be compared with."""

    def get_queryset(self) -> models.QuerySet[Image]:
        """Every image of a machine."""
        return super().get_queryset().filter(note__isnull=True, fetched__isnull=True)


class Carried(models.Manager["Image"]):
    """Every image that has, or had, a file here: what machines sent, and what was fetched to be compared with."""

    def get_queryset(self) -> models.QuerySet[Image]:
        """All but rejection notes."""
        return super().get_queryset().filter(note__isnull=True)


class Image(models.Model):
    """One received object, as it says of itself, and where it stands.

    `copy` is 0 for the first object of a SOP Instance UID; a second one with other bytes
    is kept beside it as 1, 2… and quarantined. `path` is relative to the spool and made
    from our own numbers, never from what the object says; it is empty where the desk keeps no file (any more). `exam` is the exam it claims or was decided to belong to.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, null=True, on_delete=models.PROTECT, related_name="images")
    outside = models.ForeignKey(OutsideStudy, null=True, on_delete=models.PROTECT, related_name="images")
    """The study of another house that somebody brought it with; None for what a machine sent."""
    fetched = models.ForeignKey(FetchedStudy, null=True, on_delete=models.PROTECT, related_name="+")
    """The study to compare with that it is fetched with: it passes through, and `exam` is the one that asked for it."""
    sop_instance_uid = models.CharField(max_length=64)
    copy = models.PositiveSmallIntegerField(default=0)
    sop_class_uid = models.CharField(max_length=64)
    series_instance_uid = models.CharField(max_length=64, blank=True)
    study_instance_uid = models.CharField(max_length=64, blank=True)
    transfer_syntax_uid = models.CharField(max_length=64)
    accession = models.CharField(max_length=64, blank=True)
    patient_id = models.CharField(max_length=64, blank=True)
    patient_id_issuer = models.CharField(max_length=64, blank=True)
    patient_name = models.CharField(max_length=330, blank=True)
    patient_birth_date = models.DateField(null=True)
    patient_sex = models.CharField(max_length=16, blank=True)
    modality = models.CharField(max_length=16, blank=True)
    body_part = models.CharField(max_length=64, blank=True)
    view_position = models.CharField(max_length=64, blank=True)
    laterality = models.CharField(max_length=16, blank=True)
    acquired_at = models.DateTimeField(null=True)
    calling_ae_title = models.CharField(max_length=16, blank=True)
    header = models.JSONField(default=dict)
    path = models.CharField(max_length=200, blank=True)
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=12)
    why = models.CharField(max_length=400, blank=True)
    findings = models.JSONField(default=list)
    """What speaks against its label (`imaging.labelled_rules.Finding`), as it was last looked at."""
    corrections = models.JSONField(default=dict)
    before = models.JSONField(null=True)
    """How it stood before a person decided, where that can still be taken back."""
    note = models.JSONField(null=True)
    """What a rejection note says (`imaging.rejection_rules`); None for everything that a machine sent."""
    received_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=80, blank=True)
    released_at = models.DateTimeField(null=True)
    """When its file was let go of; the file itself is deleted after that, and `path` is emptied after the file."""
    released_why = models.CharField(max_length=120, blank=True)
    back_at = models.DateTimeField(null=True)
    """When its file came again after it had been let go of."""
    simulated = models.BooleanField(default=False)

    objects = Images()
    carried = Carried()
    everything: ClassVar[models.Manager[Image]] = models.Manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "sop_instance_uid", "copy", "fetched"],
                nulls_distinct=False,
                name="one_image_a_uid_and_copy",
            ),
            models.UniqueConstraint(fields=["site", "path"], condition=~Q(path=""), name="one_image_a_file"),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in ImageState]), name="image_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True)
                | (Q(state__in=[ImageState.SENT.value, ImageState.REJECTED.value]) & ~Q(released_why="")),
                name="no_image_that_waits_is_let_go",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["site", "received_at"], name="image_by_time"),
            models.Index(fields=["site", "study_instance_uid"], name="image_by_study"),
            models.Index(fields=["exam", "state"], name="image_of_exam"),
            models.Index(fields=["modality", "exam"], name="image_by_modality"),
            models.Index(F("site"), Coalesce("acquired_at", "received_at"), name="image_by_acquisition"),
            models.Index(
                fields=["site", "id"],
                condition=Q(released_at__isnull=True) & ~Q(path=""),
                name="image_with_its_file",
            ),
            models.Index(
                fields=["released_at"],
                condition=Q(released_at__isnull=False) & ~Q(path=""),
                name="image_file_to_delete",
            ),
        ]


class SeenPicture(models.Model):
    """What a picture looks like, as numbers (`imaging.gross_part`), kept with the part that was ordered; the file may be gone."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="seen_picture")
    part = models.CharField(max_length=64)
    features = models.BinaryField()
    at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["site", "part", "-at"], name="seen_by_part")]


class PartModel(models.Model):
    """What was learnt from a site's own confirmed images, and how well it does; the latest one counts."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=80)
    model = models.JSONField()
    calibration = models.JSONField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["site", "-made_at"], name="part_model_by_time")]


class Promise(models.Model):
    """A destination was asked to promise that it keeps what it was sent: which images, and what it answered.

    `objects_asked` holds (key of the delivery, SOP class, SOP instance as it was sent). The row is there before the
    question leaves, so that an answer always finds it; `taken_at` is when the destination took the question.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    destination = models.CharField(max_length=32)
    transaction_uid = models.CharField(max_length=64)
    objects_asked = models.JSONField(default=list)
    asked_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["site", "transaction_uid"], name="one_promise_a_transaction"),
        ]


class Delivery(models.Model):
    """One image on its way to one destination of the site file."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="deliveries")
    destination = models.CharField(max_length=32)
    state = models.CharField(max_length=12, default=DeliveryState.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    sent_at = models.DateTimeField(null=True)
    may_have_it = models.BooleanField(default=False)
    """True from when it is offered until the destination surely did not take it: a line may break after the last byte."""
    available_at = models.DateTimeField(null=True)
    """When the destination said that it can be read there."""
    why = models.CharField(max_length=300, blank=True)
    """Why it goes there: the rule that sent it, in words."""
    keeping = models.CharField(max_length=12, blank=True, default=KeepingState.NOT_ASKED)
    """Whether the destination promised to keep it."""
    keeping_why = models.CharField(max_length=120, blank=True)
    kept_at = models.DateTimeField(null=True)
    promise = models.ForeignKey(Promise, null=True, on_delete=models.PROTECT, related_name="deliveries")
    """The last question about it; the answers to earlier ones say less."""
    ask_at = models.DateTimeField(null=True)
    asks = models.PositiveSmallIntegerField(default=0)
    resends = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["image", "destination"], name="an_image_goes_once_to_a_destination"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in DeliveryState]), name="delivery_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(keeping__in=[s.value for s in KeepingState]), name="keeping_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(keeping=KeepingState.ASKED.value) | Q(promise__isnull=False),
                name="what_is_asked_has_its_question",
            ),
            models.CheckConstraint(
                condition=~Q(keeping__in=[KeepingState.COMMITTED.value, KeepingState.WAIVED.value])
                | Q(kept_at__isnull=False),
                name="what_is_kept_is_kept_since",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="delivery_waiting"),
            models.Index(fields=["site", "destination", "state", "sent_at"], name="delivery_of_destination"),
            models.Index(
                fields=["site", "destination", "keeping"],
                condition=Q(keeping__in=["to be asked", "asked", "not kept", "unanswered"]),
                name="delivery_not_promised",
            ),
        ]


class AvailabilityNotice(models.Model):
    """Somebody is to be told that all images of an exam can be read at a destination (Instance Availability Notification).

    `said` is what they are told, fixed when it came to be so: `study`, `series` (of each its objects as pairs of SOP class
    and instance), `steps` (UIDs of performed steps) and `retrieve_ae`. It names nobody.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="availability_notices")
    recipient = models.CharField(max_length=32)
    destination = models.CharField(max_length=32)
    last_image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    sop_instance_uid = models.CharField(max_length=64)
    said = models.JSONField()
    state = models.CharField(max_length=12, default=DeliveryState.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    last_error = models.CharField(max_length=300, blank=True)
    told_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["exam", "recipient", "destination", "last_image"],
                name="told_once_of_the_same_images",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in DeliveryState]),
                name="availability_notice_state_is_known",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["site", "recipient", "id"], condition=Q(state="waiting"), name="notice_waiting"
            ),
        ]


class Prior(models.Model):
    """One earlier study that whoever reads an exam wants to compare it with, and how it stands with it.

    `study_instance_uid` is empty where a person knows of it and nobody has its number yet. `where` is the destination
    that has it, or why it cannot be seen; `chased_by` is who asked for it, `chased_of` whom they asked.
    """

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    exam = models.ForeignKey(Exam, on_delete=models.PROTECT, related_name="priors")
    study_instance_uid = models.CharField(max_length=64, blank=True)
    accession = models.CharField(max_length=16, blank=True)
    words = models.CharField(max_length=120, blank=True)
    performed_on = models.DateField(null=True)
    relevance = models.CharField(max_length=80)
    state = models.CharField(max_length=16)
    where = models.CharField(max_length=120, blank=True)
    chased_by = models.CharField(max_length=80, blank=True)
    chased_of = models.CharField(max_length=120, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["exam", "study_instance_uid"],
                condition=~Q(study_instance_uid=""),
                name="a_study_is_compared_with_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in PriorState]), name="prior_state_is_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=PriorState.CHASED.value) | ~Q(chased_by=""),
                name="what_is_chased_is_chased_by_somebody",
            ),
        ]


class Commitment(models.Model):
    """One promise asked for (storage commitment): which objects, what was answered, whether it was told."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT)
    transaction_uid = models.CharField(max_length=64)
    ae_title = models.CharField(max_length=16)
    asked_at = models.DateTimeField()
    kept = models.JSONField(default=list)
    failed = models.JSONField(default=list)
    told_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["site", "ae_title", "transaction_uid"], name="one_commitment_a_transaction"
            ),
        ]
