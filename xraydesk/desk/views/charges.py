"""Charges: what is held and why, what is ready, what was taken, what was credited."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.billing.models import Charge
from xraydesk.billing.states import LIVE, ChargeState
from xraydesk.desk.access import needs
from xraydesk.desk.answers import SeeOther, done, refused
from xraydesk.journey import charge as journey
from xraydesk.journey.errors import Refused
from xraydesk.lib import clock
from xraydesk.orders.models import Exam

PAGE_LENGTH = 100
SHOWS = {
    "held": "Held",
    "ready": "Ready to go",
    "accepted": "Taken",
    "credited": "Credited",
}


@require_safe
@needs(Permission.SEE_CHARGES)
def charges(request: HttpRequest, member: Member) -> HttpResponse:
    """The charges in one state; the held ones first, with what mends each. What waits for its report alone comes last."""
    show = request.GET.get("show", "held")
    if show not in SHOWS:
        raise Http404
    of_site = Charge.objects.filter(site=member.site)
    rows = (
        of_site.filter(state=show)
        .select_related("exam__patient", "exam__procedure")
        .order_by("-made_at", "-id")
    )
    page = Paginator(rows, PAGE_LENGTH).get_page(request.GET.get("page"))
    shown = list(page)
    if show == "held":
        shown.sort(key=lambda charge: all(r["key"] == "no report" for r in charge.reasons))
    counts = {state: of_site.filter(state=state).count() for state in SHOWS if state in set(LIVE)}
    context = {
        "page": page,
        "charges": shown,
        "show": show,
        "shows": [(key, word, counts.get(key)) for key, word in SHOWS.items()],
        "may_open": member.may(Permission.SEE_PATIENT),
    }
    return render(request, "desk/charges.html", context)


@dataclass(frozen=True)
class OnExam:
    """An exam's charges as its page shows them: the one that stands, and those credited before it."""

    standing: Charge | None
    credited: list[Charge]
    may_mend: bool

    @property
    def may_go_as_done(self) -> bool:
        """True where a person may let it go as it was done."""
        return bool(
            self.may_mend and self.standing and self.standing.state == ChargeState.HELD and self.standing.code
        )


def charges_of(member: Member, exam: Exam) -> OnExam | None:
    """What the exam's page shows of its charges; None for a role that does not see them."""
    if not member.may(Permission.SEE_CHARGES):
        return None
    found = list(Charge.objects.filter(exam=exam).order_by("-id")[:10])
    return OnExam(
        standing=next((charge for charge in found if charge.state in LIVE), None),
        credited=[charge for charge in found if charge.state == ChargeState.CREDITED],
        may_mend=member.may(Permission.SEE_CHARGES),
    )


def charge_or_404(member: Member, charge_id: int) -> Charge:
    """A charge of the member's own site; raises Http404."""
    charge = Charge.objects.select_related("exam").filter(site=member.site, pk=charge_id).first()
    if charge is None:
        raise Http404
    return charge


@require_POST
@needs(Permission.SEE_CHARGES)
def review(request: HttpRequest, member: Member, charge_id: int) -> SeeOther:
    """Look at what was done once more, now."""
    charge = charge_or_404(member, charge_id)
    after = journey.review_charge(exam_id=charge.exam_id, at=clock.now(), by=member.who)
    held = after is not None and after.state == ChargeState.HELD
    return done(
        request,
        "It is still held, for the reasons beside it." if held else "Nothing holds it any more.",
        to=reverse("charges"),
    )


@require_POST
@needs(Permission.SEE_CHARGES)
def override(request: HttpRequest, member: Member, charge_id: int) -> SeeOther:
    """Let a held charge go as it was done, with a reason."""
    charge = charge_or_404(member, charge_id)
    try:
        journey.charge_as_done(
            charge_id=charge.pk, why=request.POST.get("why", ""), at=clock.now(), by=member.who
        )
    except Refused as why:
        return refused(request, why, to=reverse("charges"))
    undo = reverse("charge-take-back", args=[charge.pk])
    return done(
        request, f"Exam {charge.exam.accession} is charged as it was done.", to=reverse("charges"), undo=undo
    )


@require_POST
@needs(Permission.SEE_CHARGES)
def take_back(request: HttpRequest, member: Member, charge_id: int) -> SeeOther:
    """Credit a charge; what was done waits until it is corrected, or charged as it is."""
    charge = charge_or_404(member, charge_id)
    try:
        journey.take_back_charge(charge_id=charge.pk, at=clock.now(), by=member.who)
    except Refused as why:
        return refused(request, why, to=reverse("charges"))
    return done(
        request,
        f"The charge {charge.number} was credited. Exam {charge.exam.accession} waits among those held.",
        to=reverse("charges"),
    )
