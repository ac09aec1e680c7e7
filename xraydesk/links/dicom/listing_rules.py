"""Decides whether a machine's worklist shows an exam, and says of each condition whether it is met. Pure.

The worklist itself is a query (`worklist`); tests hold these conditions to what it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Protocol, TypeVar

from xraydesk.imaging.states import StepState
from xraydesk.orders.states import TriageState
from xraydesk.scheduling.states import BookingState


@dataclass(frozen=True)
class Machine:
    """A modality: its AE title, the room that it stands in, what it makes."""

    ae_title: str
    room: str
    modality: str


@dataclass(frozen=True)
class Done:
    """The step that decides what has become of an exam: where, and from when till when."""

    state: StepState
    where: str
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Booked:
    """Where an exam has its place, and which machines stand there."""

    state: BookingState
    room: str
    start: datetime
    machines: tuple[Machine, ...] = ()
    has_arrived: bool = False


@dataclass(frozen=True)
class Standing:
    """What the desk knows of an exam, as far as a worklist goes. Reasons are sentences, with or without a full stop."""

    triage: TriageState
    modality: str = ""
    """What its procedure is done with; empty where it does not say."""
    held_because: str = ""
    cancelled_at: datetime | None = None
    cancelled_because: str = ""
    unbooked_because: str = ""
    step: Done | None = None
    booked: Booked | None = None


@dataclass(frozen=True)
class Check:
    """One condition of being listed: what must be so, whether it is, and what there is instead."""

    what: str
    passed: bool
    why: str


@dataclass(frozen=True)
class Judgement:
    """Whether a worklist shows an exam, and why, as one sentence; `checks` from the most final condition on."""

    listed: bool
    why: str
    checks: tuple[Check, ...] = ()


class MakesImages(Protocol):
    """A machine as far as its kind goes: `modality` is what it makes."""

    @property
    def modality(self) -> str: ...


M = TypeVar("M", bound=MakesImages)


def of_its_kind(machines: Sequence[M], wanted: str | None) -> tuple[M, ...]:
    """The machines of a room that an exam is for: those that its procedure needs, all of them where none is."""
    return tuple(machine for machine in machines if machine.modality == wanted) or tuple(machines)


def judge(standing: Standing, machine: Machine, *, at: datetime, zone: tzinfo) -> Judgement:
    """Whether the worklist of a machine shows an exam at `at`; times are told in `zone`.

    A condition that hangs on one that is not met is left out: an exam without a place is in no room.
    """
    wall = _Wall(at, zone)
    checks = [_not_begun(standing, wall), _accepted(standing, wall), _has_a_place(standing, wall)]
    booked = standing.booked
    if booked is not None:
        checks.append(_in_the_room(booked, machine, wall))
        if booked.room == machine.room:
            checks.append(_on_this_machine(booked, standing.modality, machine, wall))
    failed = next((check for check in checks if not check.passed), None)
    if failed is not None:
        return Judgement(False, failed.why, tuple(checks))
    assert booked is not None
    status = "arrived" if booked.has_arrived else "scheduled"
    why = f"It is booked in {booked.room} {wall.when(booked.start)} and waits there: {status}."
    return Judgement(True, why, tuple(checks))


def shown_by(
    standing: Standing, machines: Sequence[Machine], *, at: datetime, zone: tzinfo
) -> tuple[str, ...]:
    """The AE titles whose worklists show an exam."""
    return tuple(m.ae_title for m in machines if judge(standing, m, at=at, zone=zone).listed)


@dataclass(frozen=True)
class _Wall:
    """The clock on the department's wall."""

    at: datetime
    zone: tzinfo

    def when(self, moment: datetime) -> str:
        """`at 10:02` today, `on 3 March at 10:02` on another day."""
        local = moment.astimezone(self.zone)
        if local.date() == self.at.astimezone(self.zone).date():
            return f"at {local:%H:%M}"
        return f"on {local.day} {local:%B} at {local:%H:%M}"


def _because(reason: str) -> str:
    return f" because: {reason.strip().rstrip('.')}" if reason.strip() else ""


def _not_begun(standing: Standing, wall: _Wall) -> Check:
    what, step = "It is still to be done", standing.step
    if step is not None and step.state is StepState.IN_PROGRESS:
        begun = f"It was begun {wall.when(step.started_at)} in {step.where}"
        return Check(what, False, f"{begun}, so no worklist shows it any more.")
    if step is not None and step.state is StepState.COMPLETED:
        ended = wall.when(step.ended_at or step.started_at)
        return Check(what, False, f"It was done in {step.where} and ended {ended}.")
    return Check(what, True, "It was broken off." if step is not None else "It has not begun.")


def _accepted(standing: Standing, wall: _Wall) -> Check:
    what = "It is accepted in triage"
    if standing.triage is TriageState.CANCELLED:
        when = f" {wall.when(standing.cancelled_at)}" if standing.cancelled_at else ""
        return Check(what, False, f"It was cancelled{when}{_because(standing.cancelled_because)}.")
    if standing.triage is TriageState.HELD:
        return Check(what, False, f"It is held in triage{_because(standing.held_because)}; accept it first.")
    if standing.triage is TriageState.WAITING:
        return Check(what, False, "It waits for triage; accept it first.")
    return Check(what, True, "It was accepted.")


def _has_a_place(standing: Standing, wall: _Wall) -> Check:
    what, booked = "It has a place", standing.booked
    if booked is None:
        return Check(
            what, False, f"It is not booked{_because(standing.unbooked_because)}; give it a place first."
        )
    when = wall.when(booked.start)
    if booked.state is BookingState.NO_SHOW:
        return Check(
            what, False, f"The patient did not come {when}; take the no-show back, or book it again."
        )
    if booked.state is BookingState.DONE and standing.step and standing.step.state is StepState.COMPLETED:
        return Check(what, True, f"It had one {when}, and was done.")
    if booked.state is BookingState.DONE:
        return Check(what, False, "It was discontinued, and is not to be done again.")
    return Check(what, True, f"It is booked {when}.")


def _in_the_room(booked: Booked, machine: Machine, wall: _Wall) -> Check:
    what = f"Its place is where {machine.ae_title} stands"
    if booked.room == machine.room:
        return Check(what, True, f"Both are in {booked.room}.")
    where = f"It is booked in {booked.room} {wall.when(booked.start)}"
    return Check(what, False, f"{where}, not in {machine.room}, where {machine.ae_title} stands.")


def _on_this_machine(booked: Booked, wanted: str, machine: Machine, wall: _Wall) -> Check:
    what = f"Of the machines in {booked.room}, {machine.ae_title} is the one for it"
    chosen = [one.ae_title for one in of_its_kind(booked.machines, wanted)]
    if machine.ae_title in chosen:
        return Check(what, True, f"It is on the worklist of {', '.join(chosen)}.")
    where = f"It is booked in {booked.room} {wall.when(booked.start)} for {wanted or 'another machine'}"
    on = ", ".join(chosen)
    return Check(what, False, f"{where}: it is on the worklist of {on}, not of {machine.ae_title}.")
