"""Moments of a capture, made up but the same every time: what the screen tests and the pictures draw.

No person's posts: the texts are invented. Time stands still at NOW.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

from msgspec import structs
from msgspec.structs import replace

from core.archive import Found, Record
from core.counters import Counters
from core.filter import Wanted, compile_filter
from core.health import Health, RateLimit, SourceState, Stretch
from core.post import Author, Post
from core.snapshot import (
    Event,
    FeedRow,
    Gap,
    JournalStatus,
    Level,
    Rates,
    Series,
    SinkState,
    SinkStatus,
    Snapshot,
    Top,
    Verdict,
    Window,
)

NOW = datetime(2026, 11, 24, 12, 41, 9, tzinfo=UTC).timestamp()
STARTED = NOW - 8047  # 02:14:07

AUTHORS = (
    ("melody_k", "Melody"), ("pop_daily", "Pop Daily"), ("r4dio", "Radio Four"), ("ana_ruiz", "Ana"),
    ("tokyo_beats", "東京ビート"), ("synthlover_1987", "S."), ("noor", "نور"), ("kpop_und_mehr", "K"),
    ("vinylhunter", "Vinyl"), ("belieber4ever_official", "B4E"), ("min_ji", "민지"), ("lukas", "Lukas"),
)  # fmt: skip
TEXTS = (
    "JB just dropped the new music video 🎵 #music and it is all I will talk about today",
    "who else has the new justin bieber music on repeat since this morning? 🙋🏽‍♀️",
    "Music news: Justin Bieber announces three more nights https://example.org/tour",
    "la música de justin bieber me salva los lunes 💜 #music",
    "ジャスティン・ビーバーの新曲 music 最高すぎる 🔥🔥",
    "RT @pop_daily: justin bieber + orchestra = the best music night of the year",
    "موسيقى جاستن بيبر الجديدة رائعة #music",
    "Neue Music von Justin Bieber, und ich sitze in der Bahn und grinse 😂",
    "unpopular opinion: the acoustic version is the real music. justin bieber agrees with me, probably",
    "line one about justin bieber\nline two about his music",
    "저스틴 비버 신곡 music 무한반복 중 👨‍👩‍👧 가족 모두",
    "Justin Bieber fera sa music à Paris 🇫🇷 qui vient avec moi ?",
)
OFF_TOPIC = (
    "justin bieber seen getting coffee in toronto again ☕️",
    "my cat is called justin bieber and he hates everyone",
    "is justin bieber taller than my fridge? asking for a friend",
)


def post(number: int, text: str, author: tuple[str, str]) -> Post:
    at = NOW - (200 - number) * 0.9
    return Post(
        source="x",
        id=str(1_790_000_000_000_000_000 + number * 4_111),
        text=text,
        created_at=datetime.fromtimestamp(round(at - 1.2, 3), UTC),
        author=Author(id=str(1000 + number % 12), username=author[0], name=author[1]),
        lang="en",
        tags=tuple(word[1:] for word in text.split() if word.startswith("#")),
        links=tuple(word for word in text.split() if word.startswith("http")),
        metrics={"like_count": number * 7 % 90, "retweet_count": number % 9, "reply_count": number % 4},
    )


def row(number: int) -> FeedRow:
    """The post with that sequence number; every tenth is a duplicate, every fifth or so off the topic."""
    random = Random(number)
    filtered = number % 5 == 3
    text = random.choice(OFF_TOPIC) if filtered else TEXTS[number % len(TEXTS)]
    verdict = Verdict.FILTERED if filtered else Verdict.DUPLICATE if number % 10 == 6 else Verdict.MATCHED
    made = post(number, text, random.choice(AUTHORS))
    matched = () if filtered else ("#music",) if "#music" in text else ("music",)
    at = NOW - (200 - number) * 0.9
    return FeedRow(number, made, verdict, matched, at, backfilled=number % 37 == 5 and not filtered)


def rows(first: int, last: int) -> tuple[FeedRow, ...]:
    return tuple(row(number) for number in range(first, last + 1))


def wave(count: int, base: float, swing: float, seed: int) -> tuple[int, ...]:
    """Counts that rise and fall as those of a stream do."""
    random = Random(seed)
    level, out = base, []
    for _ in range(count):
        level += random.uniform(-swing, swing) + (base - level) * 0.06
        out.append(max(round(level + random.uniform(-base * 0.12, base * 0.12)), 0))
    return tuple(out)


def series(step: float, count: int, base: float, seed: int) -> Series:
    *whole, last = wave(count, base, base * 0.12, seed)
    consumed = (*whole, round(last * (NOW % step) / step))  # the last step is not over
    random = Random(seed + 1)
    share, matched = 0.18, []
    for value in consumed:
        share = min(max(share + random.uniform(-0.02, 0.02) + (0.18 - share) * 0.1, 0.02), 0.6)
        matched.append(round(value * share))
    start = NOW - NOW % step - (count - 1) * step
    return Series(step=step, start=start, consumed=consumed, matched=tuple(matched))


RATES = Rates(
    posts_per_s=41.2,
    match_rate=0.177,
    peak_per_s=212,
    peak_at=NOW - 2558,
    seconds=series(1.0, 300, 41, 7),
    minutes=series(60.0, 60, 2400, 11),
    day=series(360.0, 240, 14_000, 13),
    spikes=(NOW - 2558, NOW - 131),
)
WINDOW = Window(
    start=NOW - NOW % 300 - 3300,
    length=3600.0,
    slide=300.0,
    posts=22_385,
    tops=(
        Top("tags", (("#music", 8_412), ("#justinbieber", 640), ("#np", 88), ("#nowplaying", 31), ("#音楽", 12))),
        Top("authors", tuple((f"@{name}", 41 - 3 * place) for place, (name, _) in enumerate(AUTHORS))),
        Top("links", (("https://example.org/tour", 62), ("https://example.org/a/very/long/address/of/a/page", 5))),
        Top("languages", (("en", 501), ("es", 101), ("ja", 77), ("ko", 55), ("de", 48), ("fr", 30))),
        Top(
            "words",
            tuple(
                (word, 301 - 17 * place)
                for place, word in enumerate(
                    ["video", "new", "repeat", "nights", "tour", "orchestra", "acoustic", "best", "night", "paris"]
                )
            ),
            exact=False,
        ),
    ),
)
HEALTH = Health(
    source="x",
    state=SourceState.LIVE,
    since=NOW - 2330,
    last_byte_at=NOW - 0.4,
    last_post_at=NOW - 0.4,
    connects=3,
    reconnects=2,
    rate_limit=RateLimit(50, 48, NOW + 831),
    lag=1.2,
    queue=0,
    queue_limit=10_000,
    past=(
        Stretch(NOW - 4800, SourceState.LIVE),
        Stretch(NOW - 2347, SourceState.WAITING, reason="X 503 Service Unavailable"),
        Stretch(NOW - 2330.2, SourceState.CONNECTING, reason="X 503 Service Unavailable"),
        Stretch(NOW - 2330, SourceState.LIVE),
        Stretch(NOW - 1500, SourceState.QUIET),
        Stretch(NOW - 1410, SourceState.LIVE),
    ),
)
MONGODB = SinkStatus(
    name="mongodb",
    target="atlas-x.example.net/bieber_tui.posts",
    of_record=True,
    state=SinkState.OK,
    since=STARTED,
    stored=221_874,
    duplicate=6,
    rate=7.3,
    write_ms=22.0,
)
EVENTS = (
    Event(1, STARTED, Level.INFO, "capture started: the journal holds 209,394 posts"),
    Event(2, STARTED + 0.6, Level.INFO, "rule of ours added at X; 1 of 1,000 rules used"),
    Event(3, STARTED + 1.1, Level.INFO, "connected to X"),
    Event(4, NOW - 2558, Level.WARNING, "spike: 212 posts/s, five times the usual"),
    Event(5, NOW - 2347, Level.WARNING, "connection lost: X 503 Service Unavailable; next try in 5 s"),
    Event(6, NOW - 2330, Level.INFO, "connected again after 17 s"),
)
GAPS = (
    Gap("x", NOW - 90_000, NOW - 89_100, "paused by you", "no", chosen=True),
    Gap("x", NOW - 2347, NOW - 2330, "X 503 Service Unavailable", "yes", fetched=312, number=2),
)
LIVE = Snapshot(
    at=NOW,
    started_at=STARTED,
    keywords='"justin bieber"',
    topic="music OR #music",
    demo=False,
    paused=False,
    data_dir="/home/ana/.local/share/bieber-tui",
    run=Counters(12_481, 12_480, 1, 2_204, 10_276, 2_198, 6, 0),
    life=Counters(1_204_553, 1_204_551, 2, 221_880, 982_671, 221_874, 6, 0),
    per_source={},
    health=(HEALTH,),
    sinks=(MONGODB,),
    gaps=GAPS,
    gap_count=2,
    events=EVENTS,
    rates=RATES,
    window=WINDOW,
    journal=JournalStatus(size=1_240_000_000, free=81_000_000_000),
    rows=rows(1, 200),
    last_seq=200,
)


def gone(*stretches: Stretch) -> tuple[Stretch, ...]:
    """The connection's past with these at its end."""
    return (*HEALTH.past, *stretches)


EMPTY = replace(
    LIVE,
    started_at=NOW - 14,
    run=Counters(),
    life=Counters(),
    health=(
        replace(
            HEALTH,
            state=SourceState.QUIET,
            since=NOW - 12,
            reconnects=0,
            last_post_at=None,
            lag=None,
            past=(
                Stretch(NOW - 14, SourceState.STARTING),
                Stretch(NOW - 13.4, SourceState.CONNECTING),
                Stretch(NOW - 12, SourceState.QUIET),
            ),
        ),
    ),
    sinks=(),
    gaps=(),
    gap_count=0,
    events=EVENTS[:3],
    rates=Rates(),
    window=Window(),
    journal=JournalStatus(size=45_000, free=81_000_000_000),
    rows=(),
    last_seq=0,
)
PAUSED = replace(
    LIVE,
    paused=True,
    health=(
        replace(
            HEALTH,
            state=SourceState.PAUSED,
            since=NOW - 95,
            last_byte_at=NOW - 95,
            past=gone(Stretch(NOW - 95, SourceState.PAUSED, reason="paused by you")),
        ),
    ),
    gaps=(*GAPS, Gap("x", NOW - 95, None, "paused by you", chosen=True)),
    gap_count=3,
    rates=replace(RATES, posts_per_s=0.0, match_rate=None),
    events=(*EVENTS, Event(7, NOW - 95, Level.INFO, "paused by you")),
)
STALLED = replace(
    LIVE,
    health=(
        replace(
            HEALTH,
            state=SourceState.STALLED,
            since=NOW - 1,
            last_byte_at=NOW - 23,
            reason="no byte for 23 s",
            past=gone(Stretch(NOW - 1, SourceState.STALLED, reason="no byte for 22 s")),
        ),
    ),
    rates=replace(RATES, posts_per_s=0.0, match_rate=None),
    events=(*EVENTS, Event(7, NOW - 1, Level.WARNING, "stalled: no byte for 22 s, not even a keep-alive")),
)
WAITING = replace(
    LIVE,
    health=(
        replace(
            HEALTH,
            state=SourceState.WAITING,
            since=NOW - 8,
            wait_until=NOW + 11.4,
            last_byte_at=NOW - 8,
            reason="X 503 Service Unavailable",
            rate_limit=RateLimit(50, 41, NOW + 831),
            past=gone(Stretch(NOW - 8, SourceState.WAITING, reason="X 503 Service Unavailable")),
        ),
    ),
    gaps=(*GAPS, Gap("x", NOW - 8, None, "X 503 Service Unavailable")),
    gap_count=3,
    rates=replace(RATES, posts_per_s=0.0, match_rate=None),
    events=(
        *EVENTS,
        Event(7, NOW - 8, Level.WARNING, "connection lost: X 503 Service Unavailable; next try in 20 s"),
    ),
)
STORE_DOWN = replace(
    LIVE,
    run=replace(LIVE.run, unique=1_804, pending=394),
    life=replace(LIVE.life, unique=221_480, pending=394),
    sinks=(
        structs.replace(
            MONGODB,
            state=SinkState.DOWN,
            since=NOW - 61,
            behind=394,
            rate=0.0,
            error="no server answers at atlas-x.example.net:27017: is it running, and is this machine's address on "
            "the access list of the Atlas project?",
            retry_at=NOW + 7.2,
        ),
    ),
    events=(*EVENTS, Event(7, NOW - 61, Level.ERROR, "mongodb is down: no server answers; the journal holds on")),
)
STOPPED = replace(
    LIVE,
    stopped="X refused the token (401)",
    advice="Set BIEBER_TUI_X__BEARER_TOKEN to a new one: the developer portal, your app, Keys and tokens.",
    health=(
        replace(
            HEALTH,
            state=SourceState.STOPPED,
            since=NOW - 40,
            last_byte_at=NOW - 40,
            reason="X refused the token (401)",
            past=gone(Stretch(NOW - 40, SourceState.STOPPED, reason="X refused the token (401)")),
        ),
    ),
    rates=replace(RATES, posts_per_s=0.0, match_rate=None),
    events=(*EVENTS, Event(7, NOW - 40, Level.ERROR, "X refused the token (401); the capture has ended")),
)

SLOWED = replace(
    LIVE,
    health=(
        replace(
            HEALTH,
            slowed_since=NOW - 34,
            queue=9_870,
            lag=38.0,
            past=gone(Stretch(NOW - 34, SourceState.LIVE, slowed=True)),
        ),
    ),
    events=(*EVENTS, Event(7, NOW - 33, Level.WARNING, "slowed down: posts come faster than they are written")),
)
DISK_FULL = replace(
    LIVE,
    run=replace(LIVE.run, unique=2_150, pending=48),
    health=(
        replace(
            HEALTH,
            state=SourceState.BLOCKED,
            since=NOW - 20,
            last_byte_at=NOW - 20,
            reason="disk full",
            past=gone(Stretch(NOW - 20, SourceState.BLOCKED, reason="disk full")),
        ),
    ),
    journal=JournalStatus(
        size=1_240_000_000,
        free=12_000_000,
        low=True,
        seconds_left=0.0,
        blocked="the disk of the journal /home/ana/.local/share/bieber-tui is full: 12 MB are free",
        advice="Free at least 58 MB there (58,000,000 bytes). Nothing acknowledged is lost.",
    ),
    gaps=(*GAPS, Gap("x", NOW - 20, None, "disk full", number=3)),
    gap_count=3,
    rates=replace(RATES, posts_per_s=0.0, match_rate=None),
    events=(*EVENTS, Event(7, NOW - 20, Level.ERROR, "the disk of the journal is full: 12 MB are free")),
)

STATES = {
    "empty": EMPTY,
    "live": LIVE,
    "paused": PAUSED,
    "stalled": STALLED,
    "waiting": WAITING,
    "store-down": STORE_DOWN,
    "stopped": STOPPED,
    "slowed": SLOWED,
    "disk-full": DISK_FULL,
}


class FakeArchive:
    """What a capture has stored: rows, oldest first; the raw lines are made up from their ids."""

    def __init__(self, stored: Sequence[FeedRow] = (), page: int = 1000) -> None:
        self.stored = list(stored)
        self.page = page  # rows that one call looks at
        self.starred: set[str] = set()
        self.searched: list[Wanted] = []

    def search(self, wanted: Wanted, place: str, limit: int) -> Found:
        self.searched.append(wanted)
        start = int(place or len(self.stored))
        found, at = compile_filter(wanted), start
        rows: list[FeedRow] = []
        while at > 0 and len(rows) < limit and start - at < self.page:
            at -= 1
            row = self.stored[at]
            starred = not wanted.starred or row.post.key in self.starred
            if starred and (wanted.unmatched or row.verdict is not Verdict.FILTERED) and found.matches(row.post):
                rows.append(row.but(seq=0))
        back = self.stored[at].received_at if self.stored else None
        return Found(tuple(rows), str(at) if at else None, back)

    def lookup(self, source: str, id_: str) -> Record | None:
        for row in self.stored:
            if (row.post.source, row.post.id) == (source, id_):
                raw = {
                    "data": {"id": id_, "text": row.post.text},
                    "matching_rules": [{"id": "9", "tag": "bieber-tui"}],
                }
                return Record(row, json.dumps(raw).encode())
        return None

    def stars(self) -> frozenset[str]:
        return frozenset(self.starred)

    def star(self, source: str, id_: str, on: bool) -> None:
        (self.starred.add if on else self.starred.discard)(f"{source}:{id_}")


class FakeControls:
    """A capture that stands still unless a test moves it, and notes what it is told."""

    def __init__(self, moment: Snapshot = LIVE, on_change: Callable[[str, str], None] | None = None) -> None:
        self.moment = moment
        self.posts = list(moment.rows)
        self.archive = FakeArchive(self.posts)
        self.calls: list[str] = []
        self.changed: tuple[str, str] | None = None
        self.stopped = threading.Event()
        self._on_change = on_change

    def snapshot(self, since: int) -> Snapshot:
        return replace(self.moment, rows=tuple(row for row in self.posts if row.seq > since))

    def say(self, *new: FeedRow) -> None:
        """More posts have come."""
        self.posts += new
        self.moment = replace(self.moment, last_seq=new[-1].seq)

    def pause(self) -> None:
        self.calls.append("pause")
        self.moment = replace(self.moment, paused=True)

    def resume(self) -> None:
        self.calls.append("resume")
        self.moment = replace(self.moment, paused=False)

    def change_query(self, keywords: str, topic: str) -> None:
        self.calls.append("change_query")
        if self._on_change is not None:
            self._on_change(keywords, topic)
        self.changed = (keywords, topic)
        self.moment = replace(self.moment, keywords=keywords, topic=topic)

    def stop(self) -> None:
        self.calls.append("stop")
        self.stopped.set()


class FakeReplay(FakeControls):
    """A replay that notes what it is told."""

    def step(self) -> None:
        self.calls.append("step")

    def seek(self, seconds: float) -> None:
        self.calls.append(f"seek {seconds:+g}")

    def change_speed(self, steps: int) -> None:
        self.calls.append(f"speed {steps:+d}")
