"""The posts that the feed holds, and which of them it shows. Pure: no terminal, no time.

Rows are known by their sequence number. Following, the ring keeps the newest `capacity` posts. Frozen, the feed
reads a list of its own that no new post touches, so that the row one reads never moves, also when the ring wraps;
`waiting` counts what came meanwhile, and `pull` appends it when the reader arrives at the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from core.snapshot import FeedRow, Verdict


class Ring:
    """The feed's posts, filtered: `shown` is what the feed draws, oldest first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.shown: list[FeedRow] = []
        self.waiting = 0  # shown posts that came since the feed was frozen
        self.only_matched = True
        self.needle = ""
        self._live: deque[FeedRow] = deque(maxlen=capacity)
        self._held: list[FeedRow] | None = None

    @property
    def frozen(self) -> bool:
        """Whether the feed reads its own list, which new posts do not touch."""
        return self._held is not None

    @property
    def held(self) -> int:
        """Posts in memory that could be shown."""
        return len(self._base())

    def accepts(self, row: FeedRow) -> bool:
        """Whether the mode and the filter let a post through."""
        if self.only_matched and row.verdict is Verdict.FILTERED:
            return False
        if not self.needle:
            return True
        author = row.post.author
        return self.needle in f"@{author.username} {author.name} {row.post.text}".casefold()

    def add(self, rows: Sequence[FeedRow]) -> bool:
        """Take new posts, oldest first. True when `shown` or `waiting` changed."""
        self._live.extend(rows)
        accepted = [row for row in rows if self.accepts(row)]
        if self._held is not None:
            self.waiting += len(accepted)
            return bool(accepted)
        self.shown += accepted
        oldest = self._live[0].seq if self._live else 0
        gone = 0
        while gone < len(self.shown) and self.shown[gone].seq < oldest:
            gone += 1
        del self.shown[:gone]
        return bool(accepted or gone)

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
        excess = max(len(self._held) - 2 * self.capacity, 0)
        left = sum(self.accepts(row) for row in self._held[:excess])
        del self._held[:excess]
        self.waiting = 0
        self._sift()
        return left

    def filter(self, needle: str) -> None:
        """Show only posts whose author or text has `needle` in it; upper and lower case are the same."""
        self.needle = needle.strip().casefold()
        self._sift()

    def cycle(self) -> None:
        """From matched posts only to all posts, and back."""
        self.only_matched = not self.only_matched
        self._sift()

    def index_of(self, seq: int) -> int:
        """The place in `shown` of the first row that is not older than `seq`; the length when there is none."""
        low, high = 0, len(self.shown)
        while low < high:
            middle = (low + high) // 2
            if self.shown[middle].seq < seq:
                low = middle + 1
            else:
                high = middle
        return low

    def _base(self) -> list[FeedRow] | deque[FeedRow]:
        return self._live if self._held is None else self._held

    def _sift(self) -> None:
        """Choose anew what is shown, after the mode or the filter changed."""
        self.shown = [row for row in self._base() if self.accepts(row)]
        if self._held is not None:
            newest = self._held[-1].seq if self._held else 0
            self.waiting = sum(self.accepts(row) for row in self._live if row.seq > newest)
