"""The dashboard on a real pseudo-terminal: whatever takes it away, the capture is stopped and the process ends."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.conftest import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import sys
from pathlib import Path
from core.settings import Settings
from tests.ui.scenes import FakeControls
from tui.app import run

class Noting(FakeControls):
    def stop(self):
        super().stop()
        Path(sys.argv[1]).write_text("flushed")

sys.exit(run(Noting(), Settings()))
"""


def start(note: Path) -> tuple[subprocess.Popen, int]:
    """The program on a terminal of its own, with a first frame painted."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(note)],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    end = time.monotonic() + PATIENCE
    while b"POSTS/S" not in seen:
        assert time.monotonic() < end, f"no first frame: {seen[-2000:]!r}"
        if select.select([ours], [], [], 0.5)[0]:
            seen += os.read(ours, 65536)
    return program, ours


def drain(terminal: int) -> None:
    """Read what still comes, so that the program is not held up by a full terminal."""
    while select.select([terminal], [], [], 0)[0]:
        try:
            if not os.read(terminal, 65536):
                return
        except OSError:
            return


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_flushes_and_ends_with_0(tmp_path, number):
    note = tmp_path / "note"
    program, terminal = start(note)
    program.send_signal(number)
    end = time.monotonic() + PATIENCE
    while program.poll() is None and time.monotonic() < end:
        drain(terminal)
        time.sleep(0.05)
    assert program.poll() == 0
    assert note.read_text() == "flushed"
    os.close(terminal)


@pytest.mark.parametrize("signals", [(), (signal.SIGHUP, signal.SIGCONT)], ids=["silently", "as tmux does"])
def test_a_terminal_that_goes_away_flushes_and_ends(tmp_path, signals):
    note = tmp_path / "note"
    program, terminal = start(note)
    os.close(terminal)
    for number in signals:
        program.send_signal(number)
    assert program.wait(120) == 0
    assert note.read_text() == "flushed"
