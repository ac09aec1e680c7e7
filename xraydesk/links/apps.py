"""Tells Django of this package."""

from django.apps import AppConfig


class LinksConfig(AppConfig):
    """Tables of links."""

    name = "xraydesk.links"
    label = "links"
    default_auto_field = "django.db.models.BigAutoField"
