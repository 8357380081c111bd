"""What else does the price of a post depend on: how fast they come, how long they are, how many viewers watch?

A capture without a screen follows posts at a steady rate, small ones unless the question is their length; each
viewer is the attached dashboard on a terminal that takes every byte. The processor time is the capture's own.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import requests

from bench.contestants import ours
from bench.share import Share
from bench.stream import TOKEN, Load, Payload, Stream
from bench.terminal import Terminal
from core.sources.x.stream import FIELDS

LOAD = Load("small", 0.1)
RATES = (100, 1_000, 5_000, 10_000)  # posts a second
PAYLOADS: tuple[Payload, ...] = ("small", "rich", "full")
SIZED = 2_000  # posts a second while their length is what differs
LAP = 2_000  # posts that go round then, and that are measured
VIEWERS = (0, 1, 4)
WATCHED = 5_000  # posts a second while viewers are counted
WARM_UP = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class Cost:
    """With this rate, lines of so many bytes, or so many viewers: the share of a core, and µs of processor time a
    post.
    """

    at: int
    share: float
    per_post: float


def ask_rates(*, seconds: float) -> list[Cost]:
    """Without a viewer. Raises Wrong when the capture falls behind."""
    return [_cost(rate, rate, 0, seconds) for rate in RATES]


def ask_payloads(*, seconds: float) -> list[Cost]:
    """At one rate. Raises Wrong when the capture falls behind."""
    return [_cost_of(Load(payload, LOAD.match), seconds) for payload in PAYLOADS]


def ask_viewers(*, seconds: float) -> list[Cost]:
    """At one rate. Raises Wrong when the capture falls behind."""
    return [_cost(viewers, WATCHED, viewers, seconds) for viewers in VIEWERS]


def line_bytes(stream: Stream) -> int:
    """How long the lines are that a capture got from this stream, in the mean.

    Its rules are in force still, and we ask for the same fields: these are the same lines.
    """
    fields = {name.replace("_", "."): ",".join(names) for name, names in FIELDS.items()}
    url, headers = f"{stream.url}/2/tweets/search/stream", {"authorization": f"Bearer {TOKEN}"}
    with requests.get(url, params=fields, headers=headers, stream=True, timeout=30) as answer:
        answer.raise_for_status()
        lengths = [len(line) for line in islice(filter(None, answer.iter_lines(1 << 16)), LAP)]
    return round(sum(lengths) / len(lengths))


def _cost(at: int, rate: float, viewers: int, seconds: float) -> Cost:
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=rate) as stream:
        cost = _follow(stream, Path(name), rate, viewers, seconds)
    return Cost(at, cost.share, cost.per_post)


def _cost_of(load: Load, seconds: float) -> Cost:
    with tempfile.TemporaryDirectory() as name, Stream(load, Path(name), rate=SIZED, prepared=LAP) as stream:
        cost = _follow(stream, Path(name), SIZED, 0, seconds)
        return Cost(line_bytes(stream), cost.share, cost.per_post)


def _follow(stream: Stream, folder: Path, rate: float, viewers: int, seconds: float) -> Share:
    """Capture the stream into `folder` for so long."""
    with ExitStack() as stack:
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
    return cost


def _watch(terminals: list[Terminal], seconds: float) -> None:
    """Take what is shown for so long."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not terminals:
            time.sleep(left)
        for terminal in terminals:
            terminal.read(0.01)
