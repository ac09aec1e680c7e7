"""The jobs of the links do what their names say."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import OperationalError

from tests.factories import AT, make_exam, make_site, plan_with
from xraydesk.attention.actions import raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.attention.models import Item
from xraydesk.imaging.models import Commitment, Delivery
from xraydesk.imaging.states import StepState
from xraydesk.journey.tests.performing import begun, header, received, site_with_pacs, told
from xraydesk.journey.tests.performing import jobs as asked_jobs
from xraydesk.lib import clock
from xraydesk.links import jobs
from xraydesk.links.models import Message

pytestmark = pytest.mark.django_db


def test_what_is_overdue_becomes_an_item(settings, tmp_path) -> None:
    """Rows 36 and 32."""
    settings.XRAYDESK_SPOOL = tmp_path
    site = site_with_pacs()
    begun(site, make_exam(site), at=clock.now() - timedelta(hours=5))
    jobs.flag_overdue(0)
    assert Item.objects.filter(kind="begun long ago, not ended").count() == 1
    jobs.resume(0)
    jobs.sweep_spool(0)


def test_a_delivery_whose_destination_is_gone_is_counted_as_an_attempt() -> None:
    site = site_with_pacs()
    exam = make_exam(site)
    uid = begun(site, exam)
    image = received(site, header(exam))
    told(site, uid, StepState.COMPLETED)
    Delivery.objects.create(site=site, image=image, destination="GONE", next_at=AT)
    jobs.deliver(site.pk, "GONE", 0)
    assert Delivery.objects.get().attempts == 1


def test_a_delivery_whose_database_goes_away_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 48: the job ends in peace, and what waits is resumed."""

    def away(**what: object) -> None:
        raise OperationalError("gone")

    site = site_with_pacs()
    exam = make_exam(site)
    uid = begun(site, exam)
    image = received(site, header(exam))
    told(site, uid, StepState.COMPLETED)
    Delivery.objects.create(site=site, image=image, destination="PACS", next_at=AT)
    monkeypatch.setattr("xraydesk.links.dicom.send.deliver", away)
    jobs.deliver(site.pk, "PACS", 0)
    assert (Delivery.objects.get().state, Delivery.objects.get().attempts) == ("waiting", 0)
    jobs.resume(0)
    asked = asked_jobs("deliver")
    assert {"site_id": site.pk, "destination": "PACS", "lane": 0} in asked


def test_a_promise_to_a_machine_without_an_address_is_counted_as_an_attempt() -> None:
    site = site_with_pacs()
    kept = Commitment.objects.create(site=site, transaction_uid="1.2", ae_title="XR1", asked_at=AT)
    jobs.tell_commitment(kept.pk)
    kept.refresh_from_db()
    assert (kept.attempts, kept.told_at) == (1, None)


@pytest.mark.link
def test_knowing_the_jobs_does_not_import_what_speaks_dicom() -> None:
    code = (
        "import sys, django; django.setup(); import xraydesk.links.jobs; "
        "sys.exit('pydicom' in sys.modules or 'pynetdicom' in sys.modules)"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "xraydesk.project.settings"}
    assert subprocess.run([sys.executable, "-c", code], env=env, timeout=60).returncode == 0


def test_messages_are_kept_as_long_as_the_site_says_and_longer_while_somebody_must_see_them() -> None:
    site = make_site()
    site.plan = plan_with() | {"policies": {"message_days": 30}}
    site.save()
    for number, (days, state) in enumerate(
        [(31, "applied"), (31, "queued"), (31, "waiting for a person"), (31, "refused"), (29, "applied")]
    ):
        Message.objects.create(
            site=site,
            direction="in",
            link="EHR",
            control_id=f"C{number}",
            at=clock.now() - timedelta(days=days),
            state=state,
            raw=b"",
            body_sha256="x",
        )
    held = Message.objects.get(state="refused")
    raise_item(site_id=site.pk, kind=ItemKind.MESSAGE_NOT_APPLIED, key="k", at=AT, message=held.pk)
    jobs.forget_messages(0)
    assert sorted(Message.objects.values_list("control_id", flat=True)) == ["C1", "C2", "C3", "C4"]
    Item.objects.update(closed_at=AT, closed_by="user:a")
    jobs.forget_messages(0)
    assert not Message.objects.filter(state="refused").exists()
    make_site(code="U")
    Message.objects.update(at=AT - timedelta(days=4000))
    site.plan = plan_with()
    site.save()
    jobs.forget_messages(0)
    assert Message.objects.count() == 3
