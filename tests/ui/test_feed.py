"""The feed as it is read: frozen it neither moves nor loses the way back, filtered it works in every mode."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.command import CommandList

from core.filter import Wanted, compile_filter
from core.post import Ref
from core.settings import Settings, UiSettings
from core.snapshot import Verdict
from tests.ui import scenes
from tests.ui.test_actions import app_with, until
from tui.app import Dashboard
from tui.dialogs.detail import PostSheet, draw_post
from tui.feed_text import draw_empty
from tui.keymap import resolve
from tui.ring import Ring, Show

KEYS = resolve()


def look_for(ring: Ring, wanted: Wanted) -> None:
    ring.look_for(wanted, compile_filter(wanted))


def text(lines) -> str:
    return "\n".join("".join(part for part, _ in line) for line in lines)


def test_the_filter_works_on_a_frozen_feed_and_what_waits_is_counted_by_it():
    ring = Ring(1000)
    ring.add(scenes.rows(1, 100))
    ring.freeze()
    look_for(ring, Wanted("ORCHESTRA"))
    shown = len(ring.shown)
    assert 0 < shown < 20
    ring.add(scenes.rows(101, 200))
    assert len(ring.shown) == shown
    assert 0 < ring.waiting < 20
    look_for(ring, Wanted())
    assert ring.waiting == sum(row.verdict is not Verdict.FILTERED for row in scenes.rows(101, 200))


def test_what_waits_is_appended_to_a_frozen_list_which_stays_bounded():
    ring = Ring(50)
    ring.show = Show.ALL
    ring.add(scenes.rows(1, 50))
    ring.freeze()
    gone = 0
    for start in range(51, 251, 50):
        ring.add(scenes.rows(start, start + 49))
        gone += ring.pull()
        assert ring.waiting == 0
        assert ring.held <= 100
    assert ring.shown[-1].seq == 250
    assert gone == 150


async def test_at_the_end_of_a_frozen_feed_down_goes_on_with_what_came_and_then_follows():
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", "down")
        newest = app.feed.current().seq
        controls.say(*scenes.rows(201, 205))
        await until(lambda: app.feed.ring.waiting)
        await pilot.press("down")
        assert app.feed.ring.frozen
        assert app.feed.current().seq > newest
        for _ in range(6):
            await pilot.press("down")
        assert not app.feed.ring.frozen


async def test_another_mode_keeps_the_row_that_was_read_in_view():
    app = app_with()
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("home", "pagedown", "pagedown")
        await pilot.pause()
        reading, line = app.feed.current(), app.feed._cursor_index() - app.feed._top
        for show in (Show.CONTEXT, Show.ALL, Show.MATCHED):
            await pilot.press("t")
            assert app.feed.ring.show is show
            assert app.feed.current() is reading
            assert app.feed._cursor_index() - app.feed._top == line


async def test_left_and_right_go_to_the_neighbours_of_an_open_post():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", "up", "enter")
        sheet = app.screen
        assert isinstance(sheet, PostSheet)
        first = sheet.row.seq
        await pilot.press("left")
        assert sheet.row.seq < first
        await pilot.press("right")
        assert sheet.row.seq == first


async def test_the_palette_finds_an_action_by_its_words_and_runs_it():
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("ctrl+p", *"freeze")
        await until(lambda: app.screen.query_one(CommandList).highlighted is not None)
        await pilot.press("enter")
        await until(lambda: app.feed.ring.frozen)


async def test_an_unknown_theme_is_told_and_the_own_one_used():
    app = Dashboard(scenes.FakeControls(), Settings(ui=UiSettings(theme="no-such")))
    async with app.run_test(size=(120, 40), notifications=True):
        assert app.theme == "bieber"
        await until(lambda: any("no-such" in note.message for note in app._notifications))


def test_a_post_is_shown_whole_and_disarmed():
    row = scenes.row(12)
    post = replace_post(
        row,
        text="one\ntwo \x1b[31m " + "long " * 60,
        quoted_text="what was quoted",
        mentions=("ana",),
        refs=(Ref("replied_to", "42"),),
        edit_of="41",
        links=("https://example.org/\x1b]8;;evil",),
    )
    drawn = text(draw_post(row.but(post=post, backfilled=True), 70))
    assert drawn.count("long") == 60
    for words in ("what was quoted", "@ana", "answers", "42", "edit of", "to fill a gap", "␛"):
        assert words in drawn
    assert "\x1b" not in drawn


def replace_post(row, **fields):
    import msgspec

    return msgspec.structs.replace(row.post, **fields)


def test_an_empty_feed_says_what_is_waited_for_in_each_case():
    ring = Ring(100)
    assert "Waiting for the first post" in text(draw_empty(scenes.EMPTY, ring, None, 80, KEYS))
    assert "paused" in text(draw_empty(replace(scenes.PAUSED, last_seq=0), ring, None, 80, KEYS))
    assert "has ended" in text(draw_empty(replace(scenes.STOPPED, last_seq=0), ring, None, 80, KEYS))
    assert "none of them is about" in text(draw_empty(scenes.LIVE, ring, None, 80, KEYS))
    assert "Waiting 12 s" in text(draw_empty(replace(scenes.WAITING, last_seq=0), ring, None, 80, KEYS))
    look_for(ring, Wanted("zzz"))
    assert "clear the filter" in text(draw_empty(scenes.LIVE, ring, None, 80, KEYS))


async def drag(pilot, start: tuple[int, int], end: tuple[int, int]) -> None:
    await pilot.mouse_down("#feed", offset=start)
    await pilot.hover("#feed", offset=end)
    await pilot.mouse_up("#feed", offset=end)


async def test_what_is_selected_with_the_mouse_is_copied_and_opens_nothing(monkeypatch):
    monkeypatch.delenv("TMUX", raising=False)
    controls = scenes.FakeControls()
    app = app_with(controls)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        shown = [app.feed.render_line(y).text for y in (2, 3, 4)]
        await drag(pilot, (3, 2), (44, 4))
        await until(lambda: app.clipboard)
        assert app.clipboard.splitlines() == [shown[0][3:].rstrip(), shown[1].rstrip(), shown[2][:45].rstrip()]
        assert app.feed.ring.frozen  # what one selects stands still
        controls.say(*scenes.rows(201, 240))
        await until(lambda: app.feed.ring.waiting)
        assert app.feed.render_line(2).text == shown[0]
        await pilot.pause(0.3)
        assert len(app.screen_stack) == 1


@pytest.mark.parametrize("theme", ["bieber", "bieber-light", "ansi-dark"])
async def test_what_is_selected_can_be_read(theme):
    app = app_with(theme=theme)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        before = [segment.style for segment in app.feed.render_line(2)]
        await drag(pilot, (31, 2), (60, 2))
        styles = [segment.style for segment in app.feed.render_line(2)]
        backs = {style.bgcolor for style in styles}
        assert len(backs) > len({style.bgcolor for style in before})
        assert all(style.color is None or style.color != style.bgcolor for style in styles)


async def test_a_panel_and_a_post_can_be_selected_from_as_well(monkeypatch):
    monkeypatch.delenv("TMUX", raising=False)
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.mouse_down("#side", offset=(2, 0))
        await pilot.hover("#side", offset=(12, 0))
        await pilot.mouse_up("#side", offset=(12, 0))
        await until(lambda: "CONNECTION".startswith(app.clipboard) and app.clipboard)
        await pilot.press("up", "enter")
        row = app.feed.current()
        await pilot.mouse_down(".page", offset=(0, 2))
        await pilot.hover(".page", offset=(10, 2))
        await pilot.mouse_up(".page", offset=(10, 2))
        await until(lambda: app.clipboard and row.post.text.startswith(app.clipboard))


async def test_a_higher_screen_does_not_freeze_the_feed():
    app = app_with()
    async with app.run_test(size=(120, 24)) as pilot:
        await until(lambda: app.feed.virtual_size.height > 30)
        for size in ((120, 50), (120, 20), (80, 30), (120, 30)):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.2)
            await until(lambda: app.feed.render_line(app.feed.size.height - 1).text.strip().startswith("12:41"))
            assert not app.feed.ring.frozen
        await pilot.press("2", "4", "1")
        await pilot.pause(0.2)
        assert not app.feed.ring.frozen
