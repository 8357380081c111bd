"""The state of a connection to a source, in words a user would recognise."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class SourceState(StrEnum):
    """Where a source is. LIVE and QUIET are connected; every other state means that posts may be missed."""

    STARTING = "starting"  # not connected yet in this run
    CONNECTING = "connecting"  # asking for a connection
    LIVE = "live"  # connected, bytes arrive
    QUIET = "quiet"  # connected, keep-alives arrive, no posts for a while
    STALLED = "stalled"  # connected, but silent for longer than the source allows
    WAITING = "waiting"  # backing off before the next connection
    PAUSED = "paused"  # closed by the user
    BLOCKED = "blocked"  # closed by us: the journal takes nothing just now
    STOPPED = "stopped"  # ended: by the user, or for good by the source

    @property
    def connected(self) -> bool:
        """Whether posts arrive in this state, if there are any."""
        return self in (SourceState.LIVE, SourceState.QUIET)


class RateLimit(msgspec.Struct, frozen=True):
    """A source's own window for connects: `remaining` of `limit` until `reset_at` (seconds since 1970)."""

    limit: int
    remaining: int
    reset_at: float


class Stretch(msgspec.Struct, frozen=True):
    """A span in one state, from `since` to the beginning of the next stretch; the last one goes on."""

    since: float
    state: SourceState
    slowed: bool = False  # the reader had to wait for the writer
    reason: str = ""


class Health(msgspec.Struct, frozen=True):
    """One source's connection as front ends show it. Times are seconds since 1970; None: not known yet."""

    source: str
    state: SourceState = SourceState.STARTING
    since: float = 0.0  # when this state was entered
    reason: str = ""  # why, in words: "X 503 Service Unavailable"
    wait_until: float | None = None  # end of the current back-off
    last_byte_at: float | None = None
    last_post_at: float | None = None
    connects: int = 0  # connections asked for in this run
    reconnects: int = 0  # connections made in this run after the first one
    rate_limit: RateLimit | None = None
    lag: float | None = None  # seconds from a post's creation to its arrival, of the newest posts
    queue: int = 0  # lines read and not yet decoded
    queue_limit: int = 0  # the reader waits when the queue is this long
    queue_fill: float = 0.0  # 0 to 1, by number or by bytes, whichever is nearer to its limit
    slowed_since: float | None = None  # posts come faster than they are written: the reader waits for the writer
    past: tuple[Stretch, ...] = ()  # of the last hour of this run, oldest first, the present one included
