"""A source of X in a test's hand: X is a script, connection by connection, and the clock is held."""

from __future__ import annotations

import pytest

from core.errors import SourceRefused
from core.health import SourceState
from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x import source as module
from core.sources.x.answers import STOPPED, Ending, Failed, Kind
from core.sources.x.backoff import Schedule
from core.sources.x.framing import Lines
from core.sources.x.rules import Reconciled
from core.sources.x.source import XSource
from tests.clock import HeldClock

NOW = 1_000_000.0
CONNECTING, LIVE, WAITING = SourceState.CONNECTING, SourceState.LIVE, SourceState.WAITING
QUIET, STALLED, ENDED = SourceState.QUIET, SourceState.STALLED, SourceState.STOPPED
POST = b'{"data":{"id":"1","text":"t"}}\r\n'
LEAVE = b'{"errors":[{"title":"gone","detail":"for maintenance"}]}\r\n'
CUT = Ending(Kind.RETRY, "cut")
NO_RULES = Ending(Kind.NO_RULES, "X 409", "look at the rules", Schedule.HTTP)


class Log:
    """An outlet that keeps everything in order."""

    def __init__(self):
        self.told = []
        self.reports = []
        self.events = []
        self.deliver_takes = lambda: None

    def deliver(self, lines, received_at, *, backfilled=False):
        self.told += [(line, received_at) for line in lines]
        self.deliver_takes()

    def touch(self, at, *, more=False):
        self.told.append(("touch", at, more))

    def report(self, state, reason="", *, wait_until=None):
        self.reports.append((state, reason) if wait_until is None else (state, reason, wait_until))

    def rate_limit(self, window):
        self.told.append(window)

    def event(self, level, text):
        self.events.append((level, text))

    def deleted(self, *, post="", author=""):
        self.told.append(("deleted", post, author))


class Desk:
    """A source, and the X that it meets: each of `plan` is a connection; behind the last one the run is stopped."""

    def __init__(self, monkeypatch, *plan, jitter=1.0, memory=None, **settings):
        self.plan, self.clock, self.log = list(plan), HeldClock(NOW), Log()
        self.tokens, self.reconciled, self.made, self.exchanges = [], [], [], 0
        self.rules: list[Reconciled | Exception] = []
        desk = self

        class Client:
            def __init__(self, base_url, breaker, clock, *, connect_timeout, stall_after):
                desk.made.append((base_url, breaker, clock, connect_timeout, stall_after))

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def authorize(self, token):
                desk.tokens.append(token)

            def exchange(self, *_):
                desk.exchanges += 1
                return b'{"access_token":"token%d"}' % desk.exchanges

            def follow(self, connection):
                if not desk.plan:
                    desk.source.stop()
                    raise Failed(STOPPED)
                desk.plan.pop(0)(connection)

        def reconcile(client, keywords):
            assert isinstance(client, Client)
            desk.reconciled.append(keywords)
            found = desk.rules.pop(0) if desk.rules else Reconciled((), frozenset())
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(module, "XClient", Client)
        monkeypatch.setattr(module, "reconcile", reconcile)
        given = {"base_url": "https://x.test", "bearer_token": SecretStr("given"), **settings}
        self.source = XSource(XSettings(**given), "bieber", memory=memory, clock=self.clock, random=lambda: jitter)

    def run(self):
        self.source.run(self.log)
        return self.log.reports

    def refused(self):
        with pytest.raises(SourceRefused) as refused:
            self.run()
        assert self.log.reports[-1] == (ENDED, refused.value.message)
        return refused.value.message, refused.value.hint


def fails(ending):
    """X answers with that instead of a stream."""

    def attempt(connection):
        raise Failed(ending)

    return attempt


class Framed:
    """A connection that takes bytes, for the tests' sake: what it is given are the lines that they end."""

    def __init__(self, connection):
        self._connection = connection
        self._lines = Lines()

    def received(self, data, at, *, more):
        lines = self._lines.feed(data)
        return self._connection.received(lines, at, more=more or self._lines.midway)

    def __getattr__(self, name):
        return getattr(self._connection, name)


def opens(desk, *steps, ending=CUT):
    """A stream: each step is so many seconds, or bytes."""

    def attempt(connection):
        connection = Framed(connection)
        connection.opened()
        for step in steps:
            if isinstance(step, bytes):
                connection.received(step, desk().clock.now(), more=False)
            else:
                desk().clock.time += step
        raise Failed(ending)

    return attempt


def desks(monkeypatch):
    """Makes desks; `now()` is the one that was made last."""
    made = []

    def make(*plan, **settings):
        made.append(Desk(monkeypatch, *plan, **settings))
        return made[-1]

    make.now = lambda: made[-1]
    return make
