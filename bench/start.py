"""How long from the start until it streams, until the screen says something, and what does it cost to wait?

Most of a start is loading packages, so a figure means little by itself: in the same run stand the bare
interpreter, `import tweepy`, and an app of Textual that shows one word. Programs are started as users have them,
with compiled modules (.pyc).
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.contestants import ours, where
from bench.stream import TOKEN, Load, Stream

LOAD = Load("small", 0.1)
PREPARED = 100  # posts, the fewest there can be: the simulator is to answer at once
PATIENCE = 60.0  # seconds
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
        content = _until_shown(["-m", "tui.cli", *where(stream, Path(name))], CONTENT)
    return (
        connected,
        program.before * 1000,
        content,
        _until_ended(["-c", "pass"]),
        _until_ended(["-c", "import tweepy"]),
        _until_shown(["-c", EMPTY_APP], (b"something",)),
    )


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIEBER_TUI_", "PYTHON"))}
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "BIEBER_TUI_X__BEARER_TOKEN": TOKEN}


def _until_ended(arguments: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, *arguments], env=_environ(), check=True)
    return (time.monotonic() - began) * 1000


def _until_shown(arguments: Sequence[str], words: Sequence[bytes]) -> float:
    """Milliseconds until all the words are on its terminal of 40 lines, which answers where its cursor is."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=_environ(),
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    asked = 0
    try:
        while not all(word in seen for word in words):
            if not select.select([ours], [], [], began + PATIENCE - time.monotonic())[0]:
                raise TimeoutError(f"not on the screen: {words}")
            seen += os.read(ours, 65536)
            for _ in range(asked, asked := seen.count(b"\x1b[6n")):
                os.write(ours, b"\x1b[1;9R")
        return (time.monotonic() - began) * 1000
    finally:
        process.terminate()
        while process.poll() is None:
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    os.read(ours, 65536)
                except OSError:
                    process.wait()
        os.close(ours)
