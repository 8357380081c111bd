"""A fill takes no room from the stream, and asks for no other page before the last one is durable."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.clock import SystemClock
from core.connection import Line
from core.events import EventLog
from core.fill import ROOMY, Filler
from core.journal import Journal, PageMark
from core.lines import LineQueue
from core.secret import SecretStr
from core.settings import Settings, XSettings
from core.snapshot import Gap
from core.sources import create
from tests.conftest import wait_until

GAP = Gap("x", 10.0, 12.0, "cut", number=7)


@pytest.fixture
def queue():
    return LineQueue()


@pytest.fixture
def filler(tmp_path, queue):
    source = create(
        "x", Settings(data_dir=tmp_path, x=XSettings(bearer_token=SecretStr("t"), backfill=True)), "bieber"
    )
    clock = SystemClock()
    with Journal(tmp_path) as journal:
        yield Filler(source, journal, queue, EventLog(clock), clock, lambda: None)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def missing(filler, *gaps):
    """What the filler would do now about these gaps, the oldest first."""
    reader = filler._journal.reader()
    try:
        return filler._next(list(gaps), reader)
    finally:
        reader.close()


def gap(number, start, end, **more):
    return Gap("x", start, end, "cut", number=number, **{"keywords": "bieber", "first_id": "9", **more})


def test_the_oldest_gap_that_is_not_filled_is_next(filler):
    gaps = [gap(1, 1, 2, filled="yes"), gap(2, 3, 4, keywords=""), gap(3, 5, 6), gap(4, 7, 8, filled="partly")]
    assert missing(filler, *gaps).gap.number == 3
    assert missing(filler, gaps[0], gaps[1]) is None


def test_a_gap_is_left_until_it_can_be_filled(filler):
    now = time.time()
    assert missing(filler, gap(1, now - 60, None)) is None
    assert missing(filler, gap(1, now - 60, now - 1)) is None  # search cannot know its posts yet
    assert missing(filler, gap(1, now - 60, now - 50)).gap.number == 1


def test_a_gap_without_a_bound_waits_while_the_connection_is_down_again(filler):
    now = time.time()
    unbounded = gap(1, now - 100, now - 90, first_id="")
    assert missing(filler, unbounded, gap(2, now - 80, None, first_id="")) is None
    assert missing(filler, unbounded).gap.number == 1
    pause = gap(2, now - 80, None, first_id="", chosen=True)
    assert missing(filler, unbounded, pause).until == now - 80  # what comes behind it is no bound


def test_gaps_of_another_kind_are_bounds_and_filled_ones_with_the_same_keywords_are_covered(filler):
    gaps = [gap(1, 1, 2, filled="yes", first_id="50"), gap(2, 3, 4, filled="yes", keywords="swift", first_id="70")]
    found = missing(filler, *gaps, gap(3, 5, 6, first_id="90"))
    assert (found.covered, found.since, found.until) == ("50", 4, None)


def test_a_page_waits_while_lines_of_the_stream_wait(filler, queue, pool):
    for number in range(ROOMY + 1):
        queue.put(Line(b"live", number, False))
    done = pool.submit(filler.hand_over, GAP, [b"one", b"two"], "5", "9")
    time.sleep(0.3)
    assert len(queue) == ROOMY + 1
    queue.take(ROOMY + 1, 0, 0)
    wait_until(lambda: len(queue) == 3)
    lines = queue.take(10, 0, 0)
    assert [line.raw for line in lines[:2]] == [b"one", b"two"]
    assert all(line.backfilled for line in lines[:2])
    assert (lines[2].gap, lines[2].posts, lines[2].reached, lines[2].first_id) == (7, 2, "5", "9")
    assert isinstance(lines[2], PageMark)
    time.sleep(0.2)
    assert not done.done()  # it is not durable yet
    filler.page_is_durable()
    assert done.result(20) is True


@pytest.mark.parametrize("durable", [True, False])
def test_a_pause_ends_it_whether_the_page_becomes_durable_or_not(filler, queue, pool, durable):
    done = pool.submit(filler.hand_over, GAP, [b"one"], "5", "9")
    wait_until(lambda: len(queue) == 2)
    filler.hold()
    if durable:
        filler.page_is_durable()
    assert done.result(20) is False


def test_a_pause_ends_the_wait_for_room(filler, queue, pool):
    for number in range(ROOMY + 1):
        queue.put(Line(b"live", number, False))
    done = pool.submit(filler.hand_over, GAP, [b"one"], "5", "9")
    filler.hold()
    assert done.result(20) is False
    assert len(queue) == ROOMY + 1
