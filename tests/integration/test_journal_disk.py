"""The journal's disk is full, fails or cannot be written: nothing acknowledged is lost, and the words say what to do.

The disk is a real one of a few megabytes, the capture a process of its own.
"""

from __future__ import annotations

import re
import resource
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until
from tests.integration.test_main_job import Program, balanced, expected, whole
from tests.small_disk import SmallDisk, small_disk

__all__ = ["small_disk"]  # a fixture

# No reserve: the disk is filled to the last byte. No batch is larger than what the disk can take in one go.
TO_THE_BRIM = ("--set", "journal.min_free=0", "--set", "journal.batch_size=100")


def options(**more) -> SimulatorOptions:
    return SimulatorOptions(**{"rate": 0, "match": 1.0, "start_time": 1_793_000_000.0, **more})


def on(disk: SmallDisk, sim: Simulator, *flags: str) -> Program:
    program = Program(sim, disk.path / "data", *flags, prefix=disk.prefix)
    program.log.touch()
    return program


def stored(folder: Path, copy: Path) -> dict[str, float]:
    """What a copy of the journal holds, read as the next run would: id -> received_at."""
    copy.mkdir()
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        if (folder / name).exists():
            shutil.copy(folder / name, copy)
    with closing(sqlite3.connect(copy / "journal.sqlite")) as db, db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(db.execute("SELECT id, received_at FROM posts").fetchall())


def connections(sim: Simulator) -> list:
    return [connection for connection in sim.connections if connection.status == 200]


def test_a_full_disk_ends_the_capture_cleanly_and_says_how_much_to_free(small_disk, tmp_path):
    small_disk.fill(leave=4_000_000)
    with Simulator(options()) as sim:
        program = on(small_disk, sim, *TO_THE_BRIM)
        code, report = program.end()
    assert code == 4, program.said()
    balanced(report)
    said = program.said()
    assert "is full" in report["stopped"]
    need = re.search(r"Free at least ([\d.]+ [kM]B) there \(([\d,]+) bytes\)", said)
    assert need, said
    assert int(need[2].replace(",", "")) > 0
    posts = stored(small_disk.seen / "data", tmp_path / "copy")
    assert len(posts) == report["run"]["unique"] > 0
    assert set(posts) <= expected(sim)


def test_with_a_reserve_all_that_was_read_is_committed_before_the_end(small_disk, tmp_path):
    """A tenth of min_free is kept: the queue's lines and the run's end still fit, and the next run knows why."""
    reserve = ("--set", "journal.min_free=40MB")
    small_disk.fill(leave=6_000_000)
    with Simulator(options(rate=400)) as sim:
        program = on(small_disk, sim, *reserve)
        code, report = program.end()
        assert code == 4, program.said()
        assert "the journal's disk gets full" in program.said()
        assert small_disk.free() > 1_000_000
        posts = stored(small_disk.seen / "data", tmp_path / "copy")
        sent = [record.post for record in whole(sim)]
        # Everything up to the last line that was read; what X had sent beyond is as if never received.
        assert set(sent[: report["run"]["delivered"]]) == set(posts)

        small_disk.ballast.write_bytes(b"")
        small_disk.fill(leave=3_000_000)
        again = on(small_disk, sim, *reserve)  # still full: it does not even connect
        before = len(sim.connections)
        code, report = again.end()
        assert code == 4
        assert len(sim.connections) == before
        assert "is full" in report["gaps"][-1]["reason"]


def test_paused_by_a_full_disk_it_bills_nothing_and_goes_on_by_itself(small_disk, tmp_path):
    small_disk.fill(leave=5_000_000)
    with Simulator(options(rate=600, hold_while_disconnected=False)) as sim:
        program = on(small_disk, sim, *TO_THE_BRIM, "--set", "journal.when_full=pause")
        wait_until(lambda: "is full" in program.said())
        wait_until(lambda: connections(sim)[-1].ended)
        time.sleep(1.5)
        assert len(connections(sim)) == 1  # nothing is asked for while nothing can be kept
        assert program.process.poll() is None
        small_disk.make_room()
        wait_until(lambda: len(connections(sim)) == 2)
        count = len(whole(sim))
        wait_until(lambda: len(whole(sim)) > count + 300)
        code, report = program.stop()
        assert code == 0, program.said()
    balanced(report)
    assert "goes on" in program.said()
    gaps = report["gaps"]
    assert [gap["reason"] for gap in gaps] == ["disk full"]
    assert gaps[0]["end"] is not None
    posts = stored(small_disk.seen / "data", tmp_path / "copy")
    assert len(posts) == report["run"]["unique"]
    # The oracle: on each connection, what was sent is there without a hole up to where that connection was left.
    for connection in connections(sim):
        sent = [record.post in posts for record in whole(sim) if record.connection == connection.number]
        assert any(sent)
        assert all(sent[: sent.count(True)])


def test_paused_by_a_full_disk_it_can_be_stopped_and_continued_later(small_disk, tmp_path):
    small_disk.fill(leave=4_000_000)
    with Simulator(options()) as sim:
        flags = (*TO_THE_BRIM, "--set", "journal.when_full=pause")
        program = on(small_disk, sim, *flags)
        wait_until(lambda: "is full" in program.said())
        began = time.monotonic()
        program.process.send_signal(signal.SIGTERM)
        program.end()
        assert time.monotonic() - began < 60  # two seconds are promised; machines are shared
        acknowledged = set(stored(small_disk.seen / "data", tmp_path / "first"))
        small_disk.make_room()
        program = on(small_disk, sim, *flags, "--max-posts", "200")
        code, report = program.end()
    assert code == 0, program.said()
    balanced(report)
    posts = stored(small_disk.seen / "data", tmp_path / "second")
    assert acknowledged < set(posts)
    assert len(posts) == report["life"]["unique"]
    assert len(report["gaps"]) >= 1


@pytest.mark.parametrize("when_full", ["stop", "pause"])
def test_a_disk_that_reports_errors(tmp_path, when_full):
    """The kernel refuses every write beyond a limit, and not for want of room: what a broken disk or a quota does."""
    with Simulator(options(rate=500)) as sim:
        program = Program(sim, tmp_path / "data", "--set", f"journal.when_full={when_full}")
        wait_until(lambda: (tmp_path / "data" / "journal.sqlite-wal").exists() and whole(sim))
        pid = program.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1_500_000, hard))
        wait_until(lambda: "cannot be written" in program.said())
        if when_full == "stop":
            code, report = program.end()
            assert code == 4
        else:
            wait_until(lambda: connections(sim)[-1].ended)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
            wait_until(lambda: len(connections(sim)) == 2)
            code, report = program.stop()
            assert code == 0
            assert [gap["reason"] for gap in report["gaps"]] == ["the journal could not be written"]
    assert "quota" in program.said()
    balanced(report)
    posts = stored(tmp_path / "data", tmp_path / "copy")
    assert len(posts) == report["run"]["unique"] > 0
    assert set(posts) <= expected(sim)


def test_a_disk_that_is_read_only_is_refused_in_words(small_disk):
    with Simulator(options(posts=20)) as sim:
        assert on(small_disk, sim, *TO_THE_BRIM, "--max-posts", "20").end()[0] == 0
        small_disk.read_only()
        program = on(small_disk, sim, *TO_THE_BRIM)
        code, _ = program.end()
    assert code == 4
    assert "Read-only file system" in program.said()
    assert "--data-dir" in program.said()


def test_a_lock_of_another_program_is_waited_for(tmp_path):
    """Somebody looks at the journal with a client that holds a transaction: told, waited for, nothing lost."""
    with Simulator(options(rate=200)) as sim:
        program = Program(sim, tmp_path / "data")
        wait_until(lambda: len(whole(sim)) > 50)
        other = sqlite3.connect(tmp_path / "data" / "journal.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        wait_until(lambda: "another program holds the lock" in program.said())
        time.sleep(1.5)
        other.execute("ROLLBACK")
        other.close()
        count = len(whole(sim))
        wait_until(lambda: len(whole(sim)) > count + 50)
        code, report = program.stop()
        assert code == 0
        assert len(connections(sim)) == 1  # the stream was not given up for it
    balanced(report)
    assert report["gaps"] == []
    posts = stored(tmp_path / "data", tmp_path / "copy")
    assert set(posts) == {record.post for record in whole(sim)[: report["run"]["delivered"]]}


def test_a_data_folder_that_is_deleted_under_a_capture_is_written_back(tmp_path):
    """rm -rf while it runs: told within seconds, all of it saved to the same place, exit code 4."""
    with Simulator(options(rate=200)) as sim:
        program = Program(sim, tmp_path / "data")
        wait_until(lambda: len(whole(sim)) > 50)
        shutil.rmtree(tmp_path / "data")
        code, report = program.end()
    assert code == 4
    assert "was deleted, moved or replaced" in report["stopped"]
    assert "All of it was saved" in program.said()
    posts = stored(tmp_path / "data", tmp_path / "copy")
    assert len(posts) == report["run"]["unique"]
    assert set(posts) == {record.post for record in whole(sim)[: len(posts)]}


def test_a_capture_stays_within_its_bounds_and_counts_everything(tmp_path):
    """Several times as much comes as journal.keep keeps: the old ones go, the numbers and the uniqueness stay."""
    with Simulator(options(posts=3000, duplicates=0.05)) as sim:
        program = Program(sim, tmp_path / "data", "--set", "journal.keep=1MB")
        wait_until(lambda: sim.finished)
        file = tmp_path / "data" / "journal.sqlite"
        wait_until(lambda: gone(file) > 2000)
        code, report = program.stop()
        assert code == 0
        assert report["run"]["unique"] == len(expected(sim)) == 3000
        assert report["run"]["duplicate"] == len(whole(sim)) - 3000
    balanced(report)
    posts = stored(tmp_path / "data", tmp_path / "copy")
    assert len(posts) + gone(file) == 3000


def gone(path: Path) -> int:
    """Posts that retention has removed."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM removed").fetchone()[0]
