"""Tells Django of this package."""

from django.apps import AppConfig


class QualityConfig(AppConfig):
    """Tables of quality."""

    name = "xraydesk.quality"
    label = "quality"
    default_auto_field = "django.db.models.BigAutoField"
