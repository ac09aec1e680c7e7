"""SMART App Launch scopes (versions 1 and 2): what a token may do with which type. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LETTERS = {"create": "c", "read": "r", "update": "u", "search": "s", "operation": "s"}
_VERSION_1 = {"read": "rs", "write": "cud", "*": "cruds"}
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)")


@dataclass(frozen=True)
class Scope:
    """One scope: on whose behalf, which type (`*` for all), and letters of what may be done (`cruds`)."""

    context: str
    kind: str
    letters: str


def read_scopes(text: str) -> tuple[Scope, ...]:
    """The scopes of access in a list as OAuth writes it; what is none (`openid`, `launch`) is left out."""
    return tuple(
        Scope(found[1], found[2], _VERSION_1.get(found[3], found[3]))
        for found in map(_SCOPE.fullmatch, text.split())
        if found and found[3]
    )


def allows(scope: Scope, kind: str, done: str) -> bool:
    """Whether a scope lets something be done with a type."""
    return scope.kind in ("*", kind) and LETTERS[done] in scope.letters


def granted(asked: str, registered: Iterable[str]) -> str:
    """Those of the scopes asked for that a client is registered for, in the order asked."""
    allowed = list(registered)
    wide = read_scopes(" ".join(allowed))

    def covered(one: str) -> bool:
        wanted = read_scopes(one)
        return one in allowed or any(
            s.context == w.context and s.kind in ("*", w.kind) and set(w.letters) <= set(s.letters)
            for w in wanted
            for s in wide
        )

    return " ".join(one for one in dict.fromkeys(asked.split()) if covered(one))


_WORDS = {"r": "read", "s": "search", "c": "add", "u": "change", "d": "delete"}


def in_words(text: str) -> list[str]:
    """What scopes let an app do, a line each, as a person is asked about it."""
    stays = ["stay signed in for you, 90 days at most"] if stays_signed_in(text) else []
    return stays + [
        f"{', '.join(_WORDS[letter] for letter in scope.letters)}: "
        + ("every kind of record" if scope.kind == "*" else scope.kind)
        for scope in read_scopes(text)
    ]


OFFLINE = "offline_access"
"""The scope by which an app stays signed in."""


def stays_signed_in(text: str) -> bool:
    """Whether an app gets its next tokens without asking a person."""
    return OFFLINE in text.split()


def of_one_patient(text: str) -> bool:
    """Whether an app is opened for one patient, so that somebody must say which."""
    return "launch/patient" in text.split() or any(s.context == "patient" for s in read_scopes(text))
