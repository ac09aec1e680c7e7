"""Which link a message came by: the one whose sending application and facility it carries."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass

from xraydesk.access.models import Site
from xraydesk.lib.networks import is_loopback
from xraydesk.links.hl7.reader import Segment
from xraydesk.siteplan.link_plan import LinkPlan
from xraydesk.siteplan.reading import from_json

KNOWN_SECONDS = 1.0
"""A changed site file is in force after so long; a sender that is not known is looked up at once."""

UNKNOWN = LinkPlan(name="", kind="", sending_application="", sending_facility="", charset="iso8859-1")
"""Stands for the link of a sender that no site file names."""


@dataclass(frozen=True)
class Partner:
    """The site that a message is for and the link it came by; the link's name is "" for a stranger."""

    site: Site
    link: LinkPlan

    @property
    def zone(self) -> str:
        """Where times without an offset are from."""
        return self.link.timezone or self.site.timezone


class Directory:
    """The links of every site, as the database last told; shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._partners: tuple[Partner, ...] = ()
        self._sites: tuple[Site, ...] = ()

    def partner_of(self, header: Segment | None) -> Partner | None:
        """Whose message this is; None where it cannot even be said which site it is for.

        A stranger's message belongs to the only site there is, else to the one whose
        receiving application and facility it names.
        """
        self._refresh(KNOWN_SECONDS)
        found = self._find(header)
        if found is None:
            self._refresh(0)
            found = self._find(header) or self._stranger(header)
        return Partner(copy.copy(found.site), found.link) if found else None

    def all(self) -> tuple[Partner, ...]:
        """Every link of every site, read anew."""
        self._refresh(0)
        return self._partners

    def _refresh(self, age_max: float) -> None:
        with self._lock:
            if time.monotonic() - self._read_at < age_max:
                return
            self._sites = tuple(Site.objects.order_by("id"))
            self._partners = tuple(
                Partner(site, link)
                for site in self._sites
                if site.plan
                for link in from_json(site.plan).links
                if link.kind != "dicom"
            )
            self._read_at = time.monotonic()

    def _find(self, header: Segment | None) -> Partner | None:
        if header is None:
            return None
        sent = [p for p in self._partners if _is(header, 3, p.link.sending_application)]
        sent = [p for p in sent if _is(header, 4, p.link.sending_facility)]
        return next((p for p in sent if _received_by(header, p.link)), sent[0] if sent else None)

    def _stranger(self, header: Segment | None) -> Partner | None:
        sites = {p.site.pk: p.site for p in self._partners if header and _received_by(header, p.link)}
        if len(self._sites) == 1:
            return Partner(self._sites[0], UNKNOWN)
        return Partner(next(iter(sites.values())), UNKNOWN) if len(sites) == 1 else None


def _is(header: Segment, number: int, name: str) -> bool:
    """True where an HD field carries `name` as its namespace or universal id."""
    return name in (header.get(number).strip(), header.get(number, 2).strip())


def _received_by(header: Segment, link: LinkPlan) -> bool:
    wanted = [(5, link.receiving_application), (6, link.receiving_facility)]
    return any(name for _, name in wanted) and all(_is(header, n, name) for n, name in wanted if name)


def may_send(link: LinkPlan, address: str, *, encrypted: bool) -> bool:
    """True where `address` may send by this link: over loopback or TLS, else only in clear where the site file says so."""
    if encrypted or is_loopback(address):
        return True
    return link.takes_in_clear(address)
