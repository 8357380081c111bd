"""Health as pure drawing: every state is seen and said, trouble is loud and says what to do, well is quiet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from core.health import Health, SourceState, Stretch
from core.snapshot import Gap, JournalStatus, Series, SinkState
from tests.ui import scenes
from tests.ui.scenes import LIVE, NOW
from tui.dialogs.gaps import draw_gaps
from tui.dialogs.health import draw_health
from tui.header import draw_header
from tui.ink import line_width
from tui.keymap import resolve
from tui.plain import TABLE
from tui.side import draw_side, draw_status, in_trouble
from tui.timeline import SIGNS, Kind, draw_timeline, timeline
from tui.words import headline

KEYS = resolve()


def text(lines):
    return "\n".join("".join(part for part, _ in line) for line in lines)


def strip(past, cells=60, seconds=3600.0, **more):
    health = replace(scenes.HEALTH, past=past, state=past[-1].state if past else SourceState.LIVE)
    moment = replace(LIVE, health=(health,), **{"gaps": (), **more})
    return timeline(moment, health, cells, seconds)


@pytest.mark.parametrize(
    ("state", "slowed", "kind"),
    [
        (SourceState.LIVE, False, Kind.LIVE),
        (SourceState.QUIET, False, Kind.QUIET),
        (SourceState.LIVE, True, Kind.SLOWED),
        (SourceState.PAUSED, False, Kind.PAUSED),
        (SourceState.STALLED, False, Kind.STALLED),
        (SourceState.WAITING, True, Kind.WAITING),
        (SourceState.CONNECTING, False, Kind.GAP),
        (SourceState.BLOCKED, False, Kind.STOPPED),
        (SourceState.STOPPED, False, Kind.STOPPED),
    ],
)
def test_every_state_stands_in_the_strip_for_as_long_as_it_lasted(state, slowed, kind):
    past = (
        Stretch(NOW - 3000, SourceState.LIVE),
        Stretch(NOW - 2400, state, slowed),
        Stretch(NOW - 1800, SourceState.LIVE),
    )
    kinds = strip(past)
    assert set(kinds[20:30]) == {kind}
    assert set(kinds[31:]) == {Kind.LIVE}


def test_what_lasted_a_moment_is_seen_and_the_worst_is_shown():
    past = (
        Stretch(NOW - 3000, SourceState.LIVE),
        Stretch(NOW - 610, SourceState.QUIET),
        Stretch(NOW - 609.9, SourceState.CONNECTING),
        Stretch(NOW - 609.8, SourceState.LIVE),
    )
    assert strip(past).count(Kind.GAP) == 1


def test_no_two_kinds_look_alike_and_none_is_told_by_colour_alone():
    signs = [sign.char for sign in SIGNS.values()]
    assert len(set(signs)) == len({sign.translate(TABLE) for sign in signs}) == len(Kind)


def test_earlier_runs_are_in_the_strip_by_what_was_counted_and_by_their_gaps():
    minutes = Series(60.0, NOW - 3600, (5,) * 30 + (0,) * 30, (0,) * 60)
    gaps = (
        Gap("x", NOW - 1800, NOW - 600, "the capture was not running"),
        Gap("x", NOW - 3000, NOW - 2700, "paused by you", chosen=True),
    )
    kinds = strip(
        (Stretch(NOW - 600, SourceState.STARTING), Stretch(NOW - 599, SourceState.CONNECTING), Stretch(NOW - 598, SourceState.LIVE)),
        gaps=gaps,
        started_at=NOW - 600,
        rates=replace(scenes.RATES, minutes=minutes, day=Series(360.0, NOW)),
    )  # fmt: skip
    assert set(kinds[:9]) == {Kind.LIVE}
    assert set(kinds[11:14]) == {Kind.PAUSED}
    assert set(kinds[31:49]) == {Kind.GAP}
    assert set(kinds[51:]) == {Kind.LIVE}


def test_a_new_folder_claims_nothing_of_the_time_before_it():
    kinds = timeline(scenes.EMPTY, scenes.EMPTY.health[0], 60, 3600.0)
    assert set(kinds[:-1]) == {Kind.UNKNOWN}
    assert kinds[-1] is Kind.QUIET


STRETCHES = st.lists(
    st.tuples(st.floats(0, 5000), st.sampled_from(SourceState), st.booleans()), min_size=1, max_size=20
)


@given(STRETCHES, st.integers(1, 90), st.sampled_from((3600.0, 86_400.0)))
def test_the_strip_is_as_wide_as_asked_whatever_happened(stretches, cells, seconds):
    past = tuple(
        Stretch(NOW - ago, state, slowed) for ago, state, slowed in sorted(stretches, key=lambda s: -s[0])
    )
    kinds = strip(past, cells, seconds)
    assert len(kinds) == cells
    assert line_width(draw_timeline(kinds)) == cells


TROUBLE = [
    ("paused", "warn"), ("stalled", "warn"), ("waiting", "warn"), ("store-down", "warn"), ("slowed", "warn"),
    ("stopped", "bad"), ("disk-full", "bad"),
]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(("state", "ink"), TROUBLE)
def test_whatever_is_wrong_colours_the_whole_bar_and_is_said_in_words(state, ink, width):
    line = draw_header(scenes.STATES[state], width)
    assert {kind for _, kind in line} == {f"{ink}-chip"}
    assert headline(scenes.STATES[state]).loud


@pytest.mark.parametrize("state", ["live", "empty"])
def test_well_is_quiet(state):
    line = draw_header(scenes.STATES[state], 120)
    assert not [kind for _, kind in line if kind.endswith("-chip")]
    lines = draw_health(scenes.STATES[state], 78, KEYS)
    assert "all is well" in text(lines)
    assert not [kind for line in lines for _, kind in line if kind.endswith("-chip")]


def test_a_store_that_is_down_does_not_hide_that_the_connection_is_live():
    said = headline(scenes.STORE_DOWN)
    assert "LIVE" in said.words and "mongodb DOWN" in said.words
    refused = structs.replace(scenes.STORE_DOWN.sinks[0], state=SinkState.REFUSED)
    assert headline(replace(scenes.WAITING, sinks=(refused,))).ink == "bad"


def test_a_disk_that_gets_full_is_told_before_it_is():
    low = replace(LIVE, journal=JournalStatus(size=1, free=90_000_000, low=True, seconds_left=7200.0))
    assert "LIVE, JOURNAL 90 MB FREE" in headline(low).words
    assert in_trouble(low)
    assert "journal 90 MB FREE" in text([draw_status(low, 80)])
    assert "90 MB FREE" in text(draw_side(low, 40, 34))
    assert "2 h" in text(draw_health(low, 78, KEYS))


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("stopped", "Set BIEBER_TUI_X__BEARER_TOKEN"),
        ("disk-full", "Free at least 58 MB"),
        ("store-down", "access list of the Atlas"),
        ("slowed", "narrow the keywords"),
        ("waiting", "tried again by itself in 12 s"),
        ("stalled", "connected again by itself"),
        ("paused", "nothing is billed"),
    ],
)
def test_trouble_comes_with_what_to_do(state, advice):
    first = text(draw_health(scenes.STATES[state], 78, KEYS)).partition("CONNECTION")[0]
    assert advice in " ".join(first.split())


@pytest.mark.parametrize("width", [50, 78])
@pytest.mark.parametrize("state", scenes.STATES)
def test_health_tells_everything_in_every_state(state, width):
    moment = scenes.STATES[state]
    lines = draw_health(moment, width, KEYS)
    assert all(line_width(line) <= width for line in lines)
    said = text(lines)
    for label in ("last 60 min", "last 24 h", "last byte", "lag", "queue", "rate limit", "JOURNAL", "GAPS"):
        assert label in said, label
    for sink in moment.sinks:
        assert sink.name in said and "behind by" in said and "posts/s" in said


@given(st.text(max_size=80), st.integers(30, 120))
def test_gaps_fit_their_width_and_reasons_drive_no_terminal(reason, width):
    gaps = (Gap("x", NOW - 9000, NOW - 8000, reason, "partly", 7, why=reason), Gap("x", NOW - 5, None, "X 503"))
    lines = draw_gaps(replace(LIVE, gaps=gaps, gap_count=1_203), width)
    assert all(line_width(line) <= width for line in lines)
    assert "\x1b" not in text(lines)
    assert "1,201 older ones: bieber-tui gaps" in " ".join(text(lines).split())


def test_gaps_add_up():
    gaps = (
        Gap("x", NOW - 500, NOW - 400, "X 503", "yes", 12),
        Gap("x", NOW - 300, NOW - 290, "a cut"),
        Gap("x", NOW - 200, NOW - 100, "paused by you", chosen=True),
    )
    first = text(draw_gaps(replace(LIVE, gaps=gaps, gap_count=3), 78)).split("\n")[0]
    assert first == "3 gaps, 3 m 30 s in all · filled 1 · not filled 1 · pauses 1"


def test_a_source_of_which_nothing_is_known_yet_is_drawn_too():
    moment = replace(LIVE, health=(Health("x"),), sinks=(), gaps=(), gap_count=0, events=())
    assert "CONNECTION" in text(draw_health(moment, 78, KEYS))
