"""The porters' lanes: what is done folds, what is to come says from where, to where and for whom."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.factories import AT, make_exam, make_patient, make_site
from xraydesk.access.models import Site
from xraydesk.desk.board_layout import Window
from xraydesk.desk.board_porters import PorterLane, porter_lanes
from xraydesk.staff.models import Porter
from xraydesk.transport.models import TransportJob
from xraydesk.transport.states import JobKind, JobState

pytestmark = pytest.mark.django_db

WINDOW = Window(AT - timedelta(hours=3), 600)


def job(site: Site, minutes: int, *, family: str, kind: JobKind, **fields: object) -> TransportJob:
    """A job of the site's first porter that is due so many minutes after AT; the way takes ten."""
    patient = make_patient(site, family=family)
    ward, room = "Ward 4, 12", "XR1"
    there, back = (ward, room), (room, ward)
    place = there if kind is JobKind.FETCH else back
    usual = {"porter": Porter.objects.get_or_create(site=site, code="P1", name="Webb")[0], "asked_at": AT}
    return TransportJob.objects.create(
        site=site,
        exam=make_exam(site, patient=patient),
        patient=patient,
        kind=kind,
        from_place=place[0],
        to_place=place[1],
        minutes=10,
        due_at=AT + timedelta(minutes=minutes),
        **(usual | fields),
    )


def lanes(site: Site) -> list[PorterLane]:
    return porter_lanes(
        site=site,
        window=WINDOW,
        at=AT,
        zone=ZoneInfo("America/Bogota"),
        link=lambda accession: f"/?exam={accession}",
        jobs_url="/jobs",
    )


def test_what_is_done_is_one_block_and_what_is_to_come_says_where_and_for_whom() -> None:
    site = make_site()
    for minutes in (-120, -90, -60):
        job(
            site,
            minutes,
            family="Osei",
            kind=JobKind.FETCH,
            state=JobState.DELIVERED,
            picked_up_at=AT + timedelta(minutes=minutes - 10),
            ended_at=AT + timedelta(minutes=minutes),
        )
    job(site, 10, family="O'Hara <b>", kind=JobKind.FETCH, state=JobState.PICKED_UP, picked_up_at=AT)
    job(site, 30, family="Ito", kind=JobKind.RETURN)
    (lane,) = lanes(site)
    assert re.findall(r"<span>(\d+ jobs done)</span>", lane.line) == ["3 jobs done"]
    assert "Osei" not in lane.line
    assert re.findall(r'class="who">([^<]*)<', lane.line) == ["Ward 4→", "→Ward 4"]
    assert re.findall(r'class="what">([^<]*)<', lane.line) == ["XR1 O&#x27;Hara &lt;b&gt;", "Ito"]
    # The second begins before the first one's label ends: it stands in the other row.
    assert re.findall(r'id="j-\d+" data-live style="([^"]*)"', lane.line) == [
        "--s:180;--d:10;--g:150",
        "--s:200;--d:10;--g:150;--y:1",
    ]


def test_one_that_is_done_stays_as_it_is_and_jobs_of_nobody_have_a_lane() -> None:
    site = make_site()
    job(
        site,
        -60,
        family="Osei",
        kind=JobKind.FETCH,
        state=JobState.DELIVERED,
        ended_at=AT - timedelta(minutes=60),
    )
    job(site, 30, family="Ito", kind=JobKind.FETCH, porter=None)
    job(site, -90, family="Rossi", kind=JobKind.FETCH, porter=None, state=JobState.DELIVERED, ended_at=AT)
    theirs, nobodys = lanes(site)
    assert "Osei" in theirs.line
    assert "many" not in theirs.line
    assert (nobodys.name, "Ito" in nobodys.line, "Rossi" in nobodys.line) == ("No porter yet", True, False)
