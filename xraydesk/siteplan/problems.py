"""What can be wrong with a site file, as a person who writes one reads it."""

from __future__ import annotations

from dataclasses import dataclass

from xraydesk.siteplan.lines import Path


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a plan: where in it, and what in plain words."""

    path: Path
    what: str


@dataclass(frozen=True)
class SiteFileError:
    """One thing wrong with a site file: its line (from 1), the field's name in the file, and what is wrong."""

    line: int
    field: str
    what: str

    def __str__(self) -> str:
        return (
            f"line {self.line}, {self.field}: {self.what}" if self.field else f"line {self.line}: {self.what}"
        )


class SiteFileErrors(Exception):
    """A site file cannot be used; `errors` has everything that is wrong with it, by line."""

    def __init__(self, errors: tuple[SiteFileError, ...]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


def field_name(path: Path) -> str:
    """`room 3, location` for `("room", 2, "location")`."""
    words: list[str] = []
    for part in path:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            words.append(str(part))
    return ", ".join(words)
