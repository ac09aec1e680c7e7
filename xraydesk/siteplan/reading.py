"""Reading a department from its TOML file, and from and to the JSON kept with the site. Pure.

The file's tables are `[site]`, `[[location]]`, `[[room]]`, `[[modality]]`, `[[procedure]]`,
`[[technologist]]`, `[[porter]]`, `[[companion]]`, `[[ward]]`, `[[provider]]`, `[[issuer]]`, `[[destination]]`, `[[route]]`, `[[on_call]]`, `[[link]]`, `[[outlink]]`, `[[ehr]]`, `[[subscriber]]`
and `[policies]`.
`docs/howto/site.md` tells of every field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path as FilePath

from xraydesk.siteplan.charsets import CharacterSet
from xraydesk.siteplan.jsonform import from_json, to_json
from xraydesk.siteplan.link_plan import (
    EhrPlan,
    FieldRule,
    IssuerPlan,
    LinkField,
    LinkPlan,
    OrderControl,
    OutlinkPlan,
    Pushes,
    Sends,
    SubscriberPlan,
    Version,
)
from xraydesk.siteplan.plan import (
    ClosurePlan,
    CompanionKind,
    CompanionPlan,
    KeptFor,
    KeptPlan,
    LocationPlan,
    ModalityPlan,
    PorterPlan,
    ProcedurePlan,
    ProviderPlan,
    RoomPlan,
    SitePlan,
    TechnologistPlan,
    WardPlan,
)
from xraydesk.siteplan.policies import AutopilotPlan, BookingWay, GivesWayTo, Policies
from xraydesk.siteplan.problems import SiteFileErrors
from xraydesk.siteplan.routing_plan import DestinationPlan, OnCallPlan, OnCallRole, RoutedPriority, RoutePlan
from xraydesk.siteplan.rules import check
from xraydesk.siteplan.table import Table
from xraydesk.siteplan.toml_file import made_of, text_of

__all__ = ["SiteFileErrors", "from_json", "read_toml", "read_toml_text", "to_json"]

ROWS_MAX = 2000
"""Entries of one kind in a file."""


def read_toml(path: FilePath, *, item_kinds: Collection[str] = ()) -> SitePlan:
    """The department that a site file describes.

    Raises SiteFileErrors with everything that is wrong, each with its line and field, and
    OSError where the file cannot be read. A file may have 1 MiB.
    """
    return read_toml_text(text_of(path), item_kinds=item_kinds)


def read_toml_text(text: str, *, item_kinds: Collection[str] = ()) -> SitePlan:
    """The department that the text of a site file describes; raises SiteFileErrors as `read_toml` does."""
    return made_of(text, _plan, lambda plan: check(plan, item_kinds=item_kinds))


def _plan(top: Table) -> SitePlan:
    site = top.table("site")
    plan = SitePlan(
        code=site.code("code"),
        name=site.text("name"),
        timezone=site.text("timezone", length_max=64),
        assigning_authority=site.text("assigning_authority", length_max=64),
        ae_title=site.text("ae_title", length_max=64),
        locations=tuple(_location(t) for t in top.tables("location", ROWS_MAX, needed=True)),
        rooms=tuple(_room(t) for t in top.tables("room", ROWS_MAX, needed=True)),
        modalities=tuple(_modality(t) for t in top.tables("modality", ROWS_MAX)),
        procedures=tuple(_procedure(t) for t in top.tables("procedure", ROWS_MAX, needed=True)),
        technologists=tuple(_technologist(t) for t in top.tables("technologist", ROWS_MAX)),
        porters=tuple(_porter(t) for t in top.tables("porter", ROWS_MAX)),
        companions=tuple(_companion(t) for t in top.tables("companion", ROWS_MAX)),
        wards=tuple(_ward(t) for t in top.tables("ward", ROWS_MAX)),
        destinations=tuple(_destination(t) for t in top.tables("destination", ROWS_MAX)),
        routes=tuple(route(t) for t in top.tables("route", ROWS_MAX)),
        on_call=tuple(on_call(t) for t in top.tables("on_call", ROWS_MAX)),
        links=tuple(_link(t) for t in top.tables("link", ROWS_MAX)),
        outlinks=tuple(_outlink(t) for t in top.tables("outlink", ROWS_MAX)),
        ehrs=tuple(_ehr(t) for t in top.tables("ehr", ROWS_MAX)),
        providers=tuple(_provider(t) for t in top.tables("provider", ROWS_MAX)),
        issuers=tuple(_issuer(t) for t in top.tables("issuer", ROWS_MAX)),
        subscribers=tuple(_subscriber(t) for t in top.tables("subscriber", ROWS_MAX)),
        policies=_policies(top.table("policies", needed=False)),
    )
    site.nothing_else()
    return plan


def _location(t: Table) -> LocationPlan:
    return t.done(LocationPlan(code=t.code("code"), name=t.text("name")))


def _room(t: Table) -> RoomPlan:
    return t.done(
        RoomPlan(
            code=t.code("code"),
            name=t.text("name"),
            location=t.code("location"),
            kind=t.text("kind", length_max=32),
            hours=t.hours("hours"),
            closures=tuple(
                c.done(ClosurePlan(c.moment("start"), c.moment("end"), c.text("reason", length_max=200)))
                for c in t.tables("closures", ROWS_MAX)
            ),
            abilities=t.texts("abilities"),
            seats=t.whole("seats", 1, 20, default=1),
            published=t.hours("published", needed=False),
            slot_minutes=t.whole("slot_minutes", 5, 480, default=RoomPlan.slot_minutes),
            kept=tuple(
                k.done(
                    KeptPlan(
                        whom=k.words("whom", KeptFor),
                        hours=k.hours("hours"),
                        release_minutes=k.whole("release_minutes", 0, 10_080, default=0),
                    )
                )
                for k in t.tables("kept", ROWS_MAX)
            ),
        )
    )


def _modality(t: Table) -> ModalityPlan:
    return t.done(
        ModalityPlan(
            ae_title=t.text("ae_title", length_max=64),
            room=t.code("room"),
            modality=t.modality("modality"),
            station_name=t.text("station_name", default="", length_max=16),
            host=t.text("host", default="", length_max=255),
            port=t.whole_or_none("port", 1, 65535),
            charsets=t.words("charsets", CharacterSet, needed=False),
        )
    )


def _procedure(t: Table) -> ProcedurePlan:
    return t.done(
        ProcedurePlan(
            code=t.text("code", length_max=32),
            text=t.text("text"),
            minutes=t.whole("minutes"),
            room_kinds=t.texts("room_kinds", needed=True),
            system=t.text("system", default="L", length_max=32),
            body_part=t.text("body_part", default="", length_max=16),
            laterality=t.texts("laterality"),
            views=t.texts("views"),
            modality=t.modality("modality", default="DX"),
            skills=t.texts("skills"),
            preparation=t.text("preparation", default="", length_max=250),
            preparation_minutes=t.whole("preparation_minutes", 0, 480, default=0),
            escort=t.yes_no("escort"),
            after=t.texts("after"),
            pregnancy_check=t.yes_no("pregnancy_check"),
            sex=t.text("sex", default="", length_max=1),
            age_min_years=t.whole_or_none("age_min_years", 0, 150),
            age_max_years=t.whole_or_none("age_max_years", 0, 150),
            charge_code=t.text("charge_code", default="", length_max=32),
        )
    )


def _technologist(t: Table) -> TechnologistPlan:
    return t.done(
        TechnologistPlan(t.code("code"), t.text("name"), skills=t.texts("skills"), shifts=t.hours("shifts"))
    )


def _porter(t: Table) -> PorterPlan:
    return t.done(PorterPlan(t.code("code"), t.text("name"), shifts=t.hours("shifts")))


def _companion(t: Table) -> CompanionPlan:
    return t.done(
        CompanionPlan(
            code=t.code("code"),
            name=t.text("name"),
            kind=t.word("kind", CompanionKind),
            shifts=t.hours("shifts"),
            languages=t.texts("languages"),
        )
    )


def _ward(t: Table) -> WardPlan:
    return t.done(
        WardPlan(
            code=t.text("code", length_max=64),
            name=t.text("name"),
            phone=t.text("phone", default="", length_max=64),
            travel_minutes=t.whole("travel_minutes", default=5),
            emergency=t.yes_no("emergency"),
            team=t.text("team", default=""),
            team_phone=t.text("team_phone", default="", length_max=64),
        )
    )


def _provider(t: Table) -> ProviderPlan:
    return t.done(
        ProviderPlan(
            number=t.text("number", length_max=64),
            name=t.text("name", length_max=200),
            phone=t.text("phone", default="", length_max=64),
            covered_by=t.text("covered_by", default="", length_max=64),
        )
    )


def _issuer(t: Table) -> IssuerPlan:
    return t.done(IssuerPlan(name=t.text("name", length_max=227), system=t.text("system", length_max=227)))


def _outlink(t: Table) -> OutlinkPlan:
    has_folder = "folder" in t.data and "user" not in t.data
    return t.done(
        OutlinkPlan(
            name=t.code("name"),
            host=t.text("host", default="" if has_folder else None, length_max=255),
            port=t.whole("port", 1, 65535, default=1 if has_folder else None),
            sends=t.words("sends", Sends),
            folder=t.text("folder", default="", length_max=500),
            certificate=t.text("certificate", default="", length_max=500),
            key=t.text("key", default="", length_max=500),
            authority=t.text("authority", default="", length_max=500),
            sending_application=t.text("sending_application", length_max=180),
            sending_facility=t.text("sending_facility", length_max=180),
            receiving_application=t.text("receiving_application", length_max=180),
            receiving_facility=t.text("receiving_facility", length_max=180),
            user=t.text("user", default="", length_max=120),
            password=t.text("password", default="", length_max=500),
            host_keys=t.texts("host_keys", length_max=64),
            tls=t.yes_no("tls"),
            insecure=t.yes_no("insecure"),
            version=t.word("version", Version, default=Version.V2_5_1),
        )
    )


def _ehr(t: Table) -> EhrPlan:
    return t.done(
        EhrPlan(
            name=t.code("name"),
            base=t.text("base", length_max=500).rstrip("/"),
            pulls=t.names("pulls", length_max=500),
            sends=t.words("sends", Pushes) if "sends" in t.data else (),
            client_id=t.text("client_id", default="", length_max=200),
            key=t.text("key", default="", length_max=500),
            token=t.text("token", default="", length_max=500),
            authority=t.text("authority", default="", length_max=500),
            secret=t.text("secret", default="", length_max=500),
            only_its_orders=t.yes_no("only_its_orders"),
            networks=t.texts("networks", length_max=64),
            insecure=t.yes_no("insecure"),
        )
    )


def _subscriber(t: Table) -> SubscriberPlan:
    return t.done(
        SubscriberPlan(
            name=t.text("name", length_max=64),
            networks=t.texts("networks", length_max=64),
            authority=t.text("authority", default="", length_max=500),
            insecure=t.yes_no("insecure"),
        )
    )


def _destination(t: Table) -> DestinationPlan:
    web = t.text("web", default="", length_max=500).rstrip("/")
    # What is asked by its web address alone gets no images, and needs no place to send them to.
    needed = "" if web else None
    return t.done(
        DestinationPlan(
            name=t.code("name"),
            ae_title=t.text("ae_title", default=needed, length_max=64),
            host=t.text("host", default=needed, length_max=255),
            port=t.whole("port", 1, 65535, default=0 if web else None),
            sends=t.texts("sends"),
            outside=t.yes_no("outside"),
            finds=t.yes_no("finds"),
            moves_to=t.text("moves_to", default="", length_max=32),
            commits=t.yes_no("commits"),
            commits_within_minutes=t.whole(
                "commits_within_minutes", 1, 10_080, default=DestinationPlan.commits_within_minutes
            ),
            announces=t.yes_no("announces"),
            notices=t.yes_no("notices"),
            history=t.yes_no("history"),
            research=t.text("research", default="", length_max=64),
            shift_dates=t.yes_no("shift_dates"),
            associations=t.whole("associations", 1, 8, default=DestinationPlan.associations),
            kilobytes_per_second_max=t.whole("kilobytes_per_second_max", 0, 10_000_000, default=0),
            tls=t.yes_no("tls"),
            certificate=t.text("certificate", default="", length_max=500),
            key=t.text("key", default="", length_max=500),
            authority=t.text("authority", default="", length_max=500),
            web=web,
            web_token=t.text("web_token", default="", length_max=500),
            web_password=t.text("web_password", default="", length_max=500),
            networks=t.texts("networks", length_max=64),
            insecure=t.yes_no("insecure"),
        )
    )


def route(t: Table) -> RoutePlan:
    """One `[[route]]` of a file."""
    return t.done(
        RoutePlan(
            rule=t.text("rule"),
            to=t.texts("to"),
            not_to=t.texts("not_to"),
            procedures=t.texts("procedures"),
            locations=t.texts("locations"),
            priorities=t.words("priorities", RoutedPriority, needed=False),
            classes=t.texts("classes", length_max=1),
            modalities=t.texts("modalities"),
            readers=t.texts("readers"),
            hours=t.hours("hours", needed=False),
        )
    )


def on_call(t: Table) -> OnCallPlan:
    """One `[[on_call]]` of a file."""
    return t.done(
        OnCallPlan(
            code=t.code("code"),
            name=t.text("name"),
            hours=t.hours("hours"),
            role=t.word("role", OnCallRole, default=OnCallRole.READER),
            phone=t.text("phone", default="", length_max=64),
            pager=t.text("pager", default="", length_max=64),
            locations=t.texts("locations"),
        )
    )


def _link(t: Table) -> LinkPlan:
    kind = t.text("kind", length_max=16)
    return t.done(
        LinkPlan(
            name=t.code("name"),
            kind=kind,
            sending_application=t.text("sending_application", length_max=180),
            sending_facility=t.text(
                "sending_facility", default="" if kind == "dicom" else None, length_max=180
            ),
            receiving_application=t.text("receiving_application", default="", length_max=180),
            receiving_facility=t.text("receiving_facility", default="", length_max=180),
            charset=t.text("charset", default="utf-8", length_max=32),
            timezone=t.text("timezone", default="", length_max=64),
            identifier_authority=t.text("identifier_authority", default="", length_max=64),
            application_replies=t.yes_no("application_replies"),
            insecure=t.yes_no("insecure"),
            peers=t.texts("peers", length_max=64),
            fields=link_fields(t.table("fields", needed=False)),
            controls=_controls(t),
        )
    )


def _controls(t: Table) -> Mapping[str, OrderControl]:
    """The `[link.controls]` of a file: ORC-1 alone, or ORC-1 and ORC-5 with a space between, each with what is meant."""
    found: dict[str, OrderControl] = {}
    for written, meant in t.choices("controls", OrderControl).items():
        pair = " ".join(written.upper().split())
        if not pair or pair in found:
            t.problem("controls", "must be ORC-1, alone or with an ORC-5, each pair once", written)
        found[pair] = meant
    return found


def link_fields(t: Table) -> tuple[FieldRule, ...]:
    """One `[link.fields]` of a file: a place in quotes, several in brackets, or a table of `from` and `values`."""
    found = []
    for name in LinkField:
        if name in t.data and isinstance(t.data[name], dict):
            rule = t.table(name)
            found.append(rule.done(FieldRule(name, rule.text_or_texts("from"), rule.names("values"))))
        elif places := t.text_or_texts(name, needed=False):
            found.append(FieldRule(name, places))
    return t.done(tuple(found))


def _policies(t: Table) -> Policies:
    usual = Policies()
    ways: Mapping[str, BookingWay] = t.choices("booking", BookingWay)
    return t.done(
        Policies(
            booking=ways,
            duplicate_window_hours=t.whole("duplicate_window_hours", 0, 8760, usual.duplicate_window_hours),
            accept_unknown_procedure=t.yes_no("accept_unknown_procedure"),
            stat_due_minutes=t.whole("stat_due_minutes", 1, 10_080, usual.stat_due_minutes),
            urgent_due_minutes=t.whole("urgent_due_minutes", 1, 10_080, usual.urgent_due_minutes),
            pregnancy_age_min_years=t.whole("pregnancy_age_min_years", 0, 150, usual.pregnancy_age_min_years),
            pregnancy_age_max_years=t.whole("pregnancy_age_max_years", 0, 150, usual.pregnancy_age_max_years),
            item_minutes=t.wholes("item_minutes", 1, 43_200),
            step_open_hours=t.whole("step_open_hours", 1, 168, usual.step_open_hours),
            booking_days_ahead=t.whole("booking_days_ahead", 1, 366, usual.booking_days_ahead),
            hold_minutes=t.whole("hold_minutes", 1, 240, usual.hold_minutes),
            languages=t.texts("languages"),
            cleaning_minutes=t.whole("cleaning_minutes", 0, 240, usual.cleaning_minutes),
            fetch_classes=t.texts("fetch_classes", length_max=1, default=usual.fetch_classes),
            fetch_early_minutes=t.whole("fetch_early_minutes", 0, 120, usual.fetch_early_minutes),
            phrases=t.wholes("phrases", 1, 3),
            tell_minutes=t.three("tell_minutes", 1, 43_200, usual.tell_minutes),
            next_person_minutes=t.three("next_person_minutes", 1, 43_200, usual.next_person_minutes),
            stat_read_minutes=t.whole("stat_read_minutes", 1, 240, usual.stat_read_minutes),
            charge_needs_report=t.yes_no("charge_needs_report", usual.charge_needs_report),
            autopilot=_autopilot(t.table("autopilot", needed=False)),
            label_limit=t.whole("label_limit", 1, 1000, usual.label_limit),
            label_weights=t.wholes("label_weights", 0, 1000),
            look_at_pictures=t.yes_no("look_at_pictures", usual.look_at_pictures),
            message_days=t.whole("message_days", 0, 36_500, usual.message_days),
            image_days=t.whole("image_days", 0, 36_500, usual.image_days),
            image_unpromised_hours=t.whole("image_unpromised_hours", 1, 8760, usual.image_unpromised_hours),
            spool_gigabytes_max=t.whole("spool_gigabytes_max", 0, 1_000_000, usual.spool_gigabytes_max),
            spool_warn_percent=t.whole("spool_warn_percent", 1, 100, usual.spool_warn_percent),
        )
    )


def _autopilot(t: Table) -> AutopilotPlan:
    usual = AutopilotPlan()
    return t.done(
        AutopilotPlan(
            on=t.yes_no("on", usual.on),
            priorities=t.words("priorities", GivesWayTo, default=usual.priorities),
            moved_minutes_max=t.whole("moved_minutes_max", 0, 480, usual.moved_minutes_max),
            near_minutes=t.whole("near_minutes", 0, 1440, usual.near_minutes),
            moves_max=t.whole("moves_max", 1, 20, usual.moves_max),
            hours=t.hours("hours", needed=False),
        )
    )
