"""How long the X source waits, and how often it may connect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sources.x.backoff import Backoff, ConnectBudget, Schedule


@pytest.mark.parametrize(
    ("schedule", "waits"),
    [
        (Schedule.NETWORK, [0, 0.25, 0.5, 0.75]),
        (Schedule.HTTP, [5, 10, 20, 40, 80, 160, 320, 320]),
        (Schedule.RATE, [60, 120, 240, 480, 900, 900]),
    ],
)
def test_waits_are_the_documented_ones(schedule, waits):
    backoff = Backoff(lambda: 1.0)
    assert [backoff.wait(schedule) for _ in waits] == waits


def test_network_waits_end_at_sixteen_seconds():
    backoff = Backoff(lambda: 1.0)
    assert [backoff.wait(Schedule.NETWORK) for _ in range(5000)][-1] == 16


@given(st.floats(0, 1), st.sampled_from(Schedule), st.integers(0, 50))
def test_jitter_never_goes_below_half_nor_above_the_whole(luck, schedule, failures):
    whole, jittered = Backoff(lambda: 1.0), Backoff(lambda: luck)
    for _ in range(failures):
        whole.wait(schedule)
        jittered.wait(schedule)
    full, actual = whole.wait(schedule), jittered.wait(schedule)
    assert full / 2 <= actual <= full


def test_schedules_count_apart_and_a_healthy_connection_resets_all():
    backoff = Backoff(lambda: 1.0)
    assert [backoff.wait(s) for s in (Schedule.HTTP, Schedule.NETWORK, Schedule.HTTP)] == [5, 0, 10]
    backoff.reset()
    assert [backoff.wait(s) for s in (Schedule.HTTP, Schedule.NETWORK)] == [5, 0]


@given(st.floats(0, 3600), st.floats(0, 1))
def test_a_wait_that_the_server_names_is_never_shortened(seconds, luck):
    assert seconds < Backoff(lambda: luck).told(seconds) <= seconds + 3


@given(st.lists(st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 40), st.floats(0, 2000)), max_size=300))
def test_no_sequence_of_connects_breaks_the_budget(pauses):
    budget, now, connects = ConnectBudget(), 0.0, []
    for pause in pauses:
        now += pause
        now += budget.wait(now)
        assert budget.wait(now) == 0  # having waited as told, we may
        budget.take(now)
        connects.append(now)
    assert all(later - earlier > 900 for earlier, later in zip(connects, connects[50:], strict=False))
    assert all(later - earlier > 5 for earlier, later in zip(connects, connects[10:], strict=False))


def test_ten_connects_are_free_and_the_eleventh_waits():
    budget = ConnectBudget()
    for _ in range(10):
        assert budget.wait(0.0) == 0
        budget.take(0.0)
    assert budget.wait(0.0) == pytest.approx(22.5, abs=0.01)
