"""Addresses of FHIR R4, below `/fhir/R4/`."""

from __future__ import annotations

from django.urls import path, re_path

from xraydesk.links.fhir import views

urlpatterns = [
    path("metadata", views.metadata, name="fhir-metadata"),
    re_path(r"^(?P<kind>[A-Za-z]{1,64})$", views.search, name="fhir-search"),
    re_path(r"^(?P<kind>[A-Za-z]{1,64})/(?P<key>[A-Za-z0-9.-]{1,64})$", views.read, name="fhir-read"),
    re_path(r"^(?P<rest>.*)$", views.nothing_here),
]
