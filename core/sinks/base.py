"""The contract that every sink keeps. A new sink is one file here and one line in the registry.

A sink is handed batches in the journal's order and answers for each row. It may be handed a row again (after
a crash, or when a write was taken but not answered): it must then neither store it twice nor count its own
earlier write as somebody else's. It never retries by itself: it raises Unavailable, and the delivery thread waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec

from core.post import Post


class StoredRow(msgspec.Struct, frozen=True):
    """One row of the journal on its way to a sink. `seq` is the row's number in the journal of `capture`."""

    capture: str  # the id of the capture that owns the journal
    seq: int
    post: Post
    matched: tuple[str, ...]
    received_at: float  # seconds since 1970
    backfilled: bool
    raw: bytes


class Outcome(Enum):
    """What became of a row."""

    STORED = "stored"  # by this write, or by an earlier one of this capture
    DUPLICATE = "duplicate"  # somebody else had stored that post before


class Sink(Protocol):
    """A store that posts are delivered to."""

    name: str  # the kind: "mongodb"
    target: str  # where to, without secrets; also the name of the durable cursor

    def open(self) -> None:
        """Connect and create what is missing. May be called again after Unavailable.

        Raises Unavailable (try again) or StoreRefused (no retry helps).
        """

    def prepare(self, rows: Sequence[StoredRow]) -> Any:
        """The rows as `write` takes them. Pure, and asks the store nothing: the next rows while a write waits."""

    def write(self, prepared: Any) -> list[Outcome]:
        """Store the rows durably that were prepared; one outcome per row, in order.

        Raises Unavailable or StoreRefused; then some of the rows may have been stored all the same.
        """

    def holds(self, source: str, authors: Sequence[str], posts: Sequence[str]) -> list[tuple[str, str]]:
        """The stored posts of these authors, these posts themselves, their later versions and their retweets.

        Ids of one source; whoever stored them. Returns (id of the post, id of the capture that stored it).
        Raises Unavailable or StoreRefused.
        """

    def forget(self, posts: Sequence[str], lines: Sequence[str]) -> None:
        """Remove posts durably, and of the posts `lines` only the raw line, if it is stored.

        Both are keys, `<source>:<id>`. What is not there is no error.
        Raises Unavailable or StoreRefused; then some may be gone all the same.
        """

    def close(self) -> None:
        """Let go of the connection. Never raises."""
