"""How the program ends with its dashboard on a real terminal, over the real capture: when, and with which exit code."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import PATIENCE, wait_until
from tests.reliability.oracle import read

QUESTION = re.compile(rb"\x1b\[(\d+);(\d+)H\x1b\[6n")
ROOT = Path(__file__).resolve().parent.parent.parent


class Terminal:
    """A pseudo-terminal with the program on it, and all that it has written there."""

    def __init__(self, *arguments: str, program: Sequence[str] = ("-m", "tui.cli"), **environ: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
        self.program = subprocess.Popen(
            [sys.executable, *program, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True,
            env={**kept, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none", **environ},
        )  # fmt: skip
        os.close(theirs)
        self.seen = b""
        self.answers = True  # it says where its cursor is when it is asked
        self._answered_to = 0

    def read(self) -> None:
        """What is there now; at most half a second is waited for it."""
        if select.select([self.ours], [], [], 0.5)[0]:
            try:
                self.seen += os.read(self.ours, 65536)
            except OSError:  # the other end is closed
                time.sleep(0.05)
        for asked in QUESTION.finditer(self.seen, self._answered_to) if self.answers else ():
            os.write(self.ours, b"\x1b[%b;%bR" % asked.groups())
            self._answered_to = asked.end()

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing is written for so many seconds."""
        length = len(self.seen)
        return self.stays(seconds) and len(self.seen) == length

    def until(self, words: bytes | Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not (words() if callable(words) else words in self.seen):
            assert self.program.poll() is None, f"ended before {words!r}: {self.seen[-2000:]!r}"
            assert time.monotonic() < end, f"no {words!r}: {self.seen[-2000:]!r}"
            self.read()

    def stays(self, seconds: float) -> bool:
        """Whether the program is still there after so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read()
        return self.program.poll() is None

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def exit_code(self) -> int:
        end = time.monotonic() + PATIENCE
        while self.program.poll() is None:
            assert time.monotonic() < end, f"does not end: {self.seen[-2000:]!r}"
            self.read()
        return self.program.returncode


@contextmanager
def terminal(*arguments: str, program: Sequence[str] = ("-m", "tui.cli"), **environ: str) -> Iterator[Terminal]:
    on = Terminal(*arguments, program=program, **environ)
    try:
        yield on
    finally:
        if on.program.poll() is None:
            on.program.kill()
            on.program.wait()
        os.close(on.ours)


@pytest.mark.parametrize("limit", [(), ("--duration", "600")], ids=["unlimited", "limited"])
def test_a_refusal_stays_on_the_screen_until_q_and_ends_with_its_exit_code(tmp_path, limit):
    with (
        Simulator(SimulatorOptions(rate=5)) as simulator,
        terminal(
            "--set", f"x.base_url={simulator.url}", "--data-dir", str(tmp_path), *limit,
            BIEBER_TUI_X__BEARER_TOKEN="wrong",
        ) as on,
    ):  # fmt: skip
        on.until(b"STOPPED")
        assert on.stays(1.5)
        on.press(b"q")
        assert on.exit_code() == 3
        on.read()


@pytest.mark.parametrize("limit", [("--duration", "3"), ("--max-posts", "20")], ids=lambda limit: limit[0])
def test_a_limited_run_leaves_by_itself_with_0(tmp_path, limit):
    with terminal("demo", *limit, "--data-dir", str(tmp_path)) as on:
        assert on.exit_code() == 0
        assert b"POSTS/S" in on.seen  # a busy machine may have had no time to paint more
    assert read(tmp_path).runs[-1].reason == f"reached {' '.join(limit)}"


def test_no_frame_is_sent_before_the_terminal_has_shown_the_last_one():
    with terminal("demo", "--rate", "100") as on:
        on.until(b"LIVE")
        assert on.stays(1.0)
        on.answers = False
        end = time.monotonic() + PATIENCE
        while not on.is_quiet(2.0):
            assert time.monotonic() < end, "frames are sent to a terminal that does not keep up"
        before = len(on.seen)
        on.answers = True
        while len(on.seen) == before:
            assert time.monotonic() < end, "no frame comes after the terminal has caught up"
            on.read()


def test_q_ends_the_demo_with_0():
    with terminal("demo") as on:
        on.until(b"LIVE")
        on.press(b"q")
        assert on.exit_code() == 0


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "never answers"])
def test_a_terminal_that_takes_nothing_more_holds_up_neither_the_capture_nor_its_end(tmp_path, answers):
    with (
        Simulator(SimulatorOptions(rate=200)) as simulator,
        terminal(
            "--set", f"x.base_url={simulator.url}", "--data-dir", str(tmp_path),
            BIEBER_TUI_X__BEARER_TOKEN=simulator.options.tokens[0],
        ) as on,
    ):  # fmt: skip
        on.answers = answers
        on.until(
            lambda: b"LIVE" in on.seen and on.seen.count(b"\x1b[6n") > 12
        )  # frames are sent by now in any case
        before = consumed(tmp_path)
        wait_until(lambda: consumed(tmp_path) > before + 1000)  # nobody reads the terminal meanwhile
        on.program.send_signal(signal.SIGTERM)
        assert on.program.wait(PATIENCE) == 0
    assert read(tmp_path).runs[-1].reason == "stopped by you"


def test_a_limited_run_leaves_a_terminal_that_takes_nothing_more(tmp_path):
    with terminal("demo", "--duration", "12", "--data-dir", str(tmp_path)) as on:
        on.until(b"LIVE")
        assert on.program.wait(PATIENCE) == 0
    assert read(tmp_path).runs[-1].reason == "reached --duration 12"


def consumed(folder: Path) -> int:
    """Posts in the journal of a capture that runs."""
    with closing(sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro", uri=True)) as db:
        return db.execute("SELECT total(consumed) FROM counters").fetchone()[0]
