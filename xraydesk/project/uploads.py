"""Files that people send to a page: written to the disk as they come, and cut off at a stated size."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler

UPLOAD_BYTES_MAX = 268_435_456
"""Of all files of one form. A larger medium is brought by the command."""


class CappedUpload(TemporaryFileUploadHandler):
    """Keeps an upload in a temporary file; what is larger than the cap comes as no file at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write one piece, unless that is too much."""
        self._taken += len(raw_data)
        if self._taken > UPLOAD_BYTES_MAX:
            raise StopUpload(connection_reset=False)
        super().receive_data_chunk(raw_data, start)
