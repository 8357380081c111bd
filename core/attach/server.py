"""The capture's side of the control socket: answers viewers, one thread each.

The socket has mode 0600 and takes only the user that the capture runs as (and root). A viewer costs the capture
one snapshot per question; one that stops reading is let go after ten seconds, and its thread with it. Nothing that
a viewer sends can raise in the capture.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from core.archive import Archive
from core.attach import wire
from core.errors import BieberTuiError, QueryError, Unavailable
from core.snapshot import Event, Gap, Snapshot

MOST_VIEWERS = 32
SEND_SECONDS = 10.0  # a viewer that takes no byte for so long is gone


class Steered(Protocol):
    """What the socket needs of a capture."""

    @property
    def archive(self) -> Archive:
        """Everything that it has stored."""

    def snapshot(self, since: int) -> Snapshot:
        """The present moment."""

    def pause(self) -> None:
        """Close the stream."""

    def resume(self) -> None:
        """Open it again."""

    def change_query(self, keywords: str, topic: str) -> None:
        """Capture and keep something else."""


class _Told(msgspec.Struct):
    """What one viewer was told the last time."""

    gaps: tuple[Gap, ...] | None = None
    events: tuple[Event, ...] | None = None


class ControlSocket:
    """Listens in the data folder from `start` to `close`. The caller owns the folder's lock."""

    def __init__(self, folder: Path, capture: Steered, on_stop: Callable[[], None]) -> None:
        """`on_stop` is called when a viewer asks the capture to stop; it returns at once."""
        self._folder = folder
        self._capture = capture
        self._on_stop = on_stop
        self._run = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._viewers: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Begin to listen. Raises OSError when the folder cannot hold a socket (some network disks cannot)."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with wire.address(self._folder) as path:
                Path(path).unlink(missing_ok=True)  # of a capture that was killed: the lock is ours
                listener.bind(path)
                Path(path).chmod(0o600)  # nobody can connect before `listen`
            listener.listen(MOST_VIEWERS)
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="control", daemon=True).start()

    def close(self) -> None:
        """Let every viewer go and take the socket away. Never raises; twice is harmless."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        _hang_up(listener)
        with self._lock:
            viewers = list(self._viewers)
        for viewer in viewers:
            _hang_up(viewer)
        try:
            with wire.address(self._folder) as path:
                Path(path).unlink(missing_ok=True)
        except OSError:
            pass

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                viewer, _ = listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                crowded = len(self._viewers) >= MOST_VIEWERS
                if not crowded:
                    self._viewers.add(viewer)
            if crowded or not _is_ours(viewer):
                self._leave(viewer)
                continue
            threading.Thread(target=self._serve, args=(viewer,), name="viewer", daemon=True).start()

    def _leave(self, viewer: socket.socket) -> None:
        with self._lock:
            self._viewers.discard(viewer)
        viewer.close()

    def _serve(self, viewer: socket.socket) -> None:
        told = _Told()
        try:
            # For sending only: a viewer may ask as seldom as it likes.
            seconds = struct.pack("ll", int(SEND_SECONDS), 0)
            viewer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
            while (request := wire.receive_request(viewer)) is not None:
                wire.send(viewer, self._answer(request, told))
        except (OSError, ValueError):
            pass  # gone, too slow, or no viewer of ours
        finally:
            self._leave(viewer)

    def _answer(self, request: wire.Request, told: _Told) -> wire.Answer:
        if request.version != wire.VERSION:
            return wire.Refused(
                "BieberTuiError",
                "this viewer and the capture are of different versions of bieber-tui",
                "Start both from the same installation.",
            )
        if isinstance(request, wire.Look):
            return self._moment(request, told)
        try:
            return self._do(request)
        except Unavailable as error:
            return wire.Refused("Unavailable", str(error))
        except QueryError as error:
            return wire.Refused("QueryError", error.message, error.hint, error.position, error.query)
        except BieberTuiError as error:
            return wire.Refused(type(error).__name__, error.message, error.hint)

    def _do(self, request: wire.Command | wire.Search | wire.Lookup | wire.Stars | wire.Star) -> wire.Answer:
        archive = self._capture.archive
        match request:
            case wire.Search():
                return wire.Results(archive.search(request.wanted, request.place, request.limit))
            case wire.Lookup():
                return wire.Whole(archive.lookup(request.source, request.id))
            case wire.Stars():
                return wire.Keys(archive.stars())
            case wire.Star():
                archive.star(request.source, request.id, request.on)
            case wire.Command():
                self._command(request)
        return wire.Done()

    def _moment(self, look: wire.Look, told: _Told) -> wire.Moment:
        snapshot = self._capture.snapshot(look.since if look.run == self._run else 0)
        # The capture makes these tuples anew only when something is new, so that identity tells.
        same_gaps, same_events = told.gaps is snapshot.gaps, told.events is snapshot.events
        told.gaps, told.events = snapshot.gaps, snapshot.events
        if same_gaps:
            snapshot = replace(snapshot, gaps=())
        if same_events:
            snapshot = replace(snapshot, events=())
        return wire.Moment(self._run, snapshot, same_gaps, same_events)

    def _command(self, command: wire.Command) -> None:
        match command.name:
            case "pause":
                self._capture.pause()
            case "resume":
                self._capture.resume()
            case "change_query":
                self._capture.change_query(command.keywords, command.topic)
            case "stop":
                self._on_stop()
            case other:
                raise BieberTuiError(f"a capture has no command {other!r}")


def _is_ours(viewer: socket.socket) -> bool:
    """Whether the other end runs as our user or as root; the mode of the socket says so too."""
    credentials = viewer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return user in (os.geteuid(), 0)


def _hang_up(peer: socket.socket) -> None:
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    peer.close()
