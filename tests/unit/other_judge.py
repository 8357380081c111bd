"""A second process without a process: all goes there and back in bytes."""

from __future__ import annotations

from collections import deque

import msgspec

from core.opinion import Answer, Judge, think
from core.query import parse_topic
from core.second import DEPTH, Second
from core.sources import glance

GLANCE = glance("x")
assert GLANCE is not None


class Other(Second):
    """Judges `part` of a batch, or (`fails`) answers nothing. Notes what it was asked."""

    def __init__(self, part: float = 1.0, *, quoted: bool = False, fails: bool = False) -> None:
        self.part, self.quoted, self.fails = part, quoted, fails
        self.shared: list[tuple[str, int, int]] = []
        self.asked: list[list[bytes]] = []
        self.waits: deque[tuple[str, list[bytes]]] = deque()  # for their answers

    def share(self, topic, items, waiting):
        self.shared.append((topic, items, waiting))
        return int(items * self.part)

    def ask(self, topic, lines):
        assert len(self.waits) < DEPTH, "asked more than it can hold"
        self.waits.append((topic, lines))
        self.asked.append(lines)

    def answer(self):
        assert self.waits, "it was asked nothing"
        topic, lines = self.waits.popleft()
        judged = think(Judge.by(parse_topic(topic), GLANCE, quoted=self.quoted), lines)
        return None if self.fails else msgspec.msgpack.decode(msgspec.msgpack.encode(judged), type=Answer)
