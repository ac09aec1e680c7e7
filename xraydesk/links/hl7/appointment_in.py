"""SIU messages of a system that gives appointments itself: times for orders that are here (HL7 2.5.1 §10.4); pure."""

from __future__ import annotations

from xraydesk.links.hl7.order import PLACER_LENGTH_MAX, filler_of, groups_of, placer_of, start_as_sent
from xraydesk.links.hl7.patient import demographics_of
from xraydesk.links.hl7.reader import NOWHERE, Message
from xraydesk.links.hl7.refusals import Condition, NeedsPerson, Rejected
from xraydesk.links.hl7.times import read_time
from xraydesk.orders.appointments import AppointmentKind, AppointmentNews, AskedStart
from xraydesk.patients.demographics import Demographics

EVENTS = {
    **dict.fromkeys(("S12", "S13", "S14", "S18", "S19", "S20", "S21", "S22"), AppointmentKind.GIVEN),
    **dict.fromkeys(("S15", "S16", "S17"), AppointmentKind.CALLED_OFF),
    "S26": AppointmentKind.MISSED,
}
"""SIU triggers, and what each says of the appointment."""

NOT_OURS = frozenset({"S23", "S24"})
"""Time of a schedule that is blocked or opened: rooms and people have their hours from the site file."""

ORDERS_MAX = 20
"""No appointment may be of more orders than this."""


def read_appointments(message: Message, trigger: str, zone: str) -> tuple[AppointmentNews, ...]:
    """What a message tells, one entry an order; empty where it names none: then it is no appointment of this department.

    `trigger` is one of EVENTS. Raises Rejected where the sender must correct it, NeedsPerson where a person must act.
    """
    orders = _orders(message)
    if not orders:
        return ()
    if len(orders) > ORDERS_MAX:
        raise Rejected(
            Condition.DATA_TYPE,
            "SCH^1^26",
            f"More than {ORDERS_MAX} orders in one message: send them in parts",
        )
    pids = list(message.all("PID"))
    if len(pids) > 1:
        raise NeedsPerson("One appointment of several patients: nothing was changed. Book each of them here")
    kind = EVENTS[trigger]
    patient = demographics_of(pids[0] if pids else NOWHERE, NOWHERE, zone, number=1)
    # A visit in it is the appointment's own: the order's ward and bed stay what they are.
    patient = Demographics(identifiers=patient.identifiers, name=patient.name, birth_date=patient.birth_date)
    starts = _starts(message, zone) if kind is AppointmentKind.GIVEN else ()
    return tuple(AppointmentNews(kind, patient, *numbers, starts) for numbers in orders)


def _orders(message: Message) -> list[tuple[str, str, str]]:
    """Placer number, its issuer and filler number of each order: of an ORC or OBR where there is one, else SCH-26, SCH-27."""
    found = [(*placer_of(group), filler_of(group)) for group in groups_of(message)]
    if not any(placer or filler for placer, _, filler in found):
        sch = message.first("SCH")
        count = max(len(sch.repetitions(26)), len(sch.repetitions(27)))
        found = [
            (
                sch.get(26, repetition=n).strip(),
                (sch.get(26, 2, repetition=n) or sch.get(26, 3, repetition=n)).strip(),
                sch.get(27, repetition=n).strip(),
            )
            for n in range(1, count + 1)
        ]
    for placer, _, filler in found:
        if max(len(placer), len(filler)) > PLACER_LENGTH_MAX:
            raise Rejected(
                Condition.DATA_TYPE,
                "SCH^1^26",
                f"An order number has more than {PLACER_LENGTH_MAX} characters",
            )
    return list(dict.fromkeys(one for one in found if one[0] or one[2]))


def _starts(message: Message, zone: str) -> tuple[AskedStart, ...]:
    """When it begins: as an order in it says, else AIS-4 of each service, else TQ1-7 and SCH-11.4."""
    said = [("", start_as_sent(group)) for group in groups_of(message)]
    said += [(ais.get(3).strip(), ais.get(4).strip()) for ais in message.all("AIS")]
    said += [("", message.first("TQ1").get(7).strip()), ("", message.first("SCH").get(11, 4).strip())]
    read = [(code, read_time(text, zone), text) for code, text in said]
    found = tuple(AskedStart(code, at, text) for code, at, text in read if at is not None)
    if not found:
        raise Rejected(
            Condition.FIELD_MISSING, "AIS^1^4", "The appointment has no time (AIS-4, TQ1-7 or SCH-11.4)"
        )
    return found
