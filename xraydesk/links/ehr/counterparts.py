"""What stands for what: resources of an EHR and rows here. The only writer of its table."""

from __future__ import annotations

from datetime import datetime

from xraydesk.access.models import Site
from xraydesk.links.models import Counterpart


def of_remote(site: Site, ehr: str, kind: str, remote_id: str) -> Counterpart | None:
    """What an EHR's resource is here, if it ever came."""
    return Counterpart.objects.filter(site=site, ehr=ehr, kind=kind, remote_id=remote_id).first()


def of_row(site: Site, ehr: str, kind: str, key: int) -> Counterpart | None:
    """The resource there that a row was made of; the newest where there are several."""
    return Counterpart.objects.filter(site=site, ehr=ehr, kind=kind, key=key).order_by("-at", "-id").first()


def of_own(site: Site, ehr: str, kind: str, own: str) -> Counterpart | None:
    """The resource that the desk wrote there under a number of its own."""
    return Counterpart.objects.filter(site=site, ehr=ehr, kind=kind, own=own).first()


def note_heard(
    site: Site, ehr: str, kind: str, remote_id: str, *, version: str, key: int | None, at: datetime
) -> None:
    """A version was fetched; it is the row `key` here, where one was made of it."""
    values: dict[str, object] = {"heard": version, "at": at}
    if key is not None:
        values["key"] = key
    Counterpart.objects.update_or_create(site=site, ehr=ehr, kind=kind, remote_id=remote_id, defaults=values)


def note_written(
    site: Site, ehr: str, kind: str, own: str, *, remote_id: str, version: str, at: datetime
) -> None:
    """The desk wrote something there: its id and the version that this made."""
    Counterpart.objects.filter(site=site, ehr=ehr, kind=kind, own=own).exclude(remote_id=remote_id).delete()
    Counterpart.objects.update_or_create(
        site=site,
        ehr=ehr,
        kind=kind,
        remote_id=remote_id,
        defaults={"own": own, "written": version, "at": at},
    )


def forget_written(site: Site, ehr: str, kind: str, own: str) -> None:
    """What the desk wrote is there no more."""
    Counterpart.objects.filter(site=site, ehr=ehr, kind=kind, own=own).delete()
