"""Addresses of FHIR R4, below `/fhir/R4/`."""

from __future__ import annotations

from django.urls import path, re_path

from xraydesk.links.fhir import sign_in, views

KIND = r"^(?P<kind>[A-Za-z]{1,64})"
KEY = r"(?P<key>[A-Za-z0-9.-]{1,64})"

urlpatterns = [
    path(".well-known/smart-configuration", sign_in.smart_configuration, name="smart-configuration"),
    path("auth/token", sign_in.token, name="smart-token"),
    path("metadata", views.metadata, name="fhir-metadata"),
    path("", views.root, name="fhir-root"),
    re_path(rf"{KIND}$", views.collection, name="fhir-collection"),
    re_path(rf"{KIND}/_search$", views.search_by_form, name="fhir-search"),
    re_path(rf"{KIND}/{KEY}$", views.instance, name="fhir-instance"),
    re_path(rf"{KIND}/\$(?P<name>[a-z-]{{1,40}})$", views.operation_of_kind, name="fhir-operation"),
    re_path(
        rf"{KIND}/{KEY}/\$(?P<name>[a-z-]{{1,40}})$",
        views.operation_of_instance,
        name="fhir-operation-instance",
    ),
    re_path(rf"{KIND}/{KEY}/_history/(?P<number>[A-Za-z0-9.-]{{1,64}})$", views.version, name="fhir-version"),
    re_path(r"^(?P<rest>.*)$", views.nothing_here),
]
