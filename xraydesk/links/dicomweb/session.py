"""Speaking DICOMweb to one archive: its address, who the desk is there, and what a bad answer means, in words."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from xraydesk.links.dicom.archive_codec import ArchiveAway, Said
from xraydesk.links.dicomweb.answer_rules import status_in_words, way_in_words
from xraydesk.links.dicomweb.query_codec import (
    DICOM_JSON,
    JSON_TYPES,
    PAGE_ANSWERS,
    BadAnswer,
    Search,
    has_more,
    media_type,
    read_answers,
)
from xraydesk.links.outgoing.wire import NoAnswer, NotReached
from xraydesk.links.outside import client
from xraydesk.links.outside.client import Answering, Barred, Reach
from xraydesk.siteplan.routing_plan import DestinationPlan

PAGES_MAX = 50
"""An archive that goes on telling of more is asked no further."""

SEARCH_SECONDS_MAX = 20.0
SECRET_BYTES_MAX = 16_384


class NotAnswered(ArchiveAway):
    """An archive could not be asked over the web, or answered that it could not; the message says why, in words.

    `status` is the one that it answered, 0 where it answered none.
    """

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.status = status


class Session:
    """Requests to one archive; nothing beyond its base is asked."""

    def __init__(self, archive: DestinationPlan) -> None:
        self.archive = archive
        self._reach = Reach(archive.networks, archive.authority, archive.certificate, archive.key)
        try:
            self._shown = _authorization(archive)
        except OSError as error:
            raise NotAnswered(
                f"the file of its token or password cannot be read ({type(error).__name__})"
            ) from None

    def find(self, search: Search, *, most: int, until: float) -> tuple[list[Said], bool]:
        """What a search finds, page after page, and whether there is more than `most`. Raises ArchiveAway.

        `until` is by time.monotonic; an archive that gives the same page again and again gives nothing new, and is left at that.
        """
        found: dict[tuple[tuple[str, str], ...], Said] = {}
        for _ in range(PAGES_MAX):
            page, warning = self._page(search, offset=len(found), until=until)
            known = len(found)
            found |= {tuple(sorted(one.items())): one for one in page}
            if len(found) > most:
                return list(found.values())[:most], True
            if len(found) == known or not has_more(page, warning=warning):
                return list(found.values()), False
        return list(found.values()), True

    def first(self, search: Search, *, until: float) -> Said | None:
        """One thing that a search finds; None where it finds nothing. Raises ArchiveAway."""
        page, _ = self._page(search, offset=0, limit=1, until=until)
        return page[0] if page else None

    def _page(
        self, search: Search, *, offset: int, until: float, limit: int = PAGE_ANSWERS
    ) -> tuple[list[Said], str]:
        with self.get(search.page(offset=offset, limit=limit), accept=DICOM_JSON, until=until) as answer:
            if answer.status == 204:
                return [], ""
            if media_type(answer.headers.get("content-type", "")) not in JSON_TYPES:
                raise NotAnswered(f"what it answers is no {DICOM_JSON}", answer.status)
            body = b"".join(answer.pieces(bytes_max=client.ANSWER_BYTES_MAX))
        try:
            return read_answers(body, search.keys), answer.headers.get("warning", "")
        except BadAnswer as bad:
            raise NotAnswered(str(bad), answer.status) from None

    @contextmanager
    def get(
        self, below: str, *, accept: str, until: float, seconds_max: float = SEARCH_SECONDS_MAX
    ) -> Iterator[Answering]:
        """What is at an address below the base while it comes in, where it answers 200 or 204. Raises ArchiveAway."""
        seconds = min(seconds_max, until - time.monotonic())
        if seconds <= 0:
            raise NotAnswered("it did not answer in time")
        try:
            with client.opened(
                "GET",
                f"{self.archive.web}/{below}",
                reach=self._reach,
                headers={"Accept": accept, **self._shown},
                seconds_max=seconds,
            ) as answer:
                if answer.status not in (200, 204):
                    raise NotAnswered(status_in_words(answer.status), answer.status)
                yield answer
        except (Barred, NoAnswer) as away:
            raise NotAnswered(str(away)) from None
        except NotReached as away:
            raise NotAnswered(_not_reached(away)) from None


def _not_reached(away: NotReached) -> str:
    """Why nobody could be connected to: the certificates, the port, the way there."""
    why = away.__cause__
    if isinstance(why, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here: {why.verify_message}"
    if isinstance(why, ssl.SSLError):
        return "it speaks no TLS there that this desk speaks, or wants a certificate of the desk"
    return way_in_words(type(why).__name__, str(away))


def _authorization(archive: DestinationPlan) -> Mapping[str, str]:
    """Who the desk is there, as the header says it. Raises OSError where the file cannot be read."""
    if archive.web_token:
        return {"Authorization": f"Bearer {_secret(archive.web_token)}"}
    if archive.web_password:
        written = base64.b64encode(_secret(archive.web_password).encode()).decode("ascii")
        return {"Authorization": f"Basic {written}"}
    return {}


def _secret(file: str) -> str:
    with Path(file).open("rb") as opened:
        read = opened.read(SECRET_BYTES_MAX + 1)
    secret = read.decode("utf-8", errors="replace").strip()
    if not secret or len(read) > SECRET_BYTES_MAX or not secret.isprintable():
        raise OSError("it holds no secret")
    return secret
