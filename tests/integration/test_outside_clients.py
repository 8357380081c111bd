"""Clients that nobody here wrote stream from the simulator, unmodified, and get exactly what it says that it sent."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
import trustme
import tweepy

from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from tests.conftest import wait_until

POSTS = ("post", "edit", "duplicate")


class Rebase(requests.adapters.HTTPAdapter):
    """Sends tweepy's fixed host to the simulator; nothing else of tweepy is touched."""

    def __init__(self, base: str) -> None:
        self.base = base
        super().__init__()

    def send(self, request, **more):
        request.url = request.url.replace("https://api.twitter.com", self.base, 1)
        return super().send(request, **more)


def test_tweepy_streams_what_was_sent():
    with Simulator(SimulatorOptions(rate=0, posts=200, duplicates=0.05)) as sim:
        got: list[str] = []
        client = tweepy.StreamingClient(sim.options.tokens[0], max_retries=0)
        client.session.mount("https://api.twitter.com", Rebase(sim.url))
        client.on_tweet = lambda tweet: got.append(str(tweet.id))
        added = client.add_rules(tweepy.StreamRule('"justin bieber"', tag="outside"))
        assert not added.errors
        assert [rule.value for rule in client.get_rules().data] == ['"justin bieber"']
        thread = client.filter(threaded=True, tweet_fields=["created_at", "entities"], expansions=["author_id"])
        wait_until(lambda: len({sent.post for sent in sim.sent if sent.kind in POSTS}) >= 200)
        sent = [record.post for record in sim.sent if record.kind in POSTS]
        wait_until(lambda: len(got) >= len(sent))
        client.disconnect()
    thread.join(30)
    assert got == sent


def test_tweepys_search_pages_through_what_was_sent():
    with Simulator(SimulatorOptions(rate=0, posts=150)) as sim:
        client = tweepy.StreamingClient(sim.options.tokens[0], max_retries=0)
        client.session.mount("https://api.twitter.com", Rebase(sim.url))
        client.add_rules(tweepy.StreamRule('"justin bieber"', tag="search"))
        thread = client.filter(threaded=True)
        wait_until(lambda: len({sent.post for sent in sim.sent if sent.kind in POSTS}) >= 150)
        client.disconnect()
        search = tweepy.Client(sim.options.tokens[0])
        search.session.mount("https://api.twitter.com", Rebase(sim.url))
        pages = tweepy.Paginator(search.search_recent_tweets, '"justin bieber"', max_results=50)
        found = [str(tweet.id) for tweet in pages.flatten()]
        sent = {record.post for record in sim.sent if record.kind in POSTS}
    thread.join(30)
    assert len(found) == len(set(found))
    assert set(found) <= sent
    assert len(found) > 100  # keyword search leaves out retweets


class Front(threading.Thread):
    """A proxy that answers CONNECT api.twitter.com:443 itself, over TLS, and passes all on to the simulator."""

    def __init__(self, target: tuple[str, int], authority: trustme.CA) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("api.twitter.com", "api.x.com").configure_cert(self.context)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.asked: list[bytes] = []

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.asked.append(head.split(b"\r\n")[0])
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            inner = self.context.wrap_socket(client, server_side=True)
            outer = socket.create_connection(self.target)
            while True:
                ready = [inner] if inner.pending() else select.select([inner, outer], [], [], 60)[0]
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        inner.close()
                        outer.close()
                        return
                    (outer if end is inner else inner).sendall(data)


@pytest.fixture
def twarc(tmp_path):
    """Call `twarc2` with a private home, through a front; gives (simulator, run)."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Simulator(SimulatorOptions(rate=0, posts=300, duplicates=0.05)) as sim:
        front = Front(("127.0.0.1", sim.port), authority)
        front.start()
        env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        env |= {
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "HTTPS_PROXY": f"http://127.0.0.1:{front.port}",
            "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem"),
            "BEARER_TOKEN": sim.options.tokens[0],
        }

        def run(*arguments: str) -> subprocess.Popen:
            command = [str(Path(sys.executable).parent / "twarc2"), "--bearer-token", sim.options.tokens[0], *arguments]
            return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        yield sim, run
        front.listener.close()
        assert any(b"api." in line for line in front.asked)


def test_twarc2_writes_what_was_sent(twarc, tmp_path):
    sim, run = twarc
    rules = run("stream-rules", "add", '"justin bieber"')
    said, _ = rules.communicate(timeout=60)
    assert rules.returncode == 0, said
    out = tmp_path / "stream.jsonl"
    stream = run("stream", str(out))
    try:
        wait_until(lambda: len({sent.post for sent in sim.sent if sent.kind in POSTS}) >= 300, 60)
        sent = [record.post for record in sim.sent if record.kind in POSTS]
        wait_until(lambda: out.exists() and out.read_text().count("\n") >= len(sent), 60)
    finally:
        stream.send_signal(signal.SIGINT)
        said, _ = stream.communicate(timeout=60)
    written = [json.loads(line)["data"]["id"] for line in out.read_text().splitlines()]
    assert written == sent, said
