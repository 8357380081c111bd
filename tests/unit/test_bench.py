"""The benchmark's own promises: no figure without a comparison, and tables that say what was measured."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from bench import curves, family, painted, report
from bench.contestants import (
    ALL,
    LIMIT_ALL,
    LIMIT_SAME,
    OURS,
    SEED,
    TWARC,
    Program,
    Run,
    Wrong,
    compare_lines,
    compare_parts,
    compare_topical,
    measure,
    ours,
)  # fmt: skip
from bench.curves import Cost
from bench.growth import Point
from bench.latency import Latency
from bench.painted import Painted
from bench.screen import Screen
from bench.stages import Stage
from bench.start import Start
from bench.stream import LOADS, Expected, Load, Stream
from bench.throughput import Cell, broken, ratio

SMALL = LOADS[0]
EXPECTED = Expected(lines=["1", "2", "2", "3", "4"], topical={"1", "3"})
MACHINE = {
    "processor": "P",
    "cores": "2",
    "memory": "8 GB",
    "system": "S",
    "load before": "0.1",
    "Python": "3",
    "SQLite": "3",
    "tweepy": "4",
}


def cell(who, load=SMALL, *, rate=1000.0, cpu=50.0, found=1.0):
    """One measured with three repetitions, the middle one as given."""
    runs = tuple(
        Run(1000, 1000 / rate * times, cpu * 1000 / 1e6 * times, 50_000_000, found) for times in (0.5, 1.0, 2.0)
    )
    return Cell(load, who, runs)


def everything(**ours):
    """Cells of everyone over every load; what ours is, as given."""
    return [
        cell(who, load, **(ours if who is OURS else {}))
        for load in LOADS for who in ALL if load.match == 0.1 or who not in (TWARC, LIMIT_ALL)
    ]  # fmt: skip


POINTS = [Point(10_000, 50.0, 20_000.0, 60_000_000), Point(1_000_000, 55.0, 18_000.0, 62_400_000)]


STAGES = [Stage(load, name, 1.25) for load in (LOADS[0], LOADS[2]) for name in ("read", "judge")]


def answers(cells):
    return report.Answers(
        MACHINE,
        "--repetitions 1",
        cells,
        POINTS,
        Latency(5000, 51.0, 88.4, 93.0),
        Painted(500, 70.0, 141.3, 160.0, 0.985),
        STAGES,
        [(1, 7.5), (1000, 21.25)],
        Start(250.0, 180.0, 340.0, 15.0, 150.0, 260.0, 0.004, 50_000_000),
        Screen(0.33, 0.40, 120, 31.0, 62.0, 12.0, 40.0),
        [Cost(100, 0.02, 200.0), Cost(10_000, 0.25, 25.0)],
        [Cost(351, 0.12, 60.0), Cost(4888, 0.15, 75.0)],
        [Cost(0, 0.1, 20.0), Cost(4, 0.2, 40.0)],
    )


def test_what_is_compared_may_lack_nothing_and_have_nothing_too_much():
    assert compare_topical(["1", "3"], EXPECTED, complete=True) == 1.0
    assert compare_topical(["3"], EXPECTED, complete=False) == 0.5
    assert compare_lines(["1", "2", "2", "3", "4"], EXPECTED.lines) == 1.0
    assert compare_parts(["1", "3"], ["1", "2", "3", "4"], 2) == 1.0


@pytest.mark.parametrize(
    ("kept", "complete"),
    [(["3"], True), (["1", "3", "3"], True), (["1", "2", "3"], True), (["2"], False), (["3", "3"], False)],
    ids=["too few", "twice", "not about the topic", "only such", "twice of few"],
)
def test_a_store_that_is_wrong_gives_no_figure(kept, complete):
    with pytest.raises(Wrong):
        compare_topical(kept, EXPECTED, complete=complete)


@pytest.mark.parametrize("kept", [["1", "2", "3", "4"], ["2", "1", "2", "3", "4"], []])
def test_lines_that_are_not_those_sent_give_no_figure(kept):
    with pytest.raises(Wrong):
        compare_lines(kept, EXPECTED.lines)


def test_parts_that_are_out_of_order_or_too_few_give_no_figure():
    for kept in (["3", "1"], ["1"], ["1", "9"]):
        with pytest.raises(Wrong):
            compare_parts(kept, ["1", "2", "3", "4"], 2)


def test_ratios_are_of_medians_and_take_the_one_measurement_of_who_keeps_all():
    cells = everything(rate=4000.0, cpu=10.0)
    for load in LOADS:
        assert ratio(cells, load, OURS, TWARC) == pytest.approx(4.0)
        assert ratio(cells, load, OURS, SEED, cpu=True) == pytest.approx(5.0)


def test_the_guard_speaks_when_a_factor_is_lost_and_only_then():
    assert broken(everything(cpu=5.0)) == []
    trouble = broken(everything(cpu=30.0))
    assert len(trouble) == 1
    assert SEED.name in trouble[0]
    assert len(broken(everything(cpu=500.0))) == 3


def test_the_page_has_every_figure_and_the_plot_is_a_picture():
    cells = everything(rate=4321.0)
    page = report.page(answers(cells))
    assert "| bieber-tui | 4,321 (2,160 to 8,642); 50.0 µs |" in page
    assert "| bieber-tui / limit | 432% (100%)" in page
    assert all(who.name in page for who in ALL)
    assert "Medians of\n3 interleaved repetitions" in page
    assert "stored over cost with 10,000 | 1.10 | 1.3 | 1.1 |" in page
    assert "p99 | 88 ms | 120 ms | 50 ms |" in page
    assert "socket to painted at 1,000 posts/s, p99 | 141 ms | 250 ms | 150 ms |" in page
    assert "98.5% got a row of their own" in page
    assert "to the first post | 250 ms |" in page
    assert "| 1,000,000 | 55.0 | 18,000 | 62 |" in page
    assert "memory with 1,000,000 posts stored, the most | 62 MB | 120 MB | 80 MB |" in page
    assert "| judge | 1.2 | 1.2 |" in page
    assert "| 1,000 | 21.2 |" in page
    assert (
        "| bytes | of a core | µs a post |\n|---|---|---|\n| 351 | 12.0% | 60.0 |\n| 4,888 | 15.0% | 75.0 |"
        in page
    )
    assert ElementTree.fromstring(report.plot_growth(POINTS)) is not None
    picture = ElementTree.fromstring(report.plot(cells))
    assert sum(part.tag.endswith("rect") for part in picture.iter()) == len(cells)
    results = report.results(answers(cells))
    assert results["command"] == 'make bench BENCH_FLAGS="--repetitions 1"'
    assert results["command"] in page
    assert len(results["throughput"]) == len(cells)
    assert results["payloads"][0] == {"at": 351, "share": 0.12, "per_post": 60.0}
    assert {one["other"] for one in results["ratios"]} == {SEED.name, TWARC.name, LIMIT_SAME.name, LIMIT_ALL.name}


def row(line: int, text: str) -> bytes:
    """One row of the feed as the dashboard writes it."""
    return f"\x1b[{line};1H\x1b[38;2;1;2;3m 20:26:42  \x1b[0m\x1b[1mauthor  \x1b[0m{text}".encode()


def test_a_row_is_painted_when_its_last_byte_has_come():
    whole = row(7, "höre") + row(8, "second") + b"\x1b[9;1H\x1b[0mno post\x1b[1;1H\x1b[6n"
    cut = whole.index("ö".encode()) + 1  # within a character of the first row
    end = whole.index(b"cond")
    chunks = [(1.0, whole[:cut]), (2.0, whole[cut:end]), (3.0, whole[end:])]
    assert list(painted.painted_rows(chunks)) == [
        (2.0, " 20:26:42  author  höre"),
        (3.0, " 20:26:42  author  second"),
    ]


def test_a_post_without_a_row_is_painted_with_the_first_newer_one():
    posts = [(10.0, "a"), (10.1, "b"), (10.2, "c"), (10.3, "d")]
    rows = [(10.15, "a"), (10.35, "a"), (10.35, "c"), (10.36, "a"), (10.4, "d")]
    found = painted.judge(posts, rows, 10.0, 10.4)
    assert (found.posts, found.own) == (4, 0.75)
    assert found.p50 == pytest.approx(150)  # of 150, 250, 150 and 100 ms
    assert found.worst == pytest.approx(250)


def test_posts_that_look_alike_tell_nothing_unless_they_are_a_lap_apart():
    lap = painted.LAP / painted.RATE
    posts = [(10.0, "a"), (10.1, "b"), (10.2, "b"), (10.3, "c"), (10.0 + lap, "a")]
    rows = [(10.25, "b"), (10.25, "a"), (10.5, "c"), (10.1 + lap, "a")]
    found = painted.judge(posts, rows, 10.0, 10.1 + lap)
    assert found.worst == pytest.approx(400)  # b: its first row may be that of either, so c's is waited for
    assert found.own == 1.0


def test_a_post_that_never_came_to_the_screen_gives_no_figure():
    with pytest.raises(Wrong):
        painted.judge([(10.0, "a"), (10.1, "b")], [(10.2, "a")], 10.0, 10.2)
    with pytest.raises(Wrong):
        painted.judge([], [], 10.0, 10.2)


def test_without_flags_the_command_is_the_bare_one():
    assert report.command("") == "make bench"


def test_what_a_rival_misses_is_told():
    cells = [cell(SEED, one.load, found=0.81) if one.who is SEED else one for one in everything()]
    assert "finds 81% of the rich posts about the topic" in report.page(answers(cells))


# Each generation starts the next, works, holds memory, outlives its child and ends when it may.
GENERATION = """
import subprocess, sys, time
from pathlib import Path
age, folder, deadline = int(sys.argv[1]), Path(sys.argv[2]), time.monotonic() + 60
child = subprocess.Popen([sys.executable, __file__, str(age + 1), folder]) if age < 2 else None
held = b"x" * 40_000_000
while time.process_time() < 0.2:
    pass
(folder / f"worked-{age}").touch()
if child:
    child.wait()
(folder / f"alone-{age}").touch()
while not (folder / f"end-{age}").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
"""


def test_what_children_took_counts_while_they_live_and_when_they_have_ended(tmp_path: Path):
    script = tmp_path / "generation.py"
    script.write_text(GENERATION)
    unsent = SimpleNamespace(has_begun=lambda: False)
    program = Program([str(script), "0", str(tmp_path)], tmp_path, {}, unsent)

    def watch(*names: str) -> tuple[float, int]:
        """Look until these are there, and twice more."""
        deadline = time.monotonic() + 30
        while not all((tmp_path / name).exists() for name in names) and time.monotonic() < deadline:
            program.look()
            time.sleep(0.01)
        program.look()
        program.look()
        return program.cpu, program.memory

    seen = [watch("worked-0", "worked-1", "worked-2")]
    for age in (2, 1):
        (tmp_path / f"end-{age}").touch()
        seen.append(watch(f"alone-{age - 1}"))
    assert family.look(program.process.pid).cpu >= seen[0][0], "nothing is lost when a child ends"
    (tmp_path / "end-0").touch()
    program.end()
    seen.append((program.cpu, program.memory))
    assert seen[0][0] >= 0.55, "three times 0.2 s, less what the kernel's clock ticks cannot tell"
    assert seen[-1][0] < seen[0][0] + 0.2, "nothing is counted twice"
    assert seen[0][1] > 120_000_000
    for column in zip(*seen, strict=True):
        assert list(column) == sorted(column), "neither ever goes down"


def test_the_lines_that_are_measured_are_those_that_the_capture_got(tmp_path: Path):
    with Stream(Load("rich", 1.0), tmp_path, prepared=curves.LAP) as stream:  # all are kept
        ours(stream, tmp_path, "--max-posts", str(curves.LAP)).end()
        found = curves.line_bytes(stream)
    with sqlite3.connect(tmp_path / "data" / "journal.sqlite") as db:
        assert found == pytest.approx(db.execute("SELECT avg(length(raw)) FROM posts").fetchone()[0], rel=0.01)
    db.close()


@pytest.mark.parametrize("who", [OURS, LIMIT_SAME, TWARC], ids=lambda who: who.name)
def test_a_measurement_is_of_a_real_run(who, tmp_path: Path):
    load = Load("small", 0.1)
    with Stream(load, tmp_path) as stream:
        run = measure(who, stream, tmp_path, "", scale=0.02)
    assert run.posts == who.small * 0.02
    assert run.found == pytest.approx(1.0, abs=0.01)
    assert 0 < run.seconds < 120
    assert run.memory > 10_000_000
