"""Real tweets through the whole program: the 4,200 of Hutto and Gilbert (ICWSM 2014), wrapped as posts of X.

They come with the source archive of vaderSentiment 3.3.2 (MIT), fetched when the test runs and kept in the cache.
The oracle is a few lines that share nothing with the program: which posts have the word in their text.
"""

from __future__ import annotations

import html
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from core.query import parse_topic
from core.simulator.options import SimulatorOptions
from core.simulator.server import Simulator
from core.sources.x.decode import decode
from tests.integration.test_main_job import Program, balanced, journal_ids

CACHE = Path(os.environ.get("BIEBER_TUI_CACHE") or Path.home() / ".cache" / "bieber-tui") / "real-text"


@pytest.fixture(scope="module")
def tweets() -> dict[str, str]:
    """Id -> text as X gives it, HTML-escaped."""
    archive = CACHE / "vaderSentiment-3.3.2.tar.gz"
    if not archive.exists():
        fetched = subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:",
             "--dest", str(CACHE), "vaderSentiment==3.3.2"],
            capture_output=True, text=True,
        )  # fmt: skip
        if fetched.returncode:
            assert os.environ.get("CI") != "true", fetched.stderr
            pytest.skip(f"the source archive of vaderSentiment cannot be had: {fetched.stderr.strip()[-200:]}")
    with tarfile.open(archive) as outer:
        inner = outer.extractfile("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz")
        assert inner is not None
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as tar:
            file = tar.extractfile("hutto_ICWSM_2014/tweets_GroundTruth.txt")
            assert file is not None
            lines = file.read().decode("utf-8").splitlines()
    return {str(10**18 + number): line.split("\t", 2)[2] for number, line in enumerate(lines)}


def has_word(text: str) -> bool:
    return not {"music", "love"}.isdisjoint(re.findall(r"\w+", html.unescape(text).casefold()))


def test_real_tweets_are_kept_exactly_when_they_have_the_word(tmp_path, tweets):
    assert len(tweets) == 4200
    with Simulator(SimulatorOptions(posts=0)) as sim:
        for id_, text in tweets.items():
            sim.push({"data": {"id": id_, "text": text, "edit_history_tweet_ids": [id_]}, "matching_rules": []})
        flags = ("--topic", "music OR love", "--max-posts", str(len(tweets)))
        code, report = Program(sim, tmp_path / "data", *flags).end()
    assert code == 0
    balanced(report)
    expected = {id_ for id_, text in tweets.items() if has_word(text)}
    kept = set(journal_ids(tmp_path / "data"))
    assert kept == expected, [tweets[id_] for id_ in kept ^ expected]
    assert report["run"]["consumed"] == 4200
    assert report["run"]["unique"] == report["run"]["matched"] == len(expected)


@pytest.mark.parametrize(
    "query",
    [
        "music OR love",
        '"so happy" OR "can\'t wait" OR "i love"~3',
        "(good OR great -bad) (day OR night) -work",
        "#fb OR @user OR $x OR url:com OR has:links",
        'lol OR "ha ha" OR 3 OR "a m"',
    ],
)
def test_both_ways_to_match_agree_on_real_tweets(tweets, query):
    topic = parse_topic(query)
    found = 0
    for id_, text in tweets.items():
        post = decode(json.dumps({"data": {"id": id_, "text": text}}).encode())
        verdict = topic.match(post)
        assert verdict == topic.match_plain(post), text
        found += verdict is not None
    assert found > 0
