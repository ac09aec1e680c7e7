"""What a machine asked of the worklist: kept as JSON, and held against one exam, key by key. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xraydesk.links.dicom.elements import Element, Tree
from xraydesk.links.dicom.worklist_codec import MOMENTS, constraints, matches


@dataclass(frozen=True)
class KeyVerdict:
    """One key of a query: where it stands (tags from the outside in), what it asks for, what the exam has."""

    path: tuple[int, ...]
    asked: str
    have: str
    passed: bool


def judge_keys(query: Tree, entry: Tree) -> tuple[KeyVerdict, ...]:
    """Each key that asks for something, met or not; all are met where the query finds the entry.

    A date and its time are one key, as the standard has it (PS3.4 K.2.2.1). Raises `BadKey`
    for a key that cannot be read.
    """
    return tuple(_judged(constraints(query), entry, ()))


def _judged(asked: Tree, entry: Tree, above: tuple[int, ...]) -> Iterator[KeyVerdict]:
    with_their_date = {clock for day, clock in MOMENTS.items() if day in asked}
    for tag, key in asked.items():
        if key.vr == "SQ":
            yield from _best_item(key.items[0], entry.get(tag), (*above, tag))
        elif tag not in with_their_date:
            together = {one: asked[one] for one in (tag, MOMENTS.get(tag, tag)) if one in asked}
            yield KeyVerdict(
                path=(*above, tag),
                asked=", ".join(_text(one) for one in together.values()),
                have=", ".join(_text(entry[one]) for one in together if one in entry),
                passed=matches(together, entry),
            )


def _best_item(asked: Tree, found: Element | None, path: tuple[int, ...]) -> tuple[KeyVerdict, ...]:
    """Of a sequence, the item that meets the most keys speaks for it: one must meet all (C.2.2.2.6)."""
    items = found.items if found is not None and found.items else ({},)
    judged = [tuple(_judged(asked, item, path)) for item in items]
    if found is None or not found.items:
        return tuple(KeyVerdict(one.path, one.asked, one.have, False) for one in judged[0])
    return max(judged, key=lambda verdicts: sum(verdict.passed for verdict in verdicts))


def _text(element: Element) -> str:
    return "\\".join(element.values)


def json_of_tree(tree: Tree) -> dict[str, Any]:
    """A tree as JSON: elements by eight hexadecimal digits, each with `vr` and `values` or `items`."""
    return {
        f"{tag:08X}": {"vr": element.vr, "items": [json_of_tree(item) for item in element.items]}
        if element.vr == "SQ"
        else {"vr": element.vr, "values": [*element.values]}
        for tag, element in tree.items()
    }


def tree_of_json(kept: Mapping[str, Any]) -> dict[int, Element]:
    """The tree that `json_of_tree` wrote."""
    return {
        int(tag, 16): Element(
            said["vr"],
            tuple(said.get("values", ())),
            tuple(tree_of_json(item) for item in said.get("items", ())),
        )
        for tag, said in kept.items()
    }
