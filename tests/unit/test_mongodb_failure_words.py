"""What the person reads of each failure of MongoDB, word by word, and whether it is waited out."""

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
from core.sinks.mongodb_failure import duplicate_indexes, explain, takes_doubles
from tests.unit.test_mongodb_failure import ATLAS, HANDSHAKE, PLAIN, UNTRUSTED, bulk, dns

WORDS: list[tuple[Exception, Any, StoreRefused | Unavailable]] = [
    (OperationFailure("Authentication failed.", 18), PLAIN, StoreRefused(
        'MongoDB at db.example.net does not accept the user name or the password (Authentication failed.)',
        "Check both in the store's address (percent-encoded: @ is %40), and the database where the user is defined: ?authSource=admin is usual.")),
    (OperationFailure("Authentication failed.", 11), PLAIN, StoreRefused(
        'MongoDB at db.example.net does not accept the user name or the password (Authentication failed.)',
        "Check both in the store's address (percent-encoded: @ is %40), and the database where the user is defined: ?authSource=admin is usual.")),
    (OperationFailure("Bad AUTH : authentication failed", 8000), ATLAS, StoreRefused(
        'MongoDB at c0.ab1.mongodb.net does not accept the user name or the password (Bad AUTH : authentication failed)',
        "Check both in the store's address (percent-encoded: @ is %40), and the database where the user is defined: ?authSource=admin is usual. In Atlas they are under Database Access, not the ones of the web site.")),
    (OperationFailure("authentication of another kind", 4711), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error 4711: authentication of another kind. The journal holds the posts meanwhile.')),
    (OperationFailure("not authorized on tweets", 13), PLAIN, StoreRefused(
        "the user of the store's address may not write to the database 'tweets' (not authorized on tweets)",
        "Give it the role readWrite on 'tweets': db.grantRolesToUser(...).")),
    (OperationFailure("user is NOT allowed to do action [insert]", 8000), ATLAS, StoreRefused(
        "the user of the store's address may not write to the database 'bieber_tui' (user is NOT allowed to do action [insert])",
        "Give it the role readWrite on 'bieber_tui', in Atlas under Database Access.")),
    (OperationFailure("a node is not allowed to vote", 4711), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error 4711: a node is not allowed to vote. The journal holds the posts meanwhile.')),
    (OperationFailure("over your space Quota", 8000), ATLAS, Unavailable(
        'the database at c0.ab1.mongodb.net has no room left (over your space Quota). Free space there, or give it more; delivery then goes on by itself. The journal holds the posts meanwhile.')),
    (OperationFailure("No Space Left on device", 4711), PLAIN, Unavailable(
        'the database at db.example.net has no room left (No Space Left on device). Free space there, or give it more; delivery then goes on by itself. The journal holds the posts meanwhile.')),
    (OperationFailure("disk", 14031), PLAIN, Unavailable(
        'the database at db.example.net has no room left (disk). Free space there, or give it more; delivery then goes on by itself. The journal holds the posts meanwhile.')),
    (OperationFailure("not primary", 10107), PLAIN, Unavailable(
        'the server at db.example.net is not the primary any more, or is shutting down; a new one is usually elected within seconds. The journal holds the posts meanwhile.')),
    (OperationFailure("Invalid namespace", 73), PLAIN, StoreRefused(
        'MongoDB does not accept the name of the database or the collection (Invalid namespace)',
        "The database is the path of the store's address, the collection the setting mongodb.collection.")),
    (OperationFailure("no such command: insert", 59), PLAIN, StoreRefused(
        'the server at db.example.net lacks what the store needs (no such command: insert)',
        'It must be MongoDB 4.2 or newer, or FerretDB.')),
    (OperationFailure("something new", 4711), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error 4711: something new. The journal holds the posts meanwhile.')),
    (NotPrimaryError("stepped down"), PLAIN, Unavailable(
        'the server at db.example.net is not the primary any more, or is shutting down; a new one is usually elected within seconds. The journal holds the posts meanwhile.')),
    (InvalidOperation("Cannot use MongoClient after close"), PLAIN, Unavailable(
        'the connection to MongoDB was closed')),
    (PyMongoError("odd"), PLAIN, Unavailable(
        'MongoDB at db.example.net cannot be used just now: odd. The journal holds the posts meanwhile.')),
    (OSError("odd"), PLAIN, Unavailable(
        'the connection to MongoDB at db.example.net broke (odd). Check the server and the network; a server that wants TLS needs tls=true in the address. The journal holds the posts meanwhile.')),
    (bulk(121), PLAIN, StoreRefused(
        "the collection in 'tweets' has a validation rule that refuses posts (m)",
        'Remove the rule (collMod with validator: {}), or name another collection with mongodb.collection.')),
    (bulk(4711, errmsg="what it is"), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error 4711: what it is. The journal holds the posts meanwhile.')),
    (bulk(11000, 11000, 4711, errmsg="of the third"), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error 4711: of the third. The journal holds the posts meanwhile.')),
    (bulk(11000, keyPattern={"text": 1, "lang": 1}), PLAIN, StoreRefused(
        'the collection has a unique index on text, lang, which refuses posts that are not stored yet',
        'Drop that index, or name another collection with mongodb.collection.')),
    (bulk(11000), PLAIN, Unavailable(
        'MongoDB at db.example.net did not say what became of the posts; they are sent again.')),
    (bulk(11000, keyPattern={"_id": 1}), PLAIN, Unavailable(
        'MongoDB at db.example.net did not say what became of the posts; they are sent again.')),
    (bulk(concern=64), PLAIN, Unavailable(
        'MongoDB at db.example.net took posts but not on a majority of its members in time (waiting for replication timed out). Check that the members are up and in step; the posts are sent again. The journal holds the posts meanwhile.')),
    (bulk(11000, concern=100), PLAIN, Unavailable(
        'MongoDB at db.example.net took posts but not on a majority of its members in time (waiting for replication timed out). Check that the members are up and in step; the posts are sent again. The journal holds the posts meanwhile.')),
    (bulk(concern=91), PLAIN, Unavailable(
        'the server at db.example.net is not the primary any more, or is shutting down; a new one is usually elected within seconds. The journal holds the posts meanwhile.')),
    (bulk(), PLAIN, Unavailable(
        'MongoDB at db.example.net did not say what became of the posts; they are sent again.')),
    (BulkWriteError({"writeConcernErrors": [{"errmsg": "in words only"}]}), PLAIN, Unavailable(
        'MongoDB at db.example.net took posts but not on a majority of its members in time (in words only). Check that the members are up and in step; the posts are sent again. The journal holds the posts meanwhile.')),
    (BulkWriteError({"writeConcernErrors": [{"code": 64}]}), PLAIN, Unavailable(
        'MongoDB at db.example.net took posts but not on a majority of its members in time (). Check that the members are up and in step; the posts are sent again. The journal holds the posts meanwhile.')),
    (BulkWriteError({"writeErrors": [{"index": 0, "code": 4711}]}), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error 4711: . The journal holds the posts meanwhile.')),
    (BulkWriteError({"writeErrors": [{"index": 0, "errmsg": "in words only"}]}), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error None: in words only. The journal holds the posts meanwhile.')),
    (BulkWriteError({}), PLAIN, Unavailable(
        'MongoDB at db.example.net did not say what became of the posts; they are sent again.')),
    (dns("NXDOMAIN"), ATLAS, StoreRefused(
        'there is no MongoDB cluster of the name c0.ab1.mongodb.net (DNS has no SRV record for it)',
        'Check the name for a typing error, and that the cluster was not deleted or paused: its connection string is shown under Connect. A plain server is addressed by mongodb://, not mongodb+srv://.')),
    (dns("NoAnswer"), ATLAS, StoreRefused(
        'there is no MongoDB cluster of the name c0.ab1.mongodb.net (DNS has no SRV record for it)',
        'Check the name for a typing error, and that the cluster was not deleted or paused: its connection string is shown under Connect. A plain server is addressed by mongodb://, not mongodb+srv://.')),
    (dns("LabelTooLong"), ATLAS, StoreRefused(
        'there is no MongoDB cluster of the name c0.ab1.mongodb.net (DNS has no SRV record for it)',
        'Check the name for a typing error, and that the cluster was not deleted or paused: its connection string is shown under Connect. A plain server is addressed by mongodb://, not mongodb+srv://.')),
    (dns("EmptyLabel"), ATLAS, StoreRefused(
        'there is no MongoDB cluster of the name c0.ab1.mongodb.net (DNS has no SRV record for it)',
        'Check the name for a typing error, and that the cluster was not deleted or paused: its connection string is shown under Connect. A plain server is addressed by mongodb://, not mongodb+srv://.')),
    (dns("LifetimeTimeout"), ATLAS, Unavailable(
        'the name c0.ab1.mongodb.net cannot be looked up just now (dns: LifetimeTimeout). Check the DNS and the network of this machine. The journal holds the posts meanwhile.')),
    (dns("NXDOMAIN"), PLAIN, StoreRefused(
        'MongoDB at db.example.net cannot be used with this address: dns: NXDOMAIN',
        "Mend the store's address.")),
    (ConfigurationError("without a cause"), ATLAS, StoreRefused(
        'MongoDB at c0.ab1.mongodb.net cannot be used with this address: without a cause',
        "Mend the store's address.")),
    (ConfigurationError("wire version 2"), PLAIN, StoreRefused(
        'MongoDB at db.example.net cannot be used with this address: wire version 2',
        "Mend the store's address.")),
    (AutoReconnect(UNTRUSTED), PLAIN, StoreRefused(
        'MongoDB at db.example.net shows a TLS certificate that cannot be trusted (certificate has expired)',
        "Check that the host's name in the address is the certificate's, and this machine's clock; for an authority of your own add tlsCAFile=/path/ca.pem to the address.")),
    (AutoReconnect("h:1: CERTIFICATE_VERIFY_FAILED"), PLAIN, StoreRefused(
        'MongoDB at db.example.net shows a TLS certificate that cannot be trusted (h:1: CERTIFICATE_VERIFY_FAILED)',
        "Check that the host's name in the address is the certificate's, and this machine's clock; for an authority of your own add tlsCAFile=/path/ca.pem to the address.")),
    (ServerSelectionTimeoutError(f"{UNTRUSTED}, Timeout: 5s"), ATLAS, StoreRefused(
        'MongoDB at c0.ab1.mongodb.net shows a TLS certificate that cannot be trusted (certificate has expired)',
        "Check that the host's name in the address is the certificate's, and this machine's clock; for an authority of your own add tlsCAFile=/path/ca.pem to the address.")),
    (AutoReconnect(HANDSHAKE), ATLAS, Unavailable(
        "the TLS handshake with MongoDB at c0.ab1.mongodb.net fails (SSL handshake failed: h:1: [SSL: TLSV1_ALERT_INTERNAL_ERROR] tlsv1 alert internal error (_ssl.c:1006)). Check whether that server speaks TLS at that port, and tls= in the address. In Atlas, also check under Network Access that the IP access list has this machine's address. The journal holds the posts meanwhile.")),
    (AutoReconnect("h:1: [SSL: UNEXPECTED_EOF] eof"), PLAIN, Unavailable(
        'the TLS handshake with MongoDB at db.example.net fails (h:1: [SSL: UNEXPECTED_EOF] eof). Check whether that server speaks TLS at that port, and tls= in the address. The journal holds the posts meanwhile.')),
    (AutoReconnect("SSL handshake failed: h:1"), PLAIN, Unavailable(
        'the TLS handshake with MongoDB at db.example.net fails (SSL handshake failed: h:1). Check whether that server speaks TLS at that port, and tls= in the address. The journal holds the posts meanwhile.')),
    (AutoReconnect("h:1: [Errno -2] Name or service not known"), PLAIN, Unavailable(
        "the host name of MongoDB at db.example.net cannot be resolved. Check it for a typing error, and this machine's DNS and network. The journal holds the posts meanwhile.")),
    (ServerSelectionTimeoutError('No members available for replica set name "rs0"'), PLAIN, StoreRefused(
        'MongoDB at db.example.net is no member of the replica set that the address names (No members available for replica set name "rs0")',
        'Mend or leave out replicaSet= in the address.')),
    (AutoReconnect("h:1: [Errno 61] Connection refused"), PLAIN, Unavailable(
        'MongoDB at db.example.net does not listen: the connection was refused. Start the server, or check host and port. The journal holds the posts meanwhile.')),
    (AutoReconnect("h:1: [Errno 61] Connection refused"), ATLAS, Unavailable(
        "MongoDB at c0.ab1.mongodb.net does not listen: the connection was refused. Start the server, or check host and port. In Atlas, also check under Network Access that the IP access list has this machine's address. The journal holds the posts meanwhile.")),
    (NetworkTimeout("h: no answer"), PLAIN, Unavailable(
        'MongoDB at db.example.net does not answer in time (mongodb.timeout). Check that the server is well, that no firewall is in between, and that tls= in the address suits the server. The journal holds the posts meanwhile.')),
    (AutoReconnect("h: timed out"), ATLAS, Unavailable(
        "MongoDB at c0.ab1.mongodb.net does not answer in time (mongodb.timeout). Check that the server is well, that no firewall is in between, and that tls= in the address suits the server. In Atlas, also check under Network Access that the IP access list has this machine's address. The journal holds the posts meanwhile.")),
    (ServerSelectionTimeoutError("No servers found yet, Timeout: 5s"), PLAIN, Unavailable(
        'MongoDB at db.example.net does not answer in time (mongodb.timeout). Check that the server is well, that no firewall is in between, and that tls= in the address suits the server. The journal holds the posts meanwhile.')),
    (ServerSelectionTimeoutError("No primary available for writes, Timeout: 5s"), PLAIN, Unavailable(
        'the replica set at db.example.net has no primary just now; it usually elects one within seconds. If not, check its members. The journal holds the posts meanwhile.')),
    (ServerSelectionTimeoutError("No replica set members match selector"), PLAIN, Unavailable(
        'the replica set at db.example.net has no primary just now; it usually elects one within seconds. If not, check its members. The journal holds the posts meanwhile.')),
    (AutoReconnect("No primary any more"), PLAIN, Unavailable(
        'the connection to MongoDB at db.example.net broke (No primary any more). Check the server and the network; a server that wants TLS needs tls=true in the address. The journal holds the posts meanwhile.')),
    (AutoReconnect("connection closed"), PLAIN, Unavailable(
        'the connection to MongoDB at db.example.net broke (connection closed). Check the server and the network; a server that wants TLS needs tls=true in the address. The journal holds the posts meanwhile.')),
    (AutoReconnect("connection closed"), ATLAS, Unavailable(
        "the connection to MongoDB at c0.ab1.mongodb.net broke (connection closed). Check the server and the network; a server that wants TLS needs tls=true in the address. In Atlas, also check under Network Access that the IP access list has this machine's address. The journal holds the posts meanwhile.")),
    (AutoReconnect("a (configured timeouts: socketTimeoutMS: 20000.0ms)"), PLAIN, Unavailable(
        'the connection to MongoDB at db.example.net broke (a). Check the server and the network; a server that wants TLS needs tls=true in the address. The journal holds the posts meanwhile.')),
    (OperationFailure("b, full error: {'ok': 0.0}", 4711), PLAIN, Unavailable(
        'MongoDB at db.example.net answered with error 4711: b. The journal holds the posts meanwhile.')),
    (PyMongoError("c, Timeout: 5s, Topology Description: <...>"), PLAIN, Unavailable(
        'MongoDB at db.example.net cannot be used just now: c. The journal holds the posts meanwhile.')),
    (PyMongoError("d, Topology Description: <...>"), PLAIN, Unavailable(
        'MongoDB at db.example.net cannot be used just now: d. The journal holds the posts meanwhile.')),
    (PyMongoError("it is hunter2"), PLAIN, Unavailable(
        'MongoDB at db.example.net cannot be used just now: its words are not shown, they hold a secret. The journal holds the posts meanwhile.')),
    (PyMongoError("x" * 200), PLAIN, Unavailable(
        'MongoDB at db.example.net cannot be used just now: ' + 'x' * 200 + '. The journal holds the posts meanwhile.')),
    (PyMongoError("x" * 201), PLAIN, Unavailable(
        'MongoDB at db.example.net cannot be used just now: ' + 'x' * 199 + '…. The journal holds the posts meanwhile.')),
]  # fmt: skip


@pytest.mark.parametrize(("error", "address", "failure"), WORDS, ids=[str(row[0])[:60] for row in WORDS])
def test_a_failure_is_told_word_by_word(error, address, failure):
    told = explain(error, address)
    assert (type(told), str(told)) == (type(failure), str(failure))


def test_a_name_that_was_found_before_is_looked_up_again():
    said = "the name c0.ab1.mongodb.net cannot be looked up just now (dns: NXDOMAIN)"
    assert str(explain(dns("NXDOMAIN"), ATLAS, known=True)).startswith(said)


def test_what_the_monitors_met_is_asked_only_when_no_server_could_be_chosen():
    met = [AutoReconnect("h:1: connection closed"), AutoReconnect("h:2: [Errno 111] Connection refused")]
    chosen = ServerSelectionTimeoutError("h:1: something, Timeout: 5s")
    assert "does not listen" in str(explain(chosen, PLAIN, met))
    assert "broke (h:1: something)" in str(explain(chosen, PLAIN, met[:1]))
    assert "does not answer" in str(explain(chosen, PLAIN, []))
    assert "broke" in str(explain(AutoReconnect("connection closed"), PLAIN, met))


def test_an_insert_without_details_counts_nothing():
    for error in (BulkWriteError({}), BulkWriteError({"writeErrors": []})):
        with pytest.raises(Unavailable):
            duplicate_indexes(error, PLAIN)


def test_a_duplicate_of_another_key_counts_nothing_whatever_else_is_one():
    error = BulkWriteError(
        {
            "writeErrors": [
                {"index": 0, "code": 11000, "keyPattern": {"_id": 1}},
                {"index": 1, "code": 11000, "keyPattern": {"text": 1}},
            ]
        }
    )
    with pytest.raises(StoreRefused, match="unique index on text"):
        duplicate_indexes(error, PLAIN)


def test_a_collection_that_would_take_a_post_twice():
    assert str(takes_doubles("posts", PLAIN)) == (
        "the collection tweets.posts at db.example.net has no index on _id and would take a post twice: it is a "
        "time-series collection, or the server (FerretDB) was killed while it made the collection. Drop it if nothing "
        "in it is needed (db.posts.drop()), or name another one with mongodb.collection. The journal holds the posts "
        "meanwhile."
    )
