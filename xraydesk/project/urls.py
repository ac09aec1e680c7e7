"""Every address of the desk."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from xraydesk.links.ehr import calls
from xraydesk.links.fhir import hooks
from xraydesk.links.fhir import views as fhir

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("xraydesk.project.health")),
    path("", include("xraydesk.project.metrics")),
    path("fhir/calls/<str:site>/<str:ehr>", calls.call, name="ehr-call"),
    path("fhir/cds-services", hooks.services, name="cds-services"),
    path("fhir/cds-services/<str:hook>", hooks.service, name="cds-service"),
    path("fhir/R4", fhir.root),
    path("fhir/R4/", include("xraydesk.links.fhir.urls")),
    path("", include("xraydesk.desk.urls")),
]

handler400 = "xraydesk.desk.views.wrong.not_understood"
handler403 = "xraydesk.desk.views.wrong.forbidden"
handler404 = "xraydesk.desk.views.wrong.not_found"
handler500 = "xraydesk.desk.views.wrong.broken"
