"""What the screen remembers of a data folder is private, whole, and never in the way."""

from __future__ import annotations

import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.filter import Mode
from core.settings import Settings
from tests.ui import scenes
from tests.ui.test_actions import app_with, key_of, screen_text, until
from tui.app import Dashboard
from tui.memory import FILE_NAME, KEPT, Memory, added, load, save
from tui.ring import Show

FULL = Memory(
    theme="bieber-light", layout=4, hidden=("side",), show=Show.CONTEXT, reading=Mode.QUERY,
    queries=(('"justin bieber"', "music"),), commands=("pause",),
)  # fmt: skip


def test_what_was_saved_is_loaded_and_nobody_else_may_read_it(tmp_path):
    assert save(tmp_path / "data", lambda: FULL) == ""
    path = tmp_path / "data" / FILE_NAME
    assert load(tmp_path / "data") == (FULL, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert save(tmp_path / "data", Memory) == ""  # shorter than before
    assert load(tmp_path / "data") == (Memory(), "")
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]


def test_nothing_is_remembered_of_a_new_folder(tmp_path):
    assert load(tmp_path / "none") == (Memory(), "")


@given(st.binary(max_size=200).filter(lambda content: not content.strip().startswith(b"{")))
def test_a_damaged_file_is_put_aside_and_told(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("data")
    (folder / FILE_NAME).write_bytes(content)
    memory, problem = load(folder)
    assert memory == Memory()
    assert "could not be read" in problem
    assert (folder / f"{FILE_NAME}.damaged").read_bytes() == content
    assert load(folder) == (Memory(), "")


@pytest.mark.parametrize("content", ['{"layout": "wide"}', '{"show": "none"}', "[1]", '{"queries": [["one"]]}'])
def test_a_file_of_other_kinds_of_values_is_damaged_too(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    assert load(tmp_path)[0] == Memory()
    assert load(tmp_path)[1] == ""


def test_fields_of_a_newer_version_are_no_damage(tmp_path):
    (tmp_path / FILE_NAME).write_text('{"layout": 2, "panels_of_tomorrow": true}')
    assert load(tmp_path) == (Memory(layout=2), "")


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path):
    (tmp_path / "data").write_text("a file")
    assert "could not be written" in save(tmp_path / "data", lambda: FULL)


def test_the_last_of_many_writers_wins_whole(tmp_path):
    latest = [Memory(layout=1)]

    def write(number: int) -> None:
        latest[0] = Memory(layout=number)
        save(tmp_path, lambda: latest[0])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert load(tmp_path) == (latest[0], "")


def test_a_history_has_each_once_and_forgets_the_oldest():
    history: tuple = ()
    for number in [*range(60), 58]:
        history = added(history, number)
    assert len(history) == KEPT
    assert history[-2:] == (59, 58)


async def test_a_damaged_file_is_told_on_the_screen_and_in_the_log():
    app = Dashboard(scenes.FakeControls(), Settings(), problem="ui.json could not be read")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(lambda: any("ui.json" in note.message for note in app._notifications))
        app.clear_notifications()
        await until(lambda: "ui.json" not in screen_text(app))
        await pilot.press(key_of("log"))
        await until(lambda: "ui.json could not be read" in screen_text(app))


async def test_the_screen_starts_as_it_was_left(tmp_path):
    app = app_with(theme="bieber", memory=FULL, folder=tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        assert app.feed.ring.show is Show.CONTEXT
        assert app.stream.mode is Mode.QUERY
        assert app.query_one("#beside").region.area
        await pilot.press(key_of("filter"))
        await until(lambda: "query" in screen_text(app))
