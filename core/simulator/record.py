"""What the simulator did, exactly: every line that it put on a stream, every connection, every other request.

Tests compare stored posts against these records, so a record says no more than is known: `whole` means that
the last byte of the line was handed to the kernel of a connection that was still up.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from core.simulator.prepared import Order

SentKind = Literal[
    "post",  # a post for the first time
    "edit",  # a later version of a post, for the first time
    "duplicate",  # a post that was put on the stream before
    "backfill",  # a post sent again because the client asked for backfill
    "pushed",  # a line that a test pushed
    "malformed",  # a line that is no post
    "error",  # one of X's error objects
    "keep_alive",
    "lost",  # produced, and never put on any connection: raw is empty, connection is 0 or the one that dropped it
]


@dataclass(frozen=True, slots=True)
class SentRecord:
    """One line. `raw` is what was handed over, without chunk framing or compression, line end included."""

    at: float
    connection: int
    kind: SentKind
    post: str
    matches_topic: bool | None
    whole: bool
    raw: bytes

    def to_json(self) -> str:
        """The record as one line of the log; `raw_base64` stands for `raw` when it is no valid UTF-8."""
        values: dict[str, object] = {
            "at": round(self.at, 6), "connection": self.connection, "kind": self.kind, "post": self.post,
            "matches_topic": self.matches_topic, "whole": self.whole,
        }  # fmt: skip
        try:
            values["raw"] = self.raw.decode()
        except UnicodeDecodeError:
            values["raw_base64"] = base64.b64encode(self.raw).decode()
        return json.dumps(values, ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class SentRun:
    """The deliveries `first` to `last` of prepared posts, which `Simulator.order` tells one by one.

    Unless `whole`, any of them may have been handed over, or none. `kind` "lost-run": produced for no connection.
    """

    at: float
    connection: int
    kind: Literal["run", "lost-run"]
    first: int
    last: int
    whole: bool

    def to_json(self) -> str:
        """The record as one line of the log."""
        return json.dumps(asdict(self) | {"at": round(self.at, 6)})


@dataclass(slots=True)
class ConnectionRecord:
    """One request for the stream, answered with `status` (0: with nothing)."""

    number: int
    params: dict[str, str]
    headers: dict[str, str]
    status: int = 0
    ended: str = ""  # how, in words; empty while it is up


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request for anything but the stream."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    posts: tuple[str, ...] = ()  # ids of those that a search gave, in its order


@dataclass(slots=True)
class Recorder:
    """Keeps the records, and writes the log line by line, flushed, so that a killed run can be compared too."""

    log: Path | None = None
    remember: bool = True
    sent: list[SentRecord] = field(default_factory=list)
    runs: list[SentRun] = field(default_factory=list)
    connections: list[ConnectionRecord] = field(default_factory=list)
    requests: list[RequestRecord] = field(default_factory=list)
    _file: TextIO | None = None

    def open(self) -> None:
        """Open the log; raises OSError when it cannot be written."""
        if self.log is not None:
            self._file = self.log.open("w", encoding="ascii")

    def close(self) -> None:
        """Close the log."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def note(self, record: SentRecord) -> None:
        """One line was sent, cut or lost."""
        if self.remember:
            self.sent.append(record)
        self._write(record.to_json)

    def run(self, record: SentRun) -> None:
        """Many lines were sent, cut or lost."""
        if self.remember:
            self.runs.append(record)
        self._write(record.to_json)

    def order(self, order: Order) -> None:
        """What the numbers of the runs to come mean."""
        self._write(lambda: json.dumps({"kind": "order"} | asdict(order)))

    def _write(self, line: Callable[[], str]) -> None:
        if self._file is not None:
            self._file.write(line() + "\n")
            self._file.flush()

    def request(self, record: RequestRecord) -> None:
        """A request was answered."""
        if self.remember:
            self.requests.append(record)

    def connection(self, record: ConnectionRecord) -> None:
        """The stream was asked for."""
        if self.remember:
            self.connections.append(record)
