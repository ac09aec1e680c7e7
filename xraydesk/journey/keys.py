"""Under which key an item about an image stands on the attention list, and what a page saw of the image."""

from __future__ import annotations

from xraydesk.imaging.models import Delivery, Image


def image_key(image: Image) -> str:
    """The key of the item about one image."""
    return f"image:{image.pk}"


def reader_key(image: Image) -> str:
    """The key of the item about one image that a reader says is labelled wrong."""
    return f"label said wrong:{image.pk}"


def delivery_key(delivery: Delivery) -> str:
    """The key of the item about one image that a destination does not take."""
    return f"delivery:{delivery.image_id}:{delivery.destination}"


def away_key(destination: str) -> str:
    """The key of the item about a destination that cannot be reached."""
    return f"destination away:{destination}"


def standing(image: Image) -> str:
    """Where an image stands, as a page keeps it until its form comes back."""
    decided = image.decided_at.isoformat() if image.decided_at else ""
    return f"{image.state}:{image.exam_id or ''}:{decided}"
