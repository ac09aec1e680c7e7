"""Conversions of dose and exposure into SI units."""

from __future__ import annotations

DGYCM2_IN_GYM2 = 1e-5
"""One dGy·cm² is 1e-5 Gy·m² (DICOM 0018,115E is in dGy·cm²)."""


def gym2_from_dgycm2(value: float) -> float:
    """Dose area product in Gy·m² from one in dGy·cm²."""
    return value * DGYCM2_IN_GYM2


def gycm2_from_gym2(value: float) -> float:
    """Dose area product in Gy·cm², as people read it, from one in Gy·m²."""
    return value * 1e4
