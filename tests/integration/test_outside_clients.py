"""Clients that others wrote, unmodified, against the simulator: they get exactly what it says that it sent."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import trustme
import tweepy
from requests.adapters import HTTPAdapter

from core.simulator.options import BEARER_TOKEN, SimulatorOptions
from core.simulator.record import SentRecord
from core.simulator.server import Simulator
from tests.x_server import wait_for

POST_KINDS = ("post", "edit", "duplicate")
PATIENCE = 60


class Rebase(HTTPAdapter):
    """Sends what is meant for X's host to another one."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        assert isinstance(request.url, str)
        parts = urlsplit(request.url)
        request.url = f"{self._base}{parts.path}?{parts.query}" if parts.query else f"{self._base}{parts.path}"
        return super().send(request, stream, timeout, verify, cert, proxies)


class Listener(tweepy.StreamingClient):
    """tweepy's stream, with every line and every parsed post kept."""

    def __init__(self, base: str) -> None:
        super().__init__(BEARER_TOKEN)
        self.session.mount("https://api.twitter.com", Rebase(base))
        self.lines: list[bytes] = []
        self.tweets: list[tweepy.Tweet] = []

    def on_data(self, raw_data: bytes) -> None:
        self.lines.append(raw_data)
        super().on_data(raw_data)

    def on_tweet(self, tweet: tweepy.Tweet) -> None:
        self.tweets.append(tweet)


def posts_of(sim: Simulator) -> list[SentRecord]:
    """What the simulator says it sent that a client should have as a post."""
    return [record for record in sim.sent if record.kind in POST_KINDS and record.whole]


def test_tweepy_gets_exactly_what_was_sent() -> None:
    with Simulator(SimulatorOptions(rate=500, posts=60, duplicates=0.1, edits=0.1, keep_alive=0.5)) as sim:
        listener = Listener(sim.url)
        added = listener.add_rules(tweepy.StreamRule("justin bieber", tag="jb"))
        assert not added.errors
        assert [rule.value for rule in added.data] == ["justin bieber"]
        thread = listener.filter(threaded=True, tweet_fields=["created_at", "public_metrics"])
        try:
            wait_for(lambda: sim.finished and len(listener.tweets) >= len(posts_of(sim)))
        finally:
            listener.disconnect()
            thread.join(PATIENCE)
        sent = posts_of(sim)
    assert len({record.post for record in sent}) == 60
    assert listener.lines == [record.raw.rstrip(b"\r\n") for record in sent]
    assert [str(tweet.id) for tweet in listener.tweets] == [record.post for record in sent]
    assert all(tweet.created_at and tweet.public_metrics for tweet in listener.tweets)


def test_tweepys_client_finds_by_search_what_was_streamed() -> None:
    with Simulator(SimulatorOptions(rate=0, posts=30, keep_alive=0.5)) as sim:
        listener = Listener(sim.url)
        listener.add_rules(tweepy.StreamRule("justin bieber", tag="jb"))  # tweepy cannot read a rule without
        thread = listener.filter(threaded=True)
        try:
            wait_for(lambda: sim.finished and len(listener.tweets) >= 30)
        finally:
            listener.disconnect()
            thread.join(PATIENCE)
        client = tweepy.Client(BEARER_TOKEN)
        client.session.mount("https://api.twitter.com", Rebase(sim.url))
        pages = tweepy.Paginator(client.search_recent_tweets, "justin bieber", max_results=10)
        found = [tweet.id for tweet in pages.flatten()]
        counted = client.get_recent_tweets_count("justin bieber").meta["total_tweet_count"]
        sent = [int(record.post) for record in posts_of(sim)]
    assert sorted(found) == sorted(sent)
    assert counted == len(sent) == 30


# twarc


class Front:
    """A proxy on loopback that takes CONNECT for X's host and answers for it, with a certificate of its own."""

    def __init__(self, sim: Simulator, authority: trustme.CA) -> None:
        self._port = sim.port
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("api.twitter.com").configure_cert(self._tls)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += client.recv(4096)
        self.asked.append(asked.split(b"\r\n", 1)[0].decode())
        try:
            connected = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            client.close()
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with closing(connected) as server:
            try:
                with self._tls.wrap_socket(client, server_side=True) as secured:
                    # One direction at a time in each thread; requests have no body that outlasts its answer.
                    threading.Thread(target=self._pass_on, args=(secured, server), daemon=True).start()
                    self._pass_on(server, secured)
            except OSError:
                pass  # one of the two has gone, which ends both

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        try:
            while content := source.recv(65536):
                target.sendall(content)
        except (OSError, ValueError):
            pass
        for one in (source, target):  # an end in whatever way, also a reset, ends both
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """Posts until 40 distinct ones are out, then keep-alives."""
    with Simulator(SimulatorOptions(rate=200, posts=40, duplicates=0.1, keep_alive=0.3)) as simulator:
        yield simulator


def test_twarc_writes_exactly_what_was_sent(sim: Simulator, tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    front = Front(sim, authority)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
        "BEARER_TOKEN": BEARER_TOKEN, "HTTPS_PROXY": front.url, "REQUESTS_CA_BUNDLE": str(bundle),
    }  # fmt: skip
    twarc = [sys.executable, str(Path(sys.executable).with_name("twarc2")), "--app-auth"]

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [*twarc, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        run("stream-rules", "add", "justin bieber", "--tag", "jb")
        assert [(rule["value"], rule["tag"]) for rule in sim.rules] == [("justin bieber", "jb")]
        run("stream", "--limit", "44", "captured.jsonl")
    finally:
        front.close()
    written = [json.loads(line) for line in (tmp_path / "captured.jsonl").read_text("utf-8").splitlines()]
    assert all(one.pop("__twarc")["url"].startswith("https://api.twitter.com/2/") for one in written)
    sent = posts_of(sim)
    assert len(sent) == 44  # forty posts, and a tenth of them twice
    assert written == [json.loads(record.raw) for record in sent]
    assert {asked.rpartition(" ")[0] for asked in front.asked} == {"CONNECT api.twitter.com:443"}
