"""The commands that ask a desk: the contract's fields, and an answer for everything that is not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from tests.factories import AT, load_demo_site, make_booking, make_exam, make_patient, make_site, plan_with
from xraydesk.access.models import Site
from xraydesk.attention.actions import close_items, raise_item
from xraydesk.attention.kinds import ItemKind
from xraydesk.facts.actions import record
from xraydesk.facts.kinds import FactKind
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import ImageState
from xraydesk.lib import clock
from xraydesk.links.hl7.tests.conftest import EHR
from xraydesk.links.hl7.tests.sent import order
from xraydesk.links.models import Message
from xraydesk.links.states import Direction, MessageState
from xraydesk.orders.states import TriageState
from xraydesk.project.cli import run
from xraydesk.project.cli_records import PAGE
from xraydesk.project.config import config
from xraydesk.siteplan.reading import from_json

pytestmark = pytest.mark.django_db

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    monkeypatch.setenv("XRAYDESK_HOME", os.environ["XRAYDESK_HOME"])

    def ask(*arguments: str) -> tuple[int, str, str]:
        status = run(list(arguments))
        told = capsys.readouterr()
        return status, told.out, told.err

    yield ask
    config.cache_clear()


@pytest.fixture
def site() -> Site:
    return make_site()


def objects(answer: tuple[int, str, str]) -> list[Any]:
    status, out, err = answer
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def make_image(site: Site, **fields: Any) -> Image:
    number = Image.objects.count()
    defaults = {
        "sop_instance_uid": f"1.2.{number}",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "study_instance_uid": "1.2.3",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": str(number),
        "size_bytes": 1,
        "sha256": "0",
        "state": ImageState.MATCHED,
        "received_at": AT + timedelta(seconds=number),
    }
    return Image.objects.create(site=site, **(defaults | fields))


def make_message(site: Site, **fields: Any) -> Message:
    number = Message.objects.count()
    defaults = {
        "direction": Direction.IN,
        "link": "EHR",
        "control_id": f"C{number}",
        "type": "ORM^O01",
        "at": AT + timedelta(seconds=number),
        "state": MessageState.APPLIED,
        "ack": "AA",
        "raw": b"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|20260302100000||ORM^O01|C1|P|2.5\rPID|||N1^^^HOSP||Pr\xfcfer^Ada\r",
        "charset": "latin-1",
        "body_sha256": str(number),
    }
    return Message.objects.create(site=site, **(defaults | fields))


def test_an_exam_is_told_with_the_fields_of_the_contract(site: Site, ask: Ask) -> None:
    exam = make_exam(site, patient=make_patient(site, number="N7"), reason="cough", requested_at=AT)
    make_booking(exam)
    (told,) = objects(ask("exam", "list", "--all", "--json"))
    assert told == {
        "accession": exam.accession,
        "placer": exam.order.placer,
        "filler": exam.accession,
        "patient_id": "N7",
        "patient_name": "Prüfer^Ada",
        "procedure": {"code": "XRCHEST2", "text": "Chest 2 views", "system": "L"},
        "stage": "scheduled",
        "room": "XR1",
        "ae_title": "XR1",
        "start": "2026-03-02T10:00:00-05:00",
        "requested": "2026-03-02T10:00:00-05:00",
        "study_instance_uid": exam.study_instance_uid,
        "why": None,
    }


def test_the_list_is_of_today_of_a_day_or_of_all_and_of_one_placer(site: Site, ask: Ask) -> None:
    today, then = make_exam(site), make_exam(site)
    make_booking(then)
    make_booking(today, room="XR2", start=clock.now())

    def told(*more: str) -> list[str]:
        return [one["accession"] for one in objects(ask("exam", "list", "--json", *more))]

    assert told() == [today.accession]
    assert told("--date", "2026-03-02") == [then.accession]
    assert told("--date", "2026-03-03") == []
    assert told("--all") == [today.accession, then.accession]
    assert told("--all", "--placer", then.order.placer) == [then.accession]
    assert told("--placer", then.order.placer) == []


def test_a_list_longer_than_a_page_is_told_whole(
    site: Site, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xraydesk.project.cli_records.PAGE", 2)
    made = [make_exam(site).accession for _ in range(5)]
    assert [one["accession"] for one in objects(ask("exam", "list", "--all", "--json"))] == made
    assert PAGE == 1000


@pytest.mark.parametrize("words", [["--date", "yesterday"], ["--date", "2026-03-02", "--all"], ["--days"]])
def test_a_list_asked_for_wrongly_is_wrong_use(ask: Ask, words: list[str]) -> None:
    status, out, err = ask("exam", "list", *words)
    assert (status, out) == (2, "")
    assert "Error" in err


def test_an_exam_is_shown_with_its_images_dose_and_history(site: Site, ask: Ask) -> None:
    exam = make_exam(site, reason="cough")
    for state in (ImageState.MATCHED, ImageState.SENT, ImageState.QUARANTINED):
        make_image(site, exam=exam, state=state)
    later, sooner = AT + timedelta(minutes=5), AT
    for at, kind in ((later, FactKind.EXAM_BOOKED), (sooner, FactKind.NOTE_WRITTEN)):
        record(site_id=site.pk, kind=kind, at=at, by="rule", accession=exam.accession)
    (told,) = objects(ask("exam", "show", exam.accession, "--json"))
    assert told["reason"] == "cough"
    assert told["images"] == {"received": 3, "matched": 2, "quarantined": 1, "held": 0, "sent": 1}
    assert told["dose"]["dap_gym2"] is None
    assert told["facts"] == [
        {"at": "2026-03-02T10:00:00-05:00", "kind": "note written", "by": "rule"},
        {"at": "2026-03-02T10:05:00-05:00", "kind": "booked", "by": "rule"},
    ]


def test_an_exam_that_waits_says_why(site: Site, ask: Ask) -> None:
    make_exam(
        site,
        triage=TriageState.HELD,
        findings=[{"level": "ask", "sentence": "Which knee?"}, {"level": "good", "sentence": "Fine."}],
    )
    (told,) = objects(ask("exam", "list", "--all", "--json"))
    assert (told["stage"], told["why"], told["start"]) == ("held", "Which knee?", None)


def test_what_is_not_there_is_answered_by_status_1_and_a_sentence(site: Site, ask: Ask) -> None:
    assert ask("exam", "show", "X1", "--json") == (1, "", "There is no exam X1.\n")
    assert ask("message", "show", "5") == (1, "", "There is no message 5 here.\n")


def test_an_exam_of_another_site_is_not_there(site: Site, ask: Ask) -> None:
    exam = make_exam(make_site("OTHER"))
    assert ask("exam", "show", exam.accession, "--site", "T")[0] == 1
    assert ask("exam", "show", exam.accession, "--site", "OTHER")[0] == 0


def test_among_several_sites_one_must_be_named(site: Site, ask: Ask) -> None:
    make_site("OTHER")
    status, out, err = ask("exam", "list", "--json")
    assert (status, out) == (2, "")
    assert err == "xraydesk: There are several sites here; name one with --site: OTHER, T\n"
    assert ask("exam", "list", "--site", "NONE")[2] == "xraydesk: There is no site NONE here\n"


def test_a_desk_without_a_department_says_what_to_do(ask: Ask) -> None:
    assert ask("item", "list") == (
        2,
        "",
        "xraydesk: There is no department here yet: load one with `xraydesk site load FILE`\n",
    )


def test_an_empty_list_is_nothing_at_all(site: Site, ask: Ask) -> None:
    for words in (["exam", "list", "--all"], ["image", "list"], ["item", "list"], ["message", "list"]):
        assert ask(*words, "--json") == (0, "", "")
        assert ask(*words) == (0, "", "")


def test_a_list_for_people_is_a_table_with_whole_words(site: Site, ask: Ask) -> None:
    exam = make_exam(site)
    make_booking(exam)
    status, out, _ = ask("exam", "list", "--all")
    assert status == 0
    for word in ("accession", exam.accession, "scheduled", "Prüfer^Ada", "Chest 2 views", exam.order.placer):
        assert word in out
    status, out, _ = ask("exam", "show", exam.accession)
    assert "stage               scheduled" in out


def test_images_are_listed_of_all_or_of_one_exam(site: Site, ask: Ask) -> None:
    exam = make_exam(site)
    make_image(site, exam=exam, patient_id="N1")
    make_image(
        site, sop_instance_uid="1.2.0", copy=1, state=ImageState.QUARANTINED, why="another", accession="X9"
    )
    assert objects(ask("image", "list", "--accession", exam.accession, "--json")) == [
        {
            "sop_instance_uid": "1.2.0",
            "study_instance_uid": "1.2.3",
            "accession": exam.accession,
            "patient_id": "N1",
            "state": "matched",
            "why": None,
        }
    ]
    both = objects(ask("image", "list", "--json"))
    assert [(one["sop_instance_uid"], one["state"], one["accession"]) for one in both] == [
        ("1.2.0", "quarantined", "X9"),
        ("1.2.0", "matched", exam.accession),
    ]


def test_items_are_listed_while_they_wait_and_with_all_afterwards(site: Site, ask: Ask) -> None:
    for key, accession in (("exam held:A1", "A1"), ("message:1", "")):
        raise_item(site_id=site.pk, kind=ItemKind.EXAM_HELD, key=key, at=AT, accession=accession, text="Why?")
    close_items(site_id=site.pk, key="message:1", at=AT, by="user:ada", how="done")
    (told,) = objects(ask("item", "list", "--json"))
    assert {name: told[name] for name in ("kind", "at", "until", "accession", "control_id", "text")} == {
        "kind": "exam held",
        "at": "2026-03-02T10:00:00-05:00",
        "until": "2026-03-02T12:00:00-05:00",
        "accession": "A1",
        "control_id": None,
        "text": "Why?",
    }
    assert told["sop_instance_uid"] is None
    assert isinstance(told["id"], int)
    assert len(objects(ask("item", "list", "--all", "--json"))) == 2


def test_messages_are_listed_by_direction_and_control_id_newest_first(site: Site, ask: Ask) -> None:
    for direction in (Direction.IN, Direction.OUT, Direction.IN):
        make_message(site, direction=direction)

    def told(*more: str) -> list[str]:
        return [one["control_id"] for one in objects(ask("message", "list", "--json", *more))]

    assert told() == ["C2", "C1", "C0"]
    assert told("--direction", "in") == ["C2", "C0"]
    assert told("--direction", "out") == ["C1"]
    assert told("--control-id", "C0") == ["C0"]
    assert told("--limit", "1") == ["C2"]
    assert told("--limit", "100000") == ["C2", "C1", "C0"]
    assert ask("message", "list", "--direction", "up")[0] == 2
    (first,) = objects(ask("message", "list", "--control-id", "C0", "--json"))
    assert set(first) >= {"id", "direction", "link", "control_id", "type", "at", "state", "ack"}
    assert first["at"] == "2026-03-02T10:00:00-05:00"


def test_a_message_is_shown_raw_and_read(site: Site, ask: Ask) -> None:
    message = make_message(site, answer=b"MSA|AA|C1\r")
    (told,) = objects(ask("message", "show", str(message.pk), "--json"))
    assert "Prüfer^Ada\r" in told["raw"]
    assert told["answer"] == "MSA|AA|C1\r"
    assert told["read"][0]["patient"]["ids"] == [{"id": "N1", "authority": "HOSP", "type": ""}]


def test_a_message_that_is_none_is_shown_as_it_was(site: Site, ask: Ask) -> None:
    message = make_message(site, raw=b"hello \xff\x00", charset="utf-8", type="")
    (told,) = objects(ask("message", "show", str(message.pk), "--json"))
    assert told["raw"] == "hello \\xff\x00"
    assert told["read"] == []
    assert ask("message", "show", str(message.pk))[0] == 0


def test_a_message_that_was_applied_is_not_applied_again(site: Site, ask: Ask) -> None:
    message = make_message(site)
    status, out, err = ask("message", "replay", str(message.pk), "--json")
    assert (status, out) == (1, "")
    assert f"Message {message.pk} is applied already" in err


def test_a_message_that_still_cannot_be_applied_says_so_by_its_status(site: Site, ask: Ask) -> None:
    message = make_message(site, state=MessageState.REFUSED, raw=b"hello")
    status, out, _ = ask("message", "replay", str(message.pk), "--json")
    assert status == 1
    assert json.loads(out)["state"] == "refused"
    assert ask("message", "replay", str(message.pk), "--site", "T")[0] == 1
    make_site("OTHER")
    assert "There is no message" in ask("message", "replay", str(message.pk), "--site", "OTHER")[2]


def test_a_worklist_is_explained_with_yes_or_no(site: Site, ask: Ask) -> None:
    exam = make_exam(site)
    make_booking(exam)
    status, out, _ = ask("worklist", "explain", exam.accession, "--ae", "XR1", "--json")
    assert status == 0
    assert json.loads(out)["listed"] is True
    status, out, _ = ask("worklist", "explain", exam.accession, "--ae", "XR2", "--json")
    assert status == 1
    told = json.loads(out)
    assert told["listed"] is False
    assert told["why"]


def test_a_home_without_a_desk_says_so_in_one_sentence(tmp_path: Path, ask: Ask) -> None:
    for words in (["exam", "list"], ["exam", "show", "A"], ["user", "create", "a", "--role", "porter"]):
        status, out, err = ask(*words, "--home", str(tmp_path))
        assert (status, out) == (2, "")
        assert err == f"xraydesk: No desk runs in {tmp_path}: start it with `xraydesk up`\n"


def test_a_file_of_messages_is_taken_as_if_it_came_over_the_wire(
    ask: Ask, site: Site, tmp_path: Path
) -> None:
    site.plan = plan_with(EHR)
    site.save()
    batch = tmp_path / "night.hl7"
    batch.write_text(
        "BHS|^~\\&|EHR|HOSP\r" + order(control="C1") + order(control="C2", placer="P2") + "BTS|2\r"
    )
    assert [(r["control_id"], r["ack"]) for r in objects(ask("message", "take", str(batch), "--json"))] == [
        ("C1", "AA"),
        ("C2", "AA"),
    ]
    assert ask("message", "take", str(batch))[0] == 0
    assert Message.objects.filter(seen=2).count() == 2
    alone = tmp_path / "change.hl7"
    alone.write_text(order(control="C3", placer="P9", action="XO"))
    status, out, _ = ask("message", "take", str(alone), "--json")
    assert (status, json.loads(out)["ack"]) == (1, "AE")
    assert ask("message", "take", str(tmp_path / "nothing"))[0] == 1


def test_what_a_system_would_be_told_is_shown_and_nothing_goes(ask: Ask) -> None:
    site = load_demo_site()
    exam = make_exam(site)
    with transaction.atomic():
        record(site_id=site.pk, kind=FactKind.EXAM_BEGUN, at=AT, by="rule", accession=exam.accession)
    (name, *_) = [o.name for o in from_json(site.plan).outlinks]
    (told,) = objects(ask("message", "preview", exam.accession, "--to", name, "--json"))
    assert told["type"] == "ORM^O01"
    assert "ORC|SC" in ask("message", "preview", exam.accession, "--to", name)[1]
    assert ask("message", "preview", exam.accession, "--to", "NOSUCH")[0] == 1
    other = make_exam(site)
    assert "told nothing" in ask("message", "preview", other.accession, "--to", name)[1]
    assert not Message.objects.exists()
