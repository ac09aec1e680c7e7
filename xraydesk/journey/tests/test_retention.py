"""Files of images are let go of once they are safe wherever they go, and never before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from tests.factories import AT, make_exam
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.facts.models import Fact
from xraydesk.imaging.header import StoredFile
from xraydesk.imaging.models import Delivery, FetchedStudy, Image, Prior
from xraydesk.imaging.retention import kept_images
from xraydesk.imaging.retention_rules import FREE_BYTES_WARN, Kept, why_kept
from xraydesk.imaging.states import StepState
from xraydesk.journey import outside, reconcile, retention, route
from xraydesk.journey.errors import WrongState
from xraydesk.journey.tests.performing import PACS, begun, header, open_items, received, site_with_pacs, told
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.routing_plan import DestinationPlan

pytestmark = pytest.mark.django_db
KEEPER = replace(PACS, commits=True)
PLAIN = DestinationPlan("WS", "WS", "127.0.0.1", 11114)
STUDY = DestinationPlan("STUDY", "STUDY", "127.0.0.1", 11115, research="Wrists")
LATER = AT + timedelta(days=31)


@pytest.fixture
def site():
    return site_with_pacs(KEEPER, PLAIN, STUDY)


def sent(site) -> tuple[Exam, Image]:
    """An image that both destinations took and that the PACS promised to keep."""
    exam = make_exam(site)
    uid = begun(site, exam)
    image = received(site, header(exam))
    told(site, uid, StepState.COMPLETED)
    close_items(site_id=site.pk, key=f"check missing:{exam.accession}", at=AT, by="t", how="t")
    route.queue_deliveries(exam_id=exam.pk, at=AT)
    for delivery in Delivery.objects.filter(image=image):
        route.record_sent(delivery_id=delivery.pk, at=AT, is_to_promise=delivery.destination == "PACS")
    Delivery.objects.filter(image=image, destination="PACS").update(keeping="committed", kept_at=AT)
    image.refresh_from_db()
    return exam, image


def reasons(site, *, at) -> list[str]:
    """Why each file is here: as the database says it, and as the rule says it of each row."""
    policy = retention.policy_of(site)
    asked = kept_images(site=site, plain=["WS", "STUDY"], nameless=["STUDY"], policy=policy, at=at).order_by(
        "id"
    )
    said = list(asked.values_list("kept", flat=True))
    keys = [image.pk for image in asked]
    with transaction.atomic():
        ruled = [why_kept(standing, policy, at=at).value for _, standing in retention._standing(site, keys)]
    assert said == ruled
    return said


def test_the_database_and_the_rule_give_the_same_reason_for_every_file(site) -> None:
    cases = {}
    for name in (
        "may go", "not safe", "plain just taken", "waiting", "promised lately", "gone", "held", "quarantined",
        "matched", "rejected", "rejected lately", "asked about", "priors", "waived", "decided lately",
        "nowhere", "research alone", "research too", "fetched", "fetched and waiting",
    ):  # fmt: skip
        cases[name] = sent(site)
    first = {
        name: Delivery.objects.filter(image=image, destination="PACS") for name, (_, image) in cases.items()
    }
    second = {
        name: Delivery.objects.filter(image=image, destination="WS") for name, (_, image) in cases.items()
    }
    state = {name: Image.objects.filter(pk=image.pk) for name, (_, image) in cases.items()}
    first["not safe"].update(keeping="to be asked", kept_at=None)
    second["plain just taken"].update(sent_at=LATER - timedelta(hours=23))
    second["waiting"].update(state="waiting", sent_at=None)
    first["promised lately"].update(kept_at=LATER - timedelta(days=29))
    second["gone"].update(destination="OLD")
    state["held"].update(state="held")
    state["quarantined"].update(state="quarantined")
    state["matched"].update(state="matched")
    state["rejected"].update(state="rejected", decided_at=AT)
    first["rejected"].update(keeping="to be asked", kept_at=None)
    state["rejected lately"].update(state="rejected", decided_at=LATER - timedelta(days=1))
    raise_item(
        site_id=site.pk,
        kind=ItemKind.LABEL_DOUBT,
        key="x",
        at=AT,
        accession=cases["asked about"][0].accession,
    )
    Prior.objects.create(
        site=site, exam=cases["priors"][0], study_instance_uid="1.2", relevance="x", state="coming", changed_at=AT
    )  # fmt: skip
    second["waived"].update(destination="OLD", keeping="seen there", kept_at=AT)
    state["decided lately"].update(decided_at=LATER - timedelta(days=2))
    for ways in (first, second):
        ways["nowhere"].update(state="withdrawn")
    first["research alone"].update(state="withdrawn")
    second["research alone"].update(destination="STUDY")
    second["research too"].update(destination="STUDY")
    for name in ("fetched", "fetched and waiting"):
        exam = cases[name][0]
        state[name].update(
            fetched=FetchedStudy.objects.create(
                site=site, exam=exam, study_instance_uid=name, archive="OLD", destination="WS", state="there",
                asked_at=AT, next_at=AT,
            )
        )  # fmt: skip
    first["fetched"].update(sent_at=LATER, keeping="", kept_at=None)
    Image.everything.filter(pk=cases["fetched and waiting"][1].pk).update(state="matched")
    found = dict(zip(cases, reasons(site, at=LATER), strict=True))
    assert found == {
        "may go": Kept.MAY_GO, "not safe": Kept.NOT_SAFE, "plain just taken": Kept.NOT_SAFE,
        "waiting": Kept.NOT_SAFE, "promised lately": Kept.DAYS, "gone": Kept.NOT_SAFE,
        "held": Kept.UNDECIDED, "quarantined": Kept.UNDECIDED, "matched": Kept.NOT_SENT,
        "rejected": Kept.MAY_GO, "rejected lately": Kept.DAYS, "asked about": Kept.ASKED_ABOUT,
        "priors": Kept.PRIORS, "waived": Kept.MAY_GO, "decided lately": Kept.DAYS,
        "nowhere": Kept.NOWHERE, "research alone": Kept.NOWHERE, "research too": Kept.MAY_GO,
        "fetched": Kept.MAY_GO, "fetched and waiting": Kept.NOT_SENT,
    }  # fmt: skip
    # What was fetched stays no longer than until it was sent on.
    assert reasons(site, at=AT + timedelta(days=29)).count("nothing: it may go") == 1
    assert retention.release_due(site=site, at=LATER) == 5
    assert set(Image.objects.exclude(released_at=None)) == {
        cases[n][1] for n in ("may go", "rejected", "waived", "research too")
    }
    assert retention.release_due(site=site, at=LATER) == 0


def test_files_stay_for_ever_where_the_site_says_so(site) -> None:
    sent(site)
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, policies=replace(plan.policies, image_days=0)))
    site.save()
    assert reasons(site, at=AT + timedelta(days=9999)) == [Kept.DAYS]


def test_what_is_let_go_of_is_told_in_its_row_and_in_the_exams_history(site) -> None:
    exam, image = sent(site)
    assert retention.release_due(site=site, at=LATER) == 1
    image.refresh_from_db()
    assert (image.released_at, image.released_why, bool(image.path)) == (
        LATER,
        "it is safe at PACS and WS",
        True,
    )
    fact = Fact.objects.get(kind="files of images let go")
    assert (fact.accession, fact.data) == (exam.accession, {"images": [image.pk], "why": image.released_why})


def test_a_round_stops_at_its_limit_and_the_next_goes_on(site, monkeypatch) -> None:
    monkeypatch.setattr(retention, "IMAGES_AT_ONCE", 1)
    for _ in range(3):
        sent(site)
    assert retention.release_due(site=site, at=LATER, images_max=2) == 2
    assert retention.release_due(site=site, at=LATER) == 1


@pytest.mark.parametrize("state", ["matched", "held", "quarantined"])
def test_the_database_lets_nothing_go_that_waits(site, state: str) -> None:
    _, image = sent(site)
    Image.objects.filter(pk=image.pk).update(state=state)
    with pytest.raises(IntegrityError), transaction.atomic():
        Image.objects.filter(pk=image.pk).update(released_at=AT, released_why="by hand")


def test_what_is_no_longer_here_goes_nowhere_else_until_its_machine_sends_it_again(site) -> None:
    exam, image = sent(site)
    other = make_exam(site)
    retention.release_due(site=site, at=LATER)
    with pytest.raises(WrongState, match="no longer here: it is safe at PACS and WS"):
        reconcile.belongs_here(image_id=image.pk, exam_id=other.pk, at=LATER, by="user:c")
    Image.objects.filter(pk=image.pk).update(path="")
    said = header(exam, sop_instance_uid=image.sop_instance_uid)
    again = received(site, said, content=str(int(image.path.partition(".")[0])), at=LATER)
    assert (again.pk, again.released_at, again.back_at) == (image.pk, None, LATER)
    assert again.path != image.path
    assert Fact.objects.filter(kind="file of an image came again").count() == 1
    reconcile.belongs_here(image_id=image.pk, exam_id=other.pk, at=LATER, by="user:c")


def test_what_came_again_before_its_file_was_deleted_keeps_the_one_that_is_here(site) -> None:
    exam, image = sent(site)
    retention.release_due(site=site, at=LATER)
    said = header(exam, sop_instance_uid=image.sop_instance_uid)
    again = received(site, said, content=image.path.partition(".")[0], at=LATER)
    assert (again.path, again.released_at) == (image.path, None)
    assert reasons(site, at=LATER) == [Kept.DAYS]


def test_a_rejection_is_not_taken_back_once_the_file_is_gone(site) -> None:
    exam = make_exam(site)
    image = received(site, header(exam, patient_id="W1"))
    reconcile.reject_image(image_id=image.pk, why="blurred", at=AT, by="user:c")
    assert retention.release_due(site=site, at=LATER) == 1
    with pytest.raises(WrongState, match="no longer here"):
        reconcile.undo_decision(image_id=image.pk, at=LATER, by="user:c")


def test_room_that_runs_short_is_an_item_until_there_is_room(site) -> None:
    _, image = sent(site)
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, policies=replace(plan.policies, spool_gigabytes_max=1)))
    site.save()
    assert retention.look_after_room(site=site, free_bytes=FREE_BYTES_WARN, at=AT) == ""
    Image.objects.filter(pk=image.pk).update(size_bytes=850_000_000)
    assert "85 %" in retention.look_after_room(site=site, free_bytes=FREE_BYTES_WARN, at=AT)
    Image.objects.filter(pk=image.pk).update(size_bytes=1_000_000_000)
    retention.look_after_room(site=site, free_bytes=FREE_BYTES_WARN, at=AT)
    assert "no more images are taken" in Item.objects.get(kind=ItemKind.ROOM_SHORT).text
    Image.objects.filter(pk=image.pk).update(path="")
    assert retention.look_after_room(site=site, free_bytes=FREE_BYTES_WARN, at=AT) == ""
    assert open_items(site) == []


def test_a_person_waits_no_more_for_a_destination_that_is_gone(site) -> None:
    sent(site)
    Delivery.objects.filter(destination="WS").update(destination="OLD")
    (kept,) = retention.overview(site=site, at=LATER).destinations
    assert (kept.name, kept.images, kept.is_gone) == ("OLD", 1, True)
    with pytest.raises(WrongState):
        retention.give_up_destination(site=site, destination="PACS", at=LATER, by="user:a")
    assert retention.give_up_destination(site=site, destination="OLD", at=LATER, by="user:a") == 1
    found = retention.overview(site=site, at=LATER)
    assert (found.destinations, [t.why for t in found.totals]) == ([], [Kept.DAYS])
    assert retention.overview(site=site, at=LATER + timedelta(days=31)).may_go == 1


def test_requisitions_stay_and_go_as_images_do(site) -> None:
    _, image = sent(site)
    Image.objects.filter(pk=image.pk).update(modality="DOC", calling_ae_title=site.ae_title)
    assert retention.release_due(site=site, at=AT + timedelta(days=29)) == 0
    assert retention.release_due(site=site, at=LATER) == 1


def test_what_another_house_made_stays_and_goes_by_the_same_rules_and_can_be_brought_again(site) -> None:
    said = header(None, patient_id="X1", patient_name="Stranger^Ann")

    def brought(path: str, *, at) -> Image:
        return outside.bring(
            site=site,
            header=said,
            stored=StoredFile(path, 1000, "f" * 64),
            words="Chest",
            institution="Elsewhere",
            source="a disc",
            at=at,
            by="user:c",
        )

    image = brought("o1.dcm", at=AT)
    assert reasons(site, at=LATER) == [Kept.UNDECIDED]
    outside.refuse(study_id=image.outside_id, why="nobody's", at=AT, by="user:c")
    assert reasons(site, at=AT + timedelta(days=29)) == [Kept.DAYS]
    assert retention.release_due(site=site, at=LATER) == 1
    Image.objects.update(path="")
    again = brought("o2.dcm", at=LATER)
    assert (again.pk, again.path, again.released_at) == (image.pk, "o2.dcm", None)
