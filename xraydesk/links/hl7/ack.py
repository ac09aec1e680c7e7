"""Answering a message: ACK in the original and the enhanced mode, and order replies; pure.

HL7 2.5.1 §2.9: in the original mode the one answer tells of the effect (AA, AE, AR); where
the sender fills MSH-15 or MSH-16 it asks for a commit answer (CA, CE, CR), one of the effect, both or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from xraydesk.links.hl7.reader import Message, Segment, Separators, escaped, written
from xraydesk.links.hl7.refusals import Condition
from xraydesk.links.hl7.times import write_time

VERSION = "2.5.1"
OLD_ERROR_VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4")
"""Versions in which ERR-1 tells everything (§2.16.5 of 2.4); later ones have ERR-2 to ERR-8."""

_TYPOGRAPHIC = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "…": "..."})

REPLIES = {
    "ORM": ("ORR", "O02", "ORR_O02"),
    "OMG": ("ORG", "O20", "ORG_O20"),
    "OMI": ("ORI", "O24", "ORI_O24"),
}
"""The application's reply to each order message."""


@dataclass(frozen=True)
class Trouble:
    """Why a message was not applied: HL7's condition, the place (`ORC^1^1`, "" for none), a sentence."""

    condition: Condition
    where: str
    sentence: str


@dataclass(frozen=True)
class OrderReply:
    """What became of one order: ORC-1 of the reply (OK, UA, CR, UC, XR, UX …), and its numbers."""

    control: str
    placer: str
    placer_authority: str = ""
    filler: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer: its code (AA, AE, AR, CA, CE, CR), our number for it, and what it tells besides."""

    code: str
    number: str
    trouble: Trouble | None = None
    orders: tuple[OrderReply, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What an answer needs to know of the message: who sent it, its number, and which answers it wants."""

    separators: Separators
    header: Segment
    codec: str

    @classmethod
    def by(cls, message: Message) -> Asked:
        """Of a message that could be read."""
        return cls(message.separators, message.header, message.codec)


NOBODY = Asked(Separators(), Segment("MSH", ()), "utf-8")
"""For bytes without a header: the answer can name no message."""


def answers(
    asked: Asked,
    *,
    code: str,
    at: datetime,
    number: str,
    trouble: Trouble | None = None,
    orders: Sequence[OrderReply] = (),
) -> tuple[bytes, ...]:
    """The answers that the sender wants, in order, each without its frame; none where it wants none.

    `code` is AA, AE or AR; `number` our own control number for the answer; `orders` makes it
    an order reply.
    """
    accept, application = (_condition(asked.header.get(number)) for number in (15, 16))
    effect = Answer(code, number, trouble, tuple(orders))
    if not accept and not application:
        return (_answer(asked, effect, at),)
    tells_effect = _wanted(application, code)
    # CE and CR end the exchange (§2.9.3.2). Where the effect is told too, the commit answer says that the message is kept.
    commit = Answer("CA", number + "C") if tells_effect else Answer("C" + code[1], number + "C", trouble)
    found = [commit] if _wanted(accept, commit.code) else []
    return tuple(_answer(asked, one, at) for one in [*found, *([effect] if tells_effect else [])])


def _condition(written: str) -> str:
    """MSH-15 or MSH-16; a value that HL7 table 0155 does not have asks for nothing, as an empty one."""
    said = written.strip().upper()
    return said if said in ("AL", "NE", "ER", "SU") else ""


def _wanted(condition: str, code: str) -> bool:
    """HL7 table 0155: always, never, on error, on success; an empty one is never (§2.9.3)."""
    is_success = code[1] == "A"
    return condition == "AL" or (condition == "SU" and is_success) or (condition == "ER" and not is_success)


def _answer(asked: Asked, answer: Answer, at: datetime) -> bytes:
    separators, trouble = asked.separators, answer.trouble
    sentence = escaped(_plain(trouble.sentence), separators) if trouble else ""
    msa = separators.field.join(("MSA", answer.code, asked.header.raw(10), sentence))
    lines = [_header(asked, answer, at), msa.rstrip(separators.field)]
    if trouble:
        lines.append(_error(trouble, asked.header.get(12), separators).text())
    for order in answer.orders:
        placer = [order.placer, order.placer_authority] if order.placer_authority else order.placer
        lines.append(written("ORC", [order.control, placer, order.filler], separators).text())
    return ("\r".join(lines) + "\r").encode(asked.codec, "replace")


def _plain(sentence: str) -> str:
    """Our own words in ASCII, which every sender reads, whatever its character set."""
    return sentence.translate(_TYPOGRAPHIC)


def _header(asked: Asked, answer: Answer, at: datetime) -> str:
    mark, header = asked.separators.field, asked.header
    kind: Sequence[str] = ("ACK", header.get(9, 2), "ACK")
    if answer.orders and header.get(9) in REPLIES:
        kind = REPLIES[header.get(9)]
    fields = [
        asked.separators.declared(),
        header.raw(5),
        header.raw(6),
        header.raw(3),
        header.raw(4),
        write_time(at),
        "",
        asked.separators.component.join(k for k in kind if k),
        answer.number,
        header.raw(11) or "P",
        header.get(12) or VERSION,
    ]
    if header.raw(18):
        fields += [""] * 5 + [header.raw(18)]
    return "MSH" + mark + mark.join(fields)


def _error(trouble: Trouble, version: str, separators: Separators) -> Segment:
    code, words = str(trouble.condition.code), trouble.condition.words
    where = list(trouble.where.split("^")) if trouble.where else ""
    old: object = ""
    if version in OLD_ERROR_VERSIONS:
        places = [*trouble.where.split("^"), "", "", ""][:3]
        old = [*places, (code, words, "HL70357")]
    return written(
        "ERR", [old, where, [code, words, "HL70357"], "E", "", "", "", _plain(trouble.sentence)], separators
    )
