"""Hundreds of kills at random moments of one capture's life, and the oracle's word after each.

    python -m tests.reliability.campaign --kills 300 --seed 7

One data folder, one simulator with faults switched on, whose posts go on and are lost while nobody is connected, one
server that speaks MongoDB's protocol. Each run of the program lives for a moment that the seed decides, is paused,
resumed, given other queries, has its store killed, and dies by SIGKILL: at a random time, or at a crash point. After
each death the books must balance; every so often, and at the end, all that was kept is compared with all that was
sent. Prints figures as JSON; fails with the oracle's words and the seed. The same seed makes the same plan, though
not the same race.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from core.counters import Counters
from core.crashpoint import Point
from core.settings import MongodbSettings
from core.simulator import state
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from core.sinks.mongodb import MongodbSink
from tests.conftest import ROOT, FerretDB
from tests.integration.test_main_job import Program, collection
from tests.reliability.oracle import Disagreement, books, judge, read

# On the stream: up to four at random moments of each life.
FAULTS = (
    "cut-mid-json", "reset-mid-json", "zero-chunk-mid-json", "close", "cut", "disconnect-operational", "stall=2",
    "half-chunk-stall=2", "invalid-json", "scalar-line", "unknown-message", "no-id", "no-text", "shuffled-fields",
    "out-of-order", "edit", "burst=60", "many-per-chunk", "crlf-split", "utf8-split", "many-chunks", "odd-text",
    "long-line=300000", "gap",
)  # fmt: skip
AT_CONNECT = ("http-503", "http-500-html", "handshake-cut", "instant-close", "gzip", "http-429=1", "unchunked")

KEYWORDS = ('"justin bieber"', '"taylor swift"', "#beliebers")
# Three that ask for the same: the simulator knows which of its posts are about music, and no more.
TOPICS = ("music OR #music", "#music OR music", "music OR #music OR xylophonist")
FLAGS = ("--set", "journal.scope=all", "--set", "journal.batch_age=0.03", "--set", "mongodb.timeout=1",
         "--set", "mongodb.batch_size=100", "--set", "x.stall_after=1", "--log-format", "json")  # fmt: skip
RARE = (Point.MIGRATION_BEGINS, Point.IN_MIGRATION, Point.MIGRATED)  # only when the folder is new
OFTEN = (Point.LINE_READ, Point.DECODED, Point.MATCHED, Point.IN_BATCH)  # once a line


@dataclass
class Tally:
    """What was done to the capture."""

    kills: int = 0
    at_points: Counter[str] = field(default_factory=Counter)
    in_states: Counter[str] = field(default_factory=Counter)  # of the connection, when it was killed
    done: Counter[str] = field(default_factory=Counter)  # commands, stops in good order, kills of the store


class Campaign:
    """One capture's life. `server` is the store of record; None: the journal keeps the record."""

    def __init__(self, seed: int, folder: Path, sim: Simulator, server: FerretDB | None) -> None:
        self.rng = random.Random(seed)
        self.data = folder / "data"
        self.sim = sim
        self.server = server
        self.store = ("--store", f"{server.address}/campaign") if server else ()
        if server:  # FerretDB that is killed while it makes a collection never gets it whole
            sink = MongodbSink(self.store[1], MongodbSettings())
            sink.open()
            sink.close()
        self.began = time.monotonic()  # when the simulator did
        self.tally = Tally()
        self.query = (KEYWORDS[0], TOPICS[0])

    def run(self, kills: int, check_every: int = 25) -> dict[str, Any]:
        """Kill so often, then let it end well; the figures. Raises Disagreement."""
        while self.tally.kills < kills:
            before = self.tally.kills
            self._live_and_die()
            self._check_books()
            if self.tally.kills > before and self.tally.kills % check_every == 0:
                judge(self.sim.sent, self.data, self._documents())
                print(
                    f"{self.tally.kills} kills, {time.monotonic() - self.began:.0f} s", file=sys.stderr, flush=True
                )
        report = self._end_well()
        figures = judge(self.sim.sent, self.data, self._documents())
        self._check_report(report, figures.documents if self.server else figures.life["inserted"])
        return {**vars(self.tally), **asdict(figures), "seconds": round(time.monotonic() - self.began, 1)}

    # -- one life

    def _live_and_die(self) -> None:
        rng = self.rng
        if rng.random() < 0.25:
            self.sim.schedule(f"c{len(self.sim.connections) + 1}:{rng.choice(AT_CONNECT)}")
        if rng.random() < 0.15:
            self.query = (rng.choice(KEYWORDS), rng.choice(TOPICS))
        (self.data / "x-connects.json").unlink(missing_ok=True)  # X's 50 connects in 15 minutes are soon used up
        point = self._point() if rng.random() < 0.3 else ""
        connected = len(self.sim.connections)
        second = ("--set", "match.second_process=always") if rng.random() < 0.3 else ()
        program = Program(
            self.sim, self.data, *FLAGS, *second, *self.store, "--keywords", self.query[0], "--topic", self.query[1],
            crash=point, module="tests.reliability.remote",
        )  # fmt: skip
        if rng.random() < 0.85:  # the others die while they start, which takes half a second
            self._until(program, lambda: len(self.sim.connections) > connected, 30)
        for _ in range(rng.choice((0, 0, 1, 2, 4))):
            moment = time.monotonic() - self.began + rng.uniform(0.0, 1.0)
            self.sim.schedule(f"t{moment:.3f}:{rng.choice(FAULTS)}")
        for act in rng.sample([self._pause, self._change, self._kill_store], k=rng.choice((0, 0, 1, 1, 2))):
            act(program)
        self._sleep(program, rng.uniform(0.02, 1.0))
        self._die(program)
        if self.server and not self.server.alive:
            self.server.start()

    def _point(self) -> str:
        point = self.rng.choice([point for point in Point if point not in RARE])
        return f"{point}:{self.rng.randint(1, 150 if point in OFTEN else 4)}"

    def _pause(self, program: Program) -> None:
        self._tell(program, "pause")
        self._sleep(program, self.rng.uniform(0.0, 0.5))
        if self.rng.random() < 0.7:
            self._tell(program, "resume")
            self._sleep(program, self.rng.uniform(0.0, 0.5))

    def _change(self, program: Program) -> None:
        self.query = (self.rng.choice(KEYWORDS), self.rng.choice(TOPICS))
        self._tell(program, "query " + "\t".join(self.query))
        self._sleep(program, self.rng.uniform(0.0, 0.5))

    def _kill_store(self, program: Program) -> None:
        if self.server and self.server.alive:
            self.server.kill()
            self.tally.done["store killed"] += 1
            self._sleep(program, self.rng.uniform(0.0, 0.7))
            if self.rng.random() < 0.5:
                self.server.start()

    def _tell(self, program: Program, command: str) -> None:
        assert program.process.stdin is not None
        try:
            program.process.stdin.write(command + "\n")
            program.process.stdin.flush()
        except BrokenPipeError:
            return  # it died at a crash point
        self.tally.done[command.partition(" ")[0]] += 1

    def _sleep(self, program: Program, seconds: float) -> None:
        self._until(program, lambda: False, seconds)

    def _until(self, program: Program, condition: Callable[[], bool], seconds: float) -> None:
        """Wait, but for no dead program."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and program.process.poll() is None and not condition():
            time.sleep(0.005)

    def _die(self, program: Program) -> None:
        if program.process.poll() is None and self.rng.random() < 0.15:
            program.process.send_signal(self.rng.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)))
            self._sleep(program, self.rng.choice((10.0, self.rng.uniform(0.0, 0.3))))  # some die while they stop
        program.kill()
        said, code = program.said(), program.process.returncode
        if code in (0, 130, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):  # but for 0, before it had begun
            self.tally.done["stop"] += 1
            return
        if code != -signal.SIGKILL:
            raise Disagreement(f"the program failed: exit code {code}\n{said}")
        self.tally.kills += 1
        if at := re.search("killed at (.*)", said):
            self.tally.at_points[at[1]] += 1
        states = re.findall('"event": "state".*"state": "([a-z]+)"', said)
        self.tally.in_states[states[-1] if states else "not started"] += 1

    # -- the end, and the checks

    def _end_well(self) -> dict[str, Any]:
        (self.data / "x-connects.json").unlink(missing_ok=True)
        flags = (*FLAGS, *self.store, "--keywords", self.query[0], "--topic", self.query[1], "--max-posts", "100")
        program = Program(self.sim, self.data, *flags)
        try:
            code, report = program.end(60)
        except subprocess.TimeoutExpired:
            program.kill()
            code, report = None, {}
        if code != 0:
            raise Disagreement(f"the last run ended with {code}\n{program.said()}")
        return report

    def _documents(self) -> list[dict[str, Any]] | None:
        if self.server is None:
            return None
        return list(collection(self.store[1]).find({}, {"capture": 1, "seq": 1}))

    def _check_books(self) -> None:
        if faults := books(read(self.data), self._documents()):
            raise Disagreement("\n".join(faults))

    def _check_report(self, report: dict[str, Any], unique: int) -> None:
        faults = [words for part in ("run", "life") if (words := Counters(**report[part]).imbalance())]
        if report["life"]["unique"] != unique or report["life"]["pending"]:
            faults.append(f"life.unique is {report['life']}; {unique} posts are stored")
        if faults:
            raise Disagreement("\n".join(faults))


def run(kills: int, seed: int, folder: Path, server: FerretDB | None, check_every: int = 25) -> dict[str, Any]:
    """A whole campaign in an empty folder; the server, if any, is running."""
    options = SimulatorOptions(
        seed=seed, rate=300, match=0.15, duplicates=0.05, edits=0.02, payload="small", keep_alive=0.3, log=folder / "sent.ndjson",
        hold_while_disconnected=False, connect_budget=10**6,
    )  # fmt: skip
    plenty = dict.fromkeys(state.LIMITS, 10**6)  # 100 changes of rules in 15 minutes too
    with patch.object(state, "LIMITS", plenty), Simulator(options) as sim:
        return Campaign(seed, folder, sim, server).run(kills, check_every)


def main() -> int:
    """The command; 1 when something was lost."""
    parser = argparse.ArgumentParser(description="Kill a capture again and again, and ask the oracle each time.")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--journal-only", action="store_true", help="no MongoDB: the journal keeps the record")
    args = parser.parse_args()
    print(f"seed {args.seed}", file=sys.stderr, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    server = None
    if not args.journal_only:
        build = subprocess.run(
            [ROOT / "scripts" / "build-ferretdb"], stdout=subprocess.PIPE, text=True, check=True
        )
        (folder / "db").mkdir()
        server = FerretDB(Path(build.stdout.strip()), folder / "db")
        server.start()
    try:
        figures = run(args.kills, args.seed, folder, server)
    except Disagreement as disagreement:
        print(f"seed {args.seed}: {disagreement}\nall of it is kept in {folder}", file=sys.stderr)
        return 1
    finally:
        if server and server.alive:
            server.kill()
    shutil.rmtree(folder)
    print(json.dumps({"seed": args.seed, **figures}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
