"""Pictures are looked at where the site file says so, and learnt from once their exams were read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from django.urls import reverse

from tests.factories import AT, make_exam, make_site
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.facts.models import Fact
from xraydesk.imaging import gross_part
from xraydesk.imaging.models import Delivery, Image, PartModel, SeenPicture
from xraydesk.imaging.states import StepState
from xraydesk.imaging.tests.test_gross_part import drawn
from xraydesk.journey import learning, pictures
from xraydesk.journey.pictures import NotEnoughPictures, learn_parts
from xraydesk.journey.tests.performing import begun, header, jobs, received, site_with_pacs, told
from xraydesk.links.dicom.looking import look_at_pictures
from xraydesk.links.dicom.tests.test_picture import image_file
from xraydesk.orders.models import Exam
from xraydesk.quality.models import Feedback
from xraydesk.reactions.jobs import learn_pictures
from xraydesk.reactions.table import send_images
from xraydesk.results.models import Report
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch):
    settings.XRAYDESK_SPOOL = tmp_path
    monkeypatch.setattr(gross_part, "EXAMPLES_MIN", 8)
    site = site_with_pacs()
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, policies=replace(plan.policies, look_at_pictures=True)))
    site.save()
    return site


def came(exam: Exam, shown: str, folder: Path, random: Random) -> Image:
    """An image of an exam whose picture shows stripes one way or the other."""
    image = received(exam.site, header(exam))
    pixels = (drawn(shown, random) * 20 + 2000).clip(0).astype("uint16")
    image_file(folder, pixels).rename(folder / image.path)
    return image


def performed(site, code: str = "XRCHEST2") -> Exam:
    exam = make_exam(site, code=code, laterality="R" if code == "XRKNEE2" else "")
    told(site, begun(site, exam), StepState.COMPLETED)
    return exam


def read(exam: Exam) -> None:
    Report.objects.create(
        site=exam.site, exam=exam, state="final", said_at=AT, read_at=AT, changed_at=AT, text="nothing new"
    )


def taught(site, folder: Path) -> None:
    random = Random(5)
    for code, shown in (("XRCHEST2", "bars"), ("XRKNEE2", "rungs")):
        exam = performed(site, code)
        for _ in range(9):
            came(exam, shown, folder, random)
        assert look_at_pictures(exam, at=AT) == 9
        Image.objects.filter(exam=exam).update(state="sent")
        read(exam)


def test_nothing_is_looked_at_unless_the_site_file_says_so(tmp_path: Path, settings) -> None:
    settings.XRAYDESK_SPOOL = tmp_path
    exam = performed(site_with_pacs())
    came(exam, "bars", tmp_path, Random(1))
    assert look_at_pictures(exam, at=AT) == 0
    assert not SeenPicture.objects.exists()


def test_only_confirmed_images_teach_and_only_once_there_are_enough(site, tmp_path: Path) -> None:
    exam = performed(site)
    for _ in range(9):
        came(exam, "bars", tmp_path, Random(1))
    look_at_pictures(exam, at=AT)
    assert pictures.counts(site) == {}
    Image.objects.filter(exam=exam).update(state="sent")
    assert pictures.counts(site) == {}
    read(exam)
    assert pictures.counts(site) == {"chest": 9}
    with pytest.raises(NotEnoughPictures, match="8 confirmed images of each of two parts"):
        learning.ask_to_learn(site=site, by="user:c")
    assert learn_parts(site=site, at=AT, by="user:c") is None
    doubt = Feedback.objects.create(site=site, exam=exam, reason="wrong label", at=AT, by="user:r")
    assert pictures.counts(site) == {}
    Feedback.objects.filter(pk=doubt.pk).update(withdrawn_at=AT)
    assert pictures.counts(site) == {"chest": 9}


def test_a_picture_of_another_part_is_one_doubt_more_and_holds_nothing_by_itself(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught(site, tmp_path)
    learn_parts(site=site, at=AT, by="user:c")
    monkeypatch.setattr(gross_part, "SURE_AT_LEAST", 0.6)
    monkeypatch.setattr(gross_part, "ORDERED_AT_MOST", 0.4)
    exam = performed(site)
    right = came(exam, "bars", tmp_path, Random(11))
    wrong = came(exam, "rungs", tmp_path, Random(12))
    send_images(Fact(site=site, kind="ended", accession=exam.accession, at=AT))
    for image in (right, wrong):
        image.refresh_from_db()
    assert right.findings == []
    assert wrong.findings == [
        {
            "doubt": "another part in the picture",
            "weight": 60,
            "sentence": "its picture looks like another part: knee",
        }
    ]
    assert set(Delivery.objects.values_list("image", flat=True)) == {right.pk, wrong.pk}


def test_what_cannot_be_shown_is_passed_over_and_old_pictures_and_models_go(
    site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = performed(site)
    received(site, header(exam))  # its file is not there
    assert look_at_pictures(exam, at=AT) == 0
    taught(site, tmp_path)
    monkeypatch.setattr(pictures, "PICTURES_KEPT_MAX", 8)
    for _ in range(7):
        learn_parts(site=site, at=AT, by="user:c")
    assert pictures.counts(site) == {"chest": 8, "knee": 8}
    assert PartModel.objects.count() == 5


def test_the_page_says_how_far_it_is_and_how_well_it_does(site, tmp_path: Path) -> None:
    browser = signed_in(site, Role.MANAGER)
    page = browser.get(reverse("pictures")).content.decode()
    assert "Nothing learnt yet" in page
    assert "Pictures are looked at." in page
    assert "Nothing was learnt" in browser.post(reverse("pictures-learn"), follow=True).content.decode()
    taught(site, tmp_path)
    assert learning.ask_to_learn(site=site, by="user:c")
    page = browser.post(reverse("pictures-learn"), follow=True).content.decode()
    assert "Look again in a minute or two." in page
    assert "Learn anew" not in page
    (asked,) = jobs("learn_parts")
    learn_pictures(**asked)
    page = browser.get(reverse("pictures")).content.decode()
    assert "Of 6 images that it was not shown while learning, 100.0 % were told right" in page


def test_a_stranger_and_a_role_without_the_right_see_and_learn_nothing(site, client) -> None:
    for who, status in ((client, 302), (signed_in(site, Role.PORTER), 404)):
        assert who.get(reverse("pictures")).status_code == status
        assert who.post(reverse("pictures-learn")).status_code == status
    other = signed_in(make_site("E"), Role.MANAGER)
    assert "None yet" in other.get(reverse("pictures")).content.decode()
