"""The newest consumed posts of a run, for the front ends: a ring of rows with rising numbers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import islice

from core.post import Post
from core.snapshot import FeedRow


class Feed:
    """Written by the writer thread, a batch at a time; read by any thread."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._rows: deque[FeedRow] = deque(maxlen=size)
        self.last_seq = 0

    def extend(self, rows: list[FeedRow]) -> None:
        """Add rows whose numbers follow on from `last_seq`."""
        if rows:
            with self._lock:
                self._rows.extend(rows)
                self.last_seq = rows[-1].seq

    def blank(self, gone: Callable[[Post], bool]) -> None:
        """Take the posts that `gone` names out of memory; their rows stay, so that the numbers follow on."""
        with self._lock:
            for place, row in enumerate(self._rows):
                if gone(row.post):
                    self._rows[place] = row.but(post=Post(source=row.post.source, id="", text=""), matched=())

    def since(self, seq: int) -> tuple[tuple[FeedRow, ...], int]:
        """The rows with a higher number that the ring still has, oldest first, and the newest number."""
        with self._lock:
            wanted = min(self.last_seq - seq, len(self._rows))
            if wanted <= 0:
                return (), self.last_seq
            newest = list(islice(reversed(self._rows), wanted))
            newest.reverse()
            return tuple(newest), self.last_seq
