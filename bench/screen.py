"""What does the dashboard cost beside a capture without one? How long does a key take to be seen, and for how long
does the event loop stand still?

The same stream at 10,000 posts a second, once without a screen and once on a terminal that takes every byte.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import Wrong, cpu_seconds, ours, where
from bench.stream import Load, Stream
from bench.terminal import Terminal

LOAD = Load("small", 0.1)
RATE = 10_000.0
WARM_UP = 3.0  # seconds
PAUSE = 0.25  # seconds between two keys: a frame at least


@dataclass(frozen=True, slots=True)
class Screen:
    """Processor time as shares of a core, of a whole process; milliseconds from a key to what it brings about, and
    by which the event loop was late while keys were pressed."""

    without: float
    dashboard: float
    keys: int
    p50: float
    p99: float
    stall_p99: float
    stall_worst: float

    @property
    def added(self) -> float:
        """What the dashboard adds."""
        return self.dashboard - self.without


def ask(*, seconds: float) -> Screen:
    """Run each for so long. Raises Wrong when one does not keep up with the stream."""
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=RATE) as stream:
        program = ours(stream, Path(name))
        while not stream.has_begun():
            time.sleep(0.1)
        time.sleep(WARM_UP)
        with _Share(program.process.pid, Path(name)) as without:
            time.sleep(seconds)
        program.stop()
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=RATE) as stream:
        beats = Path(name) / "beats.json"
        with Terminal(["-m", "bench.stall", str(beats), *where(stream, Path(name))]) as terminal:
            terminal.until(b"LIVE")
            terminal.watch(WARM_UP)
            with _Share(terminal.process.pid, Path(name)) as dashboard:
                terminal.watch(seconds)
            terminal.process.send_signal(signal.SIGUSR1)  # only now: to beat takes processor time
            keys = sorted(_key_to_paint(terminal) for _ in range(int(seconds / PAUSE / 2)))
            terminal.process.send_signal(signal.SIGUSR1)
            terminal.watch(PAUSE)
        late = sorted(json.loads(beats.read_text()))
    if len(late) < seconds * 100:
        raise Wrong(f"only {len(late)} beats of the event loop in {seconds:g} s")
    return Screen(
        without.share, dashboard.share, len(keys), keys[len(keys) // 2], keys[int(len(keys) * 0.99)],
        late[int(len(late) * 0.99)], late[-1],
    )  # fmt: skip


def _key_to_paint(terminal: Terminal) -> float:
    """Milliseconds until the feed says that it is frozen; then it follows again."""
    began = time.monotonic()
    terminal.press(b" ")
    terminal.until(b"frozen")
    took = (time.monotonic() - began) * 1000
    terminal.watch(PAUSE)
    terminal.press(b" ")
    terminal.watch(PAUSE)
    return took


class _Share:
    """The share of a core that a process takes between entering and leaving. Raises Wrong when it falls behind."""

    share = 0.0

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._journal = folder / "data" / "journal.sqlite"

    def _now(self) -> tuple[float, float, float]:
        with closing(sqlite3.connect(f"file:{self._journal}?mode=ro", uri=True)) as db:
            consumed = db.execute("SELECT total(consumed) FROM counters").fetchone()[0]
        return time.monotonic(), cpu_seconds(self._pid), consumed

    def __enter__(self) -> _Share:
        self._before = self._now()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        took, spent, posts = (now - before for now, before in zip(self._now(), self._before, strict=True))
        self.share = spent / took
        if kind is None and posts < RATE * took * 0.9:
            raise Wrong(f"only {posts / took:,.0f} posts a second were read of {RATE:,.0f}")
