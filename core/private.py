"""Files of a capture that nobody but its owner may read."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import JournalError


def open_private(path: Path) -> int:
    """Open or create a file (mode 0600), and its folder (mode 0700); the descriptor, not inherited by children.

    Raises JournalError when the folder cannot be used.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(
            f"the data folder {path.parent} cannot be used: {error.strerror}",
            "Make it writable, or name another one with --data-dir.",
        ) from None
