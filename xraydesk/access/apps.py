"""Tells Django of this package."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Tables of access."""

    name = "xraydesk.access"
    label = "access"
    default_auto_field = "django.db.models.BigAutoField"
