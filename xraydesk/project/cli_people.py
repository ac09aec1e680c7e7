"""`xraydesk user` and `xraydesk token`: who may use the desk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from xraydesk.access.roles import Role
from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, Home, SiteCode, desk, no, put_one, site_of

user = typer.Typer(no_args_is_help=True, help="People who sign in.")
token = typer.Typer(no_args_is_help=True, help="Bearer tokens of programs.")
app.add_typer(user, name="user")
app.add_typer(token, name="token")
programs = typer.Typer(no_args_is_help=True, help="Apps of others that sign in (SMART App Launch).")
app.add_typer(programs, name="app")

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
WithRole = Annotated[Role, typer.Option("--role", help="What they may do.", show_default=False)]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]


def _password(from_stdin: bool) -> tuple[str, bool]:
    """The password, and whether it was made here and must be told."""
    from xraydesk.lib.ids import new_secret

    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    return new_secret(12), True


@user.command("create")
def create_user(
    name: Name,
    role: WithRole,
    *,
    password_stdin: FromStdin = False,
    full_name: Annotated[str, typer.Option(help="The name that others see.")] = "",
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Make a person who can sign in; without --password-stdin a password is made and printed once."""
    password, made = _password(password_stdin)
    with desk(home):
        from xraydesk.access import actions

        try:
            actions.create_user(
                site=site_of(site), name=name, role=role, password=password, full_name=full_name
            )
        except actions.AccessRefused as refused:
            raise no(str(refused)) from None
    told = {"name": name, "role": role.value} | ({"password": password} if made else {})
    put_one(told, as_json=as_json)


@user.command("password")
def change_password(
    name: Name, password_stdin: FromStdin = False, home: Home = None, as_json: AsJson = False
) -> None:
    """Give a person a new password, and open a locked name."""
    password, made = _password(password_stdin)
    with desk(home):
        from xraydesk.access import actions

        try:
            actions.set_password(name=name, password=password)
        except actions.AccessRefused as refused:
            raise no(str(refused)) from None
    put_one({"name": name} | ({"password": password} if made else {}), as_json=as_json)


@token.command("create")
def create_token(
    name: Name, role: WithRole, home: Home = None, site: SiteCode = None, as_json: AsJson = False
) -> None:
    """Make a bearer token for a program and print it; it is kept nowhere and cannot be shown again."""
    with desk(home):
        from xraydesk.access import actions
        from xraydesk.lib import clock

        try:
            secret = actions.create_token(site=site_of(site), name=name, role=role, at=clock.now())
        except actions.AccessRefused as refused:
            raise no(str(refused)) from None
    if as_json:
        put_one({"name": name, "role": role.value, "token": secret}, as_json=True)
    else:
        print(secret)


@token.command("revoke")
def revoke_token(name: Name, home: Home = None, site: SiteCode = None) -> None:
    """End a token from now on."""
    with desk(home):
        from xraydesk.access import actions
        from xraydesk.lib import clock

        if not actions.revoke_token(site=site_of(site), name=name, at=clock.now()):
            raise no(f"There is no token {name} in force.")


Keys = Annotated[
    Path | None, typer.Option("--keys", help="A file with the public keys of a service (JWK set).")
]


def _keys_in(file: Path | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        keys = told["keys"]
    except (OSError, ValueError, KeyError, TypeError):
        raise no(f'{file} is no JWK set: it looks like {{"keys": [...]}}.') from None
    return list(keys) if isinstance(keys, list) else []


@programs.command("create")
def create_app(
    name: Name,
    scope: Annotated[
        str, typer.Option(help="The most that it may do, such as 'system/*.rs'.", show_default=False)
    ],
    *,
    keys: Keys = None,
    keys_at: Annotated[
        str, typer.Option("--keys-at", help="The address at which a service has its public keys (JWK set).")
    ] = "",
    network: Annotated[
        list[str] | None, typer.Option(help="A network within that this address may lie in.")
    ] = None,
    issuer: Annotated[
        str, typer.Option(help="How an EHR names itself where it signs its calls of CDS Hooks (iss).")
    ] = "",
    redirect: Annotated[
        list[str] | None, typer.Option(help="An address at which an app that people open is answered.")
    ] = None,
    home: Home = None,
    site: SiteCode = None,
    as_json: AsJson = False,
) -> None:
    """Let an app sign in: a service with --keys or --keys-at, or one that people open with --redirect; prints its client id."""
    listed = _keys_in(keys)
    with desk(home):
        from xraydesk.access import app_actions
        from xraydesk.access.actions import AccessRefused
        from xraydesk.lib import clock

        try:
            made = app_actions.create_app(
                site=site_of(site),
                name=name,
                scopes=scope,
                keys=listed,
                keys_at=keys_at,
                networks=network or [],
                issuer=issuer,
                redirects=redirect or [],
                at=clock.now(),
            )
        except AccessRefused as refused:
            raise no(str(refused)) from None
    put_one({"name": name, "client_id": made.client_id, "scopes": made.scopes}, as_json=as_json)


@programs.command("keys")
def change_keys(
    name: Name,
    file: Annotated[Path, typer.Argument(help="A JWK set; old and new keys may stand side by side.")],
    home: Home = None,
    site: SiteCode = None,
) -> None:
    """Change the public keys of a service."""
    listed = _keys_in(file)
    with desk(home):
        from xraydesk.access import app_actions
        from xraydesk.access.actions import AccessRefused

        try:
            changed = app_actions.set_keys(site=site_of(site), name=name, keys=listed)
        except AccessRefused as refused:
            raise no(str(refused)) from None
        if not changed:
            raise no(f"There is no service {name} in force.")


@programs.command("revoke")
def revoke_app(name: Name, home: Home = None, site: SiteCode = None) -> None:
    """Shut an app out from now on."""
    with desk(home):
        from xraydesk.access import app_actions
        from xraydesk.lib import clock

        if not app_actions.revoke_app(site=site_of(site), name=name, at=clock.now()):
            raise no(f"There is no app {name} in force.")
