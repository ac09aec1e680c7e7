"""Tells Django of this package."""

from django.apps import AppConfig


class RoomsConfig(AppConfig):
    """Tables of rooms."""

    name = "xraydesk.rooms"
    label = "rooms"
    default_auto_field = "django.db.models.BigAutoField"
