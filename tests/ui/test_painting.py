"""A key is answered at once, and a fast stream costs what is seen of it. Counts of work, never milliseconds."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from textual.screen import Screen
from textual.strip import Strip

from core.settings import Settings
from core.snapshot import FeedRow, Verdict
from tests.ui import scenes
from tests.ui.test_actions import app_with, until
from tui.app import Dashboard
from tui.painted import own_style
from tui.ring import Show


async def test_what_a_key_does_is_painted_without_waiting_for_the_clock_of_frames(monkeypatch):
    app = app_with()
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: app.feed.ring.shown)
        app._ticker.stop()
        await pilot.pause()
        await until(lambda: not app.screen._dirty_widgets)
        beats, frames = [], []
        monkeypatch.setattr(app.screen._update_timer, "resume", lambda: beats.append(1))  # the clock stands still
        title = app.stream.query_one("#title")
        monkeypatch.setattr(app, "post_display_hook", lambda: frames.append(title.lines))
        await pilot.press("space")
        await until(lambda: frames)
        assert any("frozen" in text for line in frames[0] for text, _ in line)
        assert len(frames) == 1


async def test_the_style_of_a_widget_is_added_up_once_and_anew_when_anything_around_it_changes(monkeypatch):
    app = app_with()
    async with app.run_test(size=(120, 30)) as pilot:
        await until(lambda: app.feed.ring.shown)
        app._ticker.stop()
        await pilot.pause()
        made = []
        whole = Screen.rich_style.fget
        monkeypatch.setattr(type(app.feed), "rich_style", property(lambda self: made.append(1) or whole(self)))
        assert own_style(app.feed) == whole(app.feed)
        made.clear()
        for _ in range(50):
            own_style(app.feed)
        assert not made
        for theme in ("bieber", "textual-light", "nord"):
            app.theme = theme
            await pilot.pause()
            assert own_style(app.feed) == whole(app.feed)
        app.screen.styles.background = "#123456"  # not its own style, but it shows through
        assert own_style(app.feed) == whole(app.feed)


@pytest.mark.parametrize(("show", "most"), [(Show.MATCHED, 0), (Show.ALL, 40)])
async def test_of_thousands_of_posts_in_a_tick_only_those_on_the_screen_are_decoded(show, most):
    decoded = []

    def lazy(seq: int) -> FeedRow:
        row = scenes.row(seq)

        def read(_):
            decoded.append(seq)
            return row.post

        return FeedRow(seq, None, Verdict.FILTERED, (), row.received_at, False, b"raw", read)

    app = Dashboard(scenes.FakeControls(replace(scenes.LIVE, rows=())), Settings())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app._ticker is not None)
        app.feed.ring.show = show
        for first in range(1, 5001, 1000):
            app.feed.add([lazy(seq) for seq in range(first, first + 1000)])
        await pilot.pause()
        await pilot.pause(0.1)
        assert app.feed.ring.held == min(5000, app.feed.ring.capacity)
        assert len(decoded) <= most
        assert bool(decoded) == bool(most)


async def test_a_row_that_comes_is_made_into_two_strips_and_marked_for_no_mouse(monkeypatch):
    """Most of what a row costs are the strips that it goes through: its own, and that in the terminal's colours."""
    app = app_with()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        app._ticker.stop()
        await pilot.pause()
        made, marked = [], []
        init, offsets = Strip.__init__, Strip.apply_offsets
        monkeypatch.setattr(Strip, "__init__", lambda self, *args: made.append(1) or init(self, *args))
        monkeypatch.setattr(Strip, "apply_offsets", lambda self, *args: marked.append(1) or offsets(self, *args))
        height = app.feed.size.height
        app.feed.add(scenes.rows(1001, 1000 + height))
        await until(lambda: not app.screen._dirty_widgets)
        await pilot.pause()
        assert 0 < len(made) <= 5 * height + 10  # the scroll bar, which is told of more rows, has three a line
        assert not marked
        assert app.feed.render_line(3).text.strip()
        assert marked  # the mouse, when it comes
