"""A small picture of an image, drawn on the server; not for diagnosis."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotFound
from django.utils.html import escape
from django.views.decorators.http import require_safe

from xraydesk.access.members import Member
from xraydesk.access.roles import Permission
from xraydesk.desk.access import exam_or_404, needs
from xraydesk.desk.banner import looked_at
from xraydesk.imaging.models import Image
from xraydesk.imaging.states import ImageState
from xraydesk.links.dicom.picture import NoPicture, picture_of


def can_be_shown(image: Image) -> bool:
    """True where an image may have a picture, and its file is still kept here."""
    return (
        bool(image.path) and image.modality != "SR" and (Path(settings.XRAYDESK_SPOOL) / image.path).is_file()
    )


@require_safe
@needs(Permission.SEE_PATIENT, Permission.DECIDE_IMAGES)
def image_picture(request: HttpRequest, member: Member, image_id: int) -> HttpResponse:
    """The picture as a PNG, for those who may see its exam; of an undecided one, for those who decide.

    Of one whose file is no longer here, a picture that says so, and where it is. Where nothing else can be shown the
    answer is 404 with the reason in words.
    """
    image = Image.objects.select_related("exam").filter(site=member.site, pk=image_id).first()
    if image is None:
        raise Http404
    decided = image.exam is not None and image.state != ImageState.QUARANTINED
    if not member.may(Permission.SEE_PATIENT if decided else Permission.DECIDE_IMAGES):
        raise Http404
    if image.exam is not None:
        exam = exam_or_404(member, image.exam.accession)
        looked_at(member, exam.patient, what="picture", accession=exam.accession)
    if image.released_at is not None:
        return _no_longer_here(image.released_why)
    if not image.path or not (Path(settings.XRAYDESK_SPOOL) / image.path).is_file():
        return _no_longer_here("its file was taken away")
    try:
        words = f"{image.laterality} {image.view_position}"
        drawn = picture_of(Path(settings.XRAYDESK_SPOOL) / image.path, words=words)
    except NoPicture as why:
        return HttpResponseNotFound(str(why), content_type="text/plain; charset=utf-8")
    answer = HttpResponse(drawn.png, content_type="image/png")
    answer["Cache-Control"] = "no-store"
    return answer


def _no_longer_here(why: str) -> HttpResponse:
    """A drawing of two lines, so that a page that still shows a picture shows why there is none."""
    drawn = NO_LONGER_HERE.format(why=escape(why))
    answer = HttpResponse(drawn, content_type="image/svg+xml")
    answer["Cache-Control"] = "no-store"
    return answer


NO_LONGER_HERE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="80" viewBox="0 0 320 80" role="img">'
    '<rect width="320" height="80" fill="#fff"/>'
    '<g font-family="sans-serif" font-size="14" fill="#222">'
    '<text x="12" y="34">This image is no longer here:</text><text x="12" y="56">{why}</text></g></svg>'
)
