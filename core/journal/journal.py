"""The journal: one SQLite file in WAL mode that every post lands in before anything else sees it.

Promises: one transaction a batch commits posts, counters, gaps and the source's cursor together, durably
(synchronous = FULL), so that after a kill at any moment they agree. A post is there once per (source, id); the
first version is kept, a later one with other text is kept beside it. A sink's cursor and its counts move in one
transaction too, only after the sink has answered.

One connection writes, guarded by a lock (the writer thread and the sinks' threads share it); every reader opens a
connection of its own. Knows lines, ids and numbers, nothing of sources, queries or sinks.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from core.errors import JournalError
from core.journal.records import Batch, Entry, Row, Settled, SettledBySource, Tally
from core.journal.schema import migrate
from core.private import open_private
from core.snapshot import Gap

FILE_NAME = "journal.sqlite"
_READ_BYTES = 8_000_000  # of raw lines that one read hands out, so that 5 MB posts cannot fill the memory
_POST = "SELECT seq, source, id, received_at, matched, backfilled, raw"
_FILTERED = "SELECT filtered.rowid, source, id, received_at, '[]', 0, raw"


class Journal:
    """The journal in `folder`, created when it is not there. Close it; or use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Open or create the journal. Raises JournalError in words."""
        self.path = folder / FILE_NAME
        self._lock = threading.Lock()
        os.close(open_private(self.path))
        with _in_words(self.path):
            self._db = self._connect()
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            migrate(self._db, str(self.path))
            self.capture_id = self._capture_id()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> sqlite3.Connection:
        # isolation_level None: transactions begin and end where this file says so.
        db = sqlite3.connect(self.path, timeout=10.0, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA foreign_keys = ON")
        return db

    def _capture_id(self) -> str:
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('capture_id', ?)", (uuid.uuid4().hex,))
            return str(db.execute("SELECT value FROM meta WHERE key = 'capture_id'").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _in_words(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # -- runs

    def begin_session(self, at: float, source: str) -> int:
        """A run begins: note the span since the last one as an open gap. Returns the session's number.

        The gap begins at the last durable byte of the run before. It has that run's reason, or says that the run
        was killed. The first run of a capture has no gap, and a gap that is still open simply goes on.
        """
        with self._transaction() as db:
            last = db.execute(
                "SELECT last_byte_at, ended_at, reason FROM sessions ORDER BY session DESC LIMIT 1"
            ).fetchone()
            still_open = db.execute('SELECT 1 FROM gaps WHERE source = ? AND "end" IS NULL', (source,)).fetchone()
            if last and last[0] is not None and not still_open:
                reason = f"not running: {last[2] or 'stopped'}" if last[1] is not None else "crashed or was killed"
                db.execute("INSERT INTO gaps (source, start, reason) VALUES (?, ?, ?)", (source, last[0], reason))
            session = db.execute("INSERT INTO sessions (started_at) VALUES (?)", (at,)).lastrowid
        assert session is not None
        return session

    def end_session(self, session: int, at: float, reason: str) -> None:
        """The run ended in good order."""
        with self._transaction() as db:
            db.execute("UPDATE sessions SET ended_at = ?, reason = ? WHERE session = ?", (at, reason, session))

    # -- posts

    def commit(self, batch: Batch, session: int) -> list[bool]:
        """Add a batch durably. Returns, for each entry in order, whether it was new to the journal."""
        with self._transaction() as db:
            fresh = [self._insert(db, batch.source, entry) for entry in batch.entries]
            if batch.filtered:
                db.executemany(
                    "INSERT OR IGNORE INTO filtered VALUES (?, ?, ?, ?)",
                    [(batch.source, item.id, item.received_at, item.raw) for item in batch.filtered],
                )
            if batch.quarantined:
                db.executemany(
                    "INSERT INTO quarantine VALUES (?, ?, ?, ?)",
                    [(batch.source, item.received_at, item.reason, item.raw) for item in batch.quarantined],
                )
            if batch.delivered:
                inserted = sum(fresh)
                db.execute(
                    "INSERT INTO counters VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " delivered = delivered + excluded.delivered, consumed = consumed + excluded.consumed,"
                    " quarantined = quarantined + excluded.quarantined, matched = matched + excluded.matched,"
                    " inserted = inserted + excluded.inserted, repeated = repeated + excluded.repeated",
                    (
                        batch.source,
                        batch.delivered,
                        batch.consumed,
                        len(batch.quarantined),
                        len(batch.entries),
                        inserted,
                        len(batch.entries) - inserted,
                    ),
                )
            for mark in batch.gaps:
                self._mark(db, batch.source, mark.at, mark.reason)
            if batch.cursor is not None:
                db.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                    (f"cursor:{batch.source}", batch.cursor),
                )
            if batch.last_byte_at is not None:
                db.execute("UPDATE sessions SET last_byte_at = ? WHERE session = ?", (batch.last_byte_at, session))
        return fresh

    @staticmethod
    def _insert(db: sqlite3.Connection, source: str, entry: Entry) -> bool:
        values = (
            source,
            entry.id,
            entry.received_at,
            entry.text_hash,
            json.dumps(entry.matched, ensure_ascii=False),
            entry.backfilled,
            entry.raw,
        )
        done = db.execute(
            "INSERT INTO posts (source, id, received_at, text_hash, matched, backfilled, raw)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            values,
        )
        if done.rowcount:
            return True
        db.execute(
            "INSERT INTO versions SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS"
            " (SELECT 1 FROM posts WHERE source = ?1 AND id = ?2 AND text_hash = ?4) AND NOT EXISTS"
            " (SELECT 1 FROM versions WHERE source = ?1 AND id = ?2 AND text_hash = ?4)",
            (source, entry.id, entry.received_at, entry.text_hash, entry.raw),
        )
        return False

    @staticmethod
    def _mark(db: sqlite3.Connection, source: str, at: float, reason: str) -> None:
        if not reason:
            db.execute('UPDATE gaps SET "end" = max(start, ?) WHERE source = ? AND "end" IS NULL', (at, source))
        elif not db.execute('SELECT 1 FROM gaps WHERE source = ? AND "end" IS NULL', (source,)).fetchone():
            db.execute("INSERT INTO gaps (source, start, reason) VALUES (?, ?, ?)", (source, at, reason))

    # -- sinks

    def settle(self, target: str, seq: int, settled: SettledBySource) -> None:
        """A sink has answered for every row up to `seq`: move its cursor and its counts in one transaction."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO sink_cursors VALUES (?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq",
                (target, seq),
            )
            db.executemany(
                "INSERT INTO settled VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " stored = stored + excluded.stored, duplicate = duplicate + excluded.duplicate",
                [(target, source, *astuple(counts)) for source, counts in settled.items()],
            )

    def sink_cursor(self, target: str) -> int:
        """The last row that the sink has answered for; 0 before the first."""
        with self._lock, _in_words(self.path):
            row = self._db.execute("SELECT seq FROM sink_cursors WHERE target = ?", (target,)).fetchone()
        return int(row[0]) if row else 0

    def settled(self, target: str) -> dict[str, Settled]:
        """What the sink has answered for over its life, by source."""
        with self._lock, _in_words(self.path):
            rows = self._db.execute(
                "SELECT source, stored, duplicate FROM settled WHERE target = ?", (target,)
            ).fetchall()
        return {source: Settled(stored, duplicate) for source, stored, duplicate in rows}

    # -- reading

    def tallies(self) -> dict[str, Tally]:
        """The life's counts by source."""
        with self._lock, _in_words(self.path):
            rows = self._db.execute(
                "SELECT source, delivered, consumed, quarantined, matched, inserted, repeated FROM counters"
            ).fetchall()
        return {source: Tally(*counts) for source, *counts in rows}

    def last_seq(self) -> int:
        """The number of the newest row ever given; 0 before the first."""
        with self._lock, _in_words(self.path):
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'posts'").fetchone()
        return int(row[0]) if row else 0

    def gaps(self, limit: int = -1) -> list[Gap]:
        """The life's gaps, oldest first; the last `limit` of them when it is not negative."""
        with self._lock, _in_words(self.path):
            rows = self._db.execute(
                'SELECT source, start, "end", reason, filled FROM gaps ORDER BY gap DESC LIMIT ?', (limit,)
            ).fetchall()
        return [Gap(*row) for row in reversed(rows)]

    def gap_count(self) -> int:
        """How many gaps the life has."""
        with self._lock, _in_words(self.path):
            return int(self._db.execute("SELECT count(*) FROM gaps").fetchone()[0])

    def cursor(self, source: str) -> str | None:
        """Where the source had got to, in its own words."""
        with self._lock, _in_words(self.path):
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (f"cursor:{source}",)).fetchone()
        return str(row[0]) if row else None

    def stars(self) -> list[tuple[str, str]]:
        """Source and id of every post that has a star."""
        with self._lock, _in_words(self.path):
            return self._db.execute("SELECT source, id FROM stars").fetchall()

    def star(self, source: str, id_: str, at: float | None) -> None:
        """Give a post a star at that moment, or (`at` None) take it away. Twice is harmless."""
        with self._transaction() as db:
            if at is None:
                db.execute("DELETE FROM stars WHERE source = ? AND id = ?", (source, id_))
            else:
                db.execute("INSERT OR IGNORE INTO stars VALUES (?, ?, ?)", (source, id_, at))

    def reader(self) -> JournalReader:
        """A connection of its own for one other thread."""
        with _in_words(self.path):
            return JournalReader(self._connect(), self.path)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, _in_words(self.path):
            self._db.close()


class JournalReader:
    """Reads rows for one thread, never blocking the writer."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        with _in_words(path):
            db.execute("PRAGMA query_only = ON")

    def rows_after(self, seq: int, limit: int) -> list[Row]:
        """Up to `limit` rows with a higher number, in order; fewer when they are large."""
        return self._rows(f"{_POST} FROM posts WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit))

    def rows_before(self, seq: int, limit: int, *, starred: bool = False) -> list[Row]:
        """Up to `limit` rows with a lower number, newest first; fewer when they are large."""
        # The order of the join is ours: there are few stars and many posts.
        origin = "stars CROSS JOIN posts USING (source, id)" if starred else "posts"
        return self._rows(f"{_POST} FROM {origin} WHERE seq < ? ORDER BY seq DESC LIMIT ?", (seq, limit))

    def filtered_before(self, number: int, limit: int, *, starred: bool = False) -> list[Row]:
        """The same for posts that are not about the topic; their numbers are others."""
        origin = "stars CROSS JOIN filtered USING (source, id)" if starred else "filtered"
        return self._rows(
            f"{_FILTERED} FROM {origin} WHERE filtered.rowid < ? ORDER BY filtered.rowid DESC LIMIT ?",
            (number, limit),
        )

    def find(self, source: str, id_: str) -> tuple[Row, bool] | None:
        """One post, and whether it is about the topic; None when the journal does not hold it."""
        for columns, table in ((_POST, "posts"), (_FILTERED, "filtered")):
            rows = self._rows(f"{columns} FROM {table} WHERE source = ? AND id = ?", (source, id_))
            if rows:
                return rows[0], table == "posts"
        return None

    def _rows(self, query: str, values: tuple[object, ...]) -> list[Row]:
        rows: list[Row] = []
        size = 0
        with _in_words(self._path):
            found = self._db.execute(query, values)
            for number, source, id_, received_at, matched, backfilled, raw in found:
                rows.append(
                    Row(number, source, id_, received_at, tuple(json.loads(matched)), bool(backfilled), raw)
                )
                size += len(raw)
                if size >= _READ_BYTES:
                    break
            found.close()  # an open read would keep the write-ahead log from being trimmed
        return rows

    def close(self) -> None:
        """Let go of the connection."""
        self._db.close()


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """SQLite's errors as words for the person who can mend them."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(error, path) from error


def _explain(error: sqlite3.Error, path: Path) -> JournalError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return JournalError(
            f"the disk of the journal {path} is full", "Free some space there; nothing acknowledged is lost."
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalError(
            f"the journal {path} is damaged: {error}",
            "It was left as it is. Keep a copy of the folder, and name another one with --data-dir to go on.",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return JournalError(
            f"the journal {path} cannot be written: {error}", "Check the rights of file and folder."
        )
    return JournalError(f"the journal {path} failed: {error}", "Check the disk of the data folder.")
