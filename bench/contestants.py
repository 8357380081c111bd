"""Who reads the stream. Each runs as a process of its own, to its own end, and its store is compared afterwards."""

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

from bench.stream import TOKEN, Expected, Stream

LOOK = 0.01  # seconds between two looks at whether all is durable
PATIENCE = 600.0  # seconds
_ID = re.compile(rb'"id":"(\d+)"')


class Wrong(Exception):
    """The store does not hold what was sent: there is no figure."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. `seconds` from the first byte that was sent until all was durable; `cpu` includes the start."""

    posts: int
    seconds: float
    cpu: float  # seconds of processor time
    memory: int  # bytes, the most
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
OURS_MONGODB = Contestant("bieber-tui, MongoDB", "into its journal and on into MongoDB", 40_000, 20_000)
SEED = Contestant(
    "seed", "the proof of concept: tweepy, tokenizer, list of ids, insert_one into MongoDB", 20_000, 20_000
)
TWARC = Contestant(
    "twarc2", "`twarc2 stream` into a file: no filter, no duplicates removed, no commit", 60_000, 30_000
)
LIMIT_SAME = Contestant("limit", "urllib3 and SQLite, as many rows as match, nothing else", 300_000, 100_000)
LIMIT_ALL = Contestant("limit, all rows", "urllib3 and SQLite, every line, nothing else", 300_000, 100_000)
ALL = (OURS, OURS_MONGODB, SEED, TWARC, LIMIT_SAME, LIMIT_ALL)


def measure(who: Contestant, stream: Stream, folder: Path, mongodb: str, scale: float = 1.0) -> Run:
    """Let it read its share of a fresh stream, and compare. `mongodb`: an empty database. Raises Wrong."""
    posts = who.posts(stream, scale)
    if who in (OURS, OURS_MONGODB):
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
    process = _start(["-m", *commands[who]], folder, env)
    cpu, memory = _wait(process, folder)
    seconds = time.time() - stream.began()
    expected = stream.expected(posts)
    if who is SEED:
        found = _compare_topical(_documents(mongodb), expected, complete=False)
    elif who is TWARC:
        kept = [json.loads(line)["data"]["id"] for line in file.read_text("utf-8").splitlines()]
        found = _compare_lines(kept, expected.lines)
    else:
        with sqlite3.connect(file) as db:
            kept = [_ID.search(raw)[1].decode() for (raw,) in db.execute("SELECT raw FROM posts ORDER BY seq")]  # type: ignore[index]
        db.close()
        batches = [expected.lines] if step == 1 else []
        found = _compare_lines(kept, batches[0]) if batches else _compare_count(kept, expected.lines, step)
    return Run(posts, seconds, cpu, memory, found)


def _ours(who: Contestant, stream: Stream, folder: Path, mongodb: str, posts: int) -> Run:
    data = folder / "data"
    store = ["--store", mongodb] if who is OURS_MONGODB else []
    process = _start(
        ["-m", "tui.cli", "--no-ui", "--json", "--data-dir", str(data), "--set", f"x.base_url={stream.url}",
         "--max-posts", str(posts), *store],
        folder, {"BIEBER_TUI_X__BEARER_TOKEN": TOKEN},
    )  # fmt: skip
    ended = _durable_at(data / "journal.sqlite", posts, process, folder, stored=bool(store))
    cpu, memory = _wait(process, folder)
    expected = stream.expected(posts)
    with sqlite3.connect(data / "journal.sqlite") as db:
        kept = [row[0] for row in db.execute("SELECT id FROM posts")]
    db.close()
    found = _compare_topical(kept, expected, complete=True)
    if store:
        found = _compare_topical(_documents(mongodb), expected, complete=True)
    return Run(posts, ended - stream.began(), cpu, memory, found)


def _start(arguments: Sequence[str], folder: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
    with (folder / "said.log").open("wb") as said:
        return subprocess.Popen([sys.executable, *arguments], env=inherited | env, stdout=said, stderr=said)


def _durable_at(
    journal: Path, posts: int, process: subprocess.Popen[bytes], folder: Path, *, stored: bool
) -> float:
    """When so many posts were consumed durably, and (`stored`) the store had answered for all that matched."""
    deadline = time.monotonic() + PATIENCE
    db: sqlite3.Connection | None = None
    query = "SELECT consumed, inserted, (SELECT total(stored + duplicate) FROM settled) FROM counters"
    while time.monotonic() < deadline:
        now = time.time()
        try:
            db = db or (sqlite3.connect(f"file:{journal}?mode=ro", uri=True) if journal.exists() else None)
            row = db.execute(query).fetchone() if db else None
        except sqlite3.OperationalError:  # it is being made, or it is closed and tidied up
            row, db = None, None
        if row and row[0] >= posts and (not stored or row[1] == row[2]):
            if db:
                db.close()
            return now
        if process.poll() is not None and not row:
            break
        time.sleep(LOOK)
    raise Wrong(f"never durable: {(folder / 'said.log').read_text()}")


def _wait(process: subprocess.Popen[bytes], folder: Path) -> tuple[float, int]:
    """Seconds of processor time and the most memory in bytes, when it has ended well. Raises Wrong."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Wrong(f"exit code {process.returncode}: {(folder / 'said.log').read_text()[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def _documents(mongodb: str) -> list[str]:
    with pymongo.MongoClient[dict[str, Any]](mongodb) as client:
        found = client.get_default_database()["posts"].find({}, {"_id": 1})
        return [document["_id"].removeprefix("x:") for document in found]


def _compare_topical(kept: list[str], expected: Expected, *, complete: bool) -> float:
    """The share of the posts about the topic that is there. Raises Wrong for one too many, or (complete) too few."""
    if len(set(kept)) != len(kept) or not set(kept) <= expected.topical:
        raise Wrong(f"{len(kept)} posts are stored, {len(set(kept) - expected.topical)} of them should not be")
    if complete and len(kept) != len(expected.topical):
        raise Wrong(f"{len(kept)} of {len(expected.topical)} posts are stored")
    return len(kept) / len(expected.topical)


def _compare_lines(kept: list[str], lines: list[str]) -> float:
    if kept != lines:
        raise Wrong(f"{len(kept)} lines are kept, which are not the {len(lines)} that were sent")
    return 1.0


def _compare_count(kept: list[str], lines: list[str], step: int) -> float:
    """Every so-manieth line of each batch, in order."""
    places = iter(lines)
    if abs(len(kept) - len(lines) / step) > len(lines) / 500 or not all(one in places for one in kept):
        raise Wrong(f"{len(kept)} lines are kept, which are not each {step}th of the {len(lines)} that were sent")
    return len(kept) / (len(lines) / step)
