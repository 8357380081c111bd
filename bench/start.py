"""How long from the start until it streams, until the screen says something, and what does it cost to wait?

Most of a start is loading packages, so a figure means little by itself: in the same run stand the bare
interpreter, `import tweepy`, and an app of Textual that shows one word. Programs are started as users have them,
with compiled modules (.pyc).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.contestants import ours, where
from bench.stream import Load, Stream
from bench.terminal import PATIENCE, Terminal, environ

LOAD = Load("small", 0.1)
PREPARED = 100  # posts, the fewest there can be: the simulator is to answer at once
# Of the first and the last line of the dashboard: everything between them is there too.
CONTENT = (b"bieber-tui", b"quit")
EMPTY_APP = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("something")
Empty().run()
"""


@dataclass(frozen=True, slots=True)
class Start:
    """Medians, milliseconds from the start of a process; and what an idle capture costs."""

    connected_ms: float  # of `--no-ui`, until X has sent the first post
    cpu_ms: float  # processor time until then
    content_ms: float  # of the dashboard, until header, panels and keys are on the screen
    python_ms: float  # of the bare interpreter, until its end
    tweepy_ms: float  # `import tweepy`, until its end
    textual_ms: float  # of an app of Textual, until its one word is on the screen
    idle: float  # processor time of an idle `--no-ui` as a share of a core
    memory: int  # bytes, idle


def ask(*, repetitions: int, idle_seconds: float) -> Start:
    """Start each so many times in turn, and then let one wait for posts that do not come."""
    rounds = [_round() for _ in range(repetitions + 1)][1:]  # the first one compiles the modules
    connected, cpu, content, python, tweepy, textual = (median(column) for column in zip(*rounds, strict=True))
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=0.001) as stream:
        program = ours(stream, Path(name))
        while not stream.has_begun():
            time.sleep(0.1)
        time.sleep(2)  # the one post that comes at once
        program.look()
        before = program.cpu
        time.sleep(idle_seconds)
        program.look()
        idle = (program.cpu - before) / idle_seconds
        memory = program.memory
        program.stop()
    return Start(connected, cpu, content, python, tweepy, textual, idle, memory)


def _round() -> tuple[float, ...]:
    """Everything once, in the order of the fields of Start."""
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), prepared=PREPARED) as stream:
        began = time.time()
        program = ours(stream, Path(name), "--max-posts", "10")
        while not stream.has_begun() and time.time() < began + PATIENCE:
            program.look()
            time.sleep(0.005)
        program.look()
        connected = (stream.began() - began) * 1000
        program.end()
    with tempfile.TemporaryDirectory() as name, Stream(LOAD, Path(name), rate=10, prepared=PREPARED) as stream:
        content = _until_shown(["-m", "tui.cli", *where(stream, Path(name))], *CONTENT)
    return (
        connected,
        program.before * 1000,
        content,
        _until_ended(["-c", "pass"]),
        _until_ended(["-c", "import tweepy"]),
        _until_shown(["-c", EMPTY_APP], b"something"),
    )


def _until_ended(arguments: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, *arguments], env=environ(), check=True)
    return (time.monotonic() - began) * 1000


def _until_shown(arguments: Sequence[str], *words: bytes) -> float:
    with Terminal(arguments) as terminal:
        return terminal.until(*words)
