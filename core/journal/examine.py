"""Is the journal whole? Looked at when it is opened, at a price that does not grow with it.

What SQLite itself finds (a garbled header, a file shorter than its header says) it finds at once; this part looks
where SQLite would not: at the pages that a cut file has lost while a write-ahead log is there, at the small tables
and the newest posts, and at all pages when the last run did not end well and the file is small enough.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import JournalDamaged
from core.journal.faults import RECOVER
from core.journal.progress import Progress, check_progress
from core.journal.records import checksum
from core.journal.schema import VERSION, shape, shape_of

WHOLE_BYTES = 50_000_000  # files up to this size are read whole after a bad end: about a second on a slow disk
NEWEST = 100  # posts whose checksum is looked at
UNFINISHED = "journal.sqlite.recovering"  # what an interrupted `recover` leaves

MAGIC = b"SQLite format 3\0"
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_WAL_HEADER, _FRAME_HEADER = 32, 24


def wal_of(path: Path) -> Path:
    """The write-ahead log of the database at `path`."""
    return path.with_name(path.name + "-wal")


def check_files(path: Path, progress: Progress | None) -> None:
    """Look at the files before SQLite does. Raises JournalDamaged; of the log only the frames' heads are read."""
    if path.with_name(UNFINISHED).exists():
        raise JournalDamaged(
            f"a recovery of the journal {path} was interrupted", "Call `bieber-tui recover` again: it begins anew."
        )
    try:
        with path.open("rb") as file:
            header = file.read(100)
        size = path.stat().st_size
    except OSError:
        header, size = b"", 0  # if it is there, opening it will say why
    if not header and not _size(wal_of(path)):
        check_progress(progress, None, 0, path)
        return  # a new one
    if len(header) < 100 or header[:16] != MAGIC:
        raise JournalDamaged(f"the journal {path} is damaged: it does not begin as a SQLite file", RECOVER)
    page = page_size(header)
    pages = struct.unpack(">I", header[28:32])[0]
    missing = set(range(size // page + 1, pages + 1)) if pages * page > size else set()
    if missing and missing - logged_pages(wal_of(path), page):
        raise JournalDamaged(
            f"the journal {path} is damaged: it was cut to {size:,} bytes and should have {pages * page:,}",
            RECOVER,
        )


def page_size(header: bytes) -> int:
    """The size of a page, from the file's header."""
    size = int(struct.unpack(">H", header[16:18])[0])
    return 65_536 if size == 1 else size


def logged_pages(wal: Path, page: int) -> set[int]:
    """The numbers of the pages that the write-ahead log has, whatever their content."""
    found: set[int] = set()
    try:
        with wal.open("rb") as file:
            header = file.read(_WAL_HEADER)
            if len(header) < _WAL_HEADER or struct.unpack(">I", header[:4])[0] not in _WAL_MAGIC:
                return found
            while len(frame := file.read(_FRAME_HEADER)) == _FRAME_HEADER and frame[8:16] == header[16:24]:
                found.add(struct.unpack(">I", frame[:4])[0])
                file.seek(page, 1)
    except OSError:
        pass
    return found


def check_contents(db: sqlite3.Connection, path: Path) -> None:
    """Look at what the journal holds. Raises JournalDamaged or sqlite3.DatabaseError."""
    check_shape(db, VERSION, path)
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table not in ("posts", "versions", "filtered", "quarantine"):
            for _ in db.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - a name of our own schema
                pass
    newest = db.execute(
        "SELECT source, id, received_at, matched, backfilled, raw, checksum, seq FROM posts"
        " ORDER BY seq DESC LIMIT ?",
        (NEWEST,),
    )
    for *content, found, seq in newest:
        check_row(found, content, seq, path)
    last = db.execute("SELECT ended_at FROM sessions ORDER BY session DESC LIMIT 1").fetchone()
    if last and last[0] is None and _size(path) <= WHOLE_BYTES:
        said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise JournalDamaged(f"the journal {path} is damaged: {said}", RECOVER)


def check_shape(db: sqlite3.Connection, version: int, path: Path) -> None:
    """Compare the names of tables and columns with those of that version. Raises JournalDamaged."""
    found, wanted = shape(db), shape_of(version)
    for table, columns in wanted.items():
        if found.get(table) != columns:
            raise JournalDamaged(f"the journal {path} is damaged: its table {table} is not what it was", RECOVER)


def check_row(found: int | None, content: Sequence[Any], seq: int, path: Path) -> None:
    """Compare a row with the checksum that was `found` beside it. Raises JournalDamaged."""
    if found is not None and found != checksum(*content):
        raise JournalDamaged(
            f"the journal {path} is damaged: row {seq:,} does not hold what was written into it", RECOVER
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
