"""Where does the time of a post go? Each step of its way alone, over the same bytes, in this process.

The bytes are those of a real answer of the simulator. A step is called as the capture calls it, for all posts, and
the best of some rounds counts: processor time, so that what else the machine does changes little. The steps do not
add up to the whole path: the kernel's part, the change of threads and the collector are missing here.
"""

from __future__ import annotations

import gc
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from bench.contestants import Wrong
from bench.stream import LOADS, TOKEN, Load, Stream
from core.bounds import Bounds
from core.clock import SystemClock
from core.connection import Connection, Line
from core.draft import Draft, Drafter
from core.events import EventLog
from core.journal import Journal, Tombstones
from core.lines import LineQueue
from core.privacy import Privacy
from core.query import parse_topic
from core.settings import Settings
from core.sources import decoder, glance, people
from core.sources.x.body import LineBody
from core.sources.x.deletes import surely_a_post
from core.sources.x.transport import READ_SIZE
from core.utf8 import lowered
from core.windows import Windows

T = TypeVar("T")

POSTS = {"small": 30_000, "full": 6_000}
ROUNDS = 3
BATCH = 1000
TERMS = (1, 10, 100, 1000)
TOPIC = Settings().topic


@dataclass(frozen=True, slots=True)
class Stage:
    """One step, in microseconds of processor time a post."""

    load: Load
    name: str
    cpu: float


def ask(*, quick: bool) -> list[Stage]:
    """Every step, over each kind of stream."""
    return [
        Stage(load, name, cpu)
        for load in LOADS
        for name, cpu in _stages(record(load, POSTS[load.payload] // (10 if quick else 1)))
    ]  # fmt: skip


def ask_terms(*, quick: bool) -> list[tuple[int, float]]:
    """Terms in the topic, and what judging a small post costs then: microseconds of processor time."""
    lines = _lines(record(LOADS[0], POSTS["small"] // (10 if quick else 1)))
    others = [f"word{number}" for number in range(max(TERMS) - 1)]
    return [
        (count, _best(lambda topic=topic: _each(id, _drafts(lines, topic, glances=True))) / len(lines) * 1e6)  # type: ignore[misc]
        for count in TERMS
        for topic in [" OR ".join(["music", *others[: count - 1]])]
    ]


def record(load: Load, posts: int) -> list[bytes]:
    """The body of the simulator's answer as the socket gave it, with at least so many posts."""
    with tempfile.TemporaryDirectory() as name, Stream(load, Path(name)) as stream:
        stream.define_rule()
        url = urlsplit(stream.url)
        with socket.create_connection((url.hostname, url.port)) as peer:
            asked = f"GET /2/tweets/search/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            peer.sendall(asked.encode())
            data = b""
            while b"\r\n\r\n" not in data:
                data += _some(peer)
            parts = [data.partition(b"\r\n\r\n")[2] + _some(peer)]
            left = 3 * posts  # a chunk has three line ends
            while left > 0:
                parts.append(_some(peer))
                left -= parts[-1].count(b"\n")
    return parts


def _some(peer: socket.socket) -> bytes:
    if not (data := peer.recv(READ_SIZE)):
        raise Wrong("the simulator closed the connection")
    return data


def _stages(parts: Sequence[bytes]) -> list[tuple[str, float]]:
    lines = _lines(parts)
    look = glance("x")
    assert look is not None
    words = [seen.words for line in lines if (seen := look(line)) is not None]
    topic = parse_topic(TOPIC)
    steps: list[tuple[str, Callable[[], object]]] = [
        ("take HTTP's chunks and the lines in them apart", lambda: _framed(parts)),
        ("errors and deletions of X?", lambda: _each(surely_a_post, lines)),
        ("through the queue to the writer", lambda: _queued(lines)),
        ("glance: read into structs, gather the words", lambda: _each(look, lines)),
        ("surely not about the topic?", lambda: _each(lambda told: topic.lacks(told, lowered(told)), words)),
        ("verdict: both, and decode and match the rest", lambda: _each(id, _drafts(lines, TOPIC, glances=True))),
        ("without a glance: decode and match all", lambda: _each(id, _drafts(lines, TOPIC, glances=False))),
    ]
    found = [(name, _best(step) / len(lines) * 1e6) for name, step in steps]
    commit, window = _committed(list(_drafts(lines, TOPIC, glances=True)))
    return [
        *found,
        ("insert and commit", commit / len(lines) * 1e6),
        ("count the matched ones in the window", window / len(lines) * 1e6),
    ]


def _each(function: Callable[[T], object], items: Iterable[T]) -> None:
    for item in items:
        function(item)


def _framed(parts: Sequence[bytes]) -> list[bytes]:
    body, lines = LineBody(), []
    for part in parts:
        body.feed(part)
        lines += body.take() or ()
    return lines


def _lines(parts: Sequence[bytes]) -> list[bytes]:
    return [line for line in _framed(parts) if line]


def _queued(lines: Sequence[bytes]) -> None:
    queue: LineQueue[object] = LineQueue()
    clock = SystemClock()
    connection = Connection("x", queue, EventLog(clock), clock)  # type: ignore[arg-type]
    for start in range(0, len(lines), BATCH):
        connection.deliver(lines[start : start + BATCH], 0.0)
        queue.take(BATCH, 0.0, 0.0)


def drafter(topic: str, *, glances: bool) -> Drafter:
    """As a capture without pseudonyms has it, with nobody to forget."""
    privacy = Privacy(
        "x", decoder("x"), people("x"), Tombstones(b"", frozenset()), None, glance("x") if glances else None
    )
    return Drafter(
        "x", privacy, parse_topic(topic), Bounds("", 0.0), wanted=lambda _: True, quoted=False, keep_all=False,
        most=None,
    )  # fmt: skip


def _drafts(lines: Sequence[bytes], topic: str, *, glances: bool) -> Iterator[Draft]:
    desk = drafter(topic, glances=glances)
    for start in range(0, len(lines), BATCH):
        yield desk.draft([Line(line, 0.0, False) for line in lines[start : start + BATCH]], start)


def _committed(drafts: Sequence[Draft]) -> tuple[float, float]:
    """Seconds of processor time for the journal, and for the window."""
    window = Windows(0.0)
    with tempfile.TemporaryDirectory() as name, Journal(Path(name)) as journal:
        session = journal.begin_session(0.0, "x")
        began = time.process_time()
        for draft in drafts:
            journal.commit(draft.batch, session)
        committed = time.process_time()
        for draft in drafts:
            window.add_all([(names, 0.0) for names in draft.names if names is not None])
    return committed - began, time.process_time() - committed


def _best(step: Callable[[], object]) -> float:
    """Seconds of processor time."""
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        began = time.process_time()
        step()
        best = min(best, time.process_time() - began)
    return best
