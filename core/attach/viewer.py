"""The viewer's side of the control socket: a capture of another process, with the calls of a capture of our own.

A thread asks for the present moment a few times a second and keeps what came; `snapshot` only reads that, so a
screen never waits for the socket. When the capture ends, the viewer says so and looks for it again, for as long as
it is open: it survives the capture's restart and goes on with the new run's rows. Leaving the viewer leaves the
capture as it is.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from core import errors
from core.archive import Found, Record
from core.attach import wire
from core.errors import BieberTuiError, ConfigError, QueryError, Unavailable
from core.feed import Feed
from core.filter import Wanted
from core.health import Health, SourceState
from core.snapshot import Snapshot

A = TypeVar("A", bound=wire.Answer)

ASK_EVERY = 0.1  # seconds between two questions
LOOK_EVERY = 0.5  # seconds between two tries while no capture runs
ANSWER_SECONDS = 15.0  # a capture that does not answer for so long is taken for lost
COMMAND_SECONDS = 120.0  # new keywords wait for the source
NOT_RUNNING = "the capture does not run; waiting for it"


class _Seen(msgspec.Struct, frozen=True):
    """The last moment that came."""

    snapshot: Snapshot
    lost_at: float | None = None  # the connection was lost then


class Viewer:
    """A capture that runs in another process, as a front end sees it."""

    def __init__(self, folder: Path, *, feed_size: int = 5000, read_only: bool = False) -> None:
        """Connect to the capture of that folder. Raises ConfigError when none runs there."""
        self._folder = folder
        self._read_only = read_only
        self._feed = Feed(feed_size)
        self._closed = threading.Event()
        self._peer: socket.socket | None = None
        self._run = ""
        self._since = 0
        self.archive = RemoteArchive(self)
        try:
            self._peer = self._connect(ANSWER_SECONDS)
            self._seen = self._look(self._peer, None)
        except (OSError, ValueError, Unavailable) as error:
            raise ConfigError(
                f"no capture answers in the data folder {folder}: {_words(error)}",
                "Start one there (`bieber-tui --no-ui --data-dir …`), or name its folder with --data-dir.",
            ) from None
        self._thread = threading.Thread(target=self._follow, name="viewer", daemon=True)
        self._thread.start()

    # -- what a front end calls

    def snapshot(self, since: int) -> Snapshot:
        """The last moment that came, with the rows after `since` (numbered by this viewer)."""
        seen = self._seen
        rows, last_seq = self._feed.since(since)
        snapshot = replace(
            seen.snapshot, rows=rows, last_seq=last_seq, view="read-only" if self._read_only else "attached"
        )
        if seen.lost_at is None:
            return snapshot
        now = time.time()
        health = tuple(_gone(state, seen.lost_at) for state in snapshot.health)
        return replace(snapshot, at=now, health=health, stopped=NOT_RUNNING)

    def pause(self) -> None:
        """Pause the capture. Raises Unavailable when it does not answer."""
        self.send("pause")

    def resume(self) -> None:
        """Resume the capture."""
        self.send("resume")

    def change_query(self, keywords: str, topic: str) -> None:
        """Change what it captures. Raises as the capture itself does."""
        self.ask(wire.Command("change_query", keywords, topic), wire.Done, steers=True)

    def stop(self) -> None:
        """Leave. The capture goes on."""
        self._closed.set()
        peer = self._peer
        if peer is not None:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._thread.join(1.0)

    def send(self, command: str) -> None:
        """Send `pause`, `resume` or `stop`; the last ends the capture itself."""
        self.ask(wire.Command(command), wire.Done, steers=True)

    # -- the socket

    def _connect(self, seconds: float) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.settimeout(seconds)
            with wire.address(self._folder) as path:
                peer.connect(path)
        except BaseException:
            peer.close()
            raise
        return peer

    def _look(self, peer: socket.socket, before: Snapshot | None) -> _Seen:
        """Ask for the present moment and keep its rows."""
        wire.send(peer, wire.Look(self._since, self._run))
        answer = wire.receive_answer(peer)
        if isinstance(answer, wire.Refused):
            raise _error(answer)
        if not isinstance(answer, wire.Moment):
            raise Unavailable("the capture has ended")
        snapshot = answer.snapshot
        if before is not None and answer.same_gaps:
            snapshot = replace(snapshot, gaps=before.gaps)
        if before is not None and answer.same_events:
            snapshot = replace(snapshot, events=before.events)
        first = self._feed.last_seq + 1
        rows = snapshot.rows
        if rows and rows[0].seq != first:  # another run, or rows that were gone before we asked
            rows = tuple(row.but(seq=number) for number, row in enumerate(rows, first))
        self._feed.extend(list(rows))
        self._run, self._since = answer.run, snapshot.last_seq
        return _Seen(replace(snapshot, rows=()))

    def _follow(self) -> None:
        """The viewer's thread."""
        peer = self._peer
        while not self._closed.is_set():
            try:
                if peer is None:
                    peer = self._peer = self._connect(ANSWER_SECONDS)
                    self._seen = self._look(peer, None)
                else:
                    self._seen = self._look(peer, self._seen.snapshot)
                self._closed.wait(ASK_EVERY)
            except (OSError, ValueError, Unavailable, BieberTuiError):
                if peer is not None:
                    peer.close()
                peer = self._peer = None
                if self._seen.lost_at is None:
                    self._seen = replace(self._seen, lost_at=time.time())
                self._closed.wait(LOOK_EVERY)
        if peer is not None:
            peer.close()

    def ask(self, request: wire.Request, kind: type[A], *, steers: bool = False) -> A:
        """One question over a connection of its own. Raises as the capture does, or Unavailable."""
        if steers and self._read_only:
            raise BieberTuiError("this view is read-only", "Attach without --read-only to steer the capture.")
        try:
            peer = self._connect(COMMAND_SECONDS)
            try:
                wire.send(peer, request)
                answer = wire.receive_answer(peer)
            finally:
                peer.close()
        except (OSError, ValueError) as error:
            raise Unavailable(f"the capture does not answer: {_words(error)}") from None
        if isinstance(answer, wire.Refused):
            raise _error(answer)
        if not isinstance(answer, kind):
            raise Unavailable("the capture ended before it had answered")
        return answer


class RemoteArchive:
    """Everything that the other process has stored."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer

    def search(self, wanted: Wanted, place: str, limit: int) -> Found:
        """As core.archive.Archive."""
        return self._viewer.ask(wire.Search(wanted, place, limit), wire.Results).found

    def lookup(self, source: str, id_: str) -> Record | None:
        """As core.archive.Archive."""
        return self._viewer.ask(wire.Lookup(source, id_), wire.Whole).record

    def stars(self) -> frozenset[str]:
        """As core.archive.Archive."""
        return self._viewer.ask(wire.Stars(), wire.Keys).keys

    def star(self, source: str, id_: str, on: bool) -> None:
        """As core.archive.Archive; refused in a read-only view."""
        self._viewer.ask(wire.Star(source, id_, on), wire.Done, steers=True)


def _gone(health: Health, since: float) -> Health:
    return replace(health, state=SourceState.STOPPED, since=since, reason=NOT_RUNNING, wait_until=None)


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no control socket"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error)


def _error(refused: wire.Refused) -> BieberTuiError | Unavailable:
    """The error that the capture met, as it met it."""
    if refused.kind == "Unavailable":
        return Unavailable(refused.message)
    if refused.kind == "QueryError":
        return QueryError(refused.message, refused.position, refused.query, refused.hint)
    kind: Callable[[str, str], BieberTuiError] = getattr(errors, refused.kind, BieberTuiError)
    return kind(refused.message, refused.hint)
