"""A view over the store: what is stored is seen, once and in order; what is not known is not claimed."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pymongo
import pytest

from core.attach.store import StoreViewer
from core.errors import BieberTuiError, ConfigError, StoreRefused
from core.health import SourceState
from core.settings import MongodbSettings
from core.sinks.mongodb import MongodbSink
from core.snapshot import SinkState, Verdict
from tests.conftest import FerretDB, free_port, make_row, put, wait_until
from tui.ink import line_width
from tui.numbers import draw_numbers


def store(url: str, seqs: range) -> None:
    sink = MongodbSink(url, MongodbSettings())
    sink.open()
    put(sink, [make_row(seq) for seq in seqs])
    sink.close()


@pytest.fixture
def viewer(mongodb_url):
    store(mongodb_url, range(50))
    watching = StoreViewer(mongodb_url, MongodbSettings())
    yield watching
    watching.stop()


def test_it_shows_what_is_stored_and_what_arrives_once_each(viewer, mongodb_url):
    first = viewer.snapshot(0)
    assert [row.post for row in first.rows] == [make_row(seq).post for seq in range(50)]
    assert first.rows[7].verdict is Verdict.MATCHED
    assert first.rows[7].matched == ("music",)
    assert first.rows[7].received_at == make_row(7).received_at
    store(mongodb_url, range(40, 80))  # ten of them a second time
    wait_until(lambda: viewer.snapshot(0).last_seq == 80)
    rows = viewer.snapshot(50).rows
    assert [row.post.id for row in rows] == [make_row(seq).post.id for seq in range(50, 80)]
    assert [row.seq for row in rows] == list(range(51, 81))
    wait_until(lambda: viewer.snapshot(0).life.unique == 80)
    assert viewer.snapshot(0).sinks[0].stored == 80


def test_what_it_cannot_know_is_a_dash(viewer):
    lines = draw_numbers(viewer.snapshot(0), 120, 6)
    text = ["".join(part for part, _ in line) for line in lines]
    assert all(line_width(line) == 120 for line in lines)
    life = next(line for line in text if line.startswith(" life"))
    assert life.split()[1:6] == ["–", "–", "50", "–", "–"]
    assert "–" in text[0]  # the match rate


def test_a_store_that_goes_away_is_told_and_comes_back(ferretdb_binary, tmp_path):
    folder = tmp_path / "db"
    folder.mkdir()
    server = FerretDB(ferretdb_binary, folder)
    server.start()
    url = f"{server.address}/view"
    store(url, range(5))
    watching = StoreViewer(url, MongodbSettings(timeout=1.0))
    try:
        server.kill()
        wait_until(lambda: watching.snapshot(0).sinks[0].state is SinkState.DOWN)
        assert watching.snapshot(0).health[0].state is SourceState.WAITING
        assert watching.snapshot(0).last_seq == 5
        server.start()
        store(url, range(5, 8))
        wait_until(lambda: watching.snapshot(0).last_seq == 8)
        assert watching.snapshot(0).sinks[0].state is SinkState.OK
    finally:
        watching.stop()
        server.kill()


def test_documents_of_other_kinds_are_shown_as_far_as_they_go(mongodb_url):
    client = pymongo.MongoClient(mongodb_url)
    posts = client.get_default_database()["posts"]
    posts.insert_many(
        [
            {"_id": 1},
            {
                "_id": "x:2",
                "text": 5,
                "author": "me",
                "tags": "music",
                "metrics": [1],
                "refs": ["a", {"kind": "odd"}],
            },
            {"_id": "x:3", "text": "\x1b[2Jhello", "received_at": datetime(2026, 1, 1, tzinfo=UTC), "refs": None},
        ]
    )
    client.close()
    watching = StoreViewer(mongodb_url, MongodbSettings())
    try:
        assert sorted(row.post.text for row in watching.snapshot(0).rows) == ["", "", "\x1b[2Jhello"]
    finally:
        watching.stop()


def test_nothing_can_be_steered_from_it(viewer):
    for call in (viewer.pause, viewer.resume, lambda: viewer.change_query("a", "b"), lambda: viewer.send("stop")):
        with pytest.raises(BieberTuiError, match="view of the store"):
            call()


def test_a_store_that_is_not_there_is_refused_in_words():
    with pytest.raises(StoreRefused, match=r"127\.0\.0\.1"):
        StoreViewer(f"mongodb://127.0.0.1:{free_port()}", MongodbSettings(timeout=0.5))
    with pytest.raises(ConfigError):
        StoreViewer("http://127.0.0.1", MongodbSettings())


def test_the_program_says_what_is_missing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli", "attach", "store", "--no-ui", "--set", "store="],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "store" in done.stderr
