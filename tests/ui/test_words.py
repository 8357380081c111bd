"""The words of the screen: the same everywhere, exact, and a dash for what is not known."""

from __future__ import annotations

import pytest
from msgspec import structs
from msgspec.structs import replace

from core.health import Health, SourceState
from core.snapshot import SinkState
from tests.ui import scenes
from tests.ui.scenes import NOW
from tui import words
from tui.header import draw_header
from tui.pace import SLOWEST, Pace
from tui.side import draw_side, draw_status


def text(lines) -> str:
    return "\n".join("".join(part for part, _ in line) for line in lines)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"), (0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 m 00 s"),
        (245, "4 m 05 s"), (8047, "2 h 14 m"), (280_000, "3 d 5 h"), (-3, "0.0 s"),
    ],
)  # fmt: skip
def test_a_length_of_time(seconds, said):
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (Health("x", SourceState.LIVE), "● LIVE"),
        (Health("x", SourceState.QUIET, since=NOW - 40), "○ QUIET 40 s"),
        (Health("x", SourceState.STALLED, last_byte_at=NOW - 23), "▲ STALLED 23 s"),
        (Health("x", SourceState.WAITING, wait_until=NOW + 11.2, reason="X 503 Service Unavailable"),
         "▲ WAITING 12 s (X 503)"),
        (Health("x", SourceState.WAITING, wait_until=NOW - 1, reason="connection refused"),
         "▲ WAITING 0 s (connection refused)"),
        (Health("x", SourceState.PAUSED), "‖ PAUSED by you"),
        (Health("x", SourceState.BLOCKED, reason="disk full"), "■ BLOCKED: disk full"),
        (Health("x", SourceState.STOPPED, reason="token refused"), "■ STOPPED: token refused"),
        (Health("x", SourceState.CONNECTING), "◌ CONNECTING"),
        (Health("x", SourceState.STARTING), "◌ CONNECTING"),
    ],
)  # fmt: skip
def test_a_state_is_said_in_words_with_a_sign(health, said):
    found = words.connection(health, NOW)
    assert f"{found.sign} {found.words}" == said


def test_of_several_sources_the_one_in_trouble_is_spoken_of():
    waiting = Health("bluesky", SourceState.WAITING, wait_until=NOW + 5, reason="network")
    moment = replace(scenes.LIVE, health=(scenes.HEALTH, waiting))
    assert words.worst(moment) is waiting
    assert "WAITING 5 s" in text([draw_header(moment, 120)])
    side = text(draw_side(moment, 40, 40))
    assert "BLUESKY" in side
    assert "X  " in side


def test_the_header_keeps_the_state_and_cuts_the_query():
    long = replace(scenes.WAITING, keywords="a long query " * 20, topic="another " * 20)
    for width in (60, 80, 120):
        assert "WAITING 12 s (X 503)" in text([draw_header(long, width)])


def test_leaving_says_that_it_flushes():
    assert "FLUSHING" in text([draw_header(scenes.LIVE, 80, stopping=True)])


def test_a_store_that_is_down_says_how_far_behind_why_and_when_it_is_tried_again():
    side = text(draw_side(scenes.STORE_DOWN, 40, 40))
    assert "DOWN, 394 behind" in side
    assert "no server answers" in side
    assert "again in 8 s" in side
    status = text([draw_status(scenes.STORE_DOWN, 80)])
    assert status.startswith("  ▲ mongodb DOWN, 394 behind")


def test_without_a_store_the_journal_is_named():
    assert "journal only" in text(draw_side(scenes.EMPTY, 40, 40))
    assert "journal only" in text([draw_status(scenes.EMPTY, 80)])


@pytest.mark.parametrize(
    ("state", "behind", "said"),
    [
        (SinkState.OK, 0, "0 behind"), (SinkState.OK, 1200, "1,200 behind"), (SinkState.STARTING, 0, "connecting"),
        (SinkState.REFUSED, 3, "REFUSED, 3 behind"),
    ],
)  # fmt: skip
def test_a_store_in_words(state, behind, said):
    assert words.store(structs.replace(scenes.MONGODB, state=state, behind=behind)).words == said


def test_the_pace_halves_when_frames_come_late_and_comes_back():
    pace = Pace(10)
    for _ in range(3):
        pace.tick(1.0)
    assert pace.fps == 5
    for _ in range(30):
        pace.tick(9.0)
    assert pace.fps == SLOWEST
    for _ in range(200):
        pace.tick(pace.interval)
    assert pace.fps == 10


def test_a_pace_that_is_kept_never_changes():
    pace = Pace(10)
    assert not any(pace.tick(0.1) for _ in range(1000))
