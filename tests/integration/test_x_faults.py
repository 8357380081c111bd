"""The fault list over real sockets: what happens at each fault, as one table, and that nothing else is lost."""

from __future__ import annotations

import pytest

from core.errors import SourceRefused
from core.health import SourceState
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from core.sources.x import answers
from core.sources.x.source import XSource
from tests.x_server import Running, SkippingClock, Tape, settings, wait_for

# fault -> words of the reason that is reported; the connection is made anew and every whole post arrives once.
MENDED = {
    "c1:refuse=0.3": "", "c1:handshake-cut": "", "c1:http-1.0": "", "c1:unchunked": "",
    "c1:http-409": "rule", "c1:http-429=3": "429", "c1:http-429-connections": "429",
    "c1:http-429-no-reset": "429", "c1:http-429-past-reset": "429", "c1:http-429-bad-reset": "429",
    "c1:http-500-html": "500", "c1:http-502-html": "502", "c1:http-504-html": "504", "c1:http-503": "503",
    "c1:instant-close": "closed", "20:close": "closed", "20:cut": "", "20:zero-chunk-mid-json": "",
    "20:cut-mid-json": "", "20:reset-mid-json": "reset", "20:kick": "",
    "20:disconnect-operational": "operational", "20:disconnect-upstream-operational": "", "20:disconnect-force": "",
    "20:disconnect-upstream-unclean": "", "20:disconnect-slow-reader": "", "20:disconnect-internal-error": "",
    "20:disconnect-state-degraded": "", "20:disconnect-invalid-rules": "", "20:error-without-close": "",
    "20:bare-problem": "", "20:stall=3": "no byte", "20:half-chunk-stall=3": "no byte", "20:half-open": "no byte",
    "20:slow-reader-drop": "", "20:bad-chunk-size": "", "c1:gzip-truncated": "", "c1:gzip-corrupt": "",
}  # fmt: skip

# Nothing that a user would notice: one connection, every post.
HARMLESS = [
    "20:drip=0.001", "20:crlf-split", "20:utf8-split", "20:many-per-chunk", "20:many-chunks", "20:lf-keep-alive",
    "c1:gzip", "20:burst", "20:tag-absent", "20:tag-empty", "20:tag-null", "20:no-includes", "20:no-edit-history",
    "20:nulls", "20:shuffled-fields", "20:partial-errors", "20:odd-text", "20:unknown-rule", "20:duplicate",
    "20:out-of-order", "20:edit", "20:clock-skew", "20:long-line",
]  # fmt: skip

# Given up, with the thing to mend.
FATAL = {
    "c1:http-400": "", "c1:http-401": "token", "c1:http-402": "credits", "c1:http-402-early": "credits",
    "c1:http-403-not-enrolled": "filtered stream", "c1:http-403-wrong-auth": "token", "c1:http-429-usage": "cap",
    "20:usage-capped": "cap", "c1:redirect": "x.base_url",
}  # fmt: skip


class Trial:
    """The source at work on a simulator with one fault."""

    def __init__(self, fault: str) -> None:
        # A test is patient, so that a slow machine is not taken for a silent one.
        self.sim = Simulator(SimulatorOptions(rate=0, posts=60, payload="small", faults=(fault,), keep_alive=0.2))
        self.tape = Tape()

    def __enter__(self) -> Trial:
        self.sim.start()
        x = settings(self.sim.url, bearer_token=self.sim.options.tokens[0], stall_after=1.0, connect_timeout=5.0)
        self.running = Running(XSource(x, "music", clock=SkippingClock()), self.tape)
        self.running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.running.stop()
        self.sim.stop()

    def wanted(self) -> list[bytes]:
        kinds = ("post", "edit", "duplicate", "malformed", "pushed")
        return [sent.raw.rstrip(b"\r\n") for sent in self.sim.sent if sent.whole and sent.kind in kinds]

    def all_produced(self) -> bool:
        produced = {sent.post for sent in self.sim.sent if sent.kind in ("post", "edit", "lost")}
        return len(produced - {""}) >= 60


@pytest.mark.parametrize("fault", MENDED)
def test_a_fault_that_passes_costs_nothing_but_its_gap(fault):
    with Trial(fault) as trial:
        wait_for(trial.all_produced)
        wait_for(lambda: len(trial.tape.lines) >= len(trial.wanted()))
        wait_for(
            lambda: len(trial.sim.connections) >= 2 or fault.startswith(("c1:http-1.0", "c1:unch", "c1:refuse"))
        )
    assert trial.running.error is None
    got = trial.tape.lines
    assert len(got) == len(set(got)) or "duplicate" in fault
    lost = set(trial.wanted()) - set(got)
    # What was on its way when the other side broke the connection may be lost: it is in the gap, and never invented.
    assert not set(got) - set(trial.wanted())
    if not any(
        word in fault for word in ("reset", "gzip", "slow-reader", "half-open", "bad-chunk", "kick", "error-w")
    ):
        assert not lost
    words = " | ".join(reason for _, reason, _ in trial.tape.reports)
    assert MENDED[fault].lower() in words.lower()


@pytest.mark.parametrize("fault", HARMLESS)
def test_a_harmless_fault_is_not_noticed(fault):
    with Trial(fault) as trial:
        wait_for(trial.all_produced)
        wait_for(lambda: len(trial.tape.lines) >= len(trial.wanted()))
    assert trial.running.error is None
    assert trial.tape.lines == trial.wanted()
    assert not trial.tape.said(SourceState.WAITING)


@pytest.mark.parametrize("fault", FATAL)
def test_what_no_retry_mends_ends_with_what_to_do(fault):
    with Trial(fault) as trial:
        error = trial.running.ended()
    assert isinstance(error, SourceRefused)
    assert error.hint
    assert FATAL[fault] in str(error)
    assert trial.sim.options.tokens[0] not in str(error) + repr(error)
    assert trial.tape.reports[-1][0] is SourceState.STOPPED


def test_broken_lines_are_delivered_as_they_came_for_the_writer_to_quarantine():
    with Trial("20:invalid-json") as trial:
        wait_for(trial.all_produced)
        wait_for(lambda: len(trial.tape.lines) >= len(trial.wanted()))
    assert trial.tape.lines == trial.wanted()
    assert len(trial.tape.lines) == 61


@pytest.mark.parametrize(
    "line",
    [
        b'{"data":{"id":"1","text":"a"},"errors":[{"title":"Not Found Error"}]}',
        b'{"errors":[{"title":"x"}],"data":{"id":"1","text":"a"}}',
        b"3",
        b'{"hello":1}',
        b'{"data":{"id":"1","text":"{\\"errors\\":[]}"}}',
    ],
)
def test_posts_and_unknown_lines_are_not_control(line):
    assert answers.in_stream(line) is None
