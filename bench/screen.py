"""What does the dashboard cost beside a capture without one? How long does a key take to be seen, and for how long
does the event loop stand still?

The same stream at 10,000 posts a second, once without a screen and once on a terminal that takes every byte.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import Wrong, ours, where
from bench.share import Share
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
        with Share(program.process.pid, Path(name), RATE) as without:
            time.sleep(seconds)
        program.stop()
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=RATE) as stream:
        beats = Path(name) / "beats.json"
        with Terminal(["-m", "bench.stall", str(beats), *where(stream, Path(name))]) as terminal:
            terminal.until(b"LIVE")
            terminal.watch(WARM_UP)
            with Share(terminal.process.pid, Path(name), RATE) as dashboard:
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
