"""Days read from facts, and what is taken away of them."""

from __future__ import annotations

import io
import zipfile
from datetime import date, timedelta

import pytest
from django.db import transaction

from tests.factories import AT, load_demo_site, make_exam, make_site
from xraydesk.access.models import Site
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.lib import clock
from xraydesk.reporting.charts import bars, for_page, line
from xraydesk.reporting.days import last_days, read_days
from xraydesk.reporting.document import document
from xraydesk.reporting.summary import summarise
from xraydesk.reporting.workbook import workbook

DAY = clock.local_day(AT, "America/New_York")


def happened(
    site: Site, accession: str, kind: FactKind, minutes: float = 0, room: str = "XR1", **data: object
) -> None:
    with transaction.atomic():
        record(
            site_id=site.pk,
            kind=kind,
            at=AT + timedelta(minutes=minutes),
            by="rule",
            accession=accession,
            room=room,
            data=data,
        )


def done(site: Site, accession: str, begun: float = 0, minutes: float = 10, days: int = 0) -> None:
    start = begun - days * 1440
    happened(
        site, accession, FactKind.ORDER_RECEIVED, start - 30, "", priority="routine", procedure="XRCHEST2"
    )
    happened(site, accession, FactKind.EXAM_BEGUN, start)
    happened(site, accession, FactKind.EXAM_ENDED, start + minutes)


@pytest.mark.django_db
def test_days_are_read_in_two_queries_however_many_exams_there_are(
    django_assert_max_num_queries: object,
) -> None:
    site = make_site()
    for number in range(5):
        done(site, f"A{number}", begun=number)
    with django_assert_max_num_queries(2):  # type: ignore[operator]
        days = last_days(site=site, day=DAY, count=15, at=AT + timedelta(hours=1))
        assert days.value("exams", DAY).text == "5"
        assert len(days.all) == 15


@pytest.mark.django_db
def test_another_sites_exams_and_what_lies_ahead_do_not_count() -> None:
    site, other = make_site(), make_site("O")
    done(site, "A1")
    done(other, "A2")
    done(site, "A3", begun=120)
    days = last_days(site=site, day=DAY, count=1, at=AT + timedelta(minutes=30))
    assert [accession for accession, _ in days.value("exams", DAY).behind] == ["A1"]


@pytest.mark.django_db
def test_an_exam_ordered_yesterday_and_done_today_keeps_its_whole_story() -> None:
    site = make_site()
    happened(site, "A1", FactKind.ORDER_RECEIVED, -1440, "", priority="stat")
    happened(site, "A1", FactKind.IMAGE_MATCHED, 0)
    days = last_days(site=site, day=DAY, count=1, at=AT)
    assert days.value("order-to-images", DAY, "stat").number == 1440
    assert days.value("ordered", DAY).number == 0


@pytest.mark.django_db
def test_no_more_days_are_read_than_stated() -> None:
    with pytest.raises(ValueError, match="31 days"):
        read_days(site=make_site(), first=DAY - timedelta(days=31), last=DAY, at=AT)
    with pytest.raises(ValueError, match="31 days"):
        read_days(site=make_site("O"), first=DAY, last=DAY - timedelta(days=1), at=AT)


@pytest.mark.django_db
def test_a_room_is_measured_against_its_open_minutes_until_now() -> None:
    site = load_demo_site()
    done(site, "A1", minutes=30)
    day = clock.local_day(AT, site.timezone)
    rooms = {r.room: r for r in last_days(site=site, day=day, count=1, at=AT + timedelta(hours=1)).rooms(day)}
    # Open since seven on the wall; it is eleven.
    assert (rooms["XR1"].open_minutes, rooms["XR1"].busy_minutes, rooms["XR1"].percent) == (240, 30, 12)
    assert rooms["XR4"].open_minutes == 660
    assert last_days(site=make_site(), day=day, count=1, at=AT).rooms(day) == []


@pytest.mark.django_db
def test_the_clock_change_makes_a_day_of_twenty_three_hours() -> None:
    site = load_demo_site()
    day = date(2026, 3, 8)
    _, after = clock.day_bounds(day, site.timezone)
    rooms = {r.room: r for r in last_days(site=site, day=day, count=1, at=after).rooms(day)}
    assert rooms["XR4"].open_minutes == 23 * 60
    assert rooms["XR1"].open_minutes == 12 * 60


@pytest.mark.django_db
def test_workbook_and_document_hold_the_same_numbers_and_text_stays_text() -> None:
    """Row 56: a cell that begins with = is text."""
    site = load_demo_site()
    exam = make_exam(site)
    done(site, exam.accession)
    happened(site, "=1+1", FactKind.EXAM_ENDED, 5)
    day = clock.local_day(AT, site.timezone)
    summary = summarise(last_days(site=site, day=day, count=15, at=AT + timedelta(hours=1)), day)
    assert summary.row("exams").today.text == "2"
    assert summary.row("exams").yesterday is not None
    book = zipfile.ZipFile(io.BytesIO(workbook(summary)))
    names = book.namelist()
    assert sum(name.startswith("xl/worksheets/sheet") for name in names) == 4
    sheets = "".join(book.read(n).decode() for n in names if n.startswith("xl/worksheets/"))
    texts = book.read("xl/sharedStrings.xml").decode()
    assert "<f>" not in sheets
    assert "=1+1" in texts
    assert exam.accession in texts
    assert exam.patient.family not in texts
    pdf = document(summary, charts={"Waits": bars([("07", 9.0)], over=5, title="")})
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 5000


def test_one_day_alone_has_no_yesterday() -> None:
    site = Site(code="X", name="X", timezone="Europe/Berlin")
    from xraydesk.reporting.days import Days

    summary = summarise(Days(site, DAY, DAY, AT, ()), DAY)
    assert summary.row("exams").yesterday is None
    assert summary.wall(None) is None


def test_charts_are_drawn_also_of_nothing_and_of_gaps_and_follow_the_pages_colour() -> None:
    for svg in (
        bars([], title=""),
        line([], title=""),
        bars([("a", None), ("b", 3.0)], over=2, title="Waits"),
        line([("a", 1.0), ("b", None), ("c", 2.0)], over=1.5, title=""),
    ):
        assert svg.startswith("<svg")
        page = for_page(svg, "Waits & more")
        assert page.startswith('<svg role="img" aria-label="Waits &amp; more"')
        assert "#464e58" not in page


@pytest.mark.django_db
def test_priorities_that_had_nothing_on_any_day_take_no_rows() -> None:
    site = load_demo_site()
    exam = make_exam(site)
    done(site, exam.accession)
    day = clock.local_day(AT, site.timezone)
    summary = summarise(last_days(site=site, day=day, count=2, at=AT + timedelta(hours=1)), day)
    known = {(row.measure.key, row.group) for row in summary.known_rows}
    every = {(row.measure.key, row.group) for row in summary.rows}
    assert {key for key, _ in known} == {key for key, _ in every}
    assert all(row.today.text == "–" for row in summary.rows if (row.measure.key, row.group) not in known)
    assert ("wait", "stat") in every - known


@pytest.mark.django_db
def test_a_day_that_is_not_over_is_no_fall_in_what_is_counted() -> None:
    site = load_demo_site()
    day = clock.local_day(AT, site.timezone)
    _, after = clock.day_bounds(day, site.timezone)
    days = [day - timedelta(days=1), day]
    going = summarise(last_days(site=site, day=day, count=2, at=AT), day)
    assert [d for d, _ in going.course("exams")] == days[:1]
    assert [d for d, _ in going.course("wait")] == days
    over = summarise(last_days(site=site, day=day, count=2, at=after), day)
    assert [d for d, _ in over.course("exams")] == days
