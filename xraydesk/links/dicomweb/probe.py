"""Tries an archive out that is asked over the web: can it be reached and trusted, does it know the desk, does it find and give out?"""

from __future__ import annotations

import time
from urllib.parse import quote

from xraydesk.links.dicom.archive_codec import ArchiveAway, Said
from xraydesk.links.dicom.probe import Found
from xraydesk.links.dicomweb.parts_codec import ACCEPT, BadParts, boundary_of
from xraydesk.links.dicomweb.query_codec import any_study, objects_of
from xraydesk.links.dicomweb.session import NotAnswered, Session
from xraydesk.siteplan.routing_plan import DestinationPlan

PROBE_SECONDS_MAX = 15.0


def probe(archive: DestinationPlan) -> Found:
    """Search for any study, and where studies are fetched from there begin to fetch one object, of which nothing is kept."""
    until = time.monotonic() + PROBE_SECONDS_MAX
    try:
        session = Session(archive)
        study = session.first(any_study(), until=until)
    except ArchiveAway as away:
        reached = isinstance(away, NotAnswered) and away.status > 0
        return Found(reached, False, _sentence(str(away)))
    if not archive.moves_to:
        return Found(True, True, "It answers searches (QIDO-RS).")
    if study is None or not study.get("StudyInstanceUID"):
        return Found(True, True, "It answers searches (QIDO-RS), and has no study to try fetching with.")
    try:
        _begin_to_fetch(session, study["StudyInstanceUID"], until=until)
    except (ArchiveAway, BadParts) as why:
        return Found(
            True, False, f"It answers searches (QIDO-RS), and gives out no objects (WADO-RS): {why}."
        )
    return Found(True, True, "It answers searches (QIDO-RS), and gives out objects (WADO-RS).")


def _begin_to_fetch(session: Session, study: str, *, until: float) -> None:
    """Ask for one object of a study, and hang up once it begins to come. Raises ArchiveAway and BadParts."""
    one: Said | None = session.first(objects_of(study), until=until)
    if one is None:
        raise ArchiveAway("it tells of no objects of a study that it has")
    below = "/".join(
        f"{level}/{quote(uid, safe='')}"
        for level, uid in (
            ("studies", study),
            ("series", one.get("SeriesInstanceUID", "")),
            ("instances", one.get("SOPInstanceUID", "")),
        )
    )
    with session.get(below, accept=ACCEPT, until=until) as answer:
        if answer.status == 204:
            raise ArchiveAway("it sends nothing of an object that it has")
        boundary_of(answer.headers.get("content-type", ""))


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
