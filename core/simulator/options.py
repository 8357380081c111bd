"""What the simulator can be told, in one place; every field is also a flag of `bieber-tui simulate`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.simulator.faults import Scheduled
from core.simulator.shape import Payload

BEARER_TOKEN = "simulator-bearer-token"  # noqa: S105 - a documented token of a loopback server, no secret
CONSUMER_KEY = "simulator-key"
EARLIEST = 1_550_000_000.0  # from here on every id has 19 digits, so that a line is as long whatever its id
CONSUMER_SECRET = "simulator-secret"  # noqa: S105 - as above


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """Shares are parts of one (0.05 is 5 %), times are seconds, rates are posts a second."""

    # What is delivered
    seed: int = 1
    rate: float = 50.0  # 0: as fast as the client reads
    posts: int | None = None  # stop after so many distinct posts; the connection stays open
    end: bool = False  # end the stream cleanly after the last of `posts`, once
    duplicates: float = 0.0  # share of the posts that are delivered a second time, a little later
    match: float = 0.3  # share of the posts that are about the topic `music OR #music`
    edits: float = 0.0  # share of the posts that are a later version (a new id) of an earlier one
    payload: Payload = "rich"  # small: 0.3 kB, full: 4.7 kB with includes, whatever fields are asked for
    prepared: int = 0  # posts made beforehand, which then go round: for 100,000 a second (prepared.py)
    chunk_lines: int = 1  # prepared posts in one chunk at most
    start_time: float | None = None  # moment (seconds since 1970) of the first post; None: the clock's time
    latency: float = 0.0  # how old a post is when it is delivered
    delivery_cap: float = 0.0  # posts a second at most, also when `rate` is 0; 0: none
    hold_while_disconnected: bool = True  # False: what is produced while nobody is connected is lost
    resend_cut: bool = False  # True: a post whose line was cut off is delivered again on the next connection

    # Who may connect, and how often
    tokens: tuple[str, ...] = (BEARER_TOKEN,)
    consumer_key: str = CONSUMER_KEY
    consumer_secret: str = CONSUMER_SECRET
    second_connection: Literal["kick", "refuse"] = "kick"
    ghost_seconds: float = 0.0  # how long a closed connection still holds its slot
    connect_budget: int = 50  # connects in one window
    connect_window: float = 900.0
    backfill_access: bool = False

    # How the connection behaves
    keep_alive: float = 20.0
    gzip: bool = False  # compress when the client offers it
    slow_reader_buffer: int = 5000  # posts kept for a client that does not read; then it is dropped
    untagged_rule: Literal["absent", "empty", "null"] = "absent"

    # The other endpoints
    rule_delay: float = 0.0  # until a changed rule is applied; X takes up to 20
    rule_cap: int = 1000
    rule_length: int = 1024
    search_lag: float = 0.0  # until a post is found by search; X takes about 30
    usage_as_strings: bool = False

    # The server
    port: int = 0  # 0: a free one
    log: Path | None = None  # NDJSON of exactly what was sent
    remember: bool = True  # keep what was sent in memory, for tests; off for long runs
    faults: tuple[Scheduled | str, ...] = ()
    ssl_context: ssl.SSLContext | None = None  # serve TLS, trusted by the client or not

    def __post_init__(self) -> None:
        """Raises ValueError for prepared posts that cannot be."""
        if self.prepared % 100 or self.prepared < 0:
            raise ValueError(f"{self.prepared} posts cannot be prepared: shares are of a hundred, give a multiple")
        if self.prepared and self.edits:
            raise ValueError("prepared posts have no edits but those that a fault brings")
        if self.prepared and self.start_time is not None and self.start_time < EARLIEST:
            raise ValueError("prepared posts need a start time after 2018: ids were shorter before")
