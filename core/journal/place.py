"""Are the journal's files still where they were opened? A file that was deleted or moved away takes every write
without an error and is gone with the process, so this is looked at every few seconds, and what it holds is saved.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from core.errors import JournalError
from core.journal.examine import wal_of

Identity = tuple[int, int]


class Place:
    """The files of one open journal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _identity(path)
        self._log = _identity(wal_of(path))

    def check(self, db: sqlite3.Connection) -> None:
        """Raises JournalError when a file is not in its place, after having saved what `db` can still read.

        Called with nothing else going on in `db`.
        """
        if _identity(self._path) != self._file:
            saved = self._save(db)
            raise JournalError(
                f"the journal {self._path} was deleted, moved or replaced while it was being written",
                f"All of it was saved to {saved}. Find out what removes files there, then start again."
                + ("" if saved == self._path else " Put that file in its place first."),
            )
        if _identity(wal_of(self._path)) != self._log:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise JournalError(
                f"{wal_of(self._path)}, a part of the journal, was deleted or moved while it was being written",
                "What it held is in the journal now: nothing is lost. Find out what removes files there, then"
                " start again.",
            )

    def _save(self, db: sqlite3.Connection) -> Path:
        """Write the whole journal anew where it was, or beside the file that is there now."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_name(f"{self._path.stem}.saved-{os.getpid()}{self._path.suffix}")
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        db.execute("VACUUM INTO ?", (str(new),))
        if self._path.exists():
            return new
        for leftover in (wal_of(self._path), self._path.with_name(self._path.name + "-shm")):
            leftover.unlink(missing_ok=True)  # of the file that is gone: they would be taken for the new one's
        os.link(new, self._path)
        new.unlink()
        return self._path


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
