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
import sqlite3
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from msgspec.structs import astuple

from core import crashpoint
from core.crashpoint import Point
from core.errors import JournalError
from core.journal import gaps
from core.journal.examine import check_contents, check_files, check_row
from core.journal.faults import in_words
from core.journal.forgetting import announce, drop_target
from core.journal.place import Place
from core.journal.progress import Position, Progress, ProgressFile, check_progress, read_progress
from core.journal.records import Batch, Entry, Row, Settled, SettledBySource, Tally, checksum
from core.journal.retention import out_of_reach
from core.journal.schema import check_identity, migrate
from core.private import make_private
from core.snapshot import Filled, Gap

FILE_NAME = "journal.sqlite"
LOCK_SECONDS = 1.0  # that a lock of another program is waited for at a time; a stop has to be quick
NOTE_SECONDS = (
    1.0  # between two notes of the progress: what the loss of the files' end may cost without being noticed
)
AT_ONCE = 64  # posts that one statement adds: the interpreter is let go and wanted back for each
LONG = 16_000  # bytes of a line that is added alone
_READ_BYTES = 8_000_000  # of raw lines that one read hands out, so that 5 MB posts cannot fill the memory
_POST = "SELECT seq, source, id, received_at, matched, backfilled, raw, checksum"
_FILTERED = "SELECT filtered.rowid, source, id, received_at, '[]', 0, raw, NULL"
_INSERTION = """
INSERT INTO posts (source, id, received_at, text_hash, matched, backfilled, raw, checksum)
WITH added (source, id, received_at, text_hash, matched, backfilled, raw, checksum) AS (VALUES {})
SELECT * FROM added WHERE NOT EXISTS (SELECT 1 FROM removed WHERE source = added.source AND id = added.id)
ON CONFLICT DO NOTHING
"""


class Journal:
    """The journal in `folder`, created when it is not there. Close it; or use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Open or create the journal. Raises JournalError in words; a damaged or newer one is left as it is."""
        self.path = folder / FILE_NAME
        self._lock = threading.Lock()
        self._lost: JournalError | None = None  # why nothing may be written any more
        progress = read_progress(folder)
        check_files(self.path, progress)
        make_private(self.path)
        with in_words(self.path):
            self._db = self._connect()
            try:
                self._open(progress)
            except BaseException:
                self._db.close()
                raise
        self._place = Place(self.path)
        self._progress_file = ProgressFile(folder)
        self._noted_at = time.monotonic()

    def _open(self, progress: Progress | None) -> None:
        version = check_identity(self._db, str(self.path))
        if version == 0:
            check_progress(progress, None, 0, self.path)
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # can only be said to an empty file
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        migrate(self._db, version)
        self.capture_id = self._capture_id()
        check_progress(progress, self.capture_id, self.last_seq(), self.path)
        check_contents(self._db, self.path)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> sqlite3.Connection:
        # isolation_level None: transactions begin and end where this file says so.
        db = sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")  # what is forgotten leaves no bytes in the file
        return db

    def _capture_id(self) -> str:
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO meta VALUES ('capture_id', ?)", (uuid.uuid4().hex,))
            return str(db.execute("SELECT value FROM meta WHERE key = 'capture_id'").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, in_words(self.path):
            if self._lost is not None:
                raise self._lost
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, outside of any transaction."""
        with self._lock, in_words(self.path):
            if self._lost is not None:
                raise self._lost
            yield self._db

    # -- runs

    def begin_session(self, at: float, source: str, keywords: str = "") -> int:
        """A run begins: note the span since the last one as an open gap. Returns the session's number."""
        with self._transaction() as db:
            last_id = gaps.begin(db, source, at, keywords)
            session = db.execute(
                "INSERT INTO sessions (started_at, source, keywords, last_id) VALUES (?, ?, ?, ?)",
                (at, source, keywords, last_id),
            ).lastrowid
        assert session is not None
        self._note_progress(at_once=True)
        crashpoint.reach(Point.SESSION_BEGUN)
        return session

    def end_session(self, session: int, at: float, reason: str) -> None:
        """The run ended in good order."""
        with self._transaction() as db:
            db.execute("UPDATE sessions SET ended_at = ?, reason = ? WHERE session = ?", (at, reason, session))
        crashpoint.reach(Point.SESSION_ENDED)

    # -- posts

    def commit(self, batch: Batch, session: int) -> list[bool]:
        """Add a batch durably. Returns, for each entry in order, whether it was new to the journal."""
        with self._transaction() as db:
            fresh = self._insert(db, batch.source, batch.entries) if batch.entries else []
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
                crashpoint.reach(Point.IN_TRANSACTION)
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
            if batch.minutes:
                db.executemany(
                    "INSERT INTO minutes VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " consumed = consumed + excluded.consumed, matched = matched + excluded.matched",
                    [(batch.source, at, consumed, matched) for at, (consumed, matched) in batch.minutes.items()],
                )
            for deletion in batch.deletions:
                announce(db, batch.source, deletion)
            for mark in batch.gaps:
                gaps.apply(db, batch.source, session, mark)
            if batch.cursor is not None:
                db.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                    (f"cursor:{batch.source}", batch.cursor),
                )
            if batch.last_byte_at is not None:
                db.execute(
                    "UPDATE sessions SET last_byte_at = ?, last_id = ? WHERE session = ?",
                    (batch.last_byte_at, batch.last_id, session),
                )
            crashpoint.reach(Point.BEFORE_COMMIT)
        self._note_progress()
        return fresh

    @staticmethod
    def _insert(db: sqlite3.Connection, source: str, entries: list[Entry]) -> list[bool]:
        """Add posts, and later versions of posts; for each whether it was new."""
        texts = {matched: json.dumps(matched, ensure_ascii=False) for matched in {one.matched for one in entries}}
        fresh: list[bool] = []
        for portion in _portions(entries):
            values: list[object] = []
            for one in portion:
                matched = texts[one.matched]
                values += (
                    source, one.id, one.received_at, one.text_hash, matched, int(one.backfilled),
                    bytearray(one.raw),  # the sqlite3 module asks of bytes whether they are something else
                    checksum(source, one.id, one.received_at, matched, one.backfilled, one.raw),
                )  # fmt: skip
            added = db.execute(_insertion(len(portion)), values).rowcount
            if added == len(portion):
                fresh += [True] * added
                continue
            # Numbers only rise: the highest are those of the rows that were added just now.
            newest = db.execute("SELECT id FROM posts NOT INDEXED ORDER BY seq DESC LIMIT ?", (added,))
            left = {id_ for (id_,) in newest.fetchall()}
            for one in portion:
                fresh.append(one.id in left)
                left.discard(one.id)  # of two in one portion the first is the new one
        db.executemany(
            "INSERT INTO versions SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS"
            " (SELECT 1 FROM posts WHERE source = ?1 AND id = ?2 AND text_hash = ?4) AND NOT EXISTS"
            " (SELECT 1 FROM versions WHERE source = ?1 AND id = ?2 AND text_hash = ?4) AND NOT EXISTS"
            " (SELECT 1 FROM removed WHERE source = ?1 AND id = ?2 AND text_hash = ?4)",
            [
                (source, one.id, one.received_at, one.text_hash, one.raw)
                for one, new in zip(entries, fresh, strict=True)
                if not new
            ],
        )
        return fresh

    def _note_progress(self, *, at_once: bool = False) -> None:
        """Note beside the journal how far it has got, once a second. What it says is committed already."""
        now = time.monotonic()
        if at_once or now - self._noted_at >= NOTE_SECONDS:
            self._noted_at = now
            sinks: dict[str, Position] = {}
            with self._lock, in_words(self.path):
                last_byte_at = self._db.execute("SELECT max(last_byte_at) FROM sessions").fetchone()[0]
                for target, seq in self._db.execute("SELECT target, seq FROM sink_cursors").fetchall():
                    sinks[target] = Position(seq, self._settled(target))
            self._progress_file.write(
                Progress(self.capture_id, self.last_seq(), last_byte_at, self.tallies(), sinks)
            )

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
        with self._lock, in_words(self.path):
            row = self._db.execute("SELECT seq FROM sink_cursors WHERE target = ?", (target,)).fetchone()
        return int(row[0]) if row else 0

    def settled(self, target: str) -> dict[str, Settled]:
        """What the sink has answered for over its life, by source."""
        with self._lock, in_words(self.path):
            return self._settled(target)

    def _settled(self, target: str) -> dict[str, Settled]:
        rows = self._db.execute("SELECT source, stored, duplicate FROM settled WHERE target = ?", (target,))
        return {source: Settled(stored, duplicate) for source, stored, duplicate in rows.fetchall()}

    # -- reading

    def tallies(self) -> dict[str, Tally]:
        """The life's counts by source."""
        with self._lock, in_words(self.path):
            rows = self._db.execute(
                "SELECT source, delivered, consumed, quarantined, matched, inserted, repeated FROM counters"
            ).fetchall()
        return {source: Tally(*counts) for source, *counts in rows}

    def minutes(self, source: str, since: float) -> list[tuple[float, int, int]]:
        """Begin of the minute, posts consumed and matched in it, for the minutes since then in which any came."""
        with self._lock, in_words(self.path):
            return self._db.execute(
                "SELECT at, consumed, matched FROM minutes WHERE source = ? AND at >= ? ORDER BY at",
                (source, since),
            ).fetchall()

    def last_seq(self) -> int:
        """The number of the newest row ever given; 0 before the first."""
        with self._lock, in_words(self.path):
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'posts'").fetchone()
        return int(row[0]) if row else 0

    def gaps(self, limit: int = -1) -> list[Gap]:
        """The life's gaps, oldest first; the last `limit` of them when it is not negative."""
        with self._lock, in_words(self.path):
            return gaps.read(self._db, limit=limit)

    def drop_target(self, target: str) -> bool:
        """Know nothing of a sink any more; False when nothing was known."""
        with self._transaction() as db:
            known = db.execute("DELETE FROM sink_cursors WHERE target = ?", (target,)).rowcount
            db.execute("DELETE FROM settled WHERE target = ?", (target,))
            asked = drop_target(db, target)
        return known > 0 or asked

    def targets(self) -> list[str]:
        """The sinks that this journal has fed."""
        with self._lock, in_words(self.path):
            rows = self._db.execute("SELECT target FROM sink_cursors ORDER BY target").fetchall()
        return [str(target) for (target,) in rows]

    def out_of_reach(self, seq: int) -> int:
        """How many posts a sink that has got to row `seq` never had, because retention removed them before."""
        with self._lock, in_words(self.path):
            return out_of_reach(self._db, seq)

    def used_bytes(self) -> int:
        """The size of the pages in use, committed or on their way from the write-ahead log to the file."""
        with self._lock, in_words(self.path):
            pages, free, size = (
                self._db.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * size)

    def check_place(self) -> None:
        """Raises JournalError when a file of the journal was deleted or moved away; what it held was saved."""
        with self._lock, in_words(self.path):
            try:
                self._place.check(self._db)
            except JournalError as error:
                self._lost = error  # nothing more may be written where it would be lost
                raise

    def gap_count(self) -> int:
        """How many gaps the life has."""
        with self._lock, in_words(self.path):
            return int(self._db.execute("SELECT count(*) FROM gaps").fetchone()[0])

    def last_id(self, session: int) -> str:
        """The newest post that came over the connection, as that session knows it; empty when none is known."""
        with self._lock, in_words(self.path):
            row = self._db.execute("SELECT last_id FROM sessions WHERE session = ?", (session,)).fetchone()
        return str(row[0])

    def end_fill(self, gap: int, filled: Filled, why: str, first_id: str) -> None:
        """The fill of that gap came to its end, for now or for good: why it is filled as it is, up to where."""
        with self._transaction() as db:
            gaps.end_fill(db, gap, filled, why, first_id)

    def cursor(self, source: str) -> str | None:
        """Where the source had got to, in its own words."""
        with self._lock, in_words(self.path):
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (f"cursor:{source}",)).fetchone()
        return str(row[0]) if row else None

    def trim(self) -> bool:
        """Empty the write-ahead log, which holds older states of what was changed. False: somebody reads it."""
        with self._lock, in_words(self.path):
            return not self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    def stars(self) -> list[tuple[str, str]]:
        """Source and id of every post that has a star."""
        with self._lock, in_words(self.path):
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
        with in_words(self.path):
            return JournalReader(self._connect(), self.path)

    def close(self) -> None:
        """Let go of the files."""
        try:
            self._note_progress(at_once=True)
        finally:
            self._progress_file.close()
            with self._lock, in_words(self.path):
                # SQLite does this for the last connection that closes; a reader's thread may outlive this one.
                with suppress(sqlite3.Error):
                    self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                self._db.close()


class JournalReader:
    """Reads rows for one thread, never blocking the writer."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        with in_words(path):
            db.execute("PRAGMA query_only = ON")

    def rows_since(self, source: str, received_at: float) -> Generator[Row, None, None]:
        """The newest rows that a source's stream brought since then, the newest first."""
        with in_words(self._path):
            found = self._db.execute(
                "SELECT seq, source, id, received_at, matched, backfilled, raw FROM posts ORDER BY seq DESC"
            )
            try:
                for number, of, id_, at, matched, backfilled, raw in found:
                    if at < received_at:
                        break
                    if of == source:
                        yield Row(number, of, id_, at, tuple(json.loads(matched)), bool(backfilled), raw)
            finally:
                found.close()  # as below

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
        known: dict[str, tuple[str, ...]] = {}  # most posts match by the same few terms
        size = 0
        with in_words(self._path):
            found = self._db.execute(query, values)
            for number, source, id_, received_at, matched, backfilled, raw, noted in found:
                check_row(noted, (source, id_, received_at, matched, backfilled, raw), number, self._path)
                if (terms := known.get(matched)) is None:
                    terms = known[matched] = tuple(json.loads(matched))
                rows.append(Row(number, source, id_, received_at, terms, bool(backfilled), raw))
                size += len(raw)
                if size >= _READ_BYTES:
                    break
            found.close()  # an open read would keep the write-ahead log from being trimmed
        return rows

    def gaps(self, source: str) -> list[Gap]:
        """That source's gaps, oldest first."""
        with in_words(self._path):
            return gaps.read(self._db, "source = ?", (source,))

    def fetched_on(self, source: str, at: float) -> int:
        """Posts that fills have brought on that moment's day (UTC)."""
        with in_words(self._path):
            return gaps.fetched_on(self._db, source, at)

    def close(self) -> None:
        """Let go of the connection."""
        self._db.close()


def _portions(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """The entries in portions of 64, 32, ..., 2, 1: so there are few different statements, which are kept.

    A statement also keeps what it was given the last time, so long lines go one by one.
    """
    most = AT_ONCE if all(len(one.raw) <= LONG for one in entries) else 1
    start = 0
    while left := len(entries) - start:
        size = min(most, 1 << left.bit_length() - 1)
        yield entries[start : start + size]
        start += size


@cache
def _insertion(rows: int) -> str:
    """What adds so many posts, but for those that are there or were removed."""
    return _INSERTION.format(", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * rows))
