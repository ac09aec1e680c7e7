"""Finding what readers said of images."""

from __future__ import annotations

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from xraydesk.access.models import Site
from xraydesk.orders.models import Exam
from xraydesk.quality.models import Feedback


def of_exam(exam: Exam) -> QuerySet[Feedback]:
    """What stands of an exam, oldest first."""
    return Feedback.objects.filter(exam=exam, withdrawn_at=None).order_by("at", "id")


def of_site(site: Site, *, about: str = "") -> QuerySet[Feedback]:
    """What stands at a site, or what is for one person: first what nobody has seen, then the newest."""
    found = Feedback.objects.filter(site=site, withdrawn_at=None).select_related("exam__procedure")
    if about:
        found = found.filter(about=about)
    unseen = ExpressionWrapper(Q(seen_at=None), output_field=BooleanField())
    return found.order_by(unseen.desc(), "-at", "-id")


def unseen_count(site: Site, *, about: str) -> int:
    """How many words are for one person who has not seen them yet."""
    return Feedback.objects.filter(site=site, about=about, seen_at=None, withdrawn_at=None).count()
