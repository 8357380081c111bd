"""What is older than `journal.keep` leaves the journal, never before every store has it, and is known again for ever."""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from core.clock import SystemClock
from core.crashpoint import Point
from core.delivery import Delivery
from core.events import EventLog
from core.journal import (
    Batch,
    Deletion,
    Entry,
    Forgetting,
    Journal,
    Rejected,
    Retention,
    Settled,
    Space,
    Tally,
    compact,
)
from core.journal.recover import recover
from core.journal.retention import STEP_BYTES, STEP_ROWS
from core.units import Keep
from core.upkeep import Upkeep
from tests.clock import HeldClock
from tests.conftest import PATIENCE, ROOT
from tests.unit.test_delivery import ListSink
from tui import cli

DAY = 86_400.0


def entries(numbers, size: int = 3000) -> list[Entry]:
    """One post a day; `size` bytes each."""
    return [
        Entry(f"id{n}", n * DAY, n, ("music",), False, b"%d " % n + random.Random(n).randbytes(size))
        for n in numbers
    ]


def fill(journal: Journal, count: int, size: int = 3000, start: int = 0) -> None:
    session = journal.begin_session(0.0, "x")
    for at in range(start, start + count, 50):
        batch = Batch("x", 52, 51, entries(range(at, min(at + 50, start + count)), size))
        batch.filtered.append(Rejected(f"f{at}", at * DAY, "", b"filtered" * 100))
        batch.quarantined.append(Rejected("", at * DAY, "not JSON", b"broken" * 100))
        journal.commit(batch, session)


def run(retention: Retention, now: float) -> tuple[int, int, int]:
    """Steps until there is nothing to do: posts, other lines and pages."""
    posts = others = pages = 0
    while step := retention.step(now):
        posts, others, pages = posts + step.posts, others + step.others, pages + step.pages
        assert step.posts + step.others <= STEP_ROWS
    return posts, others, pages


def ids(journal: Journal) -> list[str]:
    reader = journal.reader()
    try:
        return [row.id for row in reader.rows_after(0, 100_000)]
    finally:
        reader.close()


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "data") as journal:
        yield journal


def test_by_default_everything_is_kept(journal):
    fill(journal, 100)
    assert not Retention(journal, Keep()).step(1e12)


def test_what_is_older_goes_and_the_numbers_stay(journal):
    fill(journal, 200)
    before = journal.tallies()
    assert run(Retention(journal, Keep(age=30 * DAY)), 200 * DAY)[:2] == (170, 8)
    assert ids(journal) == [f"id{n}" for n in range(170, 200)]
    assert journal.tallies() == before
    assert journal.last_seq() == 200


def test_a_removed_post_that_comes_again_is_a_duplicate_for_ever(journal):
    fill(journal, 200)
    run(Retention(journal, Keep(age=30 * DAY)), 200 * DAY)
    session = journal.begin_session(0.0, "x")
    again, edited = entries([5])[0], Entry("id5", 300 * DAY, 99, (), False, b"other text")
    assert journal.commit(Batch("x", 3, 3, [again, edited, edited]), session) == [False, False, False]
    assert journal.commit(Batch("bluesky", 1, 1, entries([5])), session) == [True]
    with closing(sqlite3.connect(journal.path)) as db, db:
        assert db.execute("SELECT id, raw FROM versions").fetchall() == [("id5", b"other text")]
    assert journal.tallies()["x"].repeated == 3


def test_the_deletion_of_a_removed_post_still_reaches_the_store(journal):
    """The source announces it long after the journal has let the post go: the store is asked to give it up."""
    fill(journal, 100)
    journal.settle("mongo", 100, {"x": Settled(100, 0)})
    run(Retention(journal, Keep(age=DAY)), 1e12)
    session = journal.begin_session(0.0, "x")
    journal.commit(Batch("x", deletions=[Deletion(1e9, post="id5"), Deletion(1e9, post="never seen")]), session)
    forgetting = Forgetting(journal)
    asked = forgetting.asked()
    assert [subject.id for subject in asked] == ["id5"]
    forgetting.done_in_journal(asked)
    assert [subject.id for subject in forgetting.asked_of("mongo")] == ["id5"]
    assert forgetting.forgotten() == {"x": 1}
    with closing(sqlite3.connect(journal.path)) as db:
        assert db.execute("SELECT count(*), sum(id = 'id5') FROM removed").fetchone() == (99, 0)


def test_it_stays_within_its_size_and_the_newest_stay(journal):
    fill(journal, 2000)
    limit = 3_000_000
    run(Retention(journal, Keep(size=limit)), 1e12)
    assert journal.used_bytes() <= limit
    kept = ids(journal)
    assert kept == [f"id{n}" for n in range(2000 - len(kept), 2000)]
    assert len(kept) * 3000 > limit * 0.6  # the pages of a table are never quite full
    with closing(sqlite3.connect(journal.path)) as db, db:
        oldest = (2000 - len(kept)) * DAY
        assert db.execute(
            "SELECT count(*) FROM quarantine WHERE received_at < ?", (oldest - 50 * DAY,)
        ).fetchone() == (0,)


@pytest.mark.parametrize("keep", [Keep(age=10 * DAY), Keep(size=500_000), Keep(10 * DAY, 10**12)])
def test_nothing_goes_before_every_store_has_it(journal, keep):
    fill(journal, 400)
    journal.settle("mongo", 120, {"x": Settled(120, 0)})
    journal.settle("other", 150, {"x": Settled(150, 0)})
    retention = Retention(journal, keep, targets=["other"])
    assert run(retention, 400 * DAY)[0] == 120
    step = retention.step(400 * DAY)
    assert (step.held_by, step.held_at) == ("mongo", 120)
    journal.settle("mongo", 140, {"x": Settled(20, 0)})
    assert run(retention, 400 * DAY)[0] == 20


def test_a_store_that_has_not_answered_yet_keeps_everything(journal):
    fill(journal, 100)
    step = Retention(journal, Keep(age=DAY), targets=["new"]).step(1e12)
    assert (step.posts, step.held_by) == (0, "new") or step.others
    assert len(ids(journal)) == 100


def test_steps_are_short(journal):
    session = journal.begin_session(0.0, "x")
    journal.commit(Batch("x", 10, 10, entries(range(10), size=STEP_BYTES // 2)), session)
    assert Retention(journal, Keep(age=DAY)).step(1e12).posts == 2


def test_the_room_is_given_back_to_the_disk(journal):
    fill(journal, 4000)
    size = journal.used_bytes()
    _, _, pages = run(Retention(journal, Keep(age=100 * DAY)), 4000 * DAY)
    assert pages > 1000
    with closing(sqlite3.connect(journal.path)) as db, db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert journal.path.stat().st_size < size / 2
    compact(journal)
    assert journal.path.stat().st_size < size / 15
    with closing(sqlite3.connect(journal.path)) as db, db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_a_journal_of_before_gives_room_back_once_it_was_compacted(tmp_path):
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as old, old:
        old.executescript((ROOT / "tests" / "data" / "journal-v1.sql").read_text())
    with Journal(tmp_path) as journal:
        fill(journal, 2500)
        retention = Retention(journal, Keep(age=DAY))
        journal.drop_target("127.0.0.1:27017/bieber_tui.posts")
        assert run(retention, 1e12)[2] == 0
        compact(journal)
        assert journal.path.stat().st_size < 400_000
        fill(journal, 2500, start=2500)
        assert run(retention, 1e12)[2] > 0
        assert journal.tallies()["x"].inserted == 5 + 5000


def test_room_that_new_posts_will_take_is_not_given_back_and_taken_again(journal):
    fill(journal, 400)
    assert run(Retention(journal, Keep(age=100 * DAY)), 400 * DAY)[2] == 0


def test_ingest_goes_on_while_old_posts_are_removed(journal):
    fill(journal, 3000)
    clock = HeldClock(3000 * DAY)
    events = EventLog(clock)
    upkeep = Upkeep(
        journal,
        Space(journal.path, 0),
        events,
        SystemClock(),
        Retention(journal, Keep(size=2_000_000)),
        pytest.fail,
    )
    upkeep.start()
    slowest = 0.0
    session = journal.begin_session(0.0, "x")
    number = 3000
    deadline = time.monotonic() + PATIENCE
    while journal.used_bytes() > 2_000_000 and time.monotonic() < deadline:
        began = time.monotonic()
        assert journal.commit(Batch("x", 1, 1, entries([number])), session) == [True]
        slowest = max(slowest, time.monotonic() - began)
        number += 1
        time.sleep(0.005)
    upkeep.stop(10)
    assert journal.used_bytes() < 2_100_000
    assert slowest < 60  # a step takes milliseconds; machines are shared
    assert journal.tallies()["x"].inserted == number
    with closing(sqlite3.connect(journal.path)) as db, db:
        here, gone = (db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("posts", "removed"))
    assert here + gone == number


PROGRAM = """
import sys
from pathlib import Path
from core import crashpoint
from core.journal import Journal, Retention
from core.units import Keep

journal = Journal(Path(sys.argv[1]))
crashpoint.arm(sys.argv[2])
retention = Retention(journal, Keep(age=1.0))
while retention.step(1e12):
    pass
"""


@pytest.mark.parametrize("point", [Point.LINES_REMOVED, Point.PAGES_GIVEN_BACK])
def test_killed_in_a_step_every_post_is_here_or_removed_and_the_next_run_goes_on(tmp_path, point):
    with Journal(tmp_path) as journal:
        fill(journal, 3000)
        tally = journal.tallies()
    for nth in (1, 2, 3):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), f"{point}:{nth}"]
        killed = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert killed.stderr == f"killed at {point}\n"
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            found = db.execute("SELECT id FROM posts UNION ALL SELECT id FROM removed").fetchall()
        assert sorted(found) == sorted((f"id{n}",) for n in range(3000))
    with Journal(tmp_path) as journal:
        posts, _, pages = run(Retention(journal, Keep(age=1.0)), 1e12)
        assert posts or pages
        assert ids(journal) == []
        assert journal.tallies() == tally
        session = journal.begin_session(0.0, "x")
        assert journal.commit(Batch("x", 2, 2, entries([0, 2999])), session) == [False, False]


def test_a_store_that_is_behind_is_told_once(journal):
    fill(journal, 100)
    journal.settle("gone.example:27017/db.posts", 10, {"x": Settled(10, 0)})
    events = EventLog(SystemClock())
    retention = Retention(journal, Keep(age=DAY))
    upkeep = Upkeep(journal, Space(journal.path, 0), events, HeldClock(1e9), retention, pytest.fail)
    for _ in range(3):
        upkeep._retain()
    assert [event.text for event in events.recent()] == [
        "journal.keep removes nothing that gone.example:27017/db.posts does not have, and that has got to row 10. "
        "If that store is gone for good: bieber-tui compact --drop-store gone.example:27017/db.posts"
    ]


def test_a_store_that_comes_later_is_told_what_it_will_never_get(journal):
    fill(journal, 100)
    run(Retention(journal, Keep(age=40 * DAY)), 100 * DAY)
    events = EventLog(SystemClock())
    sink = ListSink()
    settled = threading.Event()
    delivery = Delivery(
        sink,
        journal,
        decode=lambda source, raw: pytest.fail("not asked") if not raw else post(raw),
        limit=journal.last_seq,
        on_settled=lambda run, earlier: settled.set(),
        on_refused=pytest.fail,
        events=events,
        clock=SystemClock(),
        batch_size=1000,
    )
    assert "60 posts were removed" in events.recent()[0].text
    delivery.start()
    assert settled.wait(120)
    delivery.stop(time.monotonic() + 5)
    assert len(sink.taken) == 40
    assert delivery.status(100).behind == 0


def post(raw: bytes):
    from core.post import Post

    return Post(source="x", id=raw.split(b" ")[0].decode(), text="")


def test_recover_knows_what_was_removed(tmp_path):
    folder = tmp_path / "data"
    with Journal(folder) as journal:
        fill(journal, 200)
        run(Retention(journal, Keep(age=30 * DAY)), 200 * DAY)
    with (folder / "journal.sqlite").open("r+b") as file:
        file.seek(30)
        file.write(b"\xff\xff")
    recovered = recover(folder, lambda source, raw: None, 1e9)
    assert recovered.lost == {"x": 0}
    assert recovered.tallies == {"x": Tally(208, 204, 4, 200, 200, 0)}
    with Journal(folder) as journal:
        assert journal.commit(Batch("x", 1, 1, entries([5])), journal.begin_session(0.0, "x")) == [False]


def test_the_command_removes_gives_back_and_says_so(tmp_path, capsys):
    folder = tmp_path / "data"
    with Journal(folder) as journal:
        fill(journal, 2000)
        journal.settle("mongo:27017/db.posts", 500, {"x": Settled(500, 0)})
    command = ["compact", "--data-dir", str(folder), "--set", "journal.keep=1d"]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "removed    500 posts, 80 other lines (journal.keep = 1d)" in said
    assert "--drop-store mongo:27017/db.posts" in said
    assert cli.main([*command, "--drop-store", "nowhere"]) == 2
    assert "mongo:27017/db.posts" in capsys.readouterr().err
    assert cli.main([*command, "--drop-store", "mongo:27017/db.posts", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["removed"] == {"posts": 1500, "others": 0}
    assert report["bytes_after"] < 400_000 < report["bytes_before"]
    assert report["held_by"] is None
    shutil.rmtree(folder)
    assert cli.main(command) == 4
    assert "no journal" in capsys.readouterr().err
