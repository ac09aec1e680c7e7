"""Real files for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.shared_data import shared_data


@pytest.fixture(scope="session")
def shared_images() -> list[tuple[Path, dict[str, Any]]]:
    """Every real image with what it is known to contain, in order of name."""
    root = shared_data()
    index = json.loads(shared_data("dicom_index.json").read_text())
    return [(root / name, said) for name, said in sorted(index.items()) if name.startswith("dicom_images/")]
