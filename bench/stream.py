"""What everyone reads: an endless stream of prepared posts, the same bytes for each, from a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import requests

from core.simulator.options import BEARER_TOKEN
from core.simulator.prepared import Order

Payload = Literal["small", "rich", "full"]
TOKEN = BEARER_TOKEN
RULE = '"justin bieber"'
DUPLICATES = 0.01


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of stream: posts of about 300 bytes, posts with the fields that are asked for ("rich"), or posts of
    4.7 kB with all that X has ("full"); and the share that is about the topic.
    """

    payload: Payload
    match: float

    def __str__(self) -> str:
        names = {"small": "small", "rich": "as asked for", "full": "rich"}
        return f"{names[self.payload]}, {self.match:.0%}"


LOADS = tuple(Load(payload, match) for payload in ("small", "full") for match in (0.1, 0.5))


class Stream:
    """The simulator's process. As a context manager; `rate` 0 is as fast as the client reads.

    `prepared` posts are made before the first connection is answered, and sent again and again under other ids.
    """

    def __init__(
        self, load: Load, folder: Path, *, rate: float = 0.0, chunk_lines: int = 1, prepared: int = 2000
    ) -> None:
        self.load = load
        self._log = folder / "sent.ndjson"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tui.cli", "simulate", "--rate", str(rate), "--prepared", str(prepared),
             "--payload", load.payload, "--match", str(load.match), "--duplicates", str(DUPLICATES),
             "--chunk-lines", str(chunk_lines), "--log", str(self._log)],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        self.url = self._process.stderr.readline().split()[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def define_rule(self) -> None:
        """For whoever does not bring a rule of its own; with a tag, since tweepy cannot read one without."""
        body = {"add": [{"value": RULE, "tag": "bench"}]}
        requests.post(
            f"{self.url}/2/tweets/search/stream/rules",
            json=body,
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=30,
        ).raise_for_status()

    def has_begun(self) -> bool:
        """Whether posts were sent."""
        return self._log.exists() and self._log.stat().st_size > 300  # the order and a first span

    def began(self) -> float:
        """When the first bytes went out (seconds since 1970)."""
        with self._log.open() as log:
            log.readline()
            return float(json.loads(log.readline())["at"])

    def expected(self, deliveries: int) -> Expected:
        """What the first so many deliveries are."""
        with self._log.open() as log:
            values = json.loads(log.readline())
        del values["kind"]
        order = Order(**values)
        numbers = list(order.numbers(1, deliveries))
        return Expected(
            lines=[str(order.id(n)) for n in numbers],
            topical={str(order.id(n)) for n in numbers if order.topic(n)},
        )


@dataclass(frozen=True, slots=True)
class Expected:
    """The ids of the lines in order, and of the posts about the topic."""

    lines: list[str]
    topical: set[str]
