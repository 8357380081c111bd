"""The posts that the feed holds, and which of them it shows. Pure: no terminal, no time.

Rows are known by their sequence number. Following, the ring keeps the newest `capacity` posts. Frozen, the feed
reads a list of its own that no new post touches, so that the row one reads never moves, also when the ring wraps;
`waiting` counts what came meanwhile, and `pull` appends it when the reader arrives at the end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Protocol

from core.filter import Filter, Wanted
from core.snapshot import FeedRow, Verdict

CONTEXT = 2  # posts that are shown before and after each one that is wanted
EVERYTHING = Wanted()


class Show(StrEnum):
    """Which posts are shown, in the order in which a key goes through them."""

    MATCHED = "matched"  # about the topic
    CONTEXT = "context"  # about the topic, and what came just before and after
    ALL = "all"

    @property
    def next(self) -> Show:
        """The one after this."""
        every = list(Show)
        return every[(every.index(self) + 1) % len(every)]


class Reading(Protocol):
    """A list of rows that the feed can show, oldest first: the ring, or what a search has found."""

    shown: list[FeedRow]

    @property
    def frozen(self) -> bool:
        """Whether the list is read at rest, or follows what comes."""

    def index_of(self, seq: int) -> int:
        """The place of the first row that is not older than `seq`; the length when there is none."""

    def is_hit(self, row: FeedRow) -> bool:
        """Whether the row is one that is looked for."""

    def is_aside(self, row: FeedRow) -> bool:
        """Whether the row is only there for context."""


def place_of(rows: Sequence[FeedRow], seq: int) -> int:
    """The place of the first row whose number is not below `seq`; the length when there is none."""
    return bisect_left(rows, seq, key=attrgetter("seq"))


class Ring:
    """The feed's posts, filtered: `shown` is what the feed draws, oldest first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.shown: list[FeedRow] = []
        self.waiting = 0  # wanted posts that came since the feed was frozen
        self.show = Show.MATCHED
        self.wanted = EVERYTHING
        self.stars: frozenset[str] = frozenset()  # keys of posts that have a star
        self._filter: Filter | None = None
        self._verdicts: dict[int, bool] = {}  # the filter's, so that no post is judged twice
        self._live: deque[FeedRow] = deque(maxlen=capacity)
        self._held: list[FeedRow] | None = None
        # Context: numbers of the shown rows that are no more than that, what may still come before the next hit,
        # and how many rows still come after the last one.
        self._aside: set[int] = set()
        self._before: deque[FeedRow] = deque(maxlen=CONTEXT)
        self._after = 0

    @property
    def frozen(self) -> bool:
        """Whether the feed reads its own list, which new posts do not touch."""
        return self._held is not None

    @property
    def held(self) -> int:
        """Posts in memory that could be shown."""
        return len(self._base())

    @property
    def found(self) -> int:
        """Shown posts that are not there for context only."""
        return len(self.shown) - len(self._aside)

    @property
    def newest(self) -> list[FeedRow]:
        """All posts in memory, of every verdict, oldest first, those that wait included."""
        return list(self._live)

    def is_aside(self, row: FeedRow) -> bool:
        """Whether the row is shown only since it stands beside one that is wanted."""
        return row.seq in self._aside

    def is_hit(self, row: FeedRow) -> bool:
        """Whether the row is what is looked for: the filter's, or, without one, the topic's."""
        if self.wanted:
            return self.accepts(row)
        return row.verdict is not Verdict.FILTERED

    def accepts(self, row: FeedRow) -> bool:
        """Whether the topic, the stars and the filter let a post through."""
        if self.show is not Show.ALL and row.verdict is Verdict.FILTERED:
            return False
        if self.wanted.starred and row.post.key not in self.stars:
            return False
        if self._filter is None:
            return True
        verdict = self._verdicts.get(row.seq)
        if verdict is None:
            verdict = self._verdicts[row.seq] = self._filter.matches(row.post)
        return verdict

    def add(self, rows: Sequence[FeedRow]) -> bool:
        """Take new posts, oldest first. True when `shown` or `waiting` changed."""
        self._live.extend(rows)
        if self._held is not None:
            wanted = sum(map(self.accepts, rows))
            self.waiting += wanted
            return wanted > 0
        before = len(self.shown)
        self.shown += self._choose(rows)
        came = len(self.shown) > before
        oldest = self._live[0].seq if self._live else 0
        gone = place_of(self.shown, oldest)
        self._aside.difference_update(row.seq for row in self.shown[:gone])
        del self.shown[:gone]
        if len(self._verdicts) > 2 * self.capacity:
            self._verdicts = {seq: said for seq, said in self._verdicts.items() if seq >= oldest}
        return came or gone > 0

    def clear(self) -> None:
        """Forget every post; the filter and the mode stay."""
        self._live.clear()
        self.follow()

    def freeze(self) -> None:
        """Keep what is shown as it is."""
        if self._held is None:
            self._held = list(self._live)
            self.waiting = 0

    def follow(self) -> None:
        """Show the newest posts again."""
        self._held = None
        self.waiting = 0
        self._sift()

    def pull(self) -> int:
        """Append what waits to the frozen list; how many shown rows left it at the top.

        The list is held to twice the capacity. Posts that the ring has lost meanwhile stay lost to the feed.
        """
        if self._held is None:
            return 0
        newest = self._held[-1].seq if self._held else 0
        self._held += (row for row in self._live if row.seq > newest)
        del self._held[: max(len(self._held) - 2 * self.capacity, 0)]
        left = place_of(self.shown, self._held[0].seq) if self._held else 0
        self._sift()
        return left

    def look_for(self, wanted: Wanted, found: Filter | None, verdicts: Mapping[int, bool] | None = None) -> None:
        """Show only what is wanted; `found` is its filter, None when it is only about stars.

        `verdicts` are what the filter said of rows that were already judged, by number.
        """
        self.wanted = wanted
        self._filter = found if wanted.text else None
        self._verdicts = dict(verdicts or {})
        self._sift()

    def mark(self, stars: frozenset[str]) -> None:
        """Other posts have a star now."""
        self.stars = stars
        if self.wanted.starred:
            self._sift()

    def cycle(self) -> None:
        """Matched posts only, these in context, all posts, and from the start."""
        self.show = self.show.next
        self._sift()

    def index_of(self, seq: int) -> int:
        """The place in `shown` of the first row that is not older than `seq`; the length when there is none."""
        return place_of(self.shown, seq)

    def _base(self) -> list[FeedRow] | deque[FeedRow]:
        return self._live if self._held is None else self._held

    def _choose(self, rows: Iterable[FeedRow]) -> Iterable[FeedRow]:
        """Those of the rows that are shown, going on from the last call."""
        if (
            self.show is Show.MATCHED and not self.wanted
        ):  # of a fast stream thousands come at once: not one by one
            other = Verdict.FILTERED
            return [row for row in rows if row.verdict is not other]
        return self._choose_by_one(rows)

    def _choose_by_one(self, rows: Iterable[FeedRow]) -> Iterator[FeedRow]:
        for row in rows:
            if self.accepts(row):
                self._aside.update(beside.seq for beside in self._before)
                yield from self._before
                self._before.clear()
                self._after = CONTEXT
                yield row
            elif self.show is Show.CONTEXT and self._after:
                self._after -= 1
                self._aside.add(row.seq)
                yield row
            elif self.show is Show.CONTEXT:
                self._before.append(row)

    def _sift(self) -> None:
        """Choose anew what is shown, after the mode or the filter changed."""
        self._aside.clear()
        self._before.clear()
        self._after = 0
        self.shown = list(self._choose(self._base()))
        self.waiting = 0
        if self._held is not None:
            newest = self._held[-1].seq if self._held else 0
            self.waiting = sum(self.accepts(row) for row in self._live if row.seq > newest)
