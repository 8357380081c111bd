"""SQLite's errors in words for the person who can mend them, sorted by what helps: waiting, room, or `recover`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import JournalBlocked, JournalBusy, JournalDamaged, JournalError, JournalFull
from core.journal.space import full_words

RECOVER = (
    "It was left as it is. `bieber-tui recover` (with the same --data-dir) saves what can be saved into a new "
    "journal and keeps this file beside it."
)

_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
# SQLITE_ERROR too: every statement is ours and right, so that what it misses must be missing in the schema.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)
_DENIED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_UNREADABLE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Raise what SQLite says of the journal at `path` as a JournalError of the kind that fits."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except UnicodeDecodeError as error:  # what the module raises for a table's name that is no text
        raise JournalDamaged(f"the journal {path} is damaged: {error}", RECOVER) from error


def explain(error: sqlite3.Error, path: Path) -> JournalError:
    """The failure to raise for SQLite's `error`."""
    whole = getattr(error, "sqlite_errorcode", 0)
    code = whole & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return JournalFull(*full_words(path, 0))
    if code in _LOCKED:
        return JournalBusy(
            f"another program holds the lock of the journal {path}",
            "Close what writes to that file (a SQLite client in a transaction?); it is tried again by itself.",
        )
    if code in _DAMAGED:
        return JournalDamaged(f"the journal {path} is damaged: {error}", RECOVER)
    if whole in _UNREADABLE:
        return JournalDamaged(
            f"the journal {path} cannot be read: {error}",
            "The disk or its connection fails. Copy the folder to another disk before anything else, and call "
            "`bieber-tui recover` on the copy.",
        )
    if code in _DENIED:
        return JournalBlocked(
            f"the journal {path} cannot be written: {error}",
            "Check the rights of file and folder, and whether the file system was mounted read-only.",
        )
    if code == sqlite3.SQLITE_IOERR:
        return JournalBlocked(
            f"the journal {path} cannot be written: {error}",
            "The disk reports an error, or a quota is used up. Look at the system's log (dmesg) and at `df`.",
        )
    return JournalError(f"the journal {path} failed: {error}", "Check the disk of the data folder.")
