"""Pictures are looked at before they go on, where the site file says so; what cannot be shown is not looked at."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from django.conf import settings

from xraydesk.journey.pictures import keep_look, to_look_at
from xraydesk.orders.models import Exam


def look_at_pictures(exam: Exam, *, at: datetime) -> int:
    """Keep what the waiting images of an exam look like; how many were looked at."""
    images = to_look_at(exam)
    if not images:
        return 0
    from xraydesk.imaging.gross_part import features_of, kept_features
    from xraydesk.links.dicom.picture import NoPicture, shades_of

    looked = 0
    for image in images:
        try:
            shades = shades_of(Path(settings.XRAYDESK_SPOOL) / image.path)
        except NoPicture:
            continue
        keep_look(image, features=kept_features(features_of(shades)), exam=exam, at=at)
        looked += 1
    return looked
