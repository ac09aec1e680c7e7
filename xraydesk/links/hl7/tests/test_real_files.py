"""Messages of many vendors and projects: read as they are known to be, and taken without an unexpected failure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories import AT, make_site
from tests.shared_data import ROOT, shared_data
from xraydesk.access.models import Site
from xraydesk.attention.models import Item
from xraydesk.links.hl7.describe import describe
from xraydesk.links.hl7.partners import UNKNOWN, Partner
from xraydesk.links.hl7.reader import SEGMENT_NAME, Unreadable, read_batch
from xraydesk.links.hl7.receive import Peer, Receiver
from xraydesk.links.messages import replay
from xraydesk.links.models import Message

pytestmark = pytest.mark.data
ALL_SENDERS = replace(UNKNOWN, name="EHR", kind="orders")


def _index() -> dict[str, Any]:
    path = ROOT / "hl7_index.json"
    return json.loads(path.read_text()) if path.exists() else {}


INDEX = _index()
FILES = sorted(INDEX) or ["hl7/absent"]


def expected(name: str) -> tuple[bytes, list[dict[str, Any]]]:
    raw = shared_data(*Path(name).parts).read_bytes()
    return raw, [m for m in INDEX[name]["messages"] if "type" in m]


def components(written: str, number: int, separators: str) -> str:
    return (written.split(separators[1]) + [""] * number)[number - 1]


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_it_is_known_to_say(name: str) -> None:
    raw, known = expected(name)
    if not known:
        with pytest.raises(Unreadable):
            read_batch(raw)
        return
    found = describe(raw)
    messages = read_batch(raw).messages
    assert len(found) == len(messages) == INDEX[name]["n_messages"]
    for one, message, wanted in zip(
        found, messages, known, strict=False
    ):  # the list tells of the first twelve
        assert message.header.raw(9) == wanted["type"]
        assert one["control_id"] == wanted["control_id"]
        if isinstance(wanted["segments"], list):
            assert one["segments"] == [s for s in wanted["segments"] if SEGMENT_NAME.fullmatch(s)]
        _patient_agrees(one, wanted)
        _orders_agree(one, wanted)


def _patient_agrees(one: dict[str, Any], wanted: dict[str, Any]) -> None:
    if wanted.get("pid3") is None:
        assert one["patient"] is None
        return
    marks = wanted["separators"]
    written = [r for r in wanted["pid3"].split(marks[2]) if components(r, 1, marks).strip() not in ("", '""')]
    ids = [(i["id"], i["type"]) for i in one["patient"]["ids"]]
    if written:
        assert ids == [(components(r, 1, marks).strip(), components(r, 5, marks)) for r in written]
    first = wanted["pid5"].split(marks[2])[0]
    if marks[2] not in wanted["pid5"] and marks[3] not in first:
        assert one["patient"]["name"]["family"] == components(first, 1, marks).split(marks[4])[0].strip()
        assert one["patient"]["name"]["given"] == components(first, 2, marks).strip()
    born = (one["patient"]["birth_date"] or "").replace("-", "")
    assert born[:8] == wanted["pid7"][:8] or born == wanted["pid7"].replace("-", "")
    assert one["patient"]["sex"] == wanted["pid8"].split(marks[1])[0]


def _orders_agree(one: dict[str, Any], wanted: dict[str, Any]) -> None:
    marks = wanted["separators"]
    if "orc1" in wanted:
        assert one["orders"][0]["control"] == wanted["orc1"]
        assert one["orders"][0]["status"] == wanted["orc5"].split(marks[1])[0]
    if "obr4" in wanted:
        assert sum(1 for o in one["orders"] if o["procedure"] or o["placer"]) >= wanted["n_obr"]
        first = next(o for o in one["orders"])
        placer = wanted["obr2"] if not wanted.get("orc2") else wanted["orc2"]
        assert first["placer"] == components(placer, 1, marks).split(marks[4])[0].strip()
        assert first["result_status"] == wanted["obr25"].split(marks[1])[0]
        code = components(wanted["obr4"], 1, marks).split(marks[4])[0].strip()
        if code and marks[3] not in code:
            assert first["procedure"]["code"] == code


@pytest.mark.django_db
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_taken_and_what_cannot_be_applied_is_an_item_with_replay(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, known = expected(name)
    site = make_site()
    receiver = Receiver()
    monkeypatch.setattr(
        "xraydesk.links.hl7.partners.Directory.partner_of", lambda *_: Partner(site, ALL_SENDERS)
    )
    receiver.receive(raw, peer=Peer(), at=AT)
    rows = list(Message.objects.order_by("id"))
    control_ids = {m["control_id"] for m in known}
    assert {m.control_id for m in rows} >= (control_ids or {""})
    for row in rows:
        assert "The desk failed" not in row.why
        if row.state in ("refused", "waiting for a person"):
            assert row.why
            assert Item.objects.filter(message=row.pk, closed_at=None).exists()
            again = replay(message_id=row.pk, at=AT, by="user:c")
            assert (again.state, again.why) == (row.state, row.why)


@pytest.mark.django_db
def test_an_imaging_order_of_another_project_becomes_an_exam(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = shared_data("hl7", "dcm4che", "OMI^O23-ImagingOrder.hl7").read_bytes()
    site: Site = make_site()
    monkeypatch.setattr(
        "xraydesk.links.hl7.partners.Directory.partner_of", lambda *_: Partner(site, ALL_SENDERS)
    )
    answer = Receiver().receive(raw, peer=Peer(), at=AT)[0]
    assert b"MSA|AA|1001125" in answer
    message = Message.objects.get()
    assert message.accession == "AccessionNumber"
