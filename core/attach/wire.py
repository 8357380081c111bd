"""What goes over the control socket: one request, one answer, each a frame of four bytes of length (big-endian)
and msgpack. The viewer asks and the capture answers, never the other way round: a viewer that is slow or stopped
only delays its own answers.

The socket lies in the data folder as `control.sock`. A path in a deep folder may be longer than the kernel allows
for a socket (108 bytes), so it is bound and reached through the folder's descriptor where that is needed.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec

from core.archive import Found, Record
from core.filter import Wanted
from core.snapshot import Snapshot

FILE_NAME = "control.sock"
VERSION = 2  # of these messages; both sides say theirs
LONGEST_REQUEST = 1_000_000  # bytes
LONGEST_ANSWER = 512_000_000  # bytes; the largest feed with its longest posts stays below
_LONGEST_PATH = 100  # bytes
_LENGTH = struct.Struct(">I")


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Ask for the present moment, with the feed's rows after `since` of the run `run`."""

    since: int = 0
    run: str = ""
    version: int = VERSION


class Search(msgspec.Struct, frozen=True, tag="search"):
    """Ask for stored posts, as `Archive.search` takes it."""

    wanted: Wanted
    place: str
    limit: int
    version: int = VERSION


class Lookup(msgspec.Struct, frozen=True, tag="lookup"):
    """Ask for one stored post."""

    source: str
    id: str
    version: int = VERSION


class Stars(msgspec.Struct, frozen=True, tag="stars"):
    """Ask for the posts that have a star."""

    version: int = VERSION


class Star(msgspec.Struct, frozen=True, tag="star"):
    """Give a post a star, or take it away."""

    source: str
    id: str
    on: bool
    version: int = VERSION


class Command(msgspec.Struct, frozen=True, tag="command"):
    """Ask the capture to do one of its four commands."""

    name: str
    keywords: str = ""
    topic: str = ""
    version: int = VERSION


class Moment(msgspec.Struct, frozen=True, tag="moment"):
    """A snapshot. `run` names the run that its rows are numbered in.

    Gaps and events may be many and seldom change: when they are what this viewer was told the last time, they are
    left out and marked as the same.
    """

    run: str
    snapshot: Snapshot
    same_gaps: bool = False
    same_events: bool = False


class Results(msgspec.Struct, frozen=True, tag="results"):
    """What a search has found."""

    found: Found


class Whole(msgspec.Struct, frozen=True, tag="whole"):
    """One stored post, if there is one."""

    record: Record | None


class Keys(msgspec.Struct, frozen=True, tag="keys"):
    """The keys of the posts that have a star."""

    keys: frozenset[str]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The command was done."""


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The command was not done: the kind of error (a class of core.errors) and its words."""

    kind: str
    message: str
    hint: str = ""
    position: int = 0
    query: str = ""


Request = Look | Command | Search | Lookup | Stars | Star
Answer = Moment | Results | Whole | Keys | Done | Refused


_encoder = msgspec.msgpack.Encoder()


# Made when the first one comes: reading all these types takes milliseconds, and few captures are looked at.
@cache
def _requests() -> msgspec.msgpack.Decoder[Request]:
    return msgspec.msgpack.Decoder(Request)


@cache
def _answers() -> msgspec.msgpack.Decoder[Answer]:
    return msgspec.msgpack.Decoder(Answer)


def send(peer: socket.socket, message: Request | Answer) -> None:
    """Send one frame. Raises OSError."""
    if isinstance(message, Moment):
        for row in message.snapshot.rows:
            row.read()
    body = _encoder.encode(message)
    peer.sendall(_LENGTH.pack(len(body)) + body)


def receive_request(peer: socket.socket) -> Request | None:
    """The next request; None at the end. Raises OSError, and ValueError for what is no request."""
    body = _receive(peer, LONGEST_REQUEST)
    return None if body is None else _requests().decode(body)


def receive_answer(peer: socket.socket) -> Answer | None:
    """The next answer; None at the end. Raises OSError, and ValueError for what is no answer."""
    body = _receive(peer, LONGEST_ANSWER)
    return None if body is None else _answers().decode(body)


def _receive(peer: socket.socket, longest: int) -> bytes | None:
    head = _exactly(peer, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > longest:
        raise ValueError(f"a frame of {length:,} bytes; {longest:,} are allowed")
    return _exactly(peer, length)


def _exactly(peer: socket.socket, count: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < count:
        part = peer.recv(min(count - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


@contextmanager
def address(folder: Path) -> Iterator[str]:
    """A path to the folder's socket that is short enough for the kernel. Raises OSError without a folder."""
    path = str(folder / FILE_NAME)
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield path
        return
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{FILE_NAME}"
    finally:
        os.close(descriptor)
