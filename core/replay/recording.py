"""What was recorded: the lines of one source in the order in which they came, and the gaps between them.

A recording is a data folder (its journal is only read, also while a capture writes it) or a file with one raw line
of X a line, as `twarc2 stream` writes them. A file holds no times of arrival: its posts come at the time when they
were made. A journal holds what its `journal.scope` kept: the matched posts, or all.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import msgspec

from core.errors import ConfigError, Undecodable
from core.sources import decoder

_FILE = "journal.sqlite"
_OF_FILES = "x"  # the source whose lines a file holds


class Recorded(msgspec.Struct, frozen=True):
    """Something that happened: a line came, or (no line) a gap began with a reason or ended with none."""

    at: float  # seconds since 1970
    raw: bytes | None = None
    backfilled: bool = False
    reason: str = ""


class Recording(Protocol):
    """One recorded capture."""

    name: str  # for people
    source: str  # whose lines they are
    start: float
    end: float

    def events(self) -> Iterator[Recorded]:
        """All that happened, oldest first, from the beginning each time; reads as it goes."""


def open_recording(path: Path) -> Recording:
    """The recording at that path. Raises ConfigError when it is none or holds no post."""
    try:
        if path.is_dir():
            return JournalRecording(path)
        return FileRecording(path)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{path} cannot be replayed: {error}", _HINT) from None


_HINT = "Name the data folder of a capture, or a file with one post of X a line (as `twarc2 stream` writes it)."


class JournalRecording:
    """The journal of a capture."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._path = folder / _FILE
        with closing(self._connect()) as db:
            bounds = db.execute(
                "SELECT min(received_at), max(received_at), source FROM posts"
                " GROUP BY source ORDER BY count(*) DESC"
            ).fetchall()
            if not bounds:
                raise ConfigError(f"there is no post in the journal of {folder}", _HINT)
            self.start, self.end, self.source = bounds[0]
            for start, end in db.execute(
                "SELECT min(received_at), max(received_at) FROM filtered WHERE source = ? HAVING count(*) > 0",
                (self.source,),
            ):
                self.start, self.end = min(self.start, start), max(self.end, end)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)

    def events(self) -> Iterator[Recorded]:
        """All that happened, oldest first."""
        with closing(self._connect()) as db:
            lines = (
                self._lines(db, "SELECT received_at, raw, backfilled FROM posts WHERE source = ? ORDER BY seq"),
                self._lines(db, "SELECT received_at, raw, 0 FROM filtered WHERE source = ? ORDER BY rowid"),
                self._lines(db, "SELECT received_at, raw, 0 FROM quarantine WHERE source = ? ORDER BY rowid"),
            )
            yield from heapq.merge(*lines, self._gaps(db), key=attrgetter("at"))

    def _lines(self, db: sqlite3.Connection, query: str) -> Iterator[Recorded]:
        for at, raw, backfilled in db.execute(query, (self.source,)):
            if raw:
                yield Recorded(at, raw, bool(backfilled))

    def _gaps(self, db: sqlite3.Connection) -> Iterable[Recorded]:
        rows = db.execute(
            'SELECT start, "end", reason FROM gaps WHERE source = ? AND start < ? ORDER BY start',
            (self.source, self.end),
        ).fetchall()
        for start, end, reason in rows:
            if start >= self.start:
                yield Recorded(start, reason=reason or "gap")
                yield Recorded(self.end if end is None else end)


class FileRecording:
    """A file with one raw line of X a line."""

    source = _OF_FILES

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._decode = decoder(self.source)
        self.start = self.end = 0.0
        posts = 0
        for event in self._read():
            posts += 1
            self.start = self.start or event.at
            self.end = max(self.end, event.at)
        if not self.start:
            held = "no post with a time" if posts else "no line"
            raise ConfigError(f"there is {held} in {path}", _HINT)

    def events(self) -> Iterator[Recorded]:
        """All that happened, oldest first."""
        return self._read()

    def _read(self) -> Iterator[Recorded]:
        """The lines in the order of the file; one without a time of its own comes with the one before it."""
        at = self.start
        with self._path.open("rb") as file:
            for line in file:
                raw = line.rstrip(b"\r\n")
                if raw.strip():
                    at = max(self._made_at(raw) or at, at)
                    yield Recorded(at, raw)

    def _made_at(self, raw: bytes) -> float | None:
        try:
            made = self._decode(raw).created_at
        except Undecodable:
            return None
        return None if made is None else made.timestamp()
