"""A capture without a screen: log lines on stderr for people or for a log shipper, the report on stdout if asked.

Loads neither Textual nor Rich. SIGINT, SIGTERM and SIGHUP end it cleanly, SIGUSR1 pauses, SIGUSR2 resumes; under
nohup, SIGHUP is ignored as was asked for. A log that nobody reads any more (a closed pipe) never ends a capture.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from msgspec.structs import asdict

from core.clock import iso
from core.plain import one_line
from core.settings import LogSettings
from core.snapshot import Level, SinkState, Snapshot
from core.units import room_words

if TYPE_CHECKING:
    from core.capture import Capture

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # they end a capture in order, with a screen too
NO_ROWS = sys.maxsize  # after that number: the log needs none
TICK = 0.2  # seconds between two looks at the capture


class Log:
    """Writes lines as text or as JSON objects. Never raises when nobody reads them."""

    def __init__(self, settings: LogSettings, out: TextIO | None = None) -> None:
        self._json = settings.format == "json"
        self._out = out or sys.stderr

    def line(self, at: float, level: Level, event: str, message: str, **fields: Any) -> None:
        """One line; `event` names its kind, `fields` are for machines."""
        if self._json:
            entry = {"time": iso(at), "level": level.value, "event": event, "message": message, **fields}
            text = json.dumps(entry)  # pure ASCII: a log is read in a terminal, and words come from outside
        else:
            text = f"{iso(at)} {level.value.upper():7} {one_line(message)}"
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):
            pass


class Followed(Protocol):
    """What the log needs of a capture, ours or another process's."""

    def snapshot(self, since: int) -> Snapshot:
        """The present moment."""

    def pause(self) -> None:
        """Close the stream."""

    def resume(self) -> None:
        """Open it again."""


def follow(viewer: Followed, log_settings: LogSettings) -> int:
    """Log what a capture of another process does, until a signal; that capture goes on. Returns the exit code."""
    asked = _listen()
    _watch(viewer, threading.Event(), Log(log_settings), log_settings.summary_every, asked, [], _Told())
    return 0


def _listen() -> SimpleQueue[int]:
    """From now on each signal that ends a capture is put in the queue, which bears one while it takes another."""
    asked: SimpleQueue[int] = SimpleQueue()
    for number in ENDING_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: asked.put(number))
    return asked


def listen_no_more() -> None:
    """The end has begun, and has its exit code: another signal has nothing to add."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def run(open_capture: Callable[[], Capture], log_settings: LogSettings, *, report: bool) -> int:
    """Open a capture and run it until it ends or a signal ends it; returns the exit code.

    Raises what opening raises. Signals are listened to before, so that one that comes early is not lost.
    """
    log = Log(log_settings)
    asked = _listen()
    commands: list[str] = []
    signal.signal(signal.SIGUSR1, lambda *_: commands.append("pause"))
    signal.signal(signal.SIGUSR2, lambda *_: commands.append("resume"))

    capture = open_capture()
    if asked.empty():
        capture.start()
    told = _Told()
    by = ""
    try:
        by = _watch(capture, capture.ended, log, log_settings.summary_every, asked, commands, told)
    finally:
        listen_no_more()
        capture.stop(f"stopped by {by}" if by else "stopped")
    snapshot = capture.snapshot(NO_ROWS)
    told.events_of(snapshot, log)
    _summary(log, snapshot, "end", f"stopped: {snapshot.stopped}; ")
    if report:
        write_report(capture.report(), log)
    return capture.error.exit_code if capture.error else 0


def write_report(report: dict[str, object], log: Log) -> None:
    """The final report on stdout; the log says so when nobody takes it."""
    try:
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
    except OSError as error:
        words = f"the report could not be written to stdout: {error.strerror}"
        log.line(time.time(), Level.ERROR, "report", words)


class _Told:
    """What the log has told already."""

    def __init__(self) -> None:
        self.event = 0
        self.state = ""

    def events_of(self, snapshot: Snapshot, log: Log) -> None:
        """Write the events that are new, and a change of the connection's state."""
        for event in snapshot.events:
            if event.seq > self.event:
                log.line(event.at, event.level, "event", event.text)
                self.event = event.seq
        health = snapshot.health[0]
        if health.state.value != self.state:
            self.state = health.state.value
            reason = f": {health.reason}" if health.reason else ""
            log.line(
                health.since, Level.INFO, "state", f"{health.source} is {self.state}{reason}", state=self.state
            )


def _watch(
    capture: Followed,
    ended: threading.Event,
    log: Log,
    every: float,
    asked: SimpleQueue[int],
    commands: list[str],
    told: _Told,
) -> str:
    """Tell what happens until the capture ends or a signal asks for it; returns that signal's name, or nothing."""
    next_summary = capture.snapshot(NO_ROWS).at + every
    while not ended.is_set():
        with suppress(Empty):
            return signal.Signals(asked.get(timeout=TICK)).name
        while commands:
            # A thread of its own: pausing may take a second, and the log goes on meanwhile.
            threading.Thread(target=getattr(capture, commands.pop(0)), daemon=True).start()
        snapshot = capture.snapshot(NO_ROWS)
        told.events_of(snapshot, log)
        if snapshot.at >= next_summary:
            _summary(log, snapshot, "summary")
            next_summary = snapshot.at + every
    return ""


def _summary(log: Log, snapshot: Snapshot, event: str, prefix: str = "") -> None:
    """One line with every number that matters."""
    run, rates, health = snapshot.run, snapshot.rates, snapshot.health[0]
    rate = "-" if rates.posts_per_s is None else f"{rates.posts_per_s:,.1f}/s"
    share = "-" if run.match_rate is None else f"{run.match_rate:.1%}"
    slowed = "" if health.slowed_since is None else f" (slowed down, {health.queue:,} lines wait)"
    stores = "".join(
        f", {sink.name} {sink.state.value}, {sink.behind:,} behind"
        for sink in snapshot.sinks
        if sink.behind or sink.state is not SinkState.OK
    )
    journal = snapshot.journal
    disk = f", disk: {room_words(journal)}" if journal.low else ""
    log.line(
        snapshot.at,
        Level.INFO,
        event,
        f"{prefix}{health.state.value}{slowed}, total {run.consumed:,}, matched {run.matched:,} ({share}), "
        f"unique {run.unique:,}, duplicate {run.duplicate:,}, pending {run.pending:,}, "
        f"quarantined {run.quarantined:,}, {rate}, gaps {snapshot.gap_count:,}{stores}{disk}",
        state=health.state.value,
        queue=health.queue,
        queue_fill=round(health.queue_fill, 3),
        run=asdict(run),
        life=asdict(snapshot.life),
        posts_per_s=rates.posts_per_s,
        gaps=snapshot.gap_count,
        reconnects=health.reconnects,
        sinks={sink.name: {"state": sink.state.value, "behind": sink.behind} for sink in snapshot.sinks},
        journal=asdict(journal),
    )
