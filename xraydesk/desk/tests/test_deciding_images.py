"""From quarantine to correction: one page says what is wrong, and one key mends it; what left is taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

from tests.factories import make_exam, make_patient
from xraydesk.access.models import Site
from xraydesk.desk.tests.browser import WIDTHS, Desk, until
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.scenes import mid_morning_zone
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import StepState
from xraydesk.journey import reconcile, route
from xraydesk.journey.tests.performing import begun, header, received, site_with_pacs, told
from xraydesk.lib import clock
from xraydesk.links.dicom.tests.test_picture import image_file
from xraydesk.orders.models import Exam


@pytest.fixture
def site() -> Site:
    site = site_with_pacs()
    site.timezone = mid_morning_zone(clock.now())
    site.save()
    return site


def performed(site: Site, **said: Any) -> Exam:
    exam = make_exam(site, **said)
    uid = begun(site, exam, at=clock.now() - timedelta(minutes=20))
    told(site, uid, StepState.COMPLETED, at=clock.now() - timedelta(minutes=10))
    return exam


def another(site: Site) -> Exam:
    return performed(site, patient=make_patient(site, number="N2", family="Other", given="Person"))


def came(exam: Exam, **said: Any) -> Image:
    return received(exam.site, header(exam, series_instance_uid="1.2.3", **said), at=clock.now())


def opened(site: Site, image: Image) -> str:
    return signed_in(site).get(reverse("image", args=[image.pk])).content.decode()


@pytest.mark.django_db
def test_the_page_says_what_speaks_against_an_image_and_how_much(
    site: Site, tmp_path: Path, settings: Any
) -> None:
    settings.XRAYDESK_SPOOL = tmp_path
    exam = performed(site, laterality="R")
    image = came(exam, laterality="L", view_position="PA", marker_texts=("L HAND",))
    html = opened(site, image)
    assert "Its file is not kept here any more." in html
    assert "picture.png" not in html
    (tmp_path / image.path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / image.path).touch()
    html = opened(site, image)
    assert "Says left, ordered right" in html
    assert "part, side and view, 100" in html
    assert "Together 200; from 100 on, an image is held." in html
    assert "The machine's words: L HAND" in html
    assert reverse("image-picture", args=[image.pk]) in html
    assert "Where does it belong?" in html


@pytest.mark.django_db
def test_several_images_are_decided_in_one_step_and_side_and_part_are_corrected(site: Site) -> None:
    exam = performed(site, laterality="R")
    one, two, three = (came(exam, laterality="L", body_part="HAND") for _ in range(3))
    html = opened(site, one)
    assert html.count('name="also"') == html.count(" checked>") - 1 == 2
    browser = signed_in(site)
    form = {"exam": exam.accession, "also": [two.pk, 999_999], "fix": "1"}
    page = browser.post(reverse("image-belongs", args=[one.pk]), form, follow=True).content.decode()
    assert f"2 images belong to {exam.accession} and go on, corrected." in page
    states = {image.pk: image.state for image in Image.objects.all()}
    assert states == {one.pk: "matched", two.pk: "matched", three.pk: "quarantined"}
    two.refresh_from_db()
    assert (two.corrections["ImageLaterality"], two.corrections["BodyPartExamined"]) == ("R", "CHEST")
    assert "Take the decision back, about 2 images" in opened(site, two)
    page = browser.post(reverse("image-undo", args=[two.pk]), follow=True).content.decode()
    assert "The decision about 2 images was taken back." in page
    assert {image.state for image in Image.objects.all()} == {"quarantined"}


@pytest.mark.django_db
def test_what_says_another_patient_is_not_ticked_along(site: Site) -> None:
    exam = performed(site, laterality="R")
    one, _ = (came(exam, laterality="L") for _ in range(2))
    came(exam, laterality="L", patient_id="W1")
    html = opened(site, one)
    assert (html.count('name="also"'), html.count(" checked>") - 1) == (2, 1)
    assert "says MRN W1" in html


@pytest.mark.django_db
def test_one_that_was_ticked_is_not_taken_from_whoever_decided_about_it_meanwhile(site: Site) -> None:
    exam, other = performed(site), another(site)
    one, two = (came(exam, patient_id="W1") for _ in range(2))
    html = opened(site, one)
    ticked = html.split('name="also" value="')[1].split('"')[0]
    reconcile.belongs_here(image_id=two.pk, exam_id=exam.pk, at=clock.now(), by="user:first")
    browser = signed_in(site)
    for form, said in (("image-belongs", {"exam": other.accession}), ("image-reject", {"why": "mine"})):
        page = browser.post(reverse(form, args=[one.pk]), {**said, "also": [ticked]}, follow=True)
        assert "first decided about an image that was ticked meanwhile" in page.content.decode()
    assert {(i.exam, i.state) for i in Image.objects.all()} == {(exam, "quarantined"), (exam, "matched")}


@pytest.mark.django_db
def test_the_later_of_two_people_is_told_and_changes_nothing(site: Site) -> None:
    exam, other = performed(site), another(site)
    image = came(exam, patient_id="W1")
    seen = opened(site, image).split('name="seen" value="')[1].split('"')[0]
    reconcile.belongs_here(image_id=image.pk, exam_id=exam.pk, at=clock.now(), by="user:first")
    browser = signed_in(site)
    for form, said in (("image-belongs", {"exam": other.accession}), ("image-reject", {"why": "mine"})):
        page = browser.post(reverse(form, args=[image.pk]), {**said, "seen": seen}, follow=True)
        assert "first decided about this image meanwhile" in page.content.decode()
    image.refresh_from_db()
    assert image.exam == exam


@pytest.mark.django_db
def test_a_decision_is_taken_back_on_the_page_until_it_has_left(site: Site) -> None:
    exam = performed(site)
    image = came(exam, patient_id="W1")
    browser = signed_in(site)
    browser.post(reverse("image-reject", args=[image.pk]), {"why": "a test"})
    assert "Take the decision back" in opened(site, image)
    browser.post(reverse("image-undo", args=[image.pk]))
    image.refresh_from_db()
    assert image.state == "quarantined"
    page = browser.post(reverse("image-undo", args=[image.pk]), follow=True).content.decode()
    assert "nothing to take back" in page


@pytest.mark.django_db
def test_what_has_left_can_be_decided_anew_and_the_page_says_who_is_told(site: Site) -> None:
    exam, other = performed(site), another(site)
    image = came(exam)
    route.queue_deliveries(exam_id=exam.pk, at=clock.now())
    delivery = image.deliveries.get()
    image.refresh_from_db()
    route.record_sent(delivery_id=delivery.pk, at=clock.now(), corrections=image.corrections)
    html = opened(site, image)
    assert "Decide anew" in html
    assert "PACS has it. They are told not to use it any more" in html
    form = {"exam": other.accession}
    signed_in(site).post(reverse("image-belongs", args=[image.pk]), form)
    html = opened(site, image)
    assert "PACS is told not to use the old one (113038): waiting" in html
    assert "cannot be undone" in html
    assert f'it was under <a href="{reverse("exam", args=[exam.accession])}">' in html
    assert "seen here by" in html
    history = signed_in(site).get(reverse("exam", args=[exam.accession])).content.decode()
    assert "Image given to another exam" in history
    assert "Image taken back from those who had it" in history
    assert "sent to PACS" in history


@pytest.mark.django_db
def test_the_page_says_who_may_have_an_image_that_was_offered(site: Site) -> None:
    exam = performed(site)
    image = came(exam)
    route.queue_deliveries(exam_id=exam.pk, at=clock.now())
    route.offer(exam_id=exam.pk, destination="PACS", at=clock.now())
    assert "PACS may have it: it was offered, and the answer was not heard." in opened(site, image)


@pytest.mark.link
@pytest.mark.django_db(transaction=True)
def test_from_the_list_of_what_waits_to_the_corrected_image_by_keyboard(
    site: Site, desk: Desk, tmp_path: Path, settings
) -> None:
    """Quarantine to correction: the list, the picture beside header and order, the right exam, one key, and undo."""
    settings.XRAYDESK_SPOOL = tmp_path
    picked, meant = performed(site), another(site)
    image = came(picked, patient_id="N2", patient_name="Other^Person")
    file = image_file(tmp_path, np.tile(np.arange(300, dtype=np.uint16) * 10, (400, 1)))
    file.rename(tmp_path / image.path)
    page = desk.page(site)
    right = came(picked, view_position="PA", sop_instance_uid="1.2.8")
    page.goto(f"{desk.address}{reverse('image', args=[right.pk])}")
    page.wait_for_selector("h2:has-text('It is where it belongs')")
    page.evaluate("addEventListener('submit', e => { e.preventDefault(); window.pressed = true })")
    page.keyboard.press("b")
    assert not page.evaluate("window.pressed"), "what is right is taken back from nobody by a stray key"
    page.click("summary:has-text('Decide anew')")
    page.keyboard.press("b")
    assert page.evaluate("window.pressed")
    page.goto(f"{desk.address}/attention")
    page.click(f"a[href='{reverse('image', args=[image.pk])}']")
    page.wait_for_selector("h1:has-text('quarantined')")
    until(lambda: page.evaluate("document.querySelector('figure img').naturalWidth") == 300)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    page.set_viewport_size({"width": 1280, "height": 720})
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []
    page.click(f"a[href='?exam={meant.accession}']")
    page.wait_for_selector(f"button:has-text('To {meant.accession}')")
    page.keyboard.press("b")
    page.wait_for_selector("h1:has-text('matched')")
    image.refresh_from_db()
    assert (image.exam, image.corrections["AccessionNumber"]) == (meant, meant.accession)
    page.keyboard.press("u")
    page.wait_for_selector("h1:has-text('quarantined')")
    page.fill("#why", "a test exposure")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('rejected')")


@pytest.mark.django_db
def test_what_is_right_and_decided_is_decided_anew_by_no_stray_key(site: Site) -> None:
    exam = performed(site)
    image = came(exam, view_position="PA")
    assert image.state == "matched"
    html = opened(site, image)
    assert "It is where it belongs" in html
    anew = html[html.index("<details") : html.index("</details>", html.index("Decide anew"))]
    assert "<summary>Decide anew</summary>" in anew
    assert 'data-key="b"' in anew
    assert "Exams of that day" in anew
    asked = f"{reverse('image', args=[image.pk])}?exam={another(site).accession}"
    elsewhere = signed_in(site).get(asked).content.decode()
    assert "It is where it belongs" not in elsewhere
    assert "<h2>Decide anew</h2>" in elsewhere
    Image.objects.update(patient_name="Somebody^Else")
    assert "It is where it belongs" not in opened(site, image)
