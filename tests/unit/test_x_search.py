"""X's recent search as it really answers: odd pages, expired places, edges that move; nothing is lost or invented."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.secret import SecretStr
from core.settings import XSettings
from core.snapshot import Gap
from core.sources.base import Missing
from core.sources.x.answers import Failed
from core.sources.x.decode import decode
from core.sources.x.filling import COVERED, LOOKS, NO_RETWEETS, NOT_YET
from core.sources.x.search import Span, id_at, moment_of, number, read_page
from core.sources.x.source import XSource
from tests.x_server import TOKEN, ScriptedX, SkippingClock

NOW = SkippingClock().now()
LAST, FIRST = id_at(NOW - 100), id_at(NOW - 50)


def page(*ids, token="", **more):
    body = {"data": [{"id": str(id), "text": f"post {id}"} for id in ids], **more} if ids else {**more}
    body["meta"] = {"result_count": len(ids)} | ({"next_token": token} if token else {})
    return json.dumps(body).encode()


class Pages:
    """A FillOutlet that keeps everything."""

    def __init__(self, most=100):
        self.most = most
        self.posts, self.reached, self.words, self.events = [], [], [], []

    def page(self, lines, reached, first_id):
        self.posts.append([decode(line).id for line in lines])
        self.reached.append(reached)
        return len(self.posts) < self.most

    def progress(self, words):
        self.words.append(words)

    def event(self, level, text):
        self.events.append(text)


@pytest.fixture
def x():
    server = ScriptedX()
    yield server
    server.close()


def answers(body, status="200 OK"):
    return lambda wire: wire.answer(body, status=status)


def refusal(message):
    problem = {"errors": [{"parameters": {"x": ["y"]}, "message": message}], "title": "Invalid Request",
               "detail": "One or more parameters to your request was invalid.",
               "type": "https://api.x.com/2/problems/invalid-request"}  # fmt: skip
    return answers(json.dumps(problem).encode(), "400 Bad Request")


COUNT = answers(b'{"meta":{"total_tweet_count":3}}')
KNOWN = answers(page(FIRST))  # search knows the post that ends the span


def fill(server, *scripts, gap=None, most=100, missing=None, **more):
    server.scripts += [COUNT, *scripts]
    settings = XSettings(**{"base_url": server.url, "bearer_token": SecretStr(TOKEN), "backfill": True, **more})
    source = XSource(settings, "bieber", clock=SkippingClock())
    outlet = Pages(most)
    if gap is None:
        gap = Gap(
            "x", NOW - 100, NOW - 90, "cut", number=1, keywords="bieber", last_id=str(LAST), first_id=str(FIRST)
        )
    result = source.fill(missing or Missing(gap), outlet)
    return result, outlet


def asked(server):
    """The parameters of every search and count, in order."""
    asked = [urlsplit(request.path) for request in server.requests]
    return [
        {name: value[0] for name, value in parse_qs(one.query).items()} for one in asked if "/recent" in one.path
    ]


def test_ids_and_moments_are_the_same_thing():
    assert id_at(moment_of(LAST)) == LAST >> 22 << 22
    assert number("12") == 12
    assert number("12a") is number("٣") is number("") is number(None) is number("9" * 20) is None


def test_ids_and_times_are_never_mixed():
    assert Span(5, 9).params() == {"since_id": 5, "until_id": 9}
    assert set(Span(5, LAST, start=NOW).params()) == {"start_time", "end_time"}
    assert set(Span(5, None, start=NOW).params()) == {"start_time"}


def test_the_span_reaches_a_little_over_both_ends(x):
    result, outlet = fill(x, KNOWN, answers(page(FIRST, LAST + 5)), backfill_overlap=2)
    assert (result.filled, result.why, result.first_id) == ("yes", NO_RETWEETS, str(FIRST))
    assert outlet.posts == [[str(LAST + 5), str(FIRST)]]
    count, look, search = asked(x)
    assert count["since_id"] == search["since_id"] == str(LAST - (2000 << 22))
    assert search["until_id"] == str(FIRST + 1)
    assert (look["since_id"], look["until_id"], look["max_results"]) == (str(FIRST - 1), str(FIRST + 1), "10")
    assert (search["max_results"], search["query"]) == ("100", "bieber")
    assert "about 3 posts, $0.01 at half a cent each" in outlet.events[0]


def test_every_page_is_handed_over_before_the_next_is_asked_for(x):
    pages = [answers(page(90, 80, token="a")), answers(page(token="b")), answers(page(70))]
    result, outlet = fill(x, KNOWN, *pages)
    assert result.filled == "yes"
    assert outlet.posts == [["80", "90"], ["70"]]  # an empty page is not the end
    assert outlet.reached == ["80", "70"]
    assert [one.get("next_token") for one in asked(x)[2:]] == [None, "a", "b"]


def test_a_fill_that_is_to_end_asks_for_no_other_page(x):
    result, _outlet = fill(x, KNOWN, answers(page(90, token="a")), most=1)
    assert (result.filled, result.retry) == ("partly", True)
    assert len(asked(x)) == 3


def test_a_place_that_has_expired_is_left_for_the_last_post(x):
    pages = [answers(page(90, 80, token="old")), refusal("The `next_token` is not valid"), answers(page(70))]
    result, outlet = fill(x, KNOWN, *pages)
    assert result.filled == "yes"
    assert outlet.posts == [["80", "90"], ["70"]]
    assert asked(x)[-1]["until_id"] == "80"
    assert "next_token" not in asked(x)[-1]


def test_an_earlier_fill_is_gone_on_from(x):
    gap = Gap("x", NOW - 100, NOW - 90, "cut", "partly", 40, number=1, keywords="bieber", last_id=str(LAST),
              first_id=str(FIRST), reached=str(LAST + 1000))  # fmt: skip
    result, _outlet = fill(x, answers(page(LAST + 9)), gap=gap)
    assert result.filled == "yes"
    assert asked(x)[-1]["until_id"] == str(LAST + 1000)


TOO_OLD = "'since_id' must be a tweet id created after 2026-07-31T11:45Z."


LONG = Gap("x", NOW - 700_000, NOW - 90, "not running", keywords="bieber", last_id=str(id_at(NOW - 700_000)),
           first_id=str(FIRST))  # fmt: skip


def test_an_edge_that_x_names_is_kept_clear_of(x):
    edge = id_at(NOW - 600_000)
    too_old = refusal(f"{TOO_OLD} Please use a 'since_id' that is larger than {edge}")
    x.scripts.append(too_old)
    result, outlet = fill(x, KNOWN, answers(page(FIRST)), gap=LONG)
    assert result.filled == "partly"
    assert "seven days" in result.why
    assert int(asked(x)[-1]["since_id"]) > edge
    assert "about 3 posts" in outlet.events[0]


def test_an_edge_that_x_does_not_name_is_asked_for_by_time(x):
    x.scripts.append(refusal(TOO_OLD))
    result, _outlet = fill(x, KNOWN, answers(page(FIRST)), gap=LONG)
    assert result.filled == "partly"
    assert {"start_time", "end_time"} <= asked(x)[-1].keys()
    assert not asked(x)[-1].keys() & {"since_id", "until_id"}


def test_an_edge_that_leaves_nothing_makes_it_unfillable(x):
    too_old = refusal(f"{TOO_OLD} Please use a 'since_id' that is larger than {FIRST + 5}")
    x.scripts.append(too_old)
    result, outlet = fill(x)
    assert (result.filled, result.retry) == ("no", False)
    assert "seven days" in result.why
    assert outlet.posts == []


def test_an_edge_that_moves_for_ever_is_given_up_at(x):
    too_old = refusal(f"{TOO_OLD} Please use a 'since_id' that is larger than {id_at(NOW - 200)}")
    x.scripts += [too_old, too_old]
    result, _ = fill(x, KNOWN, too_old, too_old)
    assert result.filled == "no"


def test_what_an_earlier_gap_has_brought_is_not_bought_again(x):
    gap = Gap("x", NOW - 100, NOW - 90, "cut", keywords="bieber", last_id=str(LAST), first_id=str(FIRST))
    result, _ = fill(x, missing=Missing(gap, covered=str(FIRST)))
    assert (result.filled, result.why) == ("yes", COVERED)
    assert asked(x) == []


def test_what_an_earlier_gap_has_brought_of_it_is_left_out(x):
    gap = Gap("x", NOW - 100, NOW - 90, "cut", keywords="bieber", last_id=str(LAST), first_id=str(FIRST))
    covered = id_at(NOW - 70)
    fill(x, KNOWN, answers(page(FIRST)), missing=Missing(gap, covered=str(covered)), backfill_overlap=2)
    assert asked(x)[-1]["since_id"] == str(covered - (2000 << 22))  # but for the overlap


def test_search_is_waited_for_once_and_not_when_the_gap_is_tried_again(x):
    unknown = answers(page())
    result, _ = fill(x, *[unknown] * (LOOKS + 1))
    assert (result.filled, result.why, result.retry) == ("no", NOT_YET, True)
    gap = Gap(
        "x", NOW - 100, NOW - 90, "cut", why=NOT_YET, keywords="bieber", last_id=str(LAST), first_id=str(FIRST)
    )
    result, outlet = fill(x, answers(page(LAST + 1)), gap=gap)
    assert result.filled == "yes"
    assert outlet.posts == [[str(LAST + 1)]]


def test_a_post_of_other_keywords_is_not_looked_for(x):
    gap = Gap("x", NOW - 100, NOW - 90, "cut", keywords="before", last_id=str(LAST), first_id=str(FIRST))
    result, _ = fill(x, answers(page(LAST + 1)), gap=gap)
    assert result.filled == "yes"
    assert [one["query"] for one in asked(x)] == ["before", "before"]


def test_a_gap_without_a_post_before_it_begins_with_its_time(x):
    gap = Gap("x", NOW - 100, NOW - 90, "X 503", keywords="bieber", first_id=str(FIRST))
    fill(x, KNOWN, answers(page(FIRST)), missing=Missing(gap, since=NOW - 101), backfill_overlap=7)
    assert asked(x)[-1]["since_id"] == str(id_at(NOW - 101))  # a pause ended there


def test_a_gap_that_a_pause_follows_ends_with_its_time(x):
    gap = Gap("x", NOW - 100, NOW - 90, "X 503", keywords="bieber", last_id=str(LAST))
    fill(x, answers(page()), missing=Missing(gap, until=NOW - 90))
    assert asked(x)[-1]["until_id"] == str(id_at(NOW - 90))


def test_without_a_post_after_it_all_is_asked_for_and_the_newest_bounds_it(x):
    gap = Gap("x", NOW - 100, NOW - 90, "cut", keywords="bieber", last_id=str(LAST))
    result, _outlet = fill(x, answers(page(LAST + 20, LAST + 10, token="a")), answers(page(LAST + 5)), gap=gap)
    assert "until_id" not in asked(x)[-1]
    assert (result.filled, result.first_id) == ("yes", str(LAST + 20))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"{}", b'{"errors":[{"title":"x"}]}', b"[" * 100_000]
)
def test_an_answer_that_is_none_is_told_and_tried_again_later(x, body):
    result, outlet = fill(x, KNOWN, answers(body))
    assert (result.filled, result.retry) == ("no", True)
    assert outlet.posts == []


def test_a_token_that_has_expired_is_exchanged_again(x):
    wrong = answers(json.dumps({"title": "Unauthorized", "status": 401}).encode(), "401 Unauthorized")
    pair = {"bearer_token": None, "consumer_key": SecretStr("key"), "consumer_secret": SecretStr("secret")}
    result, _outlet = fill(x, wrong, KNOWN, answers(page(FIRST)), **pair)
    assert result.filled == "yes"
    assert sum(request.path == "/oauth2/token" for request in x.requests) == 2


# Pages as lines


def test_each_post_takes_along_what_it_refers_to():
    users = [{"id": "1", "username": "ana"}, {"id": "2", "username": "bob"}, {"id": "3", "username": "cy"}]
    tweets = [{"id": "70", "text": "the whole original", "author_id": "2"}, {"id": "71", "text": "another"}]
    data = [
        {"id": "90", "text": "RT @bob: the…", "author_id": "1",
         "referenced_tweets": [{"type": "retweeted", "id": "70"}]},
        {"id": "80", "text": "alone", "author_id": "3"},
    ]  # fmt: skip
    found = read_page(json.dumps({"data": data, "includes": {"users": users, "tweets": tweets}}).encode())
    assert (found.oldest, found.newest, found.retweets, found.next_token) == (80, 90, True, "")
    alone, retweet = map(decode, found.lines)
    assert (alone.id, alone.author.username) == ("80", "cy")
    assert (retweet.id, retweet.author.username, retweet.text) == ("90", "ana", "the whole original")
    includes = json.loads(found.lines[1])["includes"]
    assert [user["id"] for user in includes["users"]] == ["1", "2"]
    assert [tweet["id"] for tweet in includes["tweets"]] == ["70"]


def test_one_post_may_stand_alone_and_half_a_character_is_kept():
    found = read_page(b'{"data":{"id":"9","text":"a \\ud83d \\u0000 \xc3\xa9"}}')
    assert json.loads(found.lines[0])["data"]["text"] == "a \ud83d \x00 é"


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "meta", "includes", "users", "tweets", "id", "author_id", "referenced_tweets", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.binary(max_size=50) | ODD.map(lambda value: json.dumps(value).encode()))
@example(b'{"data": {}, "includes": {"users": true}}')
def test_no_page_raises_anything_but_failed(body):
    try:
        read_page(body)
    except Failed as failure:
        assert failure.ending.reason
