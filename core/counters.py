"""Counters: what was counted, in words that mean one thing (see docs/pipeline.md).

At every moment, for this run and for the capture's whole life:
    delivered = consumed + quarantined
    consumed  = matched + filtered_out
    matched   = unique + duplicate + pending

`forgotten` stands beside them: posts that were unique and were removed again because somebody asked for it. The
store of record holds `unique - forgotten` posts of this capture.
"""

from __future__ import annotations

from operator import add

import msgspec
from msgspec.structs import astuple


class Counters(msgspec.Struct, frozen=True):
    """The numbers of the final report, in posts."""

    delivered: int = 0
    consumed: int = 0
    quarantined: int = 0
    matched: int = 0
    filtered_out: int = 0
    unique: int = 0
    duplicate: int = 0
    pending: int = 0
    forgotten: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(*map(add, astuple(self), astuple(other)))

    @property
    def match_rate(self) -> float | None:
        """Matched posts per consumed post, 0 to 1; None while nothing was consumed."""
        return self.matched / self.consumed if self.consumed else None

    def imbalance(self) -> str:
        """The first of the three equations that does not hold, in words; empty when all hold."""
        if self.delivered != self.consumed + self.quarantined:
            return f"delivered {self.delivered} != consumed {self.consumed} + quarantined {self.quarantined}"
        if self.consumed != self.matched + self.filtered_out:
            return f"consumed {self.consumed} != matched {self.matched} + filtered_out {self.filtered_out}"
        if self.matched != self.unique + self.duplicate + self.pending:
            return (
                f"matched {self.matched} != unique {self.unique} + duplicate {self.duplicate}"
                f" + pending {self.pending}"
            )
        return ""
