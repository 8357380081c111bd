"""The simulator's log of a long run, and what a journal must hold after it: a byte a post, whatever the number.

A log of prepared posts tells spans of deliveries (docs/simulator.md, "Fast streams"). Here they become, for every
post, how often it went out whole; comparing with a journal is then one walk through its rows.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.simulator.prepared import Order

_TIMES, _DOUBT = 0x0F, 0x80  # whole deliveries of a post; at least one more may have arrived
POSTS = ("post", "duplicate")
SAMPLE = 10  # posts of each kind of trouble that are named


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a journal holds against what was sent. Everything but `expected` and `stored` should be empty or zero."""

    expected: int  # posts about the topic that went out whole
    stored: int
    missing: int
    invented: int  # never sent, or not about the topic
    examples: tuple[str, ...]  # ids of the last two kinds

    @property
    def agrees(self) -> bool:
        """Whether the journal holds what was sent, and nothing else."""
        return not self.missing and not self.invented and self.expected == self.stored


class SpanLog:
    """A log that grows while it is read. `update` reads what is new."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rest = b""
        self.order: Order | None = None
        self.lines = 0  # post lines that went out whole
        self.topical = 0  # of those, about the topic
        self.malformed = 0
        self.posts = 0  # different posts that were put on a stream, in whatever way
        self.cut = 0  # post lines of which a part went out
        self._sent = bytearray()
        self._at, self._upto = array("d"), array("Q")  # when how many whole lines had gone out

    def update(self) -> None:
        """Read to the end of what is there."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def sent_at(self, lines: int) -> float:
        """When that many whole lines had gone out (seconds since 1970)."""
        return self._at[min(bisect_left(self._upto, lines), len(self._at) - 1)]

    def _take(self, record: dict[str, Any]) -> None:
        kind = record.pop("kind")
        if kind == "order":
            self.order = Order(**record)
        elif kind == "run":
            self._run(record["first"], record["last"], record["at"], whole=record["whole"])
        elif kind in POSTS:
            assert self.order is not None
            n = (int(record["post"]) - self.order.first_id) // self.order.stride
            self._post(n, whole=record["whole"])
            self._note(record["at"])
        elif kind == "malformed":
            self.malformed += 1
        elif kind not in ("keep_alive", "error"):
            raise ValueError(f"a soak knows no lines of the kind {kind!r}")

    def _run(self, first: int, last: int, at: float, *, whole: bool) -> None:
        assert self.order is not None
        for n in self.order.numbers(first, last):
            self._post(n, whole=whole)
        self._note(at)

    def _post(self, n: int, *, whole: bool) -> None:
        sent = self._sent
        while n >= len(sent):
            sent.extend(bytes(max(len(sent), 4096)))
        self.posts += not sent[n]
        if whole:
            sent[n] += 1
            self.lines += 1
            self.topical += self.order.topic(n)  # type: ignore[union-attr]
        else:
            sent[n] |= _DOUBT
            self.cut += 1

    def _note(self, at: float) -> None:
        self._at.append(at)
        self._upto.append(self.lines)

    def judge(self, journal: Path) -> Verdict:
        """Compare with the journal of a capture that has ended."""
        order = self.order
        assert order is not None
        seen = bytearray(len(self._sent))
        stored = invented = missing = expected = 0
        examples: list[str] = []
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
            for (text,) in db.execute("SELECT id FROM posts"):
                stored += 1
                n, rest = divmod(int(text) - order.first_id, order.stride)
                if rest or not 0 <= n < len(seen) or seen[n] or not self._sent[n] or not order.topic(n):
                    invented += 1
                    examples += [text] if invented <= SAMPLE else []
                else:
                    seen[n] = 1
        db.close()
        for n, sent in enumerate(self._sent):
            if sent & _TIMES and order.topic(n):
                expected += 1
                if not seen[n]:
                    missing += 1
                    examples += [str(order.id(n))] if missing <= SAMPLE else []
            elif seen[n] and not sent & _DOUBT:
                invented += 1
            elif seen[n]:
                stored -= 1  # one in doubt that did arrive
        return Verdict(expected, stored, missing, invented, tuple(examples))
