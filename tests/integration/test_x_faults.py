"""The fault list, through the X source, against the simulator: one table of what is injected and what is done.

Whatever happens, every line that the simulator says it sent whole is delivered once and in order, no half of one
is, and the source ends up live again or refuses with the words of the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.errors import SourceRefused, Undecodable
from core.health import SourceState
from core.settings import XSettings
from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.server import Simulator
from core.sources.x.decode import decode
from core.sources.x.source import XSource
from tests.x_server import Running, SkippingClock, Tape, wait_for

POSTS = 120


@dataclass(frozen=True)
class Survived:
    """The source goes on."""

    words: str = ""  # in a report; none: nothing is to be noticed but the posts
    wait: float | None = None  # seconds of the first wait, without jitter; None: at once
    connects: int = 2
    loses: bool = False  # lines that the kernel had, and that a reset took


@dataclass(frozen=True)
class Refused:
    """The source gives up, with these words."""

    words: str


HTTP_503 = Survived("X answered 503 Service Unavailable", 5)
CLOSED = Survived("X closed the connection")
UNNOTICED = Survived(connects=1)

TABLE: dict[str, Survived | Refused] = {
    # connect
    "c1:handshake-cut": Survived("", 0, loses=True),
    "c1:redirect": Refused("redirect"),
    "c1:http-1.0": UNNOTICED,
    "c1:unchunked": UNNOTICED,
    # HTTP
    "c1:http-400": Refused("parameter"),
    "c1:http-401": Refused("token"),
    "c1:http-402": Refused("credits"),
    "c1:http-402-early": Refused("credits"),
    "c1:http-403-not-enrolled": Refused("access level"),
    "c1:http-403-wrong-auth": Refused("app-only bearer token"),
    "c1:http-409": Survived("409", 5),
    "c1:http-429=120": Survived("X answered 429", 120),
    "c1:http-429-connections": Survived("TooManyConnections", 60),
    "c1:http-429-usage": Refused("usage cap"),
    "c1:http-429-no-reset": Survived("429", 60),
    "c1:http-429-past-reset": Survived("429", 60),
    "c1:http-429-bad-reset": Survived("429", 60),
    "c1:http-500-html": Survived("X answered 500", 5),
    "c1:http-502-html": Survived("X answered 502", 5),
    "c1:http-504-html": Survived("X answered 504", 5),
    "c1:http-503": HTTP_503,
    "c1:http-503*4": Survived("X answered 503 Service Unavailable", 5, connects=5),
    # ending
    "c1:instant-close": CLOSED,
    "c1:instant-close*3": Survived("X closed the connection", 0.25, connects=4),
    "50:close": CLOSED,
    "50:cut": Survived("cut in mid-stream"),
    "50:zero-chunk-mid-json": CLOSED,
    "50:cut-mid-json": Survived("cut in mid-stream"),
    "50:reset-mid-json": Survived("reset", loses=True),
    "50:disconnect-operational": Survived("OperationalDisconnect"),
    "50:disconnect-upstream-operational": Survived("UpstreamOperationalDisconnect"),
    "50:disconnect-force": Survived("another one"),
    "50:disconnect-upstream-unclean": Survived("UpstreamUncleanDisconnect"),
    "50:disconnect-slow-reader": Survived("too slowly"),
    "50:disconnect-internal-error": Survived("InternalError"),
    "50:disconnect-state-degraded": Survived("ClientApplicationStateDegraded"),
    "50:disconnect-invalid-rules": Survived("InvalidRules", 5),
    "50:error-without-close": Survived("operational", loses=True),
    "50:bare-problem": Survived("operational"),
    "50:usage-capped": Refused("usage cap"),
    # stalls
    "50:stall=30": Survived("no byte for", loses=True),
    "50:half-chunk-stall=30": Survived("no byte for", loses=True),
    "50:half-open": Survived("no byte for", loses=True),
    "50:silence=3": UNNOTICED,
    "50:drip": UNNOTICED,
    "50:slow-reader-drop": Survived("", loses=True),
    # framing
    "50:crlf-split": UNNOTICED,
    "50:utf8-split": UNNOTICED,
    "50:many-per-chunk": UNNOTICED,
    "50:many-chunks": UNNOTICED,
    "50:lf-keep-alive": UNNOTICED,
    "50:bad-chunk-size": Survived("cut in mid-stream"),
    "c1:gzip": UNNOTICED,
    "c1:gzip-truncated": Survived("", loses=True),
    "c1:gzip-corrupt": Survived("compressed stream is damaged", loses=True),
    "50:long-line": UNNOTICED,
    "50:burst": UNNOTICED,
    # content: delivered as it came, whatever it is
    "50:invalid-json": UNNOTICED,
    "50:scalar-line": UNNOTICED,
    "50:array-line": UNNOTICED,
    "50:unknown-message": UNNOTICED,
    "50:tag-absent": UNNOTICED,
    "50:tag-null": UNNOTICED,
    "50:no-id": UNNOTICED,
    "50:no-text": UNNOTICED,
    "50:no-includes": UNNOTICED,
    "50:no-edit-history": UNNOTICED,
    "50:nulls": UNNOTICED,
    "50:shuffled-fields": UNNOTICED,
    "50:partial-errors": UNNOTICED,
    "50:odd-text": UNNOTICED,
    "50:unknown-rule": UNNOTICED,
    # order and time
    "50:duplicate": UNNOTICED,
    "50:out-of-order": UNNOTICED,
    "50:edit": UNNOTICED,
    "50:clock-skew": UNNOTICED,
    "50:gap": Survived("", loses=True),
    # rules and token
    "rules1:http-503": Survived("X answered 503", 5, connects=1),
    "rules1:http-401": Refused("token"),
    "rules2:http-429=120": Survived("429", 120, connects=1),
}
CONTENT_THAT_IS_NO_POST = ("invalid-json", "scalar-line", "array-line", "unknown-message", "no-id", "no-text")


def sent(simulator: Simulator) -> list[bytes]:
    """Every line that was put on the wire whole and is no control, in order."""
    return [
        record.raw.rstrip(b"\r\n")
        for record in simulator.sent
        if record.whole and record.kind not in ("keep_alive", "error", "lost")
    ]


@pytest.mark.parametrize("fault", TABLE)
def test_fault(fault):
    expected = TABLE[fault]
    options = SimulatorOptions(seed=7, rate=400, posts=POSTS, keep_alive=0.2, payload="rich", faults=(fault,))
    clock, tape = SkippingClock(), Tape()
    with Simulator(options) as simulator:
        x = XSettings(base_url=simulator.url, bearer_token=BEARER_TOKEN, stall_after=1.5, connect_timeout=10)
        with Running(XSource(x, "bieber", clock=clock, random=lambda: 1.0), tape) as running:
            if isinstance(expected, Refused):
                error = running.ended()
                assert isinstance(error, SourceRefused), (error, tape.reports)
                assert expected.words in str(error)
                assert tape.reports[-1][0] is SourceState.STOPPED
                return
            wait_for(lambda: simulator.finished and tape.reports[-1][0].connected, 60)
            wait_for(lambda: bool(tape.lines) and tape.lines[-1] == sent(simulator)[-1], 60)
        assert running.error is None
        delivered = sent(simulator)
        connects = simulator.connections
    if expected.loses:
        whole = iter(delivered)
        assert all(line in whole for line in tape.lines)  # a subsequence: nothing invented, nothing reordered
        assert len(tape.lines) > POSTS // 4
    else:
        assert tape.lines == delivered
    assert len(connects) == expected.connects or expected.words == ""
    assert any(expected.words in reason for _, reason, _ in tape.reports), tape.reports
    waits = [wait for wait in clock.waits if wait > 0]
    if expected.wait:
        assert expected.wait - 2 <= waits[0] <= expected.wait + 3, clock.waits
    elif expected.wait is None:
        assert not waits, clock.waits
    quarantined = 0
    for line in tape.lines:
        try:
            decode(line)
        except Undecodable:
            quarantined += 1
    assert quarantined == (1 if fault.partition(":")[2] in CONTENT_THAT_IS_NO_POST else 0)
