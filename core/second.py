"""A second process that forms opinions while more posts come than one process can judge.

    writer ── topic, lines ──► second process     judges the end of a batch
           ◄──── opinions ────                    the writer judges its beginning meanwhile

Python runs one thread at a time, so a second core is of use to a second process only. It is started when full
batches have waited behind full ones, and ends when that has not happened for a while.

An opinion is pure (opinion.py), so this process owns nothing, stores nothing and knows no secret: no setting, no
variable of ours. When it dies, hangs or answers nonsense, the writer judges those lines itself, says so once, and
nothing but time is lost. It ends by itself with the capture, also with one that was killed: its socket is closed
then.
"""

from __future__ import annotations

import gc
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import IO, Literal

import msgspec

from core import sources
from core.events import EventLog
from core.opinion import GLANCED, Opinion, opine
from core.query import parse_topic
from core.settings import ENV_PREFIX
from core.snapshot import Level

When = Literal["when-needed", "always", "never"]

BEHIND = 3  # full batches one after the other that had a full one waiting behind them, until it is started
ROOM = 16 << 20  # bytes of memory for the lines that are asked about, and behind them as many for the answers
FEW = 200  # lines that are sooner judged than sent
PATIENCE = 1.0  # seconds that it may take for what takes some milliseconds; a stop has two
IDLE_SECONDS = 60.0  # until a process that is not needed ends, or one that failed is replaced
MOST, STEP = 0.9, 0.02  # of a batch: the largest share, and by how much it changes

_HEAD = struct.Struct("!II")  # the sizes of a message's two parts
_READY = b"+"
_CHILD = "import sys; sys.path[:] = sys.argv[3:]; from core.second import serve; serve(*map(int, sys.argv[1:3]))"
_opinions = msgspec.msgpack.Decoder(list[Opinion | None])


class Second:
    """The writer's side. Used by one thread, but for `close`. Raises nothing: its answers may be missing."""

    def __init__(self, source: str, when: When, events: EventLog, *, quoted: bool) -> None:
        self._source = source
        self._when = when
        self._events = events
        self._quoted = quoted
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._room: mmap.mmap | None = None  # what is asked, and from ROOM on what is answered
        self._ready = False
        self._closed = False
        self._topic: str | None = None  # that it judges by
        self._asked = 0  # lines that it has not answered for
        self._behind = 0
        self._part = 0.5  # of a batch that it gets
        self._used_at = float("-inf")  # or failed

    def share(self, items: int, waiting: int) -> int:
        """How many of so many items to ask about; `waiting` are behind them in the queue."""
        if self._when == "never" or self._closed:
            return 0
        self._behind = self._behind + 1 if FEW <= items <= waiting else 0
        needed = self._when == "always" or self._behind >= BEHIND
        now = time.monotonic()
        if not needed:
            if self._socket is not None and not self._behind and now - self._used_at > IDLE_SECONDS:
                self._end()
            return 0
        if self._socket is None:
            if now - self._used_at < IDLE_SECONDS:
                return 0  # it failed a moment ago
            self._start()
        if not self._ready:
            self._ready = self._answers_at_all(wait=self._when == "always")
        if not self._ready:
            return 0
        return int(items * self._part)

    def ask(self, topic: str, lines: Sequence[bytes]) -> None:
        """Have it judge these lines by that topic. Then `answer`."""
        self._asked = 0
        about = b""
        if topic != self._topic:
            about = msgspec.msgpack.encode((self._source, topic, self._quoted))
        content = b"\n".join([line if len(line) <= GLANCED else b"" for line in lines])
        if self._socket is None or self._room is None or len(about) + len(content) > ROOM:
            return
        try:
            _send(self._socket, self._room, 0, about, content)
            self._topic, self._asked = topic, len(lines)
        except (OSError, ValueError) as error:
            self._failed(error)

    def answer(self) -> list[Opinion | None]:
        """Its opinions, line by line; None for a line that it has none of, and no list at all when it failed."""
        if self._socket is None or self._room is None or not self._asked:
            return []
        try:
            waited_for_us = bool(select.select([self._socket], [], [], 0)[0])
            opinions = _opinions.decode(_receive(self._socket, self._room, ROOM)[1])
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._failed(error)
            return []
        self._used_at = time.monotonic()
        self._part = min(max(self._part + (STEP if waited_for_us else -STEP), STEP), MOST)
        return opinions if len(opinions) == self._asked else []  # one of the lines was two

    def close(self) -> None:
        """End it, and start no other."""
        self._closed = True
        self._end()

    def _start(self) -> None:
        """Start the process; it says when it is ready."""
        ours, theirs = socket.socketpair()
        self._socket, self._topic, self._ready = ours, None, False
        self._used_at = time.monotonic()
        ours.settimeout(PATIENCE)
        with theirs, _memory() as memory:
            try:
                memory.truncate(2 * ROOM)
                self._room = mmap.mmap(memory.fileno(), 2 * ROOM)
                files = (theirs.fileno(), memory.fileno())
                command = [sys.executable, "-c", _CHILD, *map(str, files), *sys.path]
                self._process = subprocess.Popen(  # noqa: S603 - our own code
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)},
                    pass_fds=files,
                    start_new_session=True,  # a signal of the terminal is for the capture
                )
            except (OSError, ValueError) as error:
                self._failed(error)

    def _answers_at_all(self, *, wait: bool) -> bool:
        """Whether the process that was started has said that it is ready."""
        if self._socket is None:
            return False
        try:
            while not select.select([self._socket], [], [], PATIENCE if wait else 0)[0]:
                if not wait or self._closed:
                    return False
            if self._socket.recv(1) != _READY:
                raise ConnectionError("it ended at once")
        except (OSError, ValueError) as error:
            self._failed(error)
            return False
        if self._when != "always":
            self._events.add(Level.INFO, "posts come faster than one process judges them: a second one helps")
        return True

    def _failed(self, error: Exception) -> None:
        """Go on without it for a while."""
        self._used_at = time.monotonic()
        self._end()
        if not self._closed:
            words = "the second process that judges posts failed; one goes on alone, and nothing is lost"
            self._events.add(Level.WARNING, f"{words} ({error})")

    def _end(self) -> None:
        connection, process = self._socket, self._process
        self._socket, self._room, self._process, self._ready = None, None, None, False
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
            connection.close()
        if process is not None:
            process.kill()  # it has nothing to lose
            process.wait()


def serve(file: int, memory: int) -> None:
    """The second process: answer the questions that come by that socket until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    encode = msgspec.msgpack.Encoder().encode
    judge: Callable[[bytes], Opinion | None] | None = None
    with socket.socket(fileno=file) as connection, mmap.mmap(memory, 2 * ROOM) as room, suppress(OSError):
        connection.sendall(_READY)
        while True:
            about, content = _receive(connection, room, 0)
            if about:
                source, topic, quoted = msgspec.msgpack.decode(about)
                glance = sources.glance(source)
                judge = glance and partial(opine, glance=glance, topic=parse_topic(topic), quoted=quoted)
            opinions = encode([*map(judge, content.split(b"\n"))] if judge else [])
            _send(connection, room, ROOM, b"", opinions if len(opinions) <= ROOM else encode([]))


def _memory() -> IO[bytes]:
    """A file without a name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("bieber-tui"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _send(connection: socket.socket, room: mmap.mmap, at: int, about: bytes, content: bytes) -> None:
    """A message of two parts: they go to that place of the memory, and word of them goes by the socket."""
    middle = at + len(about)
    room[at:middle] = about
    room[middle : middle + len(content)] = content
    connection.sendall(_HEAD.pack(len(about), len(content)))


def _receive(connection: socket.socket, room: mmap.mmap, at: int) -> tuple[bytes, bytes]:
    """The next message. Raises OSError, also at the end of the connection."""
    head = connection.recv(_HEAD.size, socket.MSG_WAITALL)
    if len(head) != _HEAD.size:
        raise ConnectionError("it has ended")
    about, content = _HEAD.unpack(head)
    middle = at + about
    return room[at:middle], room[middle : middle + content]
