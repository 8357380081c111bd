"""Runs bieber-tui and notes how late its event loop is: `python -m bench.stall FILE ARGUMENTS`.

From one SIGUSR1 to the next there is a beat every 5 ms; FILE gets, at the end, the milliseconds by which each was
late. A beat that was missed while the loop stood still counts as well: a long stall is many late beats, not one.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path

from tui.app import Dashboard
from tui.cli import main

BEAT = 0.005  # seconds


class Beats:
    """How late each was, in milliseconds."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def turn(self) -> None:
        """Begin, on the loop that runs, or end."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._beat())
        else:
            self._task.cancel()

    async def _beat(self) -> None:
        due = time.monotonic() + BEAT
        while True:
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            now = time.monotonic()
            while due <= now:
                self.late.append((now - due) * 1000)
                due += BEAT


def run(file: Path, arguments: list[str]) -> int:
    """The exit code of bieber-tui."""
    beats = Beats()
    mount = Dashboard.on_mount

    def on_mount(app: Dashboard) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, beats.turn)
        mount(app)

    Dashboard.on_mount = on_mount  # type: ignore[method-assign]
    sys.argv = ["bieber-tui", *arguments]
    try:
        return main()
    finally:
        file.write_text(json.dumps(beats.late))


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
