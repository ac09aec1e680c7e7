"""Names of the jobs of the links, for those who ask for them."""

from __future__ import annotations

TELL_TASK = "tell_commitment"
"""Tells a machine whether its images are stored, over a new association."""

TELL_QUEUE = "images"
