"""Somebody who is forgotten is gone from journal, store and memory, does not come back, and the numbers add up."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from core.simulator.server import Simulator
from tests.conftest import FerretDB, wait_until
from tests.integration.test_main_job import Program, balanced, collection, journal_ids, options, whole

RAW = ("--set", "mongodb.raw=true", "--set", "journal.scope=all")


def forget(data: Path, *arguments: str) -> str:
    """`bieber-tui forget --yes`; what it said."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("BIEBER_TUI_")}
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "forget", "--yes", "--data-dir", str(data), *arguments],
        env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def kept(data: Path) -> int:
    """Posts in the journal; 0 before there is one."""
    try:
        return len(journal_ids(data))
    except sqlite3.OperationalError:
        return 0


def with_id(id: str, content: bytes) -> bool:
    return re.search(rb"(?<!\d)%s(?!\d)" % id.encode(), content) is not None


def nowhere(data: Path, ids: list[str]) -> None:
    for path in data.iterdir():
        content = path.read_bytes()
        assert not [id for id in ids if with_id(id, content)], path.name


def people_of(data: Path) -> list[str]:
    """Authors with most roles in the journal: who wrote, who was retweeted, who was quoted; two of each."""
    wrote: list[str] = []
    retweeted: list[str] = []
    quoted: list[str] = []
    with sqlite3.connect(data / "journal.sqlite") as db:
        for (raw,) in db.execute("SELECT raw FROM posts ORDER BY seq"):
            line = json.loads(raw)
            wrote.append(line["data"]["author_id"])
            kinds = {ref["id"]: ref["type"] for ref in line["data"].get("referenced_tweets", ())}
            for other in line.get("includes", {}).get("tweets", ()):
                (retweeted if kinds.get(other["id"]) == "retweeted" else quoted).append(other["author_id"])
    return list(dict.fromkeys([*wrote[:2], *retweeted[:2], *quoted[:2]]))


def posts_of(data: Path, people: list[str]) -> int:
    """Stored posts that these people wrote, and retweets of what they wrote."""
    count = 0
    with sqlite3.connect(data / "journal.sqlite") as db:
        for (raw,) in db.execute("SELECT raw FROM posts"):
            line = json.loads(raw)
            repeated = {
                ref["id"] for ref in line["data"].get("referenced_tweets", ()) if ref["type"] == "retweeted"
            }
            others = [other for other in line.get("includes", {}).get("tweets", ()) if other["id"] in repeated]
            count += any(post["author_id"] in people for post in (line["data"], *others))
    return count


def owned(data: Path) -> str:
    with sqlite3.connect(data / "journal.sqlite") as db:
        return str(db.execute("SELECT value FROM meta WHERE key = 'capture_id'").fetchone()[0])


def adds_up(report: dict, data: Path, url: str) -> None:
    """The three equations, and: unique less forgotten is what the store holds of this capture."""
    balanced(report)
    life = report["life"]
    assert life["unique"] - life["forgotten"] == collection(url).count_documents({"capture": owned(data)})


@pytest.mark.needs_go
def test_a_forgotten_author_is_gone_from_journal_and_store_and_is_not_taken_again(tmp_path, mongodb_url):
    data = tmp_path / "data"
    flags = ("--store", mongodb_url, *RAW)
    with Simulator(options(posts=400, match=0.5, payload="rich", duplicates=0.05)) as sim:
        first = Program(sim, data, *flags, "--max-posts", "400").end()[1]
        gone = people_of(data)
        authors = [flag for id in gone for flag in ("--author", id)]
        before = {document["id"] for document in collection(mongodb_url).find()}
        preview = forget(data, "--dry-run", *authors, "--store", mongodb_url)
        assert {document["id"] for document in collection(mongodb_url).find()} == before
        said = forget(data, *authors, "--store", mongodb_url)
        assert "has forgotten it" in said
        left = {document["id"] for document in collection(mongodb_url).find()}
        assert len(gone) >= 5
        assert left < before
        assert f"{len(before - left)} posts" in preview
        nowhere(data, gone)
        for document in collection(mongodb_url).find():
            assert not [id for id in gone if with_id(id, json.dumps(document, default=str).encode())]
        assert sorted(left) == sorted(journal_ids(data))

        # The same posts once more: a second run of the simulator's stream.
        again = Simulator(options(posts=400, match=0.5, payload="rich", duplicates=0.05))
        with again:
            code, report = Program(again, data, *flags, "--max-posts", "400").end()
        assert code == 0
        assert {document["id"] for document in collection(mongodb_url).find()} == left
    adds_up(report, data, mongodb_url)
    nowhere(data, gone)
    assert report["run"]["consumed"] == 400
    assert report["run"]["unique"] == 0
    assert report["run"]["filtered_out"] > first["run"]["filtered_out"]  # the forgotten are, from now on
    assert report["life"]["forgotten"] == len(before - left)


@pytest.mark.needs_go
def test_a_running_capture_forgets_within_a_moment_also_what_is_pending(tmp_path, own_ferretdb: FerretDB):
    """Half of the posts are in the store, half wait for it, when somebody is forgotten; then it comes back."""
    data = tmp_path / "data"
    url = f"{own_ferretdb.address}/posts"
    with Simulator(options(rate=400, match=0.5, payload="rich", posts=1500)) as sim:
        program = Program(sim, data, "--store", url, *RAW)
        wait_until(lambda: kept(data) > 100 and collection(url).count_documents({}) > 50)
        own_ferretdb.kill()
        stored = kept(data)
        wait_until(lambda: kept(data) > stored + 100)
        with sqlite3.connect(data / "journal.sqlite") as db:
            lines = [json.loads(raw) for (raw,) in db.execute("SELECT raw FROM posts ORDER BY seq")]
        gone = [line["data"]["author_id"] for line in (*lines[:5], *lines[-5:])]
        said = forget(data, *[flag for id in gone for flag in ("--author", id)])
        assert "a capture runs" in said
        assert "the journal has forgotten it" in said
        assert "still to come" in said  # the store is down
        with sqlite3.connect(data / "journal.sqlite") as db:
            for table in ("posts", "filtered", "versions"):
                for (raw,) in db.execute(f"SELECT raw FROM {table}"):
                    assert not [id for id in gone if with_id(id, raw)]
        own_ferretdb.start()
        wait_until(lambda: "mongodb has forgotten" in program.said())
        wait_until(lambda: len(whole(sim)) == 1500 and collection(url).count_documents({}) == kept(data) > 600)
        code, report = program.stop()
    assert code == 0
    adds_up(report, data, url)
    assert report["life"]["pending"] == 0
    assert report["life"]["forgotten"] >= 10
    assert collection(url).count_documents({"author.id": {"$in": gone}}) == 0
    nowhere(data, gone)
    for name in gone:
        assert not with_id(name, program.log.read_bytes())


def test_without_a_store_unique_less_forgotten_is_what_the_journal_holds(tmp_path):
    data = tmp_path / "data"
    with Simulator(options(rate=300, match=0.5, payload="rich")) as sim:
        program = Program(sim, data)
        wait_until(lambda: kept(data) > 100)
        gone = people_of(data)
        known = posts_of(data, gone)
        forget(data, *[flag for id in gone for flag in ("--author", id)])
        code, report = program.stop()
    assert code == 0
    balanced(report)
    assert report["life"]["forgotten"] == report["run"]["forgotten"] >= known >= 2
    assert report["life"]["unique"] - report["life"]["forgotten"] == len(journal_ids(data))
    nowhere(data, gone)


def test_an_author_is_found_by_any_spelling_of_a_username(tmp_path):
    data = tmp_path / "data"
    with Simulator(options(posts=100, match=1.0, payload="rich")) as sim:
        Program(sim, data, "--max-posts", "100").end()
    with sqlite3.connect(data / "journal.sqlite") as db:
        line = json.loads(db.execute("SELECT raw FROM posts").fetchone()[0])
    author = line["data"]["author_id"]
    name = next(user["username"] for user in line["includes"]["users"] if user["id"] == author)
    said = forget(data, "--author", f"@{name.upper()}")
    assert f"is the author {author}" in said
    nowhere(data, [author])


def test_a_post_is_forgotten_with_its_retweets_by_its_id_or_its_link(tmp_path):
    data = tmp_path / "data"
    with Simulator(options(posts=300, match=1.0, payload="rich")) as sim:
        Program(sim, data, "--max-posts", "300").end()
    with sqlite3.connect(data / "journal.sqlite") as db:
        lines = [json.loads(raw) for (raw,) in db.execute("SELECT raw FROM posts")]
    refs = [
        (ref["type"], ref["id"], line["data"]["id"])
        for line in lines
        for ref in line["data"].get("referenced_tweets", ())
    ]
    _kind, original, retweet = next(found for found in refs if found[0] == "retweeted")
    plain = next(line["data"]["id"] for line in lines if not line["data"].get("referenced_tweets"))
    forget(data, "--post", f"https://x.com/anybody/status/{original}?s=20", "--post", f"x:{plain}")
    assert not {original, retweet, plain} & set(journal_ids(data))
    nowhere(data, [plain])


def test_nothing_goes_without_a_yes(tmp_path):
    data = tmp_path / "data"
    with Simulator(options(posts=50, match=1.0)) as sim:
        Program(sim, data, "--max-posts", "50").end()
    id = journal_ids(data)[0]
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "forget", "--post", id, "--data-dir", str(data)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert "1 posts" in done.stdout
    assert id in journal_ids(data)
    for wrong in (["--author", "@nobody_of_that_name"], ["--data-dir", str(tmp_path / "none"), "--post", "1"]):
        done = subprocess.run(
            [sys.executable, "-m", "tui.cli", "forget", "--yes", "--data-dir", str(data), *wrong],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert "\n  " in done.stderr  # what to do


@pytest.mark.needs_go
def test_a_kill_at_any_moment_of_forgetting_leaves_nothing_undone_and_nothing_counted_twice(tmp_path, mongodb_url):
    """SIGKILL at five moments of its run, then asked to finish (every step is in tests/unit/test_forgetting.py)."""
    data = tmp_path / "data"
    with Simulator(options(posts=150, match=1.0, payload="rich")) as sim:
        Program(sim, data, "--store", mongodb_url, *RAW, "--max-posts", "150").end()
        authors = list(dict.fromkeys(document["author"]["id"] for document in collection(mongodb_url).find()))
        command = [
            sys.executable, "-c", KILLED, "forget", "--yes", "--data-dir", str(data), "--store", mongodb_url,
        ]  # fmt: skip
        acknowledged = set()
        for step in (2, 5, 8, 11, 14):
            before = asked_for(data)
            done = subprocess.run([*command, str(step), "--author", authors[step]], capture_output=True, text=True)
            assert done.returncode in (0, -signal.SIGKILL), done.stderr
            acknowledged |= {step} if asked_for(data) > before else set()
        asked = [author for step, author in enumerate(authors[:15]) if step in acknowledged]
        said = forget(data, "--store", mongodb_url)
        assert "still to come" not in said
        report = Program(sim, data, "--store", mongodb_url, *RAW, "--duration", "0.5").end()[1]
    assert asked
    adds_up(report, data, mongodb_url)
    assert collection(mongodb_url).count_documents({"author.id": {"$in": asked}}) == 0
    nowhere(data, asked)
    with sqlite3.connect(data / "journal.sqlite") as db:
        for table in ("forget", "forget_at", "forget_posts"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def asked_for(data: Path) -> int:
    with sqlite3.connect(data / "journal.sqlite") as db:
        return db.execute("SELECT count(*) FROM tombstones").fetchone()[0]


# The program, killed before its n-th transaction or request to the store of the whole run.
KILLED = """
import os, signal, sys
from core.journal import Journal
from core.sinks.mongodb import MongodbSink
import tui.cli
left = [int(sys.argv.pop(-3))]
def counting(call):
    def counted(*args, **more):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **more)
    return counted
for owner, name in ((Journal, "_transaction"), (MongodbSink, "holds"), (MongodbSink, "forget"), (Journal, "trim")):
    setattr(owner, name, counting(getattr(owner, name)))
sys.exit(tui.cli.main(sys.argv[1:]))
"""


@pytest.mark.needs_go
def test_what_the_source_deletes_is_deleted_here_too(tmp_path, mongodb_url):
    data = tmp_path / "data"
    with Simulator(options(posts=100, match=1.0, payload="rich")) as sim:
        program = Program(sim, data, "--store", mongodb_url)
        wait_until(lambda: collection(mongodb_url).count_documents({}) == kept(data) == 100)
        first, second = journal_ids(data)[:2]
        author = collection(mongodb_url).find_one({"_id": f"x:{second}"})["author"]["id"]
        sim.push(
            {"data": {"delete": {"tweet": {"id": first, "author_id": "1"}, "event_at": "2026-01-01T00:00:00Z"}}}
        )
        sim.push({"data": {"user_protect": {"user": {"id": author}, "event_at": "2026-01-01T00:00:00Z"}}})
        wait_until(lambda: not collection(mongodb_url).find_one({"_id": f"x:{first}"}))
        wait_until(lambda: not collection(mongodb_url).count_documents({"author.id": author}))
        code, report = program.stop()
    assert code == 0
    assert not {first, second} & set(journal_ids(data))
    assert report["run"]["delivered"] == 100  # messages of the source are no delivered lines
    adds_up(report, data, mongodb_url)
    assert report["life"]["forgotten"] >= 2
