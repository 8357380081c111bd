"""The MongoDB store: each post is one document whose `_id` is the post's key, so that no post is there twice.

Promises: a row is answered only when a majority of the server's members has it on disk. A row that is handed over
again, after a crash or a lost answer, is recognised by the capture and the sequence number in its document and
answered STORED; a post that somebody else stored is a DUPLICATE. A document is never refused for its content
(mongodb_document.py), errors are words (mongodb_failure.py), secrets stay in the address (mongodb_address.py).

A server that hangs is left after `mongodb.timeout` seconds; close() ends the wait at once. Uses only what MongoDB
and FerretDB both have.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from core.errors import Unavailable
from core.settings import MongodbSettings, Settings
from core.sinks.base import Outcome, StoredRow
from core.sinks.mongodb_address import Address, parse_address
from core.sinks.mongodb_document import encode
from core.sinks.mongodb_failure import Failure, duplicate_indexes, explain, takes_doubles

# Inserts of one batch that are on their way at a time: the server works on one while the other waits for its disk.
SIDE_BY_SIDE = 2
FEW = 200  # documents that are sooner inserted than shared out

# What one insert may weigh. A slow line gets 2 MiB through within the timeout, and what went through stays:
# a batch of large posts that never fits into one timeout would otherwise be sent for ever.
INSERT_BYTES = 2 * 1024 * 1024 // SIDE_BY_SIDE

INDEXES = (
    IndexModel([("created_at", DESCENDING)]),
    IndexModel([("received_at", DESCENDING)]),
    IndexModel([("author.username", ASCENDING), ("created_at", DESCENDING)]),
    IndexModel([("tags", ASCENDING), ("created_at", DESCENDING)]),
    IndexModel([("matched", ASCENDING), ("created_at", DESCENDING)]),
    IndexModel([("capture", ASCENDING), ("seq", ASCENDING)]),  # not unique: only _id decides what a duplicate is
)
INDEX_EXISTS = (85, 86)  # an index of that name or those fields, made by somebody else: good enough
COLLECTION_EXISTS = 48

KEYS_AT_ONCE = 1000
FORGET_FIELDS = ("id", "capture", "author.id", "edit_of", "refs")
SCAN_PATIENCE = 120  # times mongodb.timeout: how long going through the whole collection may take
LOOKUP_PATIENCE = 12  # times mongodb.timeout: how long looking up refused posts may take

CLOSE_GRACE = 0.5  # seconds that close() gives the driver to say goodbye to the server

T = TypeVar("T")
Part = tuple[list[StoredRow], list[RawBSONDocument]]  # what one insert takes

# The driver logs what it sends, documents included, at DEBUG, and every lost server; we say the latter ourselves.
logging.getLogger("pymongo").setLevel(logging.ERROR)


def from_settings(url: str, settings: Settings) -> MongodbSink:
    """The sink as the registry makes it."""
    return MongodbSink(url, settings.mongodb)


class MongodbSink:
    """Posts into one collection. See core.sinks.base.Sink for what its methods promise.

    Raises ConfigError at once for an address that cannot be right. close() is final.
    """

    name = "mongodb"

    def __init__(self, url: str, settings: MongodbSettings) -> None:
        self._settings = settings
        wait = max(1, round(settings.timeout * 1000))
        self._options: dict[str, Any] = {
            "serverSelectionTimeoutMS": wait,
            "connectTimeoutMS": wait,
            "socketTimeoutMS": wait,
            "wTimeoutMS": max(1, wait * 4 // 5),  # the server's own words come before our patience ends
            "w": "majority",
            "journal": True,
            # A row sent again is recognised here, on every server, and the delivery thread decides when.
            "retryWrites": False,
            "retryReads": False,
            "appname": "bieber-tui",
        }
        self._address: Address = parse_address(url, self._options)
        self.target = f"{self._address.hosts}/{self._address.database}.{settings.collection}"
        self._client: MongoClient[Any] | None = None
        self._known = False  # connected to at least once
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: list[Future[Any]] = []

    def __repr__(self) -> str:
        return f"MongodbSink({self.target})"

    def open(self) -> None:
        """Connect, and create the collection and its indexes if they are missing.

        A collection without an index on `_id` is not written to: it would take a post twice.
        """
        self._let_go()
        self._answer(self._connect)
        self._known = True

    def prepare(self, rows: Sequence[StoredRow]) -> list[Part]:
        """Make documents of the rows, in as many inserts as their number and size need."""
        return list(self._parts(rows))

    def write(self, prepared: Sequence[Part]) -> list[Outcome]:
        """Insert the documents, some parts at a time."""
        outcomes: list[Outcome] = []
        for start in range(0, len(prepared), SIDE_BY_SIDE):
            parts = prepared[start : start + SIDE_BY_SIDE]
            for answered in self._answers([partial(self._insert, *part) for part in parts]):
                outcomes += answered
        return outcomes

    def holds(self, source: str, authors: Sequence[str], posts: Sequence[str]) -> list[tuple[str, str]]:
        """Look through the collection: there is no index for who somebody is, so it may take its time."""
        if not authors and not posts:
            return []
        people, ids = frozenset(authors), frozenset(posts)
        keys = {f"{source}:{id}" for id in ids}
        any_of: list[dict[str, Any]] = []
        if authors:
            any_of.append({"author.id": {"$in": sorted(people)}})
        if posts:
            # All that refer to one of the posts: FerretDB cannot ask for the kind and the id of one reference.
            any_of += [
                {"_id": {"$in": sorted(keys)}},
                *({of: {"$in": sorted(ids)}} for of in ("edit_of", "refs.id")),
            ]

        def meant(stored: Mapping[str, Any]) -> bool:
            if stored["_id"] in keys or stored.get("edit_of") in ids:
                return True
            if (stored.get("author") or {}).get("id") in people:
                return True
            refs = stored.get("refs") or ()
            return any(ref.get("kind") == "retweeted" and ref.get("id") in ids for ref in refs)

        def look(collection: Collection[Any]) -> list[tuple[str, str]]:
            found = collection.find({"source": source, "$or": any_of}, FORGET_FIELDS)
            return [(str(stored["id"]), str(stored.get("capture", ""))) for stored in found if meant(stored)]

        return self._answer(partial(self._patiently, look))

    def forget(self, posts: Sequence[str], lines: Sequence[str]) -> None:
        """Delete the documents, and take the field `raw` out of others."""
        for keys in _parts_of(posts):
            self._answer(partial(self._patiently, partial(_delete, keys)))
        for keys in _parts_of(lines):
            self._answer(partial(self._patiently, partial(_drop_raw, keys)))

    def _patiently(self, work: Callable[[Collection[Any]], T]) -> T:
        """One operation that may go through the whole collection, with the time that this takes."""
        posts = self._posts()
        try:
            posts.database.command("ping")  # a server that is away is not waited for as long
            with pymongo.timeout(self._settings.timeout * SCAN_PATIENCE):
                return work(posts)
        except (PyMongoError, OSError) as error:
            client = self._client
            raise explain(error, self._address, _seen(client) if client else (), known=True) from None

    def close(self) -> None:
        """End a wait that another thread is in, and let go of the connection."""
        with self._lock:
            self._closed = True
            for answer in self._waiting:
                answer.cancel()
        self._let_go()

    def _connect(self) -> None:
        client: MongoClient[Any] = MongoClient(self._address.url, connect=False, **self._options)
        failure: Failure | None = None
        try:
            build = client.admin.command("buildInfo")
            database = client.get_default_database(self._address.database)
            posts = database[self._settings.collection]
            if "ferretdbVersion" in build:
                _create(database, self._settings.collection)
            else:
                make_indexes(posts)
            if not any(list(index["key"]) == ["_id"] for index in posts.list_indexes()):
                failure = takes_doubles(self._settings.collection, self._address)
        except (PyMongoError, OSError) as error:
            failure = explain(error, self._address, _seen(client), known=self._known)
        if failure is not None:
            client.close()
            raise failure
        with self._lock:
            if not self._closed:
                self._client = client
                return
        client.close()

    def _posts(self) -> Collection[Any]:
        client = self._client
        if client is None:
            raise Unavailable(f"there is no connection to MongoDB at {self._address.hosts} yet")
        database = client.get_default_database(self._address.database)
        # Looked up at the primary whatever the address prefers: a secondary may not have yet what we ask about.
        return database.get_collection(self._settings.collection, read_preference=ReadPreference.PRIMARY)

    def _parts(self, rows: Sequence[StoredRow]) -> Iterator[Part]:
        part: list[StoredRow] = []
        documents: list[RawBSONDocument] = []
        weight = 0
        most = min(max(-(-len(rows) // SIDE_BY_SIDE), FEW), self._settings.batch_size)
        for row in rows:
            encoded = encode(row, raw=self._settings.raw)
            if part and (weight + len(encoded) > INSERT_BYTES or len(part) == most):
                yield part, documents
                part, documents, weight = [], [], 0
            part.append(row)
            documents.append(RawBSONDocument(encoded))
            weight += len(encoded)
        if part:
            yield part, documents

    def _insert(self, part: Sequence[StoredRow], documents: Sequence[RawBSONDocument]) -> list[Outcome]:
        posts = self._posts()
        outcomes = [Outcome.STORED] * len(part)
        try:
            try:
                posts.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                refused = duplicate_indexes(error, self._address)
                owners = self._owners(posts, list({part[index].post.key for index in refused}))
                for index in refused:
                    row = part[index]
                    if owners[row.post.key] != (row.capture, row.seq):
                        outcomes[index] = Outcome.DUPLICATE
        except (PyMongoError, OSError) as error:
            client = self._client
            raise explain(error, self._address, _seen(client) if client else (), known=True) from None
        return outcomes

    def _owners(self, posts: Collection[Any], keys: list[str]) -> dict[str, tuple[Any, Any]]:
        """Who stored these posts: key -> (capture, seq).

        An insert that met only duplicates still waited for its write concern, so that what is read here from the
        primary is on a majority too. FerretDB 1 has no index for this and reads the collection until it has found
        as many as the limit says: about 0.1 s per 1,000 documents in it, hence the patience.
        """
        several = len(keys) + 1  # one answer holds them all
        with pymongo.timeout(self._settings.timeout * LOOKUP_PATIENCE):
            found = posts.find({"_id": {"$in": keys}}, ("capture", "seq"), limit=len(keys), batch_size=several)
            owners = {stored["_id"]: (stored.get("capture"), stored.get("seq")) for stored in found}
        if len(owners) < len(keys):
            raise Unavailable(
                "posts were deleted from the collection while they were looked up; they are sent again"
            )
        return owners

    def _answer(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread of its own, so that close() need not wait for a server that hangs."""
        [answer] = self._answers([work])
        return answer

    def _answers(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Do each work in a thread of its own, and wait until none is left; raises what the first of them met.

        After a close() the threads are left to end by their timeouts. What they may still store is recognised
        later.
        """
        answers: list[Future[T]] = [Future() for _ in works]

        def run(work: Callable[[], T], answer: Future[T]) -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed to the caller as it is
                with suppress(InvalidStateError):
                    answer.set_exception(error)
            else:
                with suppress(InvalidStateError):
                    answer.set_result(result)

        with self._lock:
            if self._closed:
                raise Unavailable("the connection to MongoDB was closed")
            self._waiting = [*answers]
        for given in zip(works, answers, strict=True):
            threading.Thread(target=run, args=given, name="mongodb-sink", daemon=True).start()
        try:
            for answer in answers:
                answer.exception()  # waits
            return [answer.result() for answer in answers]
        except CancelledError:
            raise Unavailable("the connection to MongoDB was closed while it was waited for") from None
        finally:
            self._waiting = []

    def _let_go(self) -> None:
        """Close the client, in a thread of its own: it says goodbye to a server that may hang."""
        with self._lock:
            client, self._client = self._client, None
        if client is None:
            return

        def goodbye() -> None:
            with suppress(PyMongoError, OSError):
                client.close()

        thread = threading.Thread(target=goodbye, name="mongodb-close", daemon=True)
        thread.start()
        thread.join(CLOSE_GRACE)


def _create(database: Database[Any], collection: str) -> None:
    """Create the collection, without indexes of ours.

    FerretDB 1 uses no index but the one on _id, and reads the whole collection for every other question. Six more
    are a third of what a document costs it.
    """
    try:
        database.create_collection(collection, check_exists=False)
    except OperationFailure as error:
        if error.code != COLLECTION_EXISTS:
            raise


def make_indexes(posts: Collection[Any]) -> None:
    """Create the indexes that are missing, and with the first of them the collection."""
    for index in INDEXES:
        try:
            posts.create_indexes([index])
        except OperationFailure as error:
            if error.code not in INDEX_EXISTS:
                raise


def _parts_of(keys: Sequence[str]) -> Iterator[list[str]]:
    return (list(keys[start : start + KEYS_AT_ONCE]) for start in range(0, len(keys), KEYS_AT_ONCE))


def _delete(keys: list[str], posts: Collection[Any]) -> None:
    posts.delete_many({"_id": {"$in": keys}})


def _drop_raw(keys: list[str], posts: Collection[Any]) -> None:
    posts.update_many({"_id": {"$in": keys}}, {"$unset": {"raw": ""}})


def _seen(client: MongoClient[Any]) -> list[Exception]:
    """The last error that the driver's monitor met at each server."""
    servers = client.topology_description.server_descriptions().values()
    return [server.error for server in servers if isinstance(server.error, Exception)]
