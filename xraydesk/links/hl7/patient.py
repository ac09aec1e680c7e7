"""What a message says of the patient (PID, PV1, AL1), and news of a stay (ADT); pure."""

from __future__ import annotations

from xraydesk.links.hl7.reader import NULL, Message, Segment, part
from xraydesk.links.hl7.refusals import Condition, Rejected
from xraydesk.links.hl7.times import read_date, read_time
from xraydesk.patients.demographics import Allergy, Demographics, Identifier, Name, VisitDetails
from xraydesk.patients.events import PatientEvent

EVENTS = {
    "A01": PatientEvent.ADMIT,
    "A02": PatientEvent.TRANSFER,
    "A03": PatientEvent.DISCHARGE,
    "A04": PatientEvent.REGISTER,
    "A05": PatientEvent.UPDATE,
    "A06": PatientEvent.ADMIT,
    "A07": PatientEvent.REGISTER,
    "A08": PatientEvent.UPDATE,
    "A10": PatientEvent.ARRIVE,
    "A11": PatientEvent.CANCEL_ADMIT,
    "A12": PatientEvent.CANCEL_TRANSFER,
    "A13": PatientEvent.CANCEL_DISCHARGE,
    "A17": PatientEvent.TRANSFER,
    "A28": PatientEvent.UPDATE,
    "A31": PatientEvent.UPDATE,
    "A38": PatientEvent.CANCEL_ADMIT,
}
"""ADT triggers that change something here. A06 and A07 change a stay's class, A17 swaps two patients' beds,
A38 takes a stay back that was only planned."""

NOT_OURS = frozenset(
    [
        "A09",
        "A14",
        "A15",
        "A16",
        "A19",
        "A20",
        "A21",
        "A22",
        "A23",
        "A25",
        "A26",
        "A27",
        "A32",
        "A33",
        "A46",
        "A48",
        "A51",
        "A52",
        "A53",
        "A54",
        "A55",
        "A60",
        "A61",
        "A62",
    ]
)
"""ADT triggers without meaning for an x-ray department: a feed to everybody brings them, so they are kept and AA.
A46, A48 and A51 renumber what is not kept here (PID-2, PID-4, PV1-50)."""

DELETES = frozenset({"A29"})

PREGNANT = "B6"
"""PV1-15, HL7 table 0009."""

ALERT_LENGTH_MAX = 200

_DECEASED = {"Y": True, "N": False, NULL: False}
_EMPTIED = {"phone": (13, 14), "address": (11,), "language": (15,)}
"""Fields of PID in which an explicit null takes back what was said before."""


def read_demographics(message: Message, zone: str) -> Demographics:
    """The patient of an order. `zone` is where times without an offset are from.

    Raises Rejected where there is no PID, no number in it, or a second PID of somebody else.
    """
    pids = list(message.all("PID"))
    if not pids:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE, "PID^1", "The message has no PID segment: send the patient with it"
        )
    pid, *others = pids
    numbers = {(i.value, i.authority) for i in read_identifiers(pid)}
    for number, other in enumerate(
        others, start=2
    ):  # the patient of earlier results (OMG^O19) is the same one again
        if numbers.isdisjoint((i.value, i.authority) for i in read_identifiers(other)):
            raise Rejected(
                Condition.SEGMENT_SEQUENCE,
                f"PID^{number}",
                "The message is about more than one patient: send each in a message of its own",
            )
    visit = message.first("PV1")
    return _demographics(pid, visit, tuple(message.all("AL1")), zone, number=1)


def read_news(message: Message, trigger: str, zone: str) -> tuple[tuple[PatientEvent, Demographics], ...]:
    """What an ADT message tells, one entry a patient: two for a swap of beds (A17), else one.

    `trigger` is one of EVENTS. Raises Rejected where there is no patient in it.
    """
    event = EVENTS[trigger]
    if trigger != "A17":
        return ((event, read_demographics(message, zone)),)
    found: list[tuple[PatientEvent, Demographics]] = []
    segments = [s for s in message.segments if s.name in ("PID", "PV1")]
    for at, segment in enumerate(segments):
        if segment.name == "PID":
            after = segments[at + 1] if at + 1 < len(segments) else None
            visit = after if after and after.name == "PV1" else Segment("PV1", ())
            found.append((event, _demographics(segment, visit, (), zone, number=len(found) + 1)))
    if len(found) != 2:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE,
            "PID^2",
            "A swap of beds (A17) needs two PID segments: send both patients",
        )
    return tuple(found)


def demographics_of(pid: Segment, visit: Segment, zone: str, *, number: int) -> Demographics:
    """What one PID, the `number`-th, and a PV1 say. Raises Rejected where there is no number of a patient in it."""
    return _demographics(pid, visit, (), zone, number=number)


def _demographics(
    pid: Segment, visit: Segment, allergies: tuple[Segment, ...], zone: str, *, number: int
) -> Demographics:
    identifiers = read_identifiers(pid)
    if not identifiers:
        raise Rejected(
            Condition.FIELD_MISSING, f"PID^{number}^3", "The patient has no number (PID-3): send at least one"
        )
    alerts = tuple(a for a in (_allergy(s) for s in allergies) if a)
    return Demographics(
        identifiers=identifiers,
        name=read_name(pid),
        birth_date=read_date(pid.get(7)),
        sex=pid.get(8).upper()[:1],
        phone=read_phone(pid),
        address=", ".join(p for p in (pid.get(11, n).strip() for n in (1, 2, 3, 4, 5)) if p),
        language=pid.get(15, 2) or pid.get(15),
        pregnancy="yes" if PREGNANT in (visit.get(15, repetition=n) for n in range(1, 10)) else "",
        deceased=_DECEASED.get(pid.raw(30).strip().upper()),
        alerts=alerts,
        visit=read_visit(pid, visit, zone),
        emptied=frozenset(name for name, numbers in _EMPTIED.items() if _is_deleted(pid, numbers)),
    )


def _is_deleted(pid: Segment, numbers: tuple[int, ...]) -> bool:
    """True where the sender deletes a field (§2.5.3), and says the same nowhere else."""
    written = [pid.raw(number).strip() for number in numbers]
    return written[0] == NULL and not any(w for w in written if w != NULL)


def read_identifiers(pid: Segment, fields: tuple[int, ...] = (3, 2)) -> tuple[Identifier, ...]:
    """The patient's numbers (PID-3; PID-2 where old senders left PID-3 empty). A null is none."""
    for number in fields:
        found = []
        for written in pid.repetitions(number):
            value = part(written, 1, 1, pid.separators).strip()
            if value and value != NULL:
                issuer = part(written, 4, 1, pid.separators) or part(written, 4, 2, pid.separators)
                found.append(Identifier(value, issuer.strip(), part(written, 5, 1, pid.separators).strip()))
        if found:
            return tuple(found)
    return ()


def numbers_named(message: Message) -> tuple[str, ...]:
    """The numbers of every record that a message names: those that stay (PID-3) and those that go (MRG-1)."""
    return tuple(
        dict.fromkeys(
            number.value
            for segment in message.all("PID", "MRG")
            for number in read_identifiers(segment, (1, 4) if segment.name == "MRG" else (3, 2))
        )
    )


def read_name(pid: Segment) -> Name:
    """The patient's name: the legal one (XPN-7 L) where several are given, else the first."""
    kinds = [part(w, 7, 1, pid.separators) for w in pid.repetitions(5)]
    which = kinds.index("L") + 1 if "L" in kinds else 1

    def of(component: int) -> str:
        return pid.get(5, component, repetition=which).strip()

    return Name(family=of(1), given=of(2), middle=of(3), suffix=of(4), prefix=of(5))


def read_phone(pid: Segment) -> str:
    """The patient's telephone number (PID-13, else PID-14)."""
    return phone_in(pid, 13) or phone_in(pid, 14)


def phone_in(segment: Segment, number: int) -> str:
    """The first telephone number of a field (XTN): as one text, or its area and local number; addresses of mail are none."""
    for n in range(1, len(segment.repetitions(number)) + 1):
        area, local = (segment.get(number, c, repetition=n) for c in (6, 7))
        whole = segment.get(number, 1, repetition=n) or segment.get(number, 12, repetition=n)
        found = (whole or (" ".join(p for p in (area, local) if p) if local else "")).strip()
        if found and "@" not in found:
            return found
    return ""


def read_visit(pid: Segment, visit: Segment, zone: str) -> VisitDetails:
    """The stay, as PV1 and PID-18 tell it. `zone` is where times without an offset are from."""
    room, bed = visit.get(3, 2).strip(), visit.get(3, 3).strip()
    return VisitDetails(
        number=visit.get(19).strip() or pid.get(18).strip(),
        account=pid.get(18).strip(),
        patient_class=visit.get(2).strip().upper()[:1],
        ward=visit.get(3).strip(),
        bed="-".join(p for p in (room, bed) if p),
        admitted_at=read_time(visit.get(44), zone),
        discharged_at=read_time(visit.get(45), zone),
    )


def _allergy(segment: Segment) -> Allergy | None:
    text = segment.words(3, 2) or segment.words(3, 1)
    said = (segment.words(5, repetition=n).strip() for n in range(1, len(segment.repetitions(5)) + 1))
    reaction = ", ".join(text for text in said if text)
    if not text:
        return None
    words = f"{text} ({reaction})" if reaction else text
    return Allergy(kind="allergy", text=words[:ALERT_LENGTH_MAX])
