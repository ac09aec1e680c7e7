"""An EHR calls because something changed there (a Subscription, rest-hook): the desk asks at once what it was.

Nothing that a call says is believed or kept: what changed is fetched, as it is every minute besides. So a call that is
forged, repeated, late or lost makes nothing of anybody.
"""

from __future__ import annotations

import hmac
from pathlib import Path

import structlog
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from xraydesk.access.models import Site
from xraydesk.lib import clock
from xraydesk.links.ehr.defer import defer_fetching
from xraydesk.links.models import Fetching
from xraydesk.siteplan.link_plan import EhrPlan
from xraydesk.siteplan.reading import from_json

log = structlog.get_logger(__name__)

SECRET_LENGTH_MIN = 24
"""A shorter word could be guessed: nobody is let in by it."""


@csrf_exempt
@require_POST
def call(request: HttpRequest, site: str, ehr: str) -> HttpResponse:
    """Take a call: a handshake, a heartbeat or a notification, all alike. A stranger is told nothing of who is known here."""
    found = Site.objects.filter(code=site).first()
    plans = from_json(found.plan).ehrs if found is not None and found.plan else ()
    plan = next((one for one in plans if one.name == ehr), None)
    secret = _secret_of(plan) if plan else ""
    scheme, _, told = request.headers.get("Authorization", "").partition(" ")
    is_known = scheme.lower() == "bearer" and hmac.compare_digest(told.strip().encode(), secret.encode())
    if found is None or not secret or not is_known:
        response = HttpResponse(status=401)
        response["WWW-Authenticate"] = 'Bearer realm="xraydesk"'
        return response
    with transaction.atomic():
        Fetching.objects.filter(site=found, ehr=ehr).update(called_at=clock.now())
        defer_fetching(site_id=found.pk, ehr=ehr)
    return HttpResponse(status=200)


def _secret_of(ehr: EhrPlan) -> str:
    """The word that an EHR must show; empty where nobody is let in."""
    if not ehr.secret:
        return ""
    try:
        secret = Path(ehr.secret).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        log.warning("the secret of an EHR cannot be read", ehr=ehr.name)
        return ""
    return secret if len(secret) >= SECRET_LENGTH_MIN else ""
