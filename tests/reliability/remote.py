"""The program itself with a remote control: each line on stdin is a command to its capture.

    pause          resume          query KEYWORDS<tab>TOPIC

Everything else is `bieber-tui` as it is.
"""

from __future__ import annotations

import os
import sys
import threading

from core.capture import Capture
from tui.cli import program

start = Capture.start


def started(capture: Capture) -> None:
    start(capture)
    threading.Thread(target=obey, args=(capture,), daemon=True).start()


def obey(capture: Capture) -> None:
    waiting = b""
    while data := os.read(0, 4096):  # not sys.stdin: a thread that waits in it breaks the interpreter's end
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            command, _, rest = line.decode().partition(" ")
            try:
                getattr(capture, {"query": "change_query"}.get(command, command))(*filter(None, rest.split("\t")))
                print(f"done: {command}", file=sys.stderr, flush=True)
            except Exception as error:
                print(f"not done: {command}: {error!r}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    Capture.start = started  # type: ignore[method-assign]
    program()
