"""Finding a patient's earlier studies at an archive that is asked by QIDO-RS (PS3.18 10.6)."""

from __future__ import annotations

import time
from datetime import date, timedelta

from xraydesk.imaging.prior_rules import SAME_PART_YEARS_MAX, Study
from xraydesk.links.dicom.archive_codec import Asked, is_of, study_of
from xraydesk.links.dicom.header_codec import is_wire_uid
from xraydesk.links.dicomweb.query_codec import series_of, studies_of
from xraydesk.links.dicomweb.session import Session
from xraydesk.siteplan.routing_plan import DestinationPlan

FIND_SECONDS_MAX = 60.0
"""For all questions about one exam together."""

STUDIES_MAX = 100
SERIES_MAX = 50
"""Of more studies, and of more series of one, those that the archive tells of first are looked at."""


def find_studies(archive: DestinationPlan, asked: Asked, *, on: date) -> list[Study]:
    """The studies that an archive has of a patient from before a day, each with what it looks at. Raises ArchiveAway."""
    until = time.monotonic() + FIND_SECONDS_MAX
    session = Session(archive)
    since = on - timedelta(days=366 * SAME_PART_YEARS_MAX)
    answers, _ = session.find(studies_of(asked, since=since, until=on), most=STUDIES_MAX, until=until)
    studies = []
    for answer in answers:
        uid = answer.get("StudyInstanceUID", "")
        if not is_of(asked, answer) or not is_wire_uid(uid):
            continue
        series, _ = session.find(series_of(uid), most=SERIES_MAX, until=until)
        study = study_of(answer, series)
        if study is not None:
            studies.append(study)
    return studies
