"""What the DICOM conformance statement says in tables. Made of the tables that do it; a test holds the two together."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType

from pydicom import charset
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.uid import UID

from xraydesk.imaging import rules as imaging_rules
from xraydesk.links.dicom import (
    admission,
    archive,
    association,
    commit,
    deidentify,
    dose_codec,
    elements,
    header_codec,
    inbox,
    medium_files,
    messages,
    mpps_codec,
    pdus,
    spool,
    worklist,
)
from xraydesk.links.dicom.admission import Verdict
from xraydesk.links.dicom.server import Limits
from xraydesk.links.dicom.services import all_services
from xraydesk.links.dicom.sop_classes import STORAGE_CLASSES
from xraydesk.links.dicom.uses import USES
from xraydesk.links.dicom.worklist_codec import STEPS, Supported
from xraydesk.links.dicom.worklist_entry import ALWAYS_EMPTY, SUPPORTED
from xraydesk.links.dicomweb import uses as web_uses

LISTED_CLASSES_MAX = 8
"""A service of more SOP classes than these has them in a table of their own."""

_PART = re.compile(r"(<!-- made by the code: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, limits: Limits) -> str:
    """The page with each of its tables made anew, everything else as it was. Raises KeyError for a table that there is not."""
    parts: dict[str, Callable[[], str]] = {**PARTS, "limits": lambda: _limits(limits)}
    return _PART.sub(lambda found: f"{found[1]}\n{parts[found[2]]()}\n\n{found[3]}", page)


def tables_of(page: str) -> list[str]:
    """The names of the tables that a page holds."""
    return [found[2] for found in _PART.finditer(page)]


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    columns = head.split(" | ")
    lines = [f"| {head} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def _classes(uids: tuple[str, ...]) -> str:
    if not uids:
        return "as received"
    if len(uids) > LISTED_CLASSES_MAX:
        return f"{len(uids)} [storage classes](#storage-classes)"
    return ", ".join(f"{UID(uid).name.removesuffix(' SOP Class')}, {uid}" for uid in uids)


def _syntaxes(uids: tuple[str, ...]) -> str:
    """Names of transfer syntaxes, short; the table of them has the UIDs."""
    if not uids:
        return "the object's own"
    return ", ".join(_syntax(uid) for uid in uids) if len(uids) <= LISTED_CLASSES_MAX else "all those below"


def _syntax(uid: str) -> str:
    return str(UID(uid).name).partition(" (")[0].partition(":")[0].replace("Little Endian", "LE")


def _commands(names: Iterable[str]) -> str:
    return ", ".join(sorted(name.replace("_", "-") for name in names))


def offered() -> str:
    """Every service that the listener has."""
    rows = (
        (s.name, _classes(s.sop_classes), _commands(s.commands), "SCP", _syntaxes(s.transfer_syntaxes))
        for s in all_services()
    )
    return _table("service | SOP class | messages | role | transfer syntaxes, the preferred one first", rows)


def used() -> str:
    """Everything that the desk asks other machines for."""
    rows = (
        (
            use.name,
            _classes(use.sop_classes),
            _commands(use.commands),
            use.role,
            _syntaxes(use.transfer_syntaxes),
            use.when,
            f"{use.seconds_max:g} s",
        )
        for use in USES
    )
    return _table("what | SOP class | messages | role | transfer syntaxes | when | waits for an answer", rows)


def used_over_the_web() -> str:
    """Everything that the desk asks archives for over the web (PS3.18)."""
    rows = (
        (
            use.name,
            f"`{use.request}`",
            f"`{use.accept}`",
            ", ".join(use.conditions) or "-",
            ", ".join(use.keys or ()) or "objects",
            use.when,
            f"{use.seconds_max:g} s",
        )
        for use in web_uses.WEB_USES
    )
    return _table("what | request | accepts | conditions | what is read | when | waits for an answer", rows)


def syntaxes() -> str:
    """Every transfer syntax that some service takes."""
    found = dict.fromkeys(uid for service in all_services() for uid in service.transfer_syntaxes)
    return _table("transfer syntax | UID", ((str(UID(uid).name), uid) for uid in found))


def storage_classes() -> str:
    """Every class of object that is taken, by its name."""
    names = sorted((str(UID(uid).name), uid) for uid in STORAGE_CLASSES)
    return _table("SOP class | UID", names)


def statuses() -> str:
    """What each service answers with, and when."""
    rows = [
        (service.name, f"{status:04X}", when)
        for service in all_services()
        for status, when in service.statuses.items()
    ]
    rows += [("any", f"{status:04X}", when) for status, when in inbox.STATUSES.items()]
    return _table("service | status | when", rows)


def rejections() -> str:
    """The reasons for which an association is not taken (PS3.8 table 9-21)."""
    rows = (
        (", ".join(map(str, verdict.value)), admission.WHY[verdict])
        for verdict in Verdict
        if verdict is not Verdict.TAKEN
    )
    return _table("result, source, reason | when", rows)


def worklist_keys() -> str:
    """Every key of the worklist: what may be matched, and what is answered though it is always empty."""
    return _table("tag | key | answered", _keys(SUPPORTED, ""))


def _keys(supported: Supported, above: str) -> Iterator[tuple[str, str, str]]:
    for tag in sorted(supported):
        if tag == elements.SPECIFIC_CHARACTER_SET:
            continue
        below = supported[tag]
        # The items of the scheduled step are keys; the parts of a code need no row of their own.
        inner = f", with its {', '.join(_keyword(t) for t in below)}" if below and tag != STEPS else ""
        said = "always empty" if tag in ALWAYS_EMPTY else "yes"
        yield f"{above}({tag >> 16:04X},{tag & 0xFFFF:04X})", f"{_keyword(tag)}{inner}", said
        if tag == STEPS and below:
            yield from _keys(below, "> ")


def _keyword(tag: int) -> str:
    return str(keyword_for_tag(tag))


def step_needs() -> str:
    """Without what a performed step is not taken."""
    return _table(
        "message | needed",
        (
            ("N-CREATE", ", ".join((*mpps_codec.AT_CREATION, "ScheduledStepAttributesSequence"))),
            (
                "N-SET to COMPLETED or DISCONTINUED, unless told earlier",
                ", ".join((*mpps_codec.AT_THE_END, "PerformedSeriesSequence")),
            ),
        ),
    )


def _read(*modules: ModuleType) -> Callable[[], str]:
    """A table of the attributes that some codecs read: every keyword of the standard that stands in their code."""

    def table() -> str:
        tags = sorted(
            tag
            for module in modules
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
            if (tag := tag_for_keyword(node.value)) is not None
        )
        rows = (
            (f"({tag >> 16:04X},{tag & 0xFFFF:04X})", str(keyword_for_tag(tag)))
            for tag in dict.fromkeys(tags)
        )
        return _table("tag | attribute", rows)

    return table


def _limits(limits: Limits) -> str:
    return _table("what | limit | setting | beyond it", _limit_rows(limits))


def _limit_rows(limits: Limits) -> Iterator[tuple[str, str, str, str]]:
    places = limits.dicom_associations_max
    gives_way = "a modality takes the place of whoever has been idle the longest, others first; nobody idle: rejected 2, 3, 2"
    yield "associations", f"{places:,}", "`XRAYDESK_DICOM_ASSOCIATIONS_MAX`", gives_way
    yield (
        "of callers that are no modality",
        f"{max(1, places // 10):,}",
        "a tenth",
        "the same among themselves",
    )
    yield (
        "of one calling AE title from one address",
        f"{admission.PLACES_OF_ONE_PEER_MAX}",
        "",
        "it takes the place of its own longest idle one; none idle: rejected 2, 3, 2",
    )
    yield (
        "sockets that have not associated",
        f"{places:,}",
        "as many",
        "the one that has waited the longest is closed",
    )
    yield (
        "idle: no association, no request, or a request that brings less than "
        f"{association.WINDOW_BYTES_MIN // 1024} KiB in that time",
        f"{limits.dicom_idle_seconds:g} s",
        "`XRAYDESK_DICOM_IDLE_SECONDS`",
        "A-ABORT, closed",
    )
    yield "P-DATA-TF", _bytes(pdus.DATA_BYTES_MAX), "", "A-ABORT before any of it is read"
    yield "association request", _bytes(pdus.ASSOCIATE_BYTES_MAX), "", "A-ABORT"
    yield "command set", _bytes(messages.COMMAND_BYTES_MAX), "", "A-ABORT"
    yield "data set of a request that is no object", _bytes(inbox.DATA_SET_BYTES_MAX), "", "0213"
    yield (
        "object",
        _bytes(limits.dicom_object_bytes_max),
        "`XRAYDESK_DICOM_OBJECT_BYTES_MAX`",
        "A700",
    )
    yield "its pixels, unpacked", _bytes(header_codec.DECODED_BYTES_MAX), "", "C000"
    yield "sequences in one another", f"{header_codec.DEPTH_MAX}", "", "C000"
    yield "free disk", _bytes(spool.FREE_BYTES_MIN), "stay free", "A700"
    yield "requests sent ahead", f"{association.REQUESTS_WAITING_MAX}", "answered in order", "A-ABORT"
    yield "answers to one worklist query", f"{worklist.ANSWERS_MAX:,}", "", "A700 after them"
    yield "keys of one query", f"{elements.KEYS_MAX:,}", "", "A900"
    yield (
        "series that are read of a performed step",
        f"{mpps_codec.SERIES_MAX}",
        "",
        "the others are passed over",
    )
    yield "objects in one request of commitment", f"{commit.OBJECTS_MAX:,}", "", "0115"
    yield (
        "tries of an image at a destination",
        f"{imaging_rules.ATTEMPTS_MAX}",
        "",
        "it waits for a person",
    )
    yield "files of a medium", f"{medium_files.FILES_MAX:,}", "", "nothing of it is read"
    yield "an object of a medium", _bytes(medium_files.OBJECT_BYTES_MAX), "", "it is passed over"
    yield "a medium, unpacked", _bytes(medium_files.MEDIUM_BYTES_MAX), "", "nothing of it is read"
    yield "studies of one patient at an archive", f"{archive.STUDIES_MAX}", "", "the others are passed over"
    for what, most, beyond in web_uses.limits():
        yield what, most, "", beyond


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count:,} bytes"


def character_sets() -> str:
    """The defined terms of the character sets that can be read and written."""
    terms = sorted(
        term for term in charset.python_encoding if term.startswith(("ISO_IR", "ISO 2022 IR", "GB"))
    )
    return ", ".join(f"`{term}`" for term in terms)


_DONE = {
    deidentify.Do.REMOVE: "X: taken away",
    deidentify.Do.EMPTY: "Z: emptied",
    deidentify.Do.DUMMY: "D: another value in its place",
    deidentify.Do.UID: "U: another UID in its place",
}


def profiles() -> str:
    """The de-identification profile and what is done with how many attributes."""
    actions = [*deidentify.actions().values()]
    codes = ", ".join(
        f"{code} {name}" for code, name in (deidentify.BASIC_PROFILE, deidentify.MODIFIED_DATES)
    )
    rows = [("codes (PS3.16 CID 7050)", codes), ("table", deidentify.EDITION)]
    rows += [(words, f"{actions.count(do)} attributes") for do, words in _DONE.items()]
    return _table("what | which", rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "services": offered,
    "uses": used,
    "web": used_over_the_web,
    "transfer syntaxes": syntaxes,
    "storage classes": storage_classes,
    "statuses": statuses,
    "rejections": rejections,
    "worklist keys": worklist_keys,
    "step needs": step_needs,
    "step attributes": _read(mpps_codec),
    "image attributes": _read(header_codec, dose_codec),
    "character sets": character_sets,
    "profiles": profiles,
}
"""The tables of the statement by name; the one of limits also needs the settings."""
