"""The supervisor of X's stream, connection by connection: what it does next, how long it waits, what it tells.

X is a script here, so that every wait is exact; tests/integration/test_x_source.py has the real sockets.
"""

from __future__ import annotations

import pytest

from core.health import RateLimit
from core.secret import SecretStr
from core.snapshot import Level
from core.sources.x.answers import Ending, Failed, Kind
from core.sources.x.backoff import Schedule
from core.sources.x.memory import Left, Memory
from tests.clock import HeldClock
from tests.unit.x_desk import (
    CONNECTING,
    CUT,
    ENDED,
    LIVE,
    NO_RULES,
    NOW,
    STALLED,
    WAITING,
    desks,
    fails,
    opens,
)


@pytest.fixture
def desk(monkeypatch):
    return desks(monkeypatch)


# What it does next


def test_the_way_of_a_connection_is_told_step_by_step(desk):
    one = desk(opens(desk.now), connect_timeout=3.0, stall_after=9.0)
    assert one.run() == [
        (CONNECTING, ""), (LIVE, "connected"), (CONNECTING, "cut"), (ENDED, "stopped")
    ]  # fmt: skip
    assert one.clock.waits == []  # a first loss is mended at once
    assert one.tokens == ["given", "given"]
    assert one.reconciled == ["bieber"]  # the rule at X is known from then on
    assert {made[0] for made in one.made} == {"https://x.test"}
    assert {made[2:] for made in one.made} == {(one.clock, 3.0, 9.0)}
    assert one.log.events == []


@pytest.mark.parametrize(
    ("schedule", "waits"),
    [
        (Schedule.NETWORK, [0.25, 0.5, 0.75]),
        (Schedule.HTTP, [5.0, 10.0, 20.0, 40.0]),
        (Schedule.RATE, [60.0, 120.0, 240.0, 480.0]),
    ],
)
def test_each_kind_of_failure_waits_as_x_asks_for(desk, schedule, waits):
    one = desk(*[fails(Ending(Kind.RETRY, "X 503", schedule=schedule))] * 4)
    reports = one.run()
    assert one.clock.waits == waits
    assert reports[:2] == [(CONNECTING, ""), (WAITING, "X 503", NOW + waits[0])] or schedule is Schedule.NETWORK
    assert (CONNECTING, "X 503") in reports


def test_a_moment_that_x_names_is_waited_for(desk):
    one = desk(fails(Ending(Kind.RETRY, "X 429", schedule=Schedule.RATE, until=NOW + 300)), jitter=0.5)
    one.run()
    assert one.clock.waits == [301.1]


def test_a_stall_is_told_before_the_wait(desk):
    one = desk(opens(desk.now, ending=Ending(Kind.STALLED, "no byte for 22 s")))
    assert one.run()[1:4] == [
        (LIVE, "connected"), (STALLED, "no byte for 22 s"), (CONNECTING, "no byte for 22 s")
    ]  # fmt: skip


def test_missing_rules_are_made_again_and_given_up_in_the_end(desk):
    one = desk(*[fails(NO_RULES)] * 9)
    assert one.refused() == ("X 409", "look at the rules")
    assert one.reconciled == ["bieber"] * 6
    assert one.clock.waits == [5.0, 10.0, 20.0, 40.0, 80.0]


def test_a_stream_that_opened_shows_that_the_rules_are_there(desk):
    one = desk(*[fails(NO_RULES)] * 5, opens(desk.now), *[fails(NO_RULES)] * 5)
    assert one.run()[-1] == (ENDED, "stopped")


def test_a_given_token_that_x_does_not_take_is_given_up(desk):
    one = desk(fails(Ending(Kind.UNAUTHORIZED, "X 401", "set the token")))
    assert one.refused() == ("X 401", "set the token")
    assert one.clock.waits == []


def test_an_exchanged_token_is_made_anew_once_and_at_once_and_again_after_a_stream(desk):
    unauthorized = fails(Ending(Kind.UNAUTHORIZED, "X 401", "set the token"))
    pair = {"bearer_token": None, "consumer_key": SecretStr("key"), "consumer_secret": SecretStr("secret")}
    one = desk(unauthorized, opens(desk.now), unauthorized, unauthorized, **pair)
    assert one.refused() == ("X 401", "set the token")
    assert one.tokens == ["token1", "token2", "token2", "token3"]
    assert one.clock.waits == []


def test_a_refusal_is_told_with_what_to_do(desk):
    one = desk(opens(desk.now), fails(Ending(Kind.REFUSED, "no credits", "buy some")))
    assert one.refused() == ("no credits", "buy some")


UNTRUSTED = Ending(Kind.UNTRUSTED, "a bad certificate", "check the clock", Schedule.HTTP)


def test_a_certificate_that_is_bad_at_the_start_is_given_up_and_later_waited_out(desk):
    assert desk(fails(UNTRUSTED)).refused() == ("a bad certificate", "check the clock")
    one = desk(opens(desk.now), fails(UNTRUSTED))
    assert one.run()[-1] == (ENDED, "stopped")
    assert one.clock.waits == [5.0]
    one.plan = [fails(UNTRUSTED)]  # in another run
    assert one.refused() == ("a bad certificate", "check the clock")


@pytest.mark.parametrize(("seconds", "waits"), [(60.0, [5.0, 10.0, 5.0]), (59.9, [5.0, 10.0, 20.0])])
def test_only_a_healthy_minute_of_bytes_forgets_the_failures(desk, seconds, waits):
    failed = Ending(Kind.RETRY, "X 503", schedule=Schedule.HTTP)
    healthy = opens(desk.now, seconds, b"\r\n", 100.0, ending=failed)
    one = desk(fails(failed), fails(failed), healthy)
    one.run()
    assert one.clock.waits == waits


def test_a_stream_that_ends_without_a_word_is_a_bug(desk):
    with pytest.raises(RuntimeError, match=r"^the stream ended without a reason$"):
        desk(lambda connection: None).run()


def test_a_stop_ends_a_wait_and_everything_else_that_waits_on_the_network(desk):
    one = desk(*[fails(Ending(Kind.RETRY, "X 503", schedule=Schedule.HTTP))] * 9)
    one.clock.wait = lambda event, seconds: one.source.stop()
    assert one.run() == [(CONNECTING, ""), (WAITING, "X 503", NOW + 5), (ENDED, "stopped")]
    breakers = (one.source._breaker, one.source._change_breaker, one.source._fill_breaker)
    assert all(breaker.tripped.is_set() for breaker in breakers)
    one.clock = one.source._clock = HeldClock(NOW)
    one.plan = []
    assert one.run()[3:] == [(CONNECTING, ""), (ENDED, "stopped")]  # it may be run again


def test_what_ends_while_we_stop_is_not_told_as_a_failure(desk):
    one = desk()

    def attempt(connection):
        one.source.stop()
        raise Failed(Ending(Kind.REFUSED, "socket closed"))

    one.plan = [attempt]
    assert one.run() == [(CONNECTING, ""), (ENDED, "stopped")]


# X's budget of connects


def within(moment):
    return pytest.approx(moment, abs=1e-4)


def test_a_burst_is_free_and_then_each_connect_waits_for_its_turn(desk):
    one = desk(*[opens(desk.now, ending=Ending(Kind.RETRY, "cut", until=NOW - 100))] * 11)
    why = "cut; X allows 50 connects in 15 minutes"
    waiting = [report for report in one.run() if report[0] is WAITING]
    assert waiting == [(WAITING, why, within(NOW + 22.5)), (WAITING, why, within(NOW + 45.0))]


def test_a_stop_while_a_connect_waits_for_its_turn_makes_none(desk):
    one = desk(memory=Notebook(Left("https://x.test", NOW, 0.0, 50)))
    one.clock.wait = lambda event, seconds: one.source.stop()
    why = "X allows 50 connects in 15 minutes"
    assert one.run() == [(WAITING, why, within(NOW + 22.5)), (ENDED, "stopped")]
    assert one.made == []


class Notebook(Memory):
    """A memory that keeps what it was told, and says that it could not."""

    def __init__(self, left=None, trouble=""):
        self.left, self.kept, self.trouble, self.asked = left, [], trouble, []

    def recall(self, api):
        self.asked.append(api)
        return self.left

    def keep(self, left):
        self.kept.append(left)
        return self.trouble


@pytest.mark.parametrize("seconds", [12.5, 0.5])
def test_the_budget_goes_on_over_a_restart(desk, seconds):
    book = Notebook(Left("https://x.test", NOW - 22.5 + seconds, 0.0, 50))
    one = desk(memory=book)
    why = "X allows 50 connects in 15 minutes"
    assert one.run()[0] == (WAITING, why, within(NOW + seconds))
    assert book.kept == [Left("https://x.test", NOW + one.clock.waits[0], within(0.0), 50)]
    one.run()
    assert book.asked == ["https://x.test"]  # once: from then on it knows better itself


def test_a_memory_that_cannot_be_written_is_told_once(desk):
    one = desk(opens(desk.now), opens(desk.now), memory=Notebook(trouble="no room"))
    one.run()
    assert one.log.events == [(Level.WARNING, "connects are not remembered for the next start: no room")]


def test_what_x_says_of_its_window_is_told_learnt_and_remembered(desk):
    headers = {"x-rate-limit-limit": "100", "x-rate-limit-remaining": "98", "x-rate-limit-reset": "1000900"}

    def attempt(connection):
        for _ in range(3):
            connection.answered(headers)
        connection.answered({})
        raise Failed(CUT)

    book = Notebook()
    one = desk(attempt, memory=book)
    one.run()
    assert one.log.told[:3] == [RateLimit(100, 98, 1000900.0)] * 3
    assert [left.allowed for left in book.kept] == [50, 100, 100]  # a connect, what was learnt, a connect


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("https://x.test", False), ("http://x.test", True), ("http://localhost:1", False),
        ("http://127.0.0.2:1", False), ("http://[::1]:1", False), ("http://1270.test", True),
    ],
)  # fmt: skip
def test_a_token_in_the_clear_is_warned_of(desk, url, warned):
    one = desk(base_url=url)
    one.run()
    words = (Level.WARNING, "x.base_url is not https: the token can be read on its way")
    assert one.log.events == [words] * warned
