"""Tells Django of this package."""

from django.apps import AppConfig


class ContactConfig(AppConfig):
    """Tables of contact."""

    name = "xraydesk.contact"
    label = "contact"
    default_auto_field = "django.db.models.BigAutoField"
