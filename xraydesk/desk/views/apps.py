"""Letting in an app that somebody opens: who it is, what it may do, and for which patient."""

from __future__ import annotations

from urllib.parse import urlsplit

from authlib.oauth2 import OAuth2Error
from django.contrib.auth import SESSION_KEY
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from xraydesk.access.members import Member
from xraydesk.access.models import User
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.middleware import POLICY
from xraydesk.links.fhir.scopes_codec import in_words, of_one_patient
from xraydesk.links.fhir.sign_in import Server, base_of
from xraydesk.patients.queries import by_identifier


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.FHIR)
def let_in(request: HttpRequest, member: Member) -> HttpResponse:
    """Ask whether an app may act for whoever is signed in, and answer it at the address that it registered."""
    key = request.session.get(SESSION_KEY)
    if key is None or member.locations:
        raise Http404
    server = Server(base_of(request))
    try:
        grant = server.get_consent_grant(request)
    except OAuth2Error as error:
        words = error.description or error.error
        return render(request, "desk/app.html", {"wrong": words, "member": member}, status=400)
    app = grant.client.app
    if app.site_id != member.site.pk:
        raise Http404
    scopes = grant.client.get_allowed_scope(grant.request.payload.scope)
    one = of_one_patient(scopes)
    wrong = ""
    if request.method == "POST":
        number = request.POST.get("number", "")
        patient = by_identifier(site=member.site, value=number) if one and number.strip() else None
        agreed = "allow" in request.POST
        if not agreed or not one or patient is not None:
            grant.request.patient = patient.pk if patient else None
            user = User.objects.get(pk=key) if agreed else None
            answered: HttpResponse = server.create_authorization_response(
                grant.request, grant_user=user, grant=grant
            )
            return answered
        wrong = "No patient has that number, or more than one has."
    told = {"app": app, "scopes": in_words(scopes), "one": one, "wrong": wrong, "member": member}
    page = render(request, "desk/app.html", told, status=422 if wrong else 200)
    # Browsers hold the answer to the app to this rule too, since it follows from the form.
    there = urlsplit(grant.request.payload.redirect_uri)
    page["Content-Security-Policy"] = POLICY.replace(
        "form-action 'self'", f"form-action 'self' {there.scheme}://{there.netloc}"
    )
    return page
