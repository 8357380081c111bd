"""X allows 50 connects in 15 minutes to the app, whichever process makes them: no restart loop ever spends more."""

from __future__ import annotations

import pytest

from core.health import SourceState
from core.simulator.server import Simulator
from core.sources.x.memory import Memory
from core.sources.x.source import XSource
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, options
from tests.x_server import Running, ScriptedX, SkippingClock, Tape, settings


@pytest.fixture
def x():
    server = ScriptedX()
    yield server
    server.close()


def run_once(x: ScriptedX, memory: Memory | None, clock: SkippingClock) -> tuple[float, Tape]:
    """A process's life: a source that is made, connects once and is gone. Also when it connected."""
    tape = Tape()
    with Running(XSource(settings(x), "bieber", memory=memory, clock=clock), tape):
        wait_until(lambda: tape.said(SourceState.LIVE))
        connected = clock.monotonic()
    return connected, tape


def test_a_hundred_restarts_in_a_row_stay_within_the_budget(x, tmp_path):
    clock = SkippingClock()
    times = [run_once(x, Memory(tmp_path), clock)[0] for _ in range(100)]
    assert all(later - earlier > 5 for earlier, later in zip(times, times[10:], strict=False))
    assert all(later - earlier > 900 for earlier, later in zip(times, times[50:], strict=False))
    assert len(x.connects) == 100


def test_the_eleventh_restart_waits_and_says_why(x, tmp_path):
    clock = SkippingClock()
    for number in range(11):
        _, tape = run_once(x, Memory(tmp_path), clock)
        assert tape.said(SourceState.WAITING, "X allows 50 connects in 15 minutes") == (number == 10)
    assert 20 < clock.waits[-1] < 22.6


def test_the_budget_grows_again_while_nothing_runs(x, tmp_path):
    clock = SkippingClock()
    for _ in range(10):
        run_once(x, Memory(tmp_path), clock)
    clock.skipped += 225
    for _ in range(10):
        _, tape = run_once(x, Memory(tmp_path), clock)
        assert not tape.said(SourceState.WAITING)


def test_a_clock_that_was_set_back_meanwhile_gives_no_connects_away(x, tmp_path):
    clock = SkippingClock()
    for _ in range(10):
        run_once(x, Memory(tmp_path), clock)
    clock.skipped -= 100_000
    _, tape = run_once(x, Memory(tmp_path), clock)
    assert tape.said(SourceState.WAITING, "X allows 50 connects")


def test_what_x_says_of_its_limit_is_remembered_too(x, tmp_path):
    limit = ("x-rate-limit-limit: 10000", "x-rate-limit-remaining: 9999", "x-rate-limit-reset: 1900000000")

    def roomy(wire):
        wire.chunked(*limit)
        wire.hold()

    x.scripts += [roomy] * 30
    clock = SkippingClock()
    for _ in range(30):
        _, tape = run_once(x, Memory(tmp_path), clock)
        assert not tape.said(SourceState.WAITING)


def test_a_memory_that_cannot_be_written_is_told_once_and_stops_nothing(x, tmp_path):
    x.scripts += [lambda wire: (wire.chunked(), wire.send(b"0\r\n\r\n"))] * 3
    tape = Tape()
    source = XSource(settings(x), "bieber", memory=Memory(tmp_path / "nowhere"), clock=SkippingClock())
    with Running(source, tape):
        wait_until(lambda: len(x.connects) == 4)
    assert [event for event in tape.events if "remembered" in event] == tape.events
    assert len(tape.events) == 1


def test_a_service_that_dies_at_once_and_is_restarted_again_and_again_is_never_told_429(tmp_path):
    """Real processes, killed: a server that allows 15 connects in 15 minutes sees three, and then one each minute."""
    with Simulator(options(rate=5, connect_budget=15)) as sim:
        for number in range(3):
            program = Program(sim, tmp_path / "data")
            wait_until(lambda n=number: len(sim.connections) > n)
            wait_until(lambda p=program: "connected" in p.said())
            program.kill()
        program = Program(sim, tmp_path / "data")
        wait_until(lambda: "X allows 15 connects in 15 minutes" in program.said())
        assert len(sim.connections) == 3
        code, report = program.stop()
        assert {record.status for record in sim.connections} == {200}
    assert code == 0
    assert report["gaps"][-1]["end"] is None  # it waited, and was stopped while it waited
