"""What the desk asks of archives over the web: the conformance statement is made of it, one row a use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xraydesk.journey.prior_images import OBJECTS_MAX
from xraydesk.links.dicomweb import fetch, find
from xraydesk.links.dicomweb.parts_codec import ACCEPT
from xraydesk.links.dicomweb.query_codec import DICOM_JSON, INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS
from xraydesk.links.dicomweb.session import SEARCH_SECONDS_MAX


@dataclass(frozen=True)
class WebUse:
    """One kind of request: what is asked below the base address, in which form, what is read of the answer, and when."""

    name: str
    request: str
    accept: str
    when: str
    seconds_max: float
    conditions: tuple[str, ...] = ()
    keys: Mapping[str, str] | None = None


WEB_USES = (
    WebUse(
        "QIDO-RS, studies",
        "GET studies",
        DICOM_JSON,
        "earlier studies are looked for at a destination that `finds`, and says `web`",
        SEARCH_SECONDS_MAX,
        ("PatientID", "StudyDate (a range)"),
        STUDY_KEYS,
    ),
    WebUse(
        "QIDO-RS, series",
        "GET studies/{study}/series",
        DICOM_JSON,
        "what a study that was found looks at",
        SEARCH_SECONDS_MAX,
        (),
        SERIES_KEYS,
    ),
    WebUse(
        "QIDO-RS, instances",
        "GET studies/{study}/instances",
        DICOM_JSON,
        "which objects a study has that is to be at `moves_to`",
        SEARCH_SECONDS_MAX,
        (),
        INSTANCE_KEYS,
    ),
    WebUse(
        "WADO-RS, series",
        "GET studies/{study}/series/{series}",
        ACCEPT,
        "a study is fetched that is to be at `moves_to`",
        fetch.SERIES_SECONDS_MAX,
    ),
    WebUse(
        "WADO-RS, instance",
        "GET studies/{study}/series/{series}/instances/{instance}",
        ACCEPT,
        "a person tries a connection out; nothing is kept of it",
        SEARCH_SECONDS_MAX,
    ),
)
"""Everything that is asked; append a row for what is asked newly."""


def limits() -> tuple[tuple[str, str, str], ...]:
    """What is limited, how far, and what happens beyond."""
    return (
        ("studies of one patient over the web", f"{find.STUDIES_MAX}", "the others are passed over"),
        ("series of one study that is looked at", f"{find.SERIES_MAX}", "the others are passed over"),
        (
            "all searches for one exam",
            f"{find.FIND_SECONDS_MAX:g} s",
            "the exam's page says that it did not answer in time",
        ),
        ("objects of a study that is fetched", f"{OBJECTS_MAX:,}", "it is not fetched"),
        (
            "a series that is fetched",
            f"{fetch.SERIES_BYTES_MAX // 2**30} GiB",
            "it is tried again, and given up",
        ),
        ("an object that is fetched", f"{fetch.OBJECT_BYTES_MAX // 2**20} MiB", "its study is not fetched"),
    )
