"""Tells Django of this package."""

from django.apps import AppConfig


class FactsConfig(AppConfig):
    """Tables of facts."""

    name = "xraydesk.facts"
    label = "facts"
    default_auto_field = "django.db.models.BigAutoField"
