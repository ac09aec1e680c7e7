"""The department of `up`: loaded from its file, and, for the demonstration, peopled."""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from joserfc.jwk import ECKey, import_key

from xraydesk.access.actions import create_token, demo_users, revoke_token
from xraydesk.access.members import member_of_token
from xraydesk.access.models import Site, User
from xraydesk.access.roles import Role
from xraydesk.attention.kinds import ItemKind
from xraydesk.journey.errors import Refused
from xraydesk.journey.load_site import load_site
from xraydesk.journey.seed.fill import defer_history, fill_day, fill_gap
from xraydesk.lib import clock
from xraydesk.lib.ids import new_secret
from xraydesk.lib.networks import is_loopback
from xraydesk.parties.department import PARTIES_FILE
from xraydesk.project.config import Config
from xraydesk.project.demo_file import read_demo, read_private, write_demo, write_private_json
from xraydesk.project.examples import example_file
from xraydesk.project.secrets import write_private
from xraydesk.project.trouble import Trouble
from xraydesk.siteplan.link_plan import EhrPlan
from xraydesk.siteplan.plan import SitePlan
from xraydesk.siteplan.reading import SiteFileErrors, from_json, read_toml, to_json
from xraydesk.siteplan.routing_plan import DestinationPlan

TOKEN_NAME = "demo"  # noqa: S105 - a name, not a secret

ARCHIVE, ARCHIVE_PORT = "ARCHIVE", 11116
"""What the archive of former years is called, and where it listens where nobody else does."""

KEYS = "keys"
"""Where, in the home, the desk keeps what it signs in with at simulated EHRs."""

WORD_BYTES = 24

ZONES = (
    "Pacific/Pago_Pago",
    "Pacific/Honolulu",
    "Pacific/Gambier",
    "Pacific/Pitcairn",
    "America/Phoenix",
    "America/Costa_Rica",
    "America/Bogota",
    "America/Puerto_Rico",
    "America/Sao_Paulo",
    "America/Noronha",
    "Atlantic/Cape_Verde",
    "Africa/Abidjan",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Brisbane",
    "Pacific/Guadalcanal",
    "Pacific/Tarawa",
)
"""One real zone for each hour of offset, all without clock changes, so that a demonstration has none."""


def choose_zone(at: datetime) -> str:
    """The zone in which it is nearest to ten in the morning at `at`: never more than half an hour off."""
    return min(ZONES, key=lambda zone: _minutes_off_ten(at.astimezone(ZoneInfo(zone))))


def _minutes_off_ten(wall: datetime) -> float:
    return abs((wall.hour - 10) * 60 + wall.minute + wall.second / 60)


def load_file(file: Path) -> None:
    """Load a department from its file, and tell what changed.

    Raises Trouble with every error of the file.
    """
    for line in _load(_read(file), simulated=False):
        print(f"  {line}", flush=True)


def prepare_demo(config: Config, file: Path | None, *, quiet: bool = False) -> None:
    """Load the demonstration department, give it its people and a token, and write down how to use it.

    Repeatable: a department that is there keeps its time zone, its people and their passwords. `quiet` leaves out
    the invented day, whose exams the simulated parties go on with.
    """
    plan = _read(file or example_file("hospital.toml"))
    told = read_demo(config.home)
    site = Site.objects.filter(code=plan.code).first()
    if site is None:
        print("loading the demonstration department", flush=True)
    before = from_json(site.plan) if site is not None and site.plan else None
    plan = replace(
        plan,
        timezone=site.timezone if site is not None else choose_zone(clock.now()),
        ae_title=config.ae_title,
    )
    if file is None and not quiet:
        plan = _with_archive(plan, before)
    plan = _with_parties_here(plan, before)
    plan = replace(plan, ehrs=tuple(_ehr_here(one, before, config.home) for one in plan.ehrs))
    _load(plan, simulated=True)
    site = Site.objects.get(code=plan.code)
    if not _still_holds(told):
        revoke_token(site=site, name=TOKEN_NAME, at=clock.now())
        users = sorted(demo_users(site=site), key=lambda user: list(Role).index(user.role))
        told = {
            "token": create_token(site=site, name=TOKEN_NAME, role=Role.SYSTEM, at=clock.now()),
            "users": [{"name": u.name, "password": u.password, "role": u.role.value} for u in users],
        }
    write_demo(config.home, {**_told_of(plan), "token": told["token"], "users": told["users"]})
    told_seed = read_private(config.home / PARTIES_FILE).get("seed")
    seed = told_seed if isinstance(told_seed, int) else secrets.randbelow(2**31)
    write_private_json(
        config.home / PARTIES_FILE,
        {
            "plan": to_json(plan),
            "mllp": config.mllp,
            "dicom": config.dicom,
            "http": config.http,
            "seed": seed,
            "doors": [_door(one) for one in plan.ehrs],
        },
    )
    if not quiet:
        _fill_in(site, seed)


def _fill_in(site: Site, seed: int) -> None:
    """A day under way, and a job for the days behind it."""
    at = clock.now()
    today = clock.local_day(at, site.timezone)
    if fill_gap(site=site, at=at, seed=seed):
        print("what went on since the last stop is filled in", flush=True)
    if fill_day(site=site, day=today, at=at, seed=seed):
        print("a day is under way; the days behind it are filled in", flush=True)
    defer_history(site=site, seed=seed, at=at)


def _read(file: Path) -> SitePlan:
    try:
        return read_toml(file, item_kinds=[kind.value for kind in ItemKind])
    except SiteFileErrors as wrong:
        raise Trouble(f"{file} cannot be loaded:\n{wrong}") from wrong
    except OSError as wrong:
        raise Trouble(
            f"{file} cannot be read ({wrong.strerror}): name a site file with --site FILE"
        ) from wrong


def _load(plan: SitePlan, *, simulated: bool) -> list[str]:
    try:
        return load_site(plan=plan, at=clock.now(), by="desk", simulated=simulated)
    except Refused as wrong:
        raise Trouble(str(wrong)) from wrong


def _with_parties_here(plan: SitePlan, before: SitePlan | None) -> SitePlan:
    """The plan with those it sends to on ports of this machine that nobody uses; the ones of the last start if free."""
    pacs = {d.name: d.port for d in before.destinations} if before is not None else {}
    told = {o.name: o.port for o in before.outlinks} if before is not None else {}
    return replace(
        plan,
        destinations=tuple(
            replace(d, host="127.0.0.1", port=_free_port(pacs.get(d.name, d.port))) if d.takes_images else d
            for d in map(asked_here_alone, plan.destinations)
            if d.takes_images or d.web
        ),
        outlinks=tuple(
            replace(o, host="127.0.0.1", port=_free_port(told.get(o.name, o.port))) for o in plan.outlinks
        ),
    )


def _with_archive(plan: SitePlan, before: SitePlan | None) -> SitePlan:
    """The plan with an archive of former years, which is asked over the web; what is fetched goes where the others are read."""
    told = next((d.web for d in before.destinations if d.name == ARCHIVE), "") if before is not None else ""
    port = _free_port(urlsplit(told).port or ARCHIVE_PORT)
    archive = DestinationPlan(
        name=ARCHIVE,
        ae_title="",
        host="",
        port=0,
        finds=True,
        moves_to=plan.destinations[0].name,
        web=f"http://127.0.0.1:{port}/dicom-web",
        networks=("127.0.0.0/8",),
    )
    return replace(plan, destinations=(*plan.destinations, archive))


def asked_here_alone(to: DestinationPlan) -> DestinationPlan:
    """A destination without a web address beyond this machine: no invented patient is ever asked for elsewhere."""
    if not to.web or is_loopback(urlsplit(to.web).hostname or ""):
        return to
    return replace(to, web="", web_token="", web_password="", networks=(), insecure=False)


def _ehr_here(ehr: EhrPlan, before: SitePlan | None, home: Path) -> EhrPlan:
    """An EHR that is asked by FHIR, on a port of this machine; the desk signs in there, and is called with a word of its own."""
    told = next((one for one in before.ehrs if one.name == ehr.name), ehr) if before is not None else ehr
    port = _free_port(urlsplit(told.base).port or 0)
    key, word = home / f"{KEYS}/{ehr.name}.jwk", home / f"{KEYS}/{ehr.name}.word"
    if not key.exists() or not word.exists():
        key.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(key, json.dumps(ECKey.generate_key("P-384", auto_kid=True).as_dict(private=True)))
        write_private(word, new_secret(WORD_BYTES))
    return replace(
        ehr,
        base=f"http://127.0.0.1:{port}/R4",
        token="",
        authority="",
        networks=("127.0.0.0/8",),
        client_id="xraydesk",
        key=str(key),
        secret=str(word) if ehr.pulls else "",
    )


def _door(ehr: EhrPlan) -> dict[str, Any]:
    """What the simulated EHR is told of the desk that asks it."""
    public = import_key(json.loads(Path(ehr.key).read_text(encoding="utf-8"))).as_dict(private=False)
    word = Path(ehr.secret).read_text(encoding="utf-8").strip() if ehr.secret else ""
    return {"name": ehr.name, "base": ehr.base, "public_key": public, "word": word}


def _free_port(wished: int) -> int:
    for port in (wished, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    raise Trouble("This machine has no free port on 127.0.0.1: stop something that listens there")


def _still_holds(told: dict[str, Any]) -> bool:
    """Whether what the file says of people and token is still so."""
    names = [user["name"] for user in told.get("users", [])]
    return (
        {role.value for role in Role} == set(names)
        and User.objects.filter(name__in=names, is_active=True).count() == len(names)
        and member_of_token(told.get("token", "")) is not None
    )


def _told_of(plan: SitePlan) -> dict[str, Any]:
    return {
        "ae_title": plan.ae_title,
        "timezone": plan.timezone,
        "assigning_authority": plan.assigning_authority,
        "modalities": [
            {"ae_title": m.ae_title, "room": m.room, "modality": m.modality} for m in plan.modalities
        ],
        "procedures": [
            {
                "code": p.code,
                "text": p.text,
                "system": p.system,
                "modality": p.modality,
                "pregnancy_check": p.pregnancy_check,
            }
            for p in plan.procedures
        ],
        "links": [
            {
                "kind": link.kind,
                "sending_application": link.sending_application,
                "sending_facility": link.sending_facility,
                "receiving_application": link.receiving_application,
                "receiving_facility": link.receiving_facility,
            }
            for link in plan.links
        ],
    }
