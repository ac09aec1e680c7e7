"""How ages, times, sides and places are written, and the marks of a block."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import resolve

from xraydesk.desk import where, words
from xraydesk.desk.board_layout import Card, Window
from xraydesk.desk.board_markup import lane_head, line, stage_word, whole_name
from xraydesk.desk.board_query import Lane
from xraydesk.journey.stage import Stage
from xraydesk.orders.states import Priority
from xraydesk.scheduling.engine.spans import Span

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 15, 40, tzinfo=UTC)
ZONE = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("born", "said"),
    [
        (date(1984, 4, 6), "42 y"),
        (date(1984, 11, 25), "41 y"),
        (date(1984, 11, 24), "42 y"),
        (date(2024, 11, 24), "2 y"),
        (date(2025, 5, 24), "18 mo"),
        (date(2026, 9, 25), "1 mo"),
        (date(2026, 11, 12), "12 d"),
        (date(2026, 11, 30), "0 d"),
    ],
)
def test_the_youngest_are_aged_in_months_and_days(born: date, said: str) -> None:
    assert words.age(born, TODAY) == said


def test_a_missing_birth_date_is_said() -> None:
    assert words.born(date(1984, 4, 6), TODAY) == "06 Apr 1984 (42 y)"
    assert words.born(None, TODAY) == "birth date unknown"


@pytest.mark.parametrize(
    ("minutes", "said"), [(28, "28 min"), (80, "1 h 20"), (120, "2 h"), (3000, "2 d"), (-12, "12 min")]
)
def test_lengths_are_minutes_then_hours_then_days(minutes: int, said: str) -> None:
    assert words.span(timedelta(minutes=minutes)) == said


def test_what_is_left_and_what_is_due_say_when_it_is_over() -> None:
    later, earlier = NOW + timedelta(minutes=16), NOW - timedelta(minutes=12)
    assert (words.left(later, NOW), words.left(earlier, NOW)) == ("16 min", "12 min over")
    assert (words.due(later, NOW), words.due(earlier, NOW)) == ("in 16 min", "12 min over")
    assert words.due(None, NOW) == ""


@pytest.mark.parametrize(
    ("text", "laterality", "said"),
    [
        ("Knee 2 views", "L", "Left knee 2 views"),
        ("Left knee 2 views", "L", "Left knee 2 views"),
        ("AP knee", "R", "Right AP knee"),
        ("Knees AP", "B", "Both knees AP"),
        ("Chest 2 views", "", "Chest 2 views"),
        ("", "L", "procedure not named"),
    ],
)
def test_the_side_stands_before_the_part_in_words(text: str, laterality: str, said: str) -> None:
    assert words.procedure_words(text, laterality) == said


@pytest.mark.parametrize(
    ("patient_class", "ward", "bed", "bedside", "said"),
    [
        ("O", "", "", False, ""),
        ("I", "W3", "12", False, "W3"),
        ("I", "W3", "12", True, "W3 12"),
        ("E", "ED", "6", False, "ED 6"),
        ("I", "", "", False, "ward?"),
        ("E", "", "", False, "ED"),
        ("I", "", "12", False, "12"),
    ],
)
def test_where_from_says_what_class(
    patient_class: str, ward: str, bed: str, bedside: bool, said: str
) -> None:
    assert words.origin(patient_class, ward, bed, bedside=bedside) == said


def test_how_a_patient_comes_is_said_only_where_it_is_not_on_foot() -> None:
    assert [words.how(t) for t in ("Stretcher", "WHEELCHAIR", "walk", "")] == ["bed", "chair", "", ""]


def test_who_did_it_is_a_person_or_a_kind_of_machine() -> None:
    said = [
        words.who(by)
        for by in (
            "user:w.kamau",
            "token:pacs",
            "link:EHR",
            "modality:XR1",
            "destination:PACS",
            "rule",
            "desk",
        )
    ]
    assert said == ["w.kamau", "program pacs", "link EHR", "machine XR1", "PACS", "by rule", "the desk"]


def card(**fields: object) -> Card:
    usual = {
        "accession": "A1",
        "patient": 1,
        "family": "Abdi",
        "given": "Hodan",
        "what": "Chest",
        "stage": Stage.SCHEDULED,
        "planned_start": NOW,
        "planned_end": NOW + timedelta(minutes=10),
    }
    return Card(**(usual | fields))  # type: ignore[arg-type]


def lane(*cards: Card, **fields: object) -> Lane:
    usual = {
        "code": "XR1",
        "name": "Room <1>",
        "kind": "general",
        "location": "Main",
        "opened": (Span(NOW - timedelta(hours=3), NOW + timedelta(hours=3)),),
        "down": None,
        "down_reason": "",
        "technologist": "",
        "load": 20,
        "to_place_again": 0,
        "cards": cards,
    }
    return Lane(**(usual | fields))  # type: ignore[arg-type]


def drawn(one: Lane, at: datetime = NOW) -> str:
    window = Window(NOW - timedelta(hours=4), 480)
    return line(one, window, at, link=lambda accession: f"/?exam={accession}", zone=ZONE)


def test_each_mark_of_a_block_is_a_word_or_a_sign() -> None:
    assert "no-show</span>" in drawn(lane(card(stage=Stage.NO_SHOW)))
    assert "stopped</span>" in drawn(lane(card(stage=Stage.DISCONTINUED)))
    assert 'class="ex held"' in drawn(lane(card(stage=Stage.HELD)))
    assert '<b class="flag fill">STAT</b>' in drawn(lane(card(priority=Priority.STAT)))
    assert "+2 h<span" in drawn(lane(card()), NOW + timedelta(minutes=125))
    waits = card(
        stage=Stage.ARRIVED,
        arrived_at=NOW - timedelta(hours=3),
        planned_start=NOW,
        planned_end=NOW + timedelta(minutes=9),
    )
    assert '<span class="flag">3 h</span>' in drawn(lane(waits))


def test_closed_and_down_stretches_are_drawn_with_their_reason_as_text() -> None:
    down = Span(NOW, NOW + timedelta(hours=1))
    text = drawn(lane(down=down, down_reason="<i>Detector</i>"))
    assert text.count('class="shut"') == 2
    assert "&lt;i&gt;Detector&lt;/i&gt;" in text
    assert '<span class="vh">Down</span>' in drawn(lane(down=down))


def test_a_lanes_head_says_who_is_there_how_full_it_is_or_that_it_is_down_or_closed() -> None:
    head = lane_head(lane(technologist="Kofi Mensah"), NOW, day="", zone=ZONE)
    assert "Kofi Mensah" in head
    assert "20 %" in head
    assert "Room &lt;1&gt;" in head
    assert "closed" in lane_head(lane(load=None), NOW, day="", zone=ZONE)
    down = Span(NOW, NOW + timedelta(hours=1))
    assert "until 11:40" in lane_head(lane(down=down), NOW, day="", zone=ZONE)
    assert "2 to place again" in lane_head(lane(down=down, to_place_again=2), NOW, day="", zone=ZONE)
    assert "Portable" in lane_head(lane(kind="portable"), NOW, day="", zone=ZONE)


def test_a_stage_has_one_word_and_a_missing_name_is_said() -> None:
    stages = [Stage.HELD, Stage.NO_SHOW, Stage.DISCONTINUED, Stage.BEGUN, Stage.ENDED]
    said = [stage_word(card(stage=stage)) for stage in stages]
    assert said == ["On hold", "Did not come", "Discontinued", "In room", "Done, no images yet"]
    assert stage_word(card(displaced=True)) == "Needs a place"
    assert whole_name(card(family="", given="")) == "no name yet"


def test_the_addresses_that_pages_make_are_addresses_of_the_desk() -> None:
    made = [where.exam("A1"), where.room("XR 1"), where.board(), where.day_list()]
    deeds = ("arrive", "unarrive", "book", "move", "move-back", "cancel-booking", "no-show", "undo-no-show")
    for address in made + [where.exam_action("A1", deed) for deed in deeds]:
        assert resolve(address.split("?")[0])
    assert where.board(day="2026-03-02", span="4h", exam="A/1") == "/?day=2026-03-02&span=4h&exam=A%2F1"
