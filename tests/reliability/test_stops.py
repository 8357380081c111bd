"""A stop ends the process soon, flushed, with exit code 0, in every state that a capture can be in.

Two seconds are promised and measured by `python -m tests.reliability.stops`; a test on a machine that is busy allows a
minute, which is less than what the states wait for.
"""

from __future__ import annotations

import re
import signal
import threading
from contextlib import ExitStack

import pytest

from core.capture import Capture
from core.secret import SecretStr
from core.settings import MongodbSettings, Settings, XSettings
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_main_job import balanced, options
from tests.reliability.oracle import judge, read
from tests.reliability.stops import STATES, Stage, own_server, said, stop

PATIENCE = 60.0
NO_REPORT = ("stdout closed", "nobody reads stdout")
NO_STREAM = ("connecting:", "back-off")  # nothing was ever heard


@pytest.fixture
def stage(tmp_path, request):
    with ExitStack() as stack:
        yield Stage(
            tmp_path, stack, lambda: own_server(request.getfixturevalue("ferretdb_binary"), tmp_path, stack)
        )


@pytest.mark.parametrize("words", STATES)
def test_it_ends_flushed_and_with_0_when(words, stage):
    program = STATES[words](stage)
    ended = stop(program, signal.SIGTERM)
    assert ended.code == 0, program.said()
    assert ended.seconds < PATIENCE
    assert "Traceback" not in program.said()
    assert read(stage.data).runs[-1].reason == "stopped by SIGTERM"
    if words not in NO_REPORT:
        balanced(ended.report)
        assert ended.report["stopped"] == "stopped by SIGTERM"
    if not words.startswith(NO_STREAM):
        assert judge(stage.sim.sent, stage.data).posts_kept > 0


@pytest.mark.parametrize(
    "words", ["reading", "connected, not a byte", "paused", "stdin closed", "nobody reads stderr"]
)
def test_it_does_not_spin_when(words, stage):
    assert stop(STATES[words](stage), signal.SIGTERM, look=1.0).busy < 0.5


@pytest.mark.parametrize(
    "signals",
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT, signal.SIGINT),
        (signal.SIGHUP,),
        (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM),
    ],
    ids=lambda signals: "+".join(one.name for one in signals),
)
@pytest.mark.parametrize(
    "words",
    ["reading as fast as it can", "back-off of 15 minutes", "the store takes connections and says nothing"],
)
def test_more_signals_than_one_change_nothing(words, signals, stage):
    program = STATES[words](stage)
    ended = stop(program, *signals)
    assert ended.code == 0, program.said()
    assert ended.seconds < PATIENCE
    balanced(ended.report)
    assert ended.report["stopped"] == f"stopped by {signals[0].name}"


def test_a_signal_in_the_midst_of_a_signal_changes_nothing(stage):
    stage.simulate("c1:http-429=900")
    program = said(stage.run(module="tests.reliability.interrupted"), "429")
    ended = stop(program, signal.SIGTERM)
    assert ended.code == 0, program.said()
    assert ended.report["stopped"] == "stopped by SIGTERM"
    assert re.search("interrupted [1-9][0-9]* times", program.said())


def test_a_report_that_nobody_takes_is_told(stage):
    program = STATES["nobody reads stdout"](stage)
    stop(program, signal.SIGTERM)
    assert "the report could not be written" in program.said()


def test_what_the_store_did_not_take_is_pending_and_nothing_says_that_it_is_ill(stage):
    ended = stop(STATES["8,000 posts wait for the store"](stage), signal.SIGTERM)
    counters, sink = ended.report["life"], ended.report["sinks"]["mongodb"]
    assert counters["unique"] + counters["pending"] == 8_000
    assert sink["behind"] == counters["pending"]
    if sink["behind"]:
        # A busy store may be in the middle of a write; that alone is no illness.
        assert sink["error"] in (None, "it had not answered when the capture was stopped")


@pytest.mark.parametrize(
    "faults", [(), ("c1:no-answer",), ("c1:http-429=900",)], ids=["reading", "connecting", "back-off"]
)
def test_no_thread_is_left(tmp_path, closed_port, faults):
    before = set(threading.enumerate())
    with Simulator(options(rate=100, faults=faults)) as sim:
        settings = Settings(
            data_dir=tmp_path,
            store=SecretStr(f"mongodb://127.0.0.1:{closed_port}/x"),
            x=XSettings(base_url=sim.url, bearer_token=SecretStr(sim.options.tokens[0])),
            mongodb=MongodbSettings(timeout=1.0),
        )
        capture = Capture.open(settings)
        capture.start()
        wait_until(lambda: sim.connections)
        capture.stop()
    wait_until(lambda: set(threading.enumerate()) <= before)
