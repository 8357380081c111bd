"""Failures of MongoDB in words: which are waited out, which are not, and what the person is told.

The errors are built as the driver builds them, for what FerretDB cannot be brought to do (hosted MongoDB's
answers, rights, replica sets, a full disk); test_mongodb_words.py meets the others over the wire.
"""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from core.errors import StoreRefused, Unavailable
from core.sinks.mongodb_address import parse_address
from core.sinks.mongodb_failure import duplicate_indexes, explain

PLAIN = parse_address("mongodb://user:hunter2@db.example.net/tweets", {})
ATLAS = parse_address("mongodb+srv://user:hunter2@c0.ab1.mongodb.net/", {})


def dns(name: str) -> Exception:
    """What the driver raises when dnspython raises an exception of this name."""
    error = ConfigurationError(f"dns: {name}")
    error.__cause__ = type(name, (Exception,), {})()
    return error


def bulk(*codes: int, concern: int = 0, **more: Any) -> BulkWriteError:
    return BulkWriteError(
        {
            "writeErrors": [
                {"index": 2 * at, "code": code, "errmsg": "m", **more} for at, code in enumerate(codes)
            ],
            "writeConcernErrors": [{"code": concern, "errmsg": "waiting for replication timed out"}]
            if concern
            else [],
        }
    )


UNTRUSTED = "h:1: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:992)"
HANDSHAKE = "SSL handshake failed: h:1: [SSL: TLSV1_ALERT_INTERNAL_ERROR] tlsv1 alert internal error (_ssl.c:1006)"
NO_SERVER = ServerSelectionTimeoutError("h:1: something, Timeout: 5s, Topology Description: <hunter2>")

REFUSED = [
    (OperationFailure("Authentication failed.", 18), PLAIN, "password"),
    (OperationFailure("bad auth : authentication failed", 8000), ATLAS, "Database Access"),
    (OperationFailure("not authorized on tweets to execute command", 13), PLAIN, "readWrite on 'tweets'"),
    (OperationFailure("user is not allowed to do action [insert]", 8000), ATLAS, "readWrite"),
    (OperationFailure("Invalid namespace", 73), PLAIN, "mongodb.collection"),
    (OperationFailure("no such command: insert", 59), PLAIN, "MongoDB 4.2"),
    (bulk(121), PLAIN, "validation rule"),
    (bulk(11000, keyPattern={"text": 1}), PLAIN, "unique index on text"),
    (dns("NXDOMAIN"), ATLAS, "no MongoDB cluster of the name c0.ab1.mongodb.net"),
    (dns("NoAnswer"), ATLAS, "mongodb://"),
    (ConfigurationError("Server at h reports wire version 2"), PLAIN, "wire version 2"),
    (AutoReconnect(UNTRUSTED), PLAIN, "(certificate has expired)"),
    (ServerSelectionTimeoutError('No members available for replica set name "rs0"'), PLAIN, "replicaSet="),
]  # fmt: skip

WAITED_OUT = [
    (OperationFailure("you are over your space quota, using 512 MB of 512 MB", 8000), ATLAS, "no room left"),
    (OperationFailure("disk", 14031), PLAIN, "Free space"),
    (OperationFailure("not primary", 10107), PLAIN, "primary"),
    (NotPrimaryError("stepped down"), PLAIN, "elected"),
    (OperationFailure("something new", 4711), PLAIN, "error 4711: something new"),
    (bulk(concern=64), PLAIN, "majority"),
    (bulk(11000, concern=64), PLAIN, "majority"),
    (bulk(11000, 10107), PLAIN, "primary"),
    (bulk(), PLAIN, "sent again"),
    (dns("LifetimeTimeout"), ATLAS, "cannot be looked up just now"),
    (AutoReconnect("h:1: [Errno -2] Name or service not known"), PLAIN, "cannot be resolved"),
    (AutoReconnect("h:1: [Errno 8] nodename nor servname provided, or not known"), PLAIN, "cannot be resolved"),
    (AutoReconnect("h:1: [Errno 61] Connection refused"), PLAIN, "does not listen"),
    (AutoReconnect(HANDSHAKE), ATLAS, "IP access list"),
    (AutoReconnect(HANDSHAKE), PLAIN, "TLS handshake"),
    (NetworkTimeout("h: timed out"), ATLAS, "IP access list"),
    (ServerSelectionTimeoutError("No servers found yet, Timeout: 5s"), PLAIN, "does not answer in time"),
    (ServerSelectionTimeoutError("No primary available for writes, Timeout: 5s"), PLAIN, "no primary just now"),
    (
        ServerSelectionTimeoutError('No replica set members match selector "Primary()"'),
        PLAIN,
        "no primary just now",
    ),
    (AutoReconnect("connection closed"), PLAIN, "tls=true"),
    (InvalidOperation("Cannot use MongoClient after close"), PLAIN, "closed"),
    (PyMongoError("odd"), PLAIN, "odd"),
    (OSError("odd"), PLAIN, "odd"),
]


@pytest.mark.parametrize(("error", "address", "said"), REFUSED)
def test_what_no_retry_mends_is_refused_with_what_to_do(error: Exception, address: Any, said: str) -> None:
    failure = explain(error, address)
    assert isinstance(failure, StoreRefused)
    assert failure.hint
    assert said in str(failure)


@pytest.mark.parametrize(("error", "address", "said"), WAITED_OUT)
def test_what_waiting_may_mend_is_unavailable(error: Exception, address: Any, said: str) -> None:
    failure = explain(error, address)
    assert isinstance(failure, Unavailable)
    assert said in str(failure)


def test_the_cause_is_what_the_monitors_met() -> None:
    assert isinstance(explain(NO_SERVER, PLAIN, [AutoReconnect(UNTRUSTED)]), StoreRefused)
    met = AutoReconnect("h:1: [Errno 111] Connection refused")
    assert "does not listen" in str(explain(NO_SERVER, PLAIN, [met]))
    # what a monitor met earlier says nothing about a connection that broke now
    assert "broke" in str(explain(AutoReconnect("connection closed"), PLAIN, [met]))


def test_a_name_that_was_found_before_is_no_typing_error() -> None:
    assert isinstance(explain(dns("NXDOMAIN"), ATLAS, known=True), Unavailable)


@pytest.mark.parametrize("error", [OperationFailure("for hunter2", 4711), bulk(121, errmsg="hunter2"), NO_SERVER])
def test_no_words_of_the_server_that_repeat_the_password(error: Exception) -> None:
    assert "hunter2" not in str(explain(error, PLAIN))


def test_the_words_of_a_server_are_one_short_line() -> None:
    failure = explain(OperationFailure("a\n\tb " + "c" * 5000, 4711), PLAIN)
    assert "a b c" in str(failure)
    assert len(str(failure)) < 400


def test_only_duplicates_of_the_id_are_duplicates() -> None:
    assert duplicate_indexes(bulk(11000, 11000), PLAIN) == [0, 2]
    assert duplicate_indexes(bulk(11000, keyPattern={"_id": 1}), PLAIN) == [0]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (bulk(11000, 121), StoreRefused),
        (bulk(11000, 10107), Unavailable),
        (bulk(11000, concern=64), Unavailable),
        (bulk(concern=64), Unavailable),
        (bulk(11000, keyPattern={"text": 1}), StoreRefused),
        (bulk(), Unavailable),
    ],
)
def test_anything_else_beside_duplicates_counts_nothing(error: BulkWriteError, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        duplicate_indexes(error, PLAIN)
