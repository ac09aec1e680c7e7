"""Images leave for their destinations by C-STORE, corrected on the way where a person decided so (PS3.4 annex B)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from datetime import datetime
from pathlib import Path

from django.conf import settings
from pydicom import dcmread
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom import _config as pynetdicom_config
from pynetdicom.association import Association

from xraydesk.access.models import Site
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.rejection_rules import note_of_json
from xraydesk.journey.route import (
    destination_answers,
    destinations_of,
    offer,
    record_failure,
    record_not_offered,
    record_refused,
    record_sent,
)
from xraydesk.lib import clock
from xraydesk.links.dicom.deidentify import (
    NotForResearch,
    Project,
    declare_note,
    for_research,
    note_for_research,
)
from xraydesk.links.dicom.rejection_codec import rejection_document
from xraydesk.links.dicom.secure import tls_to
from xraydesk.siteplan.routing_plan import DestinationPlan

# A file that is given by its path goes as it lies there, without being read whole.
pynetdicom_config.STORE_SEND_CHUNKED_DATASET = True

NETWORK_SECONDS_MAX = 30
CONTEXTS_MAX = 128
"""PS3.8 9.3.2.2: presentation context ids are odd numbers of one byte."""

PLAIN = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""Either may be rewritten as the other on the way."""

CLOSED_MAX = 3
"""A destination that closes so many associations in turn, each under its first image, is left alone for a while."""

DESK = "XRAYDESK"

NO_ANSWER = "it did not answer"
"""It may have taken what it was sent all the same."""


def deliver(*, exam_id: int, destination: str, goes_on: Callable[[], bool] = lambda: True) -> bool:
    """Send what waits of one exam for one destination over one association, in the order it came.

    Each image is recorded as soon as the destination has answered, so that a run that is
    killed goes on where it stopped (row 41 of the faults). Before each image but the first, `goes_on` is
    asked; where it says no, the rest waits. Where the destination closes the association under an image, that one
    failed, and the others go over another. False where the destination could not be reached, or goes on closing.
    """
    waiting = offer(exam_id=exam_id, destination=destination, at=clock.now())
    if not waiting:
        return True
    site = waiting[0].site
    to = next((d for d in destinations_of(site) if d.name == destination), None)
    if to is None:
        _all_failed(waiting, "the site file names no such destination any more")
        return True
    kept_back = {delivery.pk for delivery in waiting if not delivery.may_have_it}
    reached = all(
        _send_all(batch, site=site, to=to, goes_on=goes_on, kept_back=kept_back)
        for number, batch in enumerate(_batches(waiting))
        if number == 0 or goes_on()
    )
    if kept_back:
        record_not_offered(delivery_ids=kept_back)
    return reached


def _send_all(
    batch: Sequence[Delivery],
    *,
    site: Site,
    to: DestinationPlan,
    goes_on: Callable[[], bool],
    kept_back: set[int],
) -> bool:
    """Send a part over as many associations as the destination makes of it: one image that it cannot bear stops no other.

    False where there was none, or it closes under one image after the other: what was not tried waits, and no try is counted.
    """
    closed = 0
    while batch:
        rest = _send_batch(batch, site=site, to=to, goes_on=goes_on, kept_back=kept_back)
        if rest is None:
            return False
        closed = closed + 1 if len(batch) - len(rest) <= 1 else 1
        if rest and closed >= CLOSED_MAX:
            return False
        if rest and not goes_on():
            return True
        batch = rest
    return True


def _batches(waiting: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Parts whose kinds of object fit into the presentation contexts of one association."""
    batch: list[Delivery] = []
    contexts: set[tuple[str, tuple[str, ...]]] = set()
    for delivery in waiting:
        wanted = contexts.union(_contexts(_kind(delivery)))
        if len(wanted) > CONTEXTS_MAX:
            yield batch
            batch, wanted = [], {*_contexts(_kind(delivery))}
        batch.append(delivery)
        contexts = wanted
    yield batch


def _kind(delivery: Delivery) -> tuple[str, str]:
    """SOP class and transfer syntax."""
    return delivery.image.sop_class_uid, delivery.image.transfer_syntax_uid


def _contexts(kind: tuple[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is proposed for a kind: its own transfer syntax alone, so that it can go as it came; a plain one in either, too."""
    sop_class, syntax = kind
    own = (sop_class, (syntax,))
    return (own, (sop_class, PLAIN)) if syntax in PLAIN else (own,)


def _send_batch(
    batch: Sequence[Delivery],
    *,
    site: Site,
    to: DestinationPlan,
    goes_on: Callable[[], bool],
    kept_back: set[int],
) -> Sequence[Delivery] | None:
    """Send a part over one association; None where there was none, else what it was closed before. What is tried leaves `kept_back`."""
    ae = AE(ae_title=site.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = NETWORK_SECONDS_MAX
    for sop_class, syntaxes in dict.fromkeys(each for one in batch for each in _contexts(_kind(one))):
        ae.add_requested_context(sop_class, list(syntaxes))
    try:
        tls = tls_to(to)
    except OSError as error:
        _all_failed(batch, f"a certificate file for it cannot be read ({type(error).__name__})")
        return None
    association = ae.associate(to.host, to.port, ae_title=to.ae_title, tls_args=tls)
    if not association.is_established:
        _all_failed(batch, "it takes no association", is_away=True)
        return None
    destination_answers(site_id=site.pk, destination=to.name, at=clock.now())
    try:
        for place, delivery in enumerate(batch):
            if not association.is_established:
                if place:
                    return batch[place:]
                _all_failed(batch, "it closed the association")
                return None
            if place and not goes_on():
                return ()
            corrections = delivery.image.corrections
            kept_back.discard(delivery.pk)
            try:
                why = _send(association, delivery, to)
            except NotForResearch as never:
                record_refused(delivery_id=delivery.pk, at=clock.now(), why=str(never))
                continue
            if why:
                record_failure(
                    delivery_id=delivery.pk,
                    at=clock.now(),
                    why=why,
                    corrections=corrections,
                    may_have_it=delivery.may_have_it or why == NO_ANSWER,
                )
            else:
                record_sent(
                    delivery_id=delivery.pk,
                    at=clock.now(),
                    corrections=corrections,
                    is_to_promise=to.commits,
                )
    finally:
        association.release()
    return ()


def _send(association: Association, delivery: Delivery, to: DestinationPlan) -> str:
    """Send one image; why it was not taken, empty where it was. Raises NotForResearch where it must not go there."""
    try:
        to_send = _as_sent(association, delivery.image, to)
    except (OSError, InvalidDicomError) as error:
        return f"its file cannot be read ({type(error).__name__})"
    try:
        answer = association.send_c_store(to_send)
    except (ValueError, RuntimeError, AttributeError, TypeError, OSError, InvalidDicomError) as error:
        # pynetdicom says so where no context was accepted, or the data set cannot be encoded.
        return f"it takes no such object, or it cannot be written ({type(error).__name__})"
    status = answer.get("Status")
    if status is None:
        return NO_ANSWER
    # Warnings (Bxxx) mean that it was stored (PS3.4 table B.2-1).
    return "" if status == 0x0000 or status & 0xF000 == 0xB000 else f"it answered {status:04X}"


def _as_sent(association: Association, image: Image, to: DestinationPlan) -> Dataset | Path:
    """An image as this destination gets it: its file, untouched, where nothing is to be changed."""
    path = Path(settings.XRAYDESK_SPOOL) / image.path
    project = Project(to.research, settings.SECRET_KEY.encode(), to.shift_dates) if to.research else None
    if image.note is not None:
        return _note(image, project)
    if image.corrections or project or not _takes_as_it_came(association, image):
        dataset = dcmread(path)
        correct(dataset, image.corrections, at=clock.now())
        return for_research(dataset, project) if project else dataset
    path.stat()  # what is gone is told as that
    return path


def _takes_as_it_came(association: Association, image: Image) -> bool:
    """True where the image's own transfer syntax was accepted: its bytes go as they came, a portion at a time."""
    return any(
        (context.abstract_syntax, context.transfer_syntax[0])
        == (image.sop_class_uid, image.transfer_syntax_uid)
        for context in association.accepted_contexts
    )


def _note(image: Image, project: Project | None) -> Dataset:
    """The rejection note that an image of ours stands for, made anew each time it is sent, and always the same.

    A project knows the objects by other numbers, and is told of those.
    """
    note, at = note_of_json(image.note or {}), clock.in_zone(image.received_at, image.site.timezone)
    own, series = image.sop_instance_uid, image.series_instance_uid
    if project is None:
        return rejection_document(note, sop_instance_uid=own, series_instance_uid=series, at=at)
    document = rejection_document(
        note_for_research(note, project),
        sop_instance_uid=project.uid(own),
        series_instance_uid=project.uid(series),
        at=at,
    )
    declare_note(document, project)
    return document


def correct(dataset: Dataset, corrections: dict[str, str], *, at: datetime) -> None:
    """Put right what a person, or the matching, decided on, and keep the old values beside it.

    The old values go into the Original Attributes Sequence (PS3.3 C.12.1.1.9), and a patient's number that was
    somebody else's to give stays readable among the other ones (Other Patient IDs Sequence, C.2.2), so that who
    knows the patient by it finds the image. Where the object's character set cannot write a new value, all of it
    is rewritten in UTF-8.
    """
    if not corrections:
        return
    former = _former_number(dataset, corrections)
    before = Dataset()
    if "ImageLaterality" in corrections and dataset.get("Laterality"):
        # The series' side (PS3.3 C.7.3.1), which older machines write in place of the image's.
        corrections = {**corrections, "Laterality": corrections["ImageLaterality"]}
    for keyword in corrections:
        if keyword in dataset:
            before.add(deepcopy(dataset[keyword]))
    if not _can_write(dataset, corrections.values()):
        dataset.decode()
        before.decode()
        dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in corrections.items():
        setattr(dataset, keyword, value)
    if former is not None:
        dataset.OtherPatientIDsSequence = [*(dataset.get("OtherPatientIDsSequence") or []), former]
    change = Dataset()
    change.ModifiedAttributesSequence = [before]
    change.AttributeModificationDateTime = at.strftime("%Y%m%d%H%M%S.%f+0000")
    change.ModifyingSystem = DESK
    change.SourceOfPreviousValues = ""
    change.ReasonForTheAttributeModification = "CORRECT"
    dataset.OriginalAttributesSequence = [*(dataset.get("OriginalAttributesSequence") or []), change]


def _former_number(dataset: Dataset, corrections: dict[str, str]) -> Dataset | None:
    """The number of another issuer that an image came with, where it is given one of ours.

    A number of the same issuer was the wrong patient's: it is not another name for this one.
    """
    number, issuer = str(dataset.get("PatientID") or ""), str(dataset.get("IssuerOfPatientID") or "")
    ours = corrections.get("IssuerOfPatientID", "")
    if "PatientID" not in corrections or not number or not issuer or issuer.casefold() == ours.casefold():
        return None
    former = Dataset()
    former.PatientID, former.IssuerOfPatientID, former.TypeOfPatientID = number, issuer, "TEXT"
    return former


def _can_write(dataset: Dataset, values: Iterable[str]) -> bool:
    """True where every value can be written in the first character set that the data set names."""
    first = convert_encodings(dataset.get("SpecificCharacterSet") or "")[0]
    try:
        for value in values:
            value.encode("ascii" if first == default_encoding else first)
    except (UnicodeError, LookupError):
        return False
    return True


def _all_failed(deliveries: Iterable[Delivery], why: str, *, is_away: bool = False) -> None:
    """None of these left now; what it may have had before it may have still."""
    for delivery in deliveries:
        record_failure(
            delivery_id=delivery.pk,
            at=clock.now(),
            why=why,
            may_have_it=delivery.may_have_it,
            is_away=is_away,
        )
