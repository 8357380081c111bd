"""Room for the journal: how much its disk has left, how long that lasts, and how much to free when it is gone.

Below `min_free` a person is warned. A tenth of it is the reserve: when no more than that is left, the disk counts
as full and nothing more is read, so that what was read already can still be committed.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from core.errors import JournalFull
from core.snapshot import JournalStatus
from core.units import size_words

LEAST = 1_000_000  # bytes free that it takes to go on, whatever the settings say
_LOOK_BACK = 3600.0  # seconds that the present growth is taken over
_SHORTEST = 60.0  # seconds of growth from which a forecast is made


def free_bytes(path: Path) -> int:
    """Bytes that the disk of `path` has for us. Raises OSError."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def full_words(path: Path, wanted: int) -> tuple[str, str]:
    """What happened and what to do when the disk of `path` is full; it has to have `wanted` bytes free."""
    try:
        free = free_bytes(path)
        inodes = os.statvfs(path).f_favail
    except OSError as error:
        return (
            f"the disk of the journal {path} is full",
            f"It cannot be asked how much is free: {error.strerror}.",
        )
    wanted = max(wanted, LEAST)
    if free >= wanted:
        why = "it has no inodes left" if not inodes else "a quota, or a limit of the file's size, is used up"
        return (
            f"the disk of the journal {path} takes no more, although {size_words(free)} are free",
            f"Most likely {why}. Nothing acknowledged is lost.",
        )
    short = wanted - free
    return (
        f"the disk of the journal {path} is full: {size_words(free)} are free",
        f"Free at least {size_words(short)} there ({short:,} bytes). Nothing acknowledged is lost.",
    )


class Space:
    """The room on the disk of one journal. Asked by the writer before each batch: a few microseconds."""

    def __init__(self, path: Path, min_free: int) -> None:
        self._path = path
        self._min_free = min_free
        self._reserve = min_free // 10
        self._sizes: deque[tuple[float, int]] = deque()

    @property
    def full(self) -> bool:
        """Whether no more than the reserve is left."""
        free = self._free()
        return free is not None and free < self._reserve

    def roomy(self, waiting: int) -> bool:
        """Whether there is enough again to go on, `waiting` bytes being read and not committed."""
        free = self._free()
        return free is not None and free >= self._wanted(waiting)

    def error(self, waiting: int) -> JournalFull:
        """The words for a disk that is full, with what it takes to go on."""
        return JournalFull(*full_words(self._path.parent, self._wanted(waiting)))

    def look(self, at: float, size: int) -> JournalStatus:
        """How it stands at `at` (seconds that never go back), the journal having `size` bytes in use."""
        if not self._sizes or at - self._sizes[-1][0] >= _LOOK_BACK / 360:
            self._sizes.append((at, size))
        while at - self._sizes[0][0] > _LOOK_BACK:
            self._sizes.popleft()
        free = self._free()
        since, before = self._sizes[0]
        left: float | None = None
        if free is not None and at - since >= _SHORTEST and size > before:
            left = max(free - self._reserve, 0) * (at - since) / (size - before)
        low = free is not None and free < self._min_free
        return JournalStatus(size=size, free=free, low=low, seconds_left=left)

    def _wanted(self, waiting: int) -> int:
        # What waits is written twice, to the write-ahead log and to the file.
        return max(2 * self._reserve, LEAST) + 2 * waiting

    def _free(self) -> int | None:
        """None when the disk cannot be asked: then the next write will say what is wrong with it."""
        try:
            return free_bytes(self._path.parent)
        except OSError:
            return None
