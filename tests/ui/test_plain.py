"""Small, slow and plain terminals: ASCII only, no animation, and the smallest size with every dialog."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from core.settings import Settings, UiSettings
from tests.ui import scenes
from tests.ui.test_actions import app_with, screen_text, until
from tui.app import Dashboard

DIALOGS = [
    (),
    ("enter",),
    ("l",),
    ("w",),
    ("h",),
    ("H",),
    ("k",),
    ("question_mark",),
    ("colon",),
    ("ctrl+p",),
    ("slash", "x"),
    ("4",),
    ("3",),
]


def ascii_posts(moment):
    """The moment with posts that hold nothing but ASCII."""
    rows = tuple(
        row.but(post=msgspec.structs.replace(row.post, text=f"about music {row.seq} " * 9)) for row in moment.rows
    )
    tops = tuple(
        replace(top, names=tuple((name, number) for name, number in top.names if name.isascii()))
        for top in moment.window.tops
    )
    return replace(moment, rows=rows, window=replace(moment.window, tops=tops))


@pytest.mark.parametrize("keys", DIALOGS, ids=lambda keys: "-".join(keys) or "none")
async def test_with_ui_ascii_everything_that_is_drawn_is_ascii(keys):
    app = Dashboard(scenes.FakeControls(ascii_posts(scenes.STORE_DOWN)), Settings(ui=UiSettings(ascii=True)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", *keys)
        await pilot.pause(0.3)
        # Every line that goes to the terminal, borders and scroll bars included.
        strips = app.screen._compositor.render_strips()
        painted = "\n".join("".join(segment.text for segment in strip) for strip in strips)
        assert {char for char in painted if ord(char) > 126} == set()
        assert all(strip.cell_length == 120 for strip in strips)


@pytest.mark.parametrize("state", scenes.STATES)
async def test_every_state_has_ascii_signs(state):
    app = Dashboard(scenes.FakeControls(ascii_posts(scenes.STATES[state])), Settings(ui=UiSettings(ascii=True)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.5)
        assert screen_text(app).isascii()


@pytest.mark.parametrize("keys", DIALOGS, ids=lambda keys: "-".join(keys) or "none")
async def test_everything_can_be_used_on_the_smallest_screen(keys):
    app = app_with()
    async with app.run_test(size=(60, 15)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("up", *keys)
        await pilot.pause(0.3)
        assert app.feed.size.height >= 8
        for widget in app.screen.walk_children():
            if widget.display and widget.region.area:
                assert app.screen.region.contains_region(widget.region), widget
        await pilot.press("escape")
        await pilot.press("escape")
        await until(lambda: len(app.screen_stack) == 1)


async def test_without_animation_nothing_glides():
    app = Dashboard(scenes.FakeControls(), Settings(ui=UiSettings(animation=False)))
    async with app.run_test(size=(80, 24)):
        assert app.animation_level == "none"
