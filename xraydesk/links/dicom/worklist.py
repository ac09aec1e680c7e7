"""Modality Worklist (PS3.4 annex K): a query over booked exams, answered as it stands; there is no copied table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.db import DatabaseError
from pydicom.uid import ImplicitVRLittleEndian

from xraydesk.lib import clock
from xraydesk.links.asked import LISTED_MAX, Answered, keep
from xraydesk.links.dicom.elements import (
    SPECIFIC_CHARACTER_SET,
    BadKey,
    Element,
    Encoder,
    Tree,
    choose_charset,
    texts_of,
    tree_of,
)
from xraydesk.links.dicom.query_codec import json_of_tree
from xraydesk.links.dicom.service import Answers, Refused, Request, Response, Service
from xraydesk.links.dicom.shown_codec import also_as_shown, as_shown
from xraydesk.links.dicom.sop_classes import MESSAGE_SYNTAXES, MODALITY_WORKLIST
from xraydesk.links.dicom.worklist_codec import NOT_KEYS, find, has_unsupported
from xraydesk.links.dicom.worklist_entry import SUPPORTED, Entry, tree_of_entry
from xraydesk.links.dicom.worklist_query import OUT_OF_RESOURCES, booked, zone_of

ANSWERS_MAX = 5_000
"""So many answers to one query; one that would have more ends with A700: ask for fewer days or one station."""

DOES_NOT_MATCH, CANNOT_DO = 0xA900, 0xC001
PENDING, PENDING_WITH_WARNING, SUCCESS, CANCELLED = 0xFF00, 0xFF01, 0x0000, 0xFE00

ACCESSION = 0x00080050

_log = structlog.get_logger(__name__)


def worklist(request: Request) -> Answers:
    """Answer one C-FIND: what is booked, not cancelled and not yet begun, as the keys ask for it.

    Question and answer are kept for `worklist explain`, once the last answer has gone out.
    """
    said = _Said()
    try:
        yield from _answers(request, said)
        said.status = SUCCESS
        yield Response(SUCCESS)
    except Refused as refused:
        said.status, said.comment = refused.response.status, str(refused)
        raise
    except GeneratorExit:
        said.status = CANCELLED if said.status == CANNOT_DO else said.status
        raise
    finally:
        _keep(request, said)


@dataclass
class _Said:
    """What was asked and answered, while it is being answered."""

    query: Tree = field(default_factory=dict)
    status: int = CANNOT_DO
    comment: str = ""
    count: int = 0
    accessions: list[str] = field(default_factory=list)


def _answers(request: Request, said: _Said) -> Answers:
    try:
        said.query = query = tree_of(request.dataset)
        if not query.keys() - NOT_KEYS:
            raise BadKey(0, "the query has no keys")
        zone = zone_of(query, request.site)
        entries = (
            matched_tree(entry, query, request.charsets) for entry in booked(request.site, query, zone)
        )
        status = PENDING
        if has_unsupported(query, SUPPORTED):
            status, said.comment = PENDING_WITH_WARNING, "it asked for something that the desk does not know"
        encoder = _Answers(query, request.transfer_syntax, request.charsets)
        for found in find(query, entries, SUPPORTED):
            if said.count == ANSWERS_MAX:
                raise Refused(OUT_OF_RESOURCES, "too many exams; ask for fewer days or one station")
            said.count += 1
            said.accessions += (
                found[ACCESSION].values if ACCESSION in found and said.count <= LISTED_MAX else ()
            )
            yield Response(status, encoder.encode(found))
    except BadKey as error:
        elements: dict[str, Any] = {"OffendingElement": error.tag} if error.tag else {}
        raise Refused(DOES_NOT_MATCH, str(error), **elements) from None


def _keep(request: Request, said: _Said) -> None:
    """Write the question and its answer down; the machine has its answer even where that fails."""
    try:
        keep(
            site=request.site,
            calling_ae=request.calling_ae,
            address=request.peer_address,
            keys=json_of_tree(said.query),
            answered=Answered(said.status, said.comment, said.count, tuple(said.accessions)),
            at=clock.now(),
        )
    except DatabaseError as error:
        _log.warning("worklist_query_not_kept", ae=request.calling_ae, error=type(error).__name__)


def matched_tree(entry: Entry, query: Tree, charsets: Sequence[str]) -> dict[int, Element]:
    """An entry as a query is held against it: names also as a machine reads them that can show only `charsets`."""
    tree = tree_of_entry(entry, query)
    return also_as_shown(tree, charsets, number=entry.patient_id) if charsets else tree


class _Answers:
    """Encodes answers in the character sets that the machine can show, or in one that fits each of them."""

    def __init__(self, query: Tree, transfer_syntax: str, charsets: tuple[str, ...] = ()) -> None:
        self._charsets = charsets
        key = query.get(SPECIFIC_CHARACTER_SET)
        self._asked = key.values if key is not None else ()
        self._names_it = key is not None
        self._is_implicit = transfer_syntax == ImplicitVRLittleEndian

    def encode(self, found: dict[int, Element]) -> bytes:
        """One answer as bytes; it names its character set unless it is plain ASCII and the query named none."""
        if self._charsets:
            found = as_shown(found, self._charsets)
            has_letters = not all(text.isascii() for text in texts_of(found))
            terms = self._charsets if has_letters or self._names_it else ()
        else:
            terms = choose_charset(self._asked, [*texts_of(found)])
        if self._names_it or any(terms):
            found[SPECIFIC_CHARACTER_SET] = Element("CS", terms)
        return Encoder(self._is_implicit, terms).encode(found)


SERVICE = Service(
    name="worklist",
    handle=worklist,
    commands=frozenset({"C_FIND"}),
    sop_classes=(MODALITY_WORKLIST,),
    transfer_syntaxes=MESSAGE_SYNTAXES,
    failure_status=CANNOT_DO,
    bad_dataset_status=CANNOT_DO,
    goes_on=True,
    statuses={
        PENDING: "an answer",
        PENDING_WITH_WARNING: "an answer to a query with a key that the desk does not know",
        SUCCESS: "these were all",
        CANCELLED: "the machine broke it off",
        OUT_OF_RESOURCES: "more answers than one query may have, after that many of them",
        DOES_NOT_MATCH: "a key cannot be read; Offending Element names it",
        CANNOT_DO: "the desk could not do it, or the data set cannot be read",
    },
)
