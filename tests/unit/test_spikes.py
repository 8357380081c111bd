"""A spike is told once when it begins and once when it ends, and ordinary streams have none."""

from __future__ import annotations

import random

import pytest

from core.rates import RateHistory
from core.spikes import Spikes

T0 = 1_793_491_200.0


def run(speeds):
    """What is told for a stream of so many posts in each second, looked at once a second."""
    history, spikes, told = RateHistory(T0), Spikes(), []
    for second, posts in enumerate(speeds):
        now = T0 + second
        if posts:
            history.add(now, posts, 0)
        said = spikes.look(history.rates(now).seconds, now)
        if said:
            told.append((second, said))
    return spikes, told


def test_a_spike_is_told_when_it_begins_and_when_it_is_over():
    spikes, told = run([10] * 100 + [80] * 60 + [10] * 60)
    assert [said for _, said in told] == [
        "spike: 80 posts/s, 8× the usual",
        "the spike is over after 60 s: up to 80 posts/s",
    ]
    assert spikes.starts == (T0 + 100,)
    assert 100 < told[0][0] <= 112  # within a block
    assert not spikes.going_on


@pytest.mark.parametrize("speed", [0, 1, 3, 40, 5000])
def test_a_stream_that_merely_varies_has_none(speed):
    dice = random.Random(7)
    _, told = run([dice.randint(speed // 2, speed * 2) for _ in range(900)])
    assert told == []


def test_a_few_posts_after_silence_are_no_spike_and_many_are():
    assert run([0] * 200 + [1] * 100)[1] == []
    assert run([0] * 200 + [30] * 30)[1][0][1] == "spike: 30 posts/s; before, there was nothing"


def test_the_first_minute_has_none_since_nothing_is_usual_yet():
    assert run([0] * 20 + [100] * 30)[1] == []


def test_what_stays_high_is_over_only_when_it_falls():
    _, told = run([10] * 100 + [100] * 1000)
    assert len(told) == 1


def test_a_machine_that_slept_does_not_count_the_hours():
    history, spikes = RateHistory(T0), Spikes()
    for second in range(120):
        history.add(T0 + second, 10, 0)
        spikes.look(history.rates(T0 + second).seconds, T0 + second)
    later = T0 + 40_000
    history.add(later, 10, 0)
    assert spikes.look(history.rates(later).seconds, later) == ""
