"""What an exam is charged for: what was done, not what was ordered; pure.

Codes are the site's own (`charge_code` of its procedures). Modifiers are those of FT1-26: RT, LT, and 50
for both sides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from xraydesk.billing.states import ChargeState
from xraydesk.imaging.states import StepState

MODIFIERS = {"L": ("LT",), "R": ("RT",), "B": ("50",), "": ()}
SIDE_WORDS = {"L": "left", "R": "right", "B": "both sides", "": "no side"}


@dataclass(frozen=True)
class Offer:
    """A procedure of the site, as far as charging needs it."""

    code: str
    text: str
    charge_code: str
    body_part: str
    views: tuple[str, ...]
    sides: tuple[str, ...] = ()
    portable: bool = False


@dataclass(frozen=True)
class DoneView:
    """One image that stands for the exam: its view and side as it says, either may be empty."""

    view: str
    side: str = ""


@dataclass(frozen=True)
class Line:
    """What is charged."""

    code: str
    text: str
    modifiers: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    repeated: int = 0


@dataclass(frozen=True)
class Done:
    """All that charging looks at of one exam."""

    offer: Offer | None
    others: tuple[Offer, ...]
    side: str
    step: StepState | None
    views: tuple[DoneView, ...] = ()
    undecided_images: int = 0
    missing_images: int = 0
    """Images that a machine tells of (MPPS) and that have not come."""
    portable_room: bool = False
    read: bool = False
    needs_report: bool = True
    cancelled: bool = False
    has_order: bool = True
    taken_back: Line | None = None
    """What a person took back last, where nothing was charged since."""


class Why(StrEnum):
    """Why a charge is held."""

    NO_REPORT = "no report"
    NO_ORDER = "no order"
    NO_IMAGES = "no images"
    UNDECIDED = "images undecided"
    MISSING = "images missing"
    SIDE_DIFFERS = "side differs"
    SIDE_MISSING = "side missing"
    VIEWS_DIFFER = "views differ"
    PORTABLE = "portable"
    NO_CODE = "no charge code"
    UNKNOWN = "procedure unknown"
    TAKEN_BACK = "taken back"


@dataclass(frozen=True)
class Reason:
    """One thing that holds a charge, in a sentence that says how it is mended."""

    key: Why
    sentence: str

    @property
    def is_discrepancy(self) -> bool:
        """False where it mends itself in the ordinary course of things, is asked for elsewhere, or was wanted: report and order are
        still to come, and who took a charge back knows of it."""
        return self.key not in (Why.NO_REPORT, Why.NO_ORDER, Why.TAKEN_BACK)


@dataclass(frozen=True)
class Decision:
    """What an exam's charge should be: `line` is None where there is nothing to charge. Held while there are reasons."""

    line: Line | None
    reasons: tuple[Reason, ...] = ()


NOTHING = Decision(None)


def decide(done: Done) -> Decision:
    """What to charge for an exam, and what holds it; nothing for one that was not done."""
    if done.cancelled and not done.views:
        return NOTHING
    if done.step is None or done.step is StepState.IN_PROGRESS:
        return NOTHING
    if done.step is StepState.DISCONTINUED and not (
        done.views or done.undecided_images or done.missing_images
    ):
        return NOTHING
    distinct, repeated = _distinct(done.views)
    reasons = [*_of_images(done), *_of_side(done)]
    offer, of_offer = _offer(done, len(distinct) + done.missing_images)
    reasons += of_offer
    if done.needs_report and not done.read:
        reasons.append(Reason(Why.NO_REPORT, "It is charged once it was read."))
    if not done.has_order:
        reasons.append(Reason(Why.NO_ORDER, "It is charged once it has an order."))
    line = Line(
        code=offer.charge_code if offer else "",
        text=offer.text if offer else "",
        modifiers=MODIFIERS.get(done.side, ()) if offer and offer.sides else (),
        views=(*(view.view or "view" for view in distinct), *("view",) * done.missing_images),
        repeated=repeated,
    )
    if line == done.taken_back:
        reasons.append(
            Reason(Why.TAKEN_BACK, "It was taken back: correct what was wrong, or charge it as done.")
        )
    return Decision(line, tuple(reasons))


def _distinct(views: Sequence[DoneView]) -> tuple[list[DoneView], int]:
    """The views that were done, each once, and how many were repeats. A view without a name is never a repeat."""
    counted = Counter(view for view in views if view.view)
    nameless = [view for view in views if not view.view]
    return [*counted, *nameless], sum(count - 1 for count in counted.values())


def _of_images(done: Done) -> list[Reason]:
    if done.undecided_images:
        word = "images wait" if done.undecided_images > 1 else "image waits"
        return [
            Reason(Why.UNDECIDED, f"{done.undecided_images} {word} for a decision: decide where they belong.")
        ]
    if done.missing_images:
        words = "1 image has" if done.missing_images == 1 else f"{done.missing_images} images have"
        return [
            Reason(
                Why.MISSING,
                f"{words} not come that the machine says it made: send what is missing, or charge it as done.",
            )
        ]
    if not done.views:
        return [Reason(Why.NO_IMAGES, "It ended, and no image came: find out where they are.")]
    return []


def _of_side(done: Done) -> list[Reason]:
    if done.offer is None or not done.offer.sides:
        return []
    shown = {view.side for view in done.views if view.side in ("L", "R")} or (
        {"L", "R"} if any(view.side == "B" for view in done.views) else set()
    )
    if not done.side:
        said = f"; the images show {_words(shown)}" if shown else ""
        return [Reason(Why.SIDE_MISSING, f"The order names no side{said}: correct the order.")]
    asked = {"L", "R"} if done.side == "B" else {done.side}
    if shown and shown != asked:
        return [
            Reason(
                Why.SIDE_DIFFERS,
                f"The order says {SIDE_WORDS[done.side]}, the images show {_words(shown)}: correct the order or the images.",
            )
        ]
    return []


def _words(shown: set[str]) -> str:
    return SIDE_WORDS["B"] if len(shown) == 2 else SIDE_WORDS[next(iter(shown))]


def _offer(done: Done, views_done: int) -> tuple[Offer | None, list[Reason]]:
    """The site's procedure that fits what was done, and what is wrong with it."""
    ordered = done.offer
    if ordered is None:
        return None, [Reason(Why.UNKNOWN, "The site does not know this procedure: correct the order.")]
    named = _views_named(ordered, done.side)
    portable = done.portable_room and not ordered.portable
    if portable or (named and views_done and views_done != named):
        fitting = [
            offer
            for offer in done.others
            if offer.body_part == ordered.body_part
            and offer.body_part
            and offer.portable == (ordered.portable or done.portable_room)
            and (_views_named(offer, done.side) == views_done or not views_done)
            and offer.charge_code
        ]
        if len(fitting) == 1:
            return fitting[0], []
        reasons = []
        if portable:
            reasons.append(
                Reason(
                    Why.PORTABLE, f"{ordered.text} was done with a portable unit, which has no charge code."
                )
            )
        if named and views_done and views_done != named:
            reasons.append(
                Reason(
                    Why.VIEWS_DIFFER,
                    f"{views_done} of {named} views were done: send what is missing, or charge it as done.",
                )
            )
        return ordered, reasons
    if not ordered.charge_code:
        return ordered, [Reason(Why.NO_CODE, f"{ordered.text} has no charge code in the site file.")]
    return ordered, []


def _views_named(offer: Offer, side: str) -> int:
    """How many views a procedure names; of both sides twice as many, where it has sides of its own."""
    both = side == "B" and {"L", "R"} <= set(offer.sides)
    return len(offer.views) * (2 if both else 1)


class Step(StrEnum):
    """What is to be done with an exam's standing charge."""

    KEEP = "keep"
    CREATE = "create"
    HOLD = "hold"
    RELEASE = "release"
    CREDIT = "credit"
    REPLACE = "replace"


@dataclass(frozen=True)
class Standing:
    """The charge that stands for an exam. `overridden` says that a person let it go as it was."""

    state: ChargeState
    line: Line
    reasons: tuple[Reason, ...] = ()
    overridden: bool = False


def step_for(decision: Decision, standing: Standing | None) -> Step:
    """What to do. What went out is never changed: it is credited, and another is made."""
    if decision.line is None:
        return Step.KEEP if standing is None else Step.CREDIT
    if standing is None:
        return Step.CREATE
    same = decision.line == standing.line
    if standing.overridden and same:
        return Step.KEEP
    if standing.state is ChargeState.HELD:
        if not decision.reasons:
            return Step.RELEASE
        return Step.KEEP if same and decision.reasons == standing.reasons else Step.HOLD
    return Step.KEEP if same and not decision.reasons else Step.REPLACE
