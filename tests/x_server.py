"""A server on loopback that does to a client of X whatever a test scripts, down to the byte.

It keeps rules as X does and answers a token exchange; each connection to the stream runs the next script, and
the last one holds the line. Also an outlet that tapes everything, and a clock whose waits take no time.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.clock import SystemClock
from core.health import RateLimit, SourceState
from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x.source import XSource
from tests.conftest import PATIENCE

TOKEN = "TOKEN-THAT-NOBODY-MAY-SEE"


def post(number: int, **more: Any) -> bytes:
    return json.dumps(
        {"data": {"id": str(number), "text": f"post {number}"}, **more}, separators=(",", ":")
    ).encode()


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection, from the server's side."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def head(self, *headers: str, status: str = "200 OK", version: str = "1.1") -> None:
        self.send("\r\n".join([f"HTTP/{version} {status}", *headers, "", ""]).encode())

    def answer(self, body: bytes = b"", *headers: str, status: str = "200 OK") -> None:
        self.send(
            "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]).encode() + body
        )

    def chunked(self, *headers: str) -> None:
        self.head("transfer-encoding: chunked", *headers)

    def chunk(self, data: bytes) -> None:
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def posts(self, *numbers: int) -> None:
        for number in numbers:
            self.chunk(post(number) + b"\r\n")

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hold(self) -> None:
        """Keep the line until the client lets go of it."""
        try:
            while self.sock.recv(4096):
                pass
        except OSError:
            pass


Script = Callable[[Wire], None]


def hold(wire: Wire) -> None:
    wire.chunked()
    wire.hold()


@dataclass
class ScriptedX:
    tls: ssl.SSLContext | None = None
    scripts: deque[Script] = field(default_factory=deque)  # of the stream, one a connection
    rule_scripts: deque[Script] = field(default_factory=deque)  # instead of the true answer, one a request
    token_scripts: deque[Script] = field(default_factory=deque)
    rules: list[dict[str, str]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    on_connect: Script | None = None  # before anything is read, TLS included

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._wires: list[socket.socket] = []
        self._ids = iter(range(1000, 10**6))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connects(self) -> list[Request]:
        return [request for request in self.requests if request.path.startswith("/2/tweets/search/stream?")]

    def close(self) -> None:
        for sock in [self._listener, *self._wires]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._wires.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self.on_connect:
                self.on_connect(Wire(sock))
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._wires.append(sock)
            with sock, sock.makefile("rb") as file:
                while line := file.readline():
                    self._request(sock, file, line)
                    if self.requests[-1].path.startswith("/2/tweets/search/stream?"):
                        return
        except (OSError, ValueError):
            pass

    def _request(self, sock: socket.socket, file: Any, line: bytes) -> None:
        method, path, _ = line.decode().split()
        if path.startswith("http://"):  # asked as a proxy
            path = "/" + path.split("/", 3)[3]
        headers: dict[str, str] = {}
        while header := file.readline().strip():
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = file.read(int(headers.get("content-length", 0)))
        self.requests.append(Request(method, path, headers, body))
        wire = Wire(sock)
        if path.startswith("/2/tweets/search/stream/rules"):
            (self.rule_scripts.popleft() if self.rule_scripts else self._rules(method, body))(wire)
        elif path == "/oauth2/token":
            (self.token_scripts.popleft() if self.token_scripts else _give_token)(wire)
        else:
            (self.scripts.popleft() if self.scripts else hold)(wire)

    def _rules(self, method: str, body: bytes) -> Script:
        answer: dict[str, Any] = {"meta": {"sent": "2026-01-01T00:00:00.000Z"}}
        if method == "GET":
            if self.rules:
                answer["data"] = list(self.rules)
            return lambda wire: wire.answer(json.dumps(answer).encode())
        asked = json.loads(body)
        if "delete" in asked:
            self.rules = [rule for rule in self.rules if rule["id"] not in asked["delete"]["ids"]]
            return lambda wire: wire.answer(json.dumps(answer).encode())
        added = [{**rule, "id": str(next(self._ids))} for rule in asked["add"]]
        self.rules += added
        answer["data"] = added
        return lambda wire: wire.answer(json.dumps(answer).encode(), status="201 Created")


def _give_token(wire: Wire) -> None:
    wire.answer(json.dumps({"token_type": "bearer", "access_token": TOKEN}).encode())


class Tape:
    """An outlet that keeps everything, and lets a test wait for it."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.times: list[float] = []
        self.touched: list[float] = []
        self.reports: list[tuple[SourceState, str, float | None]] = []
        self.windows: list[RateLimit] = []
        self.events: list[str] = []
        self.deletions: list[tuple[str, str]] = []

    def deleted(self, *, post: str = "", author: str = "") -> None:
        self.deletions.append((post, author))

    def deliver(self, lines: Sequence[bytes], received_at: float, *, backfilled: bool = False) -> None:
        self.lines += lines
        self.times += [received_at] * len(lines)

    def touch(self, at: float, *, more: bool = False) -> None:
        self.touched.append(at)

    def report(self, state: SourceState, reason: str = "", *, wait_until: float | None = None) -> None:
        self.reports.append((state, reason, wait_until))

    def rate_limit(self, window: RateLimit) -> None:
        self.windows.append(window)

    def event(self, level: str, text: str) -> None:
        self.events.append(text)

    def said(self, state: SourceState, words: str = "") -> bool:
        return any(seen is state and words in reason for seen, reason, _ in list(self.reports))


class SkippingClock(SystemClock):
    """The machine's clock, but a wait takes no time: it moves the clock on instead."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self.waits: list[float] = []

    def now(self) -> float:
        return super().now() + self.skipped

    def monotonic(self) -> float:
        return super().monotonic() + self.skipped

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.skipped += seconds
        return event.wait(0.001)


def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for did not happen"
        time.sleep(0.005)


class Running:
    """A source in a thread of its own. Leaving ends it and demands that the thread has ended."""

    def __init__(self, source: XSource, tape: Tape) -> None:
        self.source = source
        self.tape = tape
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.source.run(self.tape)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> float:
        """Seconds until `run` had returned."""
        started = time.monotonic()
        while self.thread.is_alive():
            self.source.stop()
            self.thread.join(0.2)
            assert time.monotonic() < started + PATIENCE, "the source does not stop"
        return time.monotonic() - started

    def ended(self) -> BaseException | None:
        """Wait until `run` has returned by itself; the error that it ended with."""
        self.thread.join(120)
        assert not self.thread.is_alive(), "the source goes on"
        return self.error


def settings(server: ScriptedX | str, **more: Any) -> XSettings:
    url = server if isinstance(server, str) else server.url
    return XSettings(**{"base_url": url, "bearer_token": SecretStr(TOKEN), "connect_timeout": 5.0, **more})
