"""Crash points: named places at which a test can kill the process, as the loss of power would.

    BIEBER_TUI_CRASH=in-transaction:3 bieber-tui --no-ui ...    dies by SIGKILL the third time it gets there

Promises: a process that was not armed never dies here, and pays nothing for each post. Nothing arms itself: the
command line calls `arm` with the variable, says so aloud, and refuses a name that there is not; a program that
imports `core` is never armed. All that an armed process can do is to kill itself, which is what the rest of the
program is built to survive; so there is nothing to protect but a user from an accident.

To add a point: one line in Point, and `crashpoint.reach(Point.IT)` where it is. tests/reliability kills at every
point that is listed, and fails for one that is never reached.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import ParamSpec, TypeVar

from core.errors import ConfigError

VARIABLE = "BIEBER_TUI_CRASH"

P = ParamSpec("P")
R = TypeVar("R")


class Point(StrEnum):
    """Every crash point, in the order of a post's way."""

    # the reader and the writer
    LINE_READ = "line-read"  # a line is in the queue
    DECODED = "decoded"  # it is a post, and in memory only
    MATCHED = "matched"  # the topic was asked
    IN_BATCH = "in-batch"  # it is in a batch that is not complete yet
    BEFORE_TRANSACTION = "before-transaction"  # the batch is complete
    IN_TRANSACTION = "in-transaction"  # the posts are inserted, the counters are not
    BEFORE_COMMIT = "before-commit"  # all is written, nothing is committed
    COMMITTED = "committed"  # durable, and not shown
    SHOWN = "shown"  # shown, and not counted
    COUNTED = "counted"
    # a sink
    SINK_READ = "sink-read"  # rows were read for it
    SINK_WRITTEN = "sink-written"  # it has them, its cursor does not say so
    CURSOR_MOVED = "cursor-moved"  # its cursor says so, the counters on the screen do not
    # retention
    LINES_REMOVED = "lines-removed"  # within the transaction that removes old lines
    PAGES_GIVEN_BACK = "pages-given-back"  # the file is a little shorter
    # gaps and pauses
    GAP_OPENED = "gap-opened"  # within the transaction that notes it
    GAP_CLOSED = "gap-closed"  # as above
    PAUSING = "pausing"  # the stream is closed, the gap is not noted
    RESUMING = "resuming"  # the stream is about to be opened again
    # the fill of a gap
    PAGE_FETCHED = "page-fetched"  # it is paid, and in memory only
    PAGE_NOTED = "page-noted"  # within the transaction that holds its posts
    FILL_ENDED = "fill-ended"  # all is fetched, the gap does not say so
    # the rule at X
    RULE_NEEDED = "rule-needed"  # X does not have our rule
    RULE_ADDED = "rule-added"  # it has the new one and the old one
    RULE_REPLACED = "rule-replaced"  # the old one is gone
    # a run
    MIGRATION_BEGINS = "migration-begins"  # the steps of the schema are about to be taken
    IN_MIGRATION = "in-migration"  # its tables are there, its number is not
    MIGRATED = "migrated"
    SESSION_BEGUN = "session-begun"
    SESSION_ENDED = "session-ended"


_armed: Point | None = None
_left = 0  # times that the point is still passed alive


def arm(value: str) -> str:
    """Arm a point as the variable names it, `NAME` or `NAME:NTH`; returns what will happen, in words.

    Raises ConfigError when there is no such point or the number is none.
    """
    global _armed, _left
    name, _, nth = value.partition(":")
    if name not in list(Point) or not (nth or "1").isdecimal() or int(nth or 1) < 1:
        raise ConfigError(
            f"{VARIABLE}={value!r} names no crash point", "It is for tests: unset it. Points: " + ", ".join(Point)
        )
    _armed, _left = Point(name), int(nth or 1)
    return f"{VARIABLE} is set, which is for tests: this process kills itself at {name}, time {_left}"


def reach(point: Point, times: int = 1) -> None:
    """The process was at that point, so many times in a row: it dies here if it was armed so."""
    if point is _armed:
        for _ in range(times):
            _die(point)


def after(point: Point, function: Callable[P, R]) -> Callable[P, R]:
    """`function` with that point behind each of its calls; the function itself when the point is not armed."""
    if point is not _armed:
        return function

    def reaching(*args: P.args, **kwargs: P.kwargs) -> R:
        result = function(*args, **kwargs)
        reach(point)
        return result

    return reaching


def _die(point: Point) -> None:
    global _left  # noqa: PLW0603 - as above
    _left -= 1
    if _left == 0:
        os.write(2, f"killed at {point}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
