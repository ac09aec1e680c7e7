"""Searching: what is asked for, read against the table of what is served, and found a page at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.links.fhir.answers_codec import Entry, Issue
from xraydesk.links.fhir.callers import Caller
from xraydesk.links.fhir.conditions import NOBODY, TEXT_LENGTH_MAX, BadValue, any_of
from xraydesk.links.fhir.elements_codec import read_reference, references
from xraydesk.links.fhir.kind import Kind, Parameter, Source
from xraydesk.links.fhir.kinds import KINDS
from xraydesk.links.fhir.parts_codec import SUMMARIES, read_elements
from xraydesk.links.fhir.rows import Shown

COUNT_USUAL = 50
COUNT_MAX = 100
VALUES_MAX = 100
"""Any of so many values may be asked for in one parameter."""

PARAMETERS_MAX = 50
SORTS_MAX = 3
INCLUDED_MAX = 500
"""No more resources than these are put beside a page."""

ITERATIONS_MAX = 5
"""What is put beside is followed so many steps further, and no more."""

SILENT = ("_format", "_pretty", "_totalMethod")
"""Parameters that change nothing here and are let through; the last one is what fhirpy asks for a count with."""

_COMMA = re.compile(r"(?<!\\),")
_ESCAPED = re.compile(r"\\([,$|\\])")


Finder = Callable[[Site, Mapping[str, Sequence[Sequence[str]]], int], list[Shown]]


class BadSearch(ValueError):
    """A search cannot be answered as it was asked; `issues` say which parameters and why."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__("; ".join(issue.words for issue in issues))
        self.issues = tuple(issues)


@dataclass(frozen=True)
class Wanted:
    """One parameter of a search: any of the values will do, or where `negated` none of them.

    `through` names the reference of a chain, `types` what it may lead to there; the rest is then asked of those.
    """

    name: str
    values: tuple[str, ...]
    modifier: str = ""
    negated: bool = False
    through: str = ""
    types: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        """As it is asked for."""
        chain = f"{self.through}." if self.through else ""
        return chain + self.name + (f":{self.modifier}" if self.modifier else "")


@dataclass(frozen=True)
class Search:
    """A search as it was understood. `sort` are columns, the first that counts first, `-` before one that falls."""

    kind: Kind
    conditions: tuple[Wanted, ...]
    count: int = COUNT_USUAL
    sort: tuple[str, ...] = ()
    includes: tuple[tuple[str, str], ...] = ()
    revincludes: tuple[tuple[str, str], ...] = ()
    iterated: tuple[tuple[str, str], ...] = ()
    """Includes that are asked for of what was put beside, too."""
    reverse_iterated: tuple[tuple[str, str], ...] = ()
    summary: str = "false"
    elements: tuple[str, ...] = ()
    with_total: bool = True
    ignored: tuple[Issue, ...] = ()


@dataclass(frozen=True)
class After:
    """Where a page ends: the source, the values that are sorted by, and the key."""

    source: int
    values: tuple[Any, ...]
    key: int


@dataclass(frozen=True)
class Found:
    """A page: its matches, what is put beside them, how many there are in all, and where it ends if more follow."""

    matches: tuple[Shown, ...]
    included: tuple[Shown, ...]
    total: int | None
    after: After | None


def read_search(
    kind: Kind,
    asked: Sequence[tuple[str, str]],
    *,
    lenient: bool,
    limits: Iterable[tuple[str, str]] = (),
    base: str = "",
) -> Search:
    """A search from its parameters. What is not known is refused, or where `lenient` left out and told.

    A reference may begin with `base`, the address of this server. Raises BadSearch.
    """
    if len(asked) > PARAMETERS_MAX:
        raise BadSearch([Issue("too-costly", f"No more than {PARAMETERS_MAX} parameters are taken.")])
    reading = _Reading(kind, base)
    for name, value in [*asked, *limits]:
        try:
            reading.take(name, value)
        except BadValue as bad:
            reading.wrong.append(Issue("invalid", f"{name[:60]} {bad}.", _where(kind, name)))
        except KeyError:
            reading.unknown.append(
                Issue(
                    "not-supported",
                    f"The parameter {name[:60]} is not known for {kind.name}; see metadata.",
                    _where(kind, name),
                    "warning" if lenient else "error",
                )
            )
    wrong = reading.wrong if lenient else [*reading.wrong, *reading.unknown]
    if wrong:
        raise BadSearch(wrong)
    return reading.search(tuple(reading.unknown))


def _where(kind: Kind, name: str) -> str:
    return f"http.{name[:60]}" if name.isascii() else f"http.{kind.name}"


class _Reading:
    """A search while its parameters are read."""

    def __init__(self, kind: Kind, base: str) -> None:
        self.kind = kind
        self.base = base
        self.conditions: list[Wanted] = []
        self.set: dict[str, Any] = {}
        self.includes: list[tuple[str, str]] = []
        self.revincludes: list[tuple[str, str]] = []
        self.iterated: list[tuple[str, str]] = []
        self.reverse_iterated: list[tuple[str, str]] = []
        self.wrong: list[Issue] = []
        self.unknown: list[Issue] = []

    def search(self, ignored: tuple[Issue, ...]) -> Search:
        return Search(
            self.kind,
            tuple(self.conditions),
            includes=tuple(dict.fromkeys(self.includes)),
            revincludes=tuple(dict.fromkeys(self.revincludes)),
            iterated=tuple(dict.fromkeys(self.iterated)),
            reverse_iterated=tuple(dict.fromkeys(self.reverse_iterated)),
            ignored=ignored,
            **self.set,
        )

    def take(self, name: str, value: str) -> None:
        """Read one parameter; KeyError where it is not known, BadValue where its value cannot be read."""
        if "\0" in value:
            raise BadValue("holds a character that no text has")
        base, colon, modifier = name.partition(":")
        if modifier == "identifier" and self._leads_to_numbers(base):
            self._chain(f"{base}.identifier", value)
        elif base in self.kind.parameters and "." not in modifier:
            self.conditions.append(self._condition(self.kind, base, modifier if colon else "", value))
        elif "." in name and base.partition(".")[0] in self.kind.parameters:
            self._chain(name, value)
        elif base in ("_include", "_revinclude") and modifier in ("", "iterate"):
            self._include(base, value, again=modifier == "iterate")
        elif name in _RESULT:
            self.set |= _RESULT[name](self.kind, value)
        elif name not in SILENT:
            raise KeyError(name)

    def _condition(self, kind: Kind, name: str, modifier: str, value: str) -> Wanted:
        parameter = kind.parameters[name]
        values = tuple(_ESCAPED.sub(r"\1", part) for part in _COMMA.split(value) if part)
        if len(values) > VALUES_MAX or any(len(part) > TEXT_LENGTH_MAX for part in values):
            raise BadValue(f"takes at most {VALUES_MAX} values of {TEXT_LENGTH_MAX} characters")
        if parameter.type == "reference" and self.base:
            values = tuple(part.removeprefix(f"{self.base}/") for part in values)
        if modifier == "identifier" and f"{name}.identifier" in kind.parameters:
            return Wanted(f"{name}.identifier", values)
        if modifier in parameter.targets:
            values = tuple(part if "/" in part else f"{modifier}/{part}" for part in values)
            return Wanted(name, values)
        if modifier == "not" and parameter.type == "token":
            return Wanted(name, values, negated=True)
        if modifier and modifier not in parameter.modified:
            raise KeyError(name)
        return Wanted(name, values, modifier)

    def _leads_to_numbers(self, name: str) -> bool:
        """True where `:identifier` of a reference is a chain, and nothing that is known of itself."""
        parameter = self.kind.parameters.get(name)
        known = f"{name}.identifier" in self.kind.parameters
        return parameter is not None and bool(parameter.columns) and not known

    def _chain(self, name: str, value: str) -> None:
        """`patient.birthdate`, `subject:Patient.name`: asked of what a reference leads to. One step, no further."""
        link, _, rest = name.partition(".")
        through, _, meant = link.partition(":")
        columns = self.kind.parameters[through].columns
        inner, _, modifier = rest.partition(":")
        types = tuple(t for t in columns if meant in ("", t) and inner in KINDS[t].parameters)
        if not types:
            raise KeyError(name)
        wanted = self._condition(KINDS[types[0]], inner, modifier, value)
        self.conditions.append(replace(wanted, through=through, types=types))

    def _include(self, name: str, value: str, *, again: bool) -> None:
        kind, _, parameter = value.partition(":")
        parameter = parameter.partition(":")[0]
        source = KINDS.get(kind)
        names = _leading(source) if source and parameter == "*" else [parameter]
        for one in names:
            if source is None or one not in _leading(source):
                raise BadValue(f"takes TYPE:PARAMETER of a reference, not {value[:60]}")
            leads_here = self.kind.name in source.parameters[one].targets
            if name == "_include":
                self.includes.append((kind, one))
                self.iterated += [(kind, one)] if again else []
            elif source.finder is not None:
                raise BadValue(f"finds no {kind} by what it refers to: search them by themselves")
            elif leads_here or again:
                self.revincludes += [(kind, one)] if leads_here else []
                self.reverse_iterated += [(kind, one)] if again else []
            else:
                raise BadValue(f"leads to no {self.kind.name}: {value[:60]}")


def _leading(kind: Kind | None) -> list[str]:
    """The parameters of a type that lead to others served here."""
    return [name for name, p in kind.parameters.items() if p.targets] if kind else []


def _count(kind: Kind, value: str) -> dict[str, Any]:
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        raise BadValue("takes a whole number")
    return {"count": min(int(value), COUNT_MAX)}


def _sort(kind: Kind, value: str) -> dict[str, Any]:
    columns: dict[str, str] = {}
    for one in value.split(","):
        name = one.removeprefix("-")
        column = "pk" if name == "_id" else kind.sorts.get(name)
        if column is None or value.count(",") >= SORTS_MAX:
            named = ", ".join(["_id", *kind.sorts])
            raise BadValue(f"takes up to {SORTS_MAX} of {named}, with - before one to turn its order round")
        # Two names of one column are one: what is alike in it stays alike.
        columns.setdefault(column, ("-" if one.startswith("-") else "") + column)
    return {"sort": tuple(columns.values())}


def _summary(kind: Kind, value: str) -> dict[str, Any]:
    if value not in SUMMARIES:
        raise BadValue("takes true, false, count, data or text")
    return {"summary": value}


def _elements(kind: Kind, value: str) -> dict[str, Any]:
    return {"elements": read_elements(value)}


def _total(kind: Kind, value: str) -> dict[str, Any]:
    if value not in ("none", "accurate", "estimate"):
        raise BadValue("takes none, accurate or estimate")
    return {"with_total": value != "none"}


_RESULT = {"_count": _count, "_sort": _sort, "_summary": _summary, "_elements": _elements, "_total": _total}


def only_conditions(search: Search) -> Search:
    """A search without anything that says how its answer should look."""
    return Search(search.kind, search.conditions)


def check(caller: Caller, search: Search) -> None:
    """Whether each value of a search can be read, without looking for anything. Raises BadSearch."""
    _may_look_behind(caller, search)
    for source in search.kind.sources:
        _rows(caller.member.site, source, search)


def find(caller: Caller, search: Search, *, after: After | None = None, total: int | None = None) -> Found:
    """One page of what a search finds. `after` is where the page before ended, `total` what was counted for it."""
    site = caller.member.site
    _may_look_behind(caller, search)
    if search.kind.finder is not None:
        anew = _found_anew(site, search, search.kind.finder)
        return replace(anew, included=tuple(_beside(caller, search, anew.matches)))
    sources = [(source, _rows(site, source, search)) for source in search.kind.sources]
    if total is None and search.with_total:
        total = sum(rows.count() for _, rows in sources)
    count = 0 if search.summary == "count" else search.count
    matches: list[Shown] = []
    end: After | None = None
    begin = after.source if after else 0
    for number, (source, rows) in enumerate(sources[begin:], start=begin):
        here = after if after and after.source == number else None
        page = _page(source, rows, search, here, count - len(matches) + 1) if count else []
        fits = page[: count - len(matches)]
        matches += source.shown(site, [key for _, key in fits])
        if len(page) > len(fits):
            values, key = fits[-1] if fits else ((), 0)
            end = After(number, values, key)
            break
    return Found(tuple(matches), tuple(_beside(caller, search, matches)), total, end)


def _may_look_behind(caller: Caller, search: Search) -> None:
    """What is asked of others through a reference is answered to those who may search them. Raises BadSearch."""
    for wanted in search.conditions:
        if not all(caller.may(KINDS[one], "search") for one in wanted.types):
            words = f"{wanted.written} asks of what may not be searched with this token."
            raise BadSearch([Issue("forbidden", words, f"http.{wanted.written}")])


def _found_anew(site: Site, search: Search, finder: Finder) -> Found:
    asked: dict[str, list[tuple[str, ...]]] = {}
    for wanted in search.conditions:
        if wanted.negated or wanted.modifier or wanted.through:
            words = f"{wanted.name} takes no modifier and no chain here."
            raise BadSearch([Issue("not-supported", words, f"http.{wanted.name}")])
        asked.setdefault(wanted.name, []).append(wanted.values)
    try:
        is_counted = search.summary == "count" or not search.count
        found = finder(site, asked, COUNT_MAX if is_counted else search.count)
    except BadValue as bad:
        raise BadSearch([Issue("required", f"{search.kind.name} {bad}.", "http.service-type")]) from None
    return Found(() if is_counted else tuple(found), (), len(found), None)


def _rows(site: Site, source: Source, search: Search) -> QuerySet[Any]:
    whole = Q()
    for wanted in search.conditions:
        try:
            one = _condition(site, source, wanted)
        except BadValue as bad:
            words = f"{wanted.written} {bad}."
            raise BadSearch([Issue("invalid", words, f"http.{wanted.written}")]) from None
        whole &= ~one if wanted.negated else one
    return source.rows(site).filter(whole)


def _condition(site: Site, source: Source, wanted: Wanted) -> Q:
    """What is wanted as a condition on rows; of a chain, on the rows that the reference leads to. Raises BadValue."""
    if not wanted.through:
        parameter: Parameter = source.parameters[wanted.name]
        means = parameter.modified[wanted.modifier] if wanted.modifier else parameter.condition
        return any_of(means(site, value) for value in wanted.values)
    columns = source.parameters[wanted.through].columns
    direct = replace(wanted, through="")
    return any_of(
        Q(**{f"{columns[one]}__in": _keys(site, KINDS[one].sources[0], direct)}) for one in wanted.types
    )


def _keys(site: Site, source: Source, wanted: Wanted) -> QuerySet[Any, Any]:
    return source.rows(site).filter(_condition(site, source, wanted)).order_by().values("pk")


def _page(
    source: Source, rows: QuerySet[Any], search: Search, after: After | None, count: int
) -> list[tuple[tuple[Any, ...], int]]:
    """Keys in their order, from where the page before ended, each with the values that are sorted by."""
    sort = [one for one in search.sort if one.lstrip("-") != "pk"]
    falls = bool(search.sort) and search.sort[-1].startswith("-")
    order = [*sort, "-pk" if falls else "pk"]
    columns = [one.removeprefix("-") for one in sort]
    made = {column: source.computed[column] for column in columns if column in source.computed}
    rows = rows.annotate(**made) if made else rows
    if after and after.key:
        rows = rows.filter(_beyond(order, [*map(_sorted_value, after.values), after.key]))
    listed = rows.order_by(*order).values_list(*columns, "pk")[:count]
    return [(tuple(values), key) for *values, key in listed]


def _beyond(order: Sequence[str], last: Sequence[Any]) -> Q:
    """What comes behind a row in an order: alike up to some column, and beyond it there."""
    whole, alike = NOBODY, Q()
    for one, value in zip(order, last, strict=True):
        column = one.removeprefix("-")
        whole |= alike & Q(**{f"{column}__{'lt' if one.startswith('-') else 'gt'}": value})
        alike &= Q(**{column: value})
    return whole


def _sorted_value(value: Any) -> Any:
    return datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value


def load(caller: Caller, kind: Kind, ids: Iterable[str]) -> list[Shown]:
    """Resources of a type by their ids, as far as the caller may see them."""
    wanted = ",".join(ids)
    if not wanted:
        return []
    limits = caller.limits(kind)
    search = read_search(
        kind, [("_id", wanted), ("_total", "none"), ("_count", str(COUNT_MAX))], lenient=False, limits=limits
    )
    return list(find(caller, search).matches)


def _beside(caller: Caller, search: Search, matches: Sequence[Shown]) -> list[Shown]:
    """What is put beside a page, each once: what it refers to, what refers to it, and of that the same again where it is asked for."""
    new = _once(
        [
            *_included(caller, search.includes, matches),
            *_reverse_included(caller, search.revincludes, matches),
        ],
        matches,
    )
    kept = new
    for _ in range(ITERATIONS_MAX):
        if not new or len(kept) >= INCLUDED_MAX or not (search.iterated or search.reverse_iterated):
            break
        further = [
            *_included(caller, search.iterated, new),
            *_reverse_included(caller, search.reverse_iterated, new),
        ]
        new = _once(further, [*matches, *kept])
        kept = [*kept, *new]
    return kept[: max(INCLUDED_MAX, len(matches))]


def _included(caller: Caller, includes: Sequence[tuple[str, str]], matches: Sequence[Shown]) -> list[Shown]:
    """What the matches refer to, each once."""
    wanted: dict[str, dict[str, None]] = {}
    for kind, name in includes:
        parameter = KINDS[kind].parameters[name]
        for shown in matches:
            if shown.resource["resourceType"] != kind:
                continue
            for text in references(shown.resource.get(parameter.element)):
                for target in parameter.targets:
                    if key := read_reference(text, target, caller.base):
                        wanted.setdefault(target, {})[key] = None
    found: list[Shown] = []
    for target, ids in wanted.items():
        if caller.may(KINDS[target], "read"):
            found += load(caller, KINDS[target], list(ids)[:COUNT_MAX])
    return found


def _reverse_included(
    caller: Caller, revincludes: Sequence[tuple[str, str]], matches: Sequence[Shown]
) -> list[Shown]:
    """What refers to the matches."""
    found: list[Shown] = []
    for kind, name in revincludes:
        targets = KINDS[kind].parameters[name].targets
        named = [s.resource for s in matches if s.resource["resourceType"] in targets][:VALUES_MAX]
        ids = ",".join(f"{one['resourceType']}/{one['id']}" for one in named)
        if not ids or not caller.may(KINDS[kind], "search"):
            continue
        asked = [(name, ids), ("_total", "none"), ("_count", str(COUNT_MAX))]
        search_back = read_search(KINDS[kind], asked, lenient=False, limits=caller.limits(KINDS[kind]))
        found += all_pages(caller, search_back, INCLUDED_MAX)[0]
    return found[:INCLUDED_MAX]


def all_pages(caller: Caller, search: Search, most: int) -> tuple[list[Shown], bool]:
    """What a search finds, page after page, at most so many; and whether there is more."""
    found: list[Shown] = []
    after: After | None = None
    while len(found) < most:
        page = find(caller, search, after=after)
        found += page.matches
        after = page.after
        if after is None:
            return found[:most], len(found) > most
    return found[:most], True


def _once(included: Iterable[Shown], matches: Sequence[Shown]) -> list[Shown]:
    def name(shown: Shown) -> str:
        return f"{shown.resource['resourceType']}/{shown.resource['id']}"

    there = {name(shown) for shown in matches}
    kept: dict[str, Shown] = {}
    for shown in included:
        if name(shown) not in there:
            kept.setdefault(name(shown), shown)
    return list(kept.values())


def entries_of(found: Found) -> list[Entry]:
    """A page as entries of a bundle."""
    return [
        *(Entry(shown.resource) for shown in found.matches),
        *(Entry(shown.resource, "include") for shown in found.included),
    ]
