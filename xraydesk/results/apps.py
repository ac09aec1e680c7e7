"""Tells Django of this package."""

from django.apps import AppConfig


class ResultsConfig(AppConfig):
    """Tables of results."""

    name = "xraydesk.results"
    label = "results"
    default_auto_field = "django.db.models.BigAutoField"
