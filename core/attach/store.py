"""A view over the store: the posts that any capture has put into a MongoDB collection, as they arrive there.

It reads and never writes: its own connection asks once a second for what was received since it last looked. It
knows what is stored and nothing of the stream behind it; what it cannot know is left out, never guessed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace
from pymongo import DESCENDING, MongoClient, ReadPreference
from pymongo.errors import PyMongoError

from core.archive import Found, Record
from core.counters import Counters
from core.errors import BieberTuiError, StoreRefused, Unavailable
from core.feed import Feed
from core.filter import Wanted, compile_filter
from core.health import Health, SourceState
from core.post import Author, Post, Ref
from core.rates import RateHistory
from core.settings import MongodbSettings
from core.sinks.mongodb_address import parse_address
from core.sinks.mongodb_failure import explain
from core.snapshot import FeedRow, SinkState, SinkStatus, Snapshot, Verdict

ASK_EVERY = 1.0  # seconds
OVERLAP = timedelta(seconds=30)  # a capture that was behind stores posts that it received earlier
FIRST_ROWS = 500
MOST_ROWS = 2000  # in one look
QUIET_AFTER = 30.0  # seconds without a post


class StoreViewer:
    """A store as a front end sees it. Has the calls of a capture; those that would steer one are refused."""

    def __init__(self, url: str, settings: MongodbSettings, *, feed_size: int = 5000) -> None:
        """Connect. Raises ConfigError for an address that cannot be right, StoreRefused when none answers."""
        wait = max(1, round(settings.timeout * 1000))
        options: dict[str, Any] = {
            "serverSelectionTimeoutMS": wait,
            "connectTimeoutMS": wait,
            "socketTimeoutMS": wait,
            "appname": "bieber-tui attach",
            "tz_aware": True,
        }
        self._address = parse_address(url, options)
        self._target = f"{self._address.hosts}/{self._address.database}.{settings.collection}"
        self._client: MongoClient[Any] = MongoClient(self._address.url, connect=False, **options)
        self._posts = self._client.get_default_database(
            self._address.database, read_preference=ReadPreference.SECONDARY_PREFERRED
        )[settings.collection]
        self.feed = Feed(feed_size)
        self._started_at = time.time()
        self._rates = RateHistory(self._started_at)
        self._seen: deque[str] = deque(maxlen=10 * MOST_ROWS)
        self._known: set[str] = set()
        self._newest: datetime | None = None
        self._stored = 0
        self._error = ""
        self._since = self._started_at
        self._closed = threading.Event()
        try:
            self._look()
        except (PyMongoError, OSError) as error:
            self._client.close()
            raise StoreRefused(str(explain(error, self._address)), "A view needs a store that answers.") from None
        self._thread = threading.Thread(target=self._follow, name="store-viewer", daemon=True)
        self._thread.start()

    @property
    def archive(self) -> StoreArchive:
        """The documents; stars belong to a capture, there are none here."""
        return StoreArchive(self)

    def snapshot(self, since: int) -> Snapshot:
        """What is known now."""
        now = time.time()
        rows, last_seq = self.feed.since(since)
        return Snapshot(
            at=now,
            started_at=self._started_at,
            keywords=self._target,
            topic="what is stored there",
            demo=False,
            paused=False,
            data_dir="",
            run=Counters(),
            life=Counters(unique=self._stored),
            per_source={},
            health=(self._health(now),),
            sinks=(self._status(),),
            gaps=(),
            gap_count=0,
            events=(),
            rates=replace(self._rates.rates(now), match_rate=None),
            rows=rows,
            last_seq=last_seq,
            view="store, read-only",
        )

    def pause(self) -> None:
        """Refused."""
        self._refuse()

    def resume(self) -> None:
        """Refused."""
        self._refuse()

    def change_query(self, keywords: str, topic: str) -> None:
        """Refused."""
        self._refuse()

    def send(self, command: str) -> None:
        """Refused."""
        self._refuse()

    def stop(self) -> None:
        """Leave."""
        self._closed.set()
        self._client.close()
        self._thread.join(1.0)

    def _refuse(self) -> None:
        raise BieberTuiError(
            "this is a view of the store, there is no capture behind it to steer",
            "Attach on the machine where the capture runs.",
        )

    def _health(self, now: float) -> Health:
        newest = None if self._newest is None else self._newest.timestamp()
        quiet = newest is None or now - newest > QUIET_AFTER
        state = SourceState.WAITING if self._error else SourceState.QUIET if quiet else SourceState.LIVE
        return Health("store", state, self._since, self._error, last_byte_at=newest, last_post_at=newest)

    def _status(self) -> SinkStatus:
        state = SinkState.DOWN if self._error else SinkState.OK
        return SinkStatus(
            "mongodb", self._target, True, state, self._since, stored=self._stored, error=self._error
        )

    def _follow(self) -> None:
        """The viewer's thread."""
        while not self._closed.wait(ASK_EVERY):
            try:
                self._look()
                self._say("")
            except (PyMongoError, OSError) as error:
                failure = explain(error, self._address, known=True)
                self._say(str(failure) if isinstance(failure, Unavailable) else failure.message)

    def _say(self, error: str) -> None:
        if bool(error) != bool(self._error):
            self._since = time.time()
        self._error = error

    def _look(self) -> None:
        """Take the posts that arrived since the last look."""
        self._stored = self._posts.estimated_document_count()
        if self._newest is None:
            found = self._posts.find({}).sort("received_at", DESCENDING).limit(FIRST_ROWS)
        else:
            wanted = {"received_at": {"$gte": self._newest - OVERLAP}}
            found = self._posts.find(wanted).sort("received_at", DESCENDING).limit(MOST_ROWS)
        rows: list[FeedRow] = []
        for document in reversed(list(found)):
            key = str(document.get("_id"))
            if key in self._known:
                continue
            self._remember(key)
            row = _row(self.feed.last_seq + len(rows) + 1, document)
            rows.append(row)
            at = datetime.fromtimestamp(row.received_at, UTC)
            self._newest = at if self._newest is None else max(self._newest, at)
            self._rates.add(row.received_at, 1, 1)
        self.feed.extend(rows)

    def _remember(self, key: str) -> None:
        if len(self._seen) == self._seen.maxlen:
            self._known.discard(self._seen[0])
        self._seen.append(key)
        self._known.add(key)


class StoreArchive:
    """What can be asked of the documents: one by its id. A search reads the newest in memory only."""

    def __init__(self, viewer: StoreViewer) -> None:
        self._viewer = viewer

    def search(self, wanted: Wanted, place: str, limit: int) -> Found:
        """The posts that are wanted among the newest documents, `limit` of them at most."""
        wanted_filter = compile_filter(wanted)
        rows, _ = self._viewer.feed.since(0)
        found = [row for row in reversed(rows) if not wanted.starred and wanted_filter.matches(row.post)][:limit]
        return Found(tuple(row.but(seq=0) for row in found), None, rows[0].received_at if rows else None)

    def lookup(self, source: str, id_: str) -> Record | None:
        """One post by its id among the newest documents."""
        rows, _ = self._viewer.feed.since(0)
        found = next((row for row in reversed(rows) if (row.post.source, row.post.id) == (source, id_)), None)
        return None if found is None else Record(found.but(seq=0), b"")

    def stars(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def star(self, source: str, id_: str, on: bool) -> None:
        """Refused."""
        self._viewer.pause()


def _row(seq: int, document: dict[str, Any]) -> FeedRow:
    """A document of ours as a row. Anybody may have written it: what is of another kind is left out."""
    author = document.get("author")
    author = author if isinstance(author, dict) else {}
    received = _moment(document.get("received_at"))
    post = Post(
        source=_text(document.get("source")),
        id=_text(document.get("id")),
        text=_text(document.get("text")),
        created_at=_moment(document.get("created_at")),
        author=Author(_text(author.get("id")), _text(author.get("username")), _text(author.get("name"))),
        lang=_text(document.get("lang")),
        tags=_texts(document.get("tags")),
        mentions=_texts(document.get("mentions")),
        links=_texts(document.get("links")),
        metrics={str(name): count for name, count in _pairs(document.get("metrics")) if isinstance(count, int)},
        refs=tuple(
            Ref(ref["kind"], _text(ref.get("id")))
            for ref in document.get("refs") or ()
            if isinstance(ref, dict) and ref.get("kind") in ("retweeted", "quoted", "replied_to")
        ),
        edit_of=_text(document.get("edit_of")),
    )
    return FeedRow(
        seq,
        post,
        Verdict.MATCHED,
        _texts(document.get("matched")),
        0.0 if received is None else received.timestamp(),
        document.get("backfilled") is True,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _pairs(value: object) -> list[tuple[object, object]]:
    return list(value.items()) if isinstance(value, dict) else []


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
