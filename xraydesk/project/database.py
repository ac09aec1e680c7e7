"""Which database this process talks to, and how its connections are kept."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from xraydesk.project.config import Config
from xraydesk.project.postgres import recorded

KIND = os.environ.get("XRAYDESK_KIND", "")
"""The kind of process: `web` keeps a pool, the others one connection a thread."""


class NoDatabase(RuntimeError):
    """No desk was ever started in this home, and no DATABASE_URL is given."""


def database_settings(config: Config) -> dict[str, Any]:
    """Django's settings of the one database: `DATABASE_URL`, else the embedded one that `up` runs in this home."""
    base: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "ATOMIC_REQUESTS": False,
        "CONN_MAX_AGE": 0 if KIND == "web" else None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"application_name": f"xraydesk {KIND}".strip()},
    }
    if KIND == "web":
        base["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 10, "timeout": 10}
    if config.database_url:
        url = urlsplit(config.database_url)
        base |= {
            "NAME": unquote(url.path.lstrip("/")),
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "HOST": unquote(url.hostname or ""),
            "PORT": str(url.port or ""),
        }
        base["OPTIONS"] |= dict(parse_qsl(url.query))
        if "host" in base["OPTIONS"]:
            base["HOST"] = base["OPTIONS"].pop("host")
        return base
    place = recorded(config.home)
    return base | {
        "NAME": "xraydesk",
        "USER": "xraydesk",
        "HOST": str(place.socket_dir) if place else str(config.home.absolute() / "no-database"),
        "PORT": str(place.port) if place else "5432",
    }
