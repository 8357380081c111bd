"""Who reads the stream. Each runs as a process of its own to its own end; its store is compared afterwards."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo

from bench import family
from bench.stream import TOKEN, Expected, Stream

LOOK = 0.02  # seconds between two looks at whether all is durable
PATIENCE = 600.0  # seconds
_GONE = os.WEXITED | os.WNOWAIT | os.WNOHANG  # asks whether a process has ended, and leaves it to be looked at
_ID = re.compile(rb'"id":"(\d+)"')


class Wrong(Exception):
    """The store does not hold what was sent: there is no figure."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement: from the first byte that was sent until all was durable."""

    posts: int
    seconds: float
    cpu: float  # seconds of processor time
    memory: int  # bytes, the most; an upper bound when it was several processes
    found: float  # share of the posts about the topic that are in the store

    @property
    def rate(self) -> float:
        """Posts a second."""
        return self.posts / self.seconds


@dataclass(frozen=True, slots=True)
class Contestant:
    """`posts` are how many it reads in one repetition, by payload: enough for some seconds."""

    name: str
    about: str
    small: int
    full: int

    def posts(self, stream: Stream, scale: float) -> int:
        """How many posts it reads of that stream."""
        return max(int((self.small if stream.load.payload == "small" else self.full) * scale), 1000)


OURS = Contestant("bieber-tui", "into its journal", 200_000, 60_000)
OURS_ALONE = Contestant("bieber-tui, one process", "into its journal, nothing judged elsewhere", 200_000, 60_000)
OURS_MONGODB = Contestant("bieber-tui, MongoDB", "into its journal and on into MongoDB", 40_000, 20_000)
SEED = Contestant(
    "seed", "the proof of concept: tweepy, tokenizer, list of ids, insert_one into MongoDB", 20_000, 20_000
)
TWARC = Contestant(
    "twarc2", "`twarc2 stream` into a file: no filter, no duplicates removed, no commit", 60_000, 30_000
)
LIMIT_SAME = Contestant("limit", "urllib3 and SQLite, as many rows as match, nothing else", 300_000, 100_000)
LIMIT_ALL = Contestant("limit, all rows", "urllib3 and SQLite, every line, nothing else", 300_000, 100_000)
ALL = (OURS, OURS_ALONE, OURS_MONGODB, SEED, TWARC, LIMIT_SAME, LIMIT_ALL)


def measure(who: Contestant, stream: Stream, folder: Path, mongodb: str, scale: float = 1.0) -> Run:
    """Let it read its share of a fresh stream, and compare. `mongodb`: an empty database. Raises Wrong."""
    posts = who.posts(stream, scale)
    if who in (OURS, OURS_ALONE, OURS_MONGODB):
        return _ours(who, stream, folder, mongodb, posts)
    stream.define_rule()
    step = 1 if who is LIMIT_ALL else round(1 / stream.load.match)
    file = folder / "kept"
    commands: dict[Contestant, list[str]] = {
        SEED: ["bench.rivals.seed", stream.url, str(posts), mongodb],
        TWARC: ["bench.rivals.twarc", stream.url, "--app-auth", "stream", "--limit", str(posts), str(file)],
        LIMIT_SAME: ["bench.rivals.limit", stream.url, str(posts), str(file), str(step)],
        LIMIT_ALL: ["bench.rivals.limit", stream.url, str(posts), str(file), str(step)],
    }
    env = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "LC_ALL": "C.UTF-8", "BEARER_TOKEN": TOKEN}
    program = Program(["-m", *commands[who]], folder, env, stream)
    program.end()
    seconds = program.ended_at - stream.began()
    expected = stream.expected(posts)
    if who is SEED:
        found = compare_topical(_documents(mongodb), expected, complete=False)
    elif who is TWARC:
        kept = [json.loads(line)["data"]["id"] for line in file.read_text("utf-8").splitlines()]
        found = compare_lines(kept, expected.lines)
    else:
        with sqlite3.connect(file) as db:
            kept = [_ID.search(raw)[1].decode() for (raw,) in db.execute("SELECT raw FROM posts ORDER BY seq")]  # type: ignore[index]
        db.close()
        found = compare_lines(kept, expected.lines) if step == 1 else compare_parts(kept, expected.lines, step)
    return Run(posts, seconds, program.cpu, program.memory, found)


def _ours(who: Contestant, stream: Stream, folder: Path, mongodb: str, posts: int) -> Run:
    journal = folder / "data" / "journal.sqlite"
    flags = {OURS_MONGODB: ["--store", mongodb], OURS_ALONE: ["--set", "match.second_process=never"]}
    program = ours(stream, folder, "--max-posts", str(posts), *flags.get(who, []))
    ended = program.durable(journal, posts, stored=who is OURS_MONGODB)
    cpu = program.cpu
    program.end()
    expected = stream.expected(posts)
    with sqlite3.connect(journal) as db:
        found = compare_topical([row[0] for row in db.execute("SELECT id FROM posts")], expected, complete=True)
    db.close()
    if who is OURS_MONGODB:
        found = compare_topical(_documents(mongodb), expected, complete=True)
    return Run(posts, ended - stream.began(), cpu, program.memory, found)


def ours(stream: Stream, folder: Path, *flags: str) -> Program:
    """bieber-tui without a screen, capturing that stream into `folder`/data."""
    command = ["-m", "tui.cli", "--no-ui", "--json", *where(stream, folder), *flags]
    return Program(command, folder, {"BIEBER_TUI_X__BEARER_TOKEN": TOKEN}, stream)


def where(stream: Stream, folder: Path) -> list[str]:
    """The flags for capturing that stream into `folder`/data."""
    return ["--data-dir", str(folder / "data"), "--set", f"x.base_url={stream.url}"]


class Program:
    """A contestant's process and whatever it starts, looked at while it runs."""

    def __init__(self, arguments: Sequence[str], folder: Path, env: dict[str, str], stream: Stream) -> None:
        self._stream = stream
        self._said = folder / "said.log"
        self._before: float | None = None
        self._spent = 0.0
        self.memory = 0  # bytes, the most so far; of several processes, at most the sum of what each had
        self.ended_at = 0.0
        # Without PYTHONDONTWRITEBYTECODE above all: whoever has installed a program has it compiled.
        ours = ("BIEBER_TUI_", "PYTHON")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], env=inherited | env, stdout=said, stderr=said
            )
        self._seen = {self.process.pid}

    @property
    def cpu(self) -> float:
        """Seconds of processor time since the first bytes were sent."""
        return self._spent - self.before

    @property
    def before(self) -> float:
        """Seconds of processor time until the first bytes were sent."""
        return self._before or 0.0

    def look(self) -> None:
        """Note processor time and memory. (rusage counts what the process was before, too.)"""
        taken = family.look(self.process.pid)
        self._spent = max(self._spent, taken.cpu)  # what a child took that was not waited for is lost at the end
        if self._before is None and self._stream.has_begun():
            self._before = self._spent
        # A child counts from the second look on: until it is a program of its own it shows its parent's memory.
        self.memory = max(self.memory, sum(peak for pid, peak in taken.peaks.items() if pid in self._seen))
        self._seen |= taken.peaks.keys()

    def durable(self, journal: Path, posts: int, *, stored: bool) -> float:
        """Wait until so many posts were consumed durably, and (`stored`) the store has answered for all of them.

        Returns the moment. Raises Wrong when it never comes.
        """
        deadline = time.monotonic() + PATIENCE
        db: sqlite3.Connection | None = None
        query = "SELECT consumed, inserted, (SELECT total(stored + duplicate) FROM settled) FROM counters"
        while time.monotonic() < deadline and self.process.poll() is None:
            now = time.time()
            self.look()
            try:
                db = db or (sqlite3.connect(f"file:{journal}?mode=ro", uri=True) if journal.exists() else None)
                row = db.execute(query).fetchone() if db else None
            except sqlite3.OperationalError:  # it is being made
                row, db = None, None
            if row and row[0] >= posts and (not stored or row[1] == row[2]):
                assert db is not None
                db.close()
                return now
            time.sleep(LOOK)
        raise Wrong(f"never durable: {self._said.read_text()}")

    def stop(self) -> None:
        """Ask it to end, and wait. Raises Wrong when that is not a good end."""
        self.process.terminate()
        self.end()

    def end(self) -> None:
        """Wait for its end. Raises Wrong when that is not a good one."""
        while self.process.returncode is None and not os.waitid(os.P_PID, self.process.pid, _GONE):
            self.look()
            time.sleep(LOOK)
        self.ended_at = time.time()
        if self.process.returncode is None:
            self.look()
        if self.process.wait() != 0:
            raise Wrong(f"exit code {self.process.returncode}: {self._said.read_text()[-2000:]}")


def _documents(mongodb: str) -> list[str]:
    with pymongo.MongoClient[dict[str, Any]](mongodb) as client:
        found = client.get_default_database()["posts"].find({}, {"_id": 1})
        return [document["_id"].removeprefix("x:") for document in found]


def compare_topical(kept: list[str], expected: Expected, *, complete: bool) -> float:
    """The share of the topical posts that is there. Raises Wrong for one too many, or (complete) one too few."""
    if len(set(kept)) != len(kept) or not set(kept) <= expected.topical:
        raise Wrong(f"{len(kept)} posts are stored, {len(set(kept) - expected.topical)} of them should not be")
    if complete and len(kept) != len(expected.topical):
        raise Wrong(f"{len(kept)} of {len(expected.topical)} posts are stored")
    return len(kept) / len(expected.topical)


def compare_lines(kept: list[str], lines: list[str]) -> float:
    """All lines, in order. Raises Wrong."""
    if kept != lines:
        raise Wrong(f"{len(kept)} lines are kept, which are not the {len(lines)} that were sent")
    return 1.0


def compare_parts(kept: list[str], lines: list[str], step: int) -> float:
    """Each `step`th line of every batch, in order. Raises Wrong."""
    places = iter(lines)
    if abs(len(kept) - len(lines) / step) > len(lines) / 500 or not all(one in places for one in kept):
        raise Wrong(f"{len(kept)} lines are kept, which are not each {step}th of the {len(lines)} that were sent")
    return len(kept) / (len(lines) / step)
