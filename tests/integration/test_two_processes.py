"""A capture in two processes is a capture: the same posts, the same numbers, the same end."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from bench import family
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, balanced, expected, journal_ids, options, whole

ALWAYS = ("--set", "match.second_process=always")


def second_of(program: Program) -> int:
    """The number of its second process; 0: there is none, or it is none yet: its first moments are its parent's."""
    pid = program.process.pid
    found = next(iter(family.look(pid).peaks.keys() - {pid}), 0)
    with suppress(OSError):
        return found if found and b"core.second" in Path(f"/proc/{found}/cmdline").read_bytes() else 0
    return 0


def exact(sim: Simulator, folder: Path, report: dict) -> None:
    balanced(report)
    assert report["run"]["consumed"] == report["run"]["delivered"] == len(whole(sim))
    assert report["run"]["unique"] == len(expected(sim))
    assert sorted(journal_ids(folder)) == sorted(expected(sim))


def consumed(folder: Path) -> int:
    """The posts that the journal counts."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{folder}/journal.sqlite?mode=ro", uri=True)) as db,
    ):
        return sum(number for (number,) in db.execute("SELECT consumed FROM counters"))
    return 0


@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGSTOP, None])
def test_whatever_happens_to_the_second_process_costs_no_post(tmp_path, killed):
    faults = ("400:cut-mid-json", "900:invalid-json", "1100:long-line=300000", "1300:no-text")
    with Simulator(options(posts=6000, duplicates=0.05, match=0.3, faults=faults)) as sim:
        program = Program(sim, tmp_path / "data", *ALWAYS)
        wait_until(lambda: second_of(program) and consumed(tmp_path / "data"))  # so that one has answered
        pid = second_of(program)
        if killed is not None:
            os.kill(pid, killed)
        wait_until(lambda: sim.finished and consumed(tmp_path / "data") == len(whole(sim)))
        code, report = program.stop()
        assert code == 0, program.said()
        run = report["run"]
        assert run["quarantined"] == 2
        report["run"] = run | {"delivered": run["delivered"] - 2, "quarantined": 0}
        exact(sim, tmp_path / "data", report)
    assert not Path(f"/proc/{pid}").exists()
    if killed is not None:
        assert "one goes on alone, and nothing is lost" in program.said()


def test_a_stop_waits_for_no_second_process_that_never_answers(tmp_path):
    with Simulator(options(posts=3000)) as sim:
        program = Program(sim, tmp_path / "data", *ALWAYS)
        wait_until(lambda: second_of(program))
        pid = second_of(program)
        os.kill(pid, signal.SIGSTOP)  # most often before its first word, for which `always` waits
        wait_until(lambda: sim.sent)
        code, report = program.stop()
        assert code == 0, program.said()
    balanced(report)
    assert not Path(f"/proc/{pid}").exists()


def test_a_capture_that_is_killed_leaves_no_second_process_behind(tmp_path):
    with Simulator(options(posts=500)) as sim:
        program = Program(sim, tmp_path / "data", *ALWAYS)
        wait_until(lambda: second_of(program))
        pid = second_of(program)
        program.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
