"""Every fault of X, over real sockets, does exactly what its row of tests/reliability/x_faults.py says.

The real source runs with the real outlet against the simulator or a scripted server. Waits take no time (the
clock is moved on instead); silences and connects that hang are real and short.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core.connection import Connection, Line
from core.errors import SourceRefused, Undecodable
from core.events import EventLog
from core.health import SourceState
from core.journal import GapMark
from core.lines import LineQueue
from core.secret import SecretStr
from core.settings import XSettings
from core.simulator.faults import FAULTS
from core.simulator.options import BEARER_TOKEN
from core.sources.x.decode import decode
from core.sources.x.source import XSource
from tests.conftest import wait_until
from tests.reliability.x_faults import CLASSES, ON, TABLE, Row, by_class
from tests.reliability.x_scenes import SCENES, stage
from tests.x_server import Running, SkippingClock


class Watched(Connection):
    """The capture's own outlet; a test can read what it was told."""

    def __init__(self, clock: SkippingClock) -> None:
        self.lines: LineQueue[Line | GapMark] = LineQueue()
        self.log = EventLog(clock)
        super().__init__("x", self.lines, self.log, clock)
        self.began = self.asked_at = self.health().since
        self.reports: list[tuple[SourceState, str]] = []
        self.windows: list[Any] = []
        # Lines, marks, and the moments at which all that had come was read, in order.
        self.items: list[Line | GapMark | float] = []

    def touch(self, at: float, *, more: bool = False) -> None:
        if not more:
            self.items.append(at)
        super().touch(at, more=more)

    def report(self, state: SourceState, reason: str = "", *, wait_until: float | None = None) -> None:
        before = self.health().state
        if state is SourceState.CONNECTING:
            self.asked_at = self._clock.now()
        super().report(state, reason, wait_until=wait_until)
        self.drain()
        if state.connected and not before.connected and not self.gaps():
            assert self.complete_until is not None
            assert self.asked_at <= self.complete_until <= self.health().since
            self.items.append(self.complete_until)  # what comes first may wait already
        self.reports.append((state, reason))

    def drain(self) -> None:
        self.items += self.lines.take(100_000, 0, 0)

    @property
    def path(self) -> str:
        return " ".join(state.value for state, _ in self.reports)

    @property
    def segments(self) -> list[list[bytes]]:
        """The lines that were delivered, by connection."""
        found: list[list[bytes]] = []
        for item in list(self.items) + self.waiting():
            if isinstance(item, GapMark) and not item.reason:
                found.append([])
            elif isinstance(item, Line):
                found[-1].append(item.raw)
        return found

    def waiting(self) -> list[Line | GapMark]:
        with self.lines._lock:
            return [item for item, _ in self.lines._items]

    def gaps(self) -> list[tuple[GapMark, GapMark | None, float]]:
        """Each gap's begin and end, and the last moment before it at which all that had come was read."""
        found: list[tuple[GapMark, GapMark | None, float]] = []
        last = self.began
        for item in self.items:
            if isinstance(item, float):
                last = item
            elif isinstance(item, GapMark) and item.reason:
                found.append((item, None, last))
            elif isinstance(item, GapMark):
                last = item.at
                if found and found[-1][1] is None:
                    found[-1] = (found[-1][0], item, found[-1][2])
        return found


def test_the_table_holds_every_fault_of_the_simulator_and_every_number_of_the_list():
    assert FAULTS.keys() <= {row.fault for row in TABLE}
    assert {row.number for row in TABLE} == set(range(1, 61))
    assert {row.scene for row in TABLE if row.scene} | {"simulator"} == SCENES.keys()
    assert not [name for name, times in Counter(row.id for row in TABLE).items() if times > 1]
    for row in TABLE:
        known = FAULTS.get(row.fault)
        assert known is None or known.number in (0, row.number), row.id
        assert row.summary


def test_the_faults_are_counted_by_the_classes_of_the_list():
    assert list(by_class()) == [name for name, _, _ in CLASSES]
    assert sum(by_class().values()) == len(TABLE)
    assert min(by_class().values()) >= 5


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_fault(
    row: Row, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    clock = SkippingClock()
    outlet = Watched(clock)
    with stage(row, monkeypatch, tmp_path) as server:
        given = {"base_url": server.url, "bearer_token": SecretStr(BEARER_TOKEN)}
        x = XSettings(**given | row.patience | row.settings)
        source = XSource(x, row.keywords, clock=clock, random=lambda: 1.0)
        with Running(source, outlet) as running:
            if row.gives_up:
                _gave_up(row, running.ended(), outlet)
            else:
                wait_until(
                    lambda: (
                        running.error is not None
                        or (_went(row, outlet) and server.done() and outlet.segments == server.sent())
                    )
                )
                assert running.error is None
            # What follows must be true of the moment: while it runs, its reports are not over.
            outlet.drain()
            assert _went(row, outlet), outlet.path
            assert outlet.segments == server.sent()
            _waited(row, clock.waits)
            _left_gaps(row, outlet)
            _told(row, outlet)
    assert _quarantined(outlet) == row.quarantined
    said = [
        *map(repr, outlet.reports),
        *map(repr, outlet.log.recent()),
        repr(running.error),
        repr(source),
        repr(x),
    ]
    assert BEARER_TOKEN not in " ".join([*said, caplog.text])


def _gave_up(row: Row, error: BaseException | None, outlet: Watched) -> None:
    assert isinstance(error, SourceRefused), (error, outlet.reports)
    assert row.words in error.message
    assert row.hint in error.hint
    assert error.hint
    assert error.exit_code == 3
    assert outlet.reports[-1] == (SourceState.STOPPED, error.message)


def _went(row: Row, outlet: Watched) -> bool:
    return re.fullmatch(row.path, outlet.path) is not None


def _waited(row: Row, waits: list[float]) -> None:
    """The waits of the row, the named ones a little longer than was named."""
    assert waits[: len(row.waits)] == pytest.approx(row.waits, abs=1.1 if row.words.startswith("429") else 1e-6)
    assert row.and_more or len(waits) == len(row.waits)


def _left_gaps(row: Row, outlet: Watched) -> None:
    """Each gap begins where all that had come was read, says why, and ends with the next connection."""
    gaps = outlet.gaps()
    assert len(gaps) == row.interruptions
    for begin, end, last in gaps:
        assert row.words in begin.reason
        assert begin.at == last
        assert (end is None) == row.gives_up
        assert end is None or end.at >= begin.at


def _told(row: Row, outlet: Watched) -> None:
    """What the log and the health say afterwards."""
    texts = [event.text for event in outlet.log.recent()]
    lives = outlet.path.split().count("live")
    assert outlet.health().reconnects == max(lives - 1, 0)
    if row.gives_up:
        return
    *_, connected = [text for text in texts if text.startswith("connected")]
    if row.path == ON:
        assert connected == "connected"
        assert row.words in " ".join(texts)
    else:
        again = "connected again" if lives > 1 else "connected"
        assert re.match(rf"{again} after (less than )?[\d.]+ [smhd].*: ", connected), connected
        assert row.words in connected


def _quarantined(outlet: Watched) -> int:
    count = 0
    for lines in outlet.segments:
        for raw in lines:
            try:
                decode(raw)
            except Undecodable:
                count += 1
    return count
