"""The screen is painted less often where ticks come late or the terminal has not shown the last frames yet."""

from __future__ import annotations

from tui.pace import GOOD_TICKS, LOST, SILENT, SLOWEST, Echo, Pace


def test_the_pace_halves_when_ticks_come_late_and_comes_back_after_a_while_of_good_ones():
    pace = Pace(10)
    for _ in range(30):
        pace.tick(pace.interval * 2)
    assert pace.fps == SLOWEST
    for _ in range(GOOD_TICKS * 4):
        pace.tick(pace.interval)
    assert pace.fps == 10


def test_a_terminal_that_cannot_answer_is_waited_for_shortly():
    echo = Echo()
    assert not echo.behind(0.0)
    echo.ask(0.0)
    assert echo.behind(SILENT - 0.1)
    for frame in range(200):
        assert not echo.behind(SILENT + 0.01 * frame)
        echo.ask(SILENT + 0.01 * frame)


def test_a_frame_waits_until_the_one_before_it_is_shown():
    echo = Echo()
    echo.answered(echo.ask(0.0))
    asked = echo.ask(1.0)
    assert echo.behind(1.1)
    assert echo.behind(1.0 + LOST - 0.1)
    echo.answered(asked)
    assert not echo.behind(5.0)


def test_an_answer_stands_for_those_before_it_that_were_lost():
    echo = Echo()
    echo.answered(echo.ask(0.0))
    for at in range(5):
        last = echo.ask(float(at))
    assert echo.behind(5.0)
    echo.answered(last)
    assert not echo.behind(5.0)
    echo.answered(last)  # one that nobody waits for
    echo.answered(59)
    assert not echo.behind(5.0)


def test_a_terminal_that_answers_no_more_does_not_stop_the_screen_for_ever():
    echo = Echo()
    echo.answered(echo.ask(0.0))
    echo.ask(1.0)
    assert echo.behind(1.0 + LOST - 0.1)
    assert not echo.behind(1.0 + LOST)


def test_the_numbers_of_questions_are_columns_of_the_narrowest_screen():
    echo = Echo()
    numbers = [echo.ask(0.0) for _ in range(200)]
    assert min(numbers) == 1
    assert max(numbers) == 60
