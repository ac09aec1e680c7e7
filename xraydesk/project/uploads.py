"""Files that people send to a page: written to the disk as they come, and cut off at a stated size."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler

UPLOAD_BYTES_MAX = 268_435_456
"""Of all files of one form. A larger medium is brought by the command."""

LEFT_SECONDS = 3600
"""What is older was left by a process that was killed: no form takes so long."""


def make_room() -> None:
    """The folder, for this user alone, in which a body waits until its form is done; what was left there goes."""
    folder = Path(settings.FILE_UPLOAD_TEMP_DIR)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in folder.iterdir():
        # The clock of the files.
        if left.stat().st_mtime < time.time() - LEFT_SECONDS:
            left.unlink(missing_ok=True)


class CappedUpload(TemporaryFileUploadHandler):
    """Keeps an upload in a temporary file; what is larger than the cap comes as no file at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin one file."""
        Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True, mode=0o700)
        super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write one piece, unless that is too much."""
        self._taken += len(raw_data)
        if self._taken > UPLOAD_BYTES_MAX:
            raise StopUpload(connection_reset=False)
        super().receive_data_chunk(raw_data, start)
