"""The terminal goes away, a tmux is killed: the real program, on a real one, over a real capture.

With and without the dashboard. What a run leaves in its journal says how it ended.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.simulator.server import Simulator
from tests.conftest import ROOT, wait_until
from tests.integration.test_main_job import options, whole
from tests.reliability.oracle import judge, read
from tests.reliability.stops import cpu
from tests.reliability.terminal import Terminal, command, environ

UI = pytest.mark.parametrize("ui", [False, True], ids=["headless", "dashboard"])


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(options(rate=100, match=0.5, start_time=None)) as sim:
        yield sim


@pytest.fixture
def terminal(sim, tmp_path):
    started = []

    def start(**how) -> Terminal:
        started.append(Terminal(sim, tmp_path / "data", **how))
        started[-1].until(lambda: len(whole(sim)) > 30)
        return started[-1]

    yield start
    for one in started:
        one.close()
        if not one.ended():
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)


def left_in_order(sim: Simulator, data: Path) -> str:
    """Nothing that was read is lost; how the run says that it ended."""
    wait_until(lambda: sim.connections[-1].ended)
    judge(sim.sent, data)
    reason = read(data).runs[-1].reason
    assert reason is not None, "the run was not ended in order"
    return reason


@UI
def test_a_terminal_that_is_closed_ends_it_flushed(sim, terminal, tmp_path, ui):
    on = terminal(ui=ui)
    on.close()
    assert on.end() == 0
    assert left_in_order(sim, tmp_path / "data") == ("stopped by you" if ui else "stopped by SIGHUP")


def test_under_nohup_a_capture_outlives_its_terminal_and_does_not_spin(sim, terminal, tmp_path):
    on = terminal(ui=False, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    on.close()
    seen = len(whole(sim))
    before, began = cpu(on.pid), time.monotonic()
    on.until(lambda: len(whole(sim)) > seen + 100)
    assert (cpu(on.pid) - before) / (time.monotonic() - began) < 0.5
    os.kill(on.pid, signal.SIGTERM)
    assert on.end() == 0
    assert left_in_order(sim, tmp_path / "data") == "stopped by SIGTERM"


def test_ctrl_c_three_times_is_one_stop(sim, terminal, tmp_path):
    on = terminal(ui=False)
    for _ in range(3):
        os.write(on.ours, b"\x03")
        time.sleep(0.05)
    assert on.end() == 0
    assert left_in_order(sim, tmp_path / "data") == "stopped by SIGINT"


@pytest.mark.parametrize("key", [b"k", b"?", b"/", b"p"], ids=["query", "help", "filter", "paused"])
def test_a_signal_ends_the_dashboard_whatever_is_open(sim, terminal, tmp_path, key):
    on = terminal(ui=True)
    on.until(lambda: b"LIVE" in on.seen)
    on.seen = b""
    os.write(on.ours, key)
    on.until(lambda: {b"k": b"Keywords", b"?": b"elp", b"/": b"ilter", b"p": b"PAUSED"}[key] in on.seen)
    os.kill(on.pid, signal.SIGTERM)
    assert on.end() == 0
    assert left_in_order(sim, tmp_path / "data") == "stopped by you"


@UI
def test_signals_until_it_has_ended_change_nothing(sim, terminal, tmp_path, ui):
    """A thousand a second: one may come while another is taken, and while the interpreter is on its way out."""
    on = terminal(ui=ui)
    while not on.ended():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) * 5:
            os.kill(on.pid, number)
        on.read()
    assert on.code == 0
    assert left_in_order(sim, tmp_path / "data").startswith("stopped by you" if ui else "stopped by SIG")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@UI
@pytest.mark.parametrize("how", ["kill-session", "kill-server"])
def test_a_tmux_that_is_killed_ends_it_flushed(sim, tmp_path, ui, how):
    data = tmp_path / "data"
    sockets = Path("/tmp") / f"bt-{os.getpid()}-{time.monotonic_ns()}"  # a socket's path may not be long
    sockets.mkdir(mode=0o700)
    env = {**environ(sim), "TMUX_TMPDIR": str(sockets)}

    def tmux(*words: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", *words], env=env, cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    try:
        line = "exec " + shlex.join(command(sim, data, ui))
        tmux("new-session", "-d", "-x", "120", "-y", "40", line)
        pid = int(tmux("list-panes", "-F", "#{pane_pid}"))
        wait_until(lambda: len(whole(sim)) > 30)
        tmux(how)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        assert left_in_order(sim, data) == ("stopped by you" if ui else "stopped by SIGHUP")
    finally:
        subprocess.run(["tmux", "-f", "/dev/null", "kill-server"], env=env, capture_output=True)
        shutil.rmtree(sockets, ignore_errors=True)
