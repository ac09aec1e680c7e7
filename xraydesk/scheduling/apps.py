"""Tells Django of this package."""

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    """Tables of scheduling."""

    name = "xraydesk.scheduling"
    label = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"
