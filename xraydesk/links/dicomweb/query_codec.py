"""What an archive is asked by QIDO-RS about a patient's earlier studies, and what its answers say (PS3.18 10.6, F.2). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import quote, urlencode

from xraydesk.links.dicom.archive_codec import Asked, Said

DICOM_JSON = "application/dicom+json"
JSON_TYPES = frozenset({DICOM_JSON, "application/json"})

STUDY_KEYS: Mapping[str, str] = {
    "PatientID": "00100020",
    "IssuerOfPatientID": "00100021",
    "PatientBirthDate": "00100030",
    "StudyInstanceUID": "0020000D",
    "StudyDate": "00080020",
    "StudyDescription": "00081030",
    "ModalitiesInStudy": "00080061",
}
SERIES_KEYS: Mapping[str, str] = {
    "SeriesInstanceUID": "0020000E",
    "Modality": "00080060",
    "BodyPartExamined": "00180015",
    "Laterality": "00200060",
}
INSTANCE_KEYS: Mapping[str, str] = {
    "SOPClassUID": "00080016",
    "SOPInstanceUID": "00080018",
    "SeriesInstanceUID": "0020000E",
}
"""What is asked for at each level, by keyword: the tag as eight hexadecimal digits."""

PAGE_ANSWERS = 100
"""So many answers are asked for at once; an archive may give fewer."""

ANSWERS_A_PAGE_MAX = 5_000
"""An answer with more than these, whatever was asked for, is none."""

VALUE_LENGTH_MAX = 330


class BadAnswer(ValueError):
    """What was answered is not what QIDO-RS answers; the message says how, in words."""


@dataclass(frozen=True)
class Search:
    """One search below the base address: where, with which conditions, and what is to be told of what is found."""

    path: str
    keys: Mapping[str, str]
    conditions: tuple[tuple[str, str], ...] = ()

    def page(self, *, offset: int, limit: int = PAGE_ANSWERS) -> str:
        """The part of the address behind the base for one page of what is found."""
        told = [("includefield", tag) for tag in self.keys.values()]
        return f"{self.path}?{urlencode([*self.conditions, *told, ('limit', str(limit)), ('offset', str(offset))])}"


def studies_of(asked: Asked, *, since: date, until: date) -> Search:
    """All studies of a patient that were done between two days.

    The issuer of the number is judged in the answers (`archive_codec.is_of`): an archive whose images name none would find nothing.
    """
    days = f"{since:%Y%m%d}-{until:%Y%m%d}"
    return Search("studies", STUDY_KEYS, (("PatientID", asked.patient_id), ("StudyDate", days)))


def any_study() -> Search:
    """Whatever study there is: to try a connection out."""
    return Search("studies", {"StudyInstanceUID": STUDY_KEYS["StudyInstanceUID"]})


def series_of(study_instance_uid: str) -> Search:
    """What the series of a study look at."""
    return Search(f"studies/{quote(study_instance_uid, safe='')}/series", SERIES_KEYS)


def objects_of(study_instance_uid: str) -> Search:
    """Which objects a study has, each with its series."""
    return Search(f"studies/{quote(study_instance_uid, safe='')}/instances", INSTANCE_KEYS)


def read_answers(body: bytes, keys: Mapping[str, str]) -> list[Said]:
    """What is told of each thing that was found, by keyword; what is missing or cannot be read is left out. Raises BadAnswer."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise BadAnswer("what it answers cannot be read") from None
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise BadAnswer("what it answers is no list of what it found")
    if len(told) > ANSWERS_A_PAGE_MAX:
        raise BadAnswer(f"it answers with more than {ANSWERS_A_PAGE_MAX:,} at once")
    return [_said(one, keys) for one in told]


def _said(one: Mapping[str, Any], keys: Mapping[str, str]) -> Said:
    found = {keyword: _text(one.get(tag, one.get(tag.lower()))) for keyword, tag in keys.items()}
    return {keyword: value for keyword, value in found.items() if value}


def _text(element: Any) -> str:
    """The first value of an element (PS3.18 F.2.2) as text; empty where there is none."""
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else None
    if isinstance(first, dict):
        first = first.get("Alphabetic")
    if not isinstance(first, str | int | float) or isinstance(first, bool):
        return ""
    return "".join(c for c in str(first) if c >= " ").strip()[:VALUE_LENGTH_MAX]


def has_more(page: Sequence[Said], *, warning: str, limit: int = PAGE_ANSWERS) -> bool:
    """Whether to ask for another page: this one was full, or the archive warns that there is more (PS3.18 8.3.4.4)."""
    return bool(page) and (len(page) >= limit or "additional results" in warning)


def media_type(content_type: str) -> str:
    """A media type without its parameters, in small letters."""
    return content_type.partition(";")[0].strip().lower()
