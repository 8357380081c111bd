"""What the simulator does with posts that nobody reads, reads late or asks for again; and the command itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.server import STREAM_PATH, Simulator
from tests.x_server import wait_for

BEARER = {"authorization": f"Bearer {BEARER_TOKEN}"}
PATIENCE = 60


@contextmanager
def simulator(**options: object) -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(**({"rate": 0.0, "connect_budget": 1000} | options))) as sim:  # type: ignore[arg-type]
        sim.add_rule('"justin bieber"', "jb")
        yield sim


def read(sim: Simulator, count: int, **params: str) -> list[str]:
    """The ids of so many posts of a connection of one's own; fewer when it ends before."""
    ids: list[str] = []
    with requests.get(
        sim.url + STREAM_PATH, params=params, headers=BEARER, stream=True, timeout=PATIENCE
    ) as answer:
        assert answer.status_code == 200, answer.text
        try:
            for line in answer.iter_lines(chunk_size=1):
                if line:
                    ids.append(json.loads(line)["data"]["id"])
                if len(ids) == count:
                    break
        except (requests.exceptions.ChunkedEncodingError, json.JSONDecodeError):
            pass
    return ids


def search(sim: Simulator, **params: str) -> set[str]:
    """The ids that recent search finds, all pages."""
    found: set[str] = set()
    token: dict[str, str] = {}
    while True:
        asked = {"query": '"justin bieber"', "max_results": "100", **params, **token}
        answer = requests.get(f"{sim.url}/2/tweets/search/recent", params=asked, headers=BEARER, timeout=PATIENCE)
        body = answer.json()
        found |= {post["id"] for post in body.get("data", ())}
        if "next_token" not in body["meta"]:
            return found
        token = {"next_token": body["meta"]["next_token"]}


def test_what_is_written_while_nobody_is_connected_is_lost_and_found_by_search() -> None:
    with simulator(rate=200, hold_while_disconnected=False) as sim:
        first = read(sim, 5)
        wait_for(lambda: len(search(sim, since_id=first[-1])) > 20)
        second = read(sim, 5)
        lost = {sent.post for sent in sim.sent if sent.kind == "lost"}
        assert len(lost) > 15
        assert not lost & {*first, *second}
        assert lost <= search(sim)


def test_held_posts_go_on_with_the_next_one() -> None:
    with simulator(posts=60, faults=("21:cut", "41:close")) as sim:
        ids = read(sim, 60) + read(sim, 60) + read(sim, 20)
        assert ids == [sent.post for sent in sim.sent if sent.kind == "post"]
        assert len(ids) == len(set(ids)) == 60


@pytest.mark.parametrize("resend", [False, True])
def test_a_post_that_was_cut_is_sent_again_only_when_asked(resend: bool) -> None:
    with simulator(posts=30, faults=("10:cut-mid-json",), resend_cut=resend) as sim:
        got = read(sim, 30) + read(sim, 21 if resend else 20)
        cut = next(sent.post for sent in sim.sent if not sent.whole)
        assert (cut in got) is resend
        assert cut in search(sim)
        assert got == [sent.post for sent in sim.sent if sent.whole and sent.kind == "post"]


def test_backfill_repeats_the_last_minutes_and_needs_access() -> None:
    with simulator(posts=20, backfill_access=True) as sim:
        first = read(sim, 20)
        assert read(sim, 20, backfill_minutes="1") == first
        assert [sent.post for sent in sim.sent if sent.kind == "backfill"] == first
    with simulator() as sim:
        refused = requests.get(f"{sim.url}{STREAM_PATH}?backfill_minutes=1", headers=BEARER, timeout=PATIENCE)
        assert refused.status_code == 400
        assert refused.json()["type"].endswith("/invalid-request")


def test_a_client_that_does_not_read_is_dropped_and_loses_what_was_buffered() -> None:
    with simulator(rate=20_000, slow_reader_buffer=2000) as sim:
        with socket.create_connection(("127.0.0.1", sim.port), timeout=PATIENCE) as sock:
            sock.sendall(
                f"GET {STREAM_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER_TOKEN}\r\n\r\n".encode()
            )
            wait_for(lambda: bool(sim.connections) and sim.connections[0].ended != "")
        assert sim.connections[0].ended == "dropped as a slow reader"
        lost = [sent for sent in sim.sent if sent.kind == "lost"]
        assert len(lost) == 2000
        assert {sent.connection for sent in lost} == {1}


def test_a_fault_can_be_asked_for_while_it_runs() -> None:
    with simulator(posts=5, keep_alive=0.1) as sim:
        with requests.get(sim.url + STREAM_PATH, headers=BEARER, stream=True, timeout=PATIENCE) as answer:
            wait_for(lambda: sim.finished)
            sim.schedule("t0:disconnect-force")
            lines = [line for line in answer.iter_lines() if line]
        assert json.loads(lines[-1])["errors"][0]["disconnect_type"] == "ForceDisconnect"
        wait_for(lambda: sim.connections[0].ended == "ForceDisconnect")


def test_a_connection_that_is_kicked_loses_nothing() -> None:
    """The post that the old connection had taken comes first on the new one."""
    with simulator(posts=40, faults=("20:stall=600",)) as sim:
        with requests.get(sim.url + STREAM_PATH, headers=BEARER, stream=True, timeout=PATIENCE):
            wait_for(lambda: len(sim.sent) == 19)
            second = read(sim, 21)
        assert [sent.post for sent in sim.sent][19:] == second
        assert second == sorted(second)
        wait_for(lambda: sim.connections[0].ended == "kicked by another connection")


def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    log = tmp_path / "sent.ndjson"
    command = [
        sys.executable,
        "-m",
        "tui.cli",
        "simulate",
        "--rate",
        "0",
        "--posts",
        "50",
        "--log",
        str(log),
        "--rule",
        "justin bieber",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None and process.stdout is not None
        url = process.stderr.readline().split()[-1]
        with requests.get(url + STREAM_PATH, headers=BEARER, stream=True, timeout=PATIENCE) as answer:
            lines = answer.iter_lines(chunk_size=1)
            got = [next(line for line in lines if line) for _ in range(50)]
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert out == ""
    logged = [json.loads(line) for line in log.read_text("ascii").splitlines()]
    assert [one["raw"].encode().rstrip() for one in logged if one["kind"] == "post"] == got


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--fault=5:nothing-like-that", "--list-faults"),
        ("--rule=-only", "non-negation"),
        ("--rule=(open", "position"),
        ("--log=/nowhere/at/all.ndjson", "--log"),
    ],
)
def test_a_wrong_flag_is_told_with_what_to_do(flag: str, words: str) -> None:
    done = _simulate([flag])
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = _simulate(["--port", str(taken.getsockname()[1])])
    assert done.returncode == 2
    assert "Choose another --port" in done.stderr


def test_every_fault_is_listed() -> None:
    done = _simulate(["--list-faults"])
    assert done.returncode == 0
    assert "cut-mid-json" in done.stdout and "http-503" in done.stdout


def _simulate(flags: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui.cli", "simulate", "--duration", "20", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
