"""Tells Django of this package."""

from django.apps import AppConfig


class SafetyConfig(AppConfig):
    """Tables of safety."""

    name = "xraydesk.safety"
    label = "safety"
    default_auto_field = "django.db.models.BigAutoField"
