"""The event loop draws, and waits for nothing: no disk, no database, no network, no other program.

Whatever may block is done in threads. Watched here: every call of the capture's controls, and every file, socket,
database and process that Python opens while each action of the table is done. Only loading code is let pass.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from core.errors import Unavailable
from core.settings import Settings
from core.snapshot import Snapshot
from tests.ui import scenes
from tests.ui.test_actions import until
from tests.ui.test_pictures import idle, settle
from tui.actions import ACTIONS, Place
from tui.app import Dashboard

EVENTS = (
    "open", "os.listdir", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.chmod", "os.truncate",
    "sqlite3.connect", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.exec",
    "os.posix_spawn", "os.fork", "webbrowser.open", "time.sleep",
)  # fmt: skip
CODE = (".py", ".pyc", ".so")


class Watch:
    """What the watched thread has done that may block."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.seen: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.thread is None or event not in EVENTS or threading.get_ident() != self.thread:
            return
        if loads_code(event, arguments):
            return
        self.seen.append(f"{event} {arguments}")

    def called(self, what: str) -> None:
        """One of the capture's calls that may block was made."""
        if threading.get_ident() == self.thread:
            self.seen.append(what)


def loads_code(event: str, arguments: tuple[Any, ...]) -> bool:
    path = str(arguments[0]) if arguments else ""
    if event == "open":
        return path.endswith(CODE) or ".pyc." in path
    return event in ("os.listdir", "os.scandir") and (path in sys.path or (Path(path) / "__init__.py").exists())


WATCH = Watch()
sys.addaudithook(WATCH.hook)  # for good: a hook cannot be taken away


class Watched:
    """Controls, or an archive, whose calls are told to the watch."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._behind, name)
        if name == "archive":
            return Watched(found)
        if name == "snapshot" or not callable(found):
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            WATCH.called(name)
            return found(*arguments, **more)

        return call


WAYS = {
    Place.DASHBOARD: ("up", "up"),
    Place.FILTER: ("slash", "m"),
    Place.POST: ("up", "enter"),
    Place.SHEET: ("l",),
    Place.WINDOW: ("w",),
    Place.QUERY: ("k",),
    Place.COMMAND: ("colon", "l", "o"),
}


@pytest.mark.parametrize("place", WAYS, ids=str)
async def test_no_action_makes_it_wait(tmp_path, monkeypatch, place):
    monkeypatch.setenv("SSH_CONNECTION", "a b c d")  # no browser is started for real
    app = Dashboard(Watched(scenes.FakeControls()), Settings(data_dir=tmp_path), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        WATCH.seen.clear()
        WATCH.thread = threading.get_ident()
        try:
            for action in (one for one in ACTIONS if place in one.places and one.id != "quit"):
                if app.place is not place:
                    while len(app.screen_stack) > 1:
                        app.pop_screen()
                    await pilot.press(*WAYS[place])
                    assert app.place is place, action.id
                app.do(action.id)
                await idle(pilot)
                app.paint()
                assert WATCH.seen == [], action.id
        finally:
            WATCH.thread = None


def test_every_place_has_a_way_there():
    assert set(WAYS) == set(Place) - {Place.OTHER}


async def test_what_would_block_is_seen(tmp_path):
    controls = scenes.FakeControls()
    WATCH.seen.clear()
    WATCH.thread = threading.get_ident()
    try:
        (tmp_path / "file").write_text("")
        Watched(controls).pause()
        Watched(controls).archive.stars()
        Watched(controls).snapshot(0)
    finally:
        WATCH.thread = None
    assert [words.partition(" ")[0] for words in WATCH.seen] == ["open", "pause", "stars"]


class Hanging:
    """Controls, or an archive, whose calls do not come back before the test says so."""

    def __init__(self, behind: scenes.FakeControls, go: threading.Event) -> None:
        self._behind, self._go = behind, go
        self.archive = self

    def snapshot(self, since: int) -> Snapshot:
        return self._behind.snapshot(since)

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any) -> Any:
            self._go.wait()
            raise Unavailable("it hung")

        return call


async def test_a_disk_a_store_and_a_network_that_hang_leave_the_screen_alive(tmp_path):
    controls, go = scenes.FakeControls(), threading.Event()
    app = Dashboard(Hanging(controls, go), Settings(data_dir=tmp_path), folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        # pause; a star; a post; a search in everything stored; other keywords
        for keys in (
            ("p",),
            ("up", "s", "enter", "escape"),
            ("slash", "m", "u", "enter"),
            ("escape",),
            ("k", "enter"),
        ):
            await pilot.press(*keys)
        assert app.jobs.busy
        controls.say(scenes.row(201))
        await until(lambda: app.feed.ring.newest and app.snapshot.last_seq == 201)
        go.set()
