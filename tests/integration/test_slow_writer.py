"""Who is slow never costs a post, and never goes unsaid: a disk that cannot follow, a screen that does not look.

The real capture over the simulator; the writer is held at its commit, as by a disk that hangs.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest

from core.capture import Capture
from core.counters import Counters
from core.journal import Journal
from core.lines import LineQueue
from core.secret import SecretStr
from core.settings import Settings, UiSettings, XSettings
from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until

LIMIT = 100


class Hand:
    """Holds every commit until it lets go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.held = threading.Event()
        commit = Journal.commit

        def held(journal, *args):
            if not self.open.is_set():
                self.held.set()
                self.open.wait(120)
            return commit(journal, *args)

        monkeypatch.setattr(Journal, "commit", held)


@pytest.fixture
def hand(monkeypatch) -> Iterator[Hand]:
    monkeypatch.setattr("core.capture.LineQueue", partial(LineQueue, limit=LIMIT))
    monkeypatch.setattr("core.connection.SLOWED_AFTER", 0.2)
    made = Hand(monkeypatch)
    yield made
    made.open.set()


def capture_of(sim: Simulator, folder: Path) -> Capture:
    x = XSettings(base_url=sim.url, bearer_token=SecretStr(BEARER_TOKEN))
    return Capture.open(
        Settings(x=x, keywords="bieber", topic="music", data_dir=folder, ui=UiSettings(feed_size=1000))
    )


def texts(capture: Capture) -> list[str]:
    return [event.text for event in capture.snapshot().events]


def balanced(report: dict) -> None:
    assert all(Counters(**report[part]).imbalance() == "" for part in ("run", "life"))


def test_a_disk_that_hangs_is_told_while_it_lasts_and_costs_nothing(hand, tmp_path):
    with Simulator(SimulatorOptions(rate=0, posts=1000, payload="small")) as sim:
        capture = capture_of(sim, tmp_path)
        capture.start()
        wait_until(lambda: capture.snapshot().health[0].slowed_since is not None)
        health = capture.snapshot().health[0]
        assert health.state.connected
        assert (health.queue, health.queue_limit, health.queue_fill) == (LIMIT, LIMIT, 1.0)
        assert any(
            text.startswith("slowed down: posts come faster than they are written") for text in texts(capture)
        )
        hand.open.set()
        wait_until(lambda: capture.snapshot().run.consumed == 1000)
        wait_until(lambda: capture.snapshot().health[0].slowed_since is None)
        assert any(text.startswith("keeps up again after") for text in texts(capture))
        capture.stop()
        report = capture.report()
        sent = {record.post for record in sim.sent if record.kind == "post"}
    balanced(report)
    assert len(sent) == report["run"]["consumed"] == 1000
    assert report["gaps"] == []


def test_a_reader_that_is_held_up_too_long_is_dropped_by_x_and_what_is_lost_is_in_the_gap(hand, tmp_path):
    # What the two kernels take is a few thousand posts; then X waits a second, while 5,000 more are due.
    options = SimulatorOptions(rate=5000, posts=20_000, match=1.0, slow_reader_buffer=5000)
    with Simulator(options) as sim:
        capture = capture_of(sim, tmp_path)
        capture.start()
        wait_until(lambda: sim.connections and sim.connections[0].ended)
        assert sim.connections[0].ended == "dropped as a slow reader"
        hand.open.set()
        wait_until(lambda: len(sim.connections) == 2 and capture.snapshot().health[0].state.connected)
        wait_until(lambda: sim.finished and sent_on(sim, 2))
        wait_until(lambda: journal_ids(tmp_path)[-1:] == sent_on(sim, 2)[-1:])
        capture.stop()
        report = capture.report()
        first, second = sent_on(sim, 1), sent_on(sim, 2)
        lost = {record.post for record in sim.sent if record.kind == "lost"}
        sent_at = {record.post: record.at for record in sim.sent if record.post}
    balanced(report)
    ids = journal_ids(tmp_path)
    assert ids[-len(second) :] == second
    assert ids[: -len(second)] == first[: len(ids) - len(second)]  # up to where the connection was dropped
    assert len(ids) == len(set(ids)) == report["life"]["unique"]
    assert not lost & set(ids)
    assert len(lost) == 5000
    assert [gap["reason"].partition(" to ")[0] for gap in report["gaps"]] == ["the connection"]
    begin, end = (datetime.fromisoformat(report["gaps"][0][name]).timestamp() for name in ("start", "end"))
    missing = set(sent_at) - set(ids)
    assert lost <= missing
    # The gap begins before the reading began to wait: long before the last bytes were read. All that is missing was
    # sent within it.
    assert begin <= min(sent_at[post] for post in missing)
    assert max(sent_at[post] for post in missing) <= end


def sent_on(sim: Simulator, connection: int) -> list[str]:
    """The posts that went out whole on a connection, as far as the kernel knows."""
    return [one.post for one in sim.sent if one.connection == connection and one.kind == "post" and one.whole]


def journal_ids(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "journal.sqlite") as db:
        return [row[0] for row in db.execute("SELECT id FROM posts ORDER BY seq")]


def test_pause_and_resume_while_the_disk_hangs_keep_every_line_in_order(hand, tmp_path):
    with Simulator(SimulatorOptions(rate=0, posts=2000, match=1.0, payload="small")) as sim:
        capture = capture_of(sim, tmp_path)
        capture.start()
        wait_until(lambda: capture.snapshot().health[0].queue >= LIMIT)
        capture.pause()
        assert capture.snapshot().health[0].state.value == "paused"
        wait_until(lambda: sim.connections[0].ended)
        capture.resume()
        hand.open.set()
        wait_until(lambda: sim.finished and journal_ids(tmp_path)[-1:] == [sent_on(sim, 2)[-1]])
        capture.stop()
        report = capture.report()
        first, second = sent_on(sim, 1), sent_on(sim, 2)
    ids = journal_ids(tmp_path)
    assert [key for key, _ in groupby(ids)] == ids
    assert ids[-len(second) :] == second
    # What the kernel still held when the stream was closed was never read: the pause's gap covers it.
    assert ids[: -len(second)] == first[: len(ids) - len(second)]
    assert [gap["reason"] for gap in report["gaps"]] == ["paused by you"]
    assert report["sources"]["x"]["reconnects"] == 0


def test_a_screen_that_does_not_look_slows_nothing(tmp_path):
    options = SimulatorOptions(rate=0, posts=3000, payload="small")
    with Simulator(options) as sim:
        capture = capture_of(sim, tmp_path)
        old = capture.snapshot()
        capture.start()
        wait_until(lambda: sim.finished and capture._ledger.totals.run.consumed == 3000)
        snapshot = capture.snapshot(old.last_seq)  # the first look: what does not fit into the ring has left it
        capture.stop()
        report = capture.report()
    assert snapshot.last_seq == 3000
    assert len(snapshot.rows) == 1000
    assert report["gaps"] == []
    balanced(report)
