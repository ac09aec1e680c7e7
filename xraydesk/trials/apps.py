"""Tells Django of this package."""

from django.apps import AppConfig


class TrialsConfig(AppConfig):
    """Tables of trials."""

    name = "xraydesk.trials"
    label = "trials"
    default_auto_field = "django.db.models.BigAutoField"
