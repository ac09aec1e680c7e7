"""Trying a rule before living with it: the department in fast time, beside the desk."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.trial_form import TrialFields
from xraydesk.desk.views.measures import XLSX
from xraydesk.journey import trial as steps
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.simulation.report import cells_of
from xraydesk.trials.models import Trial
from xraydesk.trials.states import UNDER_WAY

_NUMBERS = ("facts_days", "load_percent", "days", "seed")
_HEAVY = ("workbook", "charts", "report", "policies", "scenario")


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Permission.TRY_RULES)
def trials(request: HttpRequest, member: Member) -> HttpResponseBase:
    """What was tried, and a form to try something; posted to, it is run."""
    try:
        plan = steps.plan_of(member.site)
    except steps.TrialUnfit as why:
        return _page(request, member, None, str(why))
    if request.method != "POST":
        return _page(request, member, TrialFields(plan=plan))
    fields = TrialFields(request.POST, request.FILES, plan=plan)
    if not fields.is_valid():
        return _page(request, member, fields, "Some fields need another look. What you typed is kept.", 400)
    try:
        asked = steps.ask_for_trial(
            site=member.site,
            policies=fields.policies(),
            scenario=fields.scenario_text(),
            facts_days=fields.learns_from_days(),
            load_percent=fields.cleaned_data["load_percent"],
            days=fields.cleaned_data["days"],
            seed=fields.cleaned_data["seed"],
            at=clock.now(),
            by=member.who,
        )
    except steps.TrialUnderWay as why:
        return _page(request, member, fields, str(why), 409)
    except Refused as why:
        return _page(request, member, fields, str(why), 400)
    return SeeOther(reverse("trial", args=[asked.pk]))


def _page(
    request: HttpRequest, member: Member, fields: TrialFields | None, wrong: str = "", status: int = 200
) -> HttpResponse:
    found = Trial.objects.filter(site=member.site).defer(*_HEAVY).order_by("-at", "-id")
    context = {
        "fields": fields,
        "numbers": [fields[name] for name in _NUMBERS] if fields else [],
        "wrong": wrong,
        "trials": found,
        "under_way": next((one for one in found if one.state in UNDER_WAY), None),
    }
    return render(request, "desk/trials.html", context, status=status)


@require_safe
@needs(Permission.TRY_RULES)
def trial(request: HttpRequest, member: Member, trial_id: int) -> HttpResponse:
    """One trial: how far it is, and when it is done its measures side by side."""
    found = _or_404(member, trial_id)
    context: dict[str, Any] = {
        "trial": found,
        "under_way": found.state in UNDER_WAY,
        "report": found.report,
        "rows": list(cells_of(found.report)) if found.report else [],
        # Drawn by our own code, which escapes the policies' names in them.
        "charts": [(title, mark_safe(svg)) for title, svg in found.charts],  # noqa: S308
    }
    return render(request, "desk/trial.html", context)


@require_POST
@needs(Permission.TRY_RULES)
def stop(request: HttpRequest, member: Member, trial_id: int) -> SeeOther:
    """Nobody waits for it any more."""
    found = _or_404(member, trial_id)
    try:
        steps.stop_trial(site=member.site, trial_id=found.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("trial", args=[found.pk]))
    return done(request, "Stopped.", to=reverse("trials"))


@require_safe
@needs(Permission.TRY_RULES)
def workbook(request: HttpRequest, member: Member, trial_id: int) -> HttpResponse:
    """What was found, as a workbook, each day's numbers too."""
    found = _or_404(member, trial_id)
    if found.workbook is None:
        raise Http404
    response = HttpResponse(bytes(found.workbook), content_type=XLSX)
    response["Content-Disposition"] = f'attachment; filename="trial-{found.pk}.xlsx"'
    return response


def _or_404(member: Member, trial_id: int) -> Trial:
    found = Trial.objects.filter(site=member.site, pk=trial_id).first()
    if found is None:
        raise Http404
    return found
