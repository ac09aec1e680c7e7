"""ORC-1 read together with ORC-5: what the sender wants done with an order (HL7 2.5.1 §4.5.1, tables 0119 and 0038)."""

from __future__ import annotations

from collections.abc import Mapping

from xraydesk.links.hl7.refusals import Condition, NeedsPerson, Rejected
from xraydesk.siteplan.link_plan import OrderControl

_NEW = ("", "IP", "SC")

CONTROLS: dict[tuple[str, str], OrderControl] = {
    **{(code, status): OrderControl.NEW for code in ("NW", "RO", "CH", "PA") for status in _NEW},
    **{("XO", status): OrderControl.CHANGE for status in _NEW},
    **{("CA", status): OrderControl.CANCEL for status in ("", "CA")},
    **{("OC", status): OrderControl.CANCEL for status in ("", "CA")},
    **{("RP", status): OrderControl.CANCEL for status in ("", "CA", "RP")},
    **{("DC", status): OrderControl.DISCONTINUE for status in ("", "CA", "DC")},
    ("XO", "CM"): OrderControl.COMPLETED_ELSEWHERE,
    **{("HD", status): OrderControl.HOLD for status in ("", "HD")},
    **{("RL", status): OrderControl.RELEASE for status in _NEW},
}
"""Every pair that makes sense here. RP takes the old order back, RO brings the one in its place; CH is one of a
parent's (PA) exams. A pair that is not here contradicts itself or means nothing to a department that fills orders."""

NUMBER_PLEASE = "SN"
"""The sender asks for our number of an order that it will send."""

NUMBER_GIVEN = "NA"
"""The sender gives a number of its own to an order of ours."""


def control_of(
    code: str, status: str, number: int, words: Mapping[str, OrderControl] | None = None
) -> OrderControl:
    """What the pair ORC-1, ORC-5 of the `number`-th ORC asks for.

    `words` is what its sender means by a pair (`SC CM`), or by ORC-1 alone: a pair of its own counts before those of
    the standard, ORC-1 alone where the standard has no such pair.

    Raises NeedsPerson for NA, which brings a number for an order of ours; Rejected for SN beside
    other wishes, with 103 at ORC-1 for a pair that is not known (row 16 of the faults), with 101 where ORC-1 is empty.
    """
    if not code:
        raise Rejected(
            Condition.FIELD_MISSING,
            f"ORC^{number}^1",
            "ORC-1 is empty: it must say what is to be done with the order",
        )
    words = words or {}
    own = words.get(f"{code} {status}".rstrip())
    control = own or CONTROLS.get((code, status))
    if control is None and code in words:
        control = words[code]
    if control is None and code == NUMBER_GIVEN:
        raise NeedsPerson(
            "ORC-1 NA gives an order number; orders of this desk keep the number they have. Nothing was changed"
        )
    if control is None:
        pair = f"ORC-1 {code} with ORC-5 {status}" if status else f"ORC-1 {code}"
        raise Rejected(
            Condition.VALUE_NOT_FOUND,
            f"ORC^{number}^1",
            f"{pair} is not known here: send NW, XO, CA or DC, with an order status that agrees",
        )
    return control
