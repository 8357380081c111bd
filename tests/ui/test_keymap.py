"""Every key can be given to something else; what cannot be is told in words before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.errors import ConfigError
from core.settings import Settings, UiSettings, load
from tests.ui import scenes
from tests.ui.test_actions import screen_text, until
from tui.actions import ACTIONS, Place
from tui.app import Dashboard
from tui.keymap import ALWAYS_QUITS, SETS, resolve


@pytest.mark.parametrize("keymap", SETS)
def test_every_set_is_sound_and_reaches_every_action(keymap):
    keys = resolve(keymap)
    for action in ACTIONS:
        assert keys.of(action.id), f"{action.id} has no key"
        for place in action.places:
            for key in keys.of(action.id):
                assert keys.at(place, key) == action.id


@pytest.mark.parametrize(
    ("written", "keys", "shown"),
    [
        ("f", ("f",), "f"),
        ("F, f5", ("F", "f5"), "F, f5"),
        ("?,enter", ("question_mark", "enter"), "?, enter"),
        (["Ctrl+X", "esc"], ("ctrl+x", "escape"), "ctrl+x, esc"),
        ("alt+<", ("alt+less_than_sign",), "alt+<"),
        ("ctrl++", ("ctrl+plus",), "ctrl++"),
        (",", ("comma",), ","),
        ("PgUp", ("pageup",), "pgup"),
        ("é", ("é",), "é"),
        ("", (), ""),
    ],
)
def test_keys_are_written_as_people_write_them(written, keys, shown):
    resolved = resolve("default", {action.id: "" for action in ACTIONS} | {"raw": written})
    assert resolved.of("raw") == keys
    assert resolved.names("raw") == shown


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"freeze": "p"}, "key p would do two things in the dashboard: freeze (your settings) and pause (the default set)"),
        ({"freeze": "x", "pause": "x"}, "key x would do two things in the dashboard: pause (your settings) and freeze (your settings)"),
        ({"raw": "q"}, "in an open post: raw (your settings) and close (the default set)"),
        ({"frezze": "x"}, "no action 'frezze'"),
        ({"freeze": "ctlr+s"}, "ui.keys.freeze: there is no key 'ctlr+s'"),
        ({"freeze": "ctrl+"}, "there is no key 'ctrl+'"),
        ({"freeze": "pageupp"}, "there is no key 'pageupp'"),
        ({"freeze": ALWAYS_QUITS}, "always quits"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_words(given, words):
    with pytest.raises(ConfigError) as error:
        resolve("default", given)
    assert words in str(error.value)
    assert error.value.hint


def test_two_actions_may_exchange_their_keys():
    keys = resolve("default", {"pause": "space", "freeze": "p"})
    assert (keys.at(Place.DASHBOARD, "space"), keys.at(Place.DASHBOARD, "p")) == ("pause", "freeze")


async def test_other_keys_work_and_are_shown_everywhere():
    settings = Settings(ui=UiSettings(keymap="vim", keys={"freeze": "f7", "filter": ["F"], "star": ""}))
    app = Dashboard(scenes.FakeControls(), settings)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.ring.shown)
        await pilot.press("space", "slash", "s")
        assert not app.feed.ring.frozen and not app.stream.typing
        assert (
            "f7 freeze" in screen_text(app) and "F filter" in screen_text(app) and "K keywords" in screen_text(app)
        )
        await pilot.press("k", "k")
        assert app.feed.ring.frozen
        await pilot.press("j", "j", "j")
        assert not app.feed.ring.frozen
        await pilot.press("F")
        assert app.stream.typing
        await pilot.press("escape", "question_mark")
        await until(lambda: "ctrl+b, ctrl+u, pgup" in screen_text(app))


def test_settings_take_keys_in_each_spelling(tmp_path, monkeypatch):
    profile = tmp_path / "mine.toml"
    profile.write_text('[ui]\nkeymap = "emacs"\n[ui.keys]\nfreeze = ["f", "space"]\nstar = "x"\n')
    monkeypatch.setenv("BIEBER_TUI_UI__KEYS__PAUSE", "P")
    loaded = load({"ui.keys.star": "X"}, str(profile)).ui
    assert loaded.keymap == "emacs"
    assert loaded.keys == {"freeze": ["f", "space"], "star": "X", "pause": "P"}


def test_a_conflict_is_refused_before_anything_starts(tmp_path):
    import pty

    ours, theirs = pty.openpty()
    data = tmp_path / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "demo", "--data-dir", str(data), "--set", "ui.keys.freeze=p"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=120,
    )  # fmt: skip
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 2
    assert "the key p would do two things" in said
    assert not data.exists()
