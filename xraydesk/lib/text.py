"""Small rules for text that people read and machines compare."""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """`text` without case, accents and doubled spaces, for searching and comparing names."""
    if text.isascii():
        return " ".join(text.casefold().split())
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())


def shortened(text: str, length_max: int) -> str:
    """`text`, cut to `length_max` characters with an ellipsis where it is longer."""
    return text if len(text) <= length_max else text[: length_max - 1].rstrip() + "…"


def name_as_said(name: str) -> str:
    """`Dr Folasade Adeyemi` from a name in DICOM's parts (`Adeyemi^Folasade^^Dr`); other text stays as it is."""
    family, given, middle, prefix, suffix = (
        part.strip() for part in [*name.split("^")[:5], "", "", "", "", ""][:5]
    )
    spoken = " ".join(part for part in (prefix, given, middle, family) if part)
    return f"{spoken}, {suffix}" if suffix else spoken
