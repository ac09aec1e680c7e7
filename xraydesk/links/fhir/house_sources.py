"""The rows behind what is told of the house itself: its codes, who is called, who looked; and what a value of each search parameter means among them."""

from __future__ import annotations

from django.db.models import Q

from xraydesk.access.models import RecordRead, Site
from xraydesk.links.fhir import (
    rows,
)
from xraydesk.links.fhir.conditions import (
    NOBODY,
    always,
    moment,
    text_begins,
    text_is,
    token,
)
from xraydesk.links.fhir.kind import Parameter, Source
from xraydesk.links.fhir.parameters import (
    by_id,
    coded,
    leads_to,
)
from xraydesk.links.models import Subscription
from xraydesk.orders.models import CodeTable

AUDIT = Source(
    lambda site: RecordRead.objects.filter(site=site),
    rows.audit_events,
    {
        **by_id(),
        "patient": leads_to("Patient", "patient", "entity"),
        "date": Parameter("date", moment("at")),
        "agent-name": Parameter("string", text_begins("who")),
        "_lastUpdated": Parameter("date", moment("at")),
    },
)


def _map_url(site: Site, value: str) -> Q:
    head, _, rest = value.partition(":map:")
    of, _, system = rest.partition(":")
    return Q(of=of, system=system) if head == f"urn:xraydesk:{site.code}" else NOBODY


CONCEPT_MAP = Source(
    lambda site: CodeTable.objects.filter(site=site),
    rows.concept_maps,
    {
        **by_id(),
        "url": Parameter("uri", _map_url),
        "status": Parameter("token", coded("publication-status", always("active"))),
        "version": Parameter("token", token("version")),
        "target-system": Parameter("uri", text_is("system")),
        "_lastUpdated": Parameter("date", moment("at")),
    },
)


SUBSCRIPTION = Source(
    lambda site: Subscription.objects.filter(site=site),
    rows.subscriptions,
    {
        **by_id(),
        "status": Parameter("token", coded("subscription-status", token("state"))),
        "criteria": Parameter("string", text_begins("topic"), modified={"exact": text_is("topic")}),
        "url": Parameter("uri", text_is("endpoint")),
        "_source": Parameter("uri", text_is("who")),
        "_lastUpdated": Parameter("date", moment("changed_at")),
    },
)
