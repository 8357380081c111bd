"""The whole screen, as a picture, in each state and size. After a wanted change: pytest tests/ui --snapshot-update."""

from __future__ import annotations

import pytest

from core.settings import Settings, UiSettings
from tests.ui import scenes
from tests.ui.test_actions import until
from tui.app import Dashboard

STATES = list(scenes.STATES)
SIZES = [(120, 40), (80, 24), (200, 60)]


def dashboard(state="live", theme="bieber"):
    controls = scenes.FakeControls(scenes.STATES[state])
    controls.archive.starred = {scenes.row(number).post.key for number in (190, 186, 120)}
    return Dashboard(controls, Settings(ui=UiSettings(theme=theme)))


async def idle(pilot):
    """Until no job is at work."""
    await pilot.pause()
    while pilot.app.jobs.busy:
        await pilot.pause(0.02)


async def settle(pilot):
    """Until the posts are there and the topic's terms are marked."""

    def there() -> bool:
        known = pilot.app.feed.terms is not None or not pilot.app._controls.posts
        begun = pilot.app._ticker is not None
        return begun and known and pilot.app.feed.ring.held == len(pilot.app._controls.posts)

    await until(there)
    pilot.app._ticker.stop()
    await idle(pilot)
    pilot.app.paint()
    await pilot.pause()


def press(*keys):
    async def before(pilot):
        await settle(pilot)
        await pilot.press(*("space" if key == " " else key for key in keys))
        await idle(pilot)
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


AFTER = {
    "frozen": ("up", "up", "up"),
    "keywords": ("k", "end", *" OR fridge"),
    "keywords-bad": ("k", "end", "space", "left_parenthesis"),
    "detail": ("up", "enter"),
    "detail-raw": ("up", "enter", "r"),
    "help": ("question_mark",),
    "log": ("l",),
    "window": ("w", "right", "down"),
    "health": ("h",),
    "gaps": ("H",),
    "life": ("c", "d"),
    "filter": ("t", "t", "slash", *"orch"),
    "filter-bad": ("slash", "tab", "tab", *"orch("),
    "context": ("t", "slash", *"orch", "down"),
    "starred": ("S",),
    "stored": ("slash", *"orch", "enter", "up", "up"),
    "command": ("colon", *"lay"),
    "layout-2": ("2",),
    "layout-3": ("3",),
    "layout-4": ("4", "up", "up"),
    "zoom": ("tab", "z"),
}


@pytest.mark.parametrize("name", AFTER)
def test_after(snap_compare, name):
    assert snap_compare(dashboard(), terminal_size=(120, 40), run_before=press(*AFTER[name]))


@pytest.mark.parametrize(
    "name", ["keywords", "detail", "help", "filter", "stored", "command", "window", "health", "gaps", "life"]
)
def test_smallest_after(snap_compare, name):
    assert snap_compare(dashboard(), terminal_size=(60, 15), run_before=press(*AFTER[name]))


@pytest.mark.parametrize("name", ["window", "health", "gaps", "life"])
def test_medium_after(snap_compare, name):
    assert snap_compare(dashboard(), terminal_size=(80, 24), run_before=press(*AFTER[name]))


def test_window_at_large(snap_compare):
    assert snap_compare(dashboard(), terminal_size=(200, 50), run_before=press("w", "d", "d"))


@pytest.mark.parametrize("state", ["waiting", "store-down", "disk-full", "stopped", "paused", "slowed"])
def test_health_in(snap_compare, state):
    assert snap_compare(dashboard(state), terminal_size=(80, 24), run_before=press("h"))


@pytest.mark.parametrize("state", ["store-down", "disk-full", "waiting"])
def test_trouble_at_the_smallest(snap_compare, state):
    assert snap_compare(dashboard(state), terminal_size=(60, 15), run_before=settle)


@pytest.mark.parametrize("keys", ["w", "h"])
def test_plain(snap_compare, monkeypatch, keys):
    """Without colours, in ASCII."""
    monkeypatch.setenv("NO_COLOR", "1")
    app = Dashboard(scenes.FakeControls(scenes.WAITING), Settings(ui=UiSettings(ascii=True)))
    assert snap_compare(app, terminal_size=(80, 24), run_before=press(keys))


def test_ascii(snap_compare):
    app = Dashboard(scenes.FakeControls(), Settings(ui=UiSettings(ascii=True)))
    assert snap_compare(app, terminal_size=(120, 40), run_before=press("up", "enter"))


def test_selected(snap_compare):
    async def before(pilot):
        await settle(pilot)
        await pilot.mouse_down("#feed", offset=(31, 4))
        await pilot.hover("#feed", offset=(50, 6))
        pilot.app.clear_notifications()
        await pilot.pause(0.3)

    assert snap_compare(dashboard(), terminal_size=(120, 40), run_before=before)


async def test_a_change_of_theme_repaints_everything():
    """As if it had begun with that theme."""

    def screen(app: Dashboard) -> list[list[object]]:
        return [list(strip) for strip in app.main_screen._compositor.render_strips()]

    changed = dashboard()
    async with changed.run_test(size=SIZES[0]) as pilot:
        await settle(pilot)
        for theme in ("bieber-light", "ansi-dark", "nord"):
            changed.theme = theme
            await pilot.pause()
            begun = dashboard(theme=theme)
            async with begun.run_test(size=SIZES[0]) as other:
                await settle(other)
                assert screen(changed) == screen(begun), theme
