"""What every source promises (core/sources/base.py), tried over real sockets against a server of each kind.

A new source adds its harness to HARNESSES and changes nothing else here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import SourceRefused, Undecodable
from core.health import SourceState
from core.post import Post
from core.pseudonyms import Pseudonyms
from core.secret import SecretStr
from core.settings import Settings, XSettings
from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.server import Simulator
from core.snapshot import Gap, Level
from core.sources import SOURCES, create, decoder, people
from core.sources.base import Capabilities, Missing, Source
from tests.conftest import wait_until
from tests.x_server import Tape

STOPS_WITHIN = 20.0  # seconds; a source promises one, which only a machine of its own could show


class Harness(Protocol):
    """A server that a source captures from. It has no posts of its own: only what a test sends."""

    good: list[bytes]  # lines that are posts, all different
    bad: list[bytes]  # lines that are none

    def source(self) -> Source:
        """A source that is set up for the server."""

    def send(self, line: bytes) -> None:
        """Put a line on the stream, now or as soon as there is one."""

    def refuse(self) -> str:
        """Refuse the next connection for good; a word that the user must read."""

    def fail(self) -> None:
        """Answer the next connection so that the source has to wait for seconds."""

    def hang(self) -> None:
        """Take the next connection and never answer it."""

    def filling(self, *, hang: bool = False) -> tuple[Source, Missing, set[str]] | None:
        """A source, a gap that it can fill, and the ids of the gap's posts; None when it fills no gaps.

        `hang`: the server takes the request and never answers it.
        """

    def close(self) -> None: ...


class XHarness:
    good = [  # noqa: RUF012 - a table
        *(b'{"data":{"id":"%d","text":"post %d"}}' % (number, number) for number in range(1, 50)),
        '{"data":{"id":"50","text":"a\u2028b 🎵 &amp; \\u0000"},"matching_rules":[{"id":1}]}'.encode(),
        b'{"data":{"id":"51","text":"beside"},"errors":[{"title":"Not Found Error"}]}',
        b'{ "data" : { "text" : "blanks" , "id" : 52 } }',
    ]
    bad = [b"no json", b"42", b"[]", b'{"hello":{}}', b'{"data":{"id":"1"}}', b"\xff\xfe", b'{"data":{"te']  # noqa: RUF012

    def __init__(self) -> None:
        self._simulator = Simulator(SimulatorOptions(posts=0, keep_alive=0.2))
        self._simulator.start()

    def source(self) -> Source:
        x = XSettings(base_url=self._simulator.url, bearer_token=SecretStr(BEARER_TOKEN))
        return create("x", Settings(x=x), "bieber")

    def send(self, line: bytes) -> None:
        self._simulator.push(line + b"\r\n")

    def refuse(self) -> str:
        self._simulator.schedule("c1:http-401")
        return "BEARER_TOKEN"

    def fail(self) -> None:
        self._simulator.schedule("c1:http-503*50")

    def hang(self) -> None:
        self._simulator.schedule("c1:no-answer*50")

    def filling(self, *, hang: bool = False) -> tuple[Source, Missing, set[str]]:
        self.close()
        self._simulator = Simulator(SimulatorOptions(rate=0, posts=250, payload="small"))
        self._simulator.start()
        x = XSettings(
            base_url=self._simulator.url, bearer_token=SecretStr(BEARER_TOKEN), backfill=True, backfill_overlap=0
        )
        source = create("x", Settings(x=x), "bieber")
        with Run(source, Tape()):
            wait_until(lambda: self._simulator.finished)
        ids = [sent.post for sent in self._simulator.sent if sent.kind == "post"]
        gap = Gap("x", time.time() - 9, time.time(), "cut", keywords="bieber", last_id=ids[0], first_id=ids[-1])
        if hang:
            self._simulator.schedule("search1:no-answer")
        return source, Missing(gap), set(ids[1:])

    def close(self) -> None:
        self._simulator.stop()


HARNESSES: dict[str, Callable[[], Harness]] = {"x": XHarness}


class Run:
    """`run` in a thread of its own, as a capture does it. Leaving ends it."""

    def __init__(self, source: Source, tape: Tape) -> None:
        self.source, self.tape = source, tape
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.source.run(self.tape)
        except BaseException as error:
            self.error = error

    def start(self) -> None:
        self._thread.start()

    def __enter__(self) -> Run:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self.error is None or isinstance(self.error, SourceRefused), self.error

    def stop(self) -> float:
        """Stop, once, and wait; seconds until `run` had returned."""
        started = time.monotonic()
        self.source.stop()
        self._thread.join(120)
        assert not self._thread.is_alive(), "run goes on after stop"
        return time.monotonic() - started

    def ended(self) -> None:
        """Wait until it has ended by itself."""
        self._thread.join(120)
        assert not self._thread.is_alive(), "run goes on"


class Pages:
    """The outlet of a fill: keeps what it is handed, and tells the fill to end after so many pages."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.pages: list[list[bytes]] = []
        self.places: list[str] = []
        self.words: list[str] = []

    def page(self, lines: Sequence[bytes], reached: str, first_id: str) -> bool:
        self.pages.append(list(lines))
        self.places.append(reached)
        return len(self.pages) < self.most

    def progress(self, words: str) -> None:
        self.words.append(words)

    def event(self, level: Level, text: str) -> None:
        self.words.append(text)


@pytest.fixture(params=sorted(HARNESSES))
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    made = HARNESSES[request.param]()
    yield made
    made.close()


def test_every_source_of_the_registry_is_held_to_this_contract():
    assert set(HARNESSES) == set(SOURCES)


def test_a_source_has_its_name_and_says_what_it_can(harness: Harness):
    source = harness.source()
    assert source.name in SOURCES
    assert isinstance(source.capabilities, Capabilities)
    if source.capabilities.live_query:
        assert callable(source.change_keywords)
    assert isinstance(source.capabilities.filters_upstream, bool)


def test_every_line_is_delivered_once_in_order_and_unparsed_with_its_time(harness: Harness):
    lines = [*harness.good, *harness.bad]
    before = time.time()
    with Run(harness.source(), Tape()) as run:
        wait_until(lambda: run.tape.said(SourceState.LIVE))
        for line in lines:
            harness.send(line)
        wait_until(lambda: len(run.tape.lines) >= len(lines))
        time.sleep(0.3)  # nothing follows
        assert run.tape.lines == lines
        assert run.tape.touched
        assert run.tape.times == sorted(run.tape.times)
        assert before <= run.tape.times[0] <= run.tape.times[-1] <= time.time()


def test_the_same_line_twice_is_delivered_twice(harness: Harness):
    with Run(harness.source(), Tape()) as run:
        for _ in range(3):
            harness.send(harness.good[0])
        wait_until(lambda: len(run.tape.lines) >= 3)
        assert run.tape.lines == [harness.good[0]] * 3


def test_a_failing_decode_never_reaches_the_source(harness: Harness, monkeypatch: pytest.MonkeyPatch):
    source = harness.source()

    def broken(raw: bytes) -> Post:
        raise AssertionError("decode is none of the reader's business")

    monkeypatch.setattr(source, "decode", broken, raising=True)
    with Run(source, Tape()) as run:
        for line in (*harness.bad, harness.good[0]):
            harness.send(line)
        wait_until(lambda: len(run.tape.lines) > len(harness.bad))
        assert sum(state is SourceState.CONNECTING for state, _, _ in run.tape.reports) == 1


def test_it_says_that_it_connects_and_lives_and_was_stopped(harness: Harness):
    with Run(harness.source(), Tape()) as run:
        wait_until(lambda: run.tape.said(SourceState.LIVE))
    states = [state for state, _, _ in run.tape.reports]
    assert states[:2] == [SourceState.CONNECTING, SourceState.LIVE]
    assert states[-1] is SourceState.STOPPED
    assert run.tape.reports[-1][1]


@pytest.mark.parametrize("moment", ["reading", "backing off", "connecting"])
def test_stop_ends_run_at_once_while(harness: Harness, moment: str):
    until = {"reading": SourceState.LIVE, "backing off": SourceState.WAITING, "connecting": SourceState.CONNECTING}
    if moment == "backing off":
        harness.fail()
    if moment == "connecting":
        harness.hang()
    with Run(harness.source(), Tape()) as run:
        wait_until(lambda: run.tape.said(until[moment]))
        time.sleep(0.2)  # well within it
        assert run.stop() < STOPS_WITHIN
        assert run.error is None
        assert run.tape.reports[-1][0] is SourceState.STOPPED


def test_a_wait_says_why_and_until_when(harness: Harness):
    harness.fail()
    with Run(harness.source(), Tape()) as run:
        wait_until(lambda: run.tape.said(SourceState.WAITING))
        _, reason, until = next(report for report in run.tape.reports if report[0] is SourceState.WAITING)
        assert reason
        assert until is not None
        assert time.time() - 5 < until < time.time() + 3600


def test_stop_is_harmless_before_a_run_and_twice(harness: Harness):
    source = harness.source()
    source.stop()
    source.stop()
    with Run(source, Tape()) as run:
        wait_until(lambda: run.tape.said(SourceState.LIVE))
        run.stop()
        source.stop()
    assert run.error is None


def test_an_error_of_the_outlet_is_the_callers_and_ends_the_run(harness: Harness):
    class Broken(Tape):
        def deliver(self, lines: Sequence[bytes], received_at: float, *, backfilled: bool = False) -> None:
            raise ConnectionError("the store is down, which is none of the source's business")

    run = Run(harness.source(), Broken())
    harness.send(harness.good[0])
    run.start()
    run.ended()
    assert isinstance(run.error, ConnectionError)
    assert sum(state is SourceState.CONNECTING for state, _, _ in run.tape.reports) == 1


def test_it_leaves_no_thread_behind(harness: Harness):
    before = set(threading.enumerate())
    with Run(harness.source(), Tape()) as run:
        wait_until(lambda: run.tape.said(SourceState.LIVE))
    assert set(threading.enumerate()) <= before


def test_it_runs_again_after_a_stop_and_nothing_is_delivered_twice(harness: Harness):
    source = harness.source()
    for line in harness.good[:3]:
        with Run(source, Tape()) as run:
            wait_until(lambda run=run: run.tape.said(SourceState.LIVE))
            harness.send(line)
            wait_until(lambda run=run: bool(run.tape.lines))
        assert run.tape.lines == [line]


def test_a_refusal_has_words_and_a_hint_and_ends_the_run(harness: Harness):
    word = harness.refuse()
    with Run(harness.source(), Tape()) as run:
        run.ended()
        assert isinstance(run.error, SourceRefused)
        assert len(run.error.message) > 10
        assert word in run.error.hint
        assert run.error.exit_code == 3
        state, reason, _ = run.tape.reports[-1]
        assert (state, reason) == (SourceState.STOPPED, run.error.message)


def test_after_a_refusal_that_was_mended_it_runs_again(harness: Harness):
    harness.refuse()
    source = harness.source()
    with Run(source, Tape()) as run:
        run.ended()
    with Run(source, Tape()) as run:
        wait_until(lambda: run.tape.said(SourceState.LIVE))


def test_a_fill_hands_over_every_post_of_the_gap_once_and_says_what_it_costs(harness: Harness):
    made = harness.filling()
    if made is None:
        pytest.skip("this source fills no gaps")
    source, missing, ids = made
    assert source.capabilities.fill
    outlet = Pages()
    assert source.fill(missing, outlet).filled == "yes"
    found = [source.decode(line).id for page in outlet.pages for line in page]
    assert sorted(found) == sorted(ids)
    assert any("$" in words for words in outlet.words)


def test_a_fill_that_was_ended_goes_on_from_the_place_that_it_named(harness: Harness):
    made = harness.filling()
    if made is None:
        pytest.skip("this source fills no gaps")
    source, missing, ids = made
    first = Pages(most=1)
    assert source.fill(missing, first).retry
    assert len(first.pages) == 1
    rest = Pages()
    gap = replace(missing.gap, reached=first.places[0], fetched=len(first.pages[0]), filled="partly")
    assert source.fill(replace(missing, gap=gap), rest).filled == "yes"
    found = [source.decode(line).id for page in first.pages + rest.pages for line in page]
    assert sorted(found) == sorted(ids)


def test_stop_ends_a_fill_at_once_and_it_can_be_begun_again(harness: Harness):
    made = harness.filling(hang=True)
    if made is None:
        pytest.skip("this source fills no gaps")
    source, missing, ids = made
    outlet = Pages()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(source.fill, missing, outlet)
        wait_until(lambda: bool(outlet.words))
        time.sleep(0.5)  # well within it
        started = time.monotonic()
        source.stop()
        assert result.result(20).retry
        assert time.monotonic() - started < STOPS_WITHIN
    assert source.fill(missing, outlet).filled == "yes"
    assert len({source.decode(line).id for page in outlet.pages for line in page}) == len(ids)


def test_probe_says_what_is_well_and_delivers_nothing(harness: Harness):
    said = harness.source().probe()
    assert said
    assert all(isinstance(line, str) and line for line in said)


def test_new_keywords_are_taken_while_it_runs(harness: Harness):
    source = harness.source()
    if not source.capabilities.live_query:
        pytest.skip("this source takes new keywords only with a new connection")
    with Run(source, Tape()) as run:
        wait_until(lambda: run.tape.said(SourceState.LIVE))
        source.change_keywords("selena")
        harness.send(harness.good[0])
        wait_until(lambda: bool(run.tape.lines))
        assert sum(state is SourceState.CONNECTING for state, _, _ in run.tape.reports) == 1


def test_good_lines_are_posts_of_this_source_from_any_thread_and_always_the_same(harness: Harness):
    source = harness.source()
    once = [source.decode(raw) for raw in harness.good]
    assert len({post.id for post in once}) == len(once)
    for post in once:
        assert post.source == source.name
        assert post.id
        assert post.text
        msgspec.json.encode(post)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(source.decode, harness.good * 8)) == once * 8
    assert [decoder(source.name)(raw) for raw in harness.good] == once


def test_bad_lines_are_undecodable_with_words(harness: Harness):
    source = harness.source()
    for raw in harness.bad:
        with pytest.raises(Undecodable) as caught:
            source.decode(raw)
        assert str(caught.value)


class Chosen:
    """Everybody, or nobody, is to be forgotten."""

    def __init__(self, everybody: bool) -> None:
        self._everybody = everybody

    def author(self, id: str) -> bool:
        return self._everybody

    def post(self, id: str) -> bool:
        return self._everybody


def test_people_get_other_names_and_the_post_stays_the_same(harness: Harness):
    source = harness.source()
    pseudonym = Pseudonyms("k" * 40)
    for raw in harness.good:
        before, after = source.decode(raw), source.decode(people(source.name).disguise(raw, pseudonym))
        assert (after.source, after.id, after.created_at) == (before.source, before.id, before.created_at)
        assert after.author.id == (pseudonym("id", before.author.id) if before.author.id else "")


def test_a_line_goes_with_its_author_and_is_untouched_by_others(harness: Harness):
    parts = people(harness.source().name)
    for raw in harness.good:
        assert parts.without(raw, Chosen(everybody=True)) is None
        assert parts.without(raw, Chosen(everybody=False)) is raw
        assert isinstance(parts.accounts(raw), list)


@pytest.mark.parametrize("name", sorted(SOURCES))
@settings(deadline=None)
@given(
    raw=st.binary(max_size=100)
    | st.sampled_from(XHarness.good).flatmap(lambda raw: st.integers(0, len(raw)).map(lambda end: raw[:end]))
)
def test_no_bytes_make_decode_raise_anything_but_undecodable(name: str, raw: bytes):
    try:
        post = decoder(name)(raw)
    except Undecodable as error:
        assert str(error)
    else:
        assert (post, post.source) == (decoder(name)(raw), name)
    assert isinstance(people(name).disguise(raw, Pseudonyms("k" * 40)), bytes)
