"""One connection to X: what its bytes become, what ends it, and the rules and keywords behind it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from core.errors import ConfigError, QueryError, SourceRefused, Unavailable
from core.secret import SecretStr
from core.settings import Settings, XSettings
from core.snapshot import Level
from core.sources.x import source as module
from core.sources.x.answers import STOPPED, Ending, Failed, Kind
from core.sources.x.memory import Left, Memory
from core.sources.x.rules import Reconciled, Rule
from core.sources.x.source import XSource, create
from tests.unit.x_desk import (
    CONNECTING,
    CUT,
    ENDED,
    LEAVE,
    LIVE,
    NO_RULES,
    NOW,
    POST,
    QUIET,
    Framed,
    desks,
    fails,
    opens,
)


@pytest.fixture
def desk(monkeypatch):
    return desks(monkeypatch)


# What comes over the stream


@pytest.fixture
def stream(desk):
    one = desk(stall_after=10.0)
    connection = Framed(module._Connection(one.source, one.log))
    connection.opened()
    one.log.told.clear()
    one.log.reports.clear()
    return SimpleNamespace(desk=one, log=one.log, clock=one.clock, connection=connection)


def test_lines_are_handed_over_with_their_moment_and_then_the_moment_itself(stream):
    stream.clock.time += 5
    assert stream.connection.received(POST + b"\r\n \r\n" + POST + b'{"da', stream.clock.now(), more=True) is None
    line = (POST[:-2], NOW + 5)
    assert stream.log.told == [line, line, ("touch", NOW + 5, True)]
    stream.log.told.clear()
    stream.connection.received(b"ta", stream.clock.now(), more=False)
    assert stream.log.told == []  # half a line was never received
    stream.connection.received(b'":1}\n', stream.clock.now(), more=False)
    assert stream.log.told == [(b'{"data":1}', NOW + 5), ("touch", NOW + 5, False)]
    stream.connection.received(b"\r\n", stream.clock.now(), more=False)
    assert stream.log.told[2:] == [("touch", NOW + 5, False)]


def test_a_line_that_is_not_whole_yet_is_more_to_come(stream):
    """Its post was sent before that moment, and would be missing."""
    stream.connection.received(POST + b'{"da', stream.clock.now(), more=False)
    assert stream.log.told[-1] == ("touch", NOW, True)
    stream.connection.received(b'ta":1}\n', stream.clock.now(), more=False)
    assert stream.log.told[-1] == ("touch", NOW, False)


def test_an_announced_deletion_is_no_line_and_one_that_changes_nothing_is_nothing(stream):
    stream.connection.received(
        b'{"data":{"delete":{"tweet":{"id":"8"}}}}\r\n' + POST, stream.clock.now(), more=False
    )
    stream.connection.received(
        b'{"data":{"user_suspend":{"user":{"id":"7"}}}}\r\n', stream.clock.now(), more=False
    )
    stream.connection.received(
        b'{"data":{"withheld":{"tweet":{"id":"1"}}}}\r\n' + POST, stream.clock.now(), more=False
    )
    told = [what for what in stream.log.told if what[0] != "touch"]
    assert told == [("deleted", "8", ""), (POST[:-2], NOW), ("deleted", "", "7"), (POST[:-2], NOW)]


def test_half_a_minute_without_a_post_is_quiet_until_one_comes(stream):
    stream.clock.time = NOW + 29.9
    stream.connection.received(b"\r\n", stream.clock.now(), more=False)
    assert stream.log.reports == []
    for stream.clock.time in (NOW + 30, NOW + 31):
        stream.connection.received(b"\r\n", stream.clock.now(), more=False)
    assert stream.log.reports == [(QUIET, "no post for 30 s")]
    for _ in range(2):
        stream.connection.received(POST, stream.clock.now(), more=False)
    assert stream.log.reports[1:] == [(LIVE, "posts again")]
    stream.clock.time += 30
    stream.connection.received(b"\r\n", stream.clock.now(), more=False)
    assert stream.log.reports[2:] == [(QUIET, "no post for 30 s")]


def test_bytes_that_make_no_line_are_silence(stream):
    stream.clock.time = NOW + 5
    stream.connection.received(b"\r\n", stream.clock.now(), more=False)
    stream.clock.time = NOW + 45
    stream.connection.received(b"x", stream.clock.now(), more=False)  # four times stall_after: not longer yet
    stream.clock.time = NOW + 45.6
    with pytest.raises(Failed) as failed:
        stream.connection.received(b"x", stream.clock.now(), more=False)
    assert failed.value.ending == Ending(Kind.STALLED, "no whole line for 41 s")


def test_a_line_that_had_to_wait_for_room_is_life_all_the_same(stream):
    def waits():
        stream.clock.time += 100

    stream.log.deliver_takes = waits
    stream.connection.received(POST + b"x", stream.clock.now(), more=True)
    assert stream.log.told[-1] == ("touch", NOW, True)
    stream.clock.time += 20
    stream.connection.received(b"x", stream.clock.now(), more=False)
    assert stream.log.reports == []


def test_after_a_farewell_posts_are_taken_for_a_second_more_and_five_at_most(stream):
    stream.clock.time = NOW + 10
    assert stream.connection.received(POST, stream.clock.now(), more=False) is None
    assert stream.connection.received(LEAVE, stream.clock.now(), more=False) == 1.0
    stream.clock.time = NOW + 10.25
    assert stream.connection.received(b"\r\n", stream.clock.now(), more=False) == 0.75
    assert stream.connection.received(POST, stream.clock.now(), more=False) == 1.0
    stream.clock.time = NOW + 11
    other = b'{"errors":[{"title":"another"}]}\r\n'
    assert stream.connection.received(other, stream.clock.now(), more=False) == 0.25  # the first word counts
    for seconds in (1.2, 2.1, 3.0, 3.9):
        stream.clock.time = NOW + 10 + seconds
        assert stream.connection.received(POST, stream.clock.now(), more=False) == 1.0
    stream.clock.time = NOW + 14.5
    assert stream.connection.received(POST, stream.clock.now(), more=False) == 0.5
    stream.clock.time = NOW + 15
    with pytest.raises(Failed) as failed:
        stream.connection.received(POST, stream.clock.now(), more=False)
    said = Ending(Kind.RETRY, "X ended the stream: gone, for maintenance")
    assert failed.value.ending == said
    assert stream.log.told[-2:] == [(POST[:-2], NOW + 15), ("touch", NOW + 15, False)]
    assert stream.connection.why(CUT) == said
    assert stream.connection.why(STOPPED) == STOPPED


def test_posts_behind_a_farewell_in_the_same_bytes_are_taken(stream):
    assert stream.connection.received(LEAVE + POST, stream.clock.now(), more=False) == 1.0
    assert stream.log.told == [(POST[:-2], NOW), ("touch", NOW, False)]


def test_without_a_farewell_it_ended_as_it_did(stream):
    assert stream.connection.why(CUT) == CUT


def test_opening_is_told_with_its_moment_and_only_bytes_make_it_healthy(desk):
    one = desk()
    connection = Framed(module._Connection(one.source, one.log))
    assert not connection.was_healthy()
    connection.opened()
    assert (one.log.told, one.log.reports) == ([("touch", NOW, True)], [(LIVE, "connected")])
    one.clock.time += 61
    assert not connection.was_healthy()
    connection.received(b"\r\n", one.clock.now(), more=False)
    assert connection.was_healthy()


# Rules and keywords


def test_what_became_of_the_rules_is_in_the_log_and_other_rules_posts_are_not_wanted(desk):
    one = desk(opens(desk.now))
    one.rules = [Reconciled(("a rule was added", "another went"), frozenset({"7", "8"}))]
    one.run()
    assert one.log.events == [(Level.INFO, "a rule was added"), (Level.INFO, "another went")]

    def line(*rules):
        made = ",".join(f'{{"id":"{rule}"}}' for rule in rules)
        return b'{"data":{"id":"1","text":"t"},"matching_rules":[%s]}' % made.encode()

    wanted = {rules: one.source.wanted(line(*rules)) for rules in ((), ("1",), ("7",), ("7", "8"), ("7", "1"))}
    assert wanted == {(): True, ("1",): True, ("7",): False, ("7", "8"): False, ("7", "1"): True}
    assert desk().source.wanted(line("7"))  # no other rules are known


def test_keywords_are_changed_on_the_open_connection_and_kept(desk, stream):
    one = stream.desk
    one.rules = [Reconciled(("the rule is another",), frozenset({"7"}))]
    one.source._breaker.trip()
    one.source._change_breaker.trip()
    one.source.change_keywords("swift")
    assert one.reconciled == ["swift"]
    assert one.made[-1][1] is one.source._change_breaker
    assert not one.source._change_breaker.tripped.is_set()
    assert one.log.events == []
    stream.connection.received(b"\r\n", stream.clock.now(), more=False)
    assert one.log.events == [(Level.INFO, "the rule is another")]
    one.plan = [fails(NO_RULES)]
    one.run()
    assert one.reconciled == ["swift", "swift", "swift"]


def test_keywords_that_were_changed_are_not_asked_for_again_by_the_next_connection(desk):
    one = desk()

    def change(connection):
        one.source.change_keywords("swift")
        raise Failed(CUT)

    one.plan = [change]
    one.run()
    assert one.reconciled == ["bieber", "swift"]


def test_keywords_that_x_does_not_take_change_nothing(desk):
    one = desk(opens(desk.now))

    def change(connection):
        one.rules = [QueryError("no such operator", 3, "a b:c")]
        with pytest.raises(QueryError):
            one.source.change_keywords("a b:c")
        raise Failed(CUT)

    one.plan = [change]
    one.run()
    assert one.reconciled == ["bieber", "a b:c"]  # the old rule is there: it is not asked for again


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        (Kind.REFUSED, SourceRefused), (Kind.UNAUTHORIZED, SourceRefused), (Kind.UNTRUSTED, SourceRefused),
        (Kind.RETRY, Unavailable), (Kind.STOPPED, Unavailable), (Kind.NO_RULES, Unavailable),
    ],
)  # fmt: skip
def test_a_change_that_fails_says_why_and_the_rules_are_looked_after_later(desk, kind, raised):
    one = desk()

    def change(connection):
        one.rules = [Failed(Ending(kind, "why", "what to do"))]
        with pytest.raises(raised) as error:
            one.source.change_keywords("swift")
        assert str(error.value) == ("why\n  what to do" if raised is SourceRefused else "why")
        raise Failed(CUT)

    one.plan = [change]
    one.run()
    assert one.reconciled == ["bieber", "swift", "bieber"]


def test_keywords_that_x_does_not_take_at_the_start_are_refused_in_words(desk):
    one = desk()
    one.rules = [QueryError("no such operator", 3, "a b:c", "see the manual")]
    assert one.refused() == ("no such operator (at position 3)", "  a b:c\n    ^\n  see the manual")


def test_one_reconciliation_at_a_time_and_a_stop_ends_the_wait_for_it(desk):
    one = desk(opens(desk.now))
    assert one.source._rules_lock.acquire()

    def stopped(wait):
        thread = threading.Thread(target=wait)
        thread.start()
        while thread.is_alive():
            thread.join(0.15)
            one.source.stop()

    def change():
        with pytest.raises(Unavailable, match=r"^stopped$"):
            one.source.change_keywords("swift")
        ended.append("change")

    ended: list[str] = []
    stopped(change)
    stopped(one.run)
    assert ended == ["change"]
    assert one.reconciled == []
    assert one.log.reports == [(CONNECTING, ""), (ENDED, "stopped")]
    one.source._rules_lock.release()
    one.source.change_keywords("swift")
    one.source.change_keywords("adele")  # it is let go after each
    assert one.reconciled == ["swift", "adele"]


# What is asked once


def test_a_probe_tells_which_rules_are_ours(desk, monkeypatch):
    one = desk()
    rules = [Rule("1", "bieber", "bieber-tui"), Rule("2", "swift", "other"), Rule("3", "music", "bieber-tui:2")]
    monkeypatch.setattr(module, "listed", lambda client: rules)
    one.source._change_breaker.trip()
    first = "X answers at https://x.test and takes our credentials"
    assert one.source.probe() == [first, "rules of this app at X: 3; ours: bieber, music"]
    assert not one.source._change_breaker.tripped.is_set()
    assert one.tokens == ["given"]
    monkeypatch.setattr(module, "listed", lambda client: rules[1:2])
    assert one.source.probe() == [first, "rules of this app at X: 1; ours: none yet"]

    def fail(client):
        raise Failed(Ending(Kind.REFUSED, "no credits", "buy some"))

    monkeypatch.setattr(module, "listed", fail)
    with pytest.raises(SourceRefused, match="no credits"):
        one.source.probe()


def test_a_fill_is_asked_with_the_keywords_in_force_and_can_be_stopped_apart(desk, monkeypatch):
    made = []
    monkeypatch.setattr(module, "SearchClient", module.XClient)
    monkeypatch.setattr(module, "Search", lambda *given: made.append(given) or "search")
    monkeypatch.setattr(
        module, "Filling", lambda *given: made.append(given) or SimpleNamespace(run=lambda: "filled")
    )
    one = desk()
    monkeypatch.setattr(module, "SearchClient", module.XClient)
    one.source._fill_breaker.trip()
    outlet = SimpleNamespace(progress="progress")
    assert one.source.fill("missing", outlet) == "filled"
    source = one.source
    (client, *search), filling = made
    assert isinstance(client, module.XClient)
    assert search == [source._credentials, source._fill_breaker, one.clock, source._random, "progress"]
    assert filling == (source._x, "search", one.clock, "missing", outlet, "bieber")
    assert one.made[-1][1] is source._fill_breaker
    assert not source._fill_breaker.tripped.is_set()


def test_what_x_can_do_follows_from_the_settings(desk):
    can = desk(backfill=True, backfill_wait=30.0, backfill_overlap=9.0).source.capabilities
    assert (can.fill, can.fill_after, can.late) == (True, 30.0, 9.0)
    assert (can.filters_upstream, can.live_query, can.resume) == (True, True, False)


LOGIN = (
    "x.base_url holds a user name or a password, and it is shown in messages",
    "X knows no such login: take it out. A proxy's password belongs into the variable HTTPS_PROXY.",
)
NO_URL = (
    "x.base_url is no address that X's API could have",
    "It must be like https://api.x.com: http or https, a host, and a port if need be.",
)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://me:secret@api.x.com", LOGIN), ("https://me@api.x.com", LOGIN), ("ftp://api.x.com", NO_URL),
        ("api.x.com", NO_URL), ("https://", NO_URL), ("https://api.x.com:port", NO_URL),
        ("https://api.x.com?a=b", NO_URL), ("https://api.x.com#a", NO_URL), ("https://[::1", NO_URL),
    ],
)  # fmt: skip
def test_a_base_url_that_cannot_be_is_refused_word_by_word(url, words):
    with pytest.raises(ConfigError) as refused:
        XSource(XSettings(base_url=url, bearer_token=SecretStr("t")), "bieber")
    assert (refused.value.message, refused.value.hint) == words


@pytest.mark.parametrize("url", ["https://api.x.com", "http://localhost:8080/prefix"])
def test_a_base_url_may_have_a_port_and_a_path(url):
    assert XSource(XSettings(base_url=url, bearer_token=SecretStr("t")), "bieber").name == "x"


def test_the_registrys_source_remembers_in_the_data_folder(tmp_path):
    source = create(Settings(data_dir=tmp_path, x=XSettings(bearer_token=SecretStr("t"))), "bieber")
    left = Left("https://api.x.com", NOW, 3.0, 50)
    assert source._memory.keep(left) == ""
    assert Memory(tmp_path).recall("https://api.x.com") == left
    assert source._keywords == "bieber"
    assert source.decode(POST).id == "1"
