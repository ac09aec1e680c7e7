"""Tells Django of this package."""

from django.apps import AppConfig


class DeskConfig(AppConfig):
    """No tables of its own."""

    name = "xraydesk.desk"
    label = "desk"
