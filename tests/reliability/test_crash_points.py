"""Killed at every named point of a post's way, and started again: nothing twice, nothing lost but what a gap names.

One test a point and a store of record, made from the list of points: a new point is killed at too, and a point that
is never reached fails. Each is real: processes, SIGKILL, HTTP, a server that speaks MongoDB's protocol; and each
ends with the oracle's comparison against the simulator's own record.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import pytest

from core import crashpoint
from core.crashpoint import Point
from core.journal import Journal, schema
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, balanced, collection, options, whole
from tests.reliability.oracle import judge

OLD, NEW = '"taylor swift"', '"justin bieber"'


def nothing(program: Program, sim: Simulator) -> None:
    """The point is reached without a command."""


def pause(program: Program, sim: Simulator) -> None:
    wait_until(lambda: len(whole(sim)) > 100)
    program.process.send_signal(signal.SIGUSR1)


def pause_and_resume(program: Program, sim: Simulator) -> None:
    pause(program, sim)
    wait_until(lambda: sim.connections[-1].ended)
    time.sleep(0.2)  # the stream is closed a moment before the pause is noted
    program.process.send_signal(signal.SIGUSR2)


def stop(program: Program, sim: Simulator) -> None:
    wait_until(lambda: len(whole(sim)) > 100)
    program.process.send_signal(signal.SIGTERM)


@dataclass(frozen=True)
class Scenario:
    """How a run gets to a point: which time it dies there, and what is done meanwhile."""

    nth: int = 3
    earlier: bool = False  # a run has been before, for other keywords
    during: Callable[[Program, Simulator], None] = nothing
    flags: tuple[str, ...] = ()


LINE = Scenario(nth=100)
ONCE = Scenario(nth=1)
BACKFILL = ("--backfill", "--set", "x.backfill_wait=0.2", "--set", "x.backfill_overlap=0.1")
SCENARIOS = {
    Point.LINE_READ: LINE,
    Point.DECODED: LINE,
    Point.MATCHED: LINE,
    Point.IN_BATCH: LINE,
    Point.BEFORE_TRANSACTION: ONCE,  # the first batch of a capture's life
    Point.COMMITTED: Scenario(1, earlier=True),  # the gap since the last run is closed, and no post is there yet
    Point.GAP_OPENED: ONCE,
    Point.GAP_CLOSED: ONCE,
    Point.PAUSING: Scenario(1, during=pause),
    Point.RESUMING: Scenario(1, during=pause_and_resume),
    Point.PAGE_FETCHED: Scenario(1, flags=BACKFILL),
    Point.PAGE_NOTED: Scenario(1, flags=BACKFILL),
    Point.FILL_ENDED: Scenario(1, flags=BACKFILL),
    Point.RULE_NEEDED: Scenario(1, earlier=True),
    Point.RULE_ADDED: Scenario(1, earlier=True),
    Point.RULE_REPLACED: Scenario(1, earlier=True),
    Point.MIGRATION_BEGINS: ONCE,
    Point.IN_MIGRATION: ONCE,
    Point.MIGRATED: ONCE,
    Point.SESSION_BEGUN: Scenario(1, earlier=True),
    Point.SESSION_ENDED: Scenario(1, during=stop),
}
STORE_ONLY = (Point.SINK_READ, Point.SINK_WRITTEN, Point.CURSOR_MOVED)
ELSEWHERE = (Point.LINES_REMOVED, Point.PAGES_GIVEN_BACK)  # killed at by tests/unit/test_retention.py
CASES = [(point, store) for point in Point if point not in ELSEWHERE for store in ("journal", "mongodb")
         if store == "mongodb" or point not in STORE_ONLY]  # fmt: skip


@pytest.mark.parametrize(("point", "store"), CASES, ids=str)
def test_killed_there_nothing_is_twice_and_nothing_is_lost_but_what_a_gap_names(point, store, tmp_path, request):
    scenario = SCENARIOS.get(point, Scenario())
    flags = ["--set", "journal.scope=all", "--set", "journal.batch_age=0.02", "--set", "mongodb.batch_size=10"]
    url = request.getfixturevalue("mongodb_url") if store == "mongodb" else None
    if url:
        flags += ["--store", url]

    def documents():
        return list(collection(url).find({}, {"capture": 1, "seq": 1})) if url else None

    data = tmp_path / "data"
    faults = ("120:cut-mid-json", "150:invalid-json")
    more = {
        "rate": 600,
        "match": 0.5,
        "duplicates": 0.1,
        "connect_budget": 1000,
        "start_time": None,
    }
    with Simulator(options(faults=faults, **more)) as sim:
        if scenario.earlier:
            code, _ = Program(sim, data, *flags, "--keywords", OLD, "--max-posts", "40").end()
            assert code == 0

        program = Program(sim, data, *flags, "--keywords", NEW, *scenario.flags, crash=f"{point}:{scenario.nth}")
        scenario.during(program, sim)
        code, report = program.end()
        assert code == -signal.SIGKILL, program.said()
        assert f"killed at {point}\n" in program.said()
        assert report == {}
        if point not in (Point.MIGRATION_BEGINS, Point.IN_MIGRATION, Point.MIGRATED):
            judge(sim.sent, data, documents(), backfill=bool(scenario.flags))

        program = Program(sim, data, *flags, "--keywords", NEW, *scenario.flags, "--max-posts", "100")
        code, report = program.end()
        assert code == 0, program.said()
        sent, rules = sim.sent, [rule["value"] for rule in sim.rules]
    balanced(report)
    figures = judge(sent, data, documents(), backfill=bool(scenario.flags))
    assert report["life"]["unique"] == figures.life["inserted"]
    assert url is None or figures.documents == figures.life["inserted"]
    assert report["life"]["pending"] == 0
    assert figures.runs == (3 if scenario.earlier else 2) - (
        point in (Point.MIGRATION_BEGINS, Point.IN_MIGRATION, Point.MIGRATED)
    )
    assert rules == [NEW]


@pytest.mark.parametrize("point", [Point.MIGRATION_BEGINS, Point.IN_MIGRATION, Point.MIGRATED])
@pytest.mark.parametrize("version", range(schema.VERSION))
def test_killed_in_a_migration_from_any_version_the_journal_is_one_of_the_two_and_goes_on(
    tmp_path, monkeypatch, point, version
):
    """From each older schema, with posts in it; 0 is a new file."""
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:version])
        older.setattr(schema, "VERSION", version)
        with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as db:
            schema.migrate(db, 0)
    opening = f"from pathlib import Path; from core.journal import Journal; Journal(Path({str(tmp_path)!r}))"
    arming = f"from core import crashpoint; crashpoint.arm({str(point)!r}); "
    killed = subprocess.run([sys.executable, "-c", arming + opening], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert killed.stderr == f"killed at {point}\n"
    with Journal(tmp_path) as journal:
        session = journal.begin_session(1.0, "x")
        journal.end_session(session, 2.0, "well")


def test_a_name_that_is_no_point_is_refused_and_nothing_is_started(tmp_path):
    environ = {**os.environ, "BIEBER_TUI_CRASH": "no-such-point"}
    command = [sys.executable, "-m", "tui.cli", "--no-ui", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "in-transaction" in done.stderr
    assert not (tmp_path / "data").exists()


def test_only_arming_arms(monkeypatch):
    """The variable alone does nothing to a program that imports core; an unarmed point costs no wrapper."""
    monkeypatch.setenv(crashpoint.VARIABLE, str(Point.DECODED))
    crashpoint.reach(Point.DECODED)
    assert crashpoint.after(Point.DECODED, len) is len


def test_an_armed_capture_says_so_aloud(tmp_path):
    with Simulator(options(posts=10)) as sim:
        program = Program(sim, tmp_path / "data", "--max-posts", "10", crash="in-batch:1000")
        assert program.end()[0] == 0
    assert "this process kills itself at in-batch, time 1000" in program.said()
