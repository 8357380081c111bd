"""Whatever comes from outside, a decoder gives what it promises or the one error that it promises."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import core.settings
from core.errors import ConfigError, Undecodable
from core.journal import Batch, Entry, GapMark, Journal, Rejected, Tally
from core.query import parse_keywords, parse_topic
from core.sources.x import decode as x_decode
from core.sources.x.answers import Ending, of_http, rate_limit
from tests.fuzz import control, framing, post_line, profile, query
from tests.strategies import JSON, TEXT, almost_posts, encoded, lines


@pytest.fixture(scope="module", autouse=True)
def bare(tmp_path_factory):
    """No setting but those of the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(core.settings.ENV_PREFIX)]:
            patch.delenv(name)
        empty = tmp_path_factory.mktemp("config")
        patch.setattr(core.settings, "config_dir", lambda: empty)
        yield


@settings(max_examples=400)
@given(lines())
def test_a_line_is_a_post_that_keeps_its_promises_or_undecodable(raw):
    post_line.check(raw)


@settings(max_examples=200)
@given(almost_posts())
def test_both_ways_of_reading_a_line_agree(value):
    """The fast reader takes a line only where the lenient one, field by field, gives the same post."""
    raw = encoded(value)
    try:
        item = x_decode._fast.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return
    with suppress(Undecodable):  # what only msgspec reads, such as a number of 4,301 digits where nobody looks
        assert x_decode._salvage(x_decode._Item, x_decode._plain(raw)) == item


@given(st.lists(st.binary(max_size=12)), st.integers(1, 20), st.integers(0, 20), st.data())
def test_a_line_of_any_length_is_handed_out_once(parts, longest, kept, data):
    body = b"\n".join(parts) + data.draw(st.sampled_from([b"", b"\n"]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=10)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    framing.same_lines(chunks, longest, min(kept, longest))


PROBLEMS = st.dictionaries(
    st.sampled_from(
        ["data", "errors", "title", "type", "detail", "disconnect_type", "message", "status", "reason", "connection_issue"]
    ),
    st.one_of(
        JSON,
        st.sampled_from(
            ["", "UsageCapExceeded", "about:blank", "https://api.x.com/2/problems/usage-capped", "SlowReader", "InvalidRules"]
        ),
    ),
)  # fmt: skip


@settings(max_examples=250)
@given(PROBLEMS | st.builds(lambda one: {"errors": [one]}, PROBLEMS) | almost_posts() | JSON)
def test_an_error_of_x_is_told_from_a_post_by_the_rule(value):
    raw = json.dumps(value, separators=(",", ":")).encode()
    if b"NaN" in raw or b"Infinity" in raw:
        return
    control.told_apart(raw, value)


@settings(max_examples=120)
@given(
    st.integers(100, 599),
    TEXT,
    st.dictionaries(
        st.sampled_from(["Retry-After", "Location", "x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"]),
        TEXT | st.integers().map(str) | st.just("9" * 5000),
    ),
    st.one_of(PROBLEMS.map(encoded), JSON.map(encoded), st.binary(max_size=40)),
    st.floats(0, 4e9),
)  # fmt: skip
def test_an_answer_of_any_kind_is_classified(status, phrase, headers, body, now):
    ending = of_http(status, phrase, headers, body, now)
    assert isinstance(ending, Ending)
    assert ending.reason.isprintable()
    assert ending.until is None or now < ending.until <= now + 3600
    rate_limit(headers)


@settings(max_examples=120)
@given(
    st.one_of(st.binary(max_size=30), JSON.map(encoded), TEXT.map(lambda token: encoded({"access_token": token})))
)
def test_an_answer_to_the_token_exchange_holds_a_token_or_failed(body):
    control.token(body)


RULES = st.fixed_dictionaries(
    {},
    optional={
        "data": JSON | st.lists(st.fixed_dictionaries({"id": JSON, "value": JSON, "tag": st.just("bieber-tui") | JSON})),
        "errors": JSON | st.lists(st.dictionaries(st.sampled_from(["type", "title", "details", "detail", "id"]), JSON)),
        "meta": JSON | st.fixed_dictionaries({"next_token": JSON}),
    },
)  # fmt: skip


@settings(max_examples=120)
@given(st.lists(RULES.map(encoded) | JSON.map(encoded) | st.binary(max_size=10), min_size=1, max_size=4))
def test_an_answer_about_rules_is_read_or_refused_in_words(bodies):
    control.rules(*bodies)


ENTRIES = st.builds(
    Entry,
    id=st.sampled_from(["1", "2", "\0", "é🎵", "' OR 1", "x" * 100]),
    received_at=st.floats(0, 4e9),
    text_hash=st.integers(-(2**63), 2**63 - 1),
    matched=st.lists(TEXT.map(lambda text: text.encode("utf-8", "replace").decode()), max_size=3).map(tuple),
    backfilled=st.booleans(),
    raw=st.binary(max_size=40),
)


@settings(max_examples=40)
@given(st.lists(st.lists(ENTRIES, max_size=5), max_size=5), st.data())
def test_what_comes_out_of_the_journal_is_what_went_in(tmp_path_factory, batches, data):
    with Journal(tmp_path_factory.mktemp("journal")) as journal:
        session = journal.begin_session(0.0, "x")
        first: dict[str, Entry] = {}
        tally = Tally()
        for entries in batches:
            rejected = data.draw(st.integers(0, 2))
            batch = Batch(
                "x",
                delivered=len(entries) + rejected,
                consumed=len(entries),
                entries=entries,
                quarantined=[Rejected("", 1.0, "\ufffd reason", b"\xff\x00")] * rejected,
                gaps=data.draw(
                    st.lists(st.builds(GapMark, st.floats(0, 9), st.sampled_from(["", "why"])), max_size=2)
                ),
            )
            fresh = journal.commit(batch, session)
            new = [entry.id not in first and first.setdefault(entry.id, entry) is entry for entry in entries]
            assert fresh == new
            tally += Tally(
                batch.delivered, batch.consumed, rejected, len(entries), sum(new), len(entries) - sum(new)
            )
        assert journal.tallies().get("x", Tally()) == tally
        reader = journal.reader()
        rows = reader.rows_after(0, 1000)
        reader.close()
        assert {row.id: (row.received_at, row.matched, row.backfilled, row.raw) for row in rows} == {
            id_: (entry.received_at, entry.matched, entry.backfilled, entry.raw) for id_, entry in first.items()
        }
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})


NAMES = st.sampled_from(
    ["x.base_url", "x", "topic", "store", "x.bearer_token", "ui.fps", "mongodb.timeout", "log.format"]
)


@settings(max_examples=120)
@given(st.dictionaries(NAMES | TEXT, TEXT | JSON | TEXT.map(lambda path: f"file:{path}"), max_size=3))
@example({"store": "file:~nobody-has-this-name/x"})
@example({"x.bearer_token": "file:\0"})
def test_settings_of_any_kind_are_taken_or_refused_in_words(overrides):
    profile.loads(overrides)


@settings(max_examples=100)
@given(st.binary(max_size=60) | TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"x = " + b"[" * 100_000)
@example(b"a = {b = " * 500)
@example(b"x.y = 1\nx = 2")
@example(b"x = 99999999999999999999999999")
@example(b"ui = {fps = 1e999}")
@example(b"[x]\nbearer_token = 1979-05-27T07:32:00Z")
def test_a_profile_of_any_bytes_is_read_or_refused_in_words(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("profile") / "any.toml"
    file.write_bytes(content)
    profile.loads({}, str(file))


@pytest.mark.parametrize("name", ["~nobody-has-this-name/p.toml", "\0", "a" * 5000, "/", ".", "\udcff", ""])
def test_a_profile_of_any_name_is_read_or_refused_in_words(name):
    with pytest.raises(ConfigError):
        core.settings.load({}, name)


PIECES = st.sampled_from(
    [*'()"-#@$:~[]* \t\u00a0“”', "OR", "or", "AND", "music", "a b", '"a b"', "~3", "from:", "lang:en", "url:", "has:links",
     "is:retweet", "point_radius:[1 2 3km]", "context:1.*", "🎵", "é", "\u0301", "\u200b", "\ud800", "\0", "to:x", "NOT"]
)  # fmt: skip
QUERIES = st.lists(PIECES | TEXT, max_size=14).map("".join) | TEXT


@settings(max_examples=600)
@given(QUERIES, st.sampled_from([parse_keywords, parse_topic]))
def test_a_query_of_any_text_is_read_or_refused_with_its_place(text, parse):
    found = query.read(text, parse)
    if found is not None:
        found.spans(text)
