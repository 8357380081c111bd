"""Spikes: when a stream suddenly speaks several times as much as usual.

Usual is the median of the ten-second blocks of the last five minutes. A spike begins with a block of five times
that, and of two posts a second more at least, so that a quiet stream's first posts are none; it ends with a block
of less than twice and a half. Fed by the writer thread with what the rates hold anyway.
"""

from __future__ import annotations

from collections import deque

from core.snapshot import Series

BLOCK = 10  # seconds
BEGINS, ENDS = 5.0, 2.5  # times the usual
AT_LEAST = 2.0  # posts a second above the usual
BLOCKS_NEEDED = 6  # before that, nothing is usual
KEPT = 100


class Spikes:
    """The spikes of a run."""

    def __init__(self) -> None:
        self.starts: tuple[float, ...] = ()  # of the last ones, oldest first
        self._starts: deque[float] = deque(maxlen=KEPT)
        self._blocks: deque[float] = deque(maxlen=300 // BLOCK)  # posts a second
        self._next: float | None = None  # end of the block that is not over yet
        self._usual = 0.0
        self._peak = 0.0

    @property
    def going_on(self) -> bool:
        """Whether there is a spike now."""
        return self._peak > 0

    def look(self, seconds: Series, now: float) -> str:
        """Look at the blocks that ended by now; returns what is to be told, if anything."""
        if self._next is None:
            self._next = now // BLOCK * BLOCK + BLOCK
        told = ""
        while self._next <= now - 1:  # what came in the block's last second is counted by now
            first = int(self._next - BLOCK - seconds.start)
            block = seconds.consumed[max(first, 0) : max(first + BLOCK, 0)]
            told = self._judge(self._next - BLOCK, sum(block) / BLOCK) or told
            self._next += BLOCK
            if now - self._next > 300:  # asleep meanwhile
                self._next = now // BLOCK * BLOCK
        return told

    def _judge(self, start: float, speed: float) -> str:
        if self.going_on:
            if speed >= ENDS * self._usual:
                self._peak = max(self._peak, speed)
                return ""
            peak, self._peak = self._peak, 0.0
            self._blocks.append(speed)
            lasted = start - self._starts[-1]
            return f"the spike is over after {lasted:.0f} s: up to {peak:,.0f} posts/s"
        if len(self._blocks) >= BLOCKS_NEEDED:
            from statistics import median  # noqa: PLC0415 - not needed until a minute has passed

            usual = median(self._blocks)
            if speed >= BEGINS * usual and speed >= usual + AT_LEAST:
                self._usual, self._peak = usual, speed
                self._starts.append(start)
                self.starts = tuple(self._starts)
                times = f", {speed / usual:.0f}× the usual" if usual else "; before, there was nothing"
                return f"spike: {speed:,.0f} posts/s{times}"
        self._blocks.append(speed)
        return ""
