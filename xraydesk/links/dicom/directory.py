"""Who is who for the listener: AE titles of sites and of their modalities, kept for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from xraydesk.access.models import Site
from xraydesk.journey.announced import announcing
from xraydesk.journey.promise import committing
from xraydesk.links.dicom.sop_classes import INSTANCE_AVAILABILITY, STORAGE_COMMITMENT
from xraydesk.links.models import AllowedCaller
from xraydesk.rooms.models import Modality

FRESH_SECONDS = 2.0
"""For so long an answer is used again; what it does not know is looked up at once all the same."""


@dataclass(frozen=True)
class Entry:
    """A site under its AE title, with the AE titles of its modalities and of those whom a person let in."""

    site: Site
    modalities: frozenset[str]
    charsets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each machine can show, by its AE title; those that say nothing of it are left out."""
    may_tell: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What destinations may propose, by their AE titles (`admission.Listening`)."""


def _may_tell(site: Site) -> dict[str, frozenset[str]]:
    """What the destinations of a site may tell the desk: those that were asked, and those that announce."""
    found = dict.fromkeys((to.ae_title for to in committing(site).values()), frozenset({STORAGE_COMMITMENT}))
    for title in announcing(site):
        found[title] = found.get(title, frozenset()) | {INSTANCE_AVAILABILITY}
    return found


class Directory:
    """The sites that may be called. Ask in a thread: it may query the database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: Mapping[str, Entry] = {}
        self._read_at = -FRESH_SECONDS

    def at_hand(self, called_ae: str, calling_ae: str) -> Entry | None:
        """The entry, without asking the database, where it is fresh and knows the caller; else None."""
        entry = self._entries.get(called_ae)
        is_fresh = time.monotonic() - self._read_at < FRESH_SECONDS
        return entry if is_fresh and entry is not None and calling_ae in entry.modalities else None

    def look_up(self, called_ae: str, calling_ae: str) -> Entry | None:
        """The entry of a called AE title, read anew unless it is at hand; None where no site has it."""
        found = self.at_hand(called_ae, calling_ae)
        if found is not None:
            return found
        with self._lock:
            self._read()
        return self._entries.get(called_ae)

    def _read(self) -> None:
        titles: dict[int, set[str]] = {}
        charsets: dict[int, dict[str, tuple[str, ...]]] = {}
        machines = Modality.objects.filter(retired=False).values_list("site_id", "ae_title", "charsets")
        for site_id, title, terms in machines:
            titles.setdefault(site_id, set()).add(title)
            if terms:
                charsets.setdefault(site_id, {})[title] = tuple(terms)
        for site_id, title in AllowedCaller.objects.filter(ended_at=None).values_list("site_id", "ae_title"):
            titles.setdefault(site_id, set()).add(title)
        self._entries = {
            site.ae_title: Entry(
                site,
                frozenset(titles.get(site.pk, ())),
                charsets=charsets.get(site.pk, {}),
                may_tell=_may_tell(site),
            )
            for site in Site.objects.order_by("-pk")
        }
        self._read_at = time.monotonic()
