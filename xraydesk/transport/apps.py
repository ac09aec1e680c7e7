"""Tells Django of this package."""

from django.apps import AppConfig


class TransportConfig(AppConfig):
    """Tables of transport."""

    name = "xraydesk.transport"
    label = "transport"
    default_auto_field = "django.db.models.BigAutoField"
