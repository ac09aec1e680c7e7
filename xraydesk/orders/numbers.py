"""The numbers of an exam: the sender's where they can stand, else our own. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from xraydesk.lib.ids import is_uid, new_uid
from xraydesk.orders.requisition import RequestedExam

SHORT_STRING_MAX = 16
"""DICOM SH, PS3.5 table 6.2-1: the longest accession, requested procedure and step id."""

PREFIX_LENGTH_MAX = 4
_NOT_FOR_SHORT_STRING = re.compile(r"[\\\x00-\x1f\x7f]")
_NOT_FOR_PREFIX = re.compile(r"[^A-Z0-9]")


@dataclass(frozen=True)
class Numbers:
    """What one exam is known by, from now on and for good."""

    accession: str
    study_instance_uid: str
    requested_procedure_id: str
    scheduled_step_id: str


@dataclass(frozen=True)
class Taken:
    """Numbers that other exams of the site have already."""

    accessions: Collection[str] = ()
    study_uids: Collection[str] = ()
    step_ids: Collection[str] = ()


def can_stand(text: str) -> bool:
    """True where `text` may be a DICOM short string: 1 to 16 characters, no backslash, no control, no outer space."""
    return (
        1 <= len(text) <= SHORT_STRING_MAX
        and text == text.strip()
        and _NOT_FOR_SHORT_STRING.search(text) is None
    )


def own_number(prefix: str, number: int) -> str:
    """Our own accession number: the site's letters and a running number of seven digits or more."""
    letters = _NOT_FOR_PREFIX.sub("", prefix.upper())[:PREFIX_LENGTH_MAX]
    return f"{letters}{number:07d}"


def assign(
    *, asked: Sequence[RequestedExam], prefix: str, running: Sequence[int], taken: Taken
) -> list[Numbers]:
    """The numbers of an order's exams, one each. `running` gives each exam a number nobody else has.

    A sender's number is kept where DICOM lets it stand and nobody has it; also not where two
    exams of this order would share it. Requested procedure ids need only differ within the
    order (PS3.3 C.4.11).
    """
    accessions, uids, steps = set(taken.accessions), set(taken.study_uids), set(taken.step_ids)
    requests: set[str] = set()
    result = []
    for exam, number in zip(asked, running, strict=True):
        numbers = Numbers(
            accession=_own_or(exam.accession, accessions, own_number(prefix, number)),
            study_instance_uid=exam.study_instance_uid
            if is_uid(exam.study_instance_uid) and exam.study_instance_uid not in uids
            else new_uid(),
            requested_procedure_id=_own_or(exam.requested_procedure_id, requests, f"R{number}"),
            scheduled_step_id=_own_or(exam.scheduled_step_id, steps, f"S{number}"),
        )
        accessions.add(numbers.accession)
        uids.add(numbers.study_instance_uid)
        requests.add(numbers.requested_procedure_id)
        steps.add(numbers.scheduled_step_id)
        result.append(numbers)
    return result


def _own_or(given: str, taken: Collection[str], own: str) -> str:
    return given if can_stand(given) and given not in taken else own
