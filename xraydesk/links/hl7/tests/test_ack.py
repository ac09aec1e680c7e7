"""Answers, in every mode and dialect."""

from __future__ import annotations

import pytest
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import AT
from xraydesk.links.hl7.ack import NOBODY, Asked, OrderReply, Trouble, answers
from xraydesk.links.hl7.reader import read_message
from xraydesk.links.hl7.refusals import Condition
from xraydesk.links.hl7.tests.sent import order

TROUBLE = Trouble(Condition.VALUE_NOT_FOUND, "ORC^1^1", "This is | not ^ known")


def answer(message: str, **more: object) -> list[str]:
    asked = Asked.by(read_message(message.encode()))
    (found,) = answers(asked, **({"code": "AA", "at": AT, "number": "X1"} | more))  # type: ignore[arg-type]
    return found.decode().rstrip("\r").split("\r")


def test_an_ack_goes_back_to_its_sender_and_names_the_message() -> None:
    assert answer(order(control="C1")) == [
        "MSH|^~\\&|XRAYDESK|XRAY|EHR|HOSP|20260302150000+0000||ACK^O01^ACK|X1|P|2.5.1||||||UNICODE UTF-8",
        "MSA|AA|C1",
    ]


def test_an_independent_reader_reads_an_error_as_it_was_meant() -> None:
    text = "\r".join(answer(order(control="C1"), code="AE", trouble=TROUBLE))
    theirs = parse_message(text, find_groups=False)
    assert theirs.msa.msa_1.value == "AE"
    assert theirs.err.err_3.err_3_1.value == "103"
    assert theirs.err.err_2.value == "ORC^1^1"
    assert theirs.err.err_8.value == "This is \\F\\ not \\S\\ known"


def test_an_old_sender_is_told_of_the_error_in_err_1() -> None:
    lines = answer(order(control="C1", version="2.3"), code="AE", trouble=TROUBLE)
    assert lines[0].split("|")[11] == "2.3"
    assert lines[2].split("|")[1] == "ORC^1^1^103&Table value not found&HL70357"


def test_an_error_without_a_place_names_none() -> None:
    lines = answer(order(version="2.3"), code="AR", trouble=Trouble(Condition.INTERNAL, "", "Broken"))
    assert lines[2].split("|")[1:4] == [
        "^^^207&Application internal error&HL70357",
        "",
        "207^Application internal error^HL70357",
    ]


def test_the_senders_separators_and_number_come_back_as_they_were() -> None:
    lines = answer("MSH^~|\\&^A^B^C^D^2003^^ADT~A24^ 7 ^P^2.4\r")
    assert lines == ["MSH^~|\\&^C^D^A^B^20260302150000+0000^^ACK~A24~ACK^X1^P^2.4", "MSA^AA^ 7 "]


def test_an_order_reply_names_each_order() -> None:
    replies = (OrderReply("OK", "P1", "EHR", "A1"), OrderReply("UC", "P2"))
    lines = answer(order(control="C1", type_="OMI^O23^OMI_O23"), orders=replies)
    assert "|ORI^O24^ORI_O24|" in lines[0]
    assert lines[2:] == ["ORC|OK|P1^EHR|A1", "ORC|UC|P2|"]
    assert "|ACK^R01^ACK|" in answer(order(type_="ORU^R01"), orders=replies)[0]


def test_nobody_is_answered_without_a_number() -> None:
    (found,) = answers(NOBODY, code="AR", at=AT, number="X1", trouble=TROUBLE)
    assert found.startswith(b"MSH|^~\\&|||||20260302150000+0000||ACK^ACK|X1|P|2.5.1\rMSA|AR||")


def test_what_the_desk_says_is_ascii_for_a_sender_that_names_no_character_set() -> None:
    said = Trouble(Condition.DATA_TYPE, "ORC^1^2", "“P1” isn’t known…")
    lines = answer(order(charset=""), code="AE", trouble=said)
    assert lines[1].endswith('|"P1" isn\'t known...')
    assert lines[2].endswith('|"P1" isn\'t known...')


@given(st.text(max_size=60))
def test_no_sentence_can_add_a_segment(sentence: str) -> None:
    """Row 14: cannot add a segment, in an answer either."""
    lines = answer(order(), code="AE", trouble=Trouble(Condition.DATA_TYPE, "PID^1^3", sentence))
    assert [line[:3] for line in lines] == ["MSH", "MSA", "ERR"]


def test_the_enhanced_mode_gives_each_answer_its_own_number() -> None:
    asked = Asked.by(read_message(order(control="C1", accept="AL", application="AL").encode()))
    commit, effect = answers(asked, code="AE", at=AT, number="X1", trouble=TROUBLE)
    assert b"|X1C|" in commit
    assert b"MSA|CA|C1" in commit
    assert b"ERR" not in commit
    assert b"|X1|" in effect
    assert b"MSA|AE|C1" in effect


@pytest.mark.parametrize(
    ("accept", "application", "of_success", "of_error"),
    [
        ("", "", ["AA"], ["AE"]),
        ("AL", "NE", ["CA"], ["CE"]),
        ("AL", "AL", ["CA", "AA"], ["CA", "AE"]),
        ("al ", "", ["CA"], ["CE"]),
        ("ER", "AL", ["AA"], ["AE"]),
        ("ER", "ER", [], ["AE"]),
        ("Y", "", ["AA"], ["AE"]),
        ("ER", "SU", ["AA"], ["CE"]),
        ("SU", "ER", ["CA"], ["CA", "AE"]),
        ("NE", "NE", [], []),
        ("NE", "", [], []),
    ],
)
def test_a_sender_is_answered_as_often_as_it_asks_to_be(
    accept: str, application: str, of_success: list[str], of_error: list[str]
) -> None:
    """HL7 table 0155, in enhanced mode; in original mode there is one answer always.

    CE and CR end the exchange (§2.9.3.2): no answer of the effect may follow them.
    """
    header = f"MSH|^~\\&|EHR|HOSP|XRAYDESK|XRAY|20260302||ORM^O01|C1|P|2.5.1|||{accept}|{application}\r"
    asked = Asked.by(read_message(header.encode()))

    def codes(code: str) -> list[str]:
        return [a.split(b"MSA|")[1][:2].decode() for a in answers(asked, code=code, at=AT, number="X1")]

    assert (codes("AA"), codes("AE")) == (of_success, of_error)
