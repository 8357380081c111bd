"""Every fault of X that the simulator can make, and what the X source does about it: one table, one test.

Each row runs the real source against the simulator over sockets. Waits take no time (the clock is moved on
instead), silences and connects that hang are real and short.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme

from core.errors import SourceRefused, Undecodable
from core.health import SourceState
from core.settings import XSettings
from core.simulator.faults import FAULTS
from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.record import SentRecord
from core.simulator.server import Simulator
from core.sources.x.source import XSource
from tests.conftest import wait_until
from tests.x_server import Running, SkippingClock, Tape

POSTS = 24
AT = 8  # the post at which a fault of the stream happens

Outcome = Literal[
    "goes on",  # on the same connection
    "reconnects",  # for the reason `words`
    "gives up",  # with `words` in the message or the hint
]


@dataclass(frozen=True)
class Row:
    """What is expected of one fault."""

    outcome: Outcome
    words: str = ""
    where: str = ""  # the schedule's point; empty: at post AT, or at the first connection when it is an answer
    value: str = ""  # how the schedule spells the fault's number and times
    least: float = 0.0  # seconds that are waited before the next connection, at least
    most: float = 16.0
    quarantined: int = 0  # delivered lines that are no posts
    stalled: bool = False
    options: dict[str, Any] = field(default_factory=dict)


ON = Row("goes on")
AGAIN = "closed the connection"
CUT = "cut in mid-stream"
SMALL: dict[str, Any] = {"payload": "small"}


def disconnected(words: str) -> Row:
    return Row("reconnects", words)


def told(words: str, least: float, most: float, value: str = "") -> Row:
    return Row("reconnects", words, least=least, most=most, value=value)


TABLE: dict[str, Row] = {
    # Connect
    "dns-failure": Row("reconnects", "the name of", where="option"),
    "refuse": Row("reconnects", "connection refused", value="=0.5", most=23.0),
    "no-answer": Row("reconnects", "in time"),
    "tls-untrusted": Row("gives up", "certificate", where="option"),
    "handshake-cut": Row("reconnects", "was reset"),
    "redirect": Row("gives up", "a redirect to http://localhost"),
    "http-1.0": ON,
    "unchunked": ON,
    # HTTP
    "http-400": Row("gives up", "The query parameter [x] is not valid"),
    "http-401": Row("gives up", "BIEBER_TUI_X__BEARER_TOKEN"),
    "http-402": Row("gives up", "no credits left"),
    "http-402-early": Row("gives up", "no credits left"),
    "http-403-not-enrolled": Row("gives up", "project"),
    "http-403-wrong-auth": Row("gives up", "app-only bearer token"),
    "http-409": told("409 Conflict", 2.5, 5),
    "http-429": told("429 Too Many Requests", 37, 43, "=40"),
    "http-429-connections": told("TooManyConnections", 30, 60),
    "http-429-usage": Row("gives up", "usage cap"),
    "http-429-no-reset": told("429 Too Many Requests", 30, 60),
    "http-429-past-reset": told("429 Too Many Requests", 30, 60),
    "http-429-bad-reset": told("429 Too Many Requests", 30, 60),
    "http-500-html": told("500 Internal Server Error", 2.5, 5),
    "http-502-html": told("502 Bad Gateway", 2.5, 5),
    "http-504-html": told("504 Gateway Timeout", 2.5, 5),
    "http-503": told("503 Service Unavailable", 2.5, 20, "*3"),
    # Ending
    "instant-close": Row("reconnects", AGAIN, value="*5"),
    "close": Row("reconnects", AGAIN),
    "cut": Row("reconnects", CUT),
    "zero-chunk-mid-json": Row("reconnects", AGAIN),
    "cut-mid-json": Row("reconnects", CUT),
    "reset-mid-json": Row("reconnects", "was reset"),
    "disconnect-operational": disconnected("OperationalDisconnect"),
    "disconnect-upstream-operational": disconnected("UpstreamOperationalDisconnect"),
    "disconnect-force": disconnected("closed this connection for another one"),
    "disconnect-upstream-unclean": disconnected("UpstreamUncleanDisconnect"),
    "disconnect-slow-reader": disconnected("we read too slowly"),
    "disconnect-internal-error": disconnected("InternalError"),
    "disconnect-state-degraded": disconnected("ClientApplicationStateDegraded"),
    "disconnect-invalid-rules": told("InvalidRules", 2.5, 5),
    "error-without-close": disconnected("UpstreamOperationalDisconnect"),
    "bare-problem": disconnected("OperationalDisconnect"),
    "usage-capped": Row("gives up", "usage cap"),
    "kick": Row("reconnects", AGAIN),
    # Stalls
    "stall": Row("reconnects", "no byte for", stalled=True),
    "silence": Row("goes on", value="=2.5"),
    "half-chunk-stall": Row("reconnects", "no byte for", stalled=True),
    "drip": Row("goes on", value="=0.001", options=SMALL),
    "half-open": Row("reconnects", "no byte for", stalled=True),
    "slow-reader-drop": Row("reconnects", "was reset", value="=3"),
    # Framing
    "crlf-split": ON,
    "utf8-split": ON,
    "many-per-chunk": ON,
    "many-chunks": ON,
    "lf-keep-alive": ON,
    "bad-chunk-size": Row("reconnects", CUT),
    "gzip": ON,
    "gzip-truncated": Row("reconnects", AGAIN),
    "gzip-corrupt": Row("reconnects", "compressed stream is damaged"),
    "long-line": ON,
    "burst": ON,
    # Content
    "invalid-json": Row("goes on", quarantined=1),
    "scalar-line": Row("goes on", quarantined=1),
    "array-line": Row("goes on", quarantined=1),
    "unknown-message": Row("goes on", quarantined=1),
    "tag-absent": ON,
    "tag-empty": ON,
    "tag-null": ON,
    "no-id": Row("goes on", quarantined=1),
    "no-text": Row("goes on", quarantined=1),
    "no-includes": ON,
    "no-edit-history": ON,
    "nulls": ON,
    "shuffled-fields": ON,
    "partial-errors": ON,
    "odd-text": ON,
    "unknown-rule": ON,
    # Order and time
    "duplicate": ON,
    "out-of-order": ON,
    "edit": ON,
    "clock-skew": ON,
    "gap": Row("reconnects", CUT, value="=3"),
}
ELSEWHERE = {  # of the faults that no connection of the stream can show
    "duplicates-after-backfill": "the source does not ask for backfill",
    "late-rule": "test_x_rules.py: no rules for a while",
    "rule-problems": "test_x_rules.py",
}


def test_every_fault_of_the_simulator_has_its_row():
    assert TABLE.keys() | ELSEWHERE.keys() == FAULTS.keys()


def _schedule(name: str, row: Row) -> tuple[str, ...]:
    if row.where == "option":
        return ()
    where = row.where or ("c1" if FAULTS[name].how in ("answer", "mode") else str(AT))
    return (f"{where}:{name}{row.value}",)


def _url(name: str, server: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the client looks for X. A name that does not resolve does so after the third look."""
    if name != "dns-failure":
        return server.url
    import socket

    real, asked = socket.getaddrinfo, []

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        if host != "x.invalid":
            return real(host, *args, **more)
        if more.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        asked.append(host)
        if len(asked) <= 3:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return server.url.replace("127.0.0.1", "x.invalid")


def _options(name: str, row: Row) -> SimulatorOptions:
    more = dict(row.options)
    if name == "tls-untrusted":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        more["ssl_context"] = context
    return SimulatorOptions(
        **{"posts": POSTS, "rate": 200.0, "keep_alive": 0.3, "faults": _schedule(name, row), **more}
    )


def _lines(sent: list[SentRecord]) -> tuple[list[bytes], list[bytes]]:
    """The whole lines that are to be delivered; and those of them that nothing excuses.

    What X still writes after an error object on the same connection may come too late: we hang up.
    """
    every, must = [], []
    over: set[int] = set()
    for record in sent:
        if record.kind == "error":
            over.add(record.connection)
        if not record.whole or record.kind in ("error", "keep_alive", "lost"):
            continue
        every.append(record.raw.removesuffix(b"\r\n"))
        if record.connection not in over:
            must.append(every[-1])
    return every, must


def _is_part_of(some: list[bytes], whole: list[bytes]) -> bool:
    """Whether `some` are in `whole`, in that order, each once."""
    rest = iter(whole)
    return all(any(line == other for other in rest) for line in some)


def _quarantined(source: XSource, lines: list[bytes]) -> int:
    count = 0
    for line in lines:
        try:
            source.decode(line)
        except Undecodable:
            count += 1
    return count


@pytest.mark.parametrize("name", TABLE)
def test_fault(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    row, tape, clock = TABLE[name], Tape(), SkippingClock()
    with Simulator(_options(name, row)) as x:
        url = _url(name, x, monkeypatch)
        settings = XSettings(base_url=url, bearer_token=BEARER_TOKEN, stall_after=1.0, connect_timeout=1.0)
        source = XSource(settings, "bieber", clock=clock)
        with Running(source, tape) as running:
            if row.outcome == "gives up":
                error = running.ended()
                assert isinstance(error, SourceRefused), error
                assert row.words in str(error)
                assert error.hint
                assert tape.reports[-1][:2] == (SourceState.STOPPED, error.message)
                assert len(x.connections) <= 1, "it knocked again"
            else:
                # The half-open connection holds the post that it was forgotten with: `finished` is not for it.
                wait_until(lambda: x.finished and _is_part_of(_lines(x.sent)[1], tape.lines))
                assert running.error is None
                _check_connections(row, x, tape, clock)
            every, must = _lines(x.sent)
            assert _is_part_of(must, tape.lines), "a post is missing or out of order"
            assert _is_part_of(tape.lines, every), "a line was delivered twice, cut, or was none of X's"
            assert _quarantined(source, tape.lines) == row.quarantined
    told = [*(repr(report) for report in tape.reports), *tape.events, str(running.error), repr(running.error)]
    told += [repr(source), repr(settings), caplog.text]
    assert BEARER_TOKEN not in " ".join(told)


def _check_connections(row: Row, x: Simulator, tape: Tape, clock: SkippingClock) -> None:
    reports = list(tape.reports)
    tried = sum(state is SourceState.CONNECTING for state, _, _ in reports)
    if row.outcome == "goes on":
        assert (tried, len(x.connections), clock.waits) == (1, 1, [])
        return
    assert tried >= 2
    reasons = [reason for state, reason, _ in reports if state in (SourceState.WAITING, SourceState.CONNECTING)]
    assert any(row.words in reason for reason in reasons), reasons
    assert all(row.least <= seconds <= row.most for seconds in clock.waits), clock.waits
    assert clock.waits or not row.least
    assert row.stalled == any(state is SourceState.STALLED for state, _, _ in reports)
    assert reports[-1][0] is SourceState.LIVE
