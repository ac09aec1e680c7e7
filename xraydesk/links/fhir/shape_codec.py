"""Whether a resource has the shape that FHIR R4 gives its type, and which of its elements says otherwise. Pure.

The models are those of `fhir.resources` (R4B; the types served here are the same in R4). They check names, types,
how often an element may stand, and choices; the codes of required value sets are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from fhir.resources.R4B import get_fhir_model_class
from fhir_core.types import FhirBase
from pydantic import BaseModel, ValidationError

from xraydesk.links.fhir.answers_codec import Issue

ISSUES_MAX = 20
"""More are not told at once."""

DEPTH_MAX = 40
"""No resource is nested so deep in earnest."""

CUT_SHORT = "+"
"""Stands in a model's list of codes that does not name them all; such a list refuses nothing."""

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
    model = model_of(kind)
    try:
        model.model_validate(resource)
    except ValidationError as wrong:
        return [_issue(kind, error) for error in wrong.errors(include_input=False)[:ISSUES_MAX]]
    return list(_codes(resource, model, kind))[:ISSUES_MAX]


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


def _codes(value: Mapping[str, Any], model: type[BaseModel], path: str) -> Iterator[Issue]:
    """Codes that are not of the value set that their element requires."""
    for name, (allowed, inner) in _fields(model).items():
        told = value.get(name)
        if told is None:
            continue
        many = told if isinstance(told, list) else [told]
        for number, one in enumerate(many):
            here = f"{path}.{name}[{number}]" if isinstance(told, list) else f"{path}.{name}"
            if allowed and one is not None and one not in allowed:
                yield Issue("code-invalid", f"One of {', '.join(allowed)} is meant.", here)
            if inner is not None and isinstance(one, dict):
                yield from _codes(one, inner, here)


@cache
def _fields(model: type[BaseModel]) -> dict[str, tuple[tuple[str, ...], type[BaseModel] | None]]:
    """The elements of a model: the codes that are allowed, and the model of what is inside."""
    found: dict[str, tuple[tuple[str, ...], type[BaseModel] | None]] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        allowed = extra.get("enum_values")
        inner = _inner_model(field.annotation)
        if allowed or inner:
            codes = tuple(str(code) for code in allowed) if isinstance(allowed, list) else ()
            codes = () if CUT_SHORT in codes else codes
            found[field.alias or name] = (codes, inner)
    return found


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
