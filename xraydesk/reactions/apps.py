"""Tells Django of this package."""

from django.apps import AppConfig


class ReactionsConfig(AppConfig):
    """No tables of its own."""

    name = "xraydesk.reactions"
    label = "reactions"
