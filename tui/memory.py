"""What the dashboard remembers of a data folder: theme, layout, hidden panels, filter, what was typed.

One small file, `ui.json`, mode 0600, replaced as a whole, so that a kill leaves the old or the new one. A damaged
one is put aside and told, and the defaults are used. It is read before the screen is drawn, written in a thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from core.errors import BieberTuiError
from core.filter import Mode
from core.private import open_private
from tui.plot import PERIODS
from tui.ring import Show

FILE_NAME = "ui.json"
KEPT = 50  # queries and commands that are remembered


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the screen that outlasts a run. Empty strings: nothing was chosen."""

    theme: str = ""
    layout: int = 1
    hidden: tuple[str, ...] = ()  # panels
    show: Show = Show.MATCHED
    reading: Mode = Mode.TEXT
    life: bool = False  # the counters: of this run, or of the whole life
    period: Annotated[int, msgspec.Meta(ge=0, lt=len(PERIODS))] = 0  # of the plots
    list: Literal["tags", "authors", "links", "languages", "words"] = "tags"  # of the last hour
    queries: tuple[tuple[str, str], ...] = ()  # keywords and topic, the newest last
    commands: tuple[str, ...] = ()  # of the command line, the newest last


def added(history: tuple, item: object) -> tuple:  # type: ignore[type-arg]
    """A history with one more item at its end, each once, the oldest forgotten."""
    return (*(old for old in history if old != item), item)[-KEPT:]


def load(folder: Path) -> tuple[Memory, str]:
    """What is remembered, and, when the file could not be read, what became of it."""
    path = folder / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory), ""
    except FileNotFoundError:
        return Memory(), ""
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        aside = path.with_name(f"{FILE_NAME}.damaged")
        try:
            path.replace(aside)
            kept = f"it was put aside as {aside.name}"
        except OSError:
            kept = "it is left as it is"
        return Memory(), f"{path} could not be read ({error}); {kept}, and the screen starts as new"


_writing = threading.Lock()


def save(folder: Path, latest: Callable[[], Memory]) -> str:
    """Write what is remembered by now; the problem in words, empty when there was none. For a thread."""
    path = folder / FILE_NAME
    part = path.with_name(f".{FILE_NAME}.part")
    with _writing:
        memory = latest()
        try:
            with os.fdopen(open_private(part), "wb") as file:
                file.truncate()
                file.write(msgspec.json.format(msgspec.json.encode(memory), indent=2) + b"\n")
            part.replace(path)
        except (OSError, BieberTuiError) as error:
            return f"What the screen remembers could not be written to {path}: {error}"
    return ""
