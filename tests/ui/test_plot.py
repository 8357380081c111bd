"""Plots as text: exact, aligned to absolute time, silent about what is not known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.snapshot import Rates, Series
from tests.ui import scenes
from tui.ink import line_width
from tui.plot import bars, bucket_size, buckets, counted, nice_top, speeds, spiked


def text(line) -> str:
    return "".join(part for part, _ in line)


def test_bars_in_eighths_from_the_top_down():
    assert [text(line) for line in bars([0.0, 1.0, 4.6, 8.0], 4, 1, 8)] == ["▁▁▅█"]
    assert [text(line) for line in bars([8.0, 16.0, 12.0], 3, 2, 16)] == [" █▄", "███"]


def test_the_newest_value_is_at_the_right_edge_and_the_unknown_is_blank():
    assert text(bars([None, 8.0], 5, 1, 8)[0]) == "    █"
    assert text(bars([1.0, 8.0, 4.0], 2, 1, 8)[0]) == "█▄"


def test_something_is_never_drawn_as_nothing_and_zero_is_a_base_line_in_another_ink():
    tiny, zero = bars([0.001], 1, 1, 1000)[0], bars([0.0], 1, 1, 1000)[0]
    assert text(tiny) == text(zero) == "▁"
    assert tiny[-1][1] != zero[-1][1]


@given(
    st.lists(st.none() | st.floats(0, 1e9), max_size=80),
    st.integers(1, 60),
    st.integers(1, 6),
    st.floats(0.1, 1e9),
)
def test_bars_fill_their_place_exactly(values, width, height, top):
    lines = bars(values, width, height, top)
    assert len(lines) == height
    assert all(line_width(line) == width for line in lines)


def test_a_bar_does_not_change_when_time_goes_on():
    values = tuple(range(1, 21))
    before = buckets(values[:-1], 100.0, 1.0, 5)
    after = buckets(values[1:], 101.0, 1.0, 5)
    whole = before[1:-1]
    assert whole == after[1 : len(whole) + 1]
    assert all(steps == 5 for _, steps in whole)


@given(st.lists(st.integers(0, 1000), max_size=300), st.integers(0, 10_000), st.integers(1, 30))
def test_buckets_lose_nothing(values, start, size):
    made = buckets(values, float(start), 1.0, size)
    assert sum(total for total, _ in made) == sum(values)
    assert sum(steps for _, steps in made) == len(values)


def at(now=1000.0, started=0.0, **rates):
    return replace(scenes.LIVE, at=now, started_at=started, rates=Rates(**rates))


def test_what_was_before_the_first_run_and_the_second_that_is_not_over_are_left_out():
    series = Series(1.0, 100.0, consumed=(0, 0, 3, 9, 9, 1), matched=(0, 0, 1, 2, 3, 0))
    left = counted(at(started=102.4, seconds=series), 0)
    assert (left.start, left.consumed, left.matched) == (102.0, (3, 9, 9), (1, 2, 3))
    assert counted(at(), 0).consumed == ()
    silent = Series(1.0, 100.0, consumed=(0,) * 6, matched=(0,) * 6)
    assert counted(at(started=102.4, seconds=silent), 0).consumed == (0, 0, 0)  # nothing came, and that is known


def test_what_earlier_runs_counted_is_shown():
    series = Series(60.0, 0.0, consumed=(0, 5, 0, 0, 7), matched=(0, 1, 0, 0, 2))
    left = counted(at(started=200.0, minutes=series), 1)
    assert (left.start, left.consumed) == (60.0, (5, 0, 0, 7))


def test_the_minute_that_is_not_over_is_as_fast_as_what_of_it_has_passed():
    series = Series(60.0, 0.0, consumed=(600, 300), matched=(0, 0))
    assert speeds(series, 1, 90.0) == [10.0, 10.0]
    assert speeds(series, 2, 90.0) == [10.0]
    assert speeds(series, 1, 120.0) == [10.0, 5.0]


@given(st.lists(st.floats(0, 2000), max_size=9), st.integers(1, 30), st.integers(0, 500), st.integers(1, 400))
def test_a_spike_is_marked_at_the_bar_that_holds_it(spikes, size, start, length):
    series = Series(1.0, float(start), (1,) * length, (0,) * length)
    whole = buckets(series.consumed, series.start, series.step, size)
    places = spiked(spikes, series, size)
    assert all(0 <= place < len(whole) for place in places)
    for spike in spikes:
        inside = start <= spike < start + length
        assert not inside or int(spike) // size - start // size in places


def test_the_sign_of_a_spike_stands_at_the_foot_of_its_bar_whatever_is_cut_off():
    assert [text(line) for line in bars([1, 8, 8, 8], 3, 2, 8, marked=(2,))] == ["███", "█▲█"]
    assert text(bars([1, 8, 8], 1, 1, 8, marked=(0,))[0]) == "█"


@given(st.floats(1e-6, 1e12))
def test_the_top_of_a_scale_is_above_the_value_and_near(value):
    assert value * 0.99999 <= nice_top(value) <= value * 2.01


def test_a_series_fits_into_the_width():
    assert bucket_size(300, 22) * 22 >= 300
    assert bucket_size(300, 1000) == 1
