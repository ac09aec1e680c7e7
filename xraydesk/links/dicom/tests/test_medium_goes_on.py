"""A medium that is read beside the pages: how far it is, stopped, broken off at any file, and taken up where it stood."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from tests.factories import AT, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.imaging import medium_actions
from xraydesk.imaging.models import Image, Medium, OutsideStudy
from xraydesk.journey import medium as steps
from xraydesk.journey import outside
from xraydesk.journey.medium import UnknownMedium, ask_to_bring, resume_media, stop_bringing
from xraydesk.journey.tests.performing import site_with_pacs
from xraydesk.lib.ids import new_uid
from xraydesk.links.dicom import media
from xraydesk.links.dicom.media import BREAKS_MAX, bring_in
from xraydesk.links.dicom.medium_files import NoMedium, keep_upload, listed
from xraydesk.links.dicom.room import Room
from xraydesk.links.dicom.tests.test_media import BY, PDF, disc, made
from xraydesk.siteplan.jsonform import from_json, to_json

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """The process ends here and now."""


@pytest.fixture
def site(settings: Any, tmp_path: Path) -> Site:
    settings.XRAYDESK_SPOOL = tmp_path / "spool"
    return site_with_pacs()


def asked(site: Site, path: Path) -> Medium:
    return ask_to_bring(site=site, source="disc", path=str(path), is_ours=False, at=AT, by=BY)


def read(medium: Medium, *, leave: Callable[[], bool] = lambda: False, **more: Any) -> Medium:
    bring_in(medium.pk, now=lambda: AT, leave=leave, **more)
    medium.refresh_from_db()
    return medium


def kept_files(tmp_path: Path) -> int:
    return sum(1 for path in (tmp_path / "spool").rglob("*.dcm"))


def test_it_is_told_how_far_it_is_and_goes_on_where_whoever_read_it_left(site: Site, tmp_path: Path) -> None:
    study = new_uid()
    medium = asked(site, disc(tmp_path / "cd", *(made(study) for _ in range(5))))
    told: list[tuple[int, int]] = []
    read(medium, leave=lambda: len(told) >= 3, tell=lambda done, files: told.append((done, files)))
    assert (medium.state, medium.files_done, medium.files, medium.kept) == ("waiting", 3, 7, 1)
    assert not Item.objects.exists(), "nobody is asked before all of it was read"
    read(medium, tell=lambda done, files: told.append((done, files)))
    assert told == [(number, 7) for number in range(1, 8)]
    assert (medium.state, medium.files_done, medium.kept, medium.known) == ("done", 7, 5, 0)
    assert medium.left == {"it is no DICOM": 2}
    assert (Image.objects.count(), kept_files(tmp_path), Item.objects.count()) == (5, 5, 1)


@pytest.mark.parametrize("step", ["before the row", "after the row", "before anybody is asked"])
def test_killed_at_any_point_nothing_is_kept_twice_and_nothing_is_lost(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    study = new_uid()
    path = disc(tmp_path / "cd", *(made(study) for _ in range(4)))
    (path / "REPORT.PDF").write_bytes(PDF)
    medium = asked(site, path)
    calls: list[int] = []

    def dies(original: Callable[..., Any], *, at_call: int, after: bool) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            if len(calls) == at_call and not after:
                raise Killed
            found = original(*args, **kwargs)
            if len(calls) == at_call:
                raise Killed
            return found

        return wrapped

    with monkeypatch.context() as dying:
        if step == "before anybody is asked":
            dying.setattr(
                media,
                "all_of_it_is_asked_about",
                dies(media.all_of_it_is_asked_about, at_call=1, after=False),
            )
        else:
            dying.setattr(outside, "bring", dies(outside.bring, at_call=3, after=step == "after the row"))
        with pytest.raises(Killed):
            read(medium)
    medium.refresh_from_db()
    assert medium.state == "running"
    read(medium)
    assert (medium.state, medium.kept, medium.known, medium.documents) == ("done", 4, 0, 1)
    assert medium.left == {"it is no DICOM": 2}
    one = OutsideStudy.objects.get()
    assert (Image.objects.filter(outside=one).count(), one.documents.count()) == (4, 1)
    assert Item.objects.count() == 1
    # The file that had no row yet is what the hourly sweep finds.
    assert kept_files(tmp_path) - 4 in (0, 1)


def test_a_file_that_ends_whoever_reads_it_is_left_at_last(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = asked(site, disc(tmp_path / "cd", made(new_uid()), made(new_uid())))
    original = media.read_brought

    def deadly(path: Path, head: Any) -> Any:
        if path.name == "IM0000":
            raise Killed
        return original(path, head)

    monkeypatch.setattr(media, "read_brought", deadly)
    for _ in range(BREAKS_MAX):
        with pytest.raises(Killed):
            read(medium)
    read(medium)
    assert (medium.state, medium.kept) == ("done", 1)
    assert medium.left["the desk broke off each time it was read"] == 1


def test_another_disc_under_the_same_path_is_read_from_its_beginning(site: Site, tmp_path: Path) -> None:
    first, second = new_uid(), new_uid()
    path = disc(tmp_path / "cd", made(first), made(first))
    medium = asked(site, path)
    files: list[int] = []
    read(medium, leave=lambda: len(files) >= 3, tell=lambda done, _: files.append(done))
    shutil.rmtree(path)
    disc(path, made(second), made(second), made(second))
    read(medium)
    assert (medium.state, medium.kept, medium.files) == ("done", 3, 5)
    held = {s.study_instance_uid: s.images.count() for s in OutsideStudy.objects.all()}
    assert held == {first: 1, second: 3}
    assert Item.objects.count() == 2, "of the first disc a person is asked, too"


def test_stopped_it_keeps_what_was_kept_and_asks_about_it(site: Site, tmp_path: Path) -> None:
    study = new_uid()
    medium = asked(site, disc(tmp_path / "cd", *(made(study) for _ in range(3))))

    def stopped(done: int, _: int) -> None:
        if done == 3:
            stop_bringing(site=site, medium_id=medium.pk, at=AT, by="user:lee")

    read(medium, tell=stopped)
    assert (medium.state, medium.ended_by, medium.kept, medium.files_done) == ("stopped", "user:lee", 1, 3)
    assert (Image.objects.count(), kept_files(tmp_path), Item.objects.count()) == (1, 1, 1)
    for where in (site, make_site(code="other")):
        with pytest.raises(UnknownMedium):
            stop_bringing(site=where, medium_id=medium.pk, at=AT, by=BY)
    read(medium)
    assert Image.objects.count() == 1


def test_who_was_overtaken_writes_nothing_more(site: Site, tmp_path: Path) -> None:
    study = new_uid()
    medium = asked(site, disc(tmp_path / "cd", *(made(study) for _ in range(3))))
    began: list[int] = []

    def overtaken(done: int, _: int) -> None:
        if not began:
            began.append(done)
            read(medium)

    read(medium, tell=overtaken)
    assert (medium.state, medium.run, medium.kept, medium.known) == ("done", 2, 3, 0)
    assert (Image.objects.count(), kept_files(tmp_path)) == (3, 3)


def test_without_room_it_waits_and_goes_on_by_itself(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 31."""
    plan = from_json(site.plan)
    site.plan = to_json(replace(plan, policies=replace(plan.policies, spool_gigabytes_max=1)))
    site.save()
    study = new_uid()
    medium = asked(site, disc(tmp_path / "cd", made(study), made(study)))
    with monkeypatch.context() as full:
        full.setattr(media, "ROOM", Room())
        full.setattr("xraydesk.links.dicom.room.BYTES_A_GIGABYTE", 1500)
        read(medium)
        assert (medium.state, medium.kept) == ("waiting", 1)
        assert "all the room" in medium.why
        assert Item.objects.count() == 1
    monkeypatch.setattr(media, "ROOM", Room())
    read(medium)
    assert (medium.state, medium.why, medium.kept, Item.objects.count()) == ("done", "", 2, 1)


def test_an_upload_is_read_on_after_a_restart_and_goes_from_the_disk_when_it_is_over(
    site: Site, tmp_path: Path
) -> None:
    cd = disc(tmp_path / "cd", made(new_uid()))
    (cd / "report.pdf").write_bytes(PDF)
    packed = Path(shutil.make_archive(str(tmp_path / "disc"), "zip", cd))
    spool = tmp_path / "spool"
    lies = keep_upload([("../../Her disc.zip", packed), ("IM1", cd / "DICOM" / "IM0000")], spool)
    assert sorted(path.name for path in (spool / lies).iterdir()) == ["00000 .._.._Her disc.zip", "00001 IM1"]
    medium = ask_to_bring(site=site, source="page", path=lies, is_ours=True, at=AT, by=BY)
    lost = keep_upload([], spool)
    resume_media(at=AT)
    waiting = ProcrastinateJob.objects.filter(task_name=steps.BRING_TASK)
    assert [job.args for job in waiting] == [{"medium_id": medium.pk}]
    read(medium)
    assert (medium.state, medium.kept, medium.known, medium.documents) == ("done", 1, 1, 1)
    assert not (spool / lies).exists()
    resume_media(at=AT + timedelta(days=36500))
    assert not (spool / lost).exists()
    bring_in(0, now=lambda: AT)


def test_a_medium_that_is_taken_out_is_said_and_what_was_kept_is_asked_about(
    site: Site, tmp_path: Path
) -> None:
    path = disc(tmp_path / "cd", made(new_uid()), made(new_uid()))
    medium = asked(site, path)
    read(medium, tell=lambda done, _: shutil.rmtree(path) if done == 3 else None)
    assert (medium.state, medium.kept, Item.objects.count()) == ("failed", 1, 1)
    assert medium.why.startswith("The medium is gone.")


def test_folders_without_end_are_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / "cd" / str(number)).mkdir(parents=True)
    monkeypatch.setattr("xraydesk.links.dicom.medium_files.FILES_MAX", 2)
    with pytest.raises(NoMedium, match="bring it in parts"), listed(tmp_path / "cd"):
        pass


def test_the_oldest_media_are_forgotten(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medium_actions, "KEPT_MAX", 2)
    under_way = asked(site, tmp_path)
    over = [asked(site, tmp_path) for _ in range(3)]
    for one in over:
        medium_actions.stop(medium_id=one.pk, at=AT, by=BY)
    newest = asked(site, tmp_path)
    assert set(Medium.objects.all()) == {under_way, over[-1], newest}
