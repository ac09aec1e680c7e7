"""`demo.json`: what whoever tries the demonstration needs to know, in the home, mode 0600."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xraydesk.project.secrets import write_private

NAME = "demo.json"


def read_private(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none, or none that can be read."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def write_private_json(path: Path, told: dict[str, Any]) -> None:
    """Write a JSON file, whole, for its owner alone."""
    write_private(path, json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def read_demo(home: Path) -> dict[str, Any]:
    """What the file says; empty where there is none."""
    return read_private(home / NAME)


def write_demo(home: Path, told: dict[str, Any]) -> None:
    """Write the file."""
    write_private_json(home / NAME, told)


def first_user(home: Path) -> tuple[str, str]:
    """Name and password of the user to sign in as first."""
    user = read_demo(home)["users"][0]
    return user["name"], user["password"]
