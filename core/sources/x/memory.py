"""What is left of the connect budget, kept from one run to the next.

X counts connects for the app, whichever process makes them: a service that is restarted again and again must not
spend 50 of them in a minute only because each process believes to be the first. So what is left is written to one
small file of the data folder before each connect. It is a courtesy to X and no part of the capture's record: a
file that is missing, damaged or cannot be written costs nothing but that courtesy, and the user is told.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

FILE_NAME = "x-connects.json"
BLOCK = 512  # bytes written at a time: nothing of a longer one stays behind a shorter one


class Left(msgspec.Struct, frozen=True):
    """What was left of the budget at a moment: of `allowed` connects in a window, `tokens` might come at once."""

    api: str  # the base URL that it is the budget of
    at: float  # seconds since 1970
    tokens: float
    allowed: int


class Memory:
    """The file of one data folder, or none at all. For one thread at a time."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE_NAME if folder else None

    def recall(self, api: str) -> Left | None:
        """What the last run left of that API's budget; None when nothing that can be used is known."""
        if self._path is None:
            return None
        try:
            left = msgspec.json.decode(self._path.read_bytes(), type=Left)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return left if left.api == api else None

    def keep(self, left: Left) -> str:
        """Remember that, whenever the process may die; the reason in words when it cannot be written."""
        if self._path is None:
            return ""
        # In place, in one write, over all that was there: no kill comes between, and nothing waits for the disk.
        content = msgspec.json.encode(left)
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, content.ljust(-(-len(content) // BLOCK) * BLOCK))
            finally:
                os.close(fd)
        except OSError as error:
            return f"{self._path} cannot be written: {error.strerror}"
        return ""
