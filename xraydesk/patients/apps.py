"""Tells Django of this package."""

from django.apps import AppConfig


class PatientsConfig(AppConfig):
    """Tables of patients."""

    name = "xraydesk.patients"
    label = "patients"
    default_auto_field = "django.db.models.BigAutoField"
