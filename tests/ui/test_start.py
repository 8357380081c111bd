"""How a capture starts: the dashboard on the screen first, the capture when it is open; and what may come between."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from textual.css import stylesheet

from core.errors import AlreadyOwned, Unavailable
from core.owner import Owner
from core.settings import Settings
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import PATIENCE, ROOT, wait_until
from tests.integration.test_imports import POSTS, SETTINGS, bare, packages
from tests.reliability.oracle import read
from tests.reliability.terminal import Terminal as OwnTerminal  # one that can send signals
from tests.ui import scenes
from tests.ui.test_endings import Terminal, terminal
from tests.ui.test_pictures import dashboard
from tui import app as app_module
from tui.app import Dashboard
from tui.opening import Opening
from tui.signs import PROBE

# The program, with an opening that begins by touching one file and goes on when there is another.
HELD = """
import pathlib, sys, time
from core.capture import Capture
real, folder = Capture.open, pathlib.Path(sys.argv[1])
def held(*arguments, **more):
    (folder / "begun").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return real(*arguments, **more)
Capture.open = held
from tui import cli
sys.argv[1:] = sys.argv[2:]
cli.program()
"""
# The program, until its first frame is on the screen: then it tells what is loaded.
UNTIL_THE_FIRST_FRAME = """
import os, pathlib, sys
from tui import opening
def begin(self):
    pathlib.Path(sys.argv[0]).write_text(repr(sorted(sys.modules)))
    os._exit(0)
opening.Opening.begin = begin
from tui import cli
sys.argv = sys.argv[1:]
cli.program()
"""


class Held:
    """The real program over a simulator, while it opens its capture."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.simulator = Simulator(SimulatorOptions(rate=20))

    def arguments(self) -> list[str]:
        return ["--set", f"x.base_url={self.simulator.url}", "--data-dir", str(self.data)]

    def environ(self) -> dict[str, str]:
        return {"BIEBER_TUI_X__BEARER_TOKEN": self.simulator.options.tokens[0]}

    def has_begun(self) -> bool:
        return (self.folder / "begun").exists()

    def release(self) -> None:
        (self.folder / "go").touch()

    def left_in_order(self, reason: str) -> None:
        """The run has its end in the journal, and X was never asked for posts."""
        assert read(self.data).runs[-1].reason == reason
        assert self.simulator.connections == []


@pytest.fixture
def held(tmp_path) -> Iterator[Held]:
    it = Held(tmp_path)
    with it.simulator:
        yield it


@pytest.fixture
def on(held) -> Iterator[Terminal]:
    with terminal(*held.arguments(), program=("-c", HELD, str(held.folder)), **held.environ()) as on:
        on.until(held.has_begun)
        yield on


# What is on the screen, and what is loaded for it.


async def test_the_first_frame_has_every_panel_in_it(monkeypatch):
    frames: list[str] = []
    shown = Dashboard._display

    def display(self: Dashboard, screen: Any, renderable: Any) -> None:
        if hasattr(renderable, "render_segments"):
            frames.append(renderable.render_segments(self.console))
        shown(self, screen, renderable)

    monkeypatch.setattr(Dashboard, "_display", display)
    async with dashboard("empty").run_test(size=(120, 40)) as pilot:
        await pilot.pause()
    for words in (
        "bieber-tui",
        '"justin bieber"',
        "TOTAL",
        "MATCHED",
        "queue",
        "journal",
        "filter",
        "quit",
        "─┬─",
    ):
        assert words in frames[0], words


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 15)], ids=str)
async def test_the_first_frame_is_laid_out_for_its_size(size):
    seen: list[frozenset[str]] = []

    class Watched(Dashboard):
        def get_default_screen(self):  # type: ignore[override]
            screen = super().get_default_screen()
            seen.append(frozenset(screen.classes))
            return screen

    app = dashboard()
    app.__class__ = Watched
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert seen == [frozenset(app.main_screen.classes)]


async def test_the_style_sheet_is_parsed_once_and_again_only_for_another_theme(monkeypatch):
    parsed: list[str] = []
    parse = stylesheet.parse

    def counted(scope: str, css: str, read_from: Any, *arguments: Any, **more: Any) -> Any:
        parsed.append(Path(read_from[0]).name)
        return parse(scope, css, read_from, *arguments, **more)

    monkeypatch.setattr(stylesheet, "parse", counted)
    app = dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert parsed.count("dashboard.tcss") == 1
        background = app.main_screen.styles.background
        app.theme = "bieber-light"
        await pilot.pause()
        assert parsed.count("dashboard.tcss") == 2
        assert app.main_screen.styles.background != background


async def test_nothing_is_opened_while_the_first_frame_is_on_its_way(monkeypatch):
    begun: list[bool] = []
    for patience in (3600.0, 0.0):  # a terminal that takes nothing holds the capture up for so long
        monkeypatch.setattr(app_module, "FRAME_PATIENCE", patience)
        lags = [True]
        app = Dashboard(scenes.FakeControls(), Settings(), begin=lambda: begun.append(lags[0]))  # noqa: B023
        app._lags = lambda: lags[0]  # noqa: B023
        async with app.run_test() as pilot:
            await pilot.pause(0.1)
            lags[0] = False
            while app._ticker is None:
                await pilot.pause(0.01)
    assert begun == [False, True]


def test_before_the_first_frame_no_client_no_store_and_no_query_is_loaded(tmp_path):
    told = tmp_path / "loaded"
    program = ("-c", UNTIL_THE_FIRST_FRAME, str(told))
    with terminal("--data-dir", str(tmp_path / "data"), program=program) as on:
        assert on.exit_code() == 0, on.seen[-2000:]
    modules = set(ast.literal_eval(told.read_text())) - bare()
    assert packages(modules) <= SETTINGS | POSTS | {"textual", "rich"}
    parts = {name for name in modules if name.startswith("core.") and name.count(".") == 1}
    assert not parts & {"core.capture", "core.journal", "core.query", "core.sources", "core.sinks", "core.attach"}
    assert not modules & {"sqlite3", "http.client", "xml", "multiprocessing", "tomllib"}
    assert not (tmp_path / "data").exists()


# When it cannot be opened.


def test_a_folder_in_use_is_told_after_the_screen_is_left_with_its_exit_code(held):
    owner = Owner(held.data)
    with terminal(*held.arguments(), **held.environ()) as on:
        assert on.exit_code() == AlreadyOwned.exit_code
        on.read()
    owner.release()
    screen, left, said = on.seen.rpartition(b"\x1b[?1049l")
    assert left
    assert b"TOTAL" in screen
    assert b"bieber-tui: error: " in said
    assert str(held.data).encode() in said


def test_missing_credentials_are_told_in_the_same_way(tmp_path):
    with terminal("--data-dir", str(tmp_path)) as on:
        assert on.exit_code() == 2
        on.read()
    assert b"X needs credentials" in on.seen.rpartition(b"\x1b[?1049l")[2]


# When somebody leaves before it is open.


def leave_with_q(on: Terminal) -> None:
    on.press(b"q")


def leave_with_ctrl_c_twice(on: Terminal) -> None:
    on.press(b"\x03")
    on.stays(0.1)
    on.press(b"\x03")


def leave_with_sigterm(on: Terminal) -> None:
    for _ in range(3):
        on.program.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("leave", [leave_with_q, leave_with_ctrl_c_twice, leave_with_sigterm])
def test_who_leaves_while_it_opens_connects_to_nothing_and_the_run_is_ended_in_order(held, on, leave):
    on.until(b"quit")
    leave(on)
    on.until(b"FLUSHING")
    held.release()
    assert on.exit_code() == 0
    held.left_in_order("stopped by you")


def test_an_opening_that_hangs_is_left_behind(held, on):
    on.until(b"quit")
    on.press(b"q")
    assert on.exit_code() == 0
    assert held.simulator.connections == []


def test_a_signal_before_the_first_frame_is_not_lost(held):
    with terminal(*held.arguments(), **held.environ()) as on:
        on.until(PROBE.encode())
        on.program.send_signal(signal.SIGTERM)
        assert on.exit_code() == 0
    assert held.simulator.connections == []


def test_ctrl_c_while_the_terminal_is_asked_is_not_lost(held):
    on = OwnTerminal(held.simulator, held.data, ui=True)
    on.until(lambda: PROBE.encode() in on.seen)
    os.write(on.ours, b"\x03")
    assert on.end() == 0
    on.close()
    assert held.simulator.connections == []


def test_without_a_screen_a_signal_while_it_opens_ends_the_run_in_order_too(held):
    program = subprocess.Popen(
        [sys.executable, "-c", HELD, str(held.folder), "--no-ui", *held.arguments()],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", **held.environ()}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with ExitStack() as stack:
        stack.callback(program.kill)
        wait_until(held.has_begun)
        for _ in range(2):
            program.send_signal(signal.SIGTERM)
        held.release()
        said = program.communicate(timeout=PATIENCE)[1]
    assert program.returncode == 0, said
    held.left_in_order("stopped by SIGTERM")


# The part between, by itself.


class Captured:
    """Stands for a capture, and notes what is done with it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.ended = threading.Event()
        self.error = None
        self.archive = self

    def start(self) -> None:
        self.done.append("start")

    def stop(self) -> None:
        self.done.append("stop")

    def pause(self) -> None:
        self.done.append("pause")

    def stars(self) -> frozenset[str]:
        return frozenset({"x:1"})


def opening(open_capture: Callable[[], Any]) -> Opening:
    return Opening(open_capture, Settings(), demo=False)


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Calls it in a thread; what it gave or raised is put into the list."""
    got: list[object] = []

    def run() -> None:
        try:
            got.append(call())
        except Exception as error:
            got.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, got


def test_a_call_waits_until_the_capture_is_open():
    capture, go = Captured(), threading.Event()
    it = opening(lambda: go.wait(PATIENCE) and capture)
    asked, stars = in_thread(it.archive.stars)
    paused, _ = in_thread(it.pause)
    it.begin()
    it.begin()
    assert it.snapshot(0).keywords == Settings().keywords
    assert asked.is_alive()
    go.set()
    asked.join(PATIENCE)
    paused.join(PATIENCE)
    assert stars == [frozenset({"x:1"})]
    assert capture.done == ["start", "pause"]
    assert not it.finished()
    capture.ended.set()
    assert it.finished()
    it.stop()
    assert capture.done[-1] == "stop"


def test_what_hinders_it_is_raised_to_whoever_waits():
    hindrance = AlreadyOwned("in use")

    def fail() -> None:
        raise hindrance

    it = opening(fail)
    asked, stars = in_thread(it.archive.stars)
    it.begin()
    asked.join(PATIENCE)
    assert stars == [hindrance]
    assert it.finished()
    with pytest.raises(AlreadyOwned):
        it.result()


def test_a_capture_that_comes_too_late_is_closed_and_never_started():
    capture, go = Captured(), threading.Event()
    it = opening(lambda: go.wait(PATIENCE) and capture)
    it.begin()
    asked, stars = in_thread(it.archive.stars)
    stopping, _ = in_thread(it.stop)
    wait_until(lambda: it._stop_by is not None)
    go.set()
    stopping.join(PATIENCE)
    asked.join(PATIENCE)
    assert capture.done == ["stop"]
    assert it.result() is None
    assert [type(got) for got in stars] == [Unavailable]


def test_what_was_left_before_it_began_is_not_opened():
    opened: list[bool] = []
    it = opening(lambda: opened.append(True))
    it.stop()
    it.begin()
    it.stop()
    assert opened == []
    assert it.result() is None
