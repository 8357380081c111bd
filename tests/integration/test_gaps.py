"""Every span without a live connection is a gap, with its start, end, reason and the posts around it.

The oracle is what the simulator wrote: a post that is missing lies between the posts that bound a gap.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.journal import Journal, look
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_backfill import capture, gaps, options, stored, written
from tests.integration.test_main_job import Program


def unexplained(sim: Simulator, folder: Path) -> list[str]:
    """Posts that are missing and that no gap covers, up to the newest one that is there."""
    record = look(folder)
    assert record is not None
    have = set(stored(folder))
    newest = max(map(int, have))
    spans = [(int(gap.last_id or 0), int(gap.first_id or 2**63)) for gap in record.gaps]
    missing = [post for post in written(sim) - have if int(post) <= newest]
    return [post for post in missing if not any(last < int(post) < first for last, first in spans)]


def settled(running) -> bool:
    """Whether every gap has ended and has the post after it."""
    return all(gap.end and gap.first_id for gap in gaps(running)) and bool(gaps(running))


@pytest.mark.parametrize(
    ("faults", "words", "at_least"),
    [
        (("60:close",), "X closed the connection", 0.0),
        (("60:cut-mid-json",), "cut in mid-stream", 0.0),
        (("60:reset-mid-json",), "reset", 0.0),
        (("60:refuse=0.6",), "cut in mid-stream", 0.5),
        (("60:close", "c2:http-503"), "X closed the connection", 2.0),
        (("60:disconnect-slow-reader",), "too slowly", 0.0),
        (("60:slow-reader-drop=30",), "reset", 0.0),
        (("60:stall=30",), "no byte for 3 s", 3.0),
        (("60:half-chunk-stall=30",), "no byte for 3 s", 3.0),
        (("60:half-open",), "no byte for 3 s", 3.0),
        (("60:kick",), "X closed the connection", 0.0),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_every_way_to_lose_a_connection_leaves_one_gap(tmp_path, faults, words, at_least):
    patience = 3.0 if "no byte" in words else 60.0  # no stall where none is asked for, however busy the machine is
    with (
        Simulator(options(*faults, keep_alive=0.2)) as sim,
        capture(sim, tmp_path, backfill=False, stall_after=patience) as running,
    ):
        wait_until(lambda: settled(running))
        running.stop()
        (gap,) = gaps(running)
        assert words in gap.reason
        assert gap.end - gap.start >= at_least  # it begins before it is noticed
        have = set(stored(tmp_path))
        sent = itertools.dropwhile(lambda one: one.connection == 0, sim.sent)
        missing = [one.at for one in sent if one.matches_topic and one.post not in have]
        assert gap.start <= min(missing, default=gap.end)
        assert gap.start < gap.end < time.time()
        assert gap.last_id in {one.post for one in sim.sent if one.whole and one.connection == 1}
        assert int(gap.last_id) < int(gap.first_id)
        assert unexplained(sim, tmp_path) == []


def test_a_stall_begins_with_the_last_byte_and_not_when_it_is_noticed(tmp_path):
    with (
        Simulator(options("60:stall=60", keep_alive=0.2)) as sim,
        capture(sim, tmp_path, backfill=False, stall_after=3) as running,
    ):
        wait_until(lambda: bool(gaps(running)))
        noticed = time.time()
        first = min(one.at for one in sim.sent if one.whole and one.connection == 1)
        assert first < gaps(running)[0].start <= noticed - 3


def test_interruptions_in_a_row_are_gaps_in_a_row(tmp_path):
    faults = ("50:close", "70:cut-mid-json", "120:cut", "300:stall=9")
    with (
        Simulator(options(*faults, keep_alive=0.2)) as sim,
        capture(sim, tmp_path, backfill=False, stall_after=3.0) as running,
    ):
        wait_until(lambda: len(gaps(running)) >= 4 and settled(running))
        running.stop()
        found = gaps(running)
        assert len(found) == 4
        assert all(one.end <= other.start for one, other in itertools.pairwise(found))
        assert unexplained(sim, tmp_path) == []


def test_a_pause_that_cannot_be_ended_is_followed_by_a_gap_of_its_own(tmp_path):
    with Simulator(options()) as sim, capture(sim, tmp_path, backfill=False) as running:
        wait_until(lambda: running.snapshot().run.consumed > 20)
        running.pause()
        time.sleep(0.3)
        sim.pause_listening()
        resumed = time.time()
        running.resume()
        wait_until(lambda: len(gaps(running)) == 2)
        sim.resume_listening()
        wait_until(lambda: settled(running) and len(gaps(running)) == 2)
        pause, failure = gaps(running)
        assert (pause.reason, pause.chosen, failure.chosen) == ("paused by you", True, False)
        assert "refused" in failure.reason
        assert pause.end == failure.start
        assert resumed <= pause.end <= failure.end


def heard(folder: Path, before: int) -> bool:
    """Whether a run with so many before it has connected, and that is durable."""
    record = look(folder)
    return record is not None and len(record.sessions) > before and record.sessions[-1].last_byte_at is not None


def test_kills_in_a_row_are_gaps_in_a_row_and_explain_every_missing_post(tmp_path):
    data = tmp_path / "data"
    with Simulator(options(rate=400.0, connect_budget=1000)) as sim:
        for number in range(2):
            program = Program(sim, data)
            wait_until(lambda n=number: heard(data, n))
            time.sleep(0.1 + 0.3 * number)
            program.kill()
        program = Program(sim, data, "--set", "x.backfill_overlap=0.2")
        wait_until(lambda: (record := look(data)) is not None and all(gap.first_id for gap in record.gaps))
        code, report = program.stop()
        assert unexplained(sim, data) == []
    assert code == 0
    assert [gap["reason"] for gap in report["gaps"]] == ["crashed or was killed"] * len(report["gaps"])
    assert len(report["gaps"]) == 2


def test_a_kill_right_after_the_connection_was_made_is_a_gap_too(tmp_path):
    """Nothing has come over the new connection yet; the span since it was made is missing all the same."""
    data = tmp_path / "data"
    with Simulator(options(posts=30, connect_budget=1000, keep_alive=600)) as sim:
        Program(sim, data, "--duration", "0.5").end()
        program = Program(sim, data)
        record = None
        while record is None or not record.gaps or record.gaps[0].end is None:
            record = look(data)
        program.kill()
    # The connection was asked for within the gap that it ended, and the new gap begins where that one ends.
    asked_at = record.sessions[-1].last_byte_at
    assert asked_at is None or record.gaps[0].start < asked_at <= record.gaps[0].end
    with Journal(data) as journal:
        journal.begin_session(time.time(), "x", '"justin bieber"')
        first, second = journal.gaps()
    assert first.reason.startswith("not running")
    assert second.reason == "crashed or was killed"
    assert second.start >= first.end


def test_the_command_lists_them_while_the_capture_runs(tmp_path):
    data = tmp_path / "data"
    with Simulator(options("30:close", "60:refuse=60")) as sim:
        program = Program(sim, data)
        wait_until(lambda: (record := look(data)) is not None and len(record.gaps) == 2)
        asked = subprocess.run(
            [sys.executable, "-m", "tui.cli", "gaps", "--data-dir", str(data), "--format", "json", "--open"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        code, report = program.stop()
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert [row["end"] for row in answer["gaps"]] == [None]
    assert 0 < answer["totals"]["covered"] < 1
    assert code == 0
    assert report["gaps"][1]["start"] == answer["gaps"][0]["start"]
