"""Search parameters that several types have in common, each made for the column that it asks of."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import Q

from xraydesk.access.models import Site
from xraydesk.links.fhir.conditions import (
    NOBODY,
    Condition,
    by_key,
    exam_identifier,
    exam_identifier_of_type,
    missing,
    patient_identifier,
    patient_identifier_of_type,
    reference,
    text_begins,
    text_holds,
    text_is,
    token_of,
    updated,
)
from xraydesk.links.fhir.kind import Parameter
from xraydesk.orders.models import Exam


def reversed_codes(codes: Mapping[str, str]) -> dict[str, list[str]]:
    """FHIR's code to the values that it stands for."""
    found: dict[str, list[str]] = {}
    for value, code in codes.items():
        found.setdefault(code, []).append(value)
    return found


def leads_to(kind: str, column: str, element: str, *, lacking: Q | None = None) -> Parameter:
    """A reference to one type, whose key is in a column of the row; `lacking` describes rows that have none."""
    return Parameter(
        "reference",
        reference(column, kind),
        element,
        (kind,),
        {"missing": missing(NOBODY if lacking is None else lacking)},
        {kind: column},
    )


def patient_number(column: str = "pk") -> Parameter:
    """A number of a patient; `column` holds the patient's key."""
    of_type = {"of-type": patient_identifier_of_type(column)}
    return Parameter("token", patient_identifier(column), modified=of_type)


def exam_number(column: str = "pk") -> Parameter:
    """A number of an exam; `column` holds the exam's key."""
    return Parameter("token", exam_identifier(column), modified={"of-type": exam_identifier_of_type(column)})


def of_patient(column: str, element: str) -> dict[str, Parameter]:
    """`patient`, and `patient.identifier`, as EHRs ask."""
    return {
        "patient": leads_to("Patient", column, element),
        "patient.identifier": patient_number(column),
    }


def named(column: str) -> Parameter:
    """A name that is no patient's."""
    return Parameter(
        "string",
        text_begins(column),
        modified={"exact": text_is(column), "contains": text_holds(column)},
    )


def by_id(prefix: str = "") -> dict[str, Parameter]:
    return {"_id": Parameter("token", by_key(prefix))}


def coded(table: str, inner: Condition) -> Condition:
    """A code of one of FHIR's own tables: whoever names another table means something else."""

    def condition(site: Site, value: str) -> Q:
        return inner(site, value) if token_of(value)[0] in (None, f"http://hl7.org/fhir/{table}") else NOBODY

    return condition


EXAM_UPDATED = updated("ServiceRequest", Exam, facts="accession", by="accession", made="created_at")
