"""Whether this desk lives and is ready, for whoever watches over it."""

from __future__ import annotations

import os
from functools import lru_cache

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from xraydesk.project.config import config
from xraydesk.project.readiness import INSTANCE_HEADER, INSTANCE_VARIABLE

FREE_BYTES_MIN = 100_000_000
"""With less room than this on the disk nothing more may be acknowledged."""


def healthz(request: HttpRequest) -> HttpResponse:
    """This process lives."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """200 where the desk can do its work, else 503 and why not."""
    why = not_ready()
    return JsonResponse(
        {"ready": not why, "why": why},
        status=503 if why else 200,
        headers={INSTANCE_HEADER: os.environ.get(INSTANCE_VARIABLE, "")},
    )


def not_ready() -> list[str]:
    """What keeps the desk from working: database, tables, disk. Empty where it is ready."""
    why = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT NOT pg_is_in_recovery()")
            row = cursor.fetchone()
        if not row or not row[0]:
            why.append("the database can only be read")
        elif not _migrated():
            why.append("the database's tables are not up to date: start `xraydesk up` once")
    except DatabaseError:
        why.append("the database does not answer")
    home = config().home
    try:
        room = os.statvfs(home)
    except OSError:
        return [*why, "the home folder is not there"]
    if not os.access(home, os.W_OK):
        why.append("the home folder cannot be written")
    elif room.f_bavail * room.f_frsize < FREE_BYTES_MIN:
        why.append("the disk is nearly full")
    return why


def _migrated() -> bool:
    """Asked of the database until it says yes; tables do not go out of date under a running process."""
    if _migrated_at_least_once.cache_info().currsize:
        return True
    done = not MigrationExecutor(connection).migration_plan(
        MigrationExecutor(connection).loader.graph.leaf_nodes()
    )
    if done:
        _migrated_at_least_once()
    return done


@lru_cache(maxsize=1)
def _migrated_at_least_once() -> bool:
    return True


urlpatterns = [path("healthz", healthz), path("readyz", readyz)]
