"""The house keeps its shape: imports and foreign keys point downwards, and tables match their models."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.models import Field

ROOT = Path(__file__).parents[1]
PACKAGE = "xraydesk"


def layers() -> dict[str, int]:
    """Package to its layer, 0 at the top, as pyproject.toml lists them for import-linter."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (listed,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return {
        name.strip(): height
        for height, layer in enumerate(listed)
        for name in layer.replace(":", "|").split("|")
    }


def package_of(module: str) -> str:
    """The room of the house that a module lies in."""
    return module.removeprefix(f"{PACKAGE}.").split(".")[0]


def foreign_keys() -> list[tuple[str, str, str]]:
    """Every relation between our tables, as (field, package it is in, package it points to)."""
    found = []
    for model in apps.get_models(include_auto_created=True):
        if not model.__module__.startswith(f"{PACKAGE}."):
            continue
        for field in model._meta.get_fields():
            target = field.related_model
            if not isinstance(field, Field) or target is None or isinstance(target, str):
                continue
            if target.__module__.startswith(f"{PACKAGE}."):
                found.append((str(field), package_of(model.__module__), package_of(target.__module__)))
    return found


def test_foreign_keys_point_downwards() -> None:
    height = layers()
    keys = foreign_keys()
    assert len(keys) > 30, "the walk over the models found too little to mean anything"
    upwards = [
        f"{field}: {source} -> {target}"
        for field, source, target in keys
        if source != target and height[target] <= height[source]
    ]
    assert upwards == []


def test_every_table_lies_in_a_listed_package() -> None:
    listed = layers()
    ours = [model for model in apps.get_models() if model.__module__.startswith(f"{PACKAGE}.")]
    assert {package_of(model.__module__) for model in ours} <= listed.keys()


@pytest.mark.link
def test_imports_point_downwards() -> None:
    """The same contracts, by the same command, that people run."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    said = StringIO()
    try:
        call_command("makemigrations", "--check", "--dry-run", verbosity=1, stdout=said)
    except SystemExit:
        pytest.fail(said.getvalue())
