"""What a journey step may refuse, each as a named class; views and links map them to their answers."""

from __future__ import annotations

from collections.abc import Sequence

from xraydesk.scheduling.engine.place import Proposal


class Refused(Exception):
    """The step was refused and nothing was changed. The message says what happened, to which exam, and what to do."""


class UnknownExam(Refused):
    """There is no such exam here."""


class UnknownRoom(Refused):
    """There is no such room here, or it is no longer in use."""


class UnknownTechnologist(Refused):
    """There is no such technologist here, or they do not work here any more."""


class UnknownOrder(Refused):
    """A change or cancel names an order that never came."""


class WrongState(Refused):
    """The exam, booking, step or image is not in a state in which this can be done."""


class PlaceTaken(Refused):
    """Somebody else took that room, technologist or patient's time first. `alternatives` are free, the best first."""

    def __init__(self, message: str, alternatives: Sequence[Proposal] = ()) -> None:
        super().__init__(message)
        self.alternatives = tuple(alternatives)


class PlaceUnfit(Refused):
    """The exam cannot be done in that room, or nobody can use it at that time. `alternatives` are free, the best first."""

    def __init__(self, message: str, alternatives: Sequence[Proposal] = ()) -> None:
        super().__init__(message)
        self.alternatives = tuple(alternatives)


class UnknownHold(Refused):
    """There is no such held place here."""


class HoldOver(Refused):
    """The place is not held any more: its time was over, it was let go, or it was booked. Look for one again."""


class BoardChanged(Refused):
    """What was proposed does not fit any more: somebody changed the board meanwhile. Nothing was changed; ask anew."""


class NoPlace(Refused):
    """No free place was found within the days that the site looks ahead."""


class AlreadyStarted(Refused):
    """The exam has begun, so the order can no longer be changed or cancelled."""


class ChecksMissing(Refused):
    """The safety check is not complete, so the desk does not begin the exam."""


class DuplicateStep(Refused):
    """A performed step with that UID is here already (MPPS 0111H)."""


class UnknownStep(Refused):
    """There is no performed step with that UID (MPPS 0112H)."""


class StepIsFinal(Refused):
    """The performed step is completed or discontinued and can no longer change (MPPS 0110H, A710H)."""


class PatientConflict(Refused):
    """The identifiers given belong to two different patients; a person decides."""


class UnknownImage(Refused):
    """There is no such image here."""


class IncompleteOrder(Refused):
    """The order or news lacks what nothing can be done without: its number, an exam, or a number of its patient."""


class NoPatientNumber(IncompleteOrder):
    """The order or news names its patient by no number that can be kept."""


class SamePatient(Refused):
    """A record is to be merged into itself, or into one that went into it; nothing was changed."""


class PersonDecides(Refused):
    """The records stand otherwise than the sender believes; nothing was changed, and a person decides."""


class UnknownMerge(Refused):
    """There is no such merge here."""
