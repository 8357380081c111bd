"""Prepared posts over HTTP: what a client reads is what the spans of the record say, through faults and all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.prepared import Order
from core.simulator.server import STREAM_PATH, Simulator
from tests.conftest import PATIENCE
from tests.x_server import wait_for

BEARER = {"authorization": f"Bearer {BEARER_TOKEN}"}

POSTS = ("post", "edit", "duplicate", "backfill")


@contextmanager
def simulator(**options: object) -> Iterator[Simulator]:
    asked = {"rate": 0.0, "prepared": 200, "end": True, "connect_budget": 1000, **options}
    with Simulator(SimulatorOptions(**asked)) as sim:  # type: ignore[arg-type]
        sim.add_rule('"justin bieber"', "jb")
        yield sim


def read(sim: Simulator, **params: str) -> list[bytes]:
    """The lines of one connection, until it ends in whatever way."""
    parts = []
    with requests.get(
        sim.url + STREAM_PATH, params=params, headers=BEARER, stream=True, timeout=PATIENCE
    ) as answer:
        assert answer.status_code == 200, answer.text
        try:
            parts.extend(answer.iter_content(65536))
        except requests.exceptions.ChunkedEncodingError:
            pass
    *lines, _cut = b"".join(parts).split(b"\r\n")
    return [line for line in lines if line]


def ids(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["data"]["id"] for line in lines]


def recorded(log: Path) -> list[str]:
    """The ids of the whole post lines, in order, from nothing but the log."""
    found: list[str] = []
    order: Order | None = None
    for line in log.read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "order":
            del record["kind"]
            order = Order(**record)
        elif record["kind"] == "run" and record["whole"]:
            assert order is not None
            found += [str(order.id(n)) for n in order.numbers(record["first"], record["last"])]
        elif record["kind"] in POSTS and record["whole"]:
            found.append(record["post"])
    return found


@pytest.mark.parametrize("how", [{}, {"chunk_lines": 7}, {"gzip": True}, {"payload": "full"}, {"rate": 20_000.0}])
def test_what_is_read_is_what_the_log_says(tmp_path: Path, how: dict[str, object]) -> None:
    log = tmp_path / "sent.ndjson"
    with simulator(**{"posts": 3000, "duplicates": 0.1, "payload": "small", "log": log} | how) as sim:
        lines = read(sim)
        assert sim.finished
        wait_for(lambda: sim.connections[0].ended == "the end")
    got = ids(lines)
    assert got == recorded(log)
    assert len(set(got)) == 3000
    assert 3290 <= len(got) <= 3300


def test_faults_happen_at_their_post_among_prepared_ones(tmp_path: Path) -> None:
    faults = ("50:duplicate", "80:out-of-order", "120:edit", "300:cut-mid-json", "700:reset-mid-json", "900:close",
              "1000:no-id", "1100:slow-reader-drop=20", "1300:many-per-chunk=5", "1400:gap=30")  # fmt: skip
    log = tmp_path / "sent.ndjson"
    with simulator(posts=2000, duplicates=0.05, match=0.5, faults=faults, log=log) as sim:
        parts = [read(sim) for _ in range(6)]
        assert [one.ended for one in sim.connections][:-1] == [
            "fin in the middle of a post", "reset in the middle of a post", "a clean end",
            "dropped as a slow reader", "cut, and posts are lost",
        ]  # fmt: skip
        singles = list(sim.sent)
        assert sim.order is not None
    posts = [line for part in parts for line in part if b'"id"' in line and b'"text"' in line]
    got = [json.loads(line)["data"].get("id") for line in posts]
    assert [one for one in got if one is not None] == recorded(log)
    assert 40 < sum(one.kind == "lost" for one in singles) <= 50  # a second delivery that is lost is no loss
    cut = [one.post for one in singles if one.kind == "post" and not one.whole]
    assert len(cut) == 2 and not set(cut) & set(got)
    edit = next(
        json.loads(line)["data"] for line in posts if json.loads(line)["data"]["edit_history_tweet_ids"][1:]
    )
    assert edit["edit_history_tweet_ids"][1] == edit["id"] != edit["edit_history_tweet_ids"][0]
    everything = {*got, *cut, *(one.post for one in singles if one.kind == "lost")} - {None}
    assert everything >= {str(sim.order.id(n)) for n in range(2000)}


def test_search_finds_them_and_what_nobody_read() -> None:
    with simulator(posts=500, rate=2000.0, hold_while_disconnected=False, faults=("100:cut",)) as sim:
        first = ids(read(sim))
        time.sleep(0.1)
        second = ids(read(sim))
        lost = {str(sim.order.id(n)) for run in sim.runs if run.kind == "lost-run"
                for n in sim.order.numbers(run.first, run.last)}  # fmt: skip
        lost |= {record.post for record in sim.sent if record.kind == "lost"}
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            asked = {"query": '"justin bieber"', "max_results": "100", "since_id": first[-1], **token}
            answer = requests.get(
                f"{sim.url}/2/tweets/search/recent", params=asked, headers=BEARER, timeout=PATIENCE
            )
            body = answer.json()
            found += [post["id"] for post in body.get("data", ())]
            if "next_token" not in body["meta"]:
                break
            token = {"next_token": body["meta"]["next_token"]}
    assert len(first) == 99
    assert len(lost) > 50 and not lost & {*first, *second}
    assert found == sorted(found, reverse=True)
    assert set(found) == lost | set(second)


def test_a_post_found_by_search_is_the_post_that_was_streamed() -> None:
    fields = {"tweet.fields": "created_at,author_id,entities,conversation_id", "expansions": "author_id"}
    with simulator(posts=100, match=0.5) as sim:
        streamed = {one["data"]["id"]: one["data"] for one in map(json.loads, read(sim, **fields))}
        answer = requests.get(
            f"{sim.url}/2/tweets/search/recent",
            params={"query": '"justin bieber"', "max_results": "100", **fields},
            headers=BEARER, timeout=PATIENCE,
        )  # fmt: skip
        assert {one["id"]: one for one in answer.json()["data"]} == streamed


def test_backfill_repeats_prepared_posts() -> None:
    with simulator(posts=300, backfill_access=True, faults=("200:cut",)) as sim:
        first = ids(read(sim))
        second = ids(read(sim, backfill_minutes="1"))
        assert second[:199] == first
        assert sorted(set(second)) == [str(sim.order.id(n)) for n in range(300)]


def test_a_client_that_stops_reading_leaves_a_part_in_doubt_and_the_rest_comes_next() -> None:
    with simulator(posts=5000, payload="full") as sim:
        with requests.get(sim.url + STREAM_PATH, headers=BEARER, stream=True, timeout=PATIENCE) as answer:
            next(answer.iter_content(1000))
            wait_for(lambda: sim.runs)
        wait_for(lambda: bool(sim.connections[0].ended))
        sent = sim.runs
        assert all(run.whole for run in sent[:-1])  # the last may be in doubt, no other
        rest = ids(read(sim))
        assert rest[0] == str(sim.order.id(sim.order.place(sent[-1].last + 1).n))
        assert sent[-1].last + len(rest) == 5000
