"""Make the tables of the DICOM conformance statement anew, from the code that does what they say.

.venv/bin/python docs/conformance/make.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xraydesk.project.settings")
os.environ.setdefault("XRAYDESK_SECRET_KEY", "statement")
os.environ.setdefault("XRAYDESK_HOME", str(HERE / "no-home"))

import django  # noqa: E402

django.setup()

from xraydesk.links.dicom.statement import filled  # noqa: E402
from xraydesk.project.config import Config  # noqa: E402

PAGE = HERE / "dicom.md"
PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), Config.model_construct()), encoding="utf-8")
