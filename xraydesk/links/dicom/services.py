"""Which code answers for which SOP class: the listener's table of services."""

from __future__ import annotations

from collections.abc import Iterable

from xraydesk.links.dicom import available, commit, echo, mpps, store, worklist
from xraydesk.links.dicom.service import Service


def all_services() -> tuple[Service, ...]:
    """Every service of the desk's DICOM listener."""
    return (echo.SERVICE, worklist.SERVICE, mpps.SERVICE, store.SERVICE, commit.SERVICE, available.SERVICE)


def by_sop_class(services: Iterable[Service]) -> dict[str, Service]:
    """The services by SOP class UID; a class belongs to one service."""
    table: dict[str, Service] = {}
    for service in services:
        for sop_class in service.sop_classes:
            if sop_class in table:
                raise ValueError(f"{sop_class} is offered by {table[sop_class].name} and {service.name}")
            table[sop_class] = service
    return table
