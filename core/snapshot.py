"""Snapshot: one moment of a capture, frozen. It is all that any front end ever reads.

Front ends ask for it with `Capture.snapshot(since=SEQ)`, at a pace of their own; taking one costs microseconds
and never waits for ingest. Times are seconds since 1970 UTC; what is not known is None, never zero.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Literal

import msgspec

from core.counters import Counters
from core.health import Health
from core.post import Post


class Verdict(StrEnum):
    """What the capture did with a consumed post."""

    MATCHED = "matched"  # about the topic, and new here
    DUPLICATE = "duplicate"  # about the topic, already in the journal
    FILTERED = "filtered"  # not about the topic


class FeedRow(msgspec.Struct, eq=False, gc=False, omit_defaults=True):
    """One consumed post as the feed shows it. Never changes; `seq` rises by one with every one of this run.

    Instead of a post it may be given its line and how to read it, by a pure function: most rows of a fast stream
    are never looked at, and a post costs more than all the rest of a row.
    """

    seq: int
    _post: Post | None = msgspec.field(name="post")
    verdict: Verdict
    matched: tuple[str, ...]  # the topic terms that matched, as the user wrote them
    received_at: float
    backfilled: bool = False
    _raw: bytes = b""
    _read: Callable[[bytes], Post] | None = None

    @property
    def post(self) -> Post:
        """The post."""
        return self._post or self.read()

    def read(self) -> Post:
        """The post, read from its line if nobody has done so yet: then the row can go over the wire."""
        read, raw = self._read, self._raw
        if self._post is None and read is not None:  # of two threads that come here both may read, the same
            self._post = read(raw)
            self._read, self._raw = None, b""
        assert self._post is not None
        return self._post

    def but(
        self,
        *,
        seq: int | None = None,
        post: Post | None = None,
        verdict: Verdict | None = None,
        matched: tuple[str, ...] | None = None,
        backfilled: bool | None = None,
    ) -> FeedRow:
        """The same row, but for what is given."""
        raw, read = (self._raw, self._read) if post is None else (b"", None)
        return FeedRow(
            self.seq if seq is None else seq,
            self._post if post is None else post,
            self.verdict if verdict is None else verdict,
            self.matched if matched is None else matched,
            self.received_at,
            self.backfilled if backfilled is None else backfilled,
            raw,
            read,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeedRow) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((self.seq, self.received_at))

    def __repr__(self) -> str:
        return f"FeedRow{self._fields()!r}"

    def _fields(self) -> tuple[object, ...]:
        return self.seq, self.post, self.verdict, self.matched, self.received_at, self.backfilled


class SinkState(StrEnum):
    """Where a sink is."""

    STARTING = "starting"  # not reached yet
    OK = "ok"  # writes are taken
    DOWN = "down"  # retried by itself; the journal holds what waits
    REFUSED = "refused"  # no retry mends it; the words say what to do


class SinkStatus(msgspec.Struct, frozen=True):
    """One sink. `stored` and `duplicate` count its whole life; `of_record` marks the store of record."""

    name: str  # "mongodb"
    target: str  # where to, without secrets: "localhost:27017/bieber_tui.posts"
    of_record: bool
    state: SinkState = SinkState.STARTING
    since: float = 0.0
    behind: int = 0  # rows of the journal that the sink has not yet
    stored: int = 0
    duplicate: int = 0
    rate: float = 0.0  # rows settled per second, over the last 10 s
    write_ms: float | None = None  # the slowest of the last 100 writes, milliseconds
    error: str = ""  # the last error while it lasts, in words
    retry_at: float | None = None


Filled = Literal["no", "partly", "yes"]


class JournalStatus(msgspec.Struct, frozen=True):
    """The journal and its disk. Sizes are bytes; what is not known yet is None."""

    size: int | None = None  # of the journal's pages in use
    free: int | None = None  # on its disk
    low: bool = False  # less is free than journal.min_free
    seconds_left: float | None = None  # until the disk is full at the present rate
    blocked: str = ""  # why it takes nothing just now, in words; what was read is kept in memory meanwhile
    advice: str = ""  # what to do about that


class Gap(msgspec.Struct, frozen=True):
    """A span in which the source may have produced posts that we did not receive. `end` None: still open."""

    source: str
    start: float
    end: float | None
    reason: str
    filled: Filled = "no"
    fetched: int = 0  # posts that the fill brought
    why: str = ""  # why it is filled as it is, in words; empty while nothing is to be said
    number: int = 0  # of the gap in its journal
    chosen: bool = False  # the user closed the connection: a pause
    keywords: str = ""  # that were in force; empty when they were not noted
    last_id: str = ""  # the newest post known before it
    first_id: str = ""  # the first one seen well after it
    reached: str = ""  # where its fill goes on, in the source's words


class Filling(msgspec.Struct, frozen=True):
    """The gap that is being filled at this moment, and how that goes, in words."""

    gap: int
    words: str


class Level(StrEnum):
    """How loud an event is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Event(msgspec.Struct, frozen=True):
    """Something that happened, in words. `seq` rises by one with every event of this run."""

    seq: int
    at: float
    level: Level
    text: str


class Series(msgspec.Struct, frozen=True):
    """Counts per step of time, oldest first; the last value is the step that is not over yet.

    `consumed[i]` and `matched[i]` are posts in the `step` seconds that begin at `start + i * step`.
    """

    step: float
    start: float
    consumed: tuple[int, ...] = ()
    matched: tuple[int, ...] = ()


class Rates(msgspec.Struct, frozen=True):
    """Speed of this run. The rates are over the last full 10 s; None before the first post."""

    posts_per_s: float | None = None
    match_rate: float | None = None  # 0 to 1
    peak_per_s: int = 0
    peak_at: float | None = None
    seconds: Series = Series(step=1.0, start=0.0)  # the last 5 minutes
    minutes: Series = Series(step=60.0, start=0.0)  # the last 60 minutes, of earlier runs too
    day: Series = Series(step=360.0, start=0.0)  # the last 24 hours, of earlier runs too
    spikes: tuple[float, ...] = ()  # when they began, oldest first


class Top(msgspec.Struct, frozen=True):
    """The commonest names of one kind with the number of posts that have each, the commonest first."""

    kind: str  # "tags", "authors", "links", "languages", "words"
    names: tuple[tuple[str, int], ...] = ()
    exact: bool = True  # False: there were too many names, and rare ones were let go


class Window(msgspec.Struct, frozen=True):
    """The matched posts of a window that began at `start` and moves on by `slide` seconds."""

    start: float = 0.0
    length: float = 3600.0
    slide: float = 300.0
    posts: int = 0
    tops: tuple[Top, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """One moment of a capture."""

    at: float
    started_at: float  # when this run began
    keywords: str
    topic: str
    demo: bool
    paused: bool
    data_dir: str
    run: Counters
    life: Counters
    per_source: dict[str, Counters]  # this run, by source
    health: tuple[Health, ...]  # one a source
    sinks: tuple[SinkStatus, ...]
    gaps: tuple[Gap, ...]  # of the life, oldest first; at most the last 1,000
    gap_count: int  # of the life
    events: tuple[Event, ...]  # of this run, oldest first; at most the last 500
    rates: Rates
    rows: tuple[FeedRow, ...]  # consumed posts with seq > the `since` that was asked for, oldest first
    last_seq: int  # of the newest consumed post of this run; 0 before the first
    window: Window = Window()
    stopped: str = ""  # why the capture ended; empty while it runs
    advice: str = ""  # what to do about that, when an error has ended it
    journal: JournalStatus = JournalStatus()
    view: str = ""  # "attached", "read-only", "replay 10×": how one looks, if not at a capture of one's own
    epoch: int = 0  # rises when the feed begins anew: a replay went back
    filling: Filling | None = None  # the gap that is being filled now
