"""Tells Django of this package."""

from django.apps import AppConfig


class DoseConfig(AppConfig):
    """Tables of dose."""

    name = "xraydesk.dose"
    label = "dose"
    default_auto_field = "django.db.models.BigAutoField"
