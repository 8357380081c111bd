"""What does the dashboard cost beside a capture without one? How long does a key take to be seen, and for how long
does the event loop stand still?

The same stream at 10,000 posts a second, without a screen and on a terminal that takes every byte, in turn.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

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


def ask(*, seconds: float, repetitions: int) -> Screen:
    """Run both in turn, each for so long in all; shares are medians. Raises Wrong when one does not keep up."""
    part = seconds / repetitions
    without, dashboard, keys, late = [], [], [], []
    for _ in range(repetitions):
        without.append(_without(part))
        share, pressed, beats = _dashboard(part)
        dashboard.append(share)
        keys += pressed
        late += beats
    if len(late) < seconds * 100:
        raise Wrong(f"only {len(late)} beats of the event loop in {seconds:g} s")
    keys.sort()
    late.sort()
    return Screen(
        median(without), median(dashboard), len(keys), keys[len(keys) // 2], keys[int(len(keys) * 0.99)],
        late[int(len(late) * 0.99)], late[-1],
    )  # fmt: skip


def _without(seconds: float) -> float:
    """The share of a core of a capture without a screen."""
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=RATE) as stream:
        program = ours(stream, Path(name))
        while not stream.has_begun():
            time.sleep(0.1)
        time.sleep(WARM_UP)
        with Share(program.process.pid, Path(name), RATE) as share:
            time.sleep(seconds)
        program.stop()
    return share.share


def _dashboard(seconds: float) -> tuple[float, list[float], list[float]]:
    """The share of one with it; milliseconds from each key to its paint, and by which each beat was late."""
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=RATE) as stream:
        beats = Path(name) / "beats.json"
        with Terminal(["-m", "bench.stall", str(beats), *where(stream, Path(name))]) as terminal:
            terminal.until(b"LIVE")
            terminal.watch(WARM_UP)
            with Share(terminal.process.pid, Path(name), RATE) as share:
                terminal.watch(seconds)
            terminal.process.send_signal(signal.SIGUSR1)  # only now: to beat takes processor time
            keys = [_key_to_paint(terminal) for _ in range(int(seconds / PAUSE / 2))]
            terminal.process.send_signal(signal.SIGUSR1)
            terminal.watch(PAUSE)
        return share.share, keys, json.loads(beats.read_text())


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
