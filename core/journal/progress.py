"""The progress: a small file beside the journal that says how far it had got, a second ago at most.

SQLite cannot tell when its file was emptied, when its write-ahead log was taken away, or when an old copy was put
back: what is left is a whole database that ends earlier. The progress can. It is written without fsync and after a
commit, so that it never says more than was committed. It also holds the counters and the sinks' positions, for
`recover`.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import msgspec

from core.errors import JournalDamaged
from core.journal.records import Settled, Tally
from core.private import open_private

FILE_NAME = "journal.progress"
_SIZE = 4096  # bytes: one block, written in one go


class Position(msgspec.Struct, frozen=True):
    """How far a sink was, and what it had answered by then."""

    seq: int
    settled: dict[str, Settled] = {}  # by source


class Progress(msgspec.Struct, frozen=True):
    """Where a journal was."""

    capture: str
    seq: int  # of the newest row
    last_byte_at: float | None = None
    tallies: dict[str, Tally] = {}
    sinks: dict[str, Position] = {}  # by target


def read_progress(folder: Path) -> Progress | None:
    """The progress noted in a folder; None when there is none, or none that can be trusted."""
    try:
        checksum, _, text = (folder / FILE_NAME).read_bytes().partition(b" ")
        text = text.rstrip()
        if int(checksum, 16) != zlib.crc32(text):
            return None
        found = json.loads(text)
        tallies = {source: Tally(**counts) for source, counts in found["tallies"].items()}
        sinks = {
            target: Position(
                position["seq"], {source: Settled(**counts) for source, counts in position["settled"].items()}
            )
            for target, position in found["sinks"].items()
        }
        return Progress(found["capture"], found["seq"], found["last_byte_at"], tallies, sinks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class ProgressFile:
    """The progress of one journal, open for writing. When the disk fails it is the journal that says so."""

    def __init__(self, folder: Path) -> None:
        """Raises JournalError when the folder cannot be used."""
        self._fd = open_private(folder / FILE_NAME)

    def write(self, progress: Progress) -> None:
        """Replace what was noted."""
        text = json.dumps(msgspec.to_builtins(progress)).encode()
        padded = (b"%08x %s" % (zlib.crc32(text), text)).ljust(_SIZE - 1) + b"\n"
        try:
            os.pwrite(self._fd, padded, 0)
            os.ftruncate(self._fd, len(padded))
        except OSError:
            pass

    def close(self) -> None:
        """Let go of the file. Twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def check_progress(progress: Progress | None, capture: str | None, seq: int, path: Path) -> None:
    """Compare what was noted with the journal at `path`, whose newest row is `seq`; no `capture`: it is empty.

    Raises JournalDamaged when posts that were committed are not there any more.
    """
    if progress is None or (capture is not None and capture != progress.capture) or seq >= progress.seq:
        return
    missing = progress.seq - seq
    what = "is gone" if capture is None else "has lost its end"
    raise JournalDamaged(
        f"the journal {path} {what}: it had got to row {progress.seq:,} and ends at {seq:,} ({missing:,} fewer)",
        "Was its -wal file taken away, or an old copy put back? If you have the missing file, put it there again."
        " `bieber-tui recover` accepts the loss: it notes a gap, and the capture goes on with what is there. To"
        " begin a new journal instead, move the whole folder away.",
    )
