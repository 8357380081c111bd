"""Leaving and returning keeps history: the plots of an hour and a day, and the window, go on where they were."""

from __future__ import annotations

from core import capture as capture_module
from core.capture import Capture, Limits
from core.settings import load
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.ui.test_actions import screen_text, until
from tui.app import Dashboard
from tui.plot import counted
from tui.window import shown_names


def run(simulator, folder, posts):
    capture = Capture.open(
        load({"x.base_url": simulator.url, "x.bearer_token": simulator.options.tokens[0], "data_dir": str(folder), "store": None}),
        Limits(max_posts=posts),
    )  # fmt: skip
    capture.start()
    wait_until(capture.ended.is_set)
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


async def test_the_screen_of_a_second_run_shows_the_hour_and_opens_a_name_of_it(tmp_path):
    """Memory is empty after a restart: the plots, the lists and what they open come from what is stored."""
    with Simulator(SimulatorOptions(rate=300, match=0.6)) as simulator:
        run(simulator, tmp_path, 200).stop()
        settings = load(
            {"x.base_url": simulator.url, "x.bearer_token": simulator.options.tokens[0], "data_dir": str(tmp_path), "store": None}
        )  # fmt: skip
        second = Capture.open(settings)
        second.pause()  # nothing comes in this run
        second.start()
        second.pause()
        try:
            before = second.snapshot().life.unique
            app = Dashboard(second, settings, folder=tmp_path)
            async with app.run_test(size=(120, 40)) as pilot:
                await until(lambda: app.snapshot.window.posts >= before)
                for period in (1, 2):
                    assert sum(counted(app.snapshot, period).consumed) >= 200
                await pilot.press("w", "right")
                names = shown_names(app.snapshot.window, "authors")
                await until(lambda: f"▶{names[0][0]}"[:16] in screen_text(app))
                await pilot.press("enter")
                await until(lambda: app.feed.stored is not None and not app.feed.stored.searching)
                await until(lambda: app.feed.shown)
                assert {f"@{row.post.author.username}" for row in app.feed.shown} == {names[0][0]}
                assert len(app.feed.shown) == names[0][1]
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
