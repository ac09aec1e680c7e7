"""Every page of the desk."""

from __future__ import annotations

from django.urls import URLPattern, path

from xraydesk.desk.views import live, signing

urlpatterns: list[URLPattern] = [
    path("sign-in", signing.sign_in_page, name="sign-in"),
    path("sign-out", signing.sign_out, name="sign-out"),
    path("about/intended-use", signing.intended_use, name="intended-use"),
    path("live", live.live, name="live"),
]
