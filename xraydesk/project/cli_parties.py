"""`xraydesk parties log`: what the simulated parties did wrong on purpose, and whether the desk noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xraydesk.access.models import Site
    from xraydesk.parties.faults import Done

BEFORE = timedelta(minutes=5)
"""A mishap is written down after it was done: what the desk noticed may be so much older."""


def log_rows(site: Site, done: list[Done]) -> Iterator[dict[str, Any]]:
    """Each mishap with what the desk should have noticed, whether it did, and how one sees that."""
    for one in done:
        how = NOTICED[one.fault.value](site, one.about, datetime.fromisoformat(one.at) - BEFORE)
        yield {
            "at": one.at,
            "fault": one.fault.value,
            "about": one.about,
            "done": one.done,
            "should_notice": one.should_notice,
            "noticed": bool(how),
            "how": how or None,
        }


def _accession_of(site: Site, placer: str) -> str:
    from xraydesk.orders.models import Exam

    found = Exam.objects.filter(site=site, order__placer=placer).values_list("accession", flat=True).first()
    return found or ""


def _fact(site: Site, kinds: tuple[str, ...], since: datetime, **about: Any) -> str:
    from xraydesk.facts.models import Fact

    found = Fact.objects.filter(site=site, kind__in=kinds, at__gte=since, **about).order_by("id").first()
    return f"fact “{found.kind}”" if found else ""


def _item(site: Site, kind: str, since: datetime, **about: Any) -> str:
    from xraydesk.attention.models import Item

    found = Item.objects.filter(site=site, kind=kind, at__gte=since, **about).order_by("id").first()
    return f"item “{found.kind}”" if found else ""


def _wrong_entry(site: Site, about: dict[str, str], since: datetime) -> str:
    return _fact(site, ("reopened", "discontinued"), since, accession=about["accession"])


def _wrong_side(site: Site, about: dict[str, str], since: datetime) -> str:
    """The charge is held, or its item was there; before the exam has ended there is nothing to hold."""
    accession = about["accession"]
    return _item(site, "charge held", since, accession=accession) or _fact(
        site, ("charge held",), since, accession=accession, data__why__icontains="the images show"
    )


def _unscheduled(site: Site, about: dict[str, str], since: datetime) -> str:
    return _item(site, "exam without an order", since, text__contains=about["ae_title"])


def _breakdown(site: Site, about: dict[str, str], since: datetime) -> str:
    return _fact(site, ("room down",), since, room=about["room"])


def _duplicate(site: Site, about: dict[str, str], since: datetime) -> str:
    accession = _accession_of(site, about["placer"])
    return _fact(site, ("held in triage",), since, accession=accession) if accession else ""


def _moved(site: Site, about: dict[str, str], since: datetime) -> str:
    from xraydesk.patients.models import PatientIdentifier

    patient = (
        PatientIdentifier.objects.filter(site=site, value=about["patient"])
        .values_list("patient", flat=True)
        .first()
    )
    return _fact(site, ("patient moved",), since, patient=patient) if patient else ""


def _cancelled(site: Site, about: dict[str, str], since: datetime) -> str:
    accession = _accession_of(site, about["placer"])
    return _item(site, "cancelled after it began", since, accession=accession) if accession else ""


def _twice(site: Site, about: dict[str, str], since: datetime) -> str:
    from xraydesk.links.models import Message

    found = Message.objects.filter(site=site, control_id=about["control_id"], at__gte=since)
    rows = list(found.values_list("seen", flat=True))
    return "one message, seen twice" if len(rows) == 1 and rows[0] > 1 else ""


def _late_order(site: Site, about: dict[str, str], since: datetime) -> str:
    """Joined to the exam that was done, by rule or by a person, or put before one; booked nowhere."""
    from xraydesk.orders.models import Exam

    joined = _fact(site, ("order came late",), since, data__placer=about["placer"])
    ordered = Exam.objects.filter(site=site, order__placer=about["placer"]).values("accession")
    return joined or _item(site, "order of an exam done already", since, accession__in=ordered)


def _no_show(site: Site, about: dict[str, str], since: datetime) -> str:
    return _fact(site, ("no-show",), since, accession=about["accession"])


def _answered(site: Site, about: dict[str, str], since: datetime) -> tuple[str, int]:
    """The state of the message that the EHR answered, and how often it was sent."""
    from xraydesk.links.models import Message

    found = Message.objects.filter(
        site=site, direction="out", link=about["link"], control_id=about["control_id"]
    )
    return found.values_list("state", "attempts").first() or ("", 0)


def _answer_taken(site: Site, about: dict[str, str], since: datetime) -> str:
    """It may have been tried before while the EHR was away; that is no second sending."""
    state, _ = _answered(site, about, since)
    return "accepted" if state == "accepted" else ""


def _answer_lost(site: Site, about: dict[str, str], since: datetime) -> str:
    state, attempts = _answered(site, about, since)
    return f"accepted, sent {attempts} times" if state == "accepted" and attempts > 1 else ""


def _answer_bad(site: Site, about: dict[str, str], since: datetime) -> str:
    """An item names the message; a charge that was refused is held, with its own."""
    from xraydesk.links.models import Message

    found = Message.objects.filter(site=site, link=about["link"], control_id=about["control_id"])
    accession = found.values_list("accession", flat=True).first() or ""
    return _item(site, "message could not be sent", since, control_id=about["control_id"]) or (
        _fact(site, ("charge held",), since, accession=accession)
        if about["control_id"].startswith("D")
        else ""
    )


def _away(site: Site, about: dict[str, str], since: datetime) -> str:
    """Nothing is left that was to go before it went away; where nothing was to go, nothing was noticed, nor lost."""
    from xraydesk.links.models import Message

    before = Message.objects.filter(site=site, direction="out", link=about["link"], at__lte=since + BEFORE)
    left = before.filter(state__in=("queued", "sent")).count()
    return "" if left else "everything from before has gone"


def _by_fhir(site: Site, about: dict[str, str], since: datetime) -> str:
    """What was to be written before is there, and whatever is fetched was fetched since."""
    from xraydesk.links.models import Fetching

    if not _away(site, about, since):
        return ""
    asked = list(Fetching.objects.filter(site=site, ehr=about["link"]))
    later = [one for one in asked if one.answered_at and one.answered_at > since + BEFORE]
    if about["method"] == "GET" and len(later) < len(asked):
        return ""
    return "asked again and answered" if about["method"] == "GET" else "everything from before is written"


NOTICED: dict[str, Callable[[Site, dict[str, str], datetime], str]] = {
    "wrong worklist entry": _wrong_entry,
    "wrong side marker": _wrong_side,
    "unscheduled trauma": _unscheduled,
    "room breaks down": _breakdown,
    "duplicate order": _duplicate,
    "patient moved to another ward": _moved,
    "order cancelled while in the room": _cancelled,
    "message sent twice": _twice,
    "late order after the image": _late_order,
    "patient does not come": _no_show,
    "answer comes late": _answer_taken,
    "hung up before the answer": _answer_lost,
    "answered twice": _answer_taken,
    "answered AE": _answer_bad,
    "answered AR": _answer_bad,
    "EHR away": _away,
    "FHIR: answered late": _by_fhir,
    "FHIR: answered 503": _by_fhir,
    "FHIR: answered 429": _by_fhir,
    "FHIR: answer cut off": _by_fhir,
    "FHIR: answered a web page": _by_fhir,
    "FHIR: token ended early": _by_fhir,
    "FHIR: next page lies elsewhere": _by_fhir,
    "FHIR: listed twice": _by_fhir,
}
"""By mishap: what shows that the desk noticed, in words; empty where nothing does."""
