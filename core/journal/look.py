"""A look at a journal from another process, also while a capture writes it: nothing is changed, no lock held."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from core.journal import gaps
from core.journal.faults import in_words
from core.journal.journal import FILE_NAME
from core.snapshot import Gap


class Session(msgspec.Struct, frozen=True):
    """One run as the journal knows it. Times are seconds since 1970."""

    source: str
    started_at: float
    last_byte_at: float | None  # renewed while bytes arrive
    ended_at: float | None  # None: it is running, or was killed


class Record(msgspec.Struct, frozen=True):
    """When a capture ran, and what it did not receive: both of one moment, oldest first."""

    sessions: list[Session]
    gaps: list[Gap]


def look(folder: Path) -> Record | None:
    """The record of the journal in that folder, of an older schema too; None when there is no journal.

    Raises JournalError in words.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    # SQLite keeps a file beside a journal that it reads. Where it may not, nobody is writing either.
    how = "mode=ro" if os.access(folder, os.W_OK) else "immutable=1"
    with in_words(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as db:
        db.execute("BEGIN")  # one moment for all that is read
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            return None  # it is only just being made
        there = {row[1] for row in db.execute("PRAGMA table_info(sessions)")}
        source = "source" if "source" in there else "''"
        rows = db.execute(
            f"SELECT {source}, started_at, last_byte_at, ended_at FROM sessions ORDER BY session"  # noqa: S608
        ).fetchall()
        return Record([Session(name or "x", *times) for name, *times in rows], gaps.read(db))
