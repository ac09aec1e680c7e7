"""Tells Django of this package."""

from django.apps import AppConfig


class ImagingConfig(AppConfig):
    """Tables of imaging."""

    name = "xraydesk.imaging"
    label = "imaging"
    default_auto_field = "django.db.models.BigAutoField"
