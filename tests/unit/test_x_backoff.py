"""How long to wait, and how often to connect: X's documented schedules, never shortened and never broken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sources.x.backoff import Backoff, ConnectBudget, Schedule

DOCUMENTED = {
    Schedule.NETWORK: [0.0, 0.25, 0.5, 0.75, 1.0],
    Schedule.HTTP: [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 320.0],
    Schedule.RATE: [60.0, 120.0, 240.0, 480.0, 900.0, 900.0],
}
LONGEST = {Schedule.NETWORK: 16.0, Schedule.HTTP: 320.0, Schedule.RATE: 900.0}
unit = st.floats(0.0, 1.0)


@pytest.mark.parametrize("schedule", Schedule)
def test_without_jitter_the_waits_are_the_documented_ones(schedule):
    backoff = Backoff(lambda: 1.0)
    documented = DOCUMENTED[schedule]
    assert [backoff.wait(schedule) for _ in documented] == documented
    assert max(backoff.wait(schedule) for _ in range(200)) == LONGEST[schedule]


@pytest.mark.parametrize("schedule", Schedule)
@settings(deadline=None)
@given(jitter=st.lists(unit, min_size=1, max_size=80))
def test_jitter_goes_down_to_half_of_the_wait_and_never_above_it(schedule, jitter):
    rolls = iter(jitter)
    jittered, documented = Backoff(lambda: next(rolls)), Backoff(lambda: 1.0)
    for _ in jitter:
        whole = documented.wait(schedule)
        assert whole / 2 <= jittered.wait(schedule) <= whole


def test_two_clients_do_not_wait_equally_long():
    assert Backoff(lambda: 0.0).wait(Schedule.HTTP) == 2.5
    assert Backoff(lambda: 0.5).wait(Schedule.HTTP) == 3.75


@settings(deadline=None)
@given(seconds=st.floats(0.0, 3600.0), roll=unit)
def test_a_wait_that_the_server_names_is_never_shortened(seconds, roll):
    assert seconds < Backoff(lambda: roll).told(seconds) <= seconds + 2.2


def test_schedules_count_their_failures_apart():
    backoff = Backoff(lambda: 1.0)
    for _ in range(5):
        backoff.wait(Schedule.NETWORK)
    assert backoff.wait(Schedule.HTTP) == 5.0
    assert backoff.wait(Schedule.RATE) == 60.0
    assert backoff.wait(Schedule.NETWORK) == 1.25


def test_after_a_reset_every_schedule_begins_again():
    backoff = Backoff(lambda: 1.0)
    for schedule in Schedule:
        for _ in range(4):
            backoff.wait(schedule)
    backoff.reset()
    assert [backoff.wait(schedule) for schedule in Schedule] == [DOCUMENTED[one][0] for one in Schedule]


def test_a_failure_that_never_ends_does_not_overflow():
    backoff = Backoff(lambda: 1.0)
    for _ in range(5000):
        backoff.wait(Schedule.HTTP)
    assert backoff.wait(Schedule.HTTP) == 320.0


@pytest.mark.parametrize(("said", "allowed"), [(15, 15), (10_000, 10_000), (0, 10), (-3, 10), (10**30, 1_000_000)])
def test_the_budget_is_what_x_says_when_that_can_be_meant(said, allowed):
    budget = ConnectBudget()
    budget.learn(said)
    assert budget.allowed == allowed
    assert budget.tokens == allowed // 5


def test_a_budget_that_shrinks_gives_nothing_back_and_takes_nothing_twice():
    budget = ConnectBudget()
    for _ in range(4):
        budget.take(0.0)
    budget.learn(25)
    assert budget.tokens == 1
    budget.learn(50)
    assert budget.tokens == 6


@pytest.mark.parametrize(
    ("tokens", "allowed", "age", "left"),
    [(3.0, 50, 0.0, 3.0), (3.0, 50, 45.0, 5.0), (3.0, 50, 10_000.0, 10.0), (3.0, 50, -500.0, 3.0),
     (-8.0, 50, 0.0, 0.0), (1e300, 50, 0.0, 10.0), (3.0, 15, 0.0, 3.0), (3.0, 10_000, 0.0, 3.0)],
)  # fmt: skip
def test_a_budget_goes_on_from_what_another_process_left(tokens, allowed, age, left):
    budget = ConnectBudget()
    budget.resume(tokens, allowed, age)
    assert budget.tokens == pytest.approx(left)


def _most_within(times: list[float], span: float) -> int:
    return max((sum(start <= time <= start + span for time in times) for start in times), default=0)


# Requests come in spates, so that a handful of drawn values makes hundreds of them: so many, each so long after the
# one before it.
_gap = st.one_of(
    st.just(0.0), st.floats(0.0, 1.0), st.floats(0.0, 60.0), st.sampled_from([5.0, 22.5, 225.0, 900.0, 5000.0])
)
_gaps = st.lists(st.tuples(_gap, st.integers(1, 60)), min_size=1, max_size=8).map(
    lambda spates: [gap for gap, count in spates for _ in range(count)]
)


@settings(deadline=None)
@given(gaps=_gaps, start=st.floats(0.0, 1e6))
def test_however_requests_come_there_are_no_more_than_ten_in_5_s_and_fifty_in_900_s(gaps, start):
    budget, now, taken = ConnectBudget(), start, []
    for gap in gaps:
        now += gap
        if budget.wait(now) == 0:
            budget.take(now)
            taken.append(now)
    assert _most_within(taken, 5.0) <= 10
    assert _most_within(taken, 900.0) <= 50


@settings(deadline=None)
@given(gaps=_gaps, start=st.floats(0.0, 1e6))
def test_whoever_waits_as_long_as_told_may_connect_and_the_budget_holds(gaps, start):
    budget, now, taken = ConnectBudget(), start, []
    for gap in gaps:
        now += gap
        now += budget.wait(now)
        assert budget.wait(now) == 0
        budget.take(now)
        taken.append(now)
    assert _most_within(taken, 5.0) <= 10
    assert _most_within(taken, 900.0) <= 50


def test_ten_connects_are_free_and_then_one_each_22_and_a_half_seconds():
    budget = ConnectBudget()
    for _ in range(10):
        assert budget.wait(100.0) == 0
        budget.take(100.0)
    assert budget.wait(100.0) == pytest.approx(22.5, abs=1e-3)
    assert budget.wait(111.25) == pytest.approx(11.25, abs=1e-3)
    assert budget.wait(122.6) == 0


def test_a_clock_that_goes_back_gives_no_connects_away():
    budget = ConnectBudget()
    for _ in range(10):
        budget.take(1000.0)
    assert budget.wait(0.0) > 0
    assert budget.wait(10.0) > 0


def test_a_budget_that_shrinks_below_what_was_taken_is_empty_and_not_more():
    budget = ConnectBudget()
    for _ in range(10):
        budget.take(0.0)
    budget.learn(25)
    assert budget.tokens == 0.0
    assert budget.wait(0.0) > 0
