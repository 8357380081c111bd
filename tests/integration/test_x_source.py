"""The X source against real sockets: what arrives, how each connection ends, and what it does next."""

from __future__ import annotations

import json
import time
import zlib

import pytest

from core.errors import SourceRefused
from core.health import RateLimit, SourceState
from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x.source import XSource
from tests.x_server import (
    TOKEN,
    Running,
    Script,
    ScriptedX,
    SkippingClock,
    Tape,
    Wire,
    post,
    settings,
    wait_for,
)

ODD = json.dumps({"data": {"id": "7", "text": "a\u2028b\u2029c\x85d\x0be 🎵 &amp;"}}, ensure_ascii=False).encode()
SENT = [post(1), post(2), ODD, post(3, errors=[{"title": "Not Found Error"}]), b"no json", b"3", b'{"hello":{}}']
BODY = b"\r\n" + b"\r\n\r\n".join(SENT) + b"\r\n\n"


@pytest.fixture
def x():
    server = ScriptedX()
    yield server
    server.close()


def sliced(size: int) -> Script:
    def script(wire: Wire) -> None:
        wire.chunked()
        for start in range(0, len(BODY), size):
            wire.chunk(BODY[start : start + size])
        wire.hold()

    return script


def until_the_connection_ends(wire: Wire) -> None:
    wire.head(version="1.0")
    wire.send(BODY)
    wire.hold()


def compressed(wire: Wire) -> None:
    wire.chunked("content-encoding: gzip")
    packer = zlib.compressobj(wbits=31)
    for line in BODY.splitlines(keepends=True):
        wire.chunk(packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH))
    wire.hold()


@pytest.mark.parametrize(
    "script",
    [sliced(1), sliced(7), sliced(10**6), until_the_connection_ends, compressed],
    ids=lambda s: s.__name__,
)
def test_every_line_is_delivered_as_it_was_sent_while_the_connection_is_open(x, script):
    x.scripts.append(script)
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: len(running.tape.lines) >= len(SENT))
        assert running.tape.lines == SENT
        assert running.tape.touched
        assert len(x.connects) == 1


def test_fields_are_asked_for_with_the_token_and_a_name_of_our_own(x):
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
    asked = x.connects[0]
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    for needed in ("note_tweet", "entities", "referenced_tweets.id.author_id", "username"):
        assert needed in asked.path


def test_a_line_of_five_megabytes_arrives_whole_and_soon(x):
    long = b'{"data":{"id":"1","text":"' + b"x" * 5_000_000 + b'"}}'

    def script(wire: Wire) -> None:
        wire.chunked()
        for start in range(0, len(long), 1000):
            wire.chunk(long[start : start + 1000])
        wire.chunk(b"\r\n")
        wire.hold()

    x.scripts.append(script)
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: bool(running.tape.lines))
        assert running.tape.lines == [long]


def test_keep_alives_are_life_and_no_posts_for_a_while_is_quiet(x):
    def script(wire: Wire) -> None:
        wire.chunked()
        wire.posts(1)
        wait_for(lambda: bool(tape.lines))
        clock.skipped += 31
        for _ in range(8):
            wire.chunk(b"\r\n")
            time.sleep(0.5)
        wire.posts(2)
        wire.hold()

    clock, tape = SkippingClock(), Tape()
    x.scripts.append(script)
    with Running(XSource(settings(x, stall_after=3.0), "bieber", clock=clock), tape):
        wait_for(lambda: len(tape.lines) == 2)
    states = [state for state, _, _ in tape.reports[:4]]
    assert states == [SourceState.CONNECTING, SourceState.LIVE, SourceState.QUIET, SourceState.LIVE]
    assert len(x.connects) == 1


def closes_at_once(wire: Wire) -> None:
    wire.chunked()
    wire.send(b"0\r\n\r\n")


def test_whatever_happens_x_sees_no_more_than_fifty_connects_in_fifteen_minutes(x):
    x.scripts += [closes_at_once] * 120
    clock, times = SkippingClock(), []

    class Timed(Tape):
        def report(self, state, reason="", *, wait_until=None):
            super().report(state, reason, wait_until=wait_until)
            if state is SourceState.LIVE:
                times.append(clock.monotonic())

    with Running(XSource(settings(x), "bieber", clock=clock), Timed()) as running:
        wait_for(lambda: len(times) >= 100, 60)
        assert running.tape.said(SourceState.WAITING, "50 connects in 15 minutes")
    assert all(b - a > 900 for a, b in zip(times, times[50:], strict=False))
    assert all(b - a > 5 for a, b in zip(times, times[10:], strict=False))


def test_posts_between_short_connections_do_not_reset_the_back_off(x):
    x.scripts += [closes_at_once] * 8
    clock = SkippingClock()
    with Running(XSource(settings(x), "bieber", clock=clock, random=lambda: 1.0), Tape()):
        wait_for(lambda: len(x.connects) == 9)
    assert clock.waits[:7] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def test_a_healthy_minute_resets_the_back_off(x):
    def healthy(wire: Wire) -> None:
        wire.chunked()
        wire.chunk(b"\r\n")
        wait_for(lambda: [state for state, _, _ in tape.reports].count(SourceState.LIVE) == 4)
        clock.skipped += 61
        wire.chunk(b"\r\n")
        wire.send(b"0\r\n\r\n")

    clock, tape = SkippingClock(), Tape()
    x.scripts += [closes_at_once, closes_at_once, closes_at_once, healthy]
    with Running(XSource(settings(x), "bieber", clock=clock, random=lambda: 1.0), tape):
        wait_for(lambda: len(x.connects) == 5)
    assert clock.waits == [0.25, 0.5]  # the healthy one's end is a first loss: at once


def answers(status: str, body: object = b"", *headers: str) -> Script:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda wire: wire.answer(data, *headers, status=status)


def test_429_waits_until_the_reset_that_x_names_and_shows_the_window(x):
    clock = SkippingClock()
    reset = int(clock.now()) + 200
    limits = ("x-rate-limit-limit: 50", "x-rate-limit-remaining: 0", f"x-rate-limit-reset: {reset}")
    x.scripts.append(answers("429 Too Many Requests", {"title": "Too Many Requests", "status": 429}, *limits))
    with Running(XSource(settings(x), "bieber", clock=clock, random=lambda: 0.0), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
    assert 198 < clock.waits[0] < 202
    assert running.tape.windows == [RateLimit(50, 0, float(reset))]


def disconnect_and_go_on(wire: Wire) -> None:
    """X says that it ends the stream, and sends posts for ever."""
    wire.chunked()
    wire.chunk(b'{"errors":[{"title":"operational-disconnect","disconnect_type":"InternalError"}]}\r\n')
    for number in range(1, 10_000):
        wire.posts(number)
        time.sleep(0.01)


def test_a_stream_that_goes_on_after_its_own_end_is_left_soon_and_what_came_meanwhile_is_kept(x, monkeypatch):
    monkeypatch.setattr("core.sources.x.source.FAREWELL", 0.5)
    x.scripts.append(disconnect_and_go_on)
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: len(x.connects) == 2)
        assert running.tape.said(SourceState.CONNECTING, "InternalError"), running.tape.reports
        assert len(running.tape.lines) > 1
        assert running.tape.lines == [post(number) for number in range(1, len(running.tape.lines) + 1)]


def test_stop_ends_a_stream_at_once_that_x_has_said_it_ends(x):
    x.scripts.append(disconnect_and_go_on)
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: bool(running.tape.lines))
        assert running.stop() < 60  # it would go on for longer
        assert running.error is None
        assert running.tape.reports[-1][:2] == (SourceState.STOPPED, "stopped")


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(x):
    other = ScriptedX()
    x.scripts.append(answers("302 Found", b"", f"Location: {other.url}/elsewhere"))
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        error = running.ended()
    other.close()
    assert isinstance(error, SourceRefused)
    assert "x.base_url" in error.hint
    assert other.requests == []


def test_an_error_of_the_outlet_is_not_taken_for_one_of_the_network(x):
    class Broken(Tape):
        def deliver(self, lines, received_at, *, backfilled=False):
            raise ConnectionError("the store is down")

    def script(wire: Wire) -> None:
        wire.chunked()
        wire.posts(1)
        wire.hold()

    x.scripts.append(script)
    with Running(XSource(settings(x), "bieber"), Broken()) as running:
        error = running.ended()
    assert isinstance(error, ConnectionError)
    assert len(x.connects) == 1


def test_the_key_and_secret_are_exchanged_for_a_token(x):
    pair = XSettings(base_url=x.url, consumer_key=SecretStr("k:ey"), consumer_secret=SecretStr("s/ecret"))
    with Running(XSource(pair, "bieber"), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
    exchange = x.requests[0]
    assert exchange.path == "/oauth2/token"
    assert exchange.headers["authorization"] == "Basic ayUzQWV5OnMlMkZlY3JldA=="  # k%3Aey:s%2Fecret
    assert exchange.body == b"grant_type=client_credentials"
    assert x.connects[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_an_exchanged_token_that_x_forgot_is_exchanged_once_more(x):
    x.scripts += [answers("401 Unauthorized", {"title": "Unauthorized", "status": 401})] * 2
    pair = XSettings(base_url=x.url, consumer_key=SecretStr("key"), consumer_secret=SecretStr("secret"))
    with Running(XSource(pair, "bieber"), Tape()) as running:
        error = running.ended()
    assert isinstance(error, SourceRefused)
    assert [request.path for request in x.requests].count("/oauth2/token") == 2
    assert len(x.connects) == 2


def test_a_proxy_of_the_environment_is_used_and_a_token_in_the_clear_is_warned_of(x, monkeypatch):
    monkeypatch.setenv("http_proxy", x.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    x.scripts.append(sliced(100))
    with Running(XSource(settings("http://x.invalid"), "bieber"), Tape()) as running:
        wait_for(lambda: len(running.tape.lines) == len(SENT))
        assert running.stop() < 60  # it would go on for longer
    assert x.connects[0].headers["host"] == "x.invalid"
    assert any("not https" in event for event in running.tape.events)


def test_an_announced_deletion_is_handed_over_in_order_and_is_no_delivered_line(x):
    def script(wire):
        wire.chunked()
        wire.posts(1)
        wire.chunk(
            b'{"data":{"delete":{"tweet":{"id":"1","author_id":"2"},"event_at":"2026-01-01T00:00:00Z"}}}\r\n'
        )
        wire.chunk(
            b'{"data":{"user_suspend":{"user":{"id":"7"}}}}\r\n{"data":{"withheld":{"tweet":{"id":"1"}}}}\r\n'
        )
        wire.posts(2)
        wire.hold()

    x.scripts.append(script)
    with Running(XSource(settings(x), "bieber"), Tape()) as running:
        wait_for(lambda: len(running.tape.lines) == 2)
    assert running.tape.lines == [post(1), post(2)]
    assert running.tape.deletions == [("1", ""), ("", "7")]
