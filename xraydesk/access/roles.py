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
    OPEN_IMAGES = "say who was told of a STAT, and that images were opened"
    DECIDE_IMAGES = "decide where an image belongs"
    ORDER = "write an order by form"
    SEE_MESSAGES = "see and replay messages"
    SEE_ACCESS_LOG = "see who read what"
    FHIR = "read through FHIR"
    FHIR_WRITE = "write through FHIR"
    SEE_RESULTS = "see reports and who was told"
    TELL_RESULTS = "confirm findings and write down who was told"
    SEE_CHARGES = "see charges and mend what holds them"
    DO_TRANSPORT = "do porters' jobs"
    SEE_TRANSPORT = "see and plan porters' jobs"
    GIVE_FEEDBACK = "tell technologists of their images"
    SEE_FEEDBACK = "see what readers say of images"
    SEE_MEASURES = "see the department's numbers"
    SEE_WALL = "see the wallboard"
    TRY_RULES = "try rules on simulated days"
    MERGE = "make two records one, and part them"
    SET_ROUTES = "set where images go"
    SET_LINKS = "set how a link's messages are read"
    KEEP_IMAGES = "see what images are kept, and let them go"
    BRING_IN = "bring in images and reports of other houses"
    LET_IN = "let machines in that the site file does not name"


P = Permission
ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.COORDINATOR: frozenset(
        {
            P.SEE_BOARD,
            P.SEE_PATIENT,
            P.BOOK,
            P.TRIAGE,
            P.PERFORM,
            P.OPEN_IMAGES,
            P.DECIDE_IMAGES,
            P.BRING_IN,
            P.ORDER,
            P.SEE_MESSAGES,
            P.FHIR,
            P.SEE_RESULTS,
            P.TELL_RESULTS,
            P.SEE_CHARGES,
            P.DO_TRANSPORT,
            P.SEE_TRANSPORT,
            P.SEE_FEEDBACK,
            P.SEE_MEASURES,
            P.SEE_WALL,
            P.TRY_RULES,
            P.MERGE,
        }
    ),
    Role.TECHNOLOGIST: frozenset(
        {
            P.SEE_BOARD,
            P.SEE_PATIENT,
            P.PERFORM,
            P.DECIDE_IMAGES,
            P.BRING_IN,
            P.ORDER,
            P.SEE_TRANSPORT,
            P.SEE_FEEDBACK,
            P.SEE_WALL,
        }
    ),
    Role.RADIOLOGIST: frozenset(
        {
            P.SEE_BOARD,
            P.SEE_PATIENT,
            P.TRIAGE,
            P.OPEN_IMAGES,
            P.DECIDE_IMAGES,
            P.SEE_RESULTS,
            P.TELL_RESULTS,
            P.GIVE_FEEDBACK,
            P.SEE_FEEDBACK,
            P.SEE_WALL,
        }
    ),
    Role.PORTER: frozenset({P.DO_TRANSPORT, P.SEE_WALL}),
    Role.MANAGER: frozenset(
        {P.SEE_BOARD, P.SEE_CHARGES, P.SEE_FEEDBACK, P.SEE_MEASURES, P.SEE_WALL, P.TRY_RULES}
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            P.SEE_BOARD,
            P.SEE_PATIENT,
            P.SEE_MESSAGES,
            P.SEE_ACCESS_LOG,
            P.KEEP_IMAGES,
            P.BRING_IN,
            P.LET_IN,
            P.SET_ROUTES,
            P.SET_LINKS,
            P.FHIR,
            P.SEE_MEASURES,
            P.SEE_WALL,
            P.MERGE,
        }
    ),
    Role.SYSTEM: frozenset({P.FHIR, P.FHIR_WRITE}),
}


def allows(role: Role, permission: Permission) -> bool:
    """Whether someone with `role` may do `permission`."""
    return permission in ALLOWED[role]
