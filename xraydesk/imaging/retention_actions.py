"""The only writers of which files of images are let go of. Call inside a transaction, with the images locked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xraydesk.imaging.models import Image


def release(images: Sequence[Image], *, why: str, at: datetime) -> None:
    """Let go of the files of images; whoever deletes them does so after this is committed. The rows stay for ever."""
    Image.carried.filter(pk__in=[image.pk for image in images], released_at=None).update(
        released_at=at, released_why=why[:120]
    )


def file_deleted(image_ids: Sequence[int]) -> None:
    """The files of these images are gone; only of such that were let go of."""
    Image.carried.filter(pk__in=image_ids, released_at__isnull=False).update(path="")


def come_back(image: Image, *, path: str, at: datetime) -> None:
    """The file of an image is here again. Where the old one was not deleted yet, that one stays."""
    image.path = image.path or path
    image.released_at, image.released_why, image.back_at = None, "", at
    image.save(update_fields=["path", "released_at", "released_why", "back_at"])
