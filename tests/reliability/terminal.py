"""The program on a real pseudo-terminal that it is controlled by, over a real capture: to be closed, typed at, killed."""

from __future__ import annotations

import os
import pty
import select
import sys
from collections.abc import Callable
from pathlib import Path

from core.simulator.server import Simulator
from tests.conftest import ROOT, wait_until


def command(sim: Simulator, data: Path, ui: bool) -> list[str]:
    flags = ["--data-dir", str(data), "--set", f"x.base_url={sim.url}"]
    return [sys.executable, "-m", "tui.cli", *flags, *([] if ui else ["--no-ui"])]


def environ(sim: Simulator) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIEBER_TUI_", "TMUX"))}
    return {
        **kept,
        "TERM": "xterm-256color",
        "TEXTUAL_ANIMATIONS": "none",
        "BIEBER_TUI_X__BEARER_TOKEN": sim.options.tokens[0],
    }


class Terminal:
    """A pseudo-terminal, and the program that it is the controlling terminal of."""

    def __init__(
        self, sim: Simulator, data: Path, *, ui: bool, before: Callable[[], object] = lambda: None
    ) -> None:
        self.pid, self.ours = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            before()
            line = command(sim, data, ui)
            os.execvpe(line[0], line, environ(sim))
        self.open = True
        self.seen = b""
        self.code: int | None = None

    def read(self) -> None:
        """Take what is there, so that the program is not held up by a full terminal."""
        while self.open and select.select([self.ours], [], [], 0.01)[0]:
            try:
                self.seen += os.read(self.ours, 65536)
            except OSError:
                return

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        def reading() -> object:
            self.read()
            return condition()

        wait_until(reading, seconds)

    def close(self) -> None:
        if self.open:
            self.open = False
            os.close(self.ours)

    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def end(self) -> int:
        """Wait for its end; the exit code."""
        self.until(self.ended, 30)
        assert self.code is not None
        return self.code
