"""A second process without a process: all goes there and back in bytes."""

from __future__ import annotations

import msgspec

from core.opinion import Opinion, opine
from core.query import parse_topic
from core.second import Second
from core.sources import glance

GLANCE = glance("x")
assert GLANCE is not None


class Other(Second):
    """Judges `part` of a batch, or (`fails`) answers nothing. Notes what it was asked."""

    def __init__(self, part: float = 1.0, *, quoted: bool = False, fails: bool = False) -> None:
        self.part, self.quoted, self.fails = part, quoted, fails
        self.shared: list[tuple[str, int, int]] = []
        self.asked: list[list[bytes]] = []
        self.waits = False  # for its answer

    def share(self, topic, items, waiting):
        self.shared.append((topic, items, waiting))
        return int(items * self.part)

    def ask(self, topic, lines):
        assert not self.waits, "asked before it has answered"
        self.topic, self.waits = topic, True
        self.asked.append(lines)

    def answer(self):
        assert self.waits, "it was asked nothing"
        self.waits = False
        judged = [opine(raw, GLANCE, parse_topic(self.topic), quoted=self.quoted) for raw in self.asked[-1]]
        return (
            [] if self.fails else msgspec.msgpack.decode(msgspec.msgpack.encode(judged), type=list[Opinion | None])
        )
