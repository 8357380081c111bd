"""The servers of the fault table: X as each row needs it, and exactly what it sent.

A scene is a context manager that takes its row and gives a Stage: where X answers, what it sent whole on each
connection, and whether it is done. Nothing but loopback is ever asked: names are looked up here.
"""

from __future__ import annotations

import datetime
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.reliability.x_faults import AT, Row
from tests.x_server import Script, ScriptedX, Wire, post

POSTS = 24
NAME = "x.invalid"


@dataclass(frozen=True)
class Stage:
    """One server at work."""

    url: str
    sent: Callable[[], list[list[bytes]]]  # the whole lines that are no control, for each connection that was open
    done: Callable[[], bool]  # everything was sent


Scene = Callable[[Row, pytest.MonkeyPatch, Path], AbstractContextManager[Stage]]
SCENES: dict[str, Scene] = {}


def stage(row: Row, monkeypatch: pytest.MonkeyPatch, folder: Path) -> AbstractContextManager[Stage]:
    """The row's scene: the simulator with the row's fault, unless it names another."""
    return SCENES[row.scene or "simulator"](row, monkeypatch, folder)


def scene(*names: str) -> Callable[[Callable[..., Iterator[Stage]]], Callable[..., Any]]:
    """Enter a scene in the table of scenes."""

    def enter(make: Callable[..., Iterator[Stage]]) -> Callable[..., Any]:
        for name in names:
            SCENES[name] = contextmanager(make)
        return make

    return enter


# The simulator


def _sent(simulator: Simulator) -> list[list[bytes]]:
    """Every line that was put on the wire whole and is no control, by connection."""
    lines: dict[int, list[bytes]] = {one.number: [] for one in simulator.connections if one.status == 200}
    for record in simulator.sent:
        if record.whole and record.kind not in ("keep_alive", "error", "lost"):
            lines[record.connection].append(record.raw.removesuffix(b"\r\n"))
    return list(lines.values())


@contextmanager
def _simulated(row: Row, *, before: Callable[[Simulator], None] | None = None, **more: Any) -> Iterator[Stage]:
    options = {"posts": POSTS, "rate": 200.0, "keep_alive": 0.3, "faults": row.schedule, **row.options, **more}
    with Simulator(SimulatorOptions(**options)) as x:
        if before is not None:
            before(x)
        yield Stage(x.url, lambda: _sent(x), lambda: x.finished)


@scene("simulator")
def _plain(row: Row, _: pytest.MonkeyPatch, __: Path) -> Iterator[Stage]:
    with _simulated(row) as made:
        yield made


@scene("ghost")
def _ghost(row: Row, _: pytest.MonkeyPatch, __: Path) -> Iterator[Stage]:
    with _simulated(
        row, second_connection="refuse", ghost_seconds=0.4, connect_budget=1_000_000, faults=(f"{AT}:cut",)
    ) as made:
        yield made


@scene("foreign-rule")
def _foreign_rule(row: Row, _: pytest.MonkeyPatch, __: Path) -> Iterator[Stage]:
    with _simulated(row, before=lambda x: x.add_rule("bieber", tag="somebody else")) as made:
        yield made


@scene("old-rule")
def _old_rule(row: Row, _: pytest.MonkeyPatch, __: Path) -> Iterator[Stage]:
    with _simulated(row, before=lambda x: x.add_rule("selena", tag="bieber-tui")) as made:
        yield made


# Names and addresses

Answer = Callable[[int], tuple[str, int]]  # the address to give, from the port that was asked for


def _named(monkeypatch: pytest.MonkeyPatch, url: str, answers: list[Answer]) -> str:
    """The URL under a name: its look-ups are answered one after the other, and then truly."""
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != NAME:
            return real(host, port, *args, **more)
        if more.get("flags"):  # whether it is an address already
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(*(answers.pop(0)(port) if answers else ("127.0.0.1", port)), *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return url.replace("127.0.0.1", NAME)


def _unknown(_: int) -> tuple[str, int]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@scene("dns")
def _dns(row: Row, monkeypatch: pytest.MonkeyPatch, _: Path) -> Iterator[Stage]:
    with _simulated(row, faults=()) as made:
        yield Stage(_named(monkeypatch, made.url, [_unknown] * 3), made.sent, made.done)


@scene("dns-hangs")
def _dns_hangs(row: Row, monkeypatch: pytest.MonkeyPatch, _: Path) -> Iterator[Stage]:
    import threading

    ends = threading.Event()

    def hang(_: int) -> tuple[str, int]:
        ends.wait(120)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with _simulated(row, faults=()) as made:
        yield Stage(_named(monkeypatch, made.url, [hang]), made.sent, made.done)
        ends.set()


@scene("refused-first")
def _refused_first(row: Row, monkeypatch: pytest.MonkeyPatch, _: Path) -> Iterator[Stage]:
    with _simulated(row, faults=()) as made, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens, and nobody else gets the port
        port = closed.getsockname()[1]
        yield Stage(_named(monkeypatch, made.url, [lambda _: ("127.0.0.1", port)]), made.sent, made.done)


@scene("black-hole")
def _black_hole(row: Row, monkeypatch: pytest.MonkeyPatch, _: Path) -> Iterator[Stage]:
    # A listener whose queue is full: the kernel drops further connects, and the client waits.
    fillers = [socket.socket() for _ in range(4)]
    with _simulated(row, faults=()) as made, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        yield Stage(_named(monkeypatch, made.url, [lambda _: ("127.0.0.1", port)]), made.sent, made.done)
    for filler in fillers:
        filler.close()


# Certificates


def _context(authority: trustme.CA, name: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
    """A server's certificate for that name, valid in that span of days around today."""
    today = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    begin, end = (today + datetime.timedelta(days=day) for day in days)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, not_before=begin, not_after=end).configure_cert(context)
    return context


def _trust(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))


@scene("tls")
def _tls(row: Row, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Stage]:
    authority = trustme.CA()
    context = {
        "expired": lambda: _context(authority, days=(-30, -3)),
        "not yet valid": lambda: _context(authority, days=(3, 30)),
        "wrong host": lambda: _context(authority, "x.example"),
    }.get(row.case, lambda: _context(authority))()
    if row.case != "unknown authority":
        _trust(authority, monkeypatch, folder)
    if row.fault == "tls-no-bundle":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", os.fspath(folder / "nothing.pem"))
    with _simulated(row, faults=(), ssl_context=context) as made:
        yield made


# A server that is scripted to the byte


class _Played:
    """A scripted server, and what it sent."""

    def __init__(self) -> None:
        self.x = ScriptedX()
        self.lines: list[list[bytes]] = []
        self.ended = False

    def plays(self, *numbers: int, then: Script) -> None:
        """The next connection brings these posts, and then that."""

        def script(wire: Wire) -> None:
            wire.chunked()
            sent: list[bytes] = []
            self.lines.append(sent)
            for number in numbers:
                wire.posts(number)
                sent.append(post(number))
            self.ended = self.ended or then is Wire.hold
            then(wire)

        self.x.scripts.append(script)

    @property
    def stage(self) -> Stage:
        return Stage(self.x.url, lambda: [list(lines) for lines in self.lines], lambda: self.ended)


@contextmanager
def _played() -> Iterator[_Played]:
    played = _Played()
    yield played
    played.x.close()


def _clean_end(wire: Wire) -> None:
    wire.send(b"0\r\n\r\n")


@scene("backfill")
def _backfill(_: Row, __: pytest.MonkeyPatch, ___: Path) -> Iterator[Stage]:
    with _played() as played:
        played.plays(1, 2, 3, 4, 5, then=_clean_end)
        played.plays(3, 4, 5, 6, 7, then=Wire.hold)
        yield played.stage


@scene("rule-deleted-meanwhile")
def _rule_deleted(_: Row, __: pytest.MonkeyPatch, ___: Path) -> Iterator[Stage]:
    import json

    ours = [{"id": "7", "value": "old", "tag": "bieber-tui"}, {"id": "8", "value": "bieber", "tag": "bieber-tui"}]
    gone = {"errors": [{"message": "Rule does not exist"}], "title": "Invalid Request"}
    answer = {"meta": {"summary": {"deleted": 0, "not_deleted": 1}}, "errors": [gone]}
    with _played() as played:
        played.x.rule_scripts += [
            lambda wire: wire.answer(json.dumps({"data": ours}).encode()),
            lambda wire: wire.answer(json.dumps(answer).encode()),
        ]
        played.plays(1, 2, then=Wire.hold)
        yield played.stage


def _first_handshake(how: str) -> Script:
    """What happens instead of the first TLS handshake."""
    first = [True]

    def act(wire: Wire) -> None:
        if not first:
            return
        first.clear()
        wire.sock.recv(1)  # the client has begun
        if how == "tls-handshake-reset":
            wire.reset()
            return
        if how == "tls-plain-http":
            wire.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        wire.sock.shutdown(socket.SHUT_WR)
        wire.hold()  # a close with bytes unread would be a reset

    return act


@scene("tls-handshake")
def _tls_handshake(row: Row, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Stage]:
    authority = trustme.CA()
    _trust(authority, monkeypatch, folder)
    with _played() as played:
        played.x.tls = _context(authority)
        played.x.on_connect = _first_handshake(row.fault)
        played.plays(1, 2, 3, then=Wire.hold)
        yield played.stage


@scene("tls-answers-http")
def _tls_answers(_: Row, __: pytest.MonkeyPatch, ___: Path) -> Iterator[Stage]:
    alert = bytes((21, 3, 1, 0, 2, 2, 70)) + b"\n"  # what a TLS server answers to a request in the clear
    with _played() as played:
        played.x.rule_scripts.append(lambda wire: wire.send(alert))
        played.plays(1, 2, 3, then=Wire.hold)
        yield played.stage


@scene("tls-turns-bad")
def _tls_turns_bad(_: Row, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Stage]:
    authority = trustme.CA()
    _trust(authority, monkeypatch, folder)
    good, bad = _context(authority), _context(authority, days=(-30, -3))
    to_come = [good, bad]
    with _played() as played:

        def exchange_certificate(_: Wire) -> None:
            played.x.tls = to_come.pop(0) if to_come else good

        played.x.tls = good
        played.x.on_connect = exchange_certificate
        played.plays(1, 2, 3, then=_clean_end)
        played.plays(4, 5, then=Wire.hold)
        yield played.stage
