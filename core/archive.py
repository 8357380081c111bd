"""Archive: what front ends ask of everything that is stored: search it, fetch one post whole, keep stars.

Every call may block on the disk for a moment and is bounded: a search looks at posts for a quarter of a second,
says how far it got, and is called again to go on. Each call opens a connection of its own, so that neither the
capture nor another front end ever waits for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from core.clock import Clock
from core.errors import Undecodable
from core.filter import Wanted, compile_filter
from core.journal import Journal, Row
from core.post import Post
from core.snapshot import FeedRow, Verdict

BUDGET = 0.25  # seconds that one call searches
CHUNK = 500  # rows read at once
_NEWEST = 2**62


class Found(msgspec.Struct, frozen=True):
    """What one call of a search has found.

    `rows` come newest first; their `seq` is 0, since they belong to no run. `place` is where the next call goes
    on, None when all was searched. `back_to` is when the oldest post that was looked at came, None without any.
    """

    rows: tuple[FeedRow, ...]
    place: str | None
    back_to: float | None


class Record(msgspec.Struct, frozen=True):
    """One stored post, with the line that the source sent."""

    row: FeedRow
    raw: bytes


class Archive:
    """Over one journal. May be used from any thread."""

    def __init__(self, journal: Journal, decode: Callable[[str, bytes], Post], clock: Clock) -> None:
        self._journal = journal
        self._decode = decode
        self._clock = clock

    def search(self, wanted: Wanted, place: str, limit: int) -> Found:
        """Up to `limit` posts that are wanted, from `place` (empty: the newest) back in time.

        Raises QueryError or JournalError.
        """
        found = compile_filter(wanted)
        deadline = time.monotonic() + BUDGET
        matched, filtered = _read_place(place)
        rows: list[FeedRow] = []
        back_to: float | None = None
        reader = self._journal.reader()
        try:
            while True:
                some = reader.rows_before(matched, CHUNK, starred=wanted.starred)
                others = (
                    reader.filtered_before(filtered, CHUNK, starred=wanted.starred) if wanted.unmatched else []
                )
                if not some and not others:
                    return Found(tuple(rows), None, back_to)
                for row, about in _merged(some, others):
                    matched, filtered = (row.seq, filtered) if about else (matched, row.seq)
                    back_to = row.received_at
                    shown = self._shown(row, about)
                    if shown is not None and found.matches(shown.post):
                        rows.append(shown)
                    if len(rows) >= limit or time.monotonic() >= deadline:
                        return Found(tuple(rows), f"{matched},{filtered}", back_to)
        finally:
            reader.close()

    def lookup(self, source: str, id_: str) -> Record | None:
        """One post whole; None when it is not stored. Raises JournalError."""
        reader = self._journal.reader()
        try:
            found = reader.find(source, id_)
        finally:
            reader.close()
        if found is None:
            return None
        row, about = found
        shown = self._shown(row, about)
        return Record(shown, row.raw) if shown is not None else None

    def stars(self) -> frozenset[str]:
        """The keys of all posts that have a star. Raises JournalError."""
        return frozenset(f"{source}:{id_}" for source, id_ in self._journal.stars())

    def star(self, source: str, id_: str, on: bool) -> None:
        """Give a post a star, or take it away, durably. Raises JournalError."""
        self._journal.star(source, id_, self._clock.now() if on else None)

    def _shown(self, row: Row, about: bool) -> FeedRow | None:
        """The row as the feed shows it; None for one that an older version took and this one cannot read."""
        try:
            post = self._decode(row.source, row.raw)
        except Undecodable:
            return None
        verdict = Verdict.MATCHED if about else Verdict.FILTERED
        return FeedRow(0, post, verdict, row.matched, row.received_at, row.backfilled)


def _read_place(place: str) -> tuple[int, int]:
    """Below which number each of the two tables goes on."""
    matched, _, filtered = place.partition(",")
    return (int(matched), int(filtered)) if place else (_NEWEST, _NEWEST)


def _merged(some: list[Row], others: list[Row]) -> Iterator[tuple[Row, bool]]:
    """Posts about the topic (True) and others (False), newest first, each list in its own order.

    It ends with the first list that had any: what comes next of that one is not read yet.
    """
    lists = [(deque(rows), about) for rows, about in ((some, True), (others, False)) if rows]
    while lists and all(rows for rows, _ in lists):
        rows, about = max(lists, key=lambda item: item[0][0].received_at)
        yield rows.popleft(), about
