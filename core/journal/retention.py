"""Retention: takes what is older than `journal.keep` out of the journal, and gives the room back to the disk.

Of a post its key stays, about 45 bytes, so that the same post delivered again is still a duplicate; the counters
do not change. Promises: no post goes before every sink has answered for it; every step is one short transaction,
which can be killed at any moment and repeated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from core import crashpoint
from core.crashpoint import Point
from core.errors import JournalFull
from core.journal.space import LEAST, free_bytes, full_words
from core.units import Keep

if TYPE_CHECKING:
    from core.journal.journal import Journal

STEP_ROWS = 500
STEP_BYTES = 1_000_000  # of lines in one step: a few milliseconds
VACUUM_PAGES = 256
# Room within the file that new posts will take soon; only what is beyond is given back.
SPARE_BYTES, SPARE_SHARE = 4_000_000, 0.05

_UP_TO = "removed_up_to"  # the last row that was removed
_BESIDE = ("versions", "filtered", "quarantine")  # tables of lines that no sink is sent


class Step(msgspec.Struct, frozen=True):
    """What one step did. `held_by` is the sink that keeps older posts from being removed, with its position."""

    posts: int = 0
    others: int = 0  # lines of quarantine, later versions and filtered posts
    pages: int = 0  # given back to the disk
    held_by: str = ""
    held_at: int = 0

    def __bool__(self) -> bool:
        return bool(self.posts or self.others or self.pages)


class Retention:
    """Keeps one journal within its bounds, step by step."""

    def __init__(self, journal: Journal, keep: Keep, targets: Iterable[str] = ()) -> None:
        """`targets` are the sinks of this run; every sink that the journal has ever fed counts as well."""
        self._journal = journal
        self._keep = keep
        self._targets = tuple(targets)

    def step(self, now: float) -> Step:
        """Remove a few of the oldest lines if they are beyond the bounds at `now`, or give a few pages back.

        Raises JournalError. A step that did nothing is false: there is nothing to do for now.
        """
        step = self._remove(now) if self._keep else Step()
        if step:
            return step
        return Step(pages=self._give_back(), held_by=step.held_by, held_at=step.held_at)

    def _remove(self, now: float) -> Step:
        with self._journal._transaction() as db:
            cutoff = now - self._keep.age if self._keep.age is not None else float("-inf")
            excess = _used(db) - self._keep.size if self._keep.size is not None else 0
            held_by, limit = self._limit(db)
            heads: dict[str, tuple[float, int]] = {}
            for table in ("posts", *_BESIDE):
                head = _oldest(db, table)
                if head is not None and (head[1] < cutoff or excess > 0):
                    heads[table] = (head[1], head[0])
            held = "posts" in heads and heads["posts"][1] > limit
            if held:
                del heads["posts"]
            if not heads:
                return Step(held_by=held_by, held_at=limit) if held else Step()
            table = min(heads, key=lambda name: heads[name])
            first = heads[table][1]
            last, count = _chunk(db, table, first, limit, cutoff, excess)
            if table == "posts":
                db.execute(
                    "INSERT INTO removed SELECT source, id, text_hash, received_at FROM posts"
                    " WHERE seq BETWEEN ? AND ?",
                    (first, last),
                )
                db.execute(
                    "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                    (_UP_TO, str(last)),
                )
            db.execute(f"DELETE FROM {table} WHERE rowid BETWEEN ? AND ?", (first, last))  # noqa: S608
            crashpoint.reach(Point.LINES_REMOVED)
        return Step(posts=count) if table == "posts" else Step(others=count)

    def _limit(self, db: sqlite3.Connection) -> tuple[str, int]:
        """The sink that has got least far, and the last row that it has answered for."""
        cursors = dict(db.execute("SELECT target, seq FROM sink_cursors").fetchall())
        for target in self._targets:
            cursors.setdefault(target, 0)
        if not cursors:
            return "", 2**63 - 1
        target = min(cursors, key=lambda name: cursors[name])
        return target, cursors[target]

    def _give_back(self) -> int:
        """Pages given back to the disk; none in a journal that was made before it could be."""
        with self._journal._alone() as db:
            free, size = _number(db, "freelist_count"), _number(db, "page_size")
            spare = max(SPARE_BYTES, SPARE_SHARE * _number(db, "page_count") * size)
            if free * size <= spare or _number(db, "auto_vacuum") != 2:
                return 0
            db.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")  # `execute` would give back one page
            crashpoint.reach(Point.PAGES_GIVEN_BACK)
            return max(free - _number(db, "freelist_count"), 0)


def compact(journal: Journal) -> None:
    """Give every unused page back to the disk, in one go; nobody else may use the journal meanwhile.

    A journal that was made before pages could be given back is written anew, and can from then on: that takes as
    much room as its posts have, twice for a moment. Raises JournalError.
    """
    with journal._alone() as db:
        if _number(db, "auto_vacuum") == 2:
            db.executescript("PRAGMA incremental_vacuum")
        else:
            wanted = 2 * _used(db) + LEAST
            if free_bytes(journal.path.parent) < wanted:
                raise JournalFull(*full_words(journal.path.parent, wanted))
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def out_of_reach(db: sqlite3.Connection, seq: int) -> int:
    """How many posts a sink that has got to row `seq` will never get: it came after they were removed."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_UP_TO,)).fetchone()
    if row is None or seq >= int(row[0]):
        return 0
    return int(db.execute("SELECT count(*) FROM removed").fetchone()[0])


def _oldest(db: sqlite3.Connection, table: str) -> tuple[int, float] | None:
    """(row, received_at) of the oldest line of a table."""
    found = db.execute(f"SELECT rowid, received_at FROM {table} ORDER BY rowid LIMIT 1").fetchone()  # noqa: S608
    return found if found is None else (int(found[0]), float(found[1]))


def _chunk(
    db: sqlite3.Connection, table: str, first: int, limit: int, cutoff: float, excess: int
) -> tuple[int, int]:
    """The last row of a small chunk that begins with row `first`, and the number of its rows."""
    last = limit if table == "posts" else 2**63 - 1
    rows = db.execute(
        f"SELECT rowid, received_at, length(raw) FROM {table} WHERE rowid BETWEEN ? AND ?"  # noqa: S608
        " ORDER BY rowid LIMIT ?",
        (first, last, STEP_ROWS),
    )
    end, count, freed = first, 0, 0
    for row, received_at, length in rows.fetchall():
        if count and (freed >= STEP_BYTES or (received_at >= cutoff and freed >= excess)):
            break
        end, count, freed = row, count + 1, freed + length
    return end, count


def _used(db: sqlite3.Connection) -> int:
    return (_number(db, "page_count") - _number(db, "freelist_count")) * _number(db, "page_size")


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])
