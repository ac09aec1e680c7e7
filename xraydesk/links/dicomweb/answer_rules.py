"""Says in words what an archive means that does not answer as it should over DICOMweb. Pure."""

from __future__ import annotations

_STATUSES = {
    401: "it does not know the desk: it takes no such token or password",
    403: "it knows the desk, and does not let it ask",
    404: "there is nothing at that address: see what web says in the site file",
    406: "it does not answer in the form that is asked for",
    413: "it finds too much to tell",
    429: "it is asked too often",
}


def status_in_words(status: int) -> str:
    """What an HTTP status other than 200 and 204 means to whoever set the connection up."""
    if 300 <= status < 400:
        return "it sends the desk to another address: write that one into the site file"
    if status >= 500 and status not in (501, 505):
        return f"it fails at it itself ({status})"
    words = _STATUSES.get(status, "it does not do that")
    return f"{words} ({status})"


IS_FINAL = frozenset({400, 401, 403, 404, 405, 406, 410, 501})
"""Answers that another try will not change: an archive that gives one of these is not asked again by itself."""


def way_in_words(kind: str, said: str) -> str:
    """Why nobody could be connected to, by the kind of the error (its class) and what it said."""
    return {
        "TimeoutError": "nothing answers there: it is off, its address is another, or a firewall is between",
        "ConnectionRefusedError": "the computer is there, but nothing listens at that port",
        "FileNotFoundError": "a certificate file for it cannot be read here",
        "PermissionError": "a certificate file for it cannot be read here",
    }.get(kind, f"it cannot be reached: {said}")
