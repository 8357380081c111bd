"""What else does the price of a post depend on: how fast they come, and how many viewers are attached?

A capture without a screen follows small posts at a steady rate; each viewer is the attached dashboard on a
terminal that takes every byte. The processor time is the capture's own.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.contestants import ours
from bench.share import Share
from bench.stream import Load, Stream
from bench.terminal import Terminal

LOAD = Load("small", 0.1)
RATES = (100, 1_000, 5_000, 10_000)  # posts a second
VIEWERS = (0, 1, 4)
WATCHED = 5_000  # posts a second while viewers are counted
WARM_UP = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class Cost:
    """With this rate, or so many viewers: the share of a core, and microseconds of processor time a post."""

    at: int
    share: float
    per_post: float


def ask_rates(*, seconds: float) -> list[Cost]:
    """Without a viewer. Raises Wrong when the capture falls behind."""
    return [_cost(rate, rate, 0, seconds) for rate in RATES]


def ask_viewers(*, seconds: float) -> list[Cost]:
    """At one rate. Raises Wrong when the capture falls behind."""
    return [_cost(viewers, WATCHED, viewers, seconds) for viewers in VIEWERS]


def _cost(at: int, rate: float, viewers: int, seconds: float) -> Cost:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stream = stack.enter_context(Stream(LOAD, folder, rate=rate))
        program = ours(stream, folder)
        while not stream.has_begun():
            time.sleep(0.1)
        command = ["-m", "tui.cli", "attach", "--data-dir", str(folder / "data")]
        terminals = [stack.enter_context(Terminal(command)) for _ in range(viewers)]
        for terminal in terminals:
            terminal.until(b"LIVE")
        _watch(terminals, WARM_UP)
        with Share(program.process.pid, folder, rate) as cost:
            _watch(terminals, seconds)
        for terminal in terminals:
            assert terminal.process.poll() is None, terminal.seen[-2000:]
        program.stop()
    return Cost(at, cost.share, cost.per_post)


def _watch(terminals: list[Terminal], seconds: float) -> None:
    """Take what is shown for so long."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not terminals:
            time.sleep(left)
        for terminal in terminals:
            terminal.read(0.01)
