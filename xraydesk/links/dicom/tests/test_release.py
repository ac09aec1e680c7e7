"""Files that were let go of are deleted after their rows say so, whatever is killed in between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories import AT, make_exam
from xraydesk.access.models import Site
from xraydesk.imaging import retention_actions
from xraydesk.imaging.models import Image
from xraydesk.journey import reconcile
from xraydesk.journey.tests.performing import header, received, site_with_pacs
from xraydesk.lib import clock
from xraydesk.links.dicom import release, room
from xraydesk.links.jobs import release_images
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def spool(tmp_path: Path, settings: Any) -> Path:
    settings.XRAYDESK_SPOOL = tmp_path
    return tmp_path


@pytest.fixture
def site() -> Site:
    return site_with_pacs()


def rejected(spool: Path, site: Site, *, at=AT) -> tuple[Image, Path]:
    """An image that may go, with its file."""
    image = received(site, header(make_exam(site), patient_id="W1"), at=at)
    (spool / image.path).write_bytes(b"DICOM")
    reconcile.reject_image(image_id=image.pk, why="blurred", at=at, by="user:c")
    return image, spool / image.path


def test_a_file_is_deleted_once_its_row_says_that_it_may(spool: Path, site: Site) -> None:
    image, file = rejected(spool, site)
    kept, other = rejected(spool, site, at=clock.now())
    release_images(0)
    image.refresh_from_db()
    assert (image.path, file.exists()) == ("", False)
    assert image.released_why == "it was rejected, and goes nowhere"
    kept.refresh_from_db()
    assert (kept.released_at, other.exists()) == (None, True)
    assert release.let_go(spool) == 0


class Killed(BaseException):
    pass


def test_killed_between_the_row_and_the_file_the_next_round_deletes_it(
    spool: Path, site: Site, monkeypatch
) -> None:
    """Row 32, the other way round: first the row, then the file."""
    image, file = rejected(spool, site)

    def killed(_: Path) -> bool:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(release, "_delete", killed)
        with pytest.raises(Killed):
            release.let_go(spool)
    image.refresh_from_db()
    assert (image.released_at is not None, file.exists()) == (True, True)
    assert release.delete_released(spool) == 1
    assert not file.exists()


def test_killed_between_the_file_and_its_path_the_next_round_finishes(
    spool: Path, site: Site, monkeypatch
) -> None:
    """Row 32: the row says already that the file is let go of, so that nobody misses it."""
    image, file = rejected(spool, site)

    def killed(_: Any) -> None:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(retention_actions, "file_deleted", killed)
        with pytest.raises(Killed):
            release.let_go(spool)
    image.refresh_from_db()
    assert (image.path != "", image.released_at is not None, file.exists()) == (True, True, False)
    assert release.delete_released(spool) == 1
    image.refresh_from_db()
    assert image.path == ""


def test_a_file_that_the_disk_does_not_delete_stays_for_the_next_round(spool: Path, site: Site) -> None:
    image, file = rejected(spool, site)
    file.unlink()
    file.mkdir()
    assert release.let_go(spool) == 0
    image.refresh_from_db()
    assert image.path != ""
    file.rmdir()
    assert release.delete_released(spool) == 1


def test_objects_are_taken_until_the_sites_room_is_full(site: Site, monkeypatch) -> None:
    """Row 31."""
    image = received(site, header(make_exam(site)))
    Image.objects.filter(pk=image.pk).update(size_bytes=999_999_000)
    assert room.Room().takes(site, 10**15)
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, policies=replace(plan.policies, spool_gigabytes_max=1)))
    site.save()
    taker = room.Room()
    assert [taker.takes(site, 600), taker.takes(site, 600), taker.takes(site, 400)] == [True, False, True]
    Image.objects.filter(pk=image.pk).update(path="")
    assert not taker.takes(site, 600)
    monkeypatch.setattr(room, "COUNTED_SECONDS", 0.0)
    assert taker.takes(site, 600)


def test_a_disk_that_is_not_there_yet_is_asked_where_it_will_be(tmp_path: Path) -> None:
    assert release.free_bytes(tmp_path / "spool" / "2026") > 0
