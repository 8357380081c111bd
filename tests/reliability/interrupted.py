"""The program, with another signal at every line of what it does when a signal comes."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

from tui.cli import main

install = signal.signal  # the real one
more = iter(range(200))


def interrupt(_frame: FrameType, _event: str, _arg: object) -> Any:
    """A trace function: Python calls it before each line."""
    if next(more, None) is not None:
        signal.raise_signal(signal.SIGTERM)
    return interrupt


def install_interrupted(number: int, handler: Any) -> Any:
    """signal.signal: from the first call of the handler on, it is interrupted itself."""
    if not callable(handler):
        return install(number, handler)

    def traced(number: int, frame: FrameType | None) -> None:
        sys.settrace(interrupt)
        handler(number, frame)

    return install(number, traced)


if __name__ == "__main__":
    signal.signal = install_interrupted
    code = main()
    sys.stderr.write(f"interrupted {next(more, 200)} times\n")
    sys.exit(code)
