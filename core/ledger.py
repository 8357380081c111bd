"""The ledger: the counters of this run and of the capture's life, kept so that they add up at every moment.

Its figures are the journal's own (read at the start) plus what was committed and settled since. The store of
record decides what unique means: with a sink of record, the posts that it has acknowledged; without one, the
posts that were new to the journal. A post that the journal had already is a duplicate whoever keeps the record.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from core.counters import Counters
from core.journal import Settled, Tally


class Totals(msgspec.Struct, frozen=True):
    """One consistent reading."""

    run: Counters
    life: Counters
    per_source: dict[str, Counters]  # this run


class Ledger:
    """Written by the writer and the sink of record, read by anybody."""

    def __init__(
        self,
        tallies: Mapping[str, Tally],
        settled: Mapping[str, Settled] | None,
        forgotten: Mapping[str, int] | None = None,
    ) -> None:
        """`settled` is what the sink of record has answered for so far; None: the journal keeps the record.

        `forgotten` are the posts that were removed from the store of record so far.
        """
        self._lock = threading.Lock()
        self._before = dict(tallies)
        self._life = dict(tallies)
        self._of_record = settled is not None
        self._settled_life = dict(settled or {})
        self._settled_run: dict[str, Settled] = {}
        self._forgotten_before = dict(forgotten or {})
        self._forgotten_run: dict[str, int] = {}
        self.totals = self._read()

    def committed(self, source: str, added: Tally) -> None:
        """The journal has committed a batch."""
        with self._lock:
            self._life[source] = self._life.get(source, Tally()) + added
            self.totals = self._read()

    def settled(self, run: Mapping[str, Settled], earlier: Mapping[str, Settled]) -> None:
        """The sink of record has answered for rows of this run and for rows of earlier ones."""
        with self._lock:
            for source, counts in run.items():
                self._settled_run[source] = self._settled_run.get(source, Settled()) + counts
                self._settled_life[source] = self._settled_life.get(source, Settled()) + counts
            for source, counts in earlier.items():
                self._settled_life[source] = self._settled_life.get(source, Settled()) + counts
            self.totals = self._read()

    def forgotten(self, source: str, posts: int) -> None:
        """The store of record gives up posts that were unique, in this run; they may be of an earlier one."""
        with self._lock:
            self._forgotten_run[source] = self._forgotten_run.get(source, 0) + posts
            self.totals = self._read()

    @property
    def inserted(self) -> int:
        """Rows that the journal has ever taken."""
        return sum(tally.inserted for tally in self._life.values())

    def _read(self) -> Totals:
        per_source = {
            source: self._count(
                tally - self._before.get(source, Tally()),
                self._settled_run.get(source, Settled()),
                self._forgotten_run.get(source, 0),
            )
            for source, tally in self._life.items()
        }
        run, life = Counters(), Counters()
        for source, tally in self._life.items():
            run += per_source[source]
            forgotten = self._forgotten_before.get(source, 0) + self._forgotten_run.get(source, 0)
            life += self._count(tally, self._settled_life.get(source, Settled()), forgotten)
        return Totals(run, life, per_source)

    def _count(self, tally: Tally, settled: Settled, forgotten: int) -> Counters:
        counters = Counters(
            delivered=tally.delivered,
            consumed=tally.consumed,
            quarantined=tally.quarantined,
            matched=tally.matched,
            filtered_out=tally.consumed - tally.matched,
            unique=tally.inserted,
            duplicate=tally.repeated,
            forgotten=forgotten,
        )
        if not self._of_record:
            return counters
        return replace(
            counters,
            unique=settled.stored,
            duplicate=tally.repeated + settled.duplicate,
            pending=tally.inserted - settled.stored - settled.duplicate,
        )
