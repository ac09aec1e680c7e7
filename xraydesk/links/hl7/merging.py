"""ADT messages that join, part or renumber records and stays: PID says who stays, MRG what goes; pure.

HL7 2.5.1 §3.3.18 and §3.3.30 to §3.3.51, §3.4.9. A message may hold several pairs of PID and MRG.
"""

from __future__ import annotations

from dataclasses import replace

from xraydesk.links.hl7.patient import demographics_of, read_identifiers
from xraydesk.links.hl7.reader import NOWHERE, Message, Segment
from xraydesk.links.hl7.refusals import Condition, Rejected
from xraydesk.patients.merge_rules import MergeKind, MergeNews

MERGES = {
    **dict.fromkeys(("A18", "A30", "A34", "A36", "A39", "A40"), MergeKind.MERGE),
    "A47": MergeKind.RENUMBER,
    "A45": MergeKind.MOVE_VISIT,
    "A44": MergeKind.MOVE_ACCOUNT,
    **dict.fromkeys(("A42", "A50"), MergeKind.RENUMBER_VISIT),
    **dict.fromkeys(("A35", "A41", "A49"), MergeKind.RENUMBER_ACCOUNT),
    "A37": MergeKind.UNLINK,
    "A24": MergeKind.LINK,
    "A43": MergeKind.MOVE_NUMBERS,
}
"""ADT triggers about records and stays, and what each asks for."""

PAIRS_MAX = 20
"""No message may have more pairs of PID and MRG than this."""


def read_merges(message: Message, trigger: str, zone: str) -> tuple[MergeNews, ...]:
    """What a message asks for, one entry a pair of PID and MRG. `trigger` is one of MERGES.

    Raises Rejected where a pair is incomplete.
    """
    kind = MERGES[trigger]
    if kind in (MergeKind.UNLINK, MergeKind.LINK):
        return (_of_two(kind, trigger, message, zone),)
    pairs = _pairs(message)
    if not pairs:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE,
            "MRG^1",
            f"ADT^{trigger} has no MRG segment: it does not say what goes",
        )
    if len(pairs) > PAIRS_MAX:
        raise Rejected(
            Condition.DATA_TYPE, "MRG^1", f"More than {PAIRS_MAX} merges in one message: send them in parts"
        )
    return tuple(_news(kind, *pair, zone, number=n) for n, pair in enumerate(pairs, start=1))


def _pairs(message: Message) -> list[tuple[Segment, Segment, Segment]]:
    """PID, MRG and PV1 of each pair. Several MRG may follow one PID (A44, A45), and PV1 may stand on either side."""
    pid = visit = NOWHERE
    found: list[tuple[Segment, Segment, Segment]] = []
    for segment in message.segments:
        match segment.name:
            case "PID":
                pid, visit = segment, NOWHERE
            case "MRG":
                found.append((pid, segment, visit))
                visit = NOWHERE
            case "PV1" if found and found[-1][0] is pid and found[-1][2] is NOWHERE:
                found[-1] = (*found[-1][:2], segment)
            case "PV1":
                visit = segment
            case _:
                pass
    return found


def _news(
    kind: MergeKind, pid: Segment, mrg: Segment, visit: Segment, zone: str, *, number: int
) -> MergeNews:
    if pid is NOWHERE:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE, f"PID^{number}", "The MRG segment has no PID before it: who stays?"
        )
    prior = read_identifiers(mrg, (1, 4))
    needs_prior = kind not in (MergeKind.RENUMBER_VISIT, MergeKind.RENUMBER_ACCOUNT)
    if needs_prior and not prior:
        raise Rejected(
            Condition.FIELD_MISSING, f"MRG^{number}^1", "MRG-1 is empty: it must say which number goes"
        )
    patient = demographics_of(pid, visit, zone, number=number)
    if kind is MergeKind.MOVE_NUMBERS:  # PID-2 may be what says whose the number in PID-3 is
        patient = replace(patient, identifiers=(*patient.identifiers, *read_identifiers(pid, (2,))))
    return MergeNews(
        kind=kind,
        patient=patient,
        prior=prior,
        prior_visit=mrg.get(5).strip(),
        prior_account=mrg.get(3).strip(),
    )


def _of_two(kind: MergeKind, trigger: str, message: Message, zone: str) -> MergeNews:
    pids = list(message.all("PID"))
    if len(pids) != 2:
        raise Rejected(
            Condition.SEGMENT_SEQUENCE,
            "PID^2",
            f"ADT^{trigger} needs two PID segments: those to be {'parted' if kind is MergeKind.UNLINK else 'linked'}",
        )
    return MergeNews(
        kind=kind,
        patient=demographics_of(pids[0], NOWHERE, zone, number=1),
        prior=demographics_of(pids[1], NOWHERE, zone, number=2).identifiers,
    )
