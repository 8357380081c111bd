"""How many posts a second go over the whole path, and how many over others'?

The same endless stream for each, read until so many posts are durable: over HTTP, decoded, matched, made unique
and committed with counters and cursor. Repetitions are interleaved: a busy moment of the machine meets all.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.contestants import ALL, LIMIT_ALL, OURS, SEED, TWARC, Contestant, Run, measure
from bench.stream import LOADS, Load, Stream

# Processor time of the other over ours, at least: about half of what is reached, so that a noisy machine cannot
# break it and a lost factor of two can. Ratios of one run, on small posts of which 10 % match.
GUARD = ((OURS, SEED, 7.0), (OURS, TWARC, 1.4), (OURS, LIMIT_ALL, 0.25))

# Matches change nothing for these two: they keep every line.
KEEPS_ALL = {"twarc2", "limit, all rows"}


@dataclass(frozen=True, slots=True)
class Cell:
    """All repetitions of one contestant over one kind of stream."""

    load: Load
    who: Contestant
    runs: tuple[Run, ...]

    @property
    def rate(self) -> float:
        """Posts a second, the median."""
        return statistics.median(run.rate for run in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest repetition, in posts a second."""
        return min(run.rate for run in self.runs), max(run.rate for run in self.runs)

    @property
    def cpu(self) -> float:
        """Processor time in microseconds a post, the median."""
        return statistics.median(run.cpu / run.posts for run in self.runs) * 1e6


def ask(mongodb: str, *, scale: float, repetitions: int, say: Callable[[str], None]) -> list[Cell]:
    """Measure everyone over every kind of stream. `mongodb` is a server's address; `scale` makes runs shorter."""
    runs: dict[tuple[Load, Contestant], list[Run]] = {}
    databases = (f"{mongodb}/bench_{number}" for number in count())  # an empty one for each run
    for _ in range(repetitions):
        for load in LOADS:
            for who in ALL:
                if who.name in KEEPS_ALL and load.match != LOADS[0].match:
                    continue
                run = _once(load, who, next(databases), scale)
                runs.setdefault((load, who), []).append(run)
                cpu = run.cpu / run.posts * 1e6
                say(f"{load}: {who.name}: {run.rate:,.0f} posts/s, {cpu:.1f} µs of processor time a post")
    return [Cell(load, who, tuple(found)) for (load, who), found in runs.items()]


def _once(load: Load, who: Contestant, mongodb: str, scale: float) -> Run:
    with tempfile.TemporaryDirectory() as name, Stream(load, Path(name)) as stream:
        return measure(who, stream, Path(name), mongodb, scale)


def ratio(cells: Sequence[Cell], load: Load, ours: Contestant, other: Contestant, *, cpu: bool = False) -> float:
    """How many times as fast `ours` is; or, by `cpu`, how many times as little processor time it takes."""
    base = next(cell for cell in cells if cell.load == load and cell.who == ours)
    against = next(
        cell for cell in cells if cell.who == other and cell.load.payload == load.payload
        and (cell.load == load or other.name in KEEPS_ALL)
    )  # fmt: skip
    return against.cpu / base.cpu if cpu else base.rate / against.rate


def broken(cells: Sequence[Cell]) -> list[str]:
    """What the guard has to say, in words; nothing when all is well."""
    return [
        f"{ours.name} takes 1/{found:.2f} of the processor time of {other.name}; it should be 1/{least:g} at most"
        for ours, other, least in GUARD
        if (found := ratio(cells, LOADS[0], ours, other, cpu=True)) < least
    ]
