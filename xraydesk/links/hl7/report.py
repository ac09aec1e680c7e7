"""What a result message says was read: ORU^R01 to reports, one for each OBR, and MDM to the one that its TXA names; pure.

Segments come as ORC, OBR, NTE, OBX (HL7 2.5.1 §7.3.1). An OBR without a text of its own stands
for one more exam of the same report: the text of the next OBR that has one is its own, or else
of the last one before. Texts are OBX-5 of value types TX, FT and ST, a repetition a line; values of
other types are told with their name; of what is no text (ED, RP) a document that can be read is kept, the rest named alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from xraydesk.lib.ids import is_uid
from xraydesk.links.hl7.order import read_procedure
from xraydesk.links.hl7.patient import read_demographics
from xraydesk.links.hl7.reader import NOWHERE, Message, Segment, part, rejoined
from xraydesk.links.hl7.refusals import Condition, Rejected
from xraydesk.links.hl7.times import read_time
from xraydesk.patients.demographics import Name
from xraydesk.results.reporting import DOCUMENTS_MAX, SaidDocument, SaidExam, SaidReport
from xraydesk.results.states import Category, ReportAction
from xraydesk.results.written_rules import Unreadable, document_of

REPORTS_MAX = 100
"""A message with more reports than this is refused."""

TEXT_LENGTH_MAX = 1_000_000
"""A report of more characters than this is refused: no reader wrote it."""

ACTION_OF_STATUS = {
    "P": ReportAction.PRELIMINARY,
    "A": ReportAction.PRELIMINARY,
    "R": ReportAction.PRELIMINARY,
    "M": ReportAction.PRELIMINARY,
    "F": ReportAction.FINAL,
    "C": ReportAction.CORRECT,
    "X": ReportAction.CANCEL,
}
"""OBR-25 (HL7 table 0123): preliminary, some, stored but not verified, corrected but not final; final; corrected; cancelled."""

NOT_YET = frozenset("ISOYZ")
"""OBR-25 that says that nothing was read yet, or that nothing is known: nothing to do."""

ACTION_OF_VALUES = (
    (frozenset("PRS"), ReportAction.PRELIMINARY),
    (frozenset("CW"), ReportAction.CORRECT),
    (frozenset("FU"), ReportAction.FINAL),
    (frozenset("XD"), ReportAction.CANCEL),
)
"""OBX-11 (HL7 table 0085), looked for in this order where OBR-25 does not say it."""

AUTHENTICATED = frozenset({"AU", "LA"})
"""TXA-17 (HL7 table 0271) of a document that somebody stands for; any other is preliminary."""

DOCUMENT_CANCELLED = "T11"
DOCUMENT_EDITED = frozenset({"T08", "T10"})

TEXT_TYPES = frozenset({"TX", "FT", "ST", ""})
APART_TYPES = frozenset({"ED", "RP"})
CRITICAL = frozenset({"AA", "HH", "LL"})
"""OBX-8 (HL7 table 0078) that means: somebody must hear of it within minutes."""

IMPRESSION = frozenset({"IMP", "19005-8"})
"""OBX-3 suffix (HL7 2.3.1 §7.1.3) and LOINC code of an impression."""

ADDENDUM = frozenset({"ADT", "ADN"})
_FLAG_NAMES = re.compile(r"critical|actionable", re.IGNORECASE)
_FLAG_VALUES = re.compile(r"(?:category|cat\.?|level)?\s*([123])", re.IGNORECASE)
_LINE_ENDS = re.compile(r"\r\n|\r|\x0b|\x0c")


@dataclass
class Group:
    """One OBR with its ORC and what stands below it; taken apart once, then only read."""

    orc: Segment
    obr: Segment
    zds: Segment = NOWHERE
    values: list[Segment] = field(default_factory=list)
    """OBX, and NTE between them, in order."""

    def observations(self) -> Iterable[Segment]:
        """The OBX alone."""
        return (segment for segment in self.values if segment.name == "OBX")


@dataclass(frozen=True)
class Words:
    """What the values below one OBR say."""

    text: str = ""
    impression: str = ""
    attachments: tuple[str, ...] = ()
    documents: tuple[SaidDocument, ...] = ()
    category: Category | None = None

    @property
    def is_empty(self) -> bool:
        """True where nothing was read there."""
        return not (self.text or self.impression or self.attachments or self.documents)


def result_groups(message: Message) -> list[Group]:
    """The OBR of a message with what belongs to each; a line that a text was broken into is joined to it again."""
    groups: list[Group] = []
    orc = NOWHERE
    for segment in rejoined(message.segments, "OBX", "NTE"):
        match segment.name:
            case "ORC":
                orc = segment
            case "OBR":
                groups.append(Group(orc, segment))
                orc = NOWHERE
            case "ZDS" if groups:
                groups[-1].zds = segment
            case "OBX" | "NTE" if groups:
                groups[-1].values.append(segment)
            case _:
                pass
    return groups


def _document_as_result(message: Message) -> Message:
    """A document (MDM, HL7 2.5.1 §9.6) as the result that it is: what its TXA says of numbers, state, time and reader as an OBR."""
    if message.header.get(9) != "MDM" or any(message.all("OBR")):
        return message
    at = next((n for n, segment in enumerate(message.segments) if segment.name == "TXA"), None)
    if at is None:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE, "TXA^1", "The document has no TXA segment: nothing says what it is of"
        )
    txa = message.segments[at]
    event = message.header.get(9, 2) or message.first("EVN").get(1)
    status = "P"
    if event == DOCUMENT_CANCELLED:
        status = "X"
    elif txa.get(17).strip().upper() in AUTHENTICATED:
        status = "C" if event in DOCUMENT_EDITED else "F"
    fields = [""] * 32
    fields[1], fields[2], fields[21], fields[24] = txa.raw(14), txa.raw(15), txa.raw(4), status
    fields[31] = txa.raw(10) or txa.raw(9)
    obr = Segment("OBR", tuple(fields), txa.separators)
    return replace(message, segments=(*message.segments[: at + 1], obr, *message.segments[at + 1 :]))


def read_reports(message: Message, *, zone: str) -> tuple[SaidReport, ...]:
    """The reports of a message, one for each exam; none where nothing was read yet.

    `zone` is where times without an offset are from. Raises Rejected where the sender must correct it.
    """
    message = _document_as_result(message)
    pids = list(message.all("PID"))
    if len(pids) > 1:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE,
            "PID^2",
            "The message has results of more than one patient: send each in a message of its own",
        )
    groups = result_groups(message)
    if not groups:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE, "OBR^1", "The message has no OBR segment: nothing was read"
        )
    if len(groups) > REPORTS_MAX:
        raise Rejected(
            Condition.DATA_TYPE,
            "OBR^1",
            f"The message has more than {REPORTS_MAX} reports: send them in parts",
        )
    patient = read_demographics(message, zone) if pids else None
    said = _with_shared_words([(group, _words(group)) for group in groups])
    sent_at = read_time(message.header.get(7), zone)
    found: dict[SaidExam, SaidReport] = {}
    for number, (group, words, shares) in enumerate(said, 1):
        action = _action(group)
        if action is None:
            continue
        _refuse_empty(words, action, number)
        one = SaidReport(
            exam=_exam(group),
            action=action,
            text=words.text,
            impression=words.impression,
            attachments=words.attachments,
            documents=words.documents,
            category=words.category,
            radiologist_id=_radiologist(group)[0],
            radiologist_name=_radiologist(group)[1],
            said_at=_said_at(group, zone) or sent_at,
            patient=patient,
            shares=shares,
        )
        found[one.exam] = _as_one(found[one.exam], one) if one.exam in found else one
    return tuple(found.values())


def _with_shared_words(said: list[tuple[Group, Words]]) -> list[tuple[Group, Words, bool]]:
    """Each OBR with its words, and whether they are those of another OBR. The flag stays where it was set."""
    found: list[tuple[Group, Words, bool]] = []
    for at, (group, words) in enumerate(said):
        others = [w for _, w in (*said[at + 1 :], *reversed(said[:at])) if not w.is_empty]
        if words.is_empty and others:
            found.append((group, replace(others[0], category=words.category), words.category is None))
        else:
            found.append((group, words, False))
    return found


def _as_one(before: SaidReport, after: SaidReport) -> SaidReport:
    """Two OBR of the same exam are one report: its parts one after the other."""
    if after.shares:
        return before
    if before.shares:
        return after
    flags = [c for c in (before.category, after.category) if c is not None]
    return replace(
        after,
        text="\n".join(t for t in (before.text, after.text) if t),
        impression="\n".join(t for t in (before.impression, after.impression) if t),
        attachments=before.attachments + after.attachments,
        documents=before.documents + after.documents,
        category=min(flags, default=None),
    )


def _refuse_empty(words: Words, action: ReportAction, number: int) -> None:
    if words.is_empty and action is not ReportAction.CANCEL:
        raise Rejected(
            Condition.FIELD_MISSING,
            f"OBR^{number}",
            "The report has no text (no OBX): an exam counts as read only where something was said of it",
        )
    if len(words.text) + len(words.impression) > TEXT_LENGTH_MAX:
        raise Rejected(
            Condition.DATA_TYPE, f"OBR^{number}", f"The report has more than {TEXT_LENGTH_MAX} characters"
        )


def _action(group: Group) -> ReportAction | None:
    """What the statuses say of the report; None where nothing was read yet.

    A corrected value makes a final report a corrected one. A report whose state nobody gives is
    preliminary: nothing counts as read that nobody called final.
    """
    status = group.obr.get(25).strip().upper()[:1]
    if status in NOT_YET and status:
        return None
    values = {segment.get(11).strip().upper()[:1] for segment in group.observations()} - {""}
    by_values = next((action for codes, action in ACTION_OF_VALUES if codes & values), None)
    if status == "F" and by_values is ReportAction.CORRECT:
        return by_values
    return ACTION_OF_STATUS.get(status) or by_values or ReportAction.PRELIMINARY


def _exam(group: Group) -> SaidExam:
    orc, obr = group.orc, group.obr
    placer, authority = next(
        (
            (value, (segment.get(2, 2) or segment.get(2, 3)).strip())
            for segment in (orc, obr)
            if (value := segment.get(2).strip())
        ),
        ("", ""),
    )
    return SaidExam(
        accession=obr.get(18).strip(),
        filler=obr.get(3).strip() or orc.get(3).strip(),
        study_instance_uid=study_uid_of(group),
        placer=placer,
        placer_authority=authority,
        procedure_code=read_procedure(obr)[0],
    )


def study_uid_of(group: Group) -> str:
    """The study that was read: an OBX `113014^DICOM Study` or `Study Instance UID` whose value is a UID, else ZDS-1."""
    found = (_uid(segment) for segment in group.observations() if _names_study(segment))
    return next((uid for uid in found if uid), group.zds.get(1).strip())


def _names_study(segment: Segment) -> bool:
    names = {segment.get(3, n).strip().lower() for n in (1, 2, 4, 5)}
    return bool(names & {"113014", "110180", "0020000d", "dicom study", "study instance uid"})


def _uid(segment: Segment) -> str:
    value = segment.get(5).strip().removeprefix("urn:oid:")
    return value if is_uid(value) else ""


def _words(group: Group) -> Words:
    text: list[str] = []
    impression: list[str] = []
    attachments: list[str] = []
    documents: list[SaidDocument] = []
    flags: list[Category] = []
    for segment in group.values:
        if segment.name == "NTE":
            text += [line for n in range(len(segment.repetitions(3))) if (line := _line(segment, 3, n))]
            continue
        if CRITICAL & {r.strip().upper() for r in segment.repetitions(8)}:
            flags.append(Category.MINUTES)
        flag = _flag(segment)
        if flag:
            flags.append(flag)
        elif _names_study(segment) or segment.get(3, 2).strip().endswith("Instance UID"):
            continue
        elif segment.get(2).upper() in APART_TYPES:
            document = _document(segment)
            if document is not None and len(documents) < DOCUMENTS_MAX:
                documents.append(document)
            else:
                attachments.append(_attachment(segment))
        elif _marks(segment) & IMPRESSION:
            impression += _lines(segment)
        else:
            text += _lines(segment)
    return Words(
        "\n".join(text).strip("\n"),
        "\n".join(impression).strip("\n"),
        tuple(attachments),
        tuple(documents),
        min(flags, default=None),
    )


def _marks(segment: Segment) -> set[str]:
    """What OBX-3 says of the kind of text: its code, and the suffix behind it (`&IMP`)."""
    marks = {segment.get(3, 1, n).strip().upper() for n in (1, 2)}
    return marks | ({"IMP"} if segment.get(3, 2).strip().upper() == "IMPRESSION" else set())


def _lines(segment: Segment) -> list[str]:
    """The lines of one OBX-5: a text as it is, any other value behind its name."""
    if segment.get(2).upper() in TEXT_TYPES:
        lines = [_line(segment, 5, n) for n in range(len(segment.repetitions(5)))]
        is_addendum = bool(_marks(segment) & ADDENDUM) and any(lines)
        return ["Addendum:", *lines] if is_addendum else lines
    value = " ".join(v for n in (1, 2, 3, 4) if (v := segment.get(5, n).strip()))
    if segment.get(2).upper() in ("CE", "CWE", "CNE", "CF"):
        value = segment.get(5, 2).strip() or segment.get(5).strip()
    name = segment.get(3, 2).strip() or segment.get(3).strip()
    told = " ".join(v for v in (value, segment.get(6).strip()) if v)
    return [": ".join(v for v in (name, told) if v)] if value else []


def _line(segment: Segment, number: int, repetition: int) -> str:
    """One repetition of a text, which has no components: what looks like one is text that its sender did not escape."""
    return _LINE_ENDS.sub("\n", segment.words(number, repetition=repetition + 1)).rstrip()


def _document(segment: Segment) -> SaidDocument | None:
    """The document in an ED (HL7 2.5.1 §2.A.24): Base64, whose line ends some senders leave in; None where it is none.

    What it is its bytes say: not all senders name it rightly.
    """
    if segment.get(2).upper() != "ED" or segment.get(5, 4).strip().upper() != "BASE64":
        return None
    written = "".join(segment.get(5, 5).split())
    try:
        return document_of(base64.b64decode(written, validate=True), title=_name_of(segment))
    except (binascii.Error, Unreadable):
        return None


def _name_of(segment: Segment) -> str:
    return segment.get(3, 2).strip() or segment.get(3).strip()


def _attachment(segment: Segment) -> str:
    """What is no text and no document that can be read: its kind, its name and a mark of its bytes, so that another one is not taken for the same."""
    kind = "/".join(v for n in (2, 3) if (v := segment.get(5, n).strip())) or "document"
    name = _name_of(segment)
    mark = hashlib.sha256(segment.raw(5).encode()).hexdigest()[:8]
    return f"{kind}{f' “{name}”' if name else ''}, mark {mark}"


def _flag(segment: Segment) -> Category | None:
    """The reader's flag: an OBX that is named critical or actionable and whose value is 1, 2, 3 or yes."""
    if not any(_FLAG_NAMES.search(segment.get(3, n)) for n in (1, 2)):
        return None
    value = segment.get(5).strip()
    found = _FLAG_VALUES.fullmatch(value)
    if found:
        return Category(int(found[1]))
    return Category.MINUTES if value.upper() in ("Y", "YES") else None


def _radiologist(group: Group) -> tuple[str, str]:
    """Number and name of who read it: OBR-32 (NDL, its name in subcomponents; old senders write XCN), else OBX-16."""
    written = group.obr.repetitions(32)
    if written:
        marks = group.obr.separators
        by_parts = [part(written[0], 1, n, marks) for n in range(1, 7)]
        if not any(by_parts[1:]) and not part(written[0], 2, 1, marks)[:4].isdigit():
            by_parts = [part(written[0], n, 1, marks) for n in range(1, 7)]
        return _person(by_parts)
    observer = next((s for s in group.observations() if s.raw(16)), NOWHERE)
    return _person([observer.get(16, n) for n in range(1, 7)])


def _person(parts: list[str]) -> tuple[str, str]:
    number, family, given, middle, suffix, prefix = (value.strip() for value in parts)
    return number, Name(family, given, middle, prefix, suffix).dicom()


def _said_at(group: Group, zone: str) -> datetime | None:
    """When it was said: OBR-22, else the last OBX-14."""
    found = [read_time(group.obr.get(22), zone)]
    found += [read_time(segment.get(14), zone) for segment in reversed(group.values) if segment.name == "OBX"]
    return next((at for at in found if at), None)
