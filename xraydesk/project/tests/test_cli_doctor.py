"""`xraydesk doctor` says what is wrong, what to do, and mends what needs no decision."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.factories import make_exam, make_site, plan_with
from xraydesk.access.models import Membership, Site, User
from xraydesk.access.roles import Role
from xraydesk.imaging.models import Delivery, Image
from xraydesk.imaging.states import ImageState
from xraydesk.journey.tests.performing import PACS, with_destinations
from xraydesk.lib import clock
from xraydesk.parties.pacs_web import served
from xraydesk.project.cli import run
from xraydesk.project.config import config
from xraydesk.siteplan.routing_plan import DestinationPlan

pytestmark = pytest.mark.django_db
Ask = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    monkeypatch.setenv("XRAYDESK_HOME", os.environ["XRAYDESK_HOME"])

    def ask(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        status = run(["doctor", "--json", *arguments])
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return status, {one["check"]: one for one in found}

    yield ask
    config.cache_clear()


@pytest.fixture
def site(settings: Any, tmp_path: Path) -> Site:
    settings.XRAYDESK_SPOOL = tmp_path
    made = make_site()
    user = User.objects.create(name="admin")
    Membership.objects.create(site=made, user=user, role=Role.ADMINISTRATOR)
    return made


def make_image(site: Site, folder: Path, *, size_bytes: int = 5) -> Image:
    (folder / "1.dcm").write_bytes(b"DICOM")
    exam = make_exam(site)
    return Image.objects.create(
        site=site,
        exam=exam,
        sop_instance_uid="2.25.1",
        sop_class_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        path="1.dcm",
        size_bytes=size_bytes,
        sha256="0",
        state=ImageState.MATCHED,
        received_at=clock.now(),
    )


def test_a_desk_in_order_is_told_so(ask: Ask, site: Site, tmp_path: Path) -> None:
    make_image(site, tmp_path)
    status, found = ask()
    assert status == 0, found
    assert all(one["ok"] for one in found.values())


def test_a_desk_without_department_and_administrator_is_told_what_to_do(ask: Ask) -> None:
    status, found = ask()
    assert status == 1
    assert "xraydesk site load" in found["department"]["words"]
    assert "xraydesk user create" in found["administrator"]["words"]


def test_a_file_that_is_gone_or_cut_short_is_noticed(ask: Ask, site: Site, tmp_path: Path) -> None:
    make_image(site, tmp_path, size_bytes=6)
    status, found = ask()
    assert (status, found["image files"]["ok"]) == (1, False)
    (tmp_path / "1.dcm").unlink()
    assert ask()[1]["image files"]["words"].startswith("1 are missing")


def test_images_of_the_demonstrations_past_never_had_a_file_and_any_other_without_one_is_noticed(
    ask: Ask, site: Site, tmp_path: Path
) -> None:
    image = make_image(site, tmp_path)
    Image.objects.filter(pk=image.pk).update(path="", size_bytes=0, simulated=True)
    assert ask()[0] == 0
    Image.objects.filter(pk=image.pk).update(simulated=False)
    assert ask()[1]["image files"]["words"].startswith("1 are missing")


def test_what_is_not_safe_for_days_and_what_should_be_gone_is_noticed(
    ask: Ask, site: Site, tmp_path: Path
) -> None:
    image = make_image(site, tmp_path)
    site.plan = plan_with()
    site.save()
    long_ago = clock.now() - timedelta(days=3)
    Image.objects.filter(pk=image.pk).update(state=ImageState.SENT, received_at=long_ago, decided_at=long_ago)
    sent = Delivery.objects.create(
        site=site, image=image, destination="OLD", state="sent", sent_at=long_ago, next_at=long_ago
    )
    assert ask()[1]["room for images"]["words"].startswith("not safe at OLD yet: 1, the oldest")
    sent.delete()
    Image.objects.filter(pk=image.pk).update(released_at=long_ago, released_why="it is safe at PACS")
    (tmp_path / "1.dcm").unlink()
    found = ask()[1]
    assert (found["image files"]["ok"], found["room for images"]["ok"]) == (True, True)
    assert found["released files"]["words"].startswith("1 were let go of and are not deleted")


def test_jobs_that_failed_or_that_nobody_does_are_noticed(ask: Ask, site: Site) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at) "
            "VALUES ('reactions', 'react', 'todo', now() - interval '1 hour')"
        )
        assert "wait too long" in ask()[1]["jobs"]["words"]
        cursor.execute("UPDATE procrastinate_jobs SET status = 'failed'")
    assert "failed for good" in ask()[1]["jobs"]["words"]


def test_a_late_delivery_is_asked_for_again_where_that_is_wanted(
    ask: Ask, site: Site, tmp_path: Path
) -> None:
    image = make_image(site, tmp_path)
    late = clock.now() - timedelta(hours=1)
    Delivery.objects.create(site=site, image=image, destination="PACS", next_at=late)
    status, found = ask()
    assert (status, found["deliveries"]["ok"], found["deliveries"]["mended"]) == (1, False, False)
    status, found = ask("--fix")
    assert (status, found["deliveries"]["mended"]) == (0, True)


@pytest.mark.link
# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_connections_are_tried_out_where_that_is_wanted(ask: Ask, site: Site, tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    with served(tmp_path / "shelf") as base:
        old = DestinationPlan("OLD", "", "", 0, finds=True, web=base, networks=("127.0.0.0/8",))
        with_destinations(site, replace(PACS, port=1), old)
        assert not [name for name in ask()[1] if "OLD" in name]
        status, found = ask("--connections")
    assert status == 1
    assert found[f"{site.code} OLD over the web"]["words"] == "It answers searches (QIDO-RS)."
    assert "nothing listens at that port" in found[f"{site.code} PACS"]["words"]
