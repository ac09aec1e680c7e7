"""Whether an answer in JSON is one that whoever asks can read. Pure."""

from __future__ import annotations

JSON_FORMS = ("json", "application/fhir+json", "application/json", "text/json", "application/json+fhir")
ANY_FORMS = ("*/*", "application/*", "text/*", "text/html")
"""Wishes that JSON fulfils too; a browser shows it."""

VERSIONS = ("4.0", "4.0.1")


def may_be_json(accept: str, named: str = "") -> bool:
    """`named` is what the address says (`_format`); it counts in place of the header. Nothing said is any form."""
    if named:
        # A plus in an address is a space.
        return named.partition(";")[0].strip().lower().replace(" ", "+") in JSON_FORMS
    wishes = [wish for wish in accept.split(",") if wish.strip()]
    return not wishes or any(map(_fits, wishes))


def _fits(wish: str) -> bool:
    form, *rest = (part.strip().lower() for part in wish.split(";"))
    said = dict(part.partition("=")[::2] for part in rest)
    if said.get("fhirversion", VERSIONS[0]) not in VERSIONS or said.get("q", "1").strip("0.") == "":
        return False
    return form in JSON_FORMS or form in ANY_FORMS
