"""Does a post cost more when many are stored already? And does a capture take more memory then?

One data folder grows to ever more stored posts (rows like those of a capture a month ago, put in directly); at
each size bieber-tui captures into it, and the processor time a post is measured. Half of the posts match, so that
the journal has something to do.
"""

from __future__ import annotations

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import Wrong, ours
from bench.stream import Load, Stream
from core.journal import Journal

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)  # posts stored beforehand
QUICK_SIZES = (10_000, 100_000)
# Captured in one repetition, and of these not measured: the start of the second process, and reading back what the
# window holds of earlier captures.
POSTS, WARM_UP = 60_000, 20_000
LOAD = Load("small", 0.5)
MONTH = 30 * 86400
FIRST_ID = 1_500_000_000_000_000_000  # of the posts stored beforehand: older than whatever is streamed

FILL = """
WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last)
INSERT INTO posts (source, id, received_at, text_hash, matched, backfilled, raw)
SELECT 'x', CAST(:base + i AS TEXT), :at + i / 1000.0, i, '["music"]', 0, CAST(printf('%-320d', i) AS BLOB) FROM n
"""


@dataclass(frozen=True, slots=True)
class Point:
    """The cost of a post with so many stored: medians over the repetitions."""

    stored: int
    cpu: float  # microseconds of processor time
    rate: float  # posts a second
    memory: int  # bytes, the most that a capture upon them had


def ask(*, quick: bool, repetitions: int, say: Callable[[str], None]) -> list[Point]:
    """Measure at every size. Raises Wrong when a captured post is not there."""
    points = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir(mode=0o700)
        Journal(folder / "data").close()
        filled = 0
        for size in QUICK_SIZES if quick else SIZES:
            fill(folder / "data" / "journal.sqlite", filled, size)
            filled = size
            costs = [_capture(folder) for _ in range(repetitions)]
            cpu, rate = (statistics.median(values) for values in list(zip(*costs, strict=True))[:2])
            points.append(Point(size, cpu, rate, max(memory for _, _, memory in costs)))
            say(f"with {size:,} stored: {cpu:.1f} µs of processor time a post, {rate:,.0f} posts/s")
    return points


def fill(journal: Path, first: int, last: int) -> None:
    """Put in posts number `first` to `last`, exclusive."""
    with sqlite3.connect(journal) as db:
        db.execute(FILL, {"first": first, "last": last, "base": FIRST_ID, "at": time.time() - MONTH})
    db.close()


def _capture(folder: Path) -> tuple[float, float, int]:
    """Processor time in microseconds a post, posts a second, and bytes of memory at its most, until its end."""
    journal = folder / "data" / "journal.sqlite"
    with sqlite3.connect(journal) as db:
        before, seq = db.execute("SELECT total(consumed), (SELECT max(seq) FROM posts) FROM counters").fetchone()
    db.close()
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name)) as stream:
        program = ours(stream, folder, "--max-posts", str(POSTS))
        began = program.durable(journal, int(before) + WARM_UP, stored=False)
        spent = program.cpu
        ended = program.durable(journal, int(before) + POSTS, stored=False)
        cpu = program.cpu - spent
        program.end()
        topical = stream.expected(POSTS).topical
    with sqlite3.connect(journal) as db:
        kept = {row[0] for row in db.execute("SELECT id FROM posts WHERE seq > ?", (seq,))}
    db.close()
    if kept != topical:
        raise Wrong(f"{len(kept ^ topical)} posts differ with {seq:,} stored")
    measured = POSTS - WARM_UP
    return cpu / measured * 1e6, measured / (ended - began), program.memory
