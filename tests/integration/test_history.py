"""Leaving and returning keeps history: the plots of an hour and a day, and the window, go on where they were."""

from __future__ import annotations

from core import capture as capture_module
from core.capture import Capture, Limits
from core.settings import load
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until


def run(simulator, folder, posts):
    capture = Capture.open(
        load({"x.base_url": simulator.url, "x.bearer_token": simulator.options.tokens[0], "data_dir": str(folder), "store": None}),
        Limits(max_posts=posts),
    )  # fmt: skip
    capture.start()
    wait_until(capture.ended.is_set, 60)
    return capture


def test_the_plots_and_the_window_outlive_the_run(tmp_path):
    with Simulator(SimulatorOptions(rate=300)) as simulator:
        run(simulator, tmp_path, 200).stop()
        second = run(simulator, tmp_path, 100)
        try:
            rates = second.snapshot().rates
            assert sum(rates.minutes.consumed) == 300
            assert sum(rates.day.consumed) == 300
            assert sum(rates.day.matched) == second.snapshot().life.matched
            assert sum(rates.seconds.consumed) == 100  # of this run
            wait_until(lambda: second.snapshot().window.posts == second.snapshot().life.unique)
            languages = next(top for top in second.snapshot().window.tops if top.kind == "languages")
            assert sum(count for _, count in languages.names) == second.snapshot().life.unique
            assert languages.exact
        finally:
            second.stop()


def test_a_window_that_is_too_large_to_be_read_back_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(capture_module, "ROWS_READ_BACK", 10)
    with Simulator(SimulatorOptions(rate=300)) as simulator:
        run(simulator, tmp_path, 200).stop()
        second = run(simulator, tmp_path, 1)
        try:
            wait_until(lambda: second.snapshot().window.posts >= 10)
            assert not any(top.exact for top in second.snapshot().window.tops)
        finally:
            second.stop()
