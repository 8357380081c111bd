"""How long is a post on its way from the socket to being durable?

At a steady rate, the count of durable posts is read every millisecond; post number n was durable when the count
first reached n, and was sent when the simulator's log says so. (A millisecond or two are of the looking itself.)
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import Program, Wrong, ours
from bench.stream import Load, Stream

RATE = 1000.0  # posts a second
LOAD = Load("full", 0.1)
WARM_UP = 2.0  # seconds that are left out


@dataclass(frozen=True, slots=True)
class Latency:
    """From socket to durable, in milliseconds."""

    posts: int
    p50: float
    p99: float
    worst: float


def ask(*, seconds: float) -> Latency:
    """Measure for so long. Raises Wrong when posts are missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Stream(LOAD, folder, rate=RATE) as stream:
            program = ours(stream, folder)
            seen = _watch(program, folder / "data" / "journal.sqlite", seconds + WARM_UP)
            program.stop()
        sent = _sent(folder / "sent.ndjson")
    counts = [count for _, count in seen]
    begin = sent[0] + WARM_UP
    found = sorted(
        (seen[bisect_left(counts, n + 1)][0] - at) * 1000 for n, at in enumerate(sent[: counts[-1]]) if at >= begin
    )
    if len(found) < RATE * seconds / 2:
        raise Wrong(f"only {len(found)} posts came in {seconds:g} s at {RATE:g} posts a second")
    return Latency(len(found), found[len(found) // 2], found[int(len(found) * 0.99)], found[-1])


def _watch(program: Program, journal: Path, seconds: float) -> list[tuple[float, int]]:
    """When the count of durable posts was seen to have grown to what."""
    seen: list[tuple[float, int]] = []
    db: sqlite3.Connection | None = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and program.process.poll() is None:
        try:
            db = db or (sqlite3.connect(f"file:{journal}?mode=ro", uri=True) if journal.exists() else None)
            row = db.execute("SELECT consumed FROM counters").fetchone() if db else None
        except sqlite3.OperationalError:  # it is being made
            row, db = None, None
        now = time.time()
        if row and (not seen or row[0] > seen[-1][1]):
            if not seen:
                deadline = time.monotonic() + seconds
            seen.append((now, row[0]))
        time.sleep(0.001)
    if db:
        db.close()
    return seen


def _sent(log: Path) -> list[float]:
    """When each post was sent, in order."""
    moments: list[float] = []
    for line in log.read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "run":
            moments += [record["at"]] * (record["last"] - record["first"] + 1)
    return moments
