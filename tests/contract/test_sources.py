"""What every source promises. A new source adds one line to CASES and passes this unchanged.

A case starts a server on loopback that sends the lines it is told to, then holds the line, as often as it is
asked; and makes a source that reads from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Undecodable
from core.health import SourceState
from core.post import Post
from core.pseudonyms import Pseudonyms
from core.settings import Settings, XSettings
from core.sources import SOURCES, create, decoder, people
from core.sources.base import Capabilities, Source
from tests.x_server import Running, ScriptedX, Tape, Wire, post, wait_for


@dataclass(frozen=True)
class Case:
    """How the suite drives one source."""

    lines: list[bytes]  # posts, as the source delivers them
    keywords: str
    serve: Callable[[list[bytes]], Any]  # a context manager: a server, as the settings that lead to it


@contextmanager
def serve_x(lines: list[bytes]) -> Iterator[Settings]:
    def script(wire: Wire) -> None:
        wire.chunked()
        for line in lines:
            wire.chunk(line + b"\r\n")
        wire.hold()

    server = ScriptedX()
    server.scripts += [script] * 10
    yield Settings(x=XSettings(base_url=server.url, bearer_token="t"))
    server.close()


CASES = {
    "x": Case([post(n) for n in range(1, 50)], "bieber", serve_x),
}


@pytest.fixture(params=sorted(CASES))
def name(request) -> str:
    return request.param


@pytest.fixture
def served(name) -> Iterator[Source]:
    case = CASES[name]
    with case.serve(case.lines) as where:
        yield create(name, where, case.keywords)


def test_every_source_of_the_registry_is_held_to_this_contract():
    assert set(CASES) == set(SOURCES)


def test_it_says_what_it_is(name, served):
    assert served.name == name
    assert isinstance(served.capabilities, Capabilities)


def test_each_line_is_handed_over_once_in_order_with_the_time_it_came(name, served):
    with Running(served, Tape()) as running:
        wait_for(lambda: len(running.tape.lines) >= len(CASES[name].lines))
    assert running.tape.lines == CASES[name].lines
    assert running.tape.times == sorted(running.tape.times)


def test_it_reports_connecting_then_live_then_stopped(name, served):
    with Running(served, Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
    states = [state for state, _, _ in running.tape.reports]
    assert states[0] is SourceState.CONNECTING
    assert SourceState.LIVE in states
    assert states[-1] is SourceState.STOPPED


def test_it_ends_at_once_when_it_is_told_to_and_twice_is_harmless(name, served):
    before = threading.active_count()
    with Running(served, Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
        served.stop()
        served.stop()
        assert running.stop() < 2
        assert running.error is None
    wait_for(lambda: threading.active_count() <= before + 2)  # what the server of the test holds


def test_it_runs_again_after_a_stop(name, served):
    for _ in range(2):
        with Running(served, Tape()) as running:
            wait_for(lambda: len(running.tape.lines) >= len(CASES[name].lines))
        assert running.error is None


def test_an_error_of_the_outlet_is_the_callers_and_ends_the_run(name, served):
    class Full(Exception):
        pass

    class Broken(Tape):
        def deliver(self, raw, received_at, *, backfilled=False):
            raise Full

    with Running(served, Broken()) as running:
        assert isinstance(running.ended(), Full)


def test_decoding_gives_posts_of_this_source_with_different_ids(name, served):
    posts = [served.decode(line) for line in CASES[name].lines]
    assert {p.source for p in posts} == {name}
    assert len({p.id for p in posts}) == len(posts)
    assert posts == [decoder(name)(line) for line in CASES[name].lines]


def test_people_get_other_names_and_the_post_stays_the_same(name):
    pseudonym = Pseudonyms("k" * 40)
    for line in CASES[name].lines:
        before, after = decoder(name)(line), decoder(name)(people(name).disguise(line, pseudonym))
        assert (after.source, after.id, after.created_at) == (before.source, before.id, before.created_at)
        assert after.author.id == (pseudonym("id", before.author.id) if before.author.id else "")


def test_a_line_goes_with_its_author_and_is_untouched_by_others(name):
    class Everybody:
        def author(self, id: str) -> bool:
            return True

        def post(self, id: str) -> bool:
            return True

    class Nobody:
        def author(self, id: str) -> bool:
            return False

        def post(self, id: str) -> bool:
            return False

    for line in CASES[name].lines:
        assert people(name).without(line, Everybody()) is None
        assert people(name).without(line, Nobody()) is line
        assert isinstance(people(name).accounts(line), list)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_decoding_raises_nothing_but_undecodable(name, data):
    raw = bytearray(data.draw(st.sampled_from(CASES[name].lines)))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] + data.draw(st.binary(max_size=5))
    try:
        assert isinstance(decoder(name)(bytes(raw)), Post)
    except Undecodable as reason:
        assert str(reason)
    people(name).disguise(bytes(raw), Pseudonyms("k" * 40))
