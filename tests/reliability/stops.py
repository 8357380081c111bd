"""The states that a capture can be told to stop in, each brought about for real, and how long its end takes.

    python -m tests.reliability.stops          prints a table: state, seconds to the end, exit code, CPU before it

test_stops.py holds every one of them to its promise; this file says how to get there.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from core.simulator.server import Simulator
from tests.conftest import ROOT, FerretDB, free_port, wait_until
from tests.integration.test_main_job import Program, collection, options, whole
from tests.reliability.terminal import Terminal

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Stage:
    """What a state is built from; everything that it starts ends with it."""

    folder: Path
    stack: ExitStack
    server: Callable[[], FerretDB]  # starts a store of the state's own
    sim: Simulator | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def simulate(self, *faults: str, **more: object) -> Simulator:
        self.sim = self.stack.enter_context(
            Simulator(options(**{"rate": 200, "match": 0.5, "faults": faults, **more}))
        )
        return self.sim

    def run(self, *flags: str, **more: object) -> Program:
        program = Program(self.sim or self.simulate(), self.data, *flags, **more)  # type: ignore[arg-type]
        self.stack.callback(self._end, program)
        return program

    def _end(self, program: Program) -> None:
        if program.process.poll() is None:
            program.kill()

    def silent_port(self, *, accepts: bool) -> int:
        """A port that takes connections and never says a word, or that does not even take them."""
        listener = self.stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        if not accepts:
            for _ in range(3):  # fill its queue: the next one is not answered
                filler = self.stack.enter_context(socket.socket())
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect(address)
        return int(address[1])


State = Callable[[Stage], Program]
STATES: dict[str, State] = {}


def state(words: str) -> Callable[[State], State]:
    """Put a state into the table under these words."""

    def enter(function: State) -> State:
        STATES[words] = function
        return function

    return enter


def live(stage: Stage, *flags: str, **more: object) -> Program:
    program = stage.run(*flags, **more)
    wait_until(lambda: "is live" in program.said() and len(whole(stage.sim)) > 20)
    return program


def said(program: Program, words: str) -> Program:
    wait_until(lambda: words in program.said())
    return program


# -- the source


@state("connecting: the host does not answer")
def no_host(stage: Stage) -> Program:
    port = stage.silent_port(accepts=False)
    return said(stage.run("--set", f"x.base_url=http://127.0.0.1:{port}"), "is connecting")


@state("connecting: the TLS handshake hangs")
def no_handshake(stage: Stage) -> Program:
    port = stage.silent_port(accepts=True)
    return said(stage.run("--set", f"x.base_url=https://127.0.0.1:{port}"), "is connecting")


@state("connecting: the token is not given")
def no_token(stage: Stage) -> Program:
    sim = stage.simulate("token1:no-answer")
    keys: list[str] = []
    for name in ("consumer_key", "consumer_secret"):
        (stage.folder / name).write_text(getattr(sim.options, name))
        keys += ["--set", f"x.{name}=file:{stage.folder / name}"]
    return said(stage.run(*keys, token=""), "is connecting")


@state("connecting: the rules are not told")
def no_rules(stage: Stage) -> Program:
    stage.simulate("rules1:no-answer")
    return said(stage.run(), "is connecting")


@state("connecting: the stream does not answer")
def no_answer(stage: Stage) -> Program:
    sim = stage.simulate("c1:no-answer")
    program = stage.run()
    wait_until(lambda: sim.connections)
    return program


@state("reading")
def reading(stage: Stage) -> Program:
    return live(stage)


@state("reading as fast as it can")
def flooded(stage: Stage) -> Program:
    stage.simulate(rate=0)
    return live(stage)


@state("connected, no posts")
def quiet(stage: Stage) -> Program:
    sim = stage.simulate(posts=30, keep_alive=0.2)
    program = live(stage)
    wait_until(lambda: sim.finished)
    return program


@state("connected, not a byte")
def stalling(stage: Stage) -> Program:
    stage.simulate("25:stall=600")
    return live(stage)


@state("back-off of 15 minutes")
def back_off(stage: Stage) -> Program:
    stage.simulate("c1:http-429=900")
    return said(stage.run(), "429")


@state("paused")
def paused(stage: Stage) -> Program:
    program = live(stage)
    program.process.send_signal(signal.SIGUSR1)
    return said(program, "is paused")


# -- the store


@state("the store is down")
def store_down(stage: Stage) -> Program:
    return said(live(stage, "--store", f"mongodb://127.0.0.1:{free_port()}/x"), "mongodb:")


@state("the store takes connections and says nothing")
def store_silent(stage: Stage) -> Program:
    return live(stage, "--store", f"mongodb://127.0.0.1:{stage.silent_port(accepts=True)}/x")


@state("the store hangs in mid-stream")
def store_hangs(stage: Stage) -> Program:
    server = stage.server()
    program = live(stage, "--store", f"{server.address}/x")
    wait_until(lambda: collection(f"{server.address}/x").count_documents({}) > 10)
    server.hang()
    seen = len(whole(stage.sim))
    wait_until(lambda: len(whole(stage.sim)) > seen + 50)
    return program


@state("8,000 posts wait for the store")
def backlog(stage: Stage) -> Program:
    return _backlog(stage, stage.server())


@state("8,000 posts wait for a store that hangs")
def backlog_hangs(stage: Stage) -> Program:
    server = stage.server()
    program = _backlog(stage, server)
    server.hang()
    return program


def _backlog(stage: Stage, server: FerretDB) -> Program:
    stage.simulate(rate=0, match=1.0, posts=8_000)
    assert stage.run("--max-posts", "8000").end(120)[0] == 0
    url = f"{server.address}/x"
    program = stage.run("--store", url, "--set", "mongodb.batch_size=100")
    wait_until(lambda: collection(url).count_documents({}) > 0)
    return program


# -- the streams that a shell gave it


@state("stdin closed")
def no_stdin(stage: Stage) -> Program:
    return _redirected(stage, "<&-")


@state("stdout closed")
def no_stdout(stage: Stage) -> Program:
    return _redirected(stage, ">&-")


@state("stderr closed")
def no_stderr(stage: Stage) -> Program:
    return _redirected(stage, "2>&-")


@state("nobody reads stdout")
def stdout_unread(stage: Stage) -> Program:
    return _redirected(stage, "> >(true)")


@state("nobody reads stderr")
def stderr_unread(stage: Stage) -> Program:
    return _redirected(stage, "2> >(true)")


def _redirected(stage: Stage, redirect: str) -> Program:
    program = stage.run(prefix=("bash", "-c", f'exec "$0" "$@" {redirect}'))
    wait_until(lambda: len(whole(stage.sim)) > 20)
    return program


class Ended(NamedTuple):
    """How a stop went."""

    code: int
    report: dict
    seconds: float
    busy: float  # share of a core that it used in the state, before it was told to stop


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def stop(program: Program, *signals: int, look: float = 0.0) -> Ended:
    """Send the signals, 50 ms apart, and wait for the end; `look` seconds are spent on the CPU before."""
    before = cpu(program.process.pid)
    time.sleep(look)
    busy = (cpu(program.process.pid) - before) / look if look else 0.0
    began = time.monotonic()
    for number in signals:
        with suppress(ProcessLookupError):
            program.process.send_signal(number)
        time.sleep(0.05 if len(signals) > 1 else 0)
    code, report = program.end()
    return Ended(code, report, time.monotonic() - began, busy)


def main() -> int:
    """Every state once, and how long it took to end."""
    build = subprocess.run([ROOT / "scripts" / "build-ferretdb"], stdout=subprocess.PIPE, text=True, check=True)
    for words, reach in STATES.items():
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            stage = Stage(Path(name), stack, lambda: own_server(Path(build.stdout.strip()), Path(name), stack))
            ended = stop(reach(stage), signal.SIGTERM, look=1.0)
            _tell(words, ended.seconds, ended.code, ended.busy)
    for words, ui, key in ON_A_TERMINAL:
        with tempfile.TemporaryDirectory() as name, Simulator(options(rate=100)) as sim:
            _measure_on_a_terminal(words, Terminal(sim, Path(name) / "data", ui=ui), key)
    return 0


ON_A_TERMINAL = (
    ("the terminal is closed, no dashboard", False, b""),
    ("the terminal is closed, dashboard", True, b""),
    ("dashboard, the query's dialog open", True, b"k"),
    ("dashboard, the filter open", True, b"/"),
)


def _measure_on_a_terminal(words: str, on: Terminal, key: bytes) -> None:
    on.until(lambda: b"LIVE" in on.seen or b"is live" in on.seen)
    os.write(on.ours, key)
    before, look = cpu(on.pid), time.monotonic() + 1.0
    on.until(lambda: time.monotonic() > look)
    busy, began = cpu(on.pid) - before, time.monotonic()
    if key:
        os.kill(on.pid, signal.SIGTERM)
    else:
        on.close()
    code = on.end()
    _tell(words, time.monotonic() - began, code, busy)
    on.close()


def _tell(words: str, seconds: float, code: int, busy: float) -> None:
    print(f"{words:<50} {seconds:5.2f} s   exit code {code}   CPU {busy:4.0%}", flush=True)


def own_server(binary: Path, folder: Path, stack: ExitStack) -> FerretDB:
    """A running store that ends with the stack, also when it stands still."""
    (folder / "db").mkdir()
    server = FerretDB(binary, folder / "db")
    server.start()
    stack.callback(server.kill)
    return server


if __name__ == "__main__":
    sys.exit(main())
