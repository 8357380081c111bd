"""Twenty things that one wants of the dashboard, each done with exactly the keys that docs/dashboard.md counts.

The table of the docs: python -m tests.ui.test_tasks
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.settings import Settings, UiSettings
from tests.ui import scenes
from tests.ui.test_actions import screen_text, until
from tui.app import Dashboard
from tui.keymap import key_name

DOC = Path(__file__).parents[2] / "docs" / "dashboard.md"


@dataclass(frozen=True)
class Scene:
    """The dashboard after the keys."""

    app: Dashboard
    controls: scenes.FakeControls
    folder: Path

    def says(self, *words: str) -> bool:
        said = screen_text(self.app)
        return all(word in said for word in words)

    def lists(self, accepts: Callable[[scenes.FeedRow], bool]) -> bool:
        return bool(self.app.feed.shown) and all(map(accepts, self.app.feed.shown))


@dataclass(frozen=True)
class Task:
    """What somebody wants, the keys, and how one sees that it is done."""

    words: str
    keys: tuple[str, ...]
    done: Callable[[Scene], bool]
    state: str = "live"


def third_link(scene: Scene) -> bool:
    own = [row.post for row in scenes.rows(1, 200) if row.post.author.username == "melody_k" and row.matched]
    return scene.app.clipboard == f"https://x.com/melody_k/status/{own[-3].id}"


TASKS = (
    Task("Is it live, how long, and how many were unique?", (), lambda s: s.says("LIVE", "38 m 50 s", "2,198")),
    Task("Hold the feed still", ("space",), lambda s: s.app.feed.ring.frozen),
    Task(
        "Who posts most about this in the last hour? Show only theirs, and copy the link of the third",
        ("w", "right", "enter", "up", "up", "Y"),
        third_link,
    ),
    Task(
        "Show only the posts with the commonest tag of the last hour",
        ("w", "enter"),
        lambda s: s.lists(lambda row: "music" in row.post.tags),
    ),
    Task(
        "Show only the posts in the second commonest language",
        ("w", "left", "left", "down", "enter"),
        lambda s: s.app.feed.ring.wanted.text == "lang:es",
    ),
    Task(
        "Did it spike in the last hour, and when last?",
        ("w", "d"),
        lambda s: s.says("▲ spike, the last at 12:38") and s.app.view.memory.period == 1,
    ),
    Task("How fast was it over the last day?", ("d", "d"), lambda s: s.app.view.memory.period == 2),
    Task(
        "How many were there ever, not only in this run?",
        ("c",),
        lambda s: s.app.view.memory.life and s.says("1,204,551"),
    ),
    Task(
        "Why does nothing come, and when is it tried again?",
        (),
        lambda s: s.says("WAITING 12 s (X 503)"),
        "waiting",
    ),
    Task(
        "It stopped: what do I have to do?", ("h",), lambda s: s.says("Set BIEBER_TUI_X__BEARER_TOKEN"), "stopped"
    ),
    Task(
        "How far is the store behind, and when is it tried again?",
        (),
        lambda s: s.says("394 behind", "again in 8 s"),
        "store-down",
    ),
    Task(
        "What was missed, why, and was it filled?",
        ("H",),
        lambda s: s.says("17 s   filled", "X 503 Service Unavailable; 312 posts fetched"),
    ),
    Task("Read the newest post whole, and why it is here", ("enter",), lambda s: s.says("verdict", "received")),
    Task("Copy the text of the newest post", ("y",), lambda s: s.app.clipboard == s.app.feed.shown[-1].post.text),
    Task(
        "Show only posts with `tour`",
        ("slash", *"tour"),
        lambda s: s.lists(lambda row: "tour" in row.post.text) and s.app.feed.stored is None,
    ),
    Task(
        "Find `tour` in everything stored",
        ("slash", *"tour", "enter"),
        lambda s: s.app.feed.stored is not None and s.app.feed.stored.ended and bool(s.app.feed.shown),
    ),
    Task(
        "Write the posts with `tour` to a file",
        ("slash", *"tour", "down", "e"),
        lambda s: any(s.folder.glob("exports/*tour*.jsonl")),
    ),
    Task(
        "Give the post before the newest a star, and show only those with one",
        ("up", "s", "S"),
        lambda s: [row.post.key for row in s.app.feed.shown] == list(s.controls.archive.starred),
    ),
    Task("Pause the capture", ("p",), lambda s: s.controls.calls == ["pause"]),
    Task(
        "Capture `jb` as well, without a restart",
        ("k", "end", *" OR jb", "enter"),
        lambda s: s.controls.changed == ('"justin bieber" OR jb', "music OR #music"),
    ),
)


def pressed(key: str) -> str:
    """A key as Textual calls it."""
    return "space" if key == " " else key


def table() -> list[str]:
    """The rows of the table in the docs."""
    rows = []
    for task in TASKS:
        shown = " ".join(f"`{name_of(key)}`" for key in grouped(task.keys)) or "none: it is on the screen"
        rows.append(f"| {task.words} | {shown} | {len(task.keys)} |")
    return rows


def grouped(keys: tuple[str, ...]) -> list[str]:
    """What is typed into a field as one word."""
    out: list[str] = []
    typing = False
    for key in keys:
        if typing and len(key) == 1:
            out[-1] += key
            continue
        typing = key in ("slash", "end")
        out += [key, ""] if typing else [key]
    return [key for key in out if key]


def name_of(key: str) -> str:
    names = {"up": "↑", "down": "↓"}
    return names.get(key) or (key_name(key) if key in ("slash", "left", "right") else key)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.words)
async def test_it_is_done_with_the_keys_that_are_counted(task, tmp_path, monkeypatch):
    monkeypatch.delenv("TMUX", raising=False)
    controls = scenes.FakeControls(replace(scenes.STATES[task.state], data_dir=str(tmp_path)))
    app = Dashboard(controls, Settings(ui=UiSettings(theme="bieber")))
    scene = Scene(app, controls, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.feed.shown)
        assert not task.keys or not task.done(scene)
        for key in task.keys:
            await pilot.press(pressed(key))
            await until(lambda: not app.jobs.busy)
        await until(lambda: task.done(scene))


def test_the_docs_count_these_keys():
    listed = [
        line for line in DOC.read_text(encoding="utf-8").splitlines() if re.fullmatch(r"\| .* \| \d+ \|", line)
    ]
    assert listed == table()
    assert len(TASKS) == 20


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
