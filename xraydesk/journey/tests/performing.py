"""What the tests of performing and imaging share: a site with a PACS, step reports, headers, facts."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from django.db import connection

from tests.factories import AT, make_site
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.facts.models import Fact
from xraydesk.imaging.header import Header, ScheduledReference, StepReport, StoredFile
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import StepState
from xraydesk.journey import perform, reconcile
from xraydesk.journey.exam_view import find
from xraydesk.lib.ids import new_uid
from xraydesk.orders.models import Exam
from xraydesk.siteplan.jsonform import to_json
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.routing_plan import DestinationPlan

_numbers = count(1)
PACS = DestinationPlan("PACS", "PACS", "127.0.0.1", 11113)


def site_with_pacs(*destinations: DestinationPlan) -> Site:
    """The small department, with places to send images to."""
    return with_destinations(make_site(), *destinations)


def with_destinations(site: Site, *destinations: DestinationPlan) -> Site:
    """A department, with places to send images to."""
    plan = SitePlan(
        code=site.code,
        name=site.name,
        timezone=site.timezone,
        assigning_authority=site.assigning_authority,
        ae_title=site.ae_title,
        locations=(),
        rooms=(),
        modalities=(),
        procedures=(),
        destinations=destinations or (PACS,),
    )
    site.plan = to_json(plan)
    site.save()
    return site


def reference(exam: Exam) -> ScheduledReference:
    """How a machine names the exam after its worklist."""
    return ScheduledReference(
        exam.accession, exam.study_instance_uid, exam.requested_procedure_id, exam.scheduled_step_id
    )


def step_report(*exams: Exam, **said: Any) -> StepReport:
    """An N-CREATE of XR1 for some exams."""
    base: dict[str, Any] = {
        "sop_instance_uid": new_uid(),
        "state": StepState.IN_PROGRESS,
        "ae_title": "XR1",
        "step_id": "P1",
        "modality": "DX",
        "references": tuple(reference(exam) for exam in exams),
    }
    return StepReport(**(base | said))


def begun(site: Site, *exams: Exam, at: datetime = AT, **said: Any) -> str:
    """The UID of a step that a machine has begun."""
    report = step_report(*exams, **said)
    perform.begin_by_step(site=site, report=report, at=at, by="modality:XR1")
    return report.sop_instance_uid


def told(site: Site, uid: str, state: StepState | None, *, at: datetime = AT, **said: Any) -> None:
    """An N-SET."""
    report = StepReport(uid, state=state, **said)
    perform.update_step(site=site, report=report, at=at, by="modality:XR1")


def header(exam: Exam | None = None, **said: Any) -> Header:
    """An image of an exam, or of nobody's."""
    base: dict[str, Any] = {
        "sop_instance_uid": new_uid(),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "study_instance_uid": exam.study_instance_uid if exam else new_uid(),
        "modality": "DX",
    }
    if exam:
        number = exam.patient.identifiers.get()
        base |= {
            "accession": exam.accession,
            "patient_id": number.value,
            "patient_name": "Prüfer^Ada",
            "patient_birth_date": date(1969, 5, 12),
            "patient_sex": "F",
        }
    return Header(**(base | said))


def received(site: Site, said: Header, *, content: str = "", at: datetime = AT, **more: Any) -> Image:
    """An image that came in from XR1."""
    number = next(_numbers)
    stored = StoredFile(f"{number}.dcm", 1000, hashlib.sha256((content or str(number)).encode()).hexdigest())
    return reconcile.receive_image(site=site, header=said, stored=stored, calling_ae="XR1", at=at, **more)


def stage(exam: Exam) -> str:
    """The exam's stage as people see it."""
    view = find(site=exam.site, accession=exam.accession)
    assert view is not None
    return str(view.stage)


def facts(exam: Exam) -> list[str]:
    """The kinds of the exam's facts, in the order they were written."""
    found = Fact.objects.filter(site=exam.site, accession=exam.accession).order_by("id")
    return [str(fact.kind) for fact in found]


def open_items(site: Site) -> list[str]:
    """The keys of what waits for a person."""
    return list(Item.objects.filter(site=site, closed_at=None).order_by("id").values_list("key", flat=True))


def jobs(task: str) -> list[dict[str, Any]]:
    """The arguments of the jobs asked for, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT args::text FROM procrastinate_jobs WHERE task_name = %s ORDER BY id", [task])
        return [json.loads(row[0]) for row in cursor.fetchall()]


def minutes(count: int) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=count)
