"""The X source stops at once in every state, leaves no thread, hides its secrets, and can run again."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time

import pytest

from core.clock import SystemClock
from core.connection import Connection, Line
from core.errors import ConfigError, SourceRefused, Unavailable
from core.events import EventLog
from core.health import SourceState
from core.journal import GapMark
from core.lines import LineQueue
from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x.memory import Left, Memory
from core.sources.x.source import XSource
from tests.x_server import TOKEN, Running, ScriptedX, Tape, Wire, hold, post, settings, wait_for

AT_ONCE = 20.0  # seconds: one is promised, the rest is for a busy machine; what it waits for takes 60 or more


@pytest.fixture
def x():
    server = ScriptedX()
    yield server
    server.close()


def silent(wire: Wire) -> None:
    wire.hold()


def half_a_head(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nx-half")
    wire.hold()


def half_an_error(wire: Wire) -> None:
    wire.head("content-length: 1000", status="503 Service Unavailable")
    wire.send(b"busy")
    wire.hold()


def floods(wire: Wire) -> None:
    wire.chunked()
    while True:
        wire.posts(*range(100))


def come_back_in_15_minutes(wire: Wire) -> None:
    wire.answer(b"", "Retry-After: 900", status="429 Too Many Requests")


def stop_and_check(running: Running, before: set[threading.Thread]) -> None:
    assert running.stop() < AT_ONCE
    assert running.error is None
    assert running.tape.reports[-1][0] is SourceState.STOPPED
    left = {t for t in threading.enumerate() if t.name.startswith(("resolve", "Tweepy"))} - before
    assert not left


@pytest.mark.parametrize("script", [silent, half_a_head, half_an_error, hold, floods], ids=lambda s: s.__name__)
def test_stops_at_once_while_the_stream_is(x, script):
    x.scripts.append(script)
    before = set(threading.enumerate())
    with Running(XSource(settings(x, connect_timeout=60), "bieber"), Tape()) as running:
        wait_for(lambda: bool(x.connects))
        if script in (hold, floods):
            wait_for(lambda: running.tape.said(SourceState.LIVE))
        stop_and_check(running, before)


def test_stops_at_once_during_a_back_off_of_15_minutes(x):
    x.scripts += [come_back_in_15_minutes] * 5
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.WAITING, "429"))
        _, _, until = running.tape.reports[-1]
        assert until is not None
        assert until - time.time() > 800
        stop_and_check(running, set())


def test_stops_at_once_while_it_waits_for_the_budget(x, tmp_path):
    memory = Memory(tmp_path)
    memory.keep(Left(x.url, time.time(), 0.0, 50))
    with Running(XSource(settings(x), "bieber", memory=memory), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.WAITING, "X allows 50 connects"))
        stop_and_check(running, set())
    assert x.requests == []


def test_stops_at_once_while_another_thread_changes_the_rules_and_so_does_that(x):
    source = XSource(settings(x, connect_timeout=60), "bieber")
    x.rule_scripts.append(silent)
    refused: list[BaseException] = []

    def change() -> None:
        try:
            source.change_keywords("selena")
        except Unavailable as error:
            refused.append(error)

    changing = threading.Thread(target=change)
    changing.start()
    wait_for(lambda: bool(x.requests))
    with Running(source, Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.CONNECTING))
        threading.Event().wait(0.2)  # well within its wait for the other one
        stop_and_check(running, set())
    changing.join(AT_ONCE)
    assert not changing.is_alive()
    assert len(refused) == 1


def test_stops_at_once_while_a_full_queue_holds_it_up_and_keeps_what_it_has_read(x):
    clock, queue = SystemClock(), LineQueue[Line | GapMark](limit=50)
    connection = Connection("x", queue, EventLog(clock), clock)
    x.scripts.append(floods)
    source = XSource(settings(x), "bieber")
    reader = threading.Thread(target=source.run, args=(connection,))
    reader.start()
    wait_for(lambda: queue.fill >= 1)
    started = time.monotonic()
    connection.expecting_end = True
    source.stop()
    reader.join(AT_ONCE)
    assert time.monotonic() - started < AT_ONCE
    assert not reader.is_alive()
    raws = [item.raw for item in queue.take(10**6, 0, 0) if isinstance(item, Line)]
    assert len(raws) >= 49
    assert raws == [post(number % 100) for number in range(len(raws))]


def test_stops_at_once_during_a_request_for_rules(x):
    x.rule_scripts.append(silent)
    with Running(XSource(settings(x, connect_timeout=60), "bieber"), Tape()) as running:
        wait_for(lambda: bool(x.requests))
        stop_and_check(running, set())


def test_stops_at_once_during_the_token_exchange(x):
    x.token_scripts.append(silent)
    pair = XSettings(
        base_url=x.url, consumer_key=SecretStr("k"), consumer_secret=SecretStr("s"), connect_timeout=60
    )
    with Running(XSource(pair, "bieber"), Tape()) as running:
        wait_for(lambda: bool(x.requests))
        stop_and_check(running, set())


def test_stops_at_once_during_a_tls_handshake(x):
    accepted = threading.Event()

    def never_answers(wire: Wire) -> None:
        accepted.set()
        wire.hold()

    x.on_connect = never_answers
    url = x.url.replace("http:", "https:")
    with Running(XSource(settings(url, connect_timeout=60), "bieber"), Tape()) as running:
        assert accepted.wait(120)
        stop_and_check(running, set())


def test_stops_at_once_while_a_connect_is_not_answered():
    # A listener whose queue is full: the kernel drops further connects, and the client waits.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with Running(XSource(settings(url, connect_timeout=60), "bieber"), Tape()) as running:
            wait_for(lambda: running.tape.said(SourceState.CONNECTING))
            threading.Event().wait(0.3)
            assert running.thread.is_alive()
            assert len(running.tape.reports) == 1
            stop_and_check(running, set())
        for filler in fillers:
            filler.close()


def test_a_connect_that_is_not_answered_times_out_with_words():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with Running(XSource(settings(url, connect_timeout=0.3), "bieber"), Tape()) as running:
            wait_for(lambda: running.tape.said(SourceState.CONNECTING, "no answer"))
        for filler in fillers:
            filler.close()


def test_stops_at_once_while_a_name_is_looked_up(monkeypatch):
    asked, answer = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def stuck(host, port, *arguments, flags=0, **more):
        if flags & socket.AI_NUMERICHOST:
            return real(host, port, *arguments, flags=flags, **more)
        asked.set()
        answer.wait(120)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    url = "http://name.invalid:1"
    with Running(XSource(settings(url, connect_timeout=60), "bieber"), Tape()) as running:
        assert asked.wait(120)
        assert running.stop() < AT_ONCE
    assert all(t.daemon for t in threading.enumerate() if t.name.startswith("resolve"))
    answer.set()


def test_a_name_that_does_not_resolve_is_tried_again_with_words(monkeypatch):
    def unknown(host, port, *arguments, **more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with Running(XSource(settings("http://name.invalid:1"), "bieber"), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.WAITING, "name.invalid:1 cannot be resolved"))


def test_runs_again_after_a_stop_and_forgets_a_stop_that_came_in_between(x):
    def script(wire: Wire) -> None:
        wire.chunked()
        wire.posts(1)
        wire.hold()

    x.scripts += [script, script]
    source = XSource(settings(x), "bieber")
    for _ in range(2):
        with Running(source, Tape()) as running:
            wait_for(lambda: running.tape.lines == [post(1)])
        source.stop()
    assert len(x.connects) == 2


def test_x_sees_the_connection_end_when_we_stop(x):
    ended = threading.Event()

    def script(wire: Wire) -> None:
        wire.chunked()
        wire.hold()
        ended.set()

    x.scripts.append(script)
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
    assert ended.wait(120)


def test_no_secret_is_in_any_message_report_or_log(x, caplog):
    caplog.set_level(logging.DEBUG)
    secrets = (TOKEN, "KEY-UNSEEN", "SECRET-UNSEEN")
    said: list[str] = []
    rejects = [lambda w: w.answer(b'{"title":"Unauthorized"}', status="401 Unauthorized")] * 4
    for x_settings in (
        settings(x),
        XSettings(
            base_url=x.url, consumer_key=SecretStr("KEY-UNSEEN"), consumer_secret=SecretStr("SECRET-UNSEEN")
        ),
    ):
        x.scripts.extend(rejects[:2])
        source = XSource(x_settings, "bieber")
        with Running(source, Tape()) as running:
            error = running.ended()
        assert isinstance(error, SourceRefused)
        said += [
            str(error),
            repr(source),
            repr(source.__dict__),
            str(running.tape.reports),
            str(running.tape.events),
        ]
        x.scripts.clear()
        with pytest.raises(SourceRefused):
            x.rule_scripts.append(
                lambda w: w.answer(json.dumps({"title": TOKEN[:0]}).encode(), status="403 Forbidden")
            )
            source.change_keywords("other")
    said.append(caplog.text)
    assert not [secret for secret in secrets for words in said if secret in words]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["BEARER_TOKEN", "CONSUMER_KEY", "CONSUMER_SECRET", "Keys and tokens", "bieber-tui demo"]),
        ({"consumer_key": SecretStr("k")}, ["BIEBER_TUI_X__CONSUMER_SECRET"]),
        ({"consumer_secret": SecretStr("s")}, ["BIEBER_TUI_X__CONSUMER_KEY"]),
        ({"bearer_token": SecretStr("two words")}, ["BIEBER_TUI_X__BEARER_TOKEN"]),
        ({"bearer_token": SecretStr("t"), "base_url": "ftp://x"}, ["x.base_url"]),
        ({"bearer_token": SecretStr("t"), "base_url": "http://x:port"}, ["x.base_url"]),
    ],
)
def test_missing_or_wrong_settings_are_named_before_anything_connects(given, names):
    with pytest.raises(ConfigError) as caught:
        XSource(XSettings(**given), "bieber")
    for name in names:
        assert name in str(caught.value)
