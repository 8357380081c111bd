"""The whole screen, as a picture, in each state and size. After a wanted change: pytest tests/ui --snapshot-update."""

from __future__ import annotations

import pytest

from core.settings import Settings, UiSettings
from tests.ui import scenes
from tui.app import Dashboard

STATES = list(scenes.STATES)
SIZES = [(120, 40), (80, 24), (200, 60)]


def dashboard(state="live", theme="bieber"):
    return Dashboard(scenes.FakeControls(scenes.STATES[state]), Settings(ui=UiSettings(theme=theme)))


async def settle(pilot):
    """Until the posts are there and the topic's terms are marked."""
    for _ in range(200):
        if pilot.app.feed.terms is not None and pilot.app.feed.ring.held == len(pilot.app._controls.posts):
            break
        await pilot.pause(0.05)
    pilot.app._ticker.stop()
    await pilot.app.workers.wait_for_complete()
    pilot.app.paint()
    await pilot.pause()


def press(*keys):
    async def before(pilot):
        await settle(pilot)
        await pilot.press(*keys)
        await pilot.app.workers.wait_for_complete()
        await pilot.pause(0.3)

    return before


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", STATES)
def test_state(snap_compare, state, size):
    assert snap_compare(dashboard(state), terminal_size=size, run_before=settle)


@pytest.mark.parametrize("size", SIZES[1:], ids=lambda size: f"{size[0]}x{size[1]}")
def test_frozen(snap_compare, size):
    """Frozen at the other sizes, with posts that have come since."""

    async def before(pilot):
        await settle(pilot)
        await pilot.press("up", "up", "up")
        pilot.app._controls.say(*scenes.rows(201, 260))
        pilot.app._tick()
        pilot.app.paint()
        await pilot.pause(0.3)

    assert snap_compare(dashboard(), terminal_size=size, run_before=before)


def test_smallest(snap_compare):
    assert snap_compare(dashboard(), terminal_size=(60, 15), run_before=settle)


@pytest.mark.parametrize("theme", ["bieber-light", "ansi-dark", "ansi-light"])
def test_theme(snap_compare, theme):
    assert snap_compare(dashboard(theme=theme), terminal_size=(120, 40), run_before=settle)


def test_no_color(snap_compare, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(dashboard(), terminal_size=(120, 40), run_before=settle)


@pytest.mark.parametrize(
    "keys",
    [("up", "up", "up"), ("k",), ("k", "end", "space", "left_parenthesis"), ("up", "enter"), ("question_mark",), ("l",),
     ("t", "slash", "j", "u")],
    ids=["frozen", "keywords", "keywords-bad", "detail", "help", "log", "filter"],
)  # fmt: skip
def test_after(snap_compare, keys):
    assert snap_compare(dashboard(), terminal_size=(120, 40), run_before=press(*keys))
