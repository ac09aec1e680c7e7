"""Tells Django of this package."""

from django.apps import AppConfig


class AttentionConfig(AppConfig):
    """Tables of attention."""

    name = "xraydesk.attention"
    label = "attention"
    default_auto_field = "django.db.models.BigAutoField"
