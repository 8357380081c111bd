"""The screen is painted less often where ticks come late or the terminal has not shown the last frames yet."""

from __future__ import annotations

from tui.pace import GOOD_TICKS, LOST, SLACK, SLOWEST, Echo, Pace


def test_the_pace_halves_when_ticks_come_late_and_comes_back_after_a_while_of_good_ones():
    pace = Pace(10)
    for _ in range(30):
        pace.tick(pace.interval * 2)
    assert pace.fps == SLOWEST
    for _ in range(GOOD_TICKS * 4):
        pace.tick(pace.interval)
    assert pace.fps == 10


def test_a_terminal_that_never_answers_is_not_waited_for():
    echo = Echo()
    assert echo.ask(0.0)
    assert not echo.behind(1.0)
    assert not echo.behind(100.0)


def test_frames_wait_for_a_terminal_that_is_behind_its_own_best():
    echo = Echo()
    echo.ask(0.0)
    echo.answered(0.6)  # a far link, not a slow one: its own way takes that long
    echo.ask(1.0)
    assert not echo.behind(1.6)
    assert not echo.behind(1.0 + 0.6 + SLACK - 0.01)
    assert echo.behind(1.0 + 0.6 + SLACK + 0.01)
    assert not echo.ask(2.0)  # one question at a time
    echo.answered(3.0)
    assert not echo.behind(3.0)


def test_an_echo_that_was_lost_does_not_stop_the_screen_for_ever():
    echo = Echo()
    echo.ask(0.0)
    echo.answered(0.01)
    echo.ask(1.0)
    assert echo.behind(1.0 + LOST - 0.1)
    assert not echo.behind(1.0 + LOST)
    assert echo.ask(1.0 + LOST)
