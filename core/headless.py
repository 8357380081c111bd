"""A capture without a screen: log lines on stderr for people or for a log shipper, the report on stdout if asked.

Loads neither Textual nor Rich. SIGINT, SIGTERM and SIGHUP end it cleanly, SIGUSR1 pauses, SIGUSR2 resumes. A log
that nobody reads any more (a closed pipe) never ends a capture.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import asdict
from typing import Any, TextIO

from core.capture import Capture
from core.clock import iso
from core.settings import LogSettings
from core.snapshot import Level, SinkState, Snapshot
from core.visible import visible

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
            text = f"{iso(at)} {level.value.upper():7} {visible(message)}"
        try:
            self._out.write(text + "\n")
            self._out.flush()
        except (OSError, ValueError):
            pass


def run(capture: Capture, log_settings: LogSettings, *, report: bool, out: TextIO | None = None) -> int:
    """Run the capture until it ends or a signal ends it; returns the exit code."""
    log = Log(log_settings)
    stop = threading.Event()
    reasons: list[str] = []
    commands: list[str] = []

    def on_stop(number: int, _: object) -> None:
        reasons.append(signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_stop)
    signal.signal(signal.SIGUSR1, lambda *_: commands.append("pause"))
    signal.signal(signal.SIGUSR2, lambda *_: commands.append("resume"))

    capture.start()
    told = _Told()
    try:
        _watch(capture, log, log_settings.summary_every, stop, commands, told)
    finally:
        capture.stop(f"stopped by {reasons[0]}" if reasons else "stopped")
    snapshot = capture.snapshot(told.rows)
    told.events_of(snapshot, log)
    _summary(log, snapshot, "end", f"stopped: {snapshot.stopped}; ")
    if report:
        stream = out or sys.stdout
        stream.write(json.dumps(capture.report()) + "\n")
        stream.flush()
    return capture.error.exit_code if capture.error else 0


class _Told:
    """What the log has told already."""

    def __init__(self) -> None:
        self.rows = 0
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
    capture: Capture, log: Log, every: float, stop: threading.Event, commands: list[str], told: _Told
) -> None:
    """Tell what happens until the capture ends or `stop` is set."""
    next_summary = capture.snapshot().at + every
    while not stop.wait(TICK) and not capture.ended.is_set():
        while commands:
            # A thread of its own: pausing may take a second, and the log goes on meanwhile.
            threading.Thread(target=getattr(capture, commands.pop(0)), daemon=True).start()
        snapshot = capture.snapshot(since=told.rows)
        told.rows = snapshot.last_seq
        told.events_of(snapshot, log)
        if snapshot.at >= next_summary:
            _summary(log, snapshot, "summary")
            next_summary = snapshot.at + every


def _summary(log: Log, snapshot: Snapshot, event: str, prefix: str = "") -> None:
    """One line with every number that matters."""
    run, rates, health = snapshot.run, snapshot.rates, snapshot.health[0]
    rate = "-" if rates.posts_per_s is None else f"{rates.posts_per_s:,.1f}/s"
    share = "-" if run.match_rate is None else f"{run.match_rate:.1%}"
    stores = "".join(
        f", {sink.name} {sink.state.value}, {sink.behind:,} behind"
        for sink in snapshot.sinks
        if sink.behind or sink.state is not SinkState.OK
    )
    log.line(
        snapshot.at,
        Level.INFO,
        event,
        f"{prefix}{health.state.value}, total {run.consumed:,}, matched {run.matched:,} ({share}), "
        f"unique {run.unique:,}, duplicate {run.duplicate:,}, pending {run.pending:,}, "
        f"quarantined {run.quarantined:,}, {rate}, gaps {snapshot.gap_count:,}{stores}",
        state=health.state.value,
        run=asdict(run),
        life=asdict(snapshot.life),
        posts_per_s=rates.posts_per_s,
        gaps=snapshot.gap_count,
        reconnects=health.reconnects,
        sinks={sink.name: {"state": sink.state.value, "behind": sink.behind} for sink in snapshot.sinks},
    )
