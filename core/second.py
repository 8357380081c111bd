"""A second process that judges posts while more of them come than one process can judge.

    writer ── topic, lines ──► second process     forms opinions of the end of a batch
           ◄──── opinions ────                    the writer judges its beginning, and commits the batch before

Python runs one thread at a time, so a second core is of use to a second process only. It is started when full
batches have waited behind full ones, and ends when that has not happened for a while.

An opinion is pure (opinion.py): this process owns nothing, stores nothing, and is told no setting and no secret.
When it dies, hangs or answers nonsense, the writer judges those lines itself and says so once: nothing but time is
lost. It ends with the capture, also with one that was killed, because its socket is closed then.

What is asked and answered lies in memory that both share. The socket says only how much it is: a socket has room
for a few lines, and each time that the writer would wait for it, the reader takes the interpreter.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import IO, TYPE_CHECKING, Literal

import msgspec

from core import sources
from core.collector import look_less_often
from core.events import EventLog
from core.opinion import GLANCED, Answer, Judge, think
from core.query import parse_topic
from core.settings import ENV_PREFIX
from core.snapshot import Level

if TYPE_CHECKING:
    import subprocess

When = Literal["when-needed", "always", "never"]

BEHIND = 2  # full batches one after the other that had as many lines waiting behind them, until it is started
FEW = 200  # lines that are sooner judged than sent
PATIENCE = 1.0  # seconds that it may take for what takes some milliseconds; a stop has two
IDLE_SECONDS = 60.0  # until a process that is not needed ends, or one that failed is replaced
FIRST, MOST, STEP = 0.8, 0.97, 0.02  # of a batch: the first share, the largest one, and by how much it changes
DEPTH = 2  # questions at once: it begins the next one while the writer has not come for its answer yet
ROOM = 16 << 20  # bytes of memory for what is asked at once, and as many for what is answered

_HEAD = struct.Struct("!II")  # the sizes of a message's two parts
_CHILD = "import sys; sys.path[:] = sys.argv[3:]; from core.second import serve; serve(*map(int, sys.argv[1:3]))"
_answers = msgspec.msgpack.Decoder(Answer | None)


class Second:
    """The writer's side. Used by one thread, but for `close`. Raises nothing: its answers may be missing."""

    def __init__(self, source: str, when: When, events: EventLog, *, quoted: bool) -> None:
        self._source = source
        self._when = when
        self._events = events
        self._quoted = quoted
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._room: mmap.mmap | None = None  # ROOM for each question, and for each answer
        self._ready = False  # it has answered for the first time
        self._closed = False
        self._topic: str | None = None  # that it judges by
        self._sent = self._received = 0  # messages of this process: questions, and answers to them
        self._asked: deque[int] = deque()  # lines of the questions that are to be answered; 0: it was not asked
        self._behind = 0  # full batches
        self._part = FIRST  # of a batch that it gets
        self._used_at = float("-inf")  # or failed

    def share(self, topic: str, items: int, waiting: int) -> int:
        """About how many of so many items to ask; `waiting` are behind them in the queue."""
        if self._when == "never" or self._closed:
            return 0
        always = self._when == "always"
        self._behind = self._behind + 1 if FEW <= items <= waiting else 0
        idle = time.monotonic() - self._used_at
        if not always and self._behind < BEHIND:
            if self._socket is not None and not self._behind and idle > IDLE_SECONDS:
                self._end()
            return 0
        if self._socket is None and idle > IDLE_SECONDS:
            self._start(topic)
        if not self._ready and self._has_answered(wait=always):
            self._ready = True
            if not always:
                self._events.add(Level.INFO, "posts come faster than one process judges them: a second one helps")
        return int(items * self._part) if self._ready else 0

    def ask(self, topic: str, lines: Sequence[bytes]) -> None:
        """Have it judge these lines by that topic. Then `answer`, for each question in its turn."""
        self._asked.append(len(lines) if self._send(topic, lines) else 0)

    def _send(self, topic: str, lines: Sequence[bytes]) -> bool:
        about = b"" if topic == self._topic else msgspec.msgpack.encode((self._source, topic, self._quoted))
        if max(map(len, lines)) > GLANCED:
            lines = [line if len(line) <= GLANCED else b"" for line in lines]
        content = b"\n".join(lines)
        connection, room = self._socket, self._room
        if connection is None or room is None or len(about) + len(content) > ROOM:
            return False
        if self._sent - self._received == DEPTH:
            return False
        try:
            _send(connection, room, _question(self._sent), about, content)
        except (OSError, ValueError) as error:
            self._failed(error)
            return False
        self._topic, self._sent = topic, self._sent + 1
        return True

    def answer(self) -> Answer | None:
        """What it thinks, line by line; None when it failed."""
        if not self._asked or not (lines := self._asked.popleft()):
            return None
        soon = self._has_answered(wait=False)
        answer = self._receive()
        self._used_at = time.monotonic()
        # Whoever has to wait for the other has too little to do.
        self._part = min(max(self._part + (STEP if soon else -STEP), STEP), MOST)
        # One of the lines was two, say.
        return answer if answer is not None and len(answer.opinions) == lines else None

    def close(self) -> None:
        """End it, and start no other; whoever waits for its answer waits no more."""
        self._closed = True
        self._end()

    def _start(self, topic: str) -> None:
        """Start the process and tell it the topic; its answer to that says that it is ready."""
        import subprocess  # noqa: PLC0415 - most captures never need it

        ours, theirs = socket.socketpair()
        self._socket, self._topic, self._ready = ours, None, False
        self._sent = self._received = 0
        self._used_at = time.monotonic()
        ours.settimeout(PATIENCE)
        with theirs, _memory() as memory:
            try:
                memory.truncate(_MEMORY)
                self._room = mmap.mmap(memory.fileno(), _MEMORY)
                files = (theirs.fileno(), memory.fileno())
                self._process = subprocess.Popen(  # noqa: S603 - our own code
                    [sys.executable, "-c", _CHILD, *map(str, files), *sys.path],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)},
                    pass_fds=files,
                    start_new_session=True,  # a signal of the terminal is for the capture
                )
            except (OSError, ValueError) as error:
                self._failed(error)
        self._send(topic, [b""])
        if self._closed:  # meanwhile: whoever closed it knew of no process yet
            self._end()

    def _has_answered(self, *, wait: bool) -> bool:
        """Whether an answer is there; `wait` for it as long as the process lives."""
        try:
            while (connection := self._socket) is not None:
                if select.select([connection], [], [], PATIENCE if wait else 0)[0]:
                    return self._ready or self._receive() is not None
                if not wait:
                    break
        except (OSError, ValueError) as error:
            self._failed(error)
        return False

    def _receive(self) -> Answer | None:
        connection, room = self._socket, self._room
        try:
            if connection is not None and room is not None:
                message = _receive(connection, room, _answer(self._received))
                self._received += 1
                answer: Answer | None = _answers.decode(message[1])
                return answer
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            self._failed(error)
        return None

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
        self._asked = deque(0 for _ in self._asked)
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
    look_less_often()
    encode = msgspec.msgpack.Encoder().encode
    judge: Judge | None = None
    with socket.socket(fileno=file) as connection, mmap.mmap(memory, _MEMORY) as room, suppress(OSError):
        for number in count():
            about, content = _receive(connection, room, _question(number))
            if about:
                source, topic, quoted = msgspec.msgpack.decode(about)
                glance = sources.glance(source)
                judge = glance and Judge.by(parse_topic(topic), glance, quoted=quoted)
            answer = encode(think(judge, content.split(b"\n")) if judge else None)
            _send(connection, room, _answer(number), b"", answer if len(answer) <= ROOM else encode(None))


_MEMORY = 2 * DEPTH * ROOM


def _question(number: int) -> int:
    """Where the question of that number lies in the memory."""
    return number % DEPTH * ROOM


def _answer(number: int) -> int:
    """Where the answer to it lies."""
    return (DEPTH + number % DEPTH) * ROOM


def _memory() -> IO[bytes]:
    """A file without a name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("bieber-tui"), "r+b", buffering=0)
    import tempfile  # noqa: PLC0415 - as above

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
