"""The soak: millions of posts through the whole path on loopback, with faults, and everything measured meanwhile.

    python -m tests.reliability.soak --posts 10000000

The simulator streams prepared posts as fast as they are read, in compressed time (50 posts for each second of
theirs), some of them twice, and breaks the connection again and again; the program captures into its journal in a
process of its own, and may start another. Every second the memory of both, its threads, descriptors and files are
looked at, and how old the newest durable post is. At the end the journal is compared with the simulator's log, post
by post. Prints figures as JSON; exits with 1, and says what was wrong on stderr, when a promise did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import family
from core.counters import Counters
from core.simulator.options import BEARER_TOKEN
from tests.reliability.spans import SpanLog

START = 1_793_000_000  # when the first post was written, seconds since 1970
FAULTS = ("cut-mid-json", "invalid-json", "close", "reset-mid-json", "out-of-order", "disconnect-operational",
          "zero-chunk-mid-json", "duplicate", "cut", "no-id")  # fmt: skip
BREAKS = {"cut-mid-json", "close", "reset-mid-json", "disconnect-operational", "zero-chunk-mid-json", "cut"}
LONG = 500_000  # posts from which memory and latency are judged: shorter, a program is still warming up
STUCK = 180.0  # seconds without a new durable post, and we give up
WAL_LIMIT = 64_000_000  # bytes; SQLite trims the log when it has 1,000 pages and nobody reads
MEMORY_SLACK = 8_000_000  # bytes that the memory may be higher at the end than after the warm-up


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. Sizes in bytes, `behind` in seconds: the age of the newest durable post.

    None: all that was sent is durable, and the source waits to connect again. That is no latency.
    """

    at: float
    durable: int  # lines
    behind: float | None
    memory: int
    threads: int
    descriptors: int
    journal: int
    wal: int
    other_files: int  # how many there are besides
    other_bytes: int


class Soak:
    """One run, with so many `faults` spread over the posts. With a `store` it ends when that has everything, too."""

    def __init__(
        self,
        folder: Path,
        posts: int,
        *,
        match: float,
        duplicates: float,
        payload: str,
        faults: int,
        store: str = "",
    ) -> None:
        self.posts = posts
        self.store = store
        self.log = folder / "sent.ndjson"
        self.data = folder / "data"
        self.said = folder / "program.log"
        step = posts // (faults + 1)
        self.faults = [f"{step * (n + 1)}:{FAULTS[n % len(FAULTS)]}" for n in range(faults)]
        flags = ["--rate", "0", "--prepared", "2000", "--payload", payload, "--posts", str(posts),
                 "--match", str(match), "--duplicates", str(duplicates), "--start-time", str(START),
                 "--rule", '"justin bieber"', "--connect-budget", "100000", "--log", str(self.log),
                 *(f"--fault={fault}" for fault in self.faults)]  # fmt: skip
        self._simulator = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", "simulate", *flags], stderr=subprocess.PIPE, text=True
        )
        assert self._simulator.stderr is not None
        self._url = self._simulator.stderr.readline().split()[-1]
        self._sent = SpanLog(self.log)
        self.samples: list[Sample] = []

    def run(self) -> dict[str, Any]:
        """Capture everything, stop the program, compare. Returns the figures."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
        env["BIEBER_TUI_X__BEARER_TOKEN"] = BEARER_TOKEN
        with self.said.open("w") as said:
            program = subprocess.Popen(
                [sys.executable, "-m", "tui.cli", "--no-ui", "--json", "--data-dir", str(self.data),
                 "--set", f"x.base_url={self._url}", *(["--store", self.store] if self.store else [])],
                env=env, stdout=subprocess.PIPE, stderr=said, text=True,
            )  # fmt: skip
            began = time.monotonic()
            try:
                self._watch(program)
                taken = family.look(program.pid)
                cpu, peak = taken.cpu, sum(taken.peaks.values())
                seconds = time.monotonic() - began
                program.send_signal(signal.SIGTERM)
                out, _ = program.communicate(timeout=120)
            finally:
                program.kill()
                program.wait()
                self._simulator.terminate()
                self._simulator.wait()
        return self._figures(json.loads(out), program.returncode, seconds, cpu, peak)

    def _watch(self, program: subprocess.Popen[str]) -> None:
        """Look every second until every line that was sent is durable."""
        moved = time.monotonic()
        done = 0
        while done < 2:  # twice: nothing came after what we took for the end
            time.sleep(min(1.0, self.posts / 100_000))
            assert program.poll() is None, f"the program ended: {self.said.read_text()}"
            self._sent.update()
            delivered, durable, pending = _durable(self.data)
            pending = pending if self.store else 0
            if not durable:
                continue
            if not self.samples or durable > self.samples[-1].durable:
                moved = time.monotonic()
            self.samples.append(self._look(program.pid, durable))
            assert time.monotonic() - moved < STUCK, f"stuck at {durable}: {self.said.read_text()[-2000:]}"
            all_sent = self._sent.posts >= self.posts
            all_durable = delivered >= self._sent.lines + self._sent.malformed
            done = done + 1 if all_sent and all_durable and not pending else 0
            if len(self.samples) % 30 == 0:
                _say(f"{durable:,} of about {self.posts:,} lines are durable")

    def _look(self, pid: int, durable: int) -> Sample:
        now = time.time()
        sizes = {path.name: path.stat().st_size for path in self.data.rglob("*") if path.is_file()}
        journal, wal = sizes.pop("journal.sqlite"), sizes.pop("journal.sqlite-wal", 0)
        return Sample(
            at=now,
            durable=durable,
            behind=now - self._sent.sent_at(durable) if self._sent.lines > durable else None,
            memory=sum(_status(one, "VmRSS") for one in family.look(pid).peaks) * 1024,
            threads=_status(pid, "Threads"),
            descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            journal=journal,
            wal=wal,
            other_files=len(sizes),
            other_bytes=sum(sizes.values()),
        )

    def _figures(self, report: dict[str, Any], code: int, seconds: float, cpu: float, peak: int) -> dict[str, Any]:
        self._sent.update()
        self._sent.close()
        verdict = self._sent.judge(self.data / "journal.sqlite")
        steady = [one for one in self.samples if one.durable >= self._sent.lines // 5]  # behind the warm-up
        tenth = max(len(steady) // 10, 1)
        first, last = steady[:tenth], steady[-tenth:]
        ages = [one.behind for one in steady if one.behind is not None] or [0.0]  # a short run may have none
        part = max(len(ages) // 10, 1)
        breaks = sum(fault.partition(":")[2] in BREAKS for fault in self.faults)
        span = steady[-1].at - steady[0].at
        figures = {
            "posts": self.posts,
            "lines_sent": self._sent.lines,
            "lines_cut": self._sent.cut,
            "seconds": round(seconds, 1),
            "posts_per_s": round((steady[-1].durable - steady[0].durable) / span) if span else None,
            "cpu_us_per_post": round(cpu / self._sent.lines * 1e6, 1),
            "journal": asdict(verdict),
            "reconnects": report["sources"]["x"]["reconnects"],
            "gaps": len(report["gaps"]),
            "run": report["run"],
            "memory_mb": {
                "after_warm_up": _mb(one.memory for one in first),
                "at_the_end": _mb(one.memory for one in last),
                "peak": round(peak / 1e6, 1),
                "kb_per_million_posts": round(_slope([(one.durable, one.memory) for one in steady]) * 1e3, 1),
            },
            "behind_s": {
                "after_warm_up": round(statistics.median(ages[:part]), 3),
                "at_the_end": round(statistics.median(ages[-part:]), 3),
                "p99": round(sorted(ages)[int(len(ages) * 0.99)], 3),
            },
            "threads": _range(one.threads for one in steady),
            "descriptors": _range(one.descriptors for one in steady),
            "wal_mb_peak": round(max(one.wal for one in self.samples) / 1e6, 1),
            "journal_bytes_per_post": round(
                (self.data / "journal.sqlite").stat().st_size / max(verdict.stored, 1)
            ),
            "other_files": _range(one.other_files for one in steady),
            "other_bytes": _range(one.other_bytes for one in steady),
            "samples": len(self.samples),
        }
        figures["broken"] = self._broken(figures, code, report, breaks, verdict.agrees)
        return figures

    def _broken(
        self, figures: dict[str, Any], code: int, report: dict[str, Any], breaks: int, agrees: bool
    ) -> list[str]:
        """The promises that did not hold, in words."""
        run = report["run"]
        memory, behind = figures["memory_mb"], figures["behind_s"]
        short = self.posts < LONG
        second = 1 if self.store else 0  # a large batch goes to a store by two threads, over two connections
        promises = {
            f"the program ended with {code}": code == 0,
            f"the journal is not what was sent: {figures['journal']}": agrees,
            f"the counters do not balance: {Counters(**run).imbalance()}": not Counters(**run).imbalance(),
            f"{run['consumed']} posts were consumed": run["consumed"] == self._sent.lines,
            f"{run['quarantined']} lines were quarantined": run["quarantined"] == self._sent.malformed,
            f"{run['matched']} posts matched": run["matched"] == self._sent.topical,
            f"{run['unique']} posts are unique": run["unique"] == figures["journal"]["stored"],
            f"{breaks} breaks were {figures['reconnects']} reconnects": figures["reconnects"] == breaks,
            f"{breaks} breaks were {figures['gaps']} gaps": figures["gaps"] == breaks,
            f"memory grew: {memory}": short or memory["at_the_end"] - memory["after_warm_up"] < MEMORY_SLACK / 1e6,
            f"latency grew: {behind}": short or behind["at_the_end"] <= 2 * behind["after_warm_up"] + 1.0,
            f"threads grew: {figures['threads']}": _steady(figures["threads"], 2 + second),
            f"descriptors grew: {figures['descriptors']}": _steady(figures["descriptors"], 3 + second),
            f"the write-ahead log grew to {figures['wal_mb_peak']} MB": figures["wal_mb_peak"] < WAL_LIMIT / 1e6,
            f"files came up: {figures['other_files']}": _steady(figures["other_files"], 0),
            f"files grew: {figures['other_bytes']}": _steady(figures["other_bytes"], 65536),
        }
        return [words for words, held in promises.items() if not held]


def _durable(data: Path) -> tuple[int, int, int]:
    """Of what is durable: lines delivered, posts consumed, posts no store has answered for. 0 without a journal."""
    path = data / "journal.sqlite"
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    except sqlite3.OperationalError:
        return 0, 0, 0
    try:
        settled = db.execute("SELECT total(stored) + total(duplicate) FROM settled").fetchone()[0]
        row = db.execute("SELECT delivered, consumed, inserted FROM counters").fetchone()
        return (row[0], row[1], row[2] - int(settled)) if row else (0, 0, 0)
    except sqlite3.OperationalError:
        return 0, 0, 0  # it is being made
    finally:
        db.close()


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise KeyError(name)


def _mb(sizes: Any) -> float:
    return round(statistics.median(sizes) / 1e6, 1)


def _range(values: Any) -> dict[str, int]:
    found = list(values)
    return {"least": min(found), "most": max(found)}


def _steady(figures: dict[str, int], slack: int) -> bool:
    """Whether a number varied by no more than `slack`: a connection comes and goes, all else stays."""
    return figures["most"] - figures["least"] <= slack


def _slope(points: list[tuple[int, int]]) -> float:
    """Bytes a post, by least squares."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


def _say(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--posts", type=int, default=10_000_000)
    add("--match", type=float, default=0.1, help="share of the posts that are about the topic (default: 0.1)")
    add("--duplicates", type=float, default=0.01, help="share that is delivered twice (default: 0.01)")
    add("--payload", choices=("small", "rich", "full"), default="small")
    add("--faults", type=int, default=40, help="how many, spread over the posts (default: 40)")
    add("--store", help="a MongoDB to deliver to as well")
    add("--folder", type=Path, help="where to work, on a disk with room (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        soak = Soak(
            Path(name), args.posts, match=args.match, duplicates=args.duplicates, payload=args.payload,
            faults=args.faults, store=args.store or "",
        )  # fmt: skip
        figures = soak.run()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    for words in figures["broken"]:
        _say(f"BROKEN: {words}")
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
