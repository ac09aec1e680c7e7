"""Rules about where images go, and who is on call: read, checked, and told where they change."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time

import pytest

from xraydesk.siteplan.diff import diff
from xraydesk.siteplan.hours import lies_within
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.on_call import on_call_at
from xraydesk.siteplan.problems import SiteFileErrors
from xraydesk.siteplan.reading import read_toml_text
from xraydesk.siteplan.route_text import with_rules, written
from xraydesk.siteplan.routing_plan import OnCallPlan, OnCallRole, RoutedPriority, RoutePlan
from xraydesk.siteplan.tests.test_reading import GOOD, wrong

NIGHT = '{ every = ["20:00-24:00", "00:00-07:00"] }'
ROUTE = f"""
[[route]]
rule = "Night"
to = ["PACS"]
not_to = ["PACS"]
procedures = ["CHEST2"]
locations = ["MAIN"]
priorities = ["stat"]
classes = ["E"]
modalities = ["DX"]
readers = ["BERG"]
hours = {NIGHT}
"""
BERG = f"""
[[on_call]]
code = "BERG"
name = "Dr Berg"
phone = "ext. 1"
hours = {NIGHT}
locations = ["MAIN"]
"""
TEAM = f"""
[[on_call]]
code = "TEAM"
name = "Trauma team"
role = "team"
pager = "311"
hours = {NIGHT}
"""
WHOLE = GOOD + ROUTE + BERG + TEAM


def test_rules_and_who_is_on_call_are_read_kept_and_told() -> None:
    plan = read_toml_text(WHOLE)
    assert plan.routes == (
        RoutePlan(
            rule="Night",
            to=("PACS",),
            not_to=("PACS",),
            procedures=("CHEST2",),
            locations=("MAIN",),
            priorities=(RoutedPriority.STAT,),
            classes=("E",),
            modalities=("DX",),
            readers=("BERG",),
            hours=plan.on_call[0].hours,
        ),
    )
    assert [(p.code, p.role) for p in plan.on_call] == [
        ("BERG", OnCallRole.READER),
        ("TEAM", OnCallRole.TEAM),
    ]
    assert from_json(to_json(plan)) == plan
    assert diff(read_toml_text(GOOD), plan) == [
        "route Night: added",
        "on call BERG: added",
        "on call TEAM: added",
    ]


def test_a_file_without_rules_is_as_it_was() -> None:
    plan = read_toml_text(GOOD)
    assert (plan.routes, plan.on_call, plan.destinations[0].outside) == ((), (), False)
    older = to_json(plan)
    del older["routes"], older["on_call"], older["destinations"][0]["outside"]
    assert from_json(older) == plan


@pytest.mark.parametrize(
    ("old", "new", "field", "word"),
    [
        ('to = ["PACS"]\nnot_to = ["PACS"]\n', "", "route 1, to", "names destinations"),
        ('\nto = ["PACS"]', '\nto = ["PACS", "X"]', "route 1, to 2", "no destination X"),
        ('not_to = ["PACS"]', 'not_to = ["X"]', "route 1, not_to 1", "no destination X"),
        ('procedures = ["CHEST2"]', 'procedures = ["X"]', "route 1, procedures 1", "no procedure X"),
        ('procedures = ["CHEST2"]', 'procedures = [""]', "route 1, procedures 1", "is empty"),
        ('locations = ["MAIN"]\npri', 'locations = ["X"]\npri', "route 1, locations 1", "no location X"),
        ('priorities = ["stat"]', 'priorities = ["now"]', "route 1, priorities 1", "none of: stat, urgent"),
        ('classes = ["E"]', 'classes = ["e"]', "route 1, classes 1", "one capital letter"),
        ('classes = ["E"]', 'classes = [""]', "route 1, classes 1", "is empty"),
        ('modalities = ["DX"]', 'modalities = ["CT"]', "route 1, modalities 1", "of type CT"),
        ('readers = ["BERG"]', 'readers = ["TEAM"]', "route 1, readers 1", "no reader on call TEAM"),
        ('rule = "Night"\n', "", "route 1, rule", "is missing"),
        ('rule = "Night"\n', 'rule = "Night"\nfrom = "X"\n', "route 1, from", "no such field"),
        ('phone = "ext. 1"\n', "", "on_call 1, phone", "a phone or a pager"),
        ('role = "team"', 'role = "porter"', "on_call 2, role", "none of: reader, team"),
        ('code = "TEAM"', 'code = "BERG"', "on_call 2, code", "there already"),
        (
            '}\nlocations = ["MAIN"]\n',
            '}\nlocations = ["X", ""]\n',
            "on_call 1, locations 1",
            "no location X",
        ),
        (
            "port = 11113",
            "port = 11113\nshift_dates = true",
            "destination 1, shift_dates",
            "research project",
        ),
        (
            "port = 11113",
            'port = 11113\nnotices = true\nresearch = "R"',
            "destination 1, notices",
            "told of no other images",
        ),
        (
            "port = 11113",
            'port = 11113\ncommits = true\nresearch = "R"',
            "destination 1, commits",
            "nobody promises",
        ),
        ("port = 11113", "port = 11113\noutside = true", "destination 1, outside", "tls = true"),
        ("port = 11113", 'port = 11113\nmoves_to = "PACS"', "destination 1, moves_to", "finds = true"),
        (
            "port = 11113",
            'port = 11113\nhistory = true\nresearch = "R"',
            "destination 1, history",
            "not for research",
        ),
        (
            "port = 11113",
            'port = 11113\ncommits = true\nresearch = "R"',
            "destination 1, commits",
            "nobody promises to keep them",
        ),
    ],
)
def test_what_is_wrong_with_them_is_told_with_its_field(old: str, new: str, field: str, word: str) -> None:
    assert WHOLE.count(old) == 1, old
    errors = wrong(WHOLE.replace(old, new))
    assert any(f == field and word in what for _, f, what in errors), errors


def test_a_rule_that_stands_twice_and_hours_that_end_before_they_start_are_told_with_the_line() -> None:
    text = WHOLE + '\n[[route]]\nrule = "Night"\nto = ["PACS"]\nhours = { mon = ["20:00-07:00"] }\n'
    lines = text.splitlines()
    errors = {(line, field) for line, field, _ in wrong(text)}
    assert errors == {
        (len(lines) - 2, "route 2, rule"),
        (len(lines), "route 2, hours, mon"),
    }


MONDAY = datetime(2026, 3, 2)


@pytest.mark.parametrize(
    ("hour", "minute", "lies"), [(6, 59, True), (7, 0, False), (19, 59, False), (20, 0, True), (23, 59, True)]
)
def test_a_moment_lies_within_hours_from_their_start_to_before_their_end(
    hour: int, minute: int, lies: bool
) -> None:
    hours = {"mon": ((time(0), time(7)), (time(20), time(0)))}
    assert lies_within(hours, MONDAY.replace(hour=hour, minute=minute)) is lies
    assert not lies_within(hours, datetime(2026, 3, 3, 1))


def test_the_first_of_the_file_who_is_on_for_the_place_reads_and_the_next_covers() -> None:
    day = {"mon": ((time(0), time(0)),)}
    for_all = OnCallPlan("ALL", "All", day)
    here = OnCallPlan("HERE", "Here", day, locations=("MAIN",))
    team = OnCallPlan("TEAM", "Team", day, role=OnCallRole.TEAM)
    off = replace(for_all, code="OFF", hours={"tue": day["mon"]})

    def on(location: str) -> list[str]:
        people = on_call_at(
            (off, here, team, for_all), wall=MONDAY, location=location, role=OnCallRole.READER
        )
        return [p.code for p in people]

    assert (on("MAIN"), on("ELSE"), on("")) == (["HERE", "ALL"], ["ALL"], ["ALL"])


def test_rules_are_written_as_they_may_stand_in_the_file_and_read_back_the_same() -> None:
    plan = read_toml_text(WHOLE)
    quoted = replace(plan.routes[0], rule='“Night” \\ "all"', not_to=())
    plan = replace(plan, routes=(*plan.routes, quoted))
    text = written(plan)
    assert with_rules(text, replace(plan, routes=(), on_call=())) == plan
    assert 'mon = ["00:00-07:00", "20:00-24:00"]' in text
    assert text.count("role") == 1
    assert written(read_toml_text(GOOD)) == ""


def test_what_is_wrong_with_rules_that_are_edited_is_told_with_the_line_of_the_text() -> None:
    plan = read_toml_text(GOOD)
    with pytest.raises(SiteFileErrors) as caught:
        with_rules('[[route]]\nrule = "A"\nto = ["X"]\n\n[site]\nname = "B"\n', plan)
    assert [(e.line, e.field) for e in caught.value.errors] == [(3, "route 1, to 1"), (5, "site")]


WEB = """
[[destination]]
name = "OLD"
web = "https://old.example/dicom-web/"
finds = true
moves_to = "PACS"
web_token = "/etc/xraydesk/old-token"
authority = "/etc/xraydesk/old.pem"
networks = ["10.0.0.0/8"]
"""


def test_an_archive_that_is_asked_over_the_web_alone_gets_no_images() -> None:
    plan = read_toml_text(WHOLE + WEB)
    old = plan.destinations[-1]
    assert (old.web, old.takes_images, old.networks) == (
        "https://old.example/dicom-web",
        False,
        ("10.0.0.0/8",),
    )
    assert from_json(to_json(plan)) == plan
    both = WEB.replace("finds", 'ae_title = "OLD"\nhost = "10.0.0.7"\nport = 104\nfinds')
    assert read_toml_text(WHOLE + both).destinations[-1].takes_images


@pytest.mark.parametrize(
    ("old", "new", "field", "word"),
    [
        ('web = "https:', 'web = "http:', "web", "write https"),
        ("/dicom-web/", "/dicom-web?x=1", "web", "without a search"),
        ('web = "https://old.example/dicom-web/"', 'web = "old"', "web", "begins with https://"),
        ('finds = true\nmoves_to = "PACS"\n', "", "finds", "write finds = true"),
        ('["10.0.0.0/8"]', '["ten"]', "networks 1", "no address or network"),
        ("web_token", 'web_password = "/etc/p"\nweb_token', "web_token", "write one of the two"),
        ("finds = true", 'finds = true\nae_title = "OLD"', "ae_title", "go together"),
        ("finds = true", "finds = true\ncommits = true", "commits", "is for where images go"),
        ("finds = true", 'finds = true\nkey = "/etc/k"', "certificate", "needs its key"),
        ('moves_to = "PACS"', 'moves_to = "OLD"', "moves_to", "another destination"),
        (
            'web = "https://old.example/dicom-web/"',
            'ae_title = "OLD"\nhost = "10.0.0.7"\nport = 104\ntls = true',
            "web_token",
            "asked by its web address",
        ),
    ],
)
def test_what_is_wrong_with_a_web_address_is_told_with_its_field(
    old: str, new: str, field: str, word: str
) -> None:
    assert WEB.count(old) == 1, old
    errors = wrong(WHOLE + WEB.replace(old, new))
    number = len(read_toml_text(WHOLE + WEB).destinations)
    assert any(at == f"destination {number}, {field}" and word in what for _, at, what in errors), errors


def test_earlier_studies_go_where_the_house_reads() -> None:
    for what in ("outside = true\ntls = true", 'research = "R"'):
        away = f'\n[[destination]]\nname = "AWAY"\nae_title = "AWAY"\nhost = "10.0.0.9"\nport = 104\n{what}\n'
        errors = wrong(WHOLE + away + WEB.replace('moves_to = "PACS"', 'moves_to = "AWAY"'))
        assert [(at.rpartition(" ")[2], "this house reads" in told) for _, at, told in errors] == [
            ("moves_to", True)
        ]


def test_no_rule_sends_images_where_none_are_taken() -> None:
    errors = wrong((WHOLE + WEB).replace('\nto = ["PACS"]', '\nto = ["PACS", "OLD"]'))
    assert any(at == "route 1, to 2" and "gets no images" in what for _, at, what in errors), errors
