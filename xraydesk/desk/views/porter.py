"""The porter's phone: one job at a time; and the desk's list of all jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.desk.banner import Banner, banner_of, looked_at
from xraydesk.journey import fetch
from xraydesk.journey.errors import Refused, WrongState
from xraydesk.lib import clock
from xraydesk.staff.models import Porter
from xraydesk.transport.models import TransportJob
from xraydesk.transport.rules import MODE_WORDS, in_order
from xraydesk.transport.states import LIVE, JobKind, JobState, Mode

WHO = "porter"
"""Session key: the code of the porter who holds this phone, where their sign-in is not bound to one."""

JOBS_READ_MAX = 200
NEXT_SHOWN_MAX = 5
DONE_SHOWN_HOURS = 12
REASONS = (
    "patient not ready",
    "patient not there",
    "needs a nurse",
    "no bed or chair free",
    "isolation not cleared",
)
BUSY = (JobState.ACCEPTED, JobState.PICKED_UP)


@dataclass(frozen=True)
class Shown:
    """One job as the phone and the list show it."""

    job: TransportJob
    how: str
    minutes_left: int

    @property
    def is_fetch(self) -> bool:
        """Whether the patient is brought to the department."""
        return self.job.kind == JobKind.FETCH


def _shown(job: TransportJob, at: datetime) -> Shown:
    return Shown(job, MODE_WORDS[Mode(job.mode)], int((job.due_at - at) // timedelta(minutes=1)))


def porter_of(request: HttpRequest, member: Member) -> Porter | None:
    """Who holds this phone: the porter that the sign-in is bound to, else the one chosen on it."""
    here = Porter.objects.filter(site=member.site, retired=False)
    bound = here.filter(user__name=member.who.removeprefix("user:")).first()
    return bound or here.filter(code=request.session.get(WHO, "")).first()


@require_safe
@needs(Permission.DO_TRANSPORT)
def porter_page(request: HttpRequest, member: Member) -> HttpResponse:
    """The job that is to be done now, with the button for its next step; below, what comes after."""
    at = clock.now()
    porter = porter_of(request, member)
    context: dict[str, object] = {"porter": porter, "reasons": REASONS}
    if porter is None:
        context["porters"] = Porter.objects.filter(site=member.site, retired=False).order_by("code")
        return render(request, "desk/porter.html", context)
    live = _live(member)
    own = next((job for job in live if job.porter_id == porter.pk and job.state in BUSY), None)
    waiting = [job for job in live if job.state == JobState.WAITING]
    ranked = {opened.key: n for n, opened in enumerate(in_order([fetch.as_open(job) for job in waiting]))}
    waiting.sort(key=lambda job: ranked[job.pk])
    now = own or (waiting[0] if waiting else None)
    banner: Banner | None = None
    if now is not None:
        banner = banner_of(now.patient)
        if own is not None:
            looked_at(member, now.patient, what="porter's job", accession=now.exam.accession)
    rest = [job for job in waiting if now is None or job.pk != now.pk]
    context |= {
        "now": _shown(now, at) if now else None,
        "own": own is not None,
        "banner": banner,
        "next": [_shown(job, at) for job in rest[:NEXT_SHOWN_MAX]],
        "total": len(rest) + (1 if now else 0),
    }
    return render(request, "desk/porter.html", context)


def _live(member: Member) -> list[TransportJob]:
    jobs = TransportJob.objects.filter(site=member.site, state__in=LIVE)
    return list(jobs.select_related("exam", "patient", "porter").order_by("due_at", "id")[:JOBS_READ_MAX])


@require_POST
@needs(Permission.DO_TRANSPORT)
def who(request: HttpRequest, member: Member) -> SeeOther:
    """Say who holds this phone."""
    code = request.POST.get("porter", "")
    here = reverse("porter")
    found = Porter.objects.filter(site=member.site, retired=False, code=code).first()
    if found is None:
        request.session.pop(WHO, None)
        return refused(request, WrongState("Choose who you are."), to=here)
    request.session[WHO] = found.code
    return done(request, f"Hello {found.name}.", to=here)


def job_or_404(member: Member, job_id: int) -> TransportJob:
    """A job of the member's own site; raises Http404."""
    job = TransportJob.objects.filter(site=member.site, pk=job_id).first()
    if job is None:
        raise Http404
    return job


Press = Callable[[TransportJob, Porter, str, dict[str, Any]], object]

PRESSES: dict[str, tuple[Press, str]] = {
    "accept": (
        lambda job, porter, why, who: fetch.accept_job(job_id=job.pk, porter=porter, **who),
        "It is your job now.",
    ),
    "hand-back": (
        lambda job, porter, why, who: fetch.hand_back_job(job_id=job.pk, porter=porter, **who),
        "Given back. Somebody else can take it.",
    ),
    "picked-up": (
        lambda job, porter, why, who: fetch.pick_up(job_id=job.pk, porter=porter, **who),
        "On the way.",
    ),
    "delivered": (
        lambda job, porter, why, who: fetch.deliver(job_id=job.pk, porter=porter, **who),
        "Done. Thank you.",
    ),
    "cannot": (
        lambda job, porter, why, who: fetch.cannot(job_id=job.pk, porter=porter, why=why, **who),
        "The desk knows, and looks after it.",
    ),
}
"""Each button of the phone: the step that it is, and what is said when it was done."""


@require_POST
@needs(Permission.DO_TRANSPORT)
def press(request: HttpRequest, member: Member, job_id: int, what: str) -> SeeOther:
    """One button of the phone; who presses it must be said first."""
    job, here = job_or_404(member, job_id), reverse("porter")
    porter = porter_of(request, member)
    if porter is None:
        return refused(request, WrongState("Say first who you are."), to=here)
    step, said = PRESSES[what]
    try:
        step(job, porter, request.POST.get("why", ""), {"at": clock.now(), "by": member.who})
    except Refused as why:
        return refused(request, why, to=here)
    return done(request, said, to=here)


@require_safe
@needs(Permission.SEE_TRANSPORT)
def jobs_page(request: HttpRequest, member: Member) -> HttpResponse:
    """Every job that is live or could not be done, and those done lately."""
    at = clock.now()
    of_site = TransportJob.objects.filter(site=member.site).select_related("exam", "patient", "porter")
    stuck = of_site.filter(state=JobState.CANNOT, ended_at__gte=at - timedelta(hours=DONE_SHOWN_HOURS))
    finished = of_site.filter(state=JobState.DELIVERED, ended_at__gte=at - timedelta(hours=DONE_SHOWN_HOURS))
    live = _live(member)
    ranked = {opened.key: n for n, opened in enumerate(in_order([fetch.as_open(job) for job in live]))}
    live.sort(key=lambda job: ranked[job.pk])
    parts = [
        ("Could not be done", [_shown(job, at) for job in stuck.order_by("-ended_at")[:JOBS_READ_MAX]]),
        ("To do and under way", [_shown(job, at) for job in live]),
        ("Done", [_shown(job, at) for job in finished.order_by("-ended_at")[:JOBS_READ_MAX]]),
    ]
    context = {
        "parts": [(word, rows) for word, rows in parts if rows],
        "may_plan": member.may(Permission.BOOK),
        "may_open": member.may(Permission.SEE_PATIENT),
    }
    return render(request, "desk/jobs.html", context)


@require_POST
@needs(Permission.BOOK)
def again(request: HttpRequest, member: Member, job_id: int) -> SeeOther:
    """Ask a porter again."""
    job = job_or_404(member, job_id)
    try:
        fetch.ask_again(job_id=job.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("jobs"))
    return done(request, "A porter is asked again.", to=reverse("jobs"))


@require_POST
@needs(Permission.BOOK)
def cancel(request: HttpRequest, member: Member, job_id: int) -> SeeOther:
    """Call a job off."""
    job = job_or_404(member, job_id)
    try:
        fetch.cancel_job(job_id=job.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("jobs"))
    return done(request, "The job is cancelled.", to=reverse("jobs"))
