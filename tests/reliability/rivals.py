"""The same faults for others: bieber-tui, twarc2 and tweepy's own client, each through the same simulator.

    python -m tests.reliability.rivals --json rivals.json --doc docs/rivals.md

For every fault of the simulator, and for a kill with a restart, each client captures a stream that goes on whether it
listens or not, meets the fault when it has stored 30 posts (or at its first connect), and is watched until it has stored posts
from behind it, or for some seconds. Then what it stored is compared with what was sent. Nothing is judged by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import trustme

from core.simulator.faults import FAULTS, Fault
from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.posts import moment_of
from core.simulator.server import Simulator
from tests.integration.test_main_job import Program
from tests.integration.test_outside_clients import Front

RULE = '"justin bieber"'
AT = 30  # posts that are stored when a fault of the stream happens
BEHIND = 60  # posts from behind the fault that a client must have stored to have gone on
SLACK = 20  # posts that may have been on their way when the fault was asked for
RATE = 100.0  # posts a second
PATIENCE = 12.0  # seconds that a client is watched after a fault
LONG_PATIENCE = 45.0  # the same where X's own documents let it wait for 20 s of silence
SILENT = {"stall", "half-chunk-stall", "half-open", "no-answer"}
VALUES = {"silence": 3, "drip": 0.002, "gap": 20, "refuse": 3, "burst": 50}  # instead of the fault's own
# No retry mends these: a client should end, and say why.
REFUSALS = {
    "http-400", "http-401", "http-402", "http-402-early", "http-403-not-enrolled", "http-403-wrong-auth",
    "http-429-usage", "usage-capped", "redirect",
}  # fmt: skip
# X asks for a longer wait than we watch: to be waiting is right.
WAITS = {name for name in FAULTS if name.startswith("http-429")} | {
    "http-500-html",
    "http-502-html",
    "http-504-html",
    "http-503",
}
KILL = Fault(0, "sigkill", "option", "SIGKILL in mid-stream, and a second later a new start")
CLASSES = (("connect", 1, 7), ("HTTP", 8, 19), ("ending", 20, 28), ("stalls", 29, 34), ("framing", 35, 42),
           ("content", 43, 52), ("order and time", 53, 59))  # fmt: skip
UNNUMBERED = {"close": "ending", "cut": "ending", "sigkill": "kill"}

State = Literal["went on", "waiting", "ended"]


class Client(Protocol):
    """A way to capture. A new one for every trial; `start` may be called again after `kill`."""

    name: str

    def start(self) -> None: ...
    def alive(self) -> bool: ...
    def kill(self) -> None: ...
    def stop(self) -> int: ...
    def stored(self) -> tuple[list[str], int]:
        """The ids that are stored, each as often as it is, and how many lines are stored that are no posts."""

    def recorded(self) -> list[tuple[float, float]]:
        """The spans that the client says it may have missed posts in."""


class Ours:
    """bieber-tui, headless, into its journal."""

    name = "bieber-tui"

    def __init__(self, sim: Simulator, folder: Path) -> None:
        self._sim, self._data = sim, folder / "data"
        self._gaps: list[dict[str, Any]] = []
        self._program: Program | None = None
        self._open = float("inf")

    def start(self) -> None:
        self._program = Program(self._sim, self._data, "--keywords", RULE)

    def alive(self) -> bool:
        return self._program is not None and self._program.process.poll() is None

    def kill(self) -> None:
        assert self._program is not None
        self._program.kill()

    def stop(self) -> int:
        assert self._program is not None
        code, report = self._program.stop() if self.alive() else self._program.end()
        self._gaps = report.get("gaps", [])
        return code

    def stored(self) -> tuple[list[str], int]:
        path = self._data / "journal.sqlite"
        if not path.exists():
            return [], 0
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            return [row[0] for row in db.execute("SELECT id FROM posts ORDER BY seq")], 0
        except sqlite3.OperationalError:
            return [], 0
        finally:
            db.close()

    def recorded(self) -> list[tuple[float, float]]:
        return [(_seconds(gap["start"]), _seconds(gap["end"])) for gap in self._gaps]


class _Lines:
    """A client that appends JSON lines to a file, in a process of its own."""

    def __init__(self, sim: Simulator, folder: Path) -> None:
        self._sim, self._folder = sim, folder
        self._files: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None

    def _run(self, command: Sequence[str | Path], env: dict[str, str]) -> None:
        with (self._folder / "said.log").open("ab") as said:
            self._process = subprocess.Popen(command, env=env, cwd=self._folder, stdout=said, stderr=said)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def stored(self) -> tuple[list[str], int]:
        ids: list[str] = []
        other = 0
        for file in self._files:
            for line in file.read_text("utf-8", "replace").splitlines() if file.exists() else ():
                try:
                    value = json.loads(line)
                    ids.append(str(value.get("data", value)["id"]))
                except (ValueError, KeyError, TypeError, AttributeError):
                    other += 1
        return ids, other

    def recorded(self) -> list[tuple[float, float]]:
        return []  # it keeps no such record


class Twarc(_Lines):
    """twarc2 stream, through a proxy that answers for X's host."""

    name = "twarc2"

    def __init__(self, sim: Simulator, folder: Path) -> None:
        super().__init__(sim, folder)
        authority = trustme.CA()
        self._bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self._bundle))
        self._front = Front(sim, authority)
        sim.add_rule(RULE, "jb")

    def start(self) -> None:
        self._files.append(self._folder / f"posts-{len(self._files)}.jsonl")  # it would overwrite the last one
        twarc = Path(sys.executable).with_name("twarc2")
        env = {
            "PATH": os.environ["PATH"], "HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder),
            "LC_ALL": "C.UTF-8", "BEARER_TOKEN": BEARER_TOKEN, "HTTPS_PROXY": self._front.url,
            "REQUESTS_CA_BUNDLE": str(self._bundle),
        }  # fmt: skip
        self._run([sys.executable, twarc, "--app-auth", "stream", self._files[-1]], env)

    def stop(self) -> int:
        code = super().stop()
        self._front.close()
        return code


class Tweepy(_Lines):
    """tweepy's StreamingClient in the few lines that people write."""

    name = "tweepy"

    def start(self) -> None:
        self._files = [self._folder / "posts.jsonl"]
        script = Path(__file__).with_name("tweepy_capture.py")
        self._run([sys.executable, script, self._sim.url, self._files[0]], dict(os.environ))


CLIENTS: tuple[Callable[[Simulator, Path], Client], ...] = (Ours, Twarc, Tweepy)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one client made of one fault. Posts that came after the last one it stored are told by `state` alone."""

    client: str
    fault: str
    group: str
    state: State
    code: int  # exit code, also of a stop that was asked for
    stored: int  # different posts
    holes: int  # posts missing among those that it stored
    unrecorded: int  # of these, in no span that the client itself says it may have missed posts in
    twice: int  # posts stored again
    invented: int  # stored and never sent as a post
    junk: int  # stored lines that are no posts
    seconds: float  # from the fault to the first post behind it that was stored; 0 when there was none

    @property
    def good(self) -> bool:
        """Whether it did all that one may hope for."""
        clean = not (self.unrecorded or self.twice or self.invented or self.junk)
        if self.fault in REFUSALS:
            return clean and self.state == "ended"
        return clean and (self.state == "went on" or (self.state == "waiting" and self.fault in WAITS))


def group_of(fault: Fault) -> str:
    """The fault's class."""
    return UNNUMBERED.get(fault.name) or next(
        name for name, first, last in CLASSES if first <= fault.number <= last
    )


def trial(make: Callable[[Simulator, Path], Client], fault: Fault) -> Outcome:
    """One client, one fault."""
    at_once = fault.how in ("answer", "mode")  # at the first connect; the others when posts are stored
    value = f"={VALUES[fault.name]}" if fault.name in VALUES else ""
    times = "*100" if fault.name in REFUSALS and fault.how == "answer" else ""  # it lasts until a person mends it
    options = SimulatorOptions(
        rate=RATE, payload="small", match=1.0, keep_alive=2.0, hold_while_disconnected=False, connect_budget=1000,
        faults=(f"c1:{fault.name}{value}{times}",) if at_once else (),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name, Simulator(options) as sim:
        client = make(sim, Path(name))
        client.start()
        _wait(lambda: bool(sim.connections), 30.0)
        asked = time.time()
        if not at_once:
            _wait(lambda: len(client.stored()[0]) >= AT, 30.0)
        border = max(map(int, client.stored()[0]), default=0)
        began = time.monotonic()
        if fault is KILL:
            client.kill()
            time.sleep(1.0)
            client.start()
        elif not at_once:
            sim.schedule(f"t0:{fault.name}{value}")
        first = 0.0

        def went_on() -> bool:
            nonlocal first
            behind = sum(int(one) > border for one in client.stored()[0])
            if behind > SLACK and not first:
                first = time.monotonic() - began
            return behind >= BEHIND

        _wait(lambda: went_on() or not client.alive(), LONG_PATIENCE if fault.name in SILENT else PATIENCE)
        state: State = "went on" if went_on() else "waiting" if client.alive() else "ended"
        if state == "went on":
            sim.schedule("t0:silence=60")
            _wait(lambda: not _missing(sim, client), 3.0)
        code = client.stop()
        return _outcome(client, fault, state, code, sim, asked, first)


def _missing(sim: Simulator, client: Client) -> set[str]:
    """Posts that the newest connection carried, and that are not stored."""
    newest = len(sim.connections)
    sent = {one.post for one in sim.sent if one.post and one.whole and one.connection == newest}
    return sent - set(client.stored()[0])


def _outcome(
    client: Client, fault: Fault, state: State, code: int, sim: Simulator, asked: float, first: float
) -> Outcome:
    ids, junk = client.stored()
    # When each post was written for nobody, or put on a connection: of all since the client first asked.
    sent = {
        one.post: moment_of(int(one.post)) if one.kind == "lost" else one.at
        for one in sim.sent
        if one.post and one.kind != "malformed"
    }
    if fault.how != "answer":  # the first connection was good: what came before it is nobody's loss
        asked = min((one.at for one in sim.sent if one.connection), default=asked)
    newest = max(map(int, ids), default=0)
    holes = [at for post, at in sent.items() if int(post) <= newest and at >= asked and post not in ids]
    spans = client.recorded()
    counts = Counter(ids)
    return Outcome(
        client=client.name, fault=fault.name, group=group_of(fault), state=state, code=code, stored=len(counts),
        holes=len(holes),
        unrecorded=sum(not any(start - 1 <= at <= end + 1 for start, end in spans) for at in holes),
        twice=sum(counts.values()) - len(counts), invented=len(set(ids) - sent.keys()), junk=junk,
        seconds=round(first, 2),
    )  # fmt: skip


def _wait(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until it holds, or for so long. Returns the moment (monotonic)."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return time.monotonic()


def _seconds(moment: str | None) -> float:
    return float("inf") if moment is None else datetime.fromisoformat(moment).timestamp()


# The document


def faults_of(names: Sequence[str] = ()) -> list[Fault]:
    """Every fault that can be scheduled at the stream, and the kill; or those of them that are named."""
    every = [*(one for one in FAULTS.values() if one.how != "option"), KILL]
    return [one for one in every if not names or one.name in names]


def compare(faults: Sequence[Fault], workers: int = 1) -> list[Outcome]:
    """Every client through every fault."""
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(trial, make, fault) for fault in faults for make in CLIENTS]
        return [job.result() for job in jobs]


def cell(one: Outcome) -> str:
    """An outcome in a few words."""
    words = {"went on": f"went on after {one.seconds:.1f} s", "waiting": "waiting", "ended": f"ended ({one.code})"}
    trouble = [words[one.state]]
    if one.holes:
        record = "in its gap" if not one.unrecorded else f"{one.unrecorded} unrecorded"
        trouble.append(f"{one.holes} lost, {record}")
    for number, name in ((one.twice, "twice"), (one.invented, "invented"), (one.junk, "no posts")):
        if number:
            trouble.append(f"{number} {name}")
    return ("" if one.good else "✗ ") + "; ".join(trouble)


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table by class, and every fault."""
    names = [make.name for make in (Ours, Twarc, Tweepy)]
    groups = list(dict.fromkeys(one.group for one in outcomes))
    lines = [
        "| class | faults | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names),
    ]  # fmt: skip
    for group in (*groups, "all"):
        row = []
        for name in names:
            mine = [one for one in outcomes if one.client == name and group in (one.group, "all")]
            row.append(
                f"{sum(one.good for one in mine)}; {sum(one.unrecorded for one in mine)} lost, "
                f"{sum(one.twice for one in mine)} twice, {sum(one.junk for one in mine)} no posts"
            )
        lines.append(f"| {group} | {len(mine)} | " + " | ".join(row) + " |")
    lines += ["", "| fault | what happens | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    by_fault: dict[str, dict[str, Outcome]] = {}
    for one in outcomes:
        by_fault.setdefault(one.fault, {})[one.client] = one
    for fault, row_of in by_fault.items():
        summary = KILL.summary if fault == KILL.name else FAULTS[fault].summary
        lines.append(f"| `{fault}` | {summary} | " + " | ".join(cell(row_of[name]) for name in names) + " |")
    return "\n".join(lines) + "\n"


DOC = """# The same faults for others

bieber-tui (headless, into its journal), `twarc2 stream` {twarc} writing to a file, and the few lines that people
write around the StreamingClient of tweepy {tweepy} (`tests/reliability/tweepy_capture.py`), each through the same
simulator, fault by fault. Made by `make rivals`; nothing in the tables was written by hand.

The stream has {rate:g} posts a second and goes on whether a client listens or not, as X does. The fault happens when
{at} posts are stored, or at the first connect. A client is watched until it has stored {behind} posts from behind the
fault, or for {patience:g} s ({long:g} s where X's documents let it wait for 20 s of silence).

- *went on after*: until posts from behind the fault were stored.
- *waiting*: alive, and nothing stored yet. That is right where X asks for a longer wait than we watch.
- *ended*: the process ended by itself, with that exit code (0 says to a supervisor that all went well). That is
  right where no retry helps (a bad token, no credits); elsewhere a person has to notice and start it again.
- *lost*: posts missing among those that were stored; *in its gap*: the client's own record says so. The others have
  no such record. *twice*: stored again. *no posts*: stored lines that are no posts
  (twarc2 keeps X's error objects among them).
- ✗ marks what is not as one would hope: a post lost without a record, stored twice or stored though it is none, an
  end where going on was possible, going on where no retry helps.

The first table counts the faults without ✗, and adds up what was lost without a record, stored twice, or is no post.

{tables}"""


def document(outcomes: Sequence[Outcome]) -> str:
    """docs/rivals.md."""
    return DOC.format(
        twarc=version("twarc"), tweepy=version("tweepy"), rate=RATE, at=AT, behind=BEHIND, patience=PATIENCE,
        long=LONG_PATIENCE, tables=markdown(outcomes),
    )  # fmt: skip


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("faults", nargs="*", help="names of faults (default: all)")
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    parser.add_argument("--doc", type=Path, help="write the document there instead of printing it")
    parser.add_argument("--workers", type=int, default=4, help="trials at a time (default: 4)")
    args = parser.parse_args()
    outcomes = compare(faults_of(args.faults), args.workers)
    if args.json:
        args.json.write_text(json.dumps([asdict(one) | {"good": one.good} for one in outcomes], indent=1) + "\n")
    if args.doc:
        args.doc.write_text(document(outcomes))
    else:
        sys.stdout.write(markdown(outcomes))
    return 0 if all(one.good for one in outcomes if one.client == Ours.name) else 1


if __name__ == "__main__":
    sys.exit(main())
