"""Under which key an item about an image stands on the attention list."""

from __future__ import annotations

from xraydesk.imaging.models import Image


def image_key(image: Image) -> str:
    """The key of the item about one image."""
    return f"image:{image.pk}"
