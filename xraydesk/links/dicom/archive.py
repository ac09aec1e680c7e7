"""Asking archives for earlier studies, and having those that are asked over DICOM send them to where they are read (PS3.4 C.4.1, C.4.2).

An archive that is asked over the web finds them by `links/dicomweb/find.py`; the desk fetches them (`links/dicomweb/fetch.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from xraydesk.imaging.prior_rules import Study, relevant
from xraydesk.imaging.queries import person_of
from xraydesk.journey import priors
from xraydesk.lib import clock
from xraydesk.links.dicom.archive_codec import (
    ArchiveAway,
    Asked,
    is_of,
    said_in,
    series_wanted,
    studies_wanted,
    study_of,
    study_to_move,
)
from xraydesk.links.dicom.secure import tls_to
from xraydesk.links.dicom.sop_classes import MESSAGE_SYNTAXES
from xraydesk.links.dicomweb import find as web
from xraydesk.orders.models import Exam
from xraydesk.siteplan.reading import from_json
from xraydesk.siteplan.routing_plan import DestinationPlan

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
CONNECT_SECONDS_MAX = 10
ANSWER_SECONDS_MAX = 60
"""An archive on tape may take so long for a move; what takes longer is looked for again at the exam's next step."""

STUDIES_MAX = 100
SERIES_MAX = 50


def fetch_priors(exam_id: int) -> int:
    """Ask every archive of the site file for what an exam is compared with, and have it sent where it is read.

    The number of studies that became known. An archive that does not answer is told of beside the exam.
    """
    exam = Exam.objects.select_related("site", "patient", "procedure").get(pk=exam_id)
    plan = from_json(exam.site.plan) if exam.site.plan else None
    wanted = priors.looked_at(exam, at=clock.now())
    person = person_of(exam.patient)
    if plan is None or wanted is None or not person.identifiers:
        return 0
    number = person.identifiers[0]
    asked = Asked(number.value, number.authority or exam.site.assigning_authority, person.birth_date)
    new = 0
    for archive in (d for d in plan.destinations if d.finds):
        try:
            if archive.web:
                studies = web.find_studies(archive, asked, on=wanted.on)
            else:
                studies = find_studies(archive, asked, calling=exam.site.ae_title)
        except ArchiveAway as why:
            priors.archive_away(exam_id=exam.pk, archive=archive.name, why=str(why), at=clock.now())
            continue
        to_move, found = priors.archive_told(
            exam_id=exam.pk,
            archive=archive.name,
            moves_to=archive.moves_to,
            found=relevant(wanted, studies),
            at=clock.now(),
            is_fetched=bool(archive.web),
        )
        new += found
        _move(
            exam,
            archive,
            to_move,
            to=next((d for d in plan.destinations if d.name == archive.moves_to), None),
        )
    return new


def _move(exam: Exam, archive: DestinationPlan, uids: list[str], *, to: DestinationPlan | None) -> None:
    for uid in uids if to else ():
        assert to is not None
        try:
            move_study(archive, uid, to_ae=to.ae_title, calling=exam.site.ae_title)
            why = ""
        except ArchiveAway as failure:
            why = str(failure)
        priors.moved(exam_id=exam.pk, uid=uid, to=to.name, why=why, at=clock.now())


def find_studies(archive: DestinationPlan, asked: Asked, *, calling: str) -> list[Study]:
    """The studies that an archive has of a patient, each with what it looks at. Raises ArchiveAway."""
    with _association(archive, STUDY_ROOT_FIND, calling) as association:
        found = []
        for answer in _answers(association, studies_wanted(asked), STUDIES_MAX):
            if is_of(asked, said_in(answer)):
                found.append(answer)
        studies = []
        for answer in found:
            series = _answers(
                association, series_wanted(str(answer.get("StudyInstanceUID") or "")), SERIES_MAX
            )
            study = study_of(said_in(answer), [said_in(one) for one in series])
            if study is not None:
                studies.append(study)
    return studies


def move_study(archive: DestinationPlan, uid: str, *, to_ae: str, calling: str) -> None:
    """Have an archive send a study to another AE title, which it has to know. Raises ArchiveAway where it did not."""
    with _association(archive, STUDY_ROOT_MOVE, calling) as association:
        status, failed = None, 0
        for answer, _ in association.send_c_move(study_to_move(uid), to_ae, STUDY_ROOT_MOVE):
            status = answer.get("Status")
            failed = int(answer.get("NumberOfFailedSuboperations") or failed)
    if status is None:
        raise ArchiveAway("it did not answer")
    if status == 0xA801:
        raise ArchiveAway(f"it does not know {to_ae}")
    if status != 0x0000 or failed:
        raise ArchiveAway(
            f"it could not send {failed} of its images" if failed else f"it answered {status:04X}"
        )


def _answers(association: Association, identifier: Dataset, limit: int) -> list[Dataset]:
    found: list[Dataset] = []
    status = None
    for answer, dataset in association.send_c_find(identifier, STUDY_ROOT_FIND):
        status = answer.get("Status")
        if status in (0xFF00, 0xFF01) and dataset is not None and len(found) < limit:
            found.append(dataset)
    if status is None:
        raise ArchiveAway("it did not answer")
    if status != 0x0000:
        raise ArchiveAway(f"it answered {status:04X}")
    return found


@contextmanager
def _association(archive: DestinationPlan, sop_class: str, calling: str) -> Iterator[Association]:
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.connection_timeout = CONNECT_SECONDS_MAX
    ae.dimse_timeout = ae.network_timeout = ANSWER_SECONDS_MAX
    ae.add_requested_context(sop_class, list(MESSAGE_SYNTAXES))
    try:
        tls = tls_to(archive)
    except OSError as error:
        raise ArchiveAway(f"a certificate file for it cannot be read ({type(error).__name__})") from None
    association = ae.associate(archive.host, archive.port, ae_title=archive.ae_title, tls_args=tls)
    if not association.is_established:
        raise ArchiveAway("it takes no association")
    try:
        yield association
    except (ValueError, RuntimeError) as error:
        # pynetdicom says so where the context was not accepted, or the association has gone.
        raise ArchiveAway(f"it cannot be asked ({type(error).__name__})") from None
    finally:
        association.release()
