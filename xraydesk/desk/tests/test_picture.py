"""Who may see the picture of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse

from tests.factories import make_exam, make_site
from xraydesk.access.models import RecordRead
from xraydesk.access.roles import Role
from xraydesk.desk.tests.people import signed_in
from xraydesk.desk.tests.test_pages import make_image
from xraydesk.imaging.states import ImageState
from xraydesk.links.dicom.tests.test_picture import image_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def spool(tmp_path: Path, settings) -> Path:
    settings.XRAYDESK_SPOOL = tmp_path
    return image_file(tmp_path, np.tile(np.arange(300, dtype=np.uint16), (300, 1)))


def test_a_picture_is_shown_to_those_who_may_see_the_exam_and_the_look_is_logged(spool: Path) -> None:
    exam = make_exam(make_site())
    image = make_image(exam, path=spool.name, state=ImageState.MATCHED)
    where = reverse("image-picture", args=[image.pk])
    answer = signed_in(exam.site, Role.RADIOLOGIST).get(where)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/png"
    assert answer["Cache-Control"] == "no-store"
    assert answer.content.startswith(b"\x89PNG")
    assert RecordRead.objects.get(what="picture").accession == exam.accession
    assert signed_in(exam.site, Role.PORTER).get(where).status_code == 404


def test_an_undecided_picture_is_shown_to_those_who_decide(spool: Path) -> None:
    exam = make_exam(make_site())
    where = reverse("image-picture", args=[make_image(exam, path=spool.name).pk])
    assert signed_in(exam.site, Role.COORDINATOR).get(where).status_code == 200
    assert signed_in(exam.site, Role.MANAGER).get(where).status_code == 404


def test_no_stranger_and_no_other_site_sees_a_picture(client, spool: Path) -> None:
    exam = make_exam(make_site())
    image = make_image(exam, path=spool.name)
    where = reverse("image-picture", args=[image.pk])
    assert client.get(where).status_code == 302
    assert signed_in(make_site("MAR2")).get(where).status_code == 404
    assert signed_in(exam.site).get(reverse("image-picture", args=[image.pk + 1])).status_code == 404


def test_where_nothing_can_be_shown_the_answer_says_why(spool: Path) -> None:
    exam = make_exam(make_site())
    browser = signed_in(exam.site)
    swept = make_image(exam, path="")
    answer = browser.get(reverse("image-picture", args=[swept.pk]))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
    assert "no longer here:" in answer.content.decode()
    gone = make_image(exam, path="gone.dcm", copy=1)
    assert "no longer here:" in browser.get(reverse("image-picture", args=[gone.pk])).content.decode()
    (spool.parent / "text.dcm").write_bytes(b"no DICOM")
    broken = browser.get(reverse("image-picture", args=[make_image(exam, path="text.dcm", copy=2).pk]))
    assert (broken.status_code, b"cannot be read" in broken.content) == (404, True)


def test_the_exams_page_offers_a_look_at_its_images_and_not_at_those_kept_apart_or_swept(spool: Path) -> None:
    exam = make_exam(make_site())
    shown = make_image(exam, path=spool.name, state=ImageState.MATCHED, laterality="L", view_position="AP")
    apart = make_image(exam, path="b.dcm", copy=1, state=ImageState.QUARANTINED)
    swept = make_image(exam, path="", copy=2, state=ImageState.SENT)
    dose = make_image(exam, path="c.dcm", copy=3, state=ImageState.SENT, modality="SR")
    browser = signed_in(exam.site)
    page = reverse("exam", args=[exam.accession])
    closed = browser.get(page).content.decode()
    assert 'href="?look=1#images"' in closed
    assert reverse("image-picture", args=[shown.pk]) not in closed
    html = browser.get(f"{page}?look=1").content.decode()
    assert f'src="{reverse("image-picture", args=[shown.pk])}" loading="lazy"' in html
    for other in (apart, swept, dose):
        assert reverse("image-picture", args=[other.pk]) not in html
    assert "not for diagnosis" in html
    spool.unlink()
    html = browser.get(f"{page}?look=1").content.decode()
    assert "Its file is no longer here." in html
    assert reverse("image-picture", args=[shown.pk]) not in html
    assert not RecordRead.objects.filter(what="picture").exists()
