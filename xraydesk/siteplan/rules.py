"""Whether a plan makes sense: what its parts say of each other. Pure.

What a field may hold by itself (its type, its length) is `reading`'s matter.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import time
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from xraydesk.lib.ids import is_ae_title
from xraydesk.lib.networks import is_loopback, is_network
from xraydesk.siteplan.hours import WEEKDAYS, Hours
from xraydesk.siteplan.lines import Path
from xraydesk.siteplan.link_plan import OutlinkPlan, Pulls
from xraydesk.siteplan.places import Place
from xraydesk.siteplan.plan import CompanionKind, RoomPlan, SitePlan
from xraydesk.siteplan.policies import ALWAYS_HELD, LabelDoubt
from xraydesk.siteplan.problems import Problem
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallRole

PROCEDURE_MINUTES_MAX = 480
TRAVEL_MINUTES_MAX = 120
MESSAGE_DAYS_MIN = 30
SIDES = ("L", "R", "B")
SEXES = ("", "F", "M")
LINK_KINDS = ("orders", "results", "dicom")
NUMBER_PLEASE = "SN"
AE_TITLE_RULE = "an AE title has 1 to 16 characters, no backslash and no space at either end"
PATIENT_CLASS_RULE = "a patient class is one capital letter as in PV1-2 (I, O, E…)"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_PATIENT_CLASS = re.compile(r"[A-Z]|\*")

Problems = Iterator[Problem]


def check(plan: SitePlan, *, item_kinds: Collection[str] = ()) -> tuple[Problem, ...]:
    """Everything that does not fit together in a plan; nothing where it can be loaded.

    `item_kinds` names the kinds of items there are, for `policies.item_minutes`; empty
    leaves them unchecked. An empty text counts as missing and is not complained of again.
    """
    parts: tuple[Callable[[SitePlan], Problems], ...] = (
        _site,
        _codes,
        _rooms,
        _modalities,
        _procedures,
        _orders_of_visits,
        _people,
        _wards,
        _destinations,
        _routes,
        _on_call,
        _links,
        _outlinks,
        _ehrs,
        _subscribers,
        _providers,
        _issuers,
        _policies,
    )
    found = [problem for part in parts for problem in part(plan)]
    if item_kinds:
        found += [
            Problem(("policies", "item_minutes", kind), f"there is no kind of item “{kind}”")
            for kind in plan.policies.item_minutes
            if kind not in item_kinds
        ]
    return tuple(found)


def hours_problems(hours: Hours, path: Path) -> Problems:
    """Intervals that end before they start, or lie over each other."""
    for day in WEEKDAYS:
        before: tuple[time, time] | None = None
        for start, end in sorted(hours.get(day, ())):
            shown = f"{start:%H:%M}-{_end_text(end)}"
            if end != time(0) and end <= start:
                yield Problem(
                    (*path, day),
                    f"{shown} ends before it starts; a shift through the night is two: one up to 24:00, "
                    "and one from 00:00 on the next day",
                )
            elif before is not None and (before[1] == time(0) or start < before[1]):
                yield Problem((*path, day), f"{shown} overlaps with {before[0]:%H:%M}-{_end_text(before[1])}")
            before = (start, end)


def _end_text(end: time) -> str:
    return "24:00" if end == time(0) else f"{end:%H:%M}"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _zone(name: str, path: Path) -> Problems:
    if name and not _is_zone(name):
        yield Problem(path, f"there is no time zone “{name}”; write one such as Europe/Berlin")


def _ae_title(title: str, path: Path) -> Problems:
    if title and not is_ae_title(title):
        yield Problem(path, f"“{title}” cannot be an AE title: {AE_TITLE_RULE}")


def _site(plan: SitePlan) -> Problems:
    yield from _zone(plan.timezone, ("site", "timezone"))
    yield from _ae_title(plan.ae_title, ("site", "ae_title"))


def _once(codes: Iterable[str], path: Callable[[int], Path], what: str) -> Problems:
    first: dict[str, int] = {}
    for position, code in enumerate(codes):
        if not code:
            continue
        if code in first:
            yield Problem(path(position), f"{what} {code} is there already, as number {first[code] + 1}")
        first.setdefault(code, position)


def _codes(plan: SitePlan) -> Problems:
    coded: dict[str, Sequence[str]] = {
        "location": [p.code for p in plan.locations],
        "room": [p.code for p in plan.rooms],
        "technologist": [p.code for p in plan.technologists],
        "porter": [p.code for p in plan.porters],
        "companion": [p.code for p in plan.companions],
        "ward": [p.code for p in plan.wards],
    }
    for table, codes in coded.items():
        yield from _once(codes, lambda i, table=table: (table, i, "code"), table)  # type: ignore[misc]
    yield from _once(
        [f"{p.code} ({p.system})" if p.code else "" for p in plan.procedures],
        lambda i: ("procedure", i, "code"),
        "procedure",
    )
    yield from _once(
        [p.ae_title for p in plan.modalities], lambda i: ("modality", i, "ae_title"), "modality with AE title"
    )
    yield from _once([p.name for p in plan.destinations], lambda i: ("destination", i, "name"), "destination")
    yield from _once([p.name for p in plan.links], lambda i: ("link", i, "name"), "link")


def _rooms(plan: SitePlan) -> Problems:
    locations = {location.code for location in plan.locations}
    for i, room in enumerate(plan.rooms):
        if room.location and room.location not in locations:
            yield Problem(("room", i, "location"), f"there is no location {room.location}")
        yield from hours_problems(room.hours, ("room", i, "hours"))
        for j, closure in enumerate(room.closures):
            if closure.end <= closure.start:
                yield Problem(("room", i, "closures", j, "end"), "the closure ends before it starts")
        yield from _within_hours(room, room.published, ("room", i, "published"))
        for j, kept in enumerate(room.kept):
            yield from _within_hours(room, kept.hours, ("room", i, "kept", j, "hours"))


def _within_hours(room: RoomPlan, hours: Hours, path: Path) -> Problems:
    """What is published or kept lies in the room's own hours."""
    yield from hours_problems(hours, path)
    for day in WEEKDAYS:
        opened = _minutes(room.hours.get(day, ()))
        for interval in hours.get(day, ()):
            start, end = _minutes((interval,))[0]
            if start < end and not any(a <= start and end <= b for a, b in opened):
                shown = f"{interval[0]:%H:%M}-{_end_text(interval[1])}"
                yield Problem((*path, day), f"{shown} lies outside the hours of room {room.code} on that day")


def _minutes(intervals: Iterable[tuple[time, time]]) -> list[tuple[int, int]]:
    """Intervals of a day in minutes, those that touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        first, last = start.hour * 60 + start.minute, (end.hour * 60 + end.minute) or 1440
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _modalities(plan: SitePlan) -> Problems:
    rooms = {room.code for room in plan.rooms}
    for i, modality in enumerate(plan.modalities):
        yield from _ae_title(modality.ae_title, ("modality", i, "ae_title"))
        if modality.ae_title and modality.ae_title == plan.ae_title:
            yield Problem(
                ("modality", i, "ae_title"), f"{modality.ae_title} is the AE title of the desk itself"
            )
        if len(modality.charsets) > 1 and not all(term.can_be_extended for term in modality.charsets):
            yield Problem(
                ("modality", i, "charsets"),
                "several in one value are all written as ISO 2022 IR …, plain letters as ISO 2022 IR 6",
            )
        if modality.room and modality.room not in rooms:
            yield Problem(("modality", i, "room"), f"there is no room {modality.room}")
        if modality.host and modality.port is None:
            yield Problem(("modality", i, "host"), "a host needs a port")


def _procedures(plan: SitePlan) -> Problems:
    kinds = {room.kind for room in plan.rooms}
    skills = {skill for person in plan.technologists for skill in person.skills}
    for i, procedure in enumerate(plan.procedures):
        if not 1 <= procedure.minutes <= PROCEDURE_MINUTES_MAX:
            yield Problem(("procedure", i, "minutes"), f"minutes lie between 1 and {PROCEDURE_MINUTES_MAX}")
        for j, kind in enumerate(procedure.room_kinds):
            if kind and kind not in kinds:
                yield Problem(("procedure", i, "room_kinds", j), f"no room is of kind {kind}")
        for j, skill in enumerate(procedure.skills):
            if skill and skill not in skills:
                yield Problem(("procedure", i, "skills", j), f"no technologist has the skill {skill}")
        for j, side in enumerate(procedure.laterality):
            if side not in SIDES:
                yield Problem(("procedure", i, "laterality", j), "a side is L, R or B (both)")
        if procedure.sex not in SEXES:
            yield Problem(("procedure", i, "sex"), "sex is F or M, or left out where it does not matter")
        lowest, highest = procedure.age_min_years, procedure.age_max_years
        if lowest is not None and highest is not None and highest < lowest:
            yield Problem(("procedure", i, "age_max_years"), "is below age_min_years")


def _orders_of_visits(plan: SitePlan) -> Problems:
    """`after` names procedures there are, and leads round in no circle; an escort needs somebody to be one."""
    first = {procedure.code: procedure.after for procedure in reversed(plan.procedures)}
    escorts = any(companion.kind is CompanionKind.ESCORT for companion in plan.companions)
    for i, procedure in enumerate(plan.procedures):
        for j, code in enumerate(procedure.after):
            if code and code not in first:
                yield Problem(("procedure", i, "after", j), f"there is no procedure {code}")
        if procedure.code and _comes_before(procedure.code, first):
            yield Problem(("procedure", i, "after"), f"{procedure.code} would come after itself")
        if procedure.escort and not escorts:
            yield Problem(("procedure", i, "escort"), "there is no companion of kind escort")


def _comes_before(code: str, first: Mapping[str, tuple[str, ...]]) -> bool:
    """True where following `after` from a procedure leads back to it."""
    seen: set[str] = set()
    ahead = list(first[code])
    while ahead:
        one = ahead.pop()
        if one == code:
            return True
        if one not in seen:
            seen.add(one)
            ahead += first.get(one, ())
    return False


def _people(plan: SitePlan) -> Problems:
    for i, companion in enumerate(plan.companions):
        yield from hours_problems(companion.shifts, ("companion", i, "shifts"))
        if companion.kind is CompanionKind.INTERPRETER and not companion.languages:
            yield Problem(("companion", i, "languages"), "an interpreter needs languages")
    for i, technologist in enumerate(plan.technologists):
        yield from hours_problems(technologist.shifts, ("technologist", i, "shifts"))
    for i, porter in enumerate(plan.porters):
        yield from hours_problems(porter.shifts, ("porter", i, "shifts"))


def _wards(plan: SitePlan) -> Problems:
    for i, ward in enumerate(plan.wards):
        if not 0 <= ward.travel_minutes <= TRAVEL_MINUTES_MAX:
            yield Problem(("ward", i, "travel_minutes"), f"minutes lie between 0 and {TRAVEL_MINUTES_MAX}")


def _destinations(plan: SitePlan) -> Problems:
    made_here = {modality.modality for modality in plan.modalities}
    for i, destination in enumerate(plan.destinations):
        if destination.takes_images:
            yield from _ae_title(destination.ae_title, ("destination", i, "ae_title"))
        yield from _certificates(destination, ("destination", i))
        yield from _web(destination, ("destination", i))
        for j, modality in enumerate(destination.sends):
            if modality not in made_here:
                yield Problem(
                    ("destination", i, "sends", j), f"no machine here makes images of type {modality}"
                )
        if destination.moves_to and not (
            destination.finds
            and destination.moves_to in {p.name for p in plan.destinations if p.takes_images}
        ):
            yield Problem(
                ("destination", i, "moves_to"), "is another destination, for one that is asked (finds = true)"
            )
        if destination.moves_to in {p.name for p in plan.destinations if p.outside or p.research}:
            yield Problem(
                ("destination", i, "moves_to"),
                "is of another house, or for research: earlier studies go where this house reads",
            )
        if destination.commits and destination.research:
            yield Problem(("destination", i, "commits"), "research gets copies: nobody promises to keep them")
        if destination.history and destination.research:
            yield Problem(("destination", i, "history"), "a requisition says whose it is: not for research")
        if destination.notices and (destination.outside or destination.research):
            yield Problem(
                ("destination", i, "notices"),
                "who is outside, or is for research, is told of no other images",
            )
        if destination.shift_dates and not destination.research:
            yield Problem(("destination", i, "shift_dates"), "is for a destination of a research project")
        if destination.outside and not destination.tls:
            yield Problem(
                ("destination", i, "outside"), "images leave the house encrypted: write tls = true as well"
            )


def _web(to: DestinationPlan, place: tuple[str, int]) -> Problems:
    """What is said of a destination's web address fits together."""
    if not to.web:
        for field in ("web_token", "web_password", "networks", "insecure"):
            if getattr(to, field):
                yield Problem((*place, field), "is for a destination that is asked by its web address (web)")
        return
    yield from _web_address(to.web, (*place, "web"), insecure=to.insecure)
    yield from _networks(to.networks, (*place, "networks"))
    if "?" in to.web:
        yield Problem((*place, "web"), "is the address of the services, without a search")
    if not to.finds:
        yield Problem(
            (*place, "finds"), "is missing: a web address is asked for earlier studies, write finds = true"
        )
    if to.web_token and to.web_password:
        yield Problem(
            (*place, "web_token"), "the desk shows a token or signs in with a password: write one of the two"
        )
    if len({bool(to.ae_title), bool(to.host), bool(to.port)}) > 1:
        yield Problem(
            (*place, "ae_title"),
            "ae_title, host and port go together: leave all three out where it is asked by its web address alone",
        )
    elif not to.takes_images:
        for field in NEEDS_IMAGES:
            if getattr(to, field):
                yield Problem(
                    (*place, field), "is for where images go: write ae_title, host and port as well"
                )


NEEDS_IMAGES = (
    "sends", "outside", "commits", "announces", "notices", "history", "research", "kilobytes_per_second_max", "tls",
)  # fmt: skip
"""What a destination that gets no images cannot say of itself."""


def _routes(plan: SitePlan) -> Problems:
    known: dict[str, tuple[str, set[str]]] = {
        "to": ("destination", {p.name for p in plan.destinations}),
        "not_to": ("destination", {p.name for p in plan.destinations}),
        "procedures": ("procedure", {p.code for p in plan.procedures}),
        "locations": ("location", {p.code for p in plan.locations}),
        "modalities": ("machine that makes images of type", {p.modality for p in plan.modalities}),
        "readers": ("reader on call", {p.code for p in plan.on_call if p.role is OnCallRole.READER}),
    }
    asked_alone = {p.name for p in plan.destinations if not p.takes_images}
    yield from _once([p.rule for p in plan.routes], lambda i: ("route", i, "rule"), "rule")
    for i, route in enumerate(plan.routes):
        if not route.to and not route.not_to:
            yield Problem(("route", i, "to"), "is missing: a rule names destinations in to, or in not_to")
        for j, name in enumerate(route.to):
            if name in asked_alone:
                yield Problem(
                    ("route", i, "to", j), f"{name} gets no images: it is asked by its web address alone"
                )
        for field, (word, there) in known.items():
            for j, code in enumerate(getattr(route, field)):
                if code and code not in there:
                    yield Problem(("route", i, field, j), f"there is no {word} {code}")
        for j, patient_class in enumerate(route.classes):
            if patient_class and not re.fullmatch("[A-Z]", patient_class):
                yield Problem(("route", i, "classes", j), PATIENT_CLASS_RULE)
        yield from hours_problems(route.hours, ("route", i, "hours"))


def _on_call(plan: SitePlan) -> Problems:
    locations = {location.code for location in plan.locations}
    yield from _once([p.code for p in plan.on_call], lambda i: ("on_call", i, "code"), "on_call")
    for i, person in enumerate(plan.on_call):
        yield from hours_problems(person.hours, ("on_call", i, "hours"))
        if not person.phone and not person.pager:
            yield Problem(("on_call", i, "phone"), "whoever is on call has a phone or a pager")
        for j, code in enumerate(person.locations):
            if code and code not in locations:
                yield Problem(("on_call", i, "locations", j), f"there is no location {code}")


def _links(plan: SitePlan) -> Problems:
    senders: dict[tuple[str, str, str], str] = {}
    for i, link in enumerate(plan.links):
        if link.kind and link.kind not in LINK_KINDS:
            yield Problem(("link", i, "kind"), f"a link's kind is one of: {', '.join(LINK_KINDS)}")
        if link.kind == "dicom":
            yield from _ae_title(link.sending_application, ("link", i, "sending_application"))
        if link.insecure and not link.peers:
            yield Problem(
                ("link", i, "insecure"),
                "a link in clear needs peers: the addresses or networks that may use it",
            )
        yield from _zone(link.timezone, ("link", i, "timezone"))
        if link.charset and not _is_charset(link.charset):
            yield Problem(("link", i, "charset"), f"there is no character set “{link.charset}”")
        for j, peer in enumerate(link.peers):
            if not is_network(peer):
                yield Problem(
                    ("link", i, "peers", j), f"“{peer}” is no address or network, such as 10.0.0.0/24"
                )
        for rule in link.fields:
            for place in rule.places:
                yield from _place(place, ("link", i, "fields", rule.name.value))
        for pair in link.controls:
            if pair.split(" ")[0] == NUMBER_PLEASE:
                yield Problem(("link", i, "controls", pair), "SN asks for a number: it can mean nothing else")
        sender = (link.kind, link.sending_application, link.sending_facility)
        if sender in senders and link.name != senders[sender]:
            yield Problem(
                ("link", i, "sending_application"),
                f"messages of {link.sending_application} at {link.sending_facility} belong to the link "
                f"{senders[sender]} already",
            )
        senders.setdefault(sender, link.name)


def _certificates(to: OutlinkPlan | DestinationPlan, place: tuple[str, int]) -> Problems:
    is_encrypted = to.tls or (isinstance(to, DestinationPlan) and to.web.startswith("https:"))
    if bool(to.certificate) != bool(to.key):
        yield Problem((*place, "certificate"), "a certificate needs its key, and a key its certificate")
    if (to.certificate or to.authority) and not is_encrypted:
        yield Problem((*place, "tls"), "certificates are for tls = true")


def _sftp(outlink: OutlinkPlan, i: int) -> Problems:
    if not outlink.folder:
        yield Problem(("outlink", i, "folder"), "is missing: where files are put at the host")
    if bool(outlink.key) == bool(outlink.password):
        yield Problem(("outlink", i, "user"), "signs in with a key or a password: write one of the two")
    if not outlink.host_keys:
        yield Problem(
            ("outlink", i, "host_keys"),
            "is missing: the fingerprint of the host's key, as `ssh-keyscan HOST | ssh-keygen -lf -` tells it",
        )
    for j, written in enumerate(outlink.host_keys):
        if not _FINGERPRINT.fullmatch(written):
            yield Problem(("outlink", i, "host_keys", j), f"“{written}” is no fingerprint; write SHA256:…")
    if outlink.tls or outlink.insecure or outlink.certificate or outlink.authority:
        yield Problem(
            ("outlink", i, "user"), "SFTP has its own keys: leave tls, insecure and certificates out"
        )


def _outlinks(plan: SitePlan) -> Problems:
    yield from _once([p.name for p in plan.outlinks], lambda i: ("outlink", i, "name"), "outlink")
    for i, outlink in enumerate(plan.outlinks):
        if outlink.user:
            yield from _sftp(outlink, i)
            continue
        if outlink.password or outlink.host_keys:
            yield Problem(("outlink", i, "user"), "is missing: a password and keys of a host are for SFTP")
        if outlink.folder and not outlink.folder.startswith("/"):
            yield Problem(
                ("outlink", i, "folder"), "is written from the root of the machine, as /srv/hl7/out"
            )
        if outlink.folder and outlink.host:
            yield Problem(("outlink", i, "folder"), "a system has a folder, or a host and port, not both")
        yield from _certificates(outlink, ("outlink", i))
        if outlink.host and not outlink.tls and not outlink.insecure and not is_loopback(outlink.host):
            yield Problem(
                ("outlink", i, "host"),
                f"{outlink.host} lies beyond this machine: write tls = true, "
                "or insecure = true where patients' data may go there in clear",
            )


def _ehrs(plan: SitePlan) -> Problems:
    names = {p.name for p in plan.links} | {p.name for p in plan.outlinks}
    yield from _once([p.name for p in plan.ehrs], lambda i: ("ehr", i, "name"), "ehr")
    for i, ehr in enumerate(plan.ehrs):
        if ehr.name in names:
            yield Problem(("ehr", i, "name"), f"there is a link or outlink {ehr.name} already")
        for field, address in (("base", ehr.base), ("token", ehr.token)):
            if address:
                yield from _web_address(address, ("ehr", i, field), insecure=ehr.insecure)
        if "?" in ehr.base:
            yield Problem(("ehr", i, "base"), "is the address of the server, without a search")
        for kind in ehr.pulls:
            if kind not in list(Pulls):
                yield Problem(("ehr", i, "pulls", kind), f"what is fetched is one of: {', '.join(Pulls)}")
        if bool(ehr.client_id) != bool(ehr.key):
            yield Problem(("ehr", i, "key"), "a client_id needs its key, and a key its client_id")
        if ehr.secret and not ehr.pulls:
            yield Problem(
                ("ehr", i, "secret"), "whoever calls the desk has something to be fetched: write pulls"
            )
        if ehr.only_its_orders and Pulls.REQUESTS not in ehr.pulls:
            yield Problem(
                ("ehr", i, "only_its_orders"),
                "needs orders that are fetched there: write ServiceRequest into pulls",
            )
        yield from _networks(ehr.networks, ("ehr", i, "networks"))


def _networks(told: Sequence[str], path: Path) -> Problems:
    for j, network in enumerate(told):
        if not is_network(network):
            yield Problem((*path, j), f"“{network}” is no address or network, such as 10.0.0.0/8")


def _subscribers(plan: SitePlan) -> Problems:
    yield from _once([p.name for p in plan.subscribers], lambda i: ("subscriber", i, "name"), "subscriber")
    for i, subscriber in enumerate(plan.subscribers):
        yield from _networks(subscriber.networks, ("subscriber", i, "networks"))


def _web_address(written: str, path: Path, *, insecure: bool) -> Problems:
    try:
        parts = urlsplit(written)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http") or parts.username is not None or parts.fragment:
        yield Problem(path, "is an address that begins with https:// and names a host, and nobody's password")
    elif parts.scheme == "http" and not insecure and not is_loopback(host):
        yield Problem(
            path,
            f"{host} lies beyond this machine: write https, "
            "or insecure = true where patients' data may go there in clear",
        )


def _issuers(plan: SitePlan) -> Problems:
    yield from _once([p.name for p in plan.issuers], lambda i: ("issuer", i, "name"), "issuer")
    yield from _once(
        [p.system for p in plan.issuers], lambda i: ("issuer", i, "system"), "issuer with the system"
    )
    for i, issuer in enumerate(plan.issuers):
        if ":" not in issuer.system or ":" in issuer.name:
            yield Problem(
                ("issuer", i, "system"), "is a URI, such as urn:oid:1.2.3 or https://…; the name is none"
            )


def _providers(plan: SitePlan) -> Problems:
    numbers = {p.number for p in plan.providers}
    yield from _once([p.number for p in plan.providers], lambda i: ("provider", i, "number"), "provider")
    for i, provider in enumerate(plan.providers):
        if provider.covered_by and provider.covered_by not in numbers:
            yield Problem(("provider", i, "covered_by"), f"there is no provider {provider.covered_by}")
        if provider.covered_by and provider.covered_by == provider.number:
            yield Problem(("provider", i, "covered_by"), "nobody covers for themselves")


def _place(written: str, path: Path) -> Problems:
    if not written:
        return
    try:
        Place.read(written)
    except ValueError as trouble:
        yield Problem(path, str(trouble))


def _is_charset(name: str) -> bool:
    try:
        codecs.lookup(name)
    except LookupError:
        return False
    return True


def _policies(plan: SitePlan) -> Problems:
    policies = plan.policies
    yield from hours_problems(policies.autopilot.hours, ("policies", "autopilot", "hours"))
    for doubt in policies.label_weights:
        if doubt not in tuple(LabelDoubt):
            known = ", ".join(d for d in LabelDoubt if d not in ALWAYS_HELD)
            yield Problem(("policies", "label_weights", doubt), f"there is no such doubt; known are: {known}")
        elif doubt in ALWAYS_HELD:
            yield Problem(
                ("policies", "label_weights", doubt), "holds an image whatever it weighs; leave it out"
            )
    for patient_class in policies.booking:
        if not _PATIENT_CLASS.fullmatch(patient_class):
            yield Problem(
                ("policies", "booking", patient_class),
                "a patient class is one capital letter as in PV1-2 (I, O, E…), or * for all others",
            )
    for j, patient_class in enumerate(policies.fetch_classes):
        if not re.fullmatch("[A-Z]", patient_class):
            yield Problem(
                ("policies", "fetch_classes", j),
                PATIENT_CLASS_RULE,
            )
    if 0 < policies.message_days < MESSAGE_DAYS_MIN:
        yield Problem(
            ("policies", "message_days"),
            f"is 0 for ever, or {MESSAGE_DAYS_MIN} and more: a sender may repeat what it sent weeks ago",
        )
    if policies.pregnancy_age_max_years < policies.pregnancy_age_min_years:
        yield Problem(("policies", "pregnancy_age_max_years"), "is below pregnancy_age_min_years")
