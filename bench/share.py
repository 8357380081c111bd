"""What a capture costs while it follows a stream of a steady rate."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bench import family
from bench.contestants import Wrong


class Share:
    """The share of a core that a process and its children take between entering and leaving, and what that is for
    each post.

    `folder`/data is the capture's. Raises Wrong when it falls behind `rate` posts a second.
    """

    share = 0.0
    per_post = 0.0  # microseconds

    def __init__(self, pid: int, folder: Path, rate: float) -> None:
        self._pid = pid
        self._journal = folder / "data" / "journal.sqlite"
        self._rate = rate

    def _now(self) -> tuple[float, float, float]:
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as db:
            consumed = db.execute("SELECT total(consumed) FROM counters").fetchone()[0]
        return time.monotonic(), family.look(self._pid).cpu, consumed

    def __enter__(self) -> Share:
        self._before = self._now()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        took, spent, posts = (now - before for now, before in zip(self._now(), self._before, strict=True))
        if kind is not None:
            return
        if posts < self._rate * took * 0.9:
            raise Wrong(f"only {posts / took:,.0f} posts a second were read of {self._rate:,.0f}")
        self.share, self.per_post = spent / took, spent / posts * 1e6
