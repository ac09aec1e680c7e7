"""Certificates that a test makes for a day."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def certificate_of(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, in the name of a host, and its key; skips where nothing can make one."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not installed")
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]  # noqa: RUF005
        + ["-keyout", str(key), "-out", str(certificate), "-days", "2"],
        check=True,
        capture_output=True,
    )
    return certificate, key
