"""Waits grow as X documents, jitter never makes them shorter than half, and no budget is ever exceeded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sources.x.backoff import Backoff, ConnectBudget, Schedule

DOCUMENTED = [
    (Schedule.NETWORK, [0, 0.25, 0.5, 0.75], 16),
    (Schedule.HTTP, [5, 10, 20, 40, 80, 160, 320], 320),
    (Schedule.RATE, [60, 120, 240, 480], 900),
]


@pytest.mark.parametrize(("schedule", "waits", "longest"), DOCUMENTED)
@given(luck=st.floats(0, 1))
def test_waits_are_the_documented_ones_down_to_half(schedule, waits, longest, luck):
    backoff = Backoff(lambda: luck)
    for documented in waits:
        assert documented / 2 <= backoff.wait(schedule) <= documented
    for _ in range(200):
        last = backoff.wait(schedule)
    assert longest / 2 <= last <= longest


def test_a_healthy_connection_makes_the_next_failure_a_first_one():
    backoff = Backoff(lambda: 1.0)
    assert [backoff.wait(Schedule.HTTP) for _ in range(3)] == [5, 10, 20]
    backoff.reset()
    assert backoff.wait(Schedule.HTTP) == 5


@given(st.floats(0, 3600), st.floats(0, 1))
def test_a_wait_that_x_told_is_never_shortened(seconds, luck):
    assert seconds < Backoff(lambda: luck).told(seconds) <= seconds + 3


@given(st.lists(st.floats(0, 120), max_size=300))
def test_never_more_than_ten_in_five_seconds_nor_fifty_in_fifteen_minutes(pauses):
    budget, now, taken = ConnectBudget(), 0.0, []
    for pause in pauses:
        now += pause
        if (wait := budget.wait(now)) > 0:
            now += wait
        assert budget.wait(now) == 0
        budget.take(now)
        taken.append(now)
    for index, start in enumerate(taken):
        assert sum(start <= at < start + 5 for at in taken[index : index + 60]) <= 10
        assert sum(start <= at < start + 900 for at in taken[index : index + 60]) <= 50
