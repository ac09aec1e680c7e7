"""`xraydesk user` and `xraydesk token`: who may use the desk."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from xraydesk.access.roles import Role
from xraydesk.project.cli import app
from xraydesk.project.cli_desk import AsJson, Home, SiteCode, desk, no, put_one, site_of

user = typer.Typer(no_args_is_help=True, help="People who sign in.")
token = typer.Typer(no_args_is_help=True, help="Bearer tokens of programs.")
app.add_typer(user, name="user")
app.add_typer(token, name="token")

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
