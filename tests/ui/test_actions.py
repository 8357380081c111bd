"""Every action of the table does what its description says; an action without a test here is a failure."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from textual.widgets import Input

from core.errors import SourceRefused
from core.settings import Settings, UiSettings
from tests.ui import scenes
from tui.actions import ACTIONS
from tui.app import Dashboard


def app_with(controls=None, theme="bieber", **more) -> Dashboard:
    return Dashboard(controls or scenes.FakeControls(), Settings(ui=UiSettings(theme=theme)), **more)


TESTED: set[str] = set()


def does(*ids: str):
    """This test shows that these actions do what they say."""
    TESTED.update(ids)
    return lambda test: test


async def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not true in time"
        await asyncio.sleep(0.02)


def key_of(action_id: str) -> str:
    return next(action.keys[0] for action in ACTIONS if action.id == action_id)


@does("freeze")
async def test_freeze_keeps_the_feed_and_not_the_capture_and_follows_again():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("freeze"))
        assert app.feed.ring.frozen
        before = list(app.feed.ring.shown)
        controls.say(*scenes.rows(201, 210))
        await until(lambda: app.feed.ring.waiting)
        assert app.feed.ring.shown == before
        assert "pause" not in controls.calls
        await pilot.press(key_of("freeze"))
        assert not app.feed.ring.frozen
        assert app.feed.ring.shown[-1].seq >= 201


@does("pause")
async def test_pause_closes_the_capture_and_resumes_it():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("pause"))
        await until(lambda: controls.calls == ["pause"])
        await until(lambda: app._snapshot.paused)
        await pilot.press(key_of("pause"))
        await until(lambda: controls.calls == ["pause", "resume"])


@does("keywords")
async def test_keywords_changes_the_query_without_a_restart():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("keywords"))
        await until(lambda: len(app.screen_stack) == 2)
        await pilot.press("end", "space", "x")
        await pilot.press("enter")
        await until(lambda: controls.changed is not None)
        assert controls.changed == ('"justin bieber" x', controls.moment.topic)
        await until(lambda: len(app.screen_stack) == 1)


async def test_a_bad_query_is_not_applied_and_what_x_says_is_shown_in_place():
    def refuse(keywords, topic):
        raise SourceRefused("X does not take it", "shorten it")

    controls = scenes.FakeControls(on_change=refuse)
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("k")
        await until(lambda: len(app.screen_stack) == 2)
        await pilot.press("end", "space", "left_parenthesis", "enter")
        await pilot.pause()
        assert "change_query" not in controls.calls
        assert len(app.screen_stack) == 2
        await pilot.press("backspace", "y", "enter")
        await until(lambda: "change_query" in controls.calls)
        await until(lambda: "X does not take it" in app.export_screenshot().replace("&#160;", " "))
        assert len(app.screen_stack) == 2
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


@does("filter", "clear")
async def test_filter_shows_only_what_has_it_while_one_types_and_clear_shows_all():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        every = len(app.feed.ring.shown)
        await pilot.press(key_of("filter"), *"orchestra")
        await until(lambda: app.feed.ring.needle == "orchestra")
        assert 0 < len(app.feed.ring.shown) < every
        assert all("orchestra" in row.post.text for row in app.feed.ring.shown)
        await pilot.press("enter")
        assert app.focused is app.feed
        await pilot.press(key_of("clear"))
        await until(lambda: app.feed.ring.needle == "")
        assert len(app.feed.ring.shown) == every
        assert app.query_one("#filter", Input).value == ""


@does("mode")
async def test_mode_goes_between_all_and_matched():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        matched = len(app.feed.ring.shown)
        await pilot.press(key_of("mode"))
        assert len(app.feed.ring.shown) > matched
        await pilot.press(key_of("mode"))
        assert len(app.feed.ring.shown) == matched


@does("open", "log", "help", "palette")
@pytest.mark.parametrize(("action", "screens"), [("open", 2), ("log", 2), ("help", 2), ("palette", 2)])
async def test_a_dialog_opens_and_escape_leaves_it(action, screens):
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        if action == "open":
            await pilot.press("up")
        await pilot.press(key_of(action))
        await until(lambda: len(app.screen_stack) == screens)
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)


@does("up", "page_up", "oldest", "newest")
@pytest.mark.parametrize("action", ["up", "page_up", "oldest"])
async def test_going_up_freezes(action):
    app = app_with()
    async with app.run_test(size=(120, 20)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of(action))
        assert app.feed.ring.frozen
        await pilot.press(key_of("newest"))
        assert not app.feed.ring.frozen


@does("down", "page_down")
@pytest.mark.parametrize("action", ["down", "page_down"])
async def test_going_down_moves_the_cursor_towards_the_newest(action):
    app = app_with()
    async with app.run_test(size=(120, 20)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("home")
        first = app.feed.current()
        await pilot.press(key_of(action))
        assert app.feed.current().seq > first.seq


@does("theme")
async def test_theme_goes_through_them():
    app = app_with()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key_of("theme"))
        assert app.theme == "bieber-light"


@does("quit")
@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_quit_flushes_and_leaves(key):
    assert key in next(action.keys for action in ACTIONS if action.id == "quit")
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        await until(controls.stopped.is_set)
        await until(lambda: app.return_code is not None or not app.is_running)
    assert controls.calls == ["stop"]


async def test_the_end_of_a_limited_run_leaves_by_itself():
    controls = scenes.FakeControls()
    finished = threading.Event()
    app = app_with(controls, finished=finished.is_set)
    async with app.run_test(size=(80, 24)):
        finished.set()
        await until(controls.stopped.is_set)


async def test_a_capture_that_an_error_ended_stays_on_the_screen_with_the_reason():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        controls.moment = scenes.STOPPED
        await until(lambda: "STOPPED: X refused the token" in app.export_screenshot().replace("&#160;", " "))
        await pilot.pause(1.0)
        assert app.is_running
        assert controls.calls == []


async def test_the_row_that_one_reads_never_moves_also_when_the_ring_wraps():
    controls = scenes.FakeControls()
    app = Dashboard(controls, Settings(ui=UiSettings(feed_size=100)))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", "up", "up")
        reading = app.feed.current()
        shown = [app.feed.render_line(y).text for y in range(app.feed.size.height)]
        for start in range(201, 900, 100):
            controls.say(*scenes.rows(start, start + 99))
            await until(lambda last=start + 99: app._seq >= last)
        assert app.feed.current() is reading
        assert [app.feed.render_line(y).text for y in range(app.feed.size.height)] == shown
        assert app.feed.ring.waiting > 100


async def test_a_wheel_up_freezes_and_a_click_opens_a_row():
    app = app_with()
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: len(app.feed.ring.shown) > 30)
        app.feed._on_mouse_scroll_up(_wheel(app))
        await until(lambda: app.feed.ring.frozen)
        await pilot.click("#feed", offset=(30, 3))
        await until(lambda: len(app.screen_stack) == 2)


def _wheel(app):
    from textual.events import MouseScrollUp

    return MouseScrollUp(app.feed, 5, 5, 0, -1, 0, False, False, False)


@does("step", "rewind", "forward", "slower", "faster")
async def test_a_replay_is_moved_by_its_keys():
    replay = scenes.FakeReplay()
    app = app_with(replay)
    async with app.run_test(size=(120, 40)) as pilot:
        for action, told in (
            ("step", "step"),
            ("rewind", "seek -60"),
            ("forward", "seek +60"),
            ("slower", "speed -1"),
            ("faster", "speed +1"),
        ):
            await pilot.press(key_of(action))
            await until(lambda told=told: replay.calls == [told])
            replay.calls.clear()


async def test_a_replay_that_goes_back_empties_the_feed():
    replay = scenes.FakeReplay()
    app = app_with(replay)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press(key_of("freeze"))
        first = scenes.rows(1, 8)
        replay.posts = list(first)
        replay.moment = replace(replay.moment, epoch=1, last_seq=8)
        await until(lambda: app.feed.ring.held == 8)
        assert not app.feed.ring.frozen
        assert {row.seq for row in app.feed.ring.shown} <= set(range(1, 9))


async def test_without_a_replay_its_actions_are_neither_offered_nor_done():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(key_of("step"), key_of("rewind"))
        assert app._controls.calls == []
        await pilot.press(key_of("help"))
        await pilot.pause()
        assert "minute of the recording" not in app.export_screenshot().replace("&#160;", " ")


async def test_every_key_of_the_table_calls_its_action_and_only_that():
    called: list[str] = []
    app = app_with(scenes.FakeReplay())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        for action in ACTIONS:
            # Textual binds the palette's key itself, under its own name.
            method = "action_command_palette" if action.id == "palette" else f"action_{action.id}"
            setattr(app, method, lambda name=action.id: called.append(name))
        for action in ACTIONS:
            for key in action.keys:
                called.clear()
                await pilot.press(key)
                await until(lambda: called)
                assert called == [action.id], key


def test_no_action_is_forgotten():
    """A new action of the table needs a test of what it does: mark it with @does."""
    assert {action.id for action in ACTIONS} == TESTED
