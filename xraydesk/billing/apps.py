"""Tells Django of this package."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Tables of billing."""

    name = "xraydesk.billing"
    label = "billing"
    default_auto_field = "django.db.models.BigAutoField"
