"""With --backfill a gap is filled from X's recent search: nothing that search has stays missing, nothing is invented.

The oracle is what the simulator says that it wrote: posts that it sent, cut off or lost.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.capture import Capture
from core.secret import SecretStr
from core.settings import Settings, XSettings
from core.simulator.options import SimulatorOptions
from core.simulator.posts import snowflake
from core.simulator.server import Simulator
from core.snapshot import Gap
from tests.conftest import wait_until
from tests.integration.test_main_job import Program

SEARCH = "/2/tweets/search/recent"
COUNTS = "/2/tweets/counts/recent"
WRITTEN = ("post", "edit", "lost")


def options(*faults: str, **more) -> SimulatorOptions:
    """A world that goes on while nobody is connected, at the machine's own time."""
    usual = {"rate": 100.0, "payload": "small", "match": 0.5, "hold_while_disconnected": False}
    return SimulatorOptions(**{**usual, "faults": faults, **more})


@contextmanager
def capture(sim: Simulator, folder: Path, **x) -> Iterator[Capture]:
    usual = {"backfill": True, "backfill_wait": 0.6, "backfill_overlap": 0.2}
    running = Capture.open(
        Settings(
            data_dir=folder,
            x=XSettings(base_url=sim.url, bearer_token=SecretStr(sim.options.tokens[0]), **{**usual, **x}),
        )
    )
    running.start()
    try:
        yield running
    finally:
        running.stop()
    for counters in (running.snapshot().run, running.snapshot().life):
        assert counters.imbalance() == ""


def gaps(running: Capture) -> tuple[Gap, ...]:
    return running.snapshot().gaps


def filled(running: Capture, *states: str) -> Callable[[], bool]:
    """Whether the gaps are filled like that, and no fill goes on."""

    def so() -> bool:
        moment = running.snapshot()
        done = moment.filling is None and not any("come to its end" in gap.why for gap in moment.gaps)
        return done and tuple(gap.filled for gap in moment.gaps) == states

    return so


def told(running: Capture, words: str) -> bool:
    return any(words in event.text for event in running.snapshot().events)


def written(sim: Simulator, *kinds: str) -> set[str]:
    """Every post about the topic that was written since the first connection."""
    sent = itertools.dropwhile(lambda sent: sent.kind == "lost", sim.sent)
    return {one.post for one in sent if one.kind in (kinds or WRITTEN) and one.matches_topic}


def stored(folder: Path) -> dict[str, bool]:
    """The ids in the journal, and whether each was fetched by a fill."""
    with sqlite3.connect(folder / "journal.sqlite") as db:
        return {id: bool(backfilled) for id, backfilled in db.execute("SELECT id, backfilled FROM posts")}


def searches(sim: Simulator):
    """What was bought: pages of search, without the look whether it knows the last post."""
    return [request for request in sim.requests if request.path == SEARCH and request.query["max_results"] != "10"]


def bought(sim: Simulator) -> list[str]:
    return [post for request in searches(sim) for post in request.posts]


def complete(sim: Simulator, folder: Path) -> None:
    """Every post that was written before the capture was told to stop is there, and no other."""
    have, all_ = set(stored(folder)), written(sim)
    assert have <= all_, "a post was invented"
    last = max(int(id) for id in have)
    assert {id for id in all_ if int(id) <= last} == have


def test_what_was_lost_is_fetched_marked_and_counted(tmp_path):
    with Simulator(options("100:gap=250")) as sim, capture(sim, tmp_path) as running:
        wait_until(filled(running, "yes"))
        wait_until(lambda: running.snapshot().run.consumed > 500)
        gap = gaps(running)[0]
        running.stop()
        complete(sim, tmp_path)
        posts = bought(sim)
        lost = written(sim, "lost")
        sent = [one for one in sim.sent if one.kind in ("post", "edit") and one.whole]
    have = stored(tmp_path)
    assert {id for id, backfilled in have.items() if backfilled} == lost <= set(posts)
    assert gap.fetched == len(posts) == len(set(posts))
    assert len(posts) < 400  # 250 were lost; the overlap is small
    assert told(running, f"about {len(posts):,} posts, ${len(posts) * 0.005:.2f} at half a cent each")
    run = running.snapshot().run
    assert run.delivered == run.consumed  # every fetched post was one
    assert run.consumed - len(posts) <= len(sent)  # what was fetched counts, once more where it had come already
    assert run.unique == len(have)
    assert run.duplicate == len({post for post in posts if post in have and not have[post]})
    report = running.report()["gaps"]
    assert [(item["filled"], item["fetched"]) for item in report] == [("yes", len(posts))]


def test_without_the_flag_nothing_is_asked_of_search(tmp_path):
    with Simulator(options("50:gap=20")) as sim, capture(sim, tmp_path, backfill=False) as running:
        wait_until(lambda: len(gaps(running)) == 1 and gaps(running)[0].first_id != "")
        time.sleep(0.8)
        assert [request for request in sim.requests if request.path in (SEARCH, COUNTS)] == []
        assert gaps(running)[0].filled == "no"


def test_search_that_lags_is_waited_for(tmp_path):
    """The newest posts of the gap are not found at first: the fill begins when search knows the post after it."""
    with Simulator(options("100:gap=30", search_lag=1.5)) as sim, capture(sim, tmp_path) as running:
        wait_until(filled(running, "yes"))
        wait_until(lambda: running.snapshot().run.consumed > 300)
        running.stop()
        complete(sim, tmp_path)
        looks = [request for request in sim.requests if request.query.get("max_results") == "10"]
    assert [len(request.posts) for request in looks][-1] == 1
    assert looks[0].posts == ()  # it had to be waited for


def test_search_that_never_knows_the_post_after_the_gap_is_tried_again_later(tmp_path):
    with (
        Simulator(options("100:gap=30", search_lag=1000)) as sim,
        capture(sim, tmp_path, backfill_wait=0.2) as running,
    ):
        wait_until(lambda: any("did not know" in gap.why for gap in gaps(running)))
        assert gaps(running)[0].filled == "no"
        assert searches(sim) == []


def test_an_old_post_right_after_the_reconnect_does_not_end_the_span(tmp_path):
    with Simulator(options("100:gap=100")) as sim, capture(sim, tmp_path) as running:
        wait_until(lambda: any(sent.kind == "post" for sent in sim.sent))
        old = next(sent.raw for sent in sim.sent if sent.kind == "post")
        wait_until(lambda: any(sent.kind == "lost" for sent in sim.sent))
        for _ in range(3):
            sim.push(old)
        wait_until(filled(running, "yes"))
        wait_until(lambda: running.snapshot().run.consumed > 300)
        running.stop()
        complete(sim, tmp_path)


def test_two_gaps_in_quick_succession_are_filled_and_paid_once(tmp_path):
    faults = ("100:gap=150", "103:gap=150")
    with Simulator(options(*faults)) as sim, capture(sim, tmp_path, backfill_wait=3.0) as running:
        wait_until(filled(running, "yes", "yes"))
        wait_until(lambda: running.snapshot().run.consumed > 500)
        running.stop()
        complete(sim, tmp_path)
        posts = bought(sim)
    assert len(posts) == len(set(posts))


def test_a_gap_without_a_post_after_it_is_filled_too(tmp_path):
    """After the gap the stream is silent: there is no post that could end the span."""
    with Simulator(options("100:gap=80", posts=180)) as sim, capture(sim, tmp_path) as running:
        wait_until(filled(running, "yes"))
        running.stop()
        assert set(stored(tmp_path)) == written(sim)


def test_a_pause_is_not_filled_unless_that_is_asked_for(tmp_path):
    with Simulator(options()) as sim:
        with capture(sim, tmp_path) as running:
            wait_until(lambda: running.snapshot().run.consumed > 50)
            running.pause()
            time.sleep(0.7)
            running.resume()
            wait_until(lambda: any(gap.why for gap in gaps(running)))
            gap = gaps(running)[0]
            assert (gap.reason, gap.filled, gap.fetched) == ("paused by you", "no", 0)
            assert "paused by you: not bought" in gap.why
            assert [request for request in sim.requests if request.path in (SEARCH, COUNTS)] == []
        with capture(sim, tmp_path, backfill_pauses=True) as running:
            wait_until(filled(running, "yes", "yes"))
            running.stop()
            complete(sim, tmp_path)


def test_a_cut_just_before_a_pause_does_not_buy_the_pause(tmp_path):
    with Simulator(options("60:refuse=1.2")) as sim, capture(sim, tmp_path) as running:
        wait_until(lambda: bool(gaps(running)))
        running.pause()
        paused_at = time.time()
        time.sleep(1.5)
        running.resume()
        wait_until(lambda: len(gaps(running)) == 2 and gaps(running)[1].end is not None)
        wait_until(filled(running, "yes", "no"))
        assert [gap.chosen for gap in gaps(running)] == [False, True]
        posts = bought(sim)
        assert posts
        assert max(int(post) for post in posts) <= snowflake(paused_at + 0.2, 4095)


def test_the_bound_for_a_gap_is_kept_and_a_higher_one_goes_on_from_there(tmp_path):
    with Simulator(options("100:refuse=1.5", rate=250.0)) as sim:
        with capture(sim, tmp_path, backfill_max_posts=150) as running:
            wait_until(filled(running, "partly"))
            gap = gaps(running)[0]
            assert gap.fetched == 150
            assert "backfill_max_posts" in gap.why
            assert told(running, "at most 150 are fetched, for $0.75")
        with capture(sim, tmp_path) as running:
            wait_until(filled(running, "yes", "yes"))
            running.stop()
            complete(sim, tmp_path)
    assert gaps(running)[0].fetched > 300
    first = [post for post in bought(sim) if int(post) <= int(gap.first_id)]
    assert len(first) == len(set(first))  # nothing was bought twice


def test_the_bound_for_a_day_holds_for_all_gaps(tmp_path):
    with (
        Simulator(options("100:gap=60", "300:gap=60")) as sim,
        capture(sim, tmp_path, backfill_max_posts_per_day=100) as running,
    ):
        wait_until(filled(running, "yes", "partly"))
        assert "backfill_max_posts_per_day" in gaps(running)[1].why
        assert sum(gap.fetched for gap in gaps(running)) <= 100
        assert sum(len(request.posts) for request in searches(sim)) <= 100


def test_429_makes_the_fill_wait_and_not_the_stream(tmp_path):
    with Simulator(options("100:gap=120", "search2:http-429=2")) as sim, capture(sim, tmp_path) as running:
        wait_until(lambda: bool((f := running.snapshot().filling) and "429" in f.words))
        before = running.snapshot()
        wait_until(lambda: running.snapshot().run.consumed > before.run.consumed + 30)
        wait_until(filled(running, "yes"))
        assert running.snapshot().health[0].reconnects == 1
        running.stop()
        complete(sim, tmp_path)


@pytest.mark.parametrize("fault", ["http-503", "handshake-cut"])
def test_a_failure_of_search_is_tried_again(tmp_path, fault):
    with Simulator(options("100:gap=60", f"search1:{fault}")) as sim, capture(sim, tmp_path) as running:
        wait_until(filled(running, "yes"))
        running.stop()
        complete(sim, tmp_path)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("http-403-not-enrolled", "project"),
        ("http-402", "credits"),
        ("http-429-usage", "cap"),
        ("http-401", "token"),
    ],
)
def test_a_refusal_of_search_is_told_and_ends_no_capture(tmp_path, fault, words):
    with Simulator(options("100:gap=60", f"search1:{fault}*50")) as sim, capture(sim, tmp_path) as running:
        wait_until(lambda: bool(gaps(running)) and bool(gaps(running)[0].why))
        assert words in gaps(running)[0].why.lower()
        assert gaps(running)[0].filled == "no"
        before = running.snapshot().run.consumed
        wait_until(lambda: running.snapshot().run.consumed > before + 20)


def test_counts_that_x_does_not_give_leave_the_bound_to_be_told(tmp_path):
    with (
        Simulator(options("100:gap=60", "counts1:http-403-not-enrolled")) as sim,
        capture(sim, tmp_path) as running,
    ):
        wait_until(filled(running, "yes"))
        assert told(running, "at most 5,000 are fetched, for $25.00")


def test_keywords_that_search_does_not_take_are_told(tmp_path):
    with Simulator(options("100:gap=60")) as sim:
        running = Capture.open(
            Settings(
                data_dir=tmp_path,
                keywords='"justin bieber" sample:50',
                x=XSettings(
                    base_url=sim.url,
                    bearer_token=SecretStr(sim.options.tokens[0]),
                    backfill=True,
                    backfill_wait=0.6,
                    backfill_overlap=0.2,
                ),
            )
        )
        running.start()
        wait_until(lambda: bool(gaps(running)) and bool(gaps(running)[0].why))
        gap = gaps(running)[0]
        running.stop()
    assert gap.filled == "no"
    assert "sample" in gap.why


def test_a_gap_is_filled_with_the_keywords_that_were_in_force(tmp_path):
    with Simulator(options("60:refuse=2")) as sim, capture(sim, tmp_path) as running:
        wait_until(lambda: bool(gaps(running)))
        running.stop()
        with capture(sim, tmp_path) as again:
            wait_until(lambda: again.snapshot().run.consumed > 0 and gaps(again)[-1].end is not None)
            again.change_query('"taylor swift"', "music OR #music")
            wait_until(lambda: all(gap.filled == "yes" for gap in gaps(again)))
        asked = {request.query["query"] for request in searches(sim)}
    assert asked == {'"justin bieber"'}


def age(folder: Path, days: float) -> None:
    """Let the last run of a data folder have ended so many days ago."""
    moment = time.time() - days * 86400
    with sqlite3.connect(folder / "journal.sqlite") as db:
        db.execute(
            "UPDATE sessions SET last_byte_at = ?, ended_at = ?, last_id = ?",
            (moment, moment, str(snowflake(moment, 0))),
        )


def test_a_gap_that_began_before_what_search_has_is_filled_as_far_as_it_goes(tmp_path):
    with Simulator(options()) as sim:
        with capture(sim, tmp_path) as running:
            wait_until(lambda: running.snapshot().run.consumed > 20)
        age(tmp_path, 8)
        with capture(sim, tmp_path) as running:
            wait_until(filled(running, "partly"))
            gap = gaps(running)[0]
            running.stop()
        have = set(stored(tmp_path))
        assert {post for post in written(sim) if int(post) <= max(map(int, have))} <= have
        refused = [request for request in sim.requests if request.status == 400]
    assert "seven days" in gap.why
    assert gap.fetched > 0
    assert refused


def test_a_gap_that_ended_before_what_search_has_is_told_and_costs_nothing(tmp_path):
    with Simulator(options("20:gap=10")) as sim:
        with capture(sim, tmp_path, backfill=False) as running:
            wait_until(lambda: bool(gaps(running)) and gaps(running)[0].end is not None)
        with sqlite3.connect(tmp_path / "journal.sqlite") as db:
            db.execute('UPDATE gaps SET start = start - 864000, "end" = "end" - 864000')
        with capture(sim, tmp_path, backfill_wait=30) as running:
            wait_until(lambda: bool(gaps(running)[0].why))
            assert (gaps(running)[0].filled, gaps(running)[0].fetched) == ("no", 0)
        assert searches(sim) == []


def test_a_pause_ends_a_fill_and_it_goes_on_afterwards(tmp_path):
    with Simulator(options("100:gap=300", "search3:http-429=3")) as sim, capture(sim, tmp_path) as running:
        wait_until(lambda: bool((f := running.snapshot().filling) and "429" in f.words))
        began = time.monotonic()
        running.pause()
        assert time.monotonic() - began < 60  # a second is promised; machines are shared
        assert running.snapshot().filling is None
        asked = len(sim.requests)
        time.sleep(0.5)
        assert len(sim.requests) == asked
        running.resume()
        wait_until(lambda: gaps(running)[0].filled == "yes")
        posts = bought(sim)
    first = [post for post in posts if int(post) <= int(gaps(running)[0].first_id)]
    assert len(first) == len(set(first))


def test_a_stop_in_mid_fill_is_soon_and_leaves_no_thread(tmp_path):
    threads = threading.active_count()
    with Simulator(options("100:gap=300", "search3:http-429=60")) as sim:
        with capture(sim, tmp_path) as running:
            wait_until(lambda: bool((f := running.snapshot().filling) and "429" in f.words))
            began = time.monotonic()
            running.stop()
            assert time.monotonic() - began < 50  # two seconds are promised; machines are shared
        assert gaps(running)[0].filled == "partly"
    wait_until(lambda: threading.active_count() <= threads)


FLAGS = ("--backfill", "--set", "x.backfill_wait=0.6", "--set", "x.backfill_overlap=0.2")


def in_journal(folder: Path, sql: str) -> list[tuple]:
    try:
        with sqlite3.connect(folder / "journal.sqlite") as db:
            return db.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []


def test_what_a_kill_lost_is_fetched_after_the_restart(tmp_path):
    data = tmp_path / "data"
    with Simulator(options(connect_budget=1000)) as sim:
        program = Program(sim, data)
        wait_until(lambda: len(written(sim)) > 50)
        program.kill()
        time.sleep(1.0)
        program = Program(sim, data, *FLAGS)
        wait_until(lambda: in_journal(data, "SELECT filled FROM gaps") == [("yes",)])
        code, report = program.stop()
        complete(sim, data)
    assert code == 0
    assert report["gaps"][0]["reason"] == "crashed or was killed"
    assert report["gaps"][0]["filled"] == "yes"
    assert any(stored(data).values())


def test_a_kill_in_mid_fill_goes_on_from_the_last_durable_page(tmp_path):
    data = tmp_path / "data"
    faults = ("100:refuse=2", "search4:http-429=20")
    with Simulator(options(*faults, rate=300.0, connect_budget=1000)) as sim:
        program = Program(sim, data, *FLAGS)
        wait_until(lambda: in_journal(data, "SELECT fetched FROM gaps WHERE fetched > 100") != [])
        program.kill()
        paid = sum(len(request.posts) for request in searches(sim))
        noted = in_journal(data, "SELECT fetched FROM gaps WHERE gap = 1")[0][0]
        assert paid - noted <= 100
        program = Program(sim, data, *FLAGS)
        wait_until(lambda: set(in_journal(data, "SELECT filled FROM gaps")) == {("yes",)})
        code, report = program.stop()
        complete(sim, data)
        posts = bought(sim)
    assert code == 0
    assert [gap["reason"] for gap in report["gaps"]][1:] == ["crashed or was killed"]
    assert len(posts) - len(set(posts)) <= 100 + 2 * 0.2 * 300  # a page, and the overlaps
