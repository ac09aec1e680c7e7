"""Which wishes JSON fulfils."""

from __future__ import annotations

import pytest

from xraydesk.links.fhir.form_rules import may_be_json


@pytest.mark.parametrize(
    ("accept", "named", "fits"),
    [
        ("", "", True),
        ("*/*", "", True),
        ("application/fhir+json", "", True),
        ("application/fhir+json; fhirVersion=4.0", "", True),
        ("application/fhir+json; fhirVersion=3.0", "", False),
        ("application/fhir+json;q=0.5, application/fhir+xml;q=0.9", "", True),
        ("application/fhir+xml, application/json;q=0", "", False),
        ("application/fhir+xml, application/json;q=0.000", "", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", True),
        ("application/fhir+xml", "", False),
        ("text/turtle", "", False),
        ("image/png", "", False),
        ("application/fhir+xml", "json", True),
        ("", "application/fhir json", True),
        ("", "application/fhir+json;fhirVersion=4.0", True),
        ("application/json", "xml", False),
        ("application/json", "ttl", False),
    ],
)
def test_whether_an_answer_in_json_can_be_read(accept: str, named: str, fits: bool) -> None:
    assert may_be_json(accept, named) is fits
