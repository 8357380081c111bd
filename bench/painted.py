"""How long is a post on its way from the socket to the screen?

At a steady rate, with the dashboard on a pseudo-terminal: a post was sent when the simulator's log says so, and is
painted when the bytes of its row have come out of the terminal's other end. (What a real terminal takes to draw
them is its own.) The feed shows the posts about the topic, and not each has to get a row: one counts as painted
with the first row that is its own or a newer one's. Which post a row is, is told by its words; rows that are
alike within a lap of the simulator's tell nothing.
"""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mode

from rich.cells import cell_len

from bench.contestants import Wrong, where
from bench.latency import LOAD, RATE
from bench.stream import Stream
from bench.terminal import Terminal
from core.simulator.prepared import Order
from core.snapshot import FeedRow, Verdict
from core.sources import decoder
from tui.row import draw_row

LAP = 10_000  # prepared posts: ten seconds pass before a text comes again
WARM_UP = 3.0  # seconds that are left out
REST = 1.0  # seconds at the end whose posts may still be on their way
LEAD = 11  # characters before the author: cursor, time, star
_ROW = re.compile(rb"\x1b\[\d+;1H((?:\x1b\[[\d;]*m|[^\x1b])+)")
_STYLE = re.compile(rb"\x1b\[[\d;]*m")
_TIME = re.compile(r".\d\d:\d\d:\d\d ")

Chunk = tuple[float, bytes]  # when it came, and what


@dataclass(frozen=True, slots=True)
class Painted:
    """From socket to painted, in milliseconds; `own` is the share of the posts that got a row of their own."""

    posts: int
    p50: float
    p99: float
    worst: float
    own: float


def ask(*, seconds: float) -> Painted:
    """Measure for so long. Raises Wrong when posts are missing, from the journal or from the screen."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            Stream(LOAD, folder, rate=RATE, prepared=LAP) as stream,
            Terminal(["-m", "tui.cli", *where(stream, folder)]) as terminal,
        ):
            terminal.until(b"LIVE")
            terminal.watch(WARM_UP)
            begin = time.time()
            chunks = terminal.chunks(seconds + REST)
        texts = _stored(folder / "data" / "journal.sqlite")
        sent = first_sent(folder / "sent.ndjson")
    rows = list(painted_rows(chunks))
    if not rows:
        raise Wrong("no row of a post was painted")
    width = mode(cell_len(text) for _, text in rows)
    posts = [(sent[id_], _drawn(raw, width)) for id_, raw in texts]
    return judge(posts, [(at, text[LEAD:]) for at, text in rows], begin, begin + seconds)


def _stored(journal: Path) -> list[tuple[str, bytes]]:
    """Ids and lines of the posts about the topic."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        return db.execute("SELECT id, raw FROM posts ORDER BY seq").fetchall()


def first_sent(log: Path) -> dict[str, float]:
    """When each post was sent for the first time, by id."""
    moments: dict[str, float] = {}
    with log.open() as lines:
        values = json.loads(next(lines))
        del values["kind"]
        order = Order(**values)
        for line in lines:
            record = json.loads(line)
            if record["kind"] == "run":
                for n in order.numbers(record["first"], record["last"]):
                    moments.setdefault(str(order.id(n)), record["at"])
    return moments


def painted_rows(chunks: Sequence[Chunk]) -> Iterator[tuple[float, str]]:
    """The rows of posts among what was written to the terminal: when the last byte of each came, and its text."""
    written = b"".join(data for _, data in chunks)
    number, end = -1, 0
    for found in _ROW.finditer(written):
        text = _STYLE.sub(b"", found[1]).decode("utf-8", "replace")
        if _TIME.match(text):
            while end < found.end():
                number += 1
                end += len(chunks[number][1])
            yield chunks[number][0], text


def _drawn(raw: bytes, width: int) -> str:
    """The row of that post behind its time, as the dashboard draws it."""
    row = FeedRow(1, decoder("x")(raw), Verdict.MATCHED, (), 0.0)
    return "".join(text for text, _ in draw_row(row, width))[LEAD:]


def judge(
    posts: Sequence[tuple[float, str]], rows: Sequence[tuple[float, str]], begin: float, end: float
) -> Painted:
    """The latency of the posts that were sent from `begin` to `end`; `posts` are in order, each with when it was.

    Raises Wrong when one of them never came to the screen, nor a newer one.
    """
    known: dict[str, list[int]] = {}
    for number, (_, text) in enumerate(posts):
        known.setdefault(text, []).append(number)
    alike = {
        text
        for text, numbers in known.items()
        if any(posts[later][0] - posts[n][0] < LAP / RATE / 2 for n, later in pairwise(numbers))
    }
    painted = [0.0] * len(posts)  # when it or a newer one was
    own: set[int] = set()
    done = 0  # posts that are painted
    for at, text in rows:
        sent_by_then = [n for n in known.get(text, ()) if posts[n][0] <= at]
        if text in alike or not sent_by_then:
            continue
        number = sent_by_then[-1]
        own.add(number)
        if number >= done:
            painted[done : number + 1] = [at] * (number + 1 - done)
            done = number + 1
    asked = [n for n, (sent, _) in enumerate(posts) if begin <= sent < end]
    if not asked or asked[-1] >= done:
        raise Wrong(f"of {len(asked)} posts about the topic, those from number {done} on were never painted")
    took = sorted((painted[n] - posts[n][0]) * 1000 for n in asked)
    distinct = [n for n in asked if posts[n][1] not in alike]
    return Painted(
        len(took), took[len(took) // 2], took[int(len(took) * 0.99)], took[-1],
        len(own.intersection(distinct)) / max(len(distinct), 1),
    )  # fmt: skip
