"""The simulator's endpoints, asked over HTTP: each answers with X's status, shape and headers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from core.simulator.options import BEARER_TOKEN, CONSUMER_KEY, CONSUMER_SECRET, SimulatorOptions
from core.simulator.posts import snowflake
from core.simulator.server import STREAM_PATH, Simulator
from tests.conftest import PATIENCE
from tests.x_server import wait_for

RULES = "/2/tweets/search/stream/rules"
SEARCH = "/2/tweets/search/recent"
COUNTS = "/2/tweets/counts/recent"
USAGE = "/2/usage/tweets"
BEARER = {"authorization": f"Bearer {BEARER_TOKEN}"}


def ask(sim: Simulator, path: str, **params: Any) -> requests.Response:
    """GET with the right token."""
    return requests.get(sim.url + path, params=params, headers=BEARER, timeout=PATIENCE)


def change(sim: Simulator, body: Any, **params: Any) -> requests.Response:
    """POST to the rules."""
    return requests.post(sim.url + RULES, params=params, json=body, headers=BEARER, timeout=PATIENCE)


def add(sim: Simulator, *values: str, **params: Any) -> requests.Response:
    """Add rules."""
    return change(sim, {"add": [{"value": value} for value in values]}, **params)


def posts_of(sim: Simulator) -> list[str]:
    """The ids of what was sent as a post, duplicates too."""
    return [record.post for record in sim.sent if record.post]


class Reader:
    """Reads a stream in a thread until it ends; the lines without their ends, keep-alives as empty ones."""

    def __init__(self, sim: Simulator, **headers: str) -> None:
        self.response = requests.get(
            sim.url + STREAM_PATH, headers=BEARER | headers, stream=True, timeout=PATIENCE
        )
        self.lines: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.response.status_code == 200:
            self._thread.start()

    def _read(self) -> None:
        rest = b""
        try:
            for content in self.response.iter_content(None):
                *whole, rest = (rest + content).split(b"\r\n")
                self.lines += whole
        except (requests.RequestException, AttributeError, ValueError):
            pass  # ended without an end, or closed by the test, which urllib3 tells in several ways

    @property
    def ended(self) -> bool:
        """Whether the server has ended it."""
        return not self._thread.is_alive()

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The lines that are posts, read."""
        return [json.loads(line) for line in self.lines if line]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """Nothing is delivered by itself until a stream is opened; then 45 posts as fast as they go."""
    with Simulator(SimulatorOptions(rate=0, posts=45, keep_alive=0.2)) as simulator:
        yield simulator


@pytest.fixture
def filled(sim: Simulator) -> Simulator:
    """The same, after all posts have been delivered."""
    sim.add_rule("justin bieber")
    reader = Reader(sim)
    wait_for(lambda: sim.finished and len(reader.posts) == 45)
    reader.response.close()
    return sim


# Rules


def test_without_rules_the_answer_has_no_data(sim: Simulator) -> None:
    answer = ask(sim, RULES)
    assert answer.status_code == 200
    assert "data" not in answer.json()
    assert answer.json()["meta"]["result_count"] == 0


def test_a_new_rule_is_created_and_listed(sim: Simulator) -> None:
    answer = change(sim, {"add": [{"value": "justin bieber", "tag": "jb"}, {"value": "#music"}]})
    assert answer.status_code == 201
    summary = answer.json()["meta"]["summary"]
    assert summary == {"created": 2, "not_created": 0, "valid": 2, "invalid": 0}
    listed = ask(sim, RULES).json()
    assert listed["data"] == answer.json()["data"] == sim.rules
    assert [rule.get("tag") for rule in listed["data"]] == ["jb", None]
    assert [rule["id"] for rule in ask(sim, RULES, ids=listed["data"][1]["id"]).json()["data"]] == [
        listed["data"][1]["id"]
    ]


def test_a_dry_run_changes_nothing(sim: Simulator) -> None:
    assert add(sim, "justin bieber", dry_run="true").status_code == 201
    assert sim.rules == []
    sim.add_rule("justin bieber")
    deleted = change(sim, {"delete": {"ids": [sim.rules[0]["id"]]}}, dry_run="true")
    assert deleted.json()["meta"]["summary"]["deleted"] == 1
    assert len(sim.rules) == 1


def test_a_duplicate_is_told_with_the_id_it_repeats(sim: Simulator) -> None:
    sim.add_rule("justin bieber")
    answer = add(sim, "justin bieber")
    assert answer.status_code == 200
    assert "data" not in answer.json()
    assert answer.json()["meta"]["summary"]["not_created"] == 1
    (error,) = answer.json()["errors"]
    assert (error["title"], error["id"]) == ("DuplicateRule", sim.rules[0]["id"])


@pytest.mark.parametrize("value", ["-hello", "has:media", "", '"open', "(open"])
def test_an_invalid_rule_is_not_taken(sim: Simulator, value: str) -> None:
    answer = add(sim, value)
    assert answer.status_code == 200
    assert answer.json()["errors"][0]["type"].endswith("/invalid-rules")
    assert answer.json()["errors"][0]["details"]
    assert sim.rules == []


def test_the_good_rules_are_taken_beside_the_bad(sim: Simulator) -> None:
    answer = add(sim, "justin bieber", "-hello", "music")
    assert answer.status_code == 201
    assert [rule["value"] for rule in answer.json()["data"]] == ["justin bieber", "music"]
    assert [error["value"] for error in answer.json()["errors"]] == ["-hello"]
    assert answer.json()["meta"]["summary"] == {"created": 2, "not_created": 1, "valid": 2, "invalid": 1}


def test_length_and_number_of_rules_are_capped() -> None:
    with Simulator(SimulatorOptions(rule_cap=2, rule_length=10)) as sim:
        assert add(sim, "x" * 11).json()["errors"][0]["type"].endswith("/rule-length")
        assert add(sim, "x" * 10, "music").status_code == 201
        assert add(sim, "more").json()["errors"][0]["title"] == "RulesCapExceeded"
        assert len(sim.rules) == 2


def test_rules_are_deleted_by_ids_values_and_all_at_once(sim: Simulator) -> None:
    for value in ("one", "two", "three", "four"):
        sim.add_rule(value)
    by_id = change(sim, {"delete": {"ids": [sim.rules[0]["id"]]}})
    assert by_id.status_code == 200
    assert by_id.json()["meta"]["summary"] == {"deleted": 1, "not_deleted": 0}
    assert change(sim, {"delete": {"values": ["two"]}}).json()["meta"]["summary"]["deleted"] == 1
    missing = change(sim, {"delete": {"ids": ["1"]}}).json()
    assert missing["meta"]["summary"] == {"deleted": 0, "not_deleted": 1}
    assert missing["errors"][0]["errors"][0]["message"] == "Rule does not exist"
    assert [rule["value"] for rule in sim.rules] == ["three", "four"]
    assert change(sim, {}, delete_all="true").json()["meta"]["summary"]["deleted"] == 2
    assert sim.rules == []


@pytest.mark.parametrize(
    "body", [{}, {"add": []}, {"add": [{"tag": "x"}]}, {"delete": {}}, [1], {"delete": {"ids": []}}]
)
def test_a_change_of_another_shape_is_refused(sim: Simulator, body: Any) -> None:
    answer = change(sim, body)
    assert answer.status_code == 400
    assert answer.json()["title"] == "Invalid Request"


def test_rules_are_counted_and_paged(sim: Simulator) -> None:
    for number in range(5):
        sim.add_rule(f"word{number}")
    counts = ask(sim, f"{RULES}/counts").json()["data"]
    assert counts["project_rules_count"] == counts["client_app_rules_count"]["rule_count"] == 5
    first = ask(sim, RULES, max_results=3).json()
    second = ask(sim, RULES, max_results=3, pagination_token=first["meta"]["next_token"]).json()
    assert first["data"] + second["data"] == sim.rules
    assert "next_token" not in second["meta"]


# Who may ask


@pytest.mark.parametrize("path", [RULES, SEARCH, COUNTS, USAGE, STREAM_PATH])
def test_a_wrong_token_is_401_and_user_context_403(sim: Simulator, path: str) -> None:
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": 'OAuth oauth_consumer_key="x"'}, 403),
    ):
        answer = requests.get(sim.url + path, headers=headers, timeout=PATIENCE)
        assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_a_stream_without_rules_is_409(sim: Simulator) -> None:
    reader = Reader(sim)
    assert reader.response.status_code == 409
    assert reader.response.json()["connection_issue"] == "RuleConfigurationIssue"
    assert sim.connections[0].status == 409


def test_a_path_that_x_does_not_have_is_404(sim: Simulator) -> None:
    assert ask(sim, "/2/nothing").status_code == 404
    assert [(one.path, one.status) for one in sim.requests] == [("/2/nothing", 404)]


def test_key_and_secret_are_exchanged_for_the_token(sim: Simulator) -> None:
    def exchange(secret: str, **form: str) -> requests.Response:
        return requests.post(f"{sim.url}/oauth2/token", data=form, auth=(CONSUMER_KEY, secret), timeout=PATIENCE)

    good = exchange(CONSUMER_SECRET, grant_type="client_credentials")
    assert good.json() == {"token_type": "bearer", "access_token": BEARER_TOKEN}
    wrong = exchange("wrong", grant_type="client_credentials")
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (403, 99)
    assert exchange(CONSUMER_SECRET).status_code == 403


# Search


def test_search_pages_through_everything_newest_first(filled: Simulator) -> None:
    found: list[str] = []
    token: dict[str, str] = {}
    for _ in range(10):
        page = ask(filled, SEARCH, query="justin bieber", max_results=10, **token).json()
        assert page["meta"]["result_count"] == len(page["data"])
        assert (page["meta"]["newest_id"], page["meta"]["oldest_id"]) == (
            page["data"][0]["id"],
            page["data"][-1]["id"],
        )
        found += [post["id"] for post in page["data"]]
        if "next_token" not in page["meta"]:
            break
        token = {"next_token": page["meta"]["next_token"]}
    assert found == [post for record in filled.requests for post in record.posts]
    assert found == [record.post for record in reversed(filled.sent) if record.kind == "post"]


def test_since_id_gives_what_is_newer(filled: Simulator) -> None:
    sent = [record.post for record in filled.sent if record.kind == "post"]
    page = ask(filled, SEARCH, query="justin bieber", max_results=100, since_id=sent[-6]).json()
    assert [post["id"] for post in page["data"]] == sent[:-6:-1]
    none = ask(filled, SEARCH, query="justin bieber", since_id=sent[-1])
    assert (none.status_code, none.json()) == (200, {"meta": {"result_count": 0}})


def test_a_stale_since_id_is_refused_with_the_smallest_that_is_not(filled: Simulator) -> None:
    old = snowflake(time.time() - 8 * 86400, 0)
    answer = ask(filled, SEARCH, query="justin bieber", since_id=old)
    assert answer.status_code == 400
    message = answer.json()["errors"][0]["message"]
    smallest = int(message.rpartition(" ")[2].rstrip("."))
    assert smallest > old
    assert ask(filled, SEARCH, query="justin bieber", since_id=smallest + (60_000 << 22)).status_code == 200


def test_search_without_hits_has_no_data(filled: Simulator) -> None:
    assert ask(filled, SEARCH, query="zzyzx").json() == {"meta": {"result_count": 0}}


@pytest.mark.parametrize(
    "params",
    [{}, {"query": "x" * 513}, {"query": "x", "max_results": 9}, {"query": "x", "max_results": 101},
     {"query": "x", "next_token": "%%"}, {"query": "-x"}, {"query": "x sample:10"}, {"query": "x (bio:y OR z)"}, {"query": "x", "start_time": "2001-01-01T00:00:00Z"}],
)  # fmt: skip
def test_a_search_that_x_would_not_take_is_400(sim: Simulator, params: dict[str, Any]) -> None:
    assert ask(sim, SEARCH, **params).status_code == 400


def test_counts_and_usage_agree_with_what_was_sent(filled: Simulator) -> None:
    counts = ask(filled, COUNTS, query="justin bieber", granularity="minute").json()
    assert counts["meta"]["total_tweet_count"] == sum(one["tweet_count"] for one in counts["data"]) == 45
    usage = ask(filled, USAGE, days=3).json()["data"]
    assert usage["project_usage"] == 45
    assert len(usage["daily_project_usage"]["usage"]) == 3
    with Simulator(SimulatorOptions(usage_as_strings=True)) as other:
        assert ask(other, USAGE).json()["data"]["project_usage"] == "0"


# Rates


@pytest.mark.parametrize(("path", "limit"), [(RULES, 450), (SEARCH, 450), (COUNTS, 300), (USAGE, 50)])
def test_answers_tell_how_many_requests_are_left(sim: Simulator, path: str, limit: int) -> None:
    for used in (1, 2):
        headers = ask(sim, path, query="justin bieber").headers
        assert int(headers["x-rate-limit-limit"]) == limit
        assert int(headers["x-rate-limit-remaining"]) == limit - used
        assert time.time() < int(headers["x-rate-limit-reset"]) <= time.time() + 902


def test_a_used_up_window_is_429(sim: Simulator) -> None:
    statuses = [ask(sim, USAGE).status_code for _ in range(51)]
    assert statuses == [200] * 50 + [429]


def test_connects_beyond_the_budget_are_429() -> None:
    with Simulator(SimulatorOptions(connect_budget=2, connect_window=600)) as sim:
        answers = [Reader(sim).response for _ in range(3)]
        assert [answer.status_code for answer in answers] == [409, 409, 429]
        assert answers[2].headers["x-rate-limit-remaining"] == "0"
        assert int(answers[2].headers["x-rate-limit-reset"]) > time.time()


# The stream


def test_a_second_connection_kicks_the_first(sim: Simulator) -> None:
    sim.add_rule("justin bieber")
    first = Reader(sim)
    wait_for(lambda: bool(first.lines))
    second = Reader(sim)
    assert second.response.status_code == 200
    wait_for(lambda: first.ended)
    assert not second.ended
    wait_for(lambda: sim.connections[0].ended == "kicked by another connection")


def test_a_second_connection_can_be_refused_and_a_ghost_holds_the_slot() -> None:
    with Simulator(SimulatorOptions(second_connection="refuse", ghost_seconds=600, keep_alive=0.2)) as sim:
        sim.add_rule("justin bieber")
        first = Reader(sim)
        second = Reader(sim).response
        assert (second.status_code, second.json()["connection_issue"]) == (429, "TooManyConnections")
        assert int(second.headers["x-rate-limit-remaining"]) > 0
        first.response.close()
        assert Reader(sim).response.status_code == 429
        killed = requests.delete(f"{sim.url}/2/connections/all", headers=BEARER, timeout=PATIENCE)
        assert killed.json()["data"]["successful_kills"] >= 1


@pytest.mark.parametrize("gzip", [False, True])
def test_what_arrives_is_what_was_sent_compressed_or_not(gzip: bool) -> None:
    with Simulator(SimulatorOptions(rate=300, posts=50, duplicates=0.1, keep_alive=0.2, gzip=gzip)) as sim:
        sim.add_rule("justin bieber")
        reader = Reader(sim, **{"accept-encoding": "gzip"})
        assert (reader.response.headers.get("content-encoding") == "gzip") == gzip
        wait_for(lambda: sim.finished and len(reader.posts) >= len(posts_of(sim)))
        sent = [record for record in sim.sent if record.kind != "keep_alive"]
        assert [line for line in reader.lines if line] == [record.raw.removesuffix(b"\r\n") for record in sent]
        assert all(record.whole for record in sent)
        assert len({record.post for record in sent}) == 50 < len(sent)


def test_keep_alives_fill_the_silence() -> None:
    with Simulator(SimulatorOptions(posts=0, keep_alive=0.05)) as sim:
        sim.add_rule("justin bieber")
        reader = Reader(sim)
        wait_for(lambda: len(reader.lines) >= 3)
        assert set(reader.lines) == {b""}
        assert {(record.kind, record.raw) for record in sim.sent} == {("keep_alive", b"\r\n")}


def test_a_pushed_line_is_sent_as_it_stands(filled: Simulator) -> None:
    reader = Reader(filled)
    filled.push({"data": {"id": "7", "text": "é"}})
    wait_for(lambda: any(reader.lines))
    assert '{"data": {"id": "7", "text": "é"}}'.encode() in reader.lines
    assert [record.raw for record in filled.sent if record.kind == "pushed"] == [
        '{"data": {"id": "7", "text": "é"}}\r\n'.encode()
    ]


def test_only_the_fields_that_were_asked_for_are_sent(sim: Simulator) -> None:
    sim.add_rule("justin bieber", tag="jb")
    reader = Reader(sim)
    wait_for(lambda: len(reader.posts) == 45)
    for post in reader.posts:
        assert set(post) == {"data", "matching_rules"}
        assert set(post["data"]) == {"id", "text", "edit_history_tweet_ids"}
        assert post["matching_rules"] == [{"id": sim.rules[0]["id"], "tag": "jb"}]


def test_the_log_is_what_was_sent(tmp_path: Path) -> None:
    log = tmp_path / "sent.ndjson"
    options = SimulatorOptions(rate=0, posts=40, duplicates=0.1, log=log, faults=("20:cut-mid-json",))
    with Simulator(options) as sim:
        sim.add_rule("justin bieber")
        for _ in range(2):
            reader = Reader(sim)
            wait_for(lambda reader=reader: reader.ended or sim.finished, PATIENCE)  # type: ignore[misc]
        wait_for(lambda: sim.finished)
        written = log.read_text("ascii").splitlines()
        assert written == [record.to_json() for record in sim.sent]
    assert len([line for line in written if not json.loads(line)["whole"]]) == 1


def test_the_server_refuses_connections_while_it_is_told_to(sim: Simulator) -> None:
    sim.pause_listening()
    with pytest.raises(requests.ConnectionError):
        ask(sim, RULES)
    sim.resume_listening()
    assert ask(sim, RULES).status_code == 200


def test_a_rule_that_nobody_writes_about_leaves_the_stream_open_and_quiet() -> None:
    """Without a rate, too: what matches nothing must not keep the server busy for ever."""
    with Simulator(SimulatorOptions(rate=0, keep_alive=0.2)) as sim:
        sim.add_rule("from:nobody_at_all")
        with socket.create_connection(("127.0.0.1", sim.port), timeout=120) as sock:
            sock.sendall(
                f"GET /2/tweets/search/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER_TOKEN}\r\n\r\n".encode()
            )
            received = b""
            while received.count(b"2\r\n\r\n\r\n") < 3:
                received += sock.recv(65536)
        assert {record.kind for record in sim.sent} == {"keep_alive"}
