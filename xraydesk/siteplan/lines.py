"""Where in a TOML file something stands, so that a complaint can name its line.

`tomllib` keeps no lines. This walks a text that `tomllib` has already accepted and notes the
line of every header, key and array element; it reads no values.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Keys and array positions from the top of the file, such as `("room", 2, "location")`."""

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""+' r"|'''.*?'''+" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]+")


class _Walk:
    """One pass over one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.starts = [0] + [m.end() for m in re.finditer("\n", text)]
        self.lines: dict[Path, int] = {}
        self.arrays: dict[Path, int] = {}

    def note(self, path: Path) -> None:
        self.lines.setdefault(path, bisect_right(self.starts, self.at))

    def skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise ValueError(f"cannot follow the text at line {bisect_right(self.starts, self.at)}")
        self.at = found.end()
        return found.group()

    def ahead(self, what: str) -> bool:
        return self.text.startswith(what, self.at)

    def key(self) -> list[str]:
        """A key with its dots, as parts."""
        parts = []
        while True:
            self.skip(_SPACE)
            if self.text[self.at] in "\"'":
                parts.append(tomllib.loads(f"k = {self.skip(_STRING)}")["k"])
            else:
                parts.append(self.skip(_BARE_KEY))
            self.skip(_SPACE)
            if not self.ahead("."):
                return parts
            self.at += 1

    def resolve(self, parts: list[str]) -> Path:
        """A header's path, with the position of the newest element of every array on the way."""
        path: Path = ()
        for part in parts:
            path += (part,)
            if path in self.arrays:
                path += (self.arrays[path],)
        return path

    def header(self) -> Path:
        start = self.at
        double = self.ahead("[[")
        self.at += 2 if double else 1
        parts = self.key()
        self.at += 2 if double else 1
        end, self.at = self.at, start
        for count in range(1, len(parts)):
            self.note(self.resolve(parts[:count]))
        if double:
            path = (*self.resolve(parts[:-1]), parts[-1])
            self.note(path)
            self.arrays[path] = self.arrays.get(path, -1) + 1
        path = self.resolve(parts)
        self.note(path)
        self.at = end
        return path

    def pair(self, table: Path) -> None:
        start = self.at
        parts = self.key()
        end, self.at = self.at, start
        for count in range(1, len(parts) + 1):
            self.note(table + tuple(parts[:count]))
        self.at = end + 1
        self.skip(_SPACE)
        self.value(table + tuple(parts))

    def value(self, path: Path) -> None:
        match self.text[self.at]:
            case "[":
                self.several(path, "]")
            case "{":
                self.several(path, "}")
            case '"' | "'":
                self.skip(_STRING)
            case _:
                self.skip(_SCALAR)

    def several(self, path: Path, end: str) -> None:
        """An array or an inline table."""
        self.at += 1
        position = 0
        while True:
            self.skip(_BLANK)
            if self.ahead(end):
                self.at += 1
                return
            if end == "]":
                self.note((*path, position))
                self.value((*path, position))
                position += 1
            else:
                self.pair(path)
            self.skip(_BLANK)
            if self.ahead(","):
                self.at += 1

    def walk(self) -> Mapping[Path, int]:
        table: Path = ()
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.ahead("["):
                table = self.header()
            else:
                self.pair(table)
            self.skip(_BLANK)
        return self.lines


def lines_of(text: str) -> Mapping[Path, int]:
    """The line, from 1, of everything in a text that is valid TOML; raises ValueError where it is not."""
    return _Walk(text.replace("\r\n", "\n")).walk()


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """The line of `path`, or of the nearest thing around it that the file does have; 1 at worst."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1
