"""Rates count posts at the time they came, over full seconds only."""

from core.rates import RateHistory


def test_the_rate_is_over_the_last_full_seconds():
    history = RateHistory(1000.0)
    for second in range(1000, 1020):
        history.add(second + 0.5, 40, 10)
    rates = history.rates(1020.2)
    assert rates.posts_per_s == 40.0
    assert rates.match_rate == 0.25
    assert rates.peak_per_s == 40
    assert sum(rates.seconds.consumed) == 800
    assert rates.seconds.start + len(rates.seconds.consumed) - 1 == 1020
    assert sum(rates.minutes.matched) == 200


def test_nothing_seen_is_unknown_not_zero():
    rates = RateHistory(1000.0).rates(1001.0)
    assert rates.posts_per_s is None
    assert rates.match_rate is None
    assert rates.peak_at is None


def test_silence_brings_the_rate_down_and_keeps_the_peak():
    history = RateHistory(1000.0)
    history.add(1000.0, 212, 0)
    rates = history.rates(1100.0)
    assert rates.posts_per_s == 0.0
    assert (rates.peak_per_s, rates.peak_at) == (212, 1000.0)


def test_a_long_sleep_forgets_the_old_seconds():
    history = RateHistory(1000.0)
    history.add(1000.0, 5, 5)
    rates = history.rates(1_000_000.0)
    assert sum(rates.seconds.consumed) == 0
    assert sum(rates.minutes.consumed) == 0


def test_posts_that_come_late_count_where_they_belong():
    history = RateHistory(1000.0)
    history.add(1010.0, 1, 0)
    history.add(1005.0, 3, 1)
    seconds = history.rates(1011.0).seconds
    assert seconds.consumed[int(1005 - seconds.start)] == 3
