"""Reads the text dumps of dcmtk into data sets."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

_LINE = re.compile(r"\s*\(([0-9a-fA-F]{4}),([0-9a-fA-F]{4})\)\s+(\S\S?)\s*([^#]*)")


def read_dump(path: Path) -> Dataset:
    """The data set that a dump describes; values with or without brackets, (no value available) as empty."""
    root = Dataset()
    stack: list[Dataset] = [root]
    sequences: list[Sequence] = []
    for line in path.read_text("latin-1").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        tag = int(found[1] + found[2], 16)
        if tag == 0xFFFEE000:
            item = Dataset()
            sequences[-1].append(item)
            stack.append(item)
        elif tag == 0xFFFEE00D:
            stack.pop()
        elif tag == 0xFFFEE0DD:
            sequences.pop()
        elif found[3] == "SQ":
            sequence = Sequence()
            stack[-1].add_new(tag, "SQ", sequence)
            sequences.append(stack[-1][tag].value)
        else:
            _add(stack[-1], tag, found[3], found[4].strip())
    return root


def _add(item: Dataset, tag: int, vr: str, text: str) -> None:
    if tag in item:
        return  # a dump that names an element twice means the first
    bracketed = re.match(r"\[(.*?)\]", text)
    value = bracketed[1] if bracketed else "" if text.startswith("(no value") else text
    if vr in {"US", "UL"} and value:
        item.add_new(tag, vr, int(value))
    else:
        item.add_new(tag, vr, value.strip() if vr != "LT" else value)
