"""Forgetting in the journal: requests, the lines that they reach, and the marks that keep it from coming back.

A request is durable before anything else happens, and its row stays until the journal and every sink that the
journal has fed have done it; each step is one transaction and can be repeated after a kill. Promises about counts:
a post that leaves the journal stays in the capture's counters, is added to `forgotten`, and is settled for every
sink that had not taken it yet; so the three equations hold, and `unique` less `forgotten` is the number of posts
that the store of record has of this capture.

Knows tables and ids; which lines are whose is told by whoever calls (core/forget.py).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from core.journal.records import Deletion, checksum

if TYPE_CHECKING:
    from core.journal.journal import Journal
    from core.journal.visit import Visit

Kind = Literal["author", "post"]
Table = Literal["posts", "versions", "filtered", "quarantine"]
TABLES: tuple[Table, ...] = ("posts", "versions", "filtered", "quarantine")
_KEYED = ("posts", "filtered", "removed")  # where a post is found by its id
WINDOW = 20_000  # rows that one read looks through, so that no read keeps the write-ahead log from being trimmed
THE_JOURNAL = ""  # the target under which the journal itself counts


class Subject(NamedTuple):
    """Somebody or something to be forgotten. `thorough`: wherever it is; else the post with that id alone."""

    request: int
    source: str
    kind: Kind
    id: str
    thorough: bool


class Held(NamedTuple):
    """A line of the journal. `id` is empty in quarantine."""

    row: int
    source: str
    id: str
    raw: bytes


class Removed(msgspec.Struct):
    """What one transaction took out of `posts`."""

    rows: list[tuple[int, str]] = []  # (seq, source)
    keys: set[str] = set()  # <source>:<id>
    pending: dict[str, list[tuple[int, str]]] = {}  # of those, not taken yet by each sink


class Tombstones:
    """Who and what is not taken again. Frozen; empty in nearly every capture."""

    def __init__(self, key: bytes, marks: frozenset[bytes]) -> None:
        self._key = key
        self._marks = marks

    def __bool__(self) -> bool:
        return bool(self._marks)

    def has(self, kind: Kind, source: str, id: str) -> bool:
        """Whether that author or post of a source is forgotten."""
        return bool(id) and mark(self._key, kind, source, id) in self._marks


def mark(key: bytes, kind: Kind, source: str, id: str) -> bytes:
    """The keyed hash that stands for a forgotten author or post."""
    name = f"{kind}\0{source}\0{id}".encode("utf-8", "surrogatepass")
    return blake2b(name, key=key, digest_size=16).digest()


def announce(db: sqlite3.Connection, source: str, deletion: Deletion) -> None:
    """Note a deletion of the source within the transaction of its batch, unless the journal never had that post.

    The deletion of an author leaves no mark: accounts come back, and the source decides then.
    """
    if deletion.author:
        _ask(db, source, "author", deletion.author, deletion.at, thorough=True)
        return
    held = "SELECT 1 FROM {} WHERE source = ? AND id = ?"
    if any(db.execute(held.format(table), (source, deletion.post)).fetchone() for table in _KEYED):
        _bury(db, source, "post", deletion.post)
        _ask(db, source, "post", deletion.post, deletion.at, thorough=False)


class Forgetting:
    """The journal's part. One object a journal and process; every method is one transaction or one read."""

    def __init__(self, journal: Journal | Visit) -> None:
        self._journal = journal

    # -- requests

    def know(self, target: str) -> None:
        """That sink is fed by this journal from now on, if it was not before.

        What is forgotten by then it never gets; for it too that counts as stored and forgotten.
        """
        with self._journal._transaction() as db:
            if db.execute("INSERT OR IGNORE INTO sink_cursors VALUES (?, 0)", (target,)).rowcount:
                gone = "FROM forgotten WHERE target = '' ON CONFLICT DO UPDATE SET"
                db.execute(
                    f"INSERT INTO settled SELECT ?, source, posts, 0 {gone} stored = stored + excluded.stored",
                    (target,),
                )
                db.execute(
                    f"INSERT INTO forgotten SELECT ?, source, posts {gone} posts = posts + excluded.posts",
                    (target,),
                )

    def ask(self, source: str, subjects: Iterable[tuple[Kind, str]], at: float, also: Sequence[str] = ()) -> None:
        """Ask durably, and keep it from coming back from now on. `also`: sinks besides those that are fed."""
        with self._journal._transaction() as db:
            for kind, id in subjects:
                _bury(db, source, kind, id)
                _ask(db, source, kind, id, at, thorough=True, also=also)

    def tombstones(self) -> Tombstones:
        """Who and what is not taken again, as of now."""
        with self._journal._transaction() as db:
            key = _key(db)
            return Tombstones(key, frozenset(row[0] for row in db.execute("SELECT mark FROM tombstones")))

    def asked(self) -> list[Subject]:
        """What the journal has still to forget, oldest first."""
        return self._subjects("SELECT {} FROM forget WHERE NOT journal_done ORDER BY request", ())

    def asked_of(self, target: str) -> list[Subject]:
        """What that sink has still to forget, the journal having done it."""
        return self._subjects(
            "SELECT {} FROM forget JOIN forget_at USING (request) WHERE journal_done AND target = ?"
            " ORDER BY request",
            (target,),
        )

    def waiting_targets(self) -> list[str]:
        """The sinks that have still to forget something."""
        with self._journal._transaction() as db:
            return [row[0] for row in db.execute("SELECT DISTINCT target FROM forget_at ORDER BY target")]

    def _subjects(self, query: str, values: tuple[str, ...]) -> list[Subject]:
        with self._journal._transaction() as db:
            rows = db.execute(query.format("request, source, kind, id, thorough"), values).fetchall()
        return [Subject(request, source, kind, id, bool(deep)) for request, source, kind, id, deep in rows]

    def done_in_journal(self, subjects: Sequence[Subject]) -> Removed:
        """No line of the journal holds them any more. What goes now is what retention has left of posts."""
        removed = Removed()
        with self._journal._transaction() as db:
            posts = [(subject.source, subject.id) for subject in subjects if subject.kind == "post"]
            removed.rows = _drop_keys(db, posts)
            requests = [(subject.request,) for subject in subjects]
            db.executemany("UPDATE forget SET journal_done = 1 WHERE request = ?", requests)
            _drop_finished(db)
        return removed

    # -- lines

    def lines(
        self, table: Table, source: str, needles: Sequence[bytes], *, any_case: bool = False
    ) -> Iterator[list[Held]]:
        """The lines with one of the needles in them, window by window; a window may be empty.

        `any_case`: needles in lower case find ASCII letters of both.
        """
        names = "rowid, source, " + ("''" if table == "quarantine" else "id") + ", raw"
        haystack = "CAST(lower(CAST(raw AS TEXT)) AS BLOB)" if any_case else "raw"
        found = " OR ".join([f"instr({haystack}, ?)"] * len(needles))
        query = f"SELECT {names} FROM {table} WHERE rowid > ? AND rowid <= ? AND source = ? AND ({found})"  # noqa: S608
        reader = self._journal.reader()
        try:
            last = reader._db.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0  # noqa: S608
            for start in range(0, last, WINDOW):
                values = (start, start + WINDOW, source, *needles)
                yield [Held(*row) for row in reader._db.execute(query, values).fetchall()]
        finally:
            reader.close()

    def lines_of_post(self, table: Literal["posts", "versions", "filtered"], source: str, id: str) -> list[Held]:
        """The lines of one post, by its id."""
        with self._journal._transaction() as db:
            rows = db.execute(
                f"SELECT rowid, source, id, raw FROM {table} WHERE source = ? AND id = ?",  # noqa: S608
                (source, id),
            )
            return [Held(*row) for row in rows.fetchall()]

    def erase(self, table: Table, gone: Sequence[Held], changed: Sequence[Held]) -> Removed:
        """Remove the lines `gone`, and put the line of each of `changed` in the place of the one that is there."""
        removed = Removed()
        with self._journal._transaction() as db:
            for held in changed:
                _change(db, table, held)
            taken = [
                held
                for held in gone
                if db.execute(f"DELETE FROM {table} WHERE rowid = ?", (held.row,)).rowcount  # noqa: S608
            ]
            if table != "posts":
                return removed
            rows = [(held.row, held.source) for held in taken]
            _count(db, THE_JOURNAL, rows)
            removed.rows = rows + _drop_keys(db, [(held.source, held.id) for held in gone])
            removed.keys = {f"{held.source}:{held.id}" for held in gone}
            for target, cursor in db.execute(
                "SELECT target, seq FROM sink_cursors UNION"
                " SELECT target, NULL FROM forget_at WHERE target NOT IN (SELECT target FROM sink_cursors)"
            ).fetchall():
                self._pass_on(db, target, cursor, taken, changed, removed)
        return removed

    @staticmethod
    def _pass_on(
        db: sqlite3.Connection,
        target: str,
        cursor: int | None,
        taken: Sequence[Held],
        changed: Sequence[Held],
        removed: Removed,
    ) -> None:
        """Tell a sink what to give up; what it had not answered for yet counts as stored and forgotten at once.

        A sink without a cursor is not fed by this journal.
        """
        waiting = [cursor is not None and held.row > cursor for held in taken]
        pending = [(held.row, held.source) for held, waits in zip(taken, waiting, strict=True) if waits]
        removed.pending[target] = pending
        counts: dict[str, int] = {}
        for _, source in pending:
            counts[source] = counts.get(source, 0) + 1
        db.executemany(
            "INSERT INTO settled VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET stored = stored + excluded.stored",
            [(target, source, count) for source, count in counts.items()],
        )
        _count(db, target, pending)
        db.executemany(
            "INSERT INTO forget_posts VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET"
            " whole = 1, counted = max(counted, excluded.counted)",
            [(target, held.source, held.id, waits) for held, waits in zip(taken, waiting, strict=True)],
        )
        db.executemany(
            "INSERT INTO forget_posts VALUES (?, ?, ?, 0, 0) ON CONFLICT DO NOTHING",
            [(target, held.source, held.id) for held in changed],
        )

    # -- sinks

    def found_in_sink(self, target: str, source: str, ids: Mapping[str, bool]) -> int:
        """A sink holds posts of these ids; True: they are of this capture. How many were not counted yet."""
        with self._journal._transaction() as db:
            known = "SELECT counted FROM forget_posts WHERE target = ? AND source = ? AND id = ?"
            fresh: list[tuple[int, str]] = []
            for id, ours in ids.items():
                row = db.execute(known, (target, source, id)).fetchone()
                if ours and not (row and row[0]):
                    fresh.append((0, source))
                db.execute(
                    "INSERT INTO forget_posts VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET"
                    " whole = 1, counted = max(counted, excluded.counted)",
                    (target, source, id, ours),
                )
            _drop_keys(db, [(source, id) for id in ids])
            _count(db, target, fresh)
        return len(fresh)

    def to_remove(self, target: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """What a sink must give up, as (source, id): whole posts, and posts of which only the raw line goes."""
        with self._journal._transaction() as db:
            rows = db.execute("SELECT source, id, whole FROM forget_posts WHERE target = ?", (target,)).fetchall()
        whole = [(source, id) for source, id, all_of_it in rows if all_of_it]
        return whole, [(source, id) for source, id, all_of_it in rows if not all_of_it]

    def done_in_sink(self, target: str, subjects: Iterable[Subject], posts: Iterable[tuple[str, str]]) -> None:
        """A sink has given up these posts, and with them all that the subjects asked of it."""
        with self._journal._transaction() as db:
            db.executemany(
                "DELETE FROM forget_posts WHERE target = ? AND source = ? AND id = ?",
                [(target, source, id) for source, id in posts],
            )
            db.executemany(
                "DELETE FROM forget_at WHERE request = ? AND target = ?",
                [(subject.request, target) for subject in subjects],
            )
            _drop_finished(db)

    def forgotten(self, target: str = THE_JOURNAL) -> dict[str, int]:
        """By source, how many posts of this capture are gone from a sink, or from the journal, that were there."""
        with self._journal._transaction() as db:
            return dict(db.execute("SELECT source, posts FROM forgotten WHERE target = ?", (target,)).fetchall())


def _change(db: sqlite3.Connection, table: Table, held: Held) -> None:
    """Put another raw line into a row, which adds up to something else then."""
    db.execute(f"UPDATE {table} SET raw = ? WHERE rowid = ?", (held.raw, held.row))  # noqa: S608
    if table == "posts":
        content = db.execute(
            "SELECT source, id, received_at, matched, backfilled, raw FROM posts WHERE seq = ?", (held.row,)
        ).fetchone()
        if content:
            db.execute("UPDATE posts SET checksum = ? WHERE seq = ?", (checksum(*content), held.row))


def _key(db: sqlite3.Connection) -> bytes:
    db.execute("INSERT OR IGNORE INTO meta VALUES ('forget_key', ?)", (secrets.token_hex(32),))
    return bytes.fromhex(db.execute("SELECT value FROM meta WHERE key = 'forget_key'").fetchone()[0])


def _bury(db: sqlite3.Connection, source: str, kind: Kind, id: str) -> None:
    db.execute("INSERT OR IGNORE INTO tombstones VALUES (?)", (mark(_key(db), kind, source, id),))


def drop_target(db: sqlite3.Connection, target: str) -> bool:
    """That sink is known no more, and is asked for nothing. False when it was asked for nothing."""
    tables = ("forget_at", "forget_posts", "forgotten")
    dropped = [db.execute(f"DELETE FROM {table} WHERE target = ?", (target,)).rowcount for table in tables]  # noqa: S608
    _drop_finished(db)
    return any(dropped)


def _drop_keys(db: sqlite3.Connection, posts: Sequence[tuple[str, str]]) -> list[tuple[int, str]]:
    """What else the journal keeps of posts by their keys: later versions, and what retention has left of them.

    The latter are returned as (0, source); they count as gone from the journal.
    """
    db.executemany("DELETE FROM versions WHERE source = ? AND id = ?", posts)
    gone = "DELETE FROM removed WHERE source = ? AND id = ?"
    left = [(0, source) for source, id in posts if db.execute(gone, (source, id)).rowcount]
    _count(db, THE_JOURNAL, left)
    return left


def _ask(
    db: sqlite3.Connection,
    source: str,
    kind: Kind,
    id: str,
    at: float,
    *,
    thorough: bool,
    also: Sequence[str] = (),
) -> None:
    request = db.execute(
        "INSERT INTO forget (at, source, kind, id, thorough) VALUES (?, ?, ?, ?, ?)",
        (at, source, kind, id, thorough),
    ).lastrowid
    db.execute("INSERT INTO forget_at SELECT ?, target FROM sink_cursors", (request,))
    db.executemany("INSERT OR IGNORE INTO forget_at VALUES (?, ?)", [(request, target) for target in also])


def _drop_finished(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM forget WHERE journal_done AND request NOT IN (SELECT request FROM forget_at)")


def _count(db: sqlite3.Connection, target: str, posts: Iterable[tuple[int, str]]) -> None:
    db.executemany(
        "INSERT INTO forgotten VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET posts = posts + 1",
        [(target, source) for _, source in posts],
    )
