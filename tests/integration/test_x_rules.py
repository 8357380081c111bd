"""Our rule at X: made, kept, changed live; and nobody else's touched."""

from __future__ import annotations

import json

import pytest

from core.capture import Capture
from core.errors import QueryError, SourceRefused, Unavailable
from core.health import SourceState
from core.secret import SecretStr
from core.settings import Settings, XSettings
from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.server import Simulator
from core.sources.x.source import XSource
from tests.x_server import Running, Script, ScriptedX, SkippingClock, Tape, Wire, post, settings, wait_for

FOREIGN = [{"id": "1", "value": "cats", "tag": "someone"}, {"id": "2", "value": "dogs"}]


@pytest.fixture
def x():
    server = ScriptedX()
    server.rules = [dict(rule) for rule in FOREIGN]
    yield server
    server.close()


def ours(x: ScriptedX) -> list[str]:
    return [rule["value"] for rule in x.rules if rule.get("tag", "").startswith("bieber-tui")]


def errors(*problems: dict[str, object], status: str = "200 OK") -> Script:
    body = json.dumps({"meta": {"summary": {"created": 0, "not_created": 1}}, "errors": problems}).encode()
    return lambda wire: wire.answer(body, status=status)


def listing(*rules: dict[str, object], token: str = "") -> Script:
    meta = {"next_token": token} if token else {}
    return lambda wire: wire.answer(json.dumps({"data": rules, "meta": meta}).encode())


INVALID = {
    "value": "x",
    "details": ["Reference to invalid operator 'has:polls'. (at position 36)"],
    "title": "UnprocessableEntity",
    "type": "https://api.x.com/2/problems/invalid-rules",
}
CAP = {"title": "RulesCapExceeded", "detail": "1000 rules", "type": "https://api.x.com/2/problems/rule-cap"}


def run_until_live(source: XSource) -> Tape:
    with Running(source, Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
    return running.tape


def test_our_rule_is_made_before_the_stream_and_foreign_rules_stay(x):
    run_until_live(XSource(settings(x), ' "justin bieber" '))
    assert ours(x) == ['"justin bieber"']
    assert x.rules[:2] == FOREIGN


def test_our_rule_that_is_right_is_kept_and_our_others_go_one_by_one(x):
    x.rules += [
        {"id": "7", "value": "old", "tag": "bieber-tui"},
        {"id": "8", "value": " bieber ", "tag": "bieber-tui"},
        {"id": "9", "value": "older", "tag": "bieber-tui:else"},
    ]
    run_until_live(XSource(settings(x), "bieber"))
    assert [rule["id"] for rule in x.rules] == ["1", "2", "8"]
    deletes = [json.loads(r.body)["delete"]["ids"] for r in x.requests if b"delete" in r.body]
    assert deletes == [["7"], ["9"]]


def test_the_new_rule_is_there_before_the_old_one_goes(x):
    x.rules.append({"id": "7", "value": "old", "tag": "bieber-tui"})
    run_until_live(XSource(settings(x), "new"))
    changes = [next(iter(json.loads(r.body))) for r in x.requests if r.method == "POST"]
    assert changes == ["add", "delete"]


def test_rules_on_later_pages_are_found(x):
    x.rule_scripts += [
        listing(*FOREIGN, token="more"),
        listing({"id": "8", "value": "bieber", "tag": "bieber-tui"}),
    ]
    run_until_live(XSource(settings(x), "bieber"))
    assert "pagination_token=more" in x.requests[1].path
    assert [r.method for r in x.requests].count("POST") == 0


def test_an_invalid_rule_ends_it_with_the_words_of_x_and_the_old_rule_stays(x):
    old = {"id": "7", "value": "old", "tag": "bieber-tui"}
    x.rules.append(old)
    x.rule_scripts += [listing(*x.rules), errors(INVALID)]
    with Running(XSource(settings(x), "x has:polls"), Tape()) as running:
        error = running.ended()
    assert isinstance(error, SourceRefused)
    assert "has:polls" in str(error)
    assert x.rules == [*FOREIGN, old]


def test_a_rule_that_somebody_else_has_is_told_and_used(x):
    duplicate = {"value": "cats", "id": "1", "title": "DuplicateRule", "type": "…/duplicate-rules"}
    x.rule_scripts += [listing(*FOREIGN), errors(duplicate)]
    tape = run_until_live(XSource(settings(x), "cats"))
    assert any("already" in event for event in tape.events)


def test_in_a_full_list_our_old_rule_makes_room(x):
    x.rules.append({"id": "7", "value": "old", "tag": "bieber-tui"})
    x.rule_scripts += [listing(*x.rules), errors(CAP)]
    run_until_live(XSource(settings(x), "new"))
    assert ours(x) == ["new"]
    assert x.rules[:2] == FOREIGN


def test_when_the_swap_in_a_full_list_fails_the_old_rule_is_put_back(x):
    x.rules.append({"id": "7", "value": "old", "tag": "bieber-tui"})
    deleted: list[bytes] = []

    def deletes(wire: Wire) -> None:
        deleted.append(x.requests[-1].body)
        x.rules.pop()
        wire.answer(b'{"meta":{}}')

    x.rule_scripts += [listing(*x.rules), errors(CAP), deletes, errors(INVALID)]
    with pytest.raises(QueryError):
        XSource(settings(x), "old").change_keywords("x has:polls")
    assert json.loads(deleted[0]) == {"delete": {"ids": ["7"]}}
    assert ours(x) == ["old"]
    assert x.rules[:2] == FOREIGN


def test_a_probe_says_what_is_well_and_changes_nothing(x):
    words = " ".join(XSource(settings(x), "bieber").probe())
    assert x.url in words
    assert "none yet" in words
    assert x.rules == FOREIGN
    x.rule_scripts.append(lambda w: w.answer(b"", status="401 Unauthorized"))
    with pytest.raises(SourceRefused, match="token"):
        XSource(settings(x), "bieber").probe()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b'{"data":3,"errors":[]}', b'{"errors":7}'])
def test_an_answer_about_rules_that_makes_no_sense_is_no_crash(x, body):
    x.rule_scripts += [lambda w: w.answer(body), lambda w: w.answer(body)]
    with Running(XSource(settings(x), "bieber", clock=SkippingClock()), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE) or running.error is not None)
    assert running.error is None or isinstance(running.error, SourceRefused)


NO_RULES = {
    "title": "ConnectionException",
    "detail": "You must define rules",
    "connection_issue": "RuleConfigurationIssue",
    "type": "https://api.x.com/2/problems/streaming-connection",
}


def conflict(wire: Wire) -> None:
    wire.answer(json.dumps(NO_RULES).encode(), status="409 Conflict")


def test_no_rules_makes_them_again_and_connects_again(x):
    def somebody_deletes_it(wire: Wire) -> None:
        x.rules.clear()
        conflict(wire)

    x.scripts.append(somebody_deletes_it)
    clock = SkippingClock()
    with Running(XSource(settings(x), "bieber", clock=clock, random=lambda: 1.0), Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
    assert ours(x) == ["bieber"]
    assert clock.waits == [5]


def test_keywords_change_on_the_open_connection(x):
    def script(wire: Wire) -> None:
        wire.chunked()
        wait_for(lambda: ours(x) == ["selena"])
        wire.posts(1)
        wire.hold()

    x.scripts.append(script)
    source = XSource(settings(x), "bieber")
    with Running(source, Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
        source.change_keywords("selena")
        wait_for(lambda: running.tape.lines == [post(1)])
    assert ours(x) == ["selena"]
    assert x.rules[:2] == FOREIGN
    assert len(x.connects) == 1


def test_a_change_that_x_does_not_take_leaves_the_old_keywords(x):
    source = XSource(settings(x), "bieber")
    with Running(source, Tape()) as running:
        wait_for(lambda: running.tape.said(SourceState.LIVE))
        x.rule_scripts += [listing(*x.rules), errors(INVALID)]
        with pytest.raises(QueryError) as caught:
            source.change_keywords("x has:polls")
        assert caught.value.position == 36
        assert ours(x) == ["bieber"]
        x.rule_scripts.append(lambda w: w.answer(b"", status="500 Internal Server Error"))
        with pytest.raises(Unavailable):
            source.change_keywords("selena")
    run_until_live(source)
    assert ours(x) == ["bieber"]


def test_a_change_while_nothing_runs_is_used_by_the_next_run(x):
    source = XSource(settings(x), "bieber")
    run_until_live(source)
    source.change_keywords("selena")
    run_until_live(source)
    assert ours(x) == ["selena"]
    assert x.rules[:2] == FOREIGN


# Posts that came for other rules of this app


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (["1"], False),
        ([1], False),
        (["1", "2"], False),
        (["1", "1000"], True),
        (["1000"], True),
        (["999"], True),  # a rule that nobody knows, or that is deleted: X is believed
        ([None], True),
        ([], True),
    ],
)
def test_a_post_that_only_rules_of_others_matched_is_not_wanted(x, ids, wanted):
    source = XSource(settings(x), "bieber")
    tape = run_until_live(source)
    assert source.wanted(post(1, matching_rules=[{"id": id_} for id_ in ids])) is wanted
    assert [event for event in tape.events if "2 rules of others" in event] == tape.events[:1]


@pytest.mark.parametrize("raw", [post(1), b"no json", b'{"matching_rules":3}', b'{"matching_rules":[3]}'])
def test_a_line_that_does_not_say_what_it_was_sent_for_is_wanted(x, raw):
    source = XSource(settings(x), "bieber")
    run_until_live(source)
    assert source.wanted(raw)


def test_posts_of_somebody_elses_rule_with_our_keywords_are_wanted(x):
    x.rules.append({"id": "3", "value": " bieber ", "tag": "someone"})
    duplicate = {"value": "bieber", "id": "3", "title": "DuplicateRule", "type": "…/duplicate-rules"}
    x.rule_scripts += [listing(*x.rules), errors(duplicate)]
    source = XSource(settings(x), "bieber")
    run_until_live(source)
    assert source.wanted(post(1, matching_rules=[{"id": "3"}]))
    assert not source.wanted(post(1, matching_rules=[{"id": "2"}]))


def test_other_keywords_change_what_is_wanted(x):
    source = XSource(settings(x), "bieber")
    run_until_live(source)
    line = post(1, matching_rules=[{"id": "2"}])
    assert not source.wanted(line)
    x.rules[1]["value"] = "selena"
    source.change_keywords("selena")
    assert source.wanted(line)


def test_posts_of_other_rules_are_consumed_and_filtered_out_though_they_are_about_the_topic(tmp_path):
    with Simulator(SimulatorOptions(posts=0)) as sim:
        sim.add_rule("cats", tag="somebody else")
        theirs = sim.rules[0]["id"]
        x = XSettings(base_url=sim.url, bearer_token=SecretStr(BEARER_TOKEN))
        capture = Capture.open(Settings(x=x, keywords="bieber", topic="music", data_dir=tmp_path))
        capture.start()
        wait_for(lambda: len(sim.rules) == 2 and capture.snapshot().health[0].state.connected)
        ours = sim.rules[1]["id"]
        for number, ids in enumerate([[theirs], [theirs, ours], [ours]]):
            rules = [{"id": id_} for id_ in ids]
            sim.push({"data": {"id": str(number), "text": "music"}, "matching_rules": rules})
        wait_for(lambda: capture.snapshot().run.consumed == 3)
        capture.stop()
        run = capture.snapshot().run
    assert (run.delivered, run.consumed, run.matched, run.filtered_out, run.unique) == (3, 3, 2, 1, 2)
    assert run.imbalance() == ""
