"""The main job as a user runs it: the program itself, X over HTTP, MongoDB over the wire, and what is left on disk.

The oracle is always the same: what the simulator says that it sent, post by post.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pymongo
import pytest

from core.counters import Counters
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until

POSTS = ("post", "edit", "duplicate")


class Program:
    """`bieber-tui --no-ui` in a process of its own.

    `crash` names the point at which it kills itself, `prefix` is the command that runs it, if another one does.
    """

    def __init__(
        self,
        sim: Simulator,
        data_dir: Path,
        *flags: str,
        token: str | None = None,
        crash: str = "",
        module="tui.cli",
        prefix: Sequence[str] = (),
    ) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
        env["BIEBER_TUI_X__BEARER_TOKEN"] = sim.options.tokens[0] if token is None else token
        env["BIEBER_TUI_CRASH"] = crash
        self.log = data_dir.parent / f"{data_dir.name}-{time.monotonic_ns()}.log"
        self._err = self.log.open("w")
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", module, "--no-ui", "--json", "--data-dir", str(data_dir),
             "--set", f"x.base_url={sim.url}", *flags],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._err, text=True,
        )  # fmt: skip

    def end(self, seconds: float = 60) -> tuple[int, dict]:
        """Wait for the end; returns exit code and report."""
        out, _ = self.process.communicate(timeout=seconds)
        self._err.close()
        return self.process.returncode, json.loads(out) if out.strip() else {}

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, dict]:
        self.process.send_signal(number)
        return self.end()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._err.close()

    def said(self) -> str:
        return self.log.read_text()


def options(**more) -> SimulatorOptions:
    return SimulatorOptions(**{"rate": 0, "payload": "small", "start_time": 1_793_000_000.0, **more})


def whole(sim: Simulator):
    """Every post line that went out whole, second deliveries included."""
    return [sent for sent in sim.sent if sent.kind in POSTS and sent.whole]


def expected(sim: Simulator) -> set[str]:
    """The posts about the topic that went out whole."""
    return {sent.post for sent in whole(sim) if sent.matches_topic}


def journal_ids(data_dir: Path) -> list[str]:
    with sqlite3.connect(data_dir / "journal.sqlite") as db:
        return [row[0] for row in db.execute("SELECT id FROM posts")]


def collection(url: str):
    return pymongo.MongoClient(url).get_default_database()["posts"]


def balanced(report: dict) -> None:
    for part in ("run", "life"):
        assert Counters(**report[part]).imbalance() == ""


@pytest.mark.needs_go
def test_what_was_sent_is_what_is_stored_through_two_cuts(tmp_path, mongodb_url):
    """5 % twice, 10 % about the topic, two cuts in mid-line: simulator, report and collection agree post by post."""
    faults = ("400:cut-mid-json", "1100:reset-mid-json")
    with Simulator(options(posts=2000, duplicates=0.05, match=0.1, faults=faults)) as sim:
        total = 2000 - len(faults)
        program = Program(sim, tmp_path / "data", "--store", mongodb_url)
        wait_until(lambda: len({s.post for s in whole(sim)}) >= total)
        wait_until(lambda: collection(mongodb_url).count_documents({}) >= len(expected(sim)))
        code, report = program.stop()
        assert code == 0, program.said()
        lines = Counter(sent.post for sent in whole(sim))
    balanced(report)
    assert report["run"] == report["life"]
    assert report["run"]["consumed"] == report["run"]["delivered"] == sum(lines.values())
    assert report["run"]["unique"] == len(expected(sim))
    assert report["run"]["matched"] == sum(lines[post] for post in expected(sim))
    assert report["run"]["pending"] == 0
    assert {document["id"] for document in collection(mongodb_url).find()} == expected(sim)
    assert sorted(journal_ids(tmp_path / "data")) == sorted(expected(sim))
    assert report["sources"]["x"]["reconnects"] == 2
    assert len(report["gaps"]) == 2
    assert all(gap["end"] and gap["filled"] == "no" for gap in report["gaps"])
    assert report["sinks"]["mongodb"]["behind"] == 0


def test_max_posts_ends_exactly_there(tmp_path):
    with Simulator(options(posts=5000, match=0.5, duplicates=0.1)) as sim:
        code, report = Program(sim, tmp_path / "data", "--max-posts", "700").end()
        first = whole(sim)[:700]
    assert code == 0
    assert report["run"]["consumed"] == 700
    assert set(journal_ids(tmp_path / "data")) == {sent.post for sent in first if sent.matches_topic}
    assert report["stopped"] == "reached --max-posts 700"


def test_duration_ends_the_run(tmp_path):
    with Simulator(options(rate=50)) as sim:
        code, report = Program(sim, tmp_path / "data", "--duration", "1").end()
    assert code == 0
    assert report["stopped"] == "reached --duration 1"
    assert report["run"]["consumed"] > 0


@pytest.mark.needs_go
def test_the_store_down_at_the_start_and_in_mid_stream_loses_nothing(tmp_path, own_ferretdb):
    url = f"{own_ferretdb.address}/outage"
    own_ferretdb.kill()
    with Simulator(options(rate=300, posts=900, match=0.5)) as sim:
        flags = ("--store", url, "--set", "mongodb.timeout=20", "--max-posts", "900")
        program = Program(sim, tmp_path / "data", *flags)
        wait_until(lambda: len(whole(sim)) > 100)
        own_ferretdb.start()
        wait_until(lambda: collection(url).count_documents({}) > 10)
        own_ferretdb.kill()
        wait_until(lambda: len(whole(sim)) > 500)
        own_ferretdb.start()
        code, report = program.end(120)
    assert code == 0
    balanced(report)
    assert report["run"]["pending"] == 0
    assert report["run"]["unique"] == collection(url).count_documents({}) == len(expected(sim))
    assert report["gaps"] == []  # the stream never noticed
    assert "mongodb is back" in program.said()


def test_a_stop_with_the_store_down_is_clean_and_tells_what_is_pending(tmp_path, closed_port):
    with Simulator(options(posts=200, match=0.5)) as sim:
        url = f"mongodb://127.0.0.1:{closed_port}/down"
        program = Program(sim, tmp_path / "data", "--store", url, "--set", "mongodb.timeout=1")
        wait_until(lambda: len(whole(sim)) >= 200)
        wait_until(lambda: len(journal_ids(tmp_path / "data")) >= len(expected(sim)))
        code, report = program.stop()
    assert code == 0
    balanced(report)
    assert report["run"]["pending"] == report["sinks"]["mongodb"]["behind"] == len(expected(sim))
    assert report["sinks"]["mongodb"]["error"]


@pytest.mark.needs_go
def test_two_captures_into_one_collection_store_each_post_once(tmp_path, mongodb_url):
    flags = ("--store", mongodb_url, "--max-posts", "400")
    same = {"posts": 400, "match": 0.5, "seed": 7}
    with Simulator(options(**same)) as one, Simulator(options(**same)) as two:
        programs = [Program(one, tmp_path / "one", *flags), Program(two, tmp_path / "two", *flags)]
        reports = [program.end()[1] for program in programs]
        sent = expected(one)
        assert sent == expected(two)
    for report in reports:
        balanced(report)
    assert {document["id"] for document in collection(mongodb_url).find()} == sent
    assert sum(report["run"]["unique"] for report in reports) == len(sent)
    assert sum(report["run"]["duplicate"] for report in reports) == len(sent)


def test_what_an_earlier_run_left_behind_is_delivered_by_the_next(tmp_path, mongodb_url):
    with Simulator(options(rate=500, match=0.5)) as sim:
        Program(sim, tmp_path / "data", "--max-posts", "300").end()
        before = journal_ids(tmp_path / "data")
        code, report = Program(sim, tmp_path / "data", "--store", mongodb_url, "--max-posts", "100").end()
    assert code == 0
    balanced(report)
    assert len(before) > 100
    stored = {document["id"] for document in collection(mongodb_url).find()}
    assert stored == set(journal_ids(tmp_path / "data")) > set(before)
    assert report["life"]["unique"] == len(stored)
    assert report["run"]["unique"] == len(stored) - len(before)


def test_pause_closes_the_stream_and_is_a_gap(tmp_path):
    with Simulator(options(rate=100, match=0.5)) as sim:
        program = Program(sim, tmp_path / "data")
        wait_until(lambda: len(whole(sim)) > 20)
        program.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: sim.connections[-1].ended)
        paused_at = len(whole(sim))
        time.sleep(0.5)
        assert len(whole(sim)) == paused_at
        program.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: len(whole(sim)) > paused_at + 20)
        code, report = program.stop(signal.SIGHUP)
    assert code == 0
    assert [gap["reason"] for gap in report["gaps"]] == ["paused by you"]
    assert report["stopped"] == "stopped by SIGHUP"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("c1:http-401", "token"),
        ("c1:http-402", "credits"),
        ("c1:http-403-not-enrolled", "project"),
        ("c1:http-429-usage", "cap"),
    ],
)
def test_a_refusal_ends_with_the_thing_to_mend(tmp_path, fault, words):
    with Simulator(options(faults=(fault,))) as sim:
        program = Program(sim, tmp_path / "data")
        code, report = program.end()
    assert code == 3
    assert words in report["stopped"].lower() + program.said().lower()


def test_bad_queries_are_refused_before_anything_connects(tmp_path):
    with Simulator(options()) as sim:
        for flags in (("--topic", "(music OR"), ("--keywords", "-hello")):
            program = Program(sim, tmp_path / "data", *flags)
            assert program.end()[0] == 2
            assert "position" in program.said()
        assert sim.requests == []
        assert sim.connections == []
    assert not (tmp_path / "data").exists()


def test_broken_lines_are_quarantined_and_the_stream_goes_on(tmp_path):
    faults = ("10:invalid-json", "20:scalar-line", "30:unknown-message", "40:no-id", "50:no-text")
    with Simulator(options(posts=100, match=0.5, faults=faults)) as sim:
        code, report = Program(sim, tmp_path / "data", "--max-posts", "100").end()
    assert code == 0
    balanced(report)
    assert report["run"]["quarantined"] == 5
    assert report["gaps"] == []
    with sqlite3.connect(tmp_path / "data" / "journal.sqlite") as db:
        assert db.execute("SELECT count(*) FROM quarantine WHERE reason != ''").fetchone() == (5,)


def test_the_token_is_in_nothing_that_a_run_leaves_behind(tmp_path):
    secret = "s3cret-token-of-this-test"
    with Simulator(options(posts=50, tokens=(secret,), faults=("20:cut", "c3:http-401"))) as sim:
        program = Program(sim, tmp_path / "data", "--log-format", "json", token=secret)
        wait_until(lambda: len(sim.connections) >= 1)
        program.stop()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) >= 3
    assert not [path for path in left if secret.encode() in path.read_bytes()]


def test_headless_loads_neither_textual_nor_rich(tmp_path):
    program = (
        "import os, sys\n"
        "from core.simulator.options import SimulatorOptions\n"
        "from core.simulator.server import Simulator\n"
        "import tui.cli\n"
        "with Simulator(SimulatorOptions(rate=0, posts=20)) as sim:\n"
        "    os.environ['BIEBER_TUI_X__BEARER_TOKEN'] = sim.options.tokens[0]\n"
        f"    code = tui.cli.main(['--no-ui', '--data-dir', {str(tmp_path)!r}, '--max-posts', '20',\n"
        "        '--set', f'x.base_url={sim.url}'])\n"
        "assert code == 0\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('textual', 'rich', 'pymongo')]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
