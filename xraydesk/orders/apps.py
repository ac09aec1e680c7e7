"""Tells Django of this package."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Tables of orders."""

    name = "xraydesk.orders"
    label = "orders"
    default_auto_field = "django.db.models.BigAutoField"
