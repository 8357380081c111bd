"""One owner a data folder: a kernel lock, so that a file left behind by a crash never blocks anybody."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from core.errors import AlreadyOwned
from core.private import open_private

FILE_NAME = "owner.lock"


class Owner:
    """Holds the lock of a data folder until `release`; the file tells the holder's process id."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises AlreadyOwned naming the process that has it, JournalError for a bad folder."""
        path = folder / FILE_NAME
        self._fd = open_private(path)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise AlreadyOwned(
                f"another capture owns the data folder {folder}: process {holder}",
                "Stop that one first, or give this one a folder of its own with --data-dir.",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another capture have the folder. Twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Owner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
