"""What every page's frame needs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def desk(request: HttpRequest) -> dict[str, Any]:
    """The signed-in person's membership, for the frame of a page."""
    return {"member": getattr(request, "member", None)}
