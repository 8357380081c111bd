"""A soak, short: the same run that `make soak` makes of ten million posts. And its oracle, which has to see."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from core.simulator.prepared import Order
from tests.reliability.soak import MEMORY_SLACK, Soak
from tests.reliability.spans import SpanLog

ORDER = Order(seed=1, size=200, match=0.1, duplicates=0.05, first_id=2_114_637_320_811_446_272, stride=1000)
BUDGET = 120  # MB, the project's for ten million posts; little more than half of it is used
TOPICAL = [n for n in range(400) if ORDER.topic(n)]


def test_a_soak_loses_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    soak = Soak(tmp_path, 10_000, match=0.1, duplicates=0.05, payload="small", faults=10)
    figures = soak.run()
    assert figures["broken"] == []
    assert figures["journal"]["stored"] > 990
    assert figures["reconnects"] == 6
    assert figures["samples"] >= 2


def test_a_capture_stays_within_its_memory_and_posts_leave_nothing_behind_in_it(tmp_path: Path) -> None:
    """The slack is 200 bytes for each post: one that is kept has more than the 300 of its line."""
    soak = Soak(tmp_path, 50_000, match=0.1, duplicates=0.01, payload="small", faults=0)
    figures = soak.run()
    memory = figures["memory_mb"]
    assert figures["broken"] == []
    assert memory["peak"] < BUDGET
    assert memory["at_the_end"] - memory["after_warm_up"] < MEMORY_SLACK / 1e6, [
        (sample.durable, sample.memory) for sample in soak.samples
    ]


@pytest.mark.needs_go
def test_the_write_ahead_log_is_trimmed_while_a_store_reads_along(tmp_path: Path, mongodb_url: str) -> None:
    soak = Soak(tmp_path, 10_000, match=0.5, duplicates=0.0, payload="full", faults=2, store=mongodb_url)
    figures = soak.run()
    written = figures["journal_bytes_per_post"] * figures["journal"]["stored"] / 1e6
    assert figures["broken"] == []
    assert figures["wal_mb_peak"] < 10 < written


@pytest.fixture
def log(tmp_path: Path) -> SpanLog:
    """400 posts, of which number `TOPICAL[5]` was cut and the last hundred of the second lap are in doubt."""
    cut = str(ORDER.id(TOPICAL[5]))
    before = ORDER.deliveries(TOPICAL[5])
    safe, end = ORDER.deliveries(300), ORDER.deliveries(400)
    lines = [
        {"kind": "order", "seed": 1, "size": 200, "match": 0.1, "duplicates": 0.05, "first_id": ORDER.first_id, "stride": 1000},
        {"kind": "run", "at": 10.0, "connection": 1, "first": 1, "last": before, "whole": True},
        {"kind": "post", "at": 11.0, "connection": 1, "post": cut, "matches_topic": True, "whole": False, "raw": ""},
        {"kind": "run", "at": 20.0, "connection": 2, "first": before + 2, "last": safe, "whole": True},
        {"kind": "malformed", "at": 21.0, "connection": 2, "post": "", "matches_topic": None, "whole": True, "raw": "42"},
        {"kind": "run", "at": 30.0, "connection": 2, "first": safe + 1, "last": end, "whole": False},
    ]  # fmt: skip
    path = tmp_path / "sent.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sent = SpanLog(path)
    sent.update()
    return sent


def journal(folder: Path, numbers: list[int]) -> Path:
    path = folder / "journal.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE posts (id TEXT)")
        db.executemany("INSERT INTO posts VALUES (?)", [(str(ORDER.id(n)),) for n in numbers])
    return path


EXPECTED = [n for n in TOPICAL if n < 300 and n != TOPICAL[5]]


def test_what_was_sent_whole_is_expected_once(log: SpanLog, tmp_path: Path) -> None:
    assert (log.posts, log.malformed) == (400, 1)
    assert log.lines == ORDER.deliveries(300) - 1
    verdict = log.judge(journal(tmp_path, EXPECTED))
    assert verdict.agrees
    assert verdict.expected == verdict.stored == 29


def test_a_line_in_doubt_may_be_there_or_not(log: SpanLog, tmp_path: Path) -> None:
    assert log.judge(journal(tmp_path, [*EXPECTED, TOPICAL[35]])).agrees


@pytest.mark.parametrize(
    ("numbers", "missing", "invented"),
    [
        (EXPECTED[:-1], 1, 0),
        ([*EXPECTED, EXPECTED[3]], 0, 1),
        ([*EXPECTED, next(n for n in range(300) if not ORDER.topic(n))], 0, 1),
        ([*EXPECTED, 4000], 0, 1),
        ([*EXPECTED[1:], 100_000], 1, 1),
    ],
    ids=["lost", "twice", "not about the topic", "never sent", "both"],
)
def test_the_oracle_sees(log: SpanLog, tmp_path: Path, numbers: list[int], missing: int, invented: int) -> None:
    verdict = log.judge(journal(tmp_path, numbers))
    assert not verdict.agrees
    assert (verdict.missing, verdict.invented) == (missing, invented)


def test_the_age_of_a_line_is_that_of_its_span(log: SpanLog) -> None:
    first = ORDER.deliveries(TOPICAL[5])
    assert log.sent_at(1) == log.sent_at(first) == 10.0
    assert log.sent_at(first + 1) == log.sent_at(log.lines) == 20.0
