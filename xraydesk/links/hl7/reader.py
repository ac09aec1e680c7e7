"""Reading an HL7 v2 message, tolerantly: nothing that came is thrown away, and nothing is made up.

A message is segments, a segment fields, a field repetitions, a repetition components, a
component subcomponents (HL7 2.5.1 §2.5). Fields are kept as they were written and taken
apart when asked for. Positions count from 1, as the standard's do; what is not there is "".
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from xraydesk.links.hl7.charset import decoded

LINE_END = re.compile(r"[\r\n]+")
SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
HEADERS = ("MSH", "FHS", "BHS")
ENVELOPE_ENDS = ("BTS", "FTS")
NULL = '""'
"""HL7's explicit null: "delete what you have" (§2.5.3)."""

FEED_LOG_MARKS = re.compile(r"<SB>|<EB>|<R>(?=[\r\n]|$)")
"""What the feed logs of some engines write for VT, FS and CR."""


MARK = "\ufeff"
"""A byte-order mark, as text."""

MESSAGES_MAX = 5000
"""No file, batch or frame may have more messages than this."""


class Unreadable(ValueError):
    """These bytes are no HL7 v2 message."""


@dataclass(frozen=True)
class Separators:
    """The five characters of MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @classmethod
    def of_header(cls, line: str) -> Separators:
        """The separators that a header segment declares; those that MSH-2 leaves out are the usual ones.

        Raises Unreadable where MSH-1 cannot separate anything.
        """
        mark = line[3:4]
        if not mark or mark.isalnum() or mark.isspace() or ord(mark) < 32:
            raise Unreadable(f"{line[:3]} is not followed by a field separator")
        declared = line[4:].split(mark, 1)[0]
        usual = cls()
        marks = [usual.component, usual.repetition, usual.escape, usual.subcomponent]
        marks[: len(declared[:4])] = declared[:4]
        if len(declared) > 4 and marks[3] == marks[2]:  # `^~\\&`: a backslash that somebody escaped
            marks[3] = declared[4]
        return cls(mark, *marks)

    def declared(self) -> str:
        """MSH-2 as it is written."""
        return self.component + self.repetition + self.escape + self.subcomponent


@dataclass(frozen=True)
class Segment:
    """One line: its name and its fields as they were written. A line that is no segment has no name.

    `fields[0]` is field 1; in a header that is the separator itself.
    """

    name: str
    fields: tuple[str, ...]
    separators: Separators = Separators()

    def raw(self, number: int) -> str:
        """A field as it was written."""
        return self.fields[number - 1] if 0 < number <= len(self.fields) else ""

    def repetitions(self, number: int) -> tuple[str, ...]:
        """The repetitions of a field, as written; empty where the field is."""
        raw = self.raw(number)
        return tuple(raw.split(self.separators.repetition)) if raw else ()

    def get(self, number: int, component: int = 1, subcomponent: int = 1, *, repetition: int = 1) -> str:
        """One value with its escapes resolved; an explicit null reads as ""."""
        fields = self.fields
        written = fields[number - 1] if 0 < number <= len(fields) else ""
        if not written or (number <= 2 and self.name in HEADERS):  # there, the separators themselves
            return written
        marks = self.separators
        if repetition > 1 or marks.repetition in written:
            found = written.split(marks.repetition)
            if repetition > len(found):
                return ""
            written = found[repetition - 1]
        return part(written, component, subcomponent, marks)

    def words(self, number: int, component: int = 0, *, repetition: int = 1) -> str:
        """A text with its escapes resolved, of one component or (0) of a whole repetition.

        A text has no parts: what looks like a separator in it is one that its sender did not escape.
        """
        found = self.repetitions(number)
        if repetition > len(found):
            return ""
        written = found[repetition - 1]
        if component:
            written = "".join(written.split(self.separators.component)[component - 1 : component])
        return "" if written == NULL else unescaped(written, self.separators)

    def text(self) -> str:
        """The segment as it was written, without its end."""
        if not self.name:
            return self.fields[0]
        if self.name in HEADERS:
            return self.name + self.separators.field + self.separators.field.join(self.fields[1:])
        return self.separators.field.join((self.name, *self.fields))


NOWHERE = Segment("", ("",))
"""What is asked for a segment that is not there: every field of it is empty."""


@dataclass(frozen=True)
class Message:
    """One message, its header first."""

    segments: tuple[Segment, ...]
    separators: Separators
    codec: str = "utf-8"

    @property
    def header(self) -> Segment:
        """Its MSH."""
        return self.segments[0]

    @property
    def type(self) -> str:
        """Message code and trigger event, `ORM^O01`; the code alone where no event is given (MSH-9)."""
        return "^".join(p for p in (self.header.get(9, 1), self.header.get(9, 2)) if p)

    @property
    def control_id(self) -> str:
        """The sender's number of this message (MSH-10), spaces and all: it is echoed as it came."""
        return self.header.raw(10)

    def all(self, *names: str) -> Iterator[Segment]:
        """The segments of these names, in order."""
        return (s for s in self.segments if s.name in names)

    def first(self, name: str) -> Segment:
        """The first segment of a name, or an empty one."""
        return next(self.all(name), NOWHERE)

    def text(self) -> str:
        """The message as it was written, each segment ended by CR."""
        return "".join(s.text() + "\r" for s in self.segments)


@dataclass(frozen=True)
class Batch:
    """The messages of one file or frame, and whether a batch or file header stood around them."""

    messages: tuple[Message, ...]
    enveloped: bool = False
    header: Segment = field(default=NOWHERE)
    miscount: str = ""
    """In a sentence, that a batch's end (BTS-1) gives another number of messages than came."""


def rejoined(segments: Sequence[Segment], *names: str) -> list[Segment]:
    """The segments, where lines that are none go on with the last field of one of these names before them.

    A line end stood in a text that its sender did not escape.
    """
    if all(segment.name for segment in segments):
        return list(segments)
    found: list[Segment] = []
    for segment in segments:
        before = found[-1] if found else NOWHERE
        if segment.name or before.name not in names:
            found.append(segment)
            continue
        first, *others = segment.fields[0].split(before.separators.field)
        fields = (*before.fields[:-1], f"{before.raw(len(before.fields))}\n{first}", *others)
        found[-1] = replace(before, fields=fields)
    return found


def part(written: str, component: int, subcomponent: int, separators: Separators) -> str:
    """One subcomponent of a written repetition, with escapes resolved; "" where it is not there or null."""
    value = _nth(_nth(written, component, separators.component), subcomponent, separators.subcomponent)
    return "" if value == NULL else unescaped(value, separators)


def _nth(written: str, number: int, mark: str) -> str:
    """The part of that number, from 1 on, between marks; "" where there are not so many."""
    if mark not in written:
        return written if number == 1 else ""
    parts = written.split(mark)
    return parts[number - 1] if number <= len(parts) else ""


def unescaped(written: str, separators: Separators) -> str:
    """A value with its escape sequences resolved (§2.7). What is no sequence stays as it is.

    Highlighting is left out; `\\.br\\` and its kin become a line end; sequences that only
    their makers understand (`\\Z…\\`, `\\C…\\`, `\\M…\\`) are kept as written.
    """
    mark = separators.escape
    if mark not in written:
        return written
    known = {
        "F": separators.field,
        "S": separators.component,
        "T": separators.subcomponent,
        "R": separators.repetition,
        "E": mark,
        "H": "",
        "N": "",
    }
    pieces, at = [], 0
    while (start := written.find(mark, at)) >= 0:
        end = written.find(mark, start + 1)
        sequence = written[start + 1 : end] if end >= 0 else None
        resolved = _resolved(sequence, known) if sequence else None
        pieces.append(written[at:start])
        if resolved is None:
            pieces.append(mark)
            at = start + 1
        else:
            pieces.append(resolved)
            at = end + 1
    return "".join([*pieces, written[at:]]).replace("\x00", "")


def _resolved(sequence: str, known: dict[str, str]) -> str | None:
    if sequence in known:
        return known[sequence]
    if sequence.startswith("X") and re.fullmatch(r"X([0-9A-Fa-f]{2})+", sequence):
        data = bytes.fromhex(sequence[1:])
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("iso8859-1")
    if re.fullmatch(r"\.(br|ce|sp\d*|fi|nf|in[+-]?\d+|ti[+-]?\d+|sk\s?\d+)", sequence):
        return "\n" if sequence[:3] in (".br", ".ce", ".sp") else ""
    return None


def escaped(value: str, separators: Separators) -> str:
    """A value as it may stand in a message: separators, line ends and control characters are escaped.

    Whatever the value holds, it can neither end its field nor add a segment.
    """
    mark = separators.escape
    codes = {
        mark: "E",
        separators.field: "F",
        separators.component: "S",
        separators.subcomponent: "T",
        separators.repetition: "R",
    }
    return "".join(
        f"{mark}{codes[c]}{mark}"
        if c in codes
        else f"{mark}X{ord(c):02X}{mark}"
        if c < " " or c == "\x7f"
        else c
        for c in value
    )


HEADER = re.compile(r"(?:^|[\r\n\x0b])(?:\xef\xbb\xbf)?[ \t\x00]{0,8}(MSH[^\r\n]*)")
"""A byte-order mark may stand before any of them: some engines write one file after the other."""

OTHER_WIDTHS = (("UTF-16", "utf-16-le"), ("UTF-16", "utf-16-be"), ("EBCDIC", "cp500"))
"""In these the bytes that end a frame mean something else: MLLP cannot carry them."""

HEADER_WITHIN_BYTES = 65_536
"""A header that has not begun after so many bytes is not looked for."""


def header_line(raw: bytes) -> str:
    """The first header segment in `raw`, read as Latin-1, to see who sent it and in which character set."""
    text = raw[:HEADER_WITHIN_BYTES].removeprefix(BOM_UTF8).decode("iso8859-1")
    found = HEADER.search(text)
    return found[1] if found else ""


def read_header(raw: bytes) -> Segment:
    """The MSH of `raw` before its character set is known. Raises Unreadable where there is none."""
    line = header_line(raw)
    if not line:
        raise Unreadable(_why_no_header(raw))
    return _segment(line, Separators.of_header(line))


def _why_no_header(raw: bytes) -> str:
    """What bytes without an MSH may be, so that its sender can be set right."""
    for name, codec in OTHER_WIDTHS:
        if "MSH".encode(codec) in raw[:HEADER_WITHIN_BYTES]:
            return f"it is in {name}: send it in UTF-8, or in another character set in which ASCII is ASCII"
    return "there is no MSH segment"


def read_message(raw: bytes, *, fallback: str = "iso8859-1") -> Message:
    """The one message in `raw`; raises Unreadable where there is none, or more than one."""
    messages = read_batch(raw, fallback=fallback).messages
    if len(messages) > 1:
        raise Unreadable(f"there are {len(messages)} messages where one was expected")
    return messages[0]


def read_batch(raw: bytes, *, fallback: str = "iso8859-1") -> Batch:
    """Every message in a frame, a batch, a file of messages, or an engine's feed log.

    `fallback` is the character set where MSH-18 names none and the bytes are not UTF-8.
    Lines before the first header and between messages of a feed log are left out.
    Raises Unreadable where there is no message.
    """
    named = read_header(raw).get(18)
    what = decoded(raw, named=named, fallback=fallback)
    text = FEED_LOG_MARKS.sub(_mark, what.text)
    groups: list[list[str]] = []
    envelope = miscount = ""
    inside = False
    begun = 0
    for line in LINE_END.split(text.replace("\x0b", "\r").replace("\x1c", "\rBTS\r")):
        start = line.lstrip().removeprefix(MARK).lstrip()
        name = start[:3]
        if name == "MSH":
            groups.append([start])
            inside = True
        elif name in ENVELOPE_ENDS:
            inside = False
            if name == "BTS" and envelope:
                miscount = miscount or _miscount(start, envelope, len(groups) - begun)
                begun = len(groups)
        elif inside and line.strip():
            groups[-1].append(line)
        elif name in HEADERS:
            envelope = envelope or start
    if len(groups) > MESSAGES_MAX:
        raise Unreadable(f"there are more than {MESSAGES_MAX} messages in it: send them in parts")
    if not groups:  # pragma: no cover - in every character set of the table ASCII is ASCII
        raise Unreadable("there is no MSH segment in the character set that it names")
    header = _segment(envelope, Separators.of_header(envelope)) if envelope else NOWHERE
    return Batch(tuple(_message(g, what.codec) for g in groups), bool(envelope), header, miscount)


def _miscount(end: str, envelope: str, came: int) -> str:
    """What is wrong with the number in BTS-1; "" where it is right, or none (§2.15.2)."""
    said = _segment(end, Separators.of_header(envelope)).get(1).strip()
    if not said.isdecimal() or int(said) == came:
        return ""
    return f"The batch says that it has {said} messages, and {came} came: ask its sender for what is missing"


def _mark(found: re.Match[str]) -> str:
    return {"<SB>": "\r", "<EB>": "\rBTS\r", "<R>": "\r"}[found[0]]


def _message(lines: list[str], codec: str) -> Message:
    separators = Separators.of_header(lines[0])
    return Message(tuple(_segment(line, separators) for line in lines), separators, codec)


def _segment(line: str, separators: Separators) -> Segment:
    name, mark = line[:3], line[3:4]
    if not SEGMENT_NAME.fullmatch(name) or mark not in ("", separators.field):
        return Segment("", (line,), separators)
    fields = tuple(line[4:].split(separators.field)) if mark else ()
    if name in HEADERS:
        fields = (separators.field, *fields)
    return Segment(name, fields, separators)


def written(name: str, values: list[object], separators: Separators = Separators()) -> Segment:
    """A segment of plain values: a text is a field, a list its components, a tuple its repetitions."""
    return Segment(name, tuple(_written(v, separators) for v in values), separators)


def _written(value: object, separators: Separators) -> str:
    if isinstance(value, tuple):
        return separators.repetition.join(_written(v, separators) for v in value)
    if isinstance(value, list):
        return separators.component.join(
            separators.subcomponent.join(escaped(str(s), separators) for s in v)
            if isinstance(v, tuple)
            else escaped(str(v), separators)
            for v in value
        )
    return escaped(str(value), separators)
