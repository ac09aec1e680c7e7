"""Whether a resource has the shape that FHIR R4 gives its type, and which of its elements says otherwise. Pure.

The models are those of `fhir.resources` (R4B; the types served here are the same in R4). They check names, types,
how often an element may stand, and choices; the codes of required value sets are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, get_args

from fhir.resources.R4B import get_fhir_model_class
from fhir_core.types import FhirBase
from pydantic import BaseModel, ValidationError

from xraydesk.lib.exact_json import DIGITS_MAX, may_be_kept
from xraydesk.links.fhir.answers_codec import Issue

ISSUES_MAX = 20
"""More are not told at once."""

DEPTH_MAX = 40
"""No resource is nested so deep in earnest."""

CUT_SHORT = "+"
"""Stands in a model's list of codes that does not name them all; such a list refuses nothing."""

MUST_UNDERSTAND = ("modifierExtension", "implicitRules")
"""Elements that may turn the meaning of all the others; none of them is known here."""

MODELS_STUMBLE = (TypeError, AttributeError, KeyError)
"""What the models raise in place of saying what is wrong."""

_KIND_OF_ERROR = {"missing": "required", "extra_forbidden": "structure", "value_error": "invariant"}


def model_of(kind: str) -> type[BaseModel]:
    """The model of a resource type."""
    found: type[BaseModel] = get_fhir_model_class(kind)
    return found


def issues_of(resource: Mapping[str, Any], kind: str) -> list[Issue]:
    """What is wrong with a resource that should be of `kind`, with the path of each element; nothing where it is right."""
    told = resource.get("resourceType")
    if told != kind:
        words = f"The resource is of type {str(told)[:40]}; here it is {kind}."
        return [Issue("invalid", words, f"{kind}.resourceType")]
    if _depth(resource) > DEPTH_MAX:
        return [Issue("too-long", f"The resource is nested deeper than {DEPTH_MAX}.", kind)]
    if unkept := list(_unkept(resource, kind))[:ISSUES_MAX]:
        return unkept
    model = model_of(kind)
    try:
        model.model_validate(resource)
    except ValidationError as wrong:
        return [_issue(kind, error) for error in wrong.errors(include_input=False)[:ISSUES_MAX]]
    except MODELS_STUMBLE as trouble:
        found = list(_stumbled_at(resource, model, kind))[:ISSUES_MAX]
        return found or [Issue("structure", f"This cannot be read ({type(trouble).__name__}).", kind)]
    return list(_values(resource, model, kind))[:ISSUES_MAX]


def _stumbled_at(resource: Mapping[str, Any], model: type[BaseModel], kind: str) -> Iterator[Issue]:
    """The elements, each looked at alone, over which the models stumble: a resource within of no type of FHIR's, a number for an address."""
    for name, told in resource.items():
        for number, one in enumerate(told if isinstance(told, list) else [told]):
            try:
                model.model_validate({"resourceType": kind, name: [one] if isinstance(told, list) else one})
            except ValidationError:
                continue
            except MODELS_STUMBLE:
                here = f"{kind}.{name}[{number}]" if isinstance(told, list) else f"{kind}.{name}"
                yield Issue("structure", "This has a type or a value that FHIR does not know here.", here)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= DEPTH_MAX:
        depth += 1
        inner = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level = [part for parts in inner for part in parts]
    return depth


def _issue(kind: str, error: Mapping[str, Any]) -> Issue:
    path = kind + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    code = _KIND_OF_ERROR.get(error["type"], "value")
    return Issue(code, str(error["msg"]).removeprefix("Value error, "), path)


def _values(value: Mapping[str, Any], model: type[BaseModel], path: str) -> Iterator[Issue]:
    """Values of another kind than JSON has for their element, and codes that are not of the value set that it requires.

    The models take "true" for true; what comes back as it was sent has to be right for whoever reads it next.
    """
    elements = _elements(model)
    for name, told in value.items():
        element = elements.get(name)
        if element is None:
            continue
        for number, one in enumerate(told if isinstance(told, list) else [told]):
            here = f"{path}.{name}[{number}]" if isinstance(told, list) else f"{path}.{name}"
            if one is None:
                continue
            if element.plain and type(one) not in element.plain:
                yield Issue("value", f"{element.words} is meant.", here)
            elif element.codes and one not in element.codes:
                yield Issue("code-invalid", f"One of {', '.join(element.codes)} is meant.", here)
            elif element.inner is not None and isinstance(one, dict):
                yield from _values(one, element.inner, here)


def _unkept(value: Any, path: str) -> Iterator[Issue]:
    """Elements that are null, and values that cannot be kept.

    In JSON an element has a value or is left out; only between values of a list null stands for none.
    """
    if isinstance(value, dict):
        for name, told in value.items():
            if told is None:
                yield Issue("structure", "An element has a value, or is left out.", f"{path}.{name}")
            else:
                yield from _unkept(told, f"{path}.{name}")
    elif isinstance(value, list):
        for number, told in enumerate(value):
            yield from _unkept(told, f"{path}[{number}]")
    elif isinstance(value, str) and "\0" in value:
        yield Issue("value", "A text holds a character that no text has (U+0000).", path)
    elif isinstance(value, Decimal) and not may_be_kept(value):
        yield Issue("value", f"A number has at most {DIGITS_MAX} digits.", path)


def not_understood(value: Any, path: str) -> list[Issue]:
    """What would change the meaning of a resource in a way that nobody here knows: then nothing may be made of it (R4 §2.4.1)."""
    if isinstance(value, list):
        return [
            issue for number, one in enumerate(value) for issue in not_understood(one, f"{path}[{number}]")
        ]
    if not isinstance(value, dict):
        return []
    found = [
        Issue(
            "not-supported", "This changes what is meant in a way that is not known here.", f"{path}.{name}"
        )
        for name in MUST_UNDERSTAND
        if value.get(name)
    ]
    return found + [issue for name, one in value.items() for issue in not_understood(one, f"{path}.{name}")]


@dataclass(frozen=True)
class _Element:
    """What an element may hold: codes, what is inside, or plain values of some kind, told in words."""

    codes: tuple[str, ...] = ()
    inner: type[BaseModel] | None = None
    plain: tuple[type, ...] = ()
    words: str = ""


@cache
def _elements(model: type[BaseModel]) -> dict[str, _Element]:
    """The elements of a model, by the names that JSON has for them."""
    found: dict[str, _Element] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        allowed = extra.get("enum_values")
        codes = tuple(str(code) for code in allowed) if isinstance(allowed, list) else ()
        plain, words = _PLAIN.get(_plain_type(field.annotation), ((), ""))
        found[field.alias or name] = _Element(
            () if CUT_SHORT in codes else codes, _inner_model(field.annotation), plain, words
        )
    return found


_PLAIN: Mapping[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "A whole number"),
    Decimal: ((int, float, Decimal), "A number"),
    date: ((str,), "A text"),
    datetime: ((str,), "A text"),
    time: ((str,), "A text"),
}
"""By the type of a model: what JSON has for it. Texts, and what stands in those of times, are checked by the models, to which 0 is a time too."""


def _plain_type(annotation: Any) -> Any:
    """The one plain type behind an annotation: `Optional[List[Annotated[int, …]]]` is int."""
    parts = [part for part in get_args(annotation) if part is not NoneType]
    return _plain_type(parts[0]) if parts else annotation


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model of the values that an element holds; None for plain values and for resources of any type."""
    if isinstance(annotation, type):
        if not issubclass(annotation, FhirBase):
            return None
        model: type[BaseModel] = annotation.get_model_klass()
        return None if model.__name__ == "Resource" else model
    found = (_inner_model(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


@cache
def summary_elements(kind: str) -> tuple[str, ...]:
    """The elements that FHIR counts to the summary of a type."""
    fields = model_of(kind).model_fields.items()
    return tuple(
        field.alias or name
        for name, field in fields
        if isinstance(field.json_schema_extra, dict)
        and field.json_schema_extra.get("summary_element_property")
    )


@cache
def mandatory_elements(kind: str) -> tuple[str, ...]:
    """The elements that a type cannot be without."""
    fields = model_of(kind).model_fields.items()
    return tuple(
        field.alias or name
        for name, field in fields
        if field.is_required()
        or (isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("element_required"))
    )
