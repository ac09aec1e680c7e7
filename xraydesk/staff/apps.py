"""Tells Django of this package."""

from django.apps import AppConfig


class StaffConfig(AppConfig):
    """Tables of staff."""

    name = "xraydesk.staff"
    label = "staff"
    default_auto_field = "django.db.models.BigAutoField"
