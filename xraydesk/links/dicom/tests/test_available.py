"""Who waits for images is told where they can be read, and a PACS tells the desk: over real associations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from tests.factories import AT, make_exam
from xraydesk.access.models import Site
from xraydesk.facts.kinds import FactKind
from xraydesk.facts.models import Fact
from xraydesk.imaging.models import AvailabilityNotice, Delivery, Image
from xraydesk.imaging.rules import ATTEMPTS_MAX
from xraydesk.imaging.states import StepState
from xraydesk.journey import announce, reconcile, route
from xraydesk.journey.announced import SILENCE_MINUTES_MAX, take_silence
from xraydesk.journey.tests.performing import (
    PACS,
    begun,
    header,
    jobs,
    open_items,
    received,
    site_with_pacs,
    told,
)
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import available, echo
from xraydesk.links.dicom.admission import Verdict
from xraydesk.links.dicom.notice_codec import notice_of
from xraydesk.links.dicom.sop_classes import INSTANCE_AVAILABILITY, MODALITY_WORKLIST
from xraydesk.links.dicom.tests.peers import listening
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.routing_plan import DestinationPlan, RoutePlan

pytestmark = [pytest.mark.link, pytest.mark.django_db(transaction=True)]
READING = DestinationPlan("READING", "READING", "127.0.0.1", 11114, notices=True)
SOON = AT + timedelta(minutes=1)


def site_with(*destinations: DestinationPlan) -> Site:
    """A site whose images go to the PACS alone."""
    site = site_with_pacs(*destinations)
    others = tuple(d.name for d in destinations if d.name != "PACS")
    routes = (RoutePlan("Images go to the PACS alone", not_to=others),) if others else ()
    site.plan = to_json(replace(from_json(site.plan), routes=routes))
    site.save()
    return site


def performed(site: Site, images: int = 2) -> Exam:
    exam = make_exam(site)
    uid = begun(site, exam)
    for number in range(images):
        received(site, header(exam, series_instance_uid="1.2.3.4"), at=AT + timedelta(seconds=number))
    told(site, uid, StepState.COMPLETED)
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    return exam


def sent(exam: Exam, at: datetime = SOON) -> None:
    for delivery in Delivery.objects.filter(image__exam=exam, destination="PACS", state="waiting").order_by(
        "id"
    ):
        route.record_sent(delivery_id=delivery.pk, at=at)


def uids(exam: Exam) -> list[str]:
    return list(Image.objects.filter(exam=exam).order_by("id").values_list("sop_instance_uid", flat=True))


# -- the desk tells ---------------------------------------------------------------------------


@dataclass
class Reading:
    """A reporting system that takes notices, or does not."""

    status: int = 0
    came: list[tuple[str, Dataset]] = field(default_factory=list)

    def take(self, event: Any) -> tuple[int, Dataset | None]:
        self.came.append((str(event.request.AffectedSOPInstanceUID), event.attribute_list))
        return self.status, None


@pytest.fixture
def reading() -> Iterator[tuple[Reading, int]]:
    system = Reading()
    ae = AE(ae_title="READING")
    ae.require_called_aet = True
    ae.add_supported_context(INSTANCE_AVAILABILITY)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_CREATE, system.take)])
    yield system, server.socket.getsockname()[1]
    server.shutdown()
    server.server_close()


def tell(site: Site) -> None:
    AvailabilityNotice.objects.filter(state="waiting").update(next_at=AT)
    available.tell(site_id=site.pk, recipient="READING")


def test_a_recipient_is_told_once_all_images_of_an_exam_are_there(reading) -> None:
    system, port = reading
    site = site_with(PACS, replace(READING, port=port))
    exams = [performed(site), performed(site)]
    sent(exams[0])
    assert jobs(announce.NOTICE_TASK) == [{"site_id": site.pk, "recipient": "READING"}]
    sent(exams[1])
    tell(site)
    tell(site)
    assert [data.StudyInstanceUID for _, data in system.came] == [e.study_instance_uid for e in exams]
    uid, data = system.came[0]
    assert uid == AvailabilityNotice.objects.order_by("id").first().sop_instance_uid
    (series,) = data.ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == uids(exams[0])
    assert {one.RetrieveAETitle for one in series.ReferencedSOPSequence} == {"PACS"}
    step = exams[0].stepexam_set.get().step.sop_instance_uid
    assert [one.ReferencedSOPInstanceUID for one in data.ReferencedPerformedProcedureStepSequence] == [step]
    # A late image is told of as well, with those before it.
    late = received(site, header(exams[0]), at=SOON)
    route.queue_deliveries(exam_id=exams[0].pk, at=SOON)
    sent(exams[0])
    tell(site)
    assert len(system.came) == 3
    assert late.sop_instance_uid in {
        one.ReferencedSOPInstanceUID
        for series in system.came[2][1].ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }


def test_who_was_told_of_images_is_told_when_they_are_taken_back(reading) -> None:
    system, port = reading
    site = site_with(PACS, replace(READING, port=port))
    exam = performed(site)
    sent(exam)
    first, second = uids(exam)
    reconcile.reject_image(
        image_id=Image.objects.get(sop_instance_uid=first).pk, why="blurred", at=SOON, by="kim"
    )
    # It was not told yet that they can be read: it hears that first, and nothing overtakes it.
    tell(site)
    tell(site)
    assert [
        {
            one.ReferencedSOPInstanceUID: one.InstanceAvailability
            for series in data.ReferencedSeriesSequence
            for one in series.ReferencedSOPSequence
        }
        for _, data in system.came
    ] == [{first: "ONLINE", second: "ONLINE"}, {first: "UNAVAILABLE"}]
    other = make_exam(site, patient=exam.patient)
    image = Image.objects.get(sop_instance_uid=second)
    reconcile.belongs_here(image_id=image.pk, exam_id=other.pk, at=SOON, by="kim")
    tell(site)
    (series,) = system.came[2][1].ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == [second]
    assert series.ReferencedSOPSequence[0].InstanceAvailability == "UNAVAILABLE"


def test_who_cannot_be_reached_is_tried_for_ever_and_a_person_is_asked_once(reading) -> None:
    system, port = reading
    site = site_with(PACS, replace(READING, port=port, ae_title="WRONG"))
    sent(performed(site))
    for _ in range(ATTEMPTS_MAX + 1):
        tell(site)
    notice = AvailabilityNotice.objects.get()
    assert (notice.state, notice.attempts, notice.last_error) == (
        "waiting",
        ATTEMPTS_MAX + 1,
        "it takes no association",
    )
    assert open_items(site).count("notices:READING") == 1
    site.plan = to_json(replace(from_json(site.plan), destinations=(PACS, replace(READING, port=port))))
    site.save()
    tell(site)
    assert len(system.came) == 1
    assert "notices:READING" not in open_items(site)


def test_what_is_refused_is_given_up_and_the_next_one_goes(reading) -> None:
    system, port = reading
    site = site_with(PACS, replace(READING, port=port))
    sent(performed(site))
    system.status = 0x0110
    for _ in range(ATTEMPTS_MAX):
        tell(site)
    assert AvailabilityNotice.objects.get().state == "failed"
    assert "notices:READING" in open_items(site)
    # One that it has already, because its answer was lost, counts as told.
    system.status = 0x0111
    sent(performed(site))
    tell(site)
    assert list(AvailabilityNotice.objects.order_by("id").values_list("state", flat=True)) == [
        "failed",
        "sent",
    ]


def test_who_takes_no_such_notices_or_is_told_no_more_is_said() -> None:
    site = site_with(PACS, replace(READING, notices=False))
    exam = performed(site)
    sent(exam)
    assert not AvailabilityNotice.objects.exists()
    site.plan = to_json(replace(from_json(site.plan), destinations=(PACS, READING)))
    site.save()
    other = performed(site)
    sent(other)
    site.plan = to_json(replace(from_json(site.plan), destinations=(PACS,)))
    site.save()
    tell(site)
    assert "does not say any more" in AvailabilityNotice.objects.get().last_error


def test_a_notice_whose_job_was_lost_is_asked_for_again() -> None:
    site = site_with(PACS, READING)
    sent(performed(site))
    assert announce.resume_notices(at=AT) == 0
    assert announce.resume_notices(at=SOON) == 1


# -- a PACS tells the desk ----------------------------------------------------------------------


@pytest.fixture
def site() -> Site:
    return site_with(replace(PACS, announces=True))


@pytest.fixture
def desk(tmp_path, site):
    with listening(tmp_path, [echo.SERVICE, available.SERVICE]) as running:
        yield running


def tells(desk, exam: Exam, named: list[str], *, calling: str = "PACS", how: str = "ONLINE") -> int:
    notice = notice_of(
        {
            "study": exam.study_instance_uid,
            "series": {"1.2.3.4": [["1.2.840.10008.5.1.4.1.1.1", uid] for uid in named]},
            "steps": [],
            "retrieve_ae": "PACS",
        }
    )
    for one in notice.ReferencedSeriesSequence[0].ReferencedSOPSequence:
        one.InstanceAvailability = how
    association = desk.associate([INSTANCE_AVAILABILITY], calling=calling)
    assert association.is_established
    status, _ = association.send_n_create(notice, INSTANCE_AVAILABILITY, new_uid())
    association.release()
    return int(status.Status)


def readable(exam: Exam) -> list[dict[str, Any]]:
    found = Fact.objects.filter(accession=exam.accession, kind=FactKind.IMAGES_AVAILABLE).order_by("id")
    return [fact.data | {"by": fact.by} for fact in found]


def test_images_can_be_read_once_the_pacs_says_so_of_all_and_not_before(desk, site) -> None:
    exam = performed(site)
    sent(exam)
    assert readable(exam) == []
    first, second = uids(exam)
    assert tells(desk, exam, [first]) == 0
    assert tells(desk, exam, [second], how="NEARLINE") == 0
    assert readable(exam) == []
    assert tells(desk, exam, [second, "1.2.3.99"]) == 0
    assert tells(desk, exam, [first, second]) == 0
    (told_of,) = readable(exam)
    assert (told_of["destination"], told_of["by"]) == ("PACS", "pacs:PACS")
    assert told_of["last"] == Image.objects.order_by("id").last().received_at.isoformat()


def test_a_pacs_that_tells_before_it_has_answered_the_image_is_believed(desk, site) -> None:
    exam = performed(site)
    assert tells(desk, exam, uids(exam)) == 0
    assert readable(exam) == []
    sent(exam)
    assert len(readable(exam)) == 1


def test_a_pacs_that_never_tells_is_not_waited_for_and_a_person_sees_to_it(desk, site) -> None:
    exam = performed(site)
    sent(exam)
    late = SOON + timedelta(minutes=SILENCE_MINUTES_MAX)
    assert take_silence(site=site, at=late - timedelta(seconds=1)) == 0
    assert take_silence(site=site, at=late) == 2
    assert take_silence(site=site, at=late) == 0
    assert [told["by"] for told in readable(exam)] == ["rule"]
    assert "silent:PACS" in open_items(site)
    assert tells(desk, exam, uids(exam)) == 0
    assert "silent:PACS" not in open_items(site)
    site.plan = {}
    assert take_silence(site=site, at=late) == 0


def test_only_a_destination_that_announces_may_and_nothing_else(desk, site) -> None:
    exam = performed(site)
    assert tells(desk, exam, uids(exam), calling="XR1") == 0x0124
    assert desk.refusal([INSTANCE_AVAILABILITY], calling="STRANGER") == Verdict.CALLING_UNKNOWN.value
    assert (
        desk.refusal([INSTANCE_AVAILABILITY, MODALITY_WORKLIST], calling="PACS")
        == Verdict.CALLING_UNKNOWN.value
    )
    association = desk.associate([INSTANCE_AVAILABILITY], calling="PACS")
    of_nothing = notice_of({"study": "", "series": {}, "steps": [], "retrieve_ae": "PACS"})
    status, _ = association.send_n_create(of_nothing, INSTANCE_AVAILABILITY, new_uid())
    assert status.Status == 0x0121
    association.release()
