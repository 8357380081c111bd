"""A delivery in a test's hand: a sink in memory, and what was told of it."""

from __future__ import annotations

import threading
import time

from core.clock import SystemClock
from core.delivery import Delivery
from core.events import EventLog
from core.journal import Batch, Entry, Settled
from core.post import Post
from core.sinks.base import Outcome, StoredRow
from tests.conftest import PATIENCE


class ListSink:
    """A sink in memory that fails when it is told to; `taken` is what it durably has.

    `faults` are for its next calls, None for one that works; `calls` are those that it got, a write with its rows.
    """

    name = "list"
    target = "memory"

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.faults: list[Exception | None] = []  # raised by the next calls, the write having happened or not
        self.calls: list[str | list[int]] = []
        self.rows: list[StoredRow] = []
        self.lost_answer = False
        self.closed = threading.Event()

    def fail(self) -> None:
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault

    def open(self) -> None:
        self.calls.append("open")
        self.fail()

    def prepare(self, rows):
        return rows

    def write(self, rows):
        self.calls.append([row.seq for row in rows])
        self.rows += rows
        if not self.lost_answer:
            self.fail()
        outcomes = []
        for row in rows:
            mine = self.taken.setdefault(row.post.key, row.seq) == row.seq
            outcomes.append(Outcome.STORED if mine else Outcome.DUPLICATE)
        if self.lost_answer:
            self.fail()
        return outcomes

    def close(self) -> None:
        self.closed.set()


def fill(journal, session, *ids):
    entries = [Entry(id_, 1.0, 1, (), backfilled=False, raw=id_.encode()) for id_ in ids]
    journal.commit(Batch("x", len(ids), len(ids), entries), session)


def decode(source, raw):
    return Post(source=source, id=raw.decode(), text="")


class Desk:
    """A delivery with what it told."""

    def __init__(self, journal, sink, of_record=True, clock=None, **more):
        self.run = Settled()
        self.earlier = Settled()
        self.refused: list[Exception] = []
        clock = clock or SystemClock()
        self.events = EventLog(clock)
        self.delivery = Delivery(
            sink,
            journal,
            on_settled=self.settled if of_record else None,
            on_refused=self.refused.append,
            events=self.events,
            clock=clock,
            batch_size=2,
            **{"limit": journal.last_seq, "decode": decode, **more},
        )

    def settled(self, run, earlier):
        self.run += run.get("x", Settled())
        self.earlier += earlier.get("x", Settled())

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            if not self.delivery._thread.is_alive():
                assert condition(), "its thread has ended"
            time.sleep(0.01)

    def stop(self):
        self.delivery.stop(time.monotonic() + 5)

    def deliver(self):
        """All that waits, and no more."""
        self.delivery.start()
        self.delivery.stop(time.monotonic() + PATIENCE)
        assert not self.delivery._thread.is_alive()

    def told(self):
        return [(event.level, event.text) for event in self.events.recent()]
