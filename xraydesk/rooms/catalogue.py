"""Rooms, machines and wards as the site file says: the only writer of these rows (their notes and states aside)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xraydesk.access.models import Location, Site
from xraydesk.lib.rows import put_rows
from xraydesk.rooms.models import Modality, Room, Ward
from xraydesk.siteplan.jsonform import plain
from xraydesk.siteplan.plan import ModalityPlan, RoomPlan, WardPlan


def put_rooms(*, site: Site, plans: Sequence[RoomPlan], locations: Mapping[str, Location]) -> dict[str, Room]:
    """Bring the rooms to what the plan says, in its order; those that it no longer has are retired.

    `closures` is kept as a list of `{"start", "end", "reason"}` in ISO wall time.
    """
    wanted = {
        plan.code: {
            "location_id": locations[plan.location].pk,
            "name": plan.name,
            "kind": plan.kind,
            "hours": plain(plan.hours),
            "closures": plain(plan.closures),
            "abilities": list(plan.abilities),
            "seats": plan.seats,
            "published": plain(plan.published),
            "slot_minutes": plan.slot_minutes,
            "kept": plain(plan.kept),
            "sort": position,
        }
        for position, plan in enumerate(plans, start=1)
    }
    rooms = put_rows(Room.objects.filter(site=site), key=("code",), wanted=wanted, fixed={"site": site})
    return {room.code: room for room in rooms.values()}


def put_modalities(*, site: Site, plans: Sequence[ModalityPlan], rooms: Mapping[str, Room]) -> None:
    """Bring the machines to what the plan says; an AE title that it no longer has is retired."""
    wanted = {
        plan.ae_title: {
            "room_id": rooms[plan.room].pk,
            "modality": plan.modality,
            "station_name": plan.station_name,
            "host": plan.host,
            "port": plan.port,
            "charsets": [str(term) for term in plan.charsets],
        }
        for plan in plans
    }
    put_rows(Modality.objects.filter(site=site), key=("ae_title",), wanted=wanted, fixed={"site": site})


def put_wards(*, site: Site, plans: Sequence[WardPlan]) -> None:
    """Bring the wards to what the plan says; those that it no longer has are retired."""
    wanted = {
        plan.code: {
            "name": plan.name,
            "phone": plan.phone,
            "travel_minutes": plan.travel_minutes,
            "emergency": plan.emergency,
        }
        for plan in plans
    }
    put_rows(Ward.objects.filter(site=site), key=("code",), wanted=wanted, fixed={"site": site})
