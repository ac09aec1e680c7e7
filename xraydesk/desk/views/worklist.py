"""Not on the worklist? Why a machine shows an exam or does not, what it asked, and which machines show it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs, rooms_of
from xraydesk.desk.banner import banner_of, looked_at
from xraydesk.lib import clock


@require_safe
@needs(Permission.SEE_PATIENT)
def worklist_page(request: HttpRequest, member: Member, accession: str) -> HttpResponse:
    """An exam and a machine; without one named, the machine that shows the exam, else one of its room, else the first."""
    # What speaks DICOM takes a moment and 20 MB to import; a web process that is never asked this needs none of it.
    from xraydesk.links.dicom.explain import explain_all, machines_of, standing_of

    exam = exam_or_404(member, accession)
    at = clock.now()
    mine = set(rooms_of(member).values_list("code", flat=True))
    machines = [machine for machine in machines_of(member.site) if machine.room in mine]
    asked = request.GET.get("station", "")
    machine = next((m for m in machines if m.ae_title == asked), None)
    if asked and machine is None:
        raise Http404
    if machine is None:
        booked = standing_of(exam).booked
        here = [m for m in machines if booked is not None and m.room == booked.room]
        of_kind = [m for m in here or machines if exam.procedure and m.modality == exam.procedure.modality]
        machine = next(iter(of_kind or here or machines), None)
    looked_at(member, exam.patient, what="worklist", accession=exam.accession)
    context = {
        "exam": exam,
        "banner": banner_of(exam.patient),
        "machines": machines,
        "machine": machine,
        "told": explain_all(site=member.site, exam=exam, machine=machine, machines=machines, at=at)
        if machine
        else None,
        "may_messages": member.may(Permission.SEE_MESSAGES),
    }
    return render(request, "desk/worklist.html", context)
