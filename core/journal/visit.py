"""A second connection to a journal that a running capture owns: to look at it, and to leave a request in it.

It creates, checks and migrates nothing and notes no progress: all of that is the owner's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import JournalError
from core.journal.faults import in_words
from core.journal.journal import FILE_NAME, JournalReader
from core.journal.records import Tally
from core.journal.schema import VERSION, check_identity

PATIENCE = 10.0  # seconds to wait for the owner's transaction


class Visit:
    """The journal in `folder`, for Forgetting. Close it; or use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Raises JournalError when it cannot be read, or belongs to a program of another version."""
        self.path = folder / FILE_NAME
        with in_words(self.path):
            self._db = self._connect()
            found = check_identity(self._db, str(self.path))
        if found != VERSION:
            self._db.close()
            raise JournalError(
                f"the capture that runs on {folder} is of another version of bieber-tui (schema {found})",
                "Stop it, then ask again: forgetting works without a capture too.",
            )

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a journal that is not there is not made.
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        db = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
        db.execute("PRAGMA secure_delete = ON")
        return db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with in_words(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def tallies(self) -> dict[str, Tally]:
        """The life's counts by source."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT source, delivered, consumed, quarantined, matched, inserted, repeated FROM counters"
            ).fetchall()
        return {source: Tally(*counts) for source, *counts in rows}

    def reader(self) -> JournalReader:
        """A connection for reading."""
        with in_words(self.path):
            return JournalReader(self._connect(), self.path)
