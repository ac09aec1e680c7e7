"""What `up` does to the database before anything else runs: tables, and the department."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from xraydesk.project.config import config
from xraydesk.project.lifeline import hold_on
from xraydesk.project.logs import configure_logs
from xraydesk.project.trouble import Trouble

DATABASE_SECONDS_MAX = 60


def main() -> None:
    """Prepare, and end: status 0, or 2 with a sentence."""
    given = argparse.ArgumentParser(prog="xraydesk prepare")
    given.add_argument("--demo", action="store_true")
    given.add_argument("--quiet", action="store_true")
    given.add_argument("--site", type=Path)
    wanted = given.parse_args()
    hold_on()
    configure_logs("prepare", config().home, config().log_level)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xraydesk.project.settings")
    import django

    django.setup()
    try:
        wait_for_database()
        migrate()
        if wanted.demo:
            from xraydesk.project.demo import prepare_demo

            prepare_demo(config(), wanted.site, quiet=wanted.quiet)
        elif wanted.site is not None:
            from xraydesk.project.demo import load_file

            load_file(wanted.site)
        check_exposure()
    except Trouble as trouble:
        print(f"xraydesk: {trouble}", file=sys.stderr, flush=True)
        sys.exit(2)


def wait_for_database() -> None:
    """Wait until it takes connections. Raises Trouble where it does not."""
    from django.db import OperationalError, connection

    deadline = time.monotonic() + (5 if config().database_url else DATABASE_SECONDS_MAX)
    while True:
        try:
            connection.ensure_connection()
            return
        except OperationalError as wrong:
            if time.monotonic() > deadline:
                where = "DATABASE_URL's database" if config().database_url else "The embedded PostgreSQL"
                raise Trouble(
                    f"{where} does not take connections: {str(wrong).strip().splitlines()[0]}"
                ) from wrong
            time.sleep(0.05)


def migrate() -> None:
    """Bring the tables up to date, where they are not; one desk at a time.

    Raises Trouble where the database was made by a newer desk.
    """
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    unknown = sorted(
        {
            (app, name)
            for app, name in executor.loader.applied_migrations
            if app in executor.loader.migrated_apps
        }
        - set(executor.loader.disk_migrations)
    )
    if unknown:
        raise Trouble(
            f"The database has tables of a newer desk ({unknown[-1][0]} {unknown[-1][1]}): "
            "install that version, or choose another folder with --home DIR"
        )
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    print("bringing the tables up to date", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('xraydesk migrate', 0))")
        try:
            call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended('xraydesk migrate', 0))")


def check_exposure() -> None:
    """Raises Trouble for pages on an address beyond this machine while there is no administrator, and for MLLP
    or DICOM in clear there where no site file names who may speak so.
    """
    from xraydesk.access.models import Membership, Site
    from xraydesk.access.roles import Role
    from xraydesk.project.addresses import read_address, refuse_exposed_link
    from xraydesk.siteplan.reading import from_json

    links = [link for site in Site.objects.all() if site.plan for link in from_json(site.plan).links]
    in_clear = {link.kind for link in links if link.insecure and link.peers}
    for text, flag, kinds in (
        (config().mllp, "--mllp", {"orders", "results"}),
        (config().dicom, "--dicom", {"dicom"}),
    ):
        refuse_exposed_link(
            read_address(text, flag),
            flag,
            tls=config().tls_cert is not None,
            allowed=bool(in_clear & kinds),
        )

    web = read_address(config().http, "--http")
    there_is_one = Membership.objects.filter(role=Role.ADMINISTRATOR, user__is_active=True).exists()
    if not web.is_loopback and not there_is_one:
        raise Trouble(
            f"--http {web} can be reached from other machines and there is no administrator: start it on "
            "127.0.0.1 first, and make one with `xraydesk user create NAME --role administrator`"
        )


if __name__ == "__main__":
    main()
