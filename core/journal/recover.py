"""Saves what can be saved of a damaged journal into a new one, and puts that in its place.

Promises: every post whose own pages are undamaged is saved; no post is saved that was not written (a row is
checked against its checksum, or its text against the hash that was taken of it; what fails goes to quarantine).
The old file is kept beside the new one and never changed. The capture keeps its name, so that stored documents
remain its own; its counters hold the three equations again; each span of lost posts is a gap. A kill at any moment
leaves the old journal in its place or the new one, whole.

Leaves to others: the lock of the data folder, how to decode a post, and what the user is told.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from core.errors import JournalDamaged, JournalError, JournalFull
from core.journal.examine import UNFINISHED, check_files, check_shape, wal_of
from core.journal.faults import in_words
from core.journal.journal import FILE_NAME
from core.journal.pages import Damaged, Value
from core.journal.progress import Progress, check_progress, read_progress
from core.journal.rebuild import rebuild
from core.journal.records import Tally, checksum
from core.journal.salvage import SEQUENCE, Salvage, Table
from core.journal.schema import APPLICATION_ID, VERSION, check_identity, migrate
from core.journal.space import free_bytes, full_words
from core.private import open_private

# (source, raw line) -> the hash of the post's text as it was taken when the row was written; None: not a post
TextHash = Callable[[str, bytes], int | None]

UNPROVEN = "damaged in the journal"  # why a recovered row is in quarantine


class Recovered(msgspec.Struct, frozen=True):
    """What became of a journal. `saved` counts rows by table; `aside` is None when there was no file to keep."""

    path: Path
    whole: bool = False  # nothing was wrong, and nothing was done
    aside: Path | None = None
    lost_ids: Path | None = None  # a file with the keys of lost posts, where they are known
    saved: dict[str, int] = {}
    lost: dict[str, int] = {}  # posts by source
    known_lost: int = 0
    unproven: int = 0  # posts that went to quarantine
    damaged_pages: int = 0
    damaged_rows: int = 0
    gaps: int = 0  # that were added
    tallies: dict[str, Tally] = {}
    notes: tuple[str, ...] = ()


def recover(folder: Path, text_hash: TextHash, now: float) -> Recovered:
    """Recover the journal of `folder`; the caller owns the folder.

    Raises JournalError when there is nothing to recover, no room for it, or a newer program wrote it.
    """
    path = folder / FILE_NAME
    progress = read_progress(folder)
    new = path.with_name(UNFINISHED)
    old = _old(path)
    if old is None and progress is None:
        raise JournalError(
            f"there is no journal in {folder}",
            "Name its folder with --data-dir; `bieber-tui settings` shows the usual one.",
        )
    if old == path and not new.exists() and _whole(path, progress):
        return Recovered(path, whole=True)
    _check_room(folder, old)
    aside = _aside(path, now) if old is None or old == path else old
    with in_words(new):
        recovered = _recover_into(new, old, path, aside, progress, text_hash, now)
    _swap(path, new, aside)
    return recovered


def _old(path: Path) -> Path | None:
    """The file to recover from. A recovery that was killed may have put it, or its log, aside already."""
    if not path.exists() or not path.stat().st_size:
        return path if wal_of(path).exists() else None
    for aside in path.parent.glob(_ASIDE.format("*")):
        if aside.samefile(path) and wal_of(aside).exists():
            return aside
    return path


_ASIDE = "journal.damaged-{}.sqlite"


def _aside(path: Path, now: float) -> Path:
    for begun in path.parent.glob(_ASIDE.format("*")):
        if path.exists() and begun.samefile(path):
            return begun  # of a recovery that was killed
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(_ASIDE.format(stamp))
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(_ASIDE.format(f"{stamp}-{number}"))
    return aside


def _whole(path: Path, progress: Progress | None) -> bool:
    """Whether nothing is wrong with the journal. Reads all of it, changes nothing."""
    try:
        check_files(path, progress)
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            version = check_identity(db, str(path))
            if version == 0 or db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                return False
            check_shape(db, version, path)
            if "checksum" in (row[1] for row in db.execute("PRAGMA table_info(posts)")):
                for *content, found in db.execute(
                    "SELECT source, id, received_at, matched, backfilled, raw, checksum FROM posts"
                ):
                    if found is not None and found != checksum(*content):
                        return False
            capture = db.execute("SELECT value FROM meta WHERE key = 'capture_id'").fetchone()
            newest = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'posts'").fetchone()
            check_progress(progress, capture[0] if capture else None, newest[0] if newest else 0, path)
        finally:
            db.close()
    except (sqlite3.Error, UnicodeDecodeError, JournalError):
        return False
    return True


def _check_room(folder: Path, old: Path | None) -> None:
    size = sum(file.stat().st_size for file in (old, wal_of(old)) if file.exists()) if old else 0
    with suppress(OSError):
        if free_bytes(folder) < size + 1_000_000:
            raise JournalFull(*full_words(folder, size + 1_000_000))


def _recover_into(
    new: Path,
    old: Path | None,
    path: Path,
    aside: Path,
    progress: Progress | None,
    text_hash: TextHash,
    now: float,
) -> Recovered:
    """Fill the new journal and make it durable."""
    for leftover in (new, wal_of(new), new.with_name(new.name + "-journal")):
        leftover.unlink(missing_ok=True)
    os.close(open_private(new))
    db = sqlite3.connect(new, isolation_level=None)
    salvage = Salvage(old) if old else None
    try:
        if salvage is not None:
            _check_ours(salvage, path)
        # Nothing in this file counts before it is whole and in its place: no need for a way back.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        migrate(db, 0)
        db.execute("CREATE TEMP TABLE known (seq INTEGER PRIMARY KEY, source TEXT, id TEXT)")
        db.execute("BEGIN")
        loader = _Loader(db, text_hash)
        if salvage is not None:
            loader.load(salvage)
            if not loader.anything and progress is None:
                raise JournalDamaged(
                    f"nothing in {path} can be read as a journal",
                    "It was left as it is. To begin anew, move the whole folder away.",
                )
        rebuilt = rebuild(db, salvage, progress, loader.sequence, loader.unproven)
        kept = aside.name if old else ""
        db.executemany(
            "INSERT INTO recoveries VALUES (?, ?, ?, ?)",
            [(now, source, lost, kept) for source, lost in rebuilt.lost.items()],
        )
        saved = {
            name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - our own names
            for name in ("posts", "versions", "filtered", "quarantine", "gaps", "sessions")
        }
        saved["gaps"] -= rebuilt.gaps
        saved["quarantine"] -= sum(loader.unproven.values())
        db.execute("COMMIT")
    except BaseException:
        db.close()
        new.unlink(missing_ok=True)
        raise
    finally:
        if salvage is not None:
            salvage.close()
    db.close()
    _sync(new)
    lost_ids = None
    if rebuilt.known_lost:
        lost_ids = aside.with_suffix(".lost.txt")
        _write(lost_ids, (f"{source}:{id_}" for source, id_ in rebuilt.known_lost))
    return Recovered(
        path=path,
        aside=aside if old else None,
        lost_ids=lost_ids,
        saved=saved,
        lost=rebuilt.lost,
        known_lost=len(rebuilt.known_lost),
        unproven=sum(loader.unproven.values()),
        damaged_pages=salvage.damaged_pages if salvage else 0,
        damaged_rows=salvage.damaged_rows if salvage else 0,
        gaps=rebuilt.gaps,
        tallies=rebuilt.tallies,
        notes=tuple(rebuilt.notes),
    )


def _check_ours(salvage: Salvage, path: Path) -> None:
    """Leave what is somebody else's, or a newer program's, as far as its header can be believed."""
    if not salvage.pages.has_header or not salvage.schema_read:
        return
    with suppress(Damaged):
        # Its number may be what is damaged: tables of our names make it ours too.
        if salvage.pages.header_number(68) != APPLICATION_ID and not salvage.has_our_tables:
            raise JournalError(
                f"{path} is a SQLite file, but not a journal of bieber-tui", "It was left untouched."
            )
        if VERSION < salvage.pages.header_number(60) < VERSION + 100:
            raise JournalError(
                f"the journal {path} was written by a newer bieber-tui", "Recover it with that version."
            )


class _Loader:
    """Puts rows into the new journal, each in its table, the first one of a key."""

    def __init__(self, db: sqlite3.Connection, text_hash: TextHash) -> None:
        self._db = db
        self._text_hash = text_hash
        self.sequence = 0  # the highest number that a post is known to have had
        self.unproven: dict[str, int] = {}  # by source
        self.anything = False

    def load(self, salvage: Salvage) -> None:
        """Everything that the salvage finds, what the trees lead to before what they do not."""
        for name, table in salvage.tables.items():
            self._insert(table, salvage.rows(name))
        for row in salvage.rows(SEQUENCE.name):
            self._note_sequence(row)
        self._db.executemany("INSERT OR IGNORE INTO temp.known VALUES (?3, ?1, ?2)", salvage.known_posts())
        for name, row in salvage.strays():
            if name == SEQUENCE.name:
                self._note_sequence(row)
            elif name not in ("sink_cursors", "settled"):  # these are right together or not at all
                self._insert(salvage.tables[name], [row])

    def _note_sequence(self, row: tuple[Value, ...]) -> None:
        if row[0] == "posts" and isinstance(row[1], int):
            self.sequence = max(self.sequence, row[1])

    def _insert(self, table: Table, rows: Iterable[tuple[Value, ...]]) -> None:
        for row in rows:
            names = [column.name for column in table.columns[: len(row)]]
            if table.name == "posts" and not self._proven(dict(zip(names, row, strict=True))):
                continue
            self.anything = True
            columns = ", ".join(f'"{name}"' for name in names)
            places = ", ".join("?" * len(names))
            self._db.execute(
                f'INSERT OR IGNORE INTO "{table.name}" ({columns}) VALUES ({places})',  # noqa: S608 - our own names
                row,
            )

    def _proven(self, post: dict[str, Value]) -> bool:
        """Whether the post is what was written; one that is not goes to quarantine."""
        source, raw, noted = post["source"], post["raw"], post.get("checksum")
        assert isinstance(source, str)  # as the table's shape says
        assert isinstance(raw, bytes)
        if noted is not None:
            content: list[Any] = [post[name] for name in ("id", "received_at", "matched", "backfilled", "raw")]
            if noted == checksum(source, *content):
                return True
        elif self._text_hash(source, raw) == post["text_hash"]:
            return True
        self.unproven[source] = self.unproven.get(source, 0) + 1
        self._db.execute(
            "INSERT INTO quarantine VALUES (?, ?, ?, ?)", (source, post["received_at"], UNPROVEN, raw)
        )
        return False


def _swap(path: Path, new: Path, aside: Path) -> None:
    """Put the old journal aside and the new one in its place; each step leaves something to begin again from."""
    if path.exists() and path.stat().st_size and not aside.exists():
        os.link(path, aside)
    if wal_of(path).exists():
        # Before the new file is there: it would be taken for the new one's.
        if wal_of(path).stat().st_size:
            wal_of(path).rename(wal_of(aside))
        else:
            wal_of(path).unlink()
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    _sync(path.parent)
    new.replace(path)
    _sync(path.parent)


def _write(path: Path, lines: Iterable[str]) -> None:
    fd = open_private(path)
    os.ftruncate(fd, 0)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def _sync(path: Path) -> None:
    """Make a file, or a folder's entries, durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
