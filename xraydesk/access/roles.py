"""What each role may do, as a table."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person, or a program, is to the department."""

    COORDINATOR = "coordinator"
    TECHNOLOGIST = "technologist"
    RADIOLOGIST = "radiologist"
    PORTER = "porter"
    MANAGER = "manager"
    ADMINISTRATOR = "administrator"
    SYSTEM = "system"


class Permission(StrEnum):
    """One thing that can be allowed or refused."""

    SEE_BOARD = "see the board and the exams"
    SEE_PATIENT = "see a patient's record"
    BOOK = "book, move and cancel"
    TRIAGE = "accept, hold and set priority"
    PERFORM = "check safety, begin and end exams"
    DECIDE_IMAGES = "decide where an image belongs"
    ORDER = "write an order by form"
    SEE_MESSAGES = "see and replay messages"
    SEE_ACCESS_LOG = "see who read what"
    FHIR = "read through FHIR"


P = Permission
ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.COORDINATOR: frozenset(
        {
            P.SEE_BOARD,
            P.SEE_PATIENT,
            P.BOOK,
            P.TRIAGE,
            P.PERFORM,
            P.DECIDE_IMAGES,
            P.ORDER,
            P.SEE_MESSAGES,
            P.FHIR,
        }
    ),
    Role.TECHNOLOGIST: frozenset({P.SEE_BOARD, P.SEE_PATIENT, P.PERFORM, P.DECIDE_IMAGES, P.ORDER}),
    Role.RADIOLOGIST: frozenset({P.SEE_BOARD, P.SEE_PATIENT, P.TRIAGE, P.DECIDE_IMAGES}),
    Role.PORTER: frozenset(),
    Role.MANAGER: frozenset({P.SEE_BOARD}),
    Role.ADMINISTRATOR: frozenset({P.SEE_BOARD, P.SEE_PATIENT, P.SEE_MESSAGES, P.SEE_ACCESS_LOG, P.FHIR}),
    Role.SYSTEM: frozenset({P.FHIR}),
}


def allows(role: Role, permission: Permission) -> bool:
    """Whether someone with `role` may do `permission`."""
    return permission in ALLOWED[role]
