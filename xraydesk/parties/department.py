"""What the simulated parties know of the desk: where it listens, and which department it serves."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from xraydesk.lib import clock
from xraydesk.parties.faults import CALM_SECONDS, ONE_IN, Chances
from xraydesk.siteplan.link_plan import LinkPlan
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import from_json

PARTIES_FILE = "parties.json"
"""Written into the home by `up --demo`: addresses, seed and the department's plan."""


EHR_PATIENTS = "48"
"""What the numbers of the simulated EHR's own patients begin with; others were there before it."""


class NotLoopback(ValueError):
    """A simulated party was pointed at an address outside this machine."""


@dataclass(frozen=True)
class Address:
    """A host and a port on this machine."""

    host: str
    port: int


def loopback(text: str) -> Address:
    """An address on this machine; raises NotLoopback for any other, so that no simulation ever leaves it."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise NotLoopback(f"simulated parties speak to this machine alone, not to {text}")
    return Address("127.0.0.1" if host == "localhost" else host, int(port))


@dataclass(frozen=True)
class FhirDoor:
    """An address at which the desk asks by FHIR, and what the EHR there knows of the desk."""

    name: str
    """The desk's own word for it."""
    base: str
    public_key: Mapping[str, Any] | None = None
    """With which the desk proves who it is; None where anybody may come in."""
    word: str = ""
    """What the EHR shows when it calls the desk; empty where it never calls."""

    @property
    def file(self) -> str:
        """Where this EHR keeps what is its own, among the parties' things."""
        return f"fhir-{self.name}.sqlite"


@dataclass(frozen=True)
class Department:
    """The desk and its department, as an outsider is told of them."""

    home: Path
    plan: SitePlan
    mllp: Address
    dicom: Address
    http: Address
    seed: int
    one_in: int = ONE_IN
    """One exam in so many goes wrong; 0 where nothing is to."""
    calm_seconds: float = CALM_SECONDS
    doors: tuple[FhirDoor, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the simulated parties keep what is theirs."""
        return self.home / "parties"

    @property
    def chances(self) -> Chances:
        """What goes wrong next, for all parties together."""
        return Chances(self.folder, seed=self.seed, one_in=self.one_in)

    @property
    def orders_link(self) -> LinkPlan:
        """The link that orders are sent over."""
        return next(link for link in self.plan.links if link.kind == "orders")

    def wall(self, at: datetime | None = None) -> datetime:
        """Wall time of the department, without zone, as HL7 and DICOM write it."""
        return clock.in_zone(at or clock.now(), self.plan.timezone).replace(tzinfo=None)


def _door(told: Mapping[str, Any]) -> FhirDoor:
    parts = urlsplit(told["base"])
    loopback(f"{parts.hostname}:{parts.port}")
    return FhirDoor(told["name"], told["base"], told.get("public_key"), told.get("word", ""))


def read_department(home: Path) -> Department:
    """What `up --demo` wrote into the home.

    Raises FileNotFoundError where no demonstration was started there, NotLoopback.
    """
    told = json.loads((home / PARTIES_FILE).read_text(encoding="utf-8"))
    return Department(
        home=home,
        plan=from_json(told["plan"]),
        mllp=loopback(told["mllp"]),
        dicom=loopback(told["dicom"]),
        http=loopback(told["http"]),
        seed=int(told["seed"]),
        one_in=int(told.get("one_in", ONE_IN)),
        calm_seconds=float(told.get("calm_seconds", CALM_SECONDS)),
        doors=tuple(_door(one) for one in told.get("doors", ())),
    )
