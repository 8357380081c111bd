"""One owner a data folder, tried with the real program; the lock itself is in tests/unit/test_owner.py."""

from __future__ import annotations

import signal

from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, options
from tests.reliability.oracle import judge


def test_of_two_captures_that_start_at_the_same_moment_one_wins_and_the_other_names_it(tmp_path):
    with Simulator(options(rate=100, start_time=None)) as sim:
        for number in range(3):
            data = tmp_path / f"data-{number % 2}"  # the third round meets the lock file of the first
            programs = [Program(sim, data), Program(sim, data)]
            wait_until(lambda p=programs: any(one.process.poll() is not None for one in p))
            first, second = programs
            winner, loser = (first, second) if first.process.poll() is None else (second, first)
            assert loser.end() == (5, {}), loser.said()
            assert f"process {winner.process.pid}\n" in loser.said()
            wait_until(lambda w=winner: "is live" in w.said())
            assert winner.stop()[0] == 0


def test_a_killed_owner_blocks_nobody_and_its_posts_are_there(tmp_path):
    with Simulator(options(rate=200, match=0.5, start_time=None)) as sim:
        program = Program(sim, tmp_path / "data", crash="committed:5")
        assert program.end()[0] == -signal.SIGKILL
        assert (tmp_path / "data" / "owner.lock").read_text() == f"{program.process.pid}\n"
        assert Program(sim, tmp_path / "data", "--max-posts", "20").end()[0] == 0
        assert judge(sim.sent, tmp_path / "data").runs == 2
