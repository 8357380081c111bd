"""What went wrong with MongoDB, in words for the person who can mend it.

Every failure becomes one of two: Unavailable (waiting may mend it, or the person can while the capture goes on)
or StoreRefused (no retry helps). What is not known here is Unavailable: the journal holds the posts meanwhile, and
the server's own words are shown. No message holds a password or an address with one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
)

from core.errors import StoreRefused, Unavailable
from core.sinks.mongodb_address import Address

Failure = Unavailable | StoreRefused

# The server's codes: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
DUPLICATE_KEY = 11000
NOT_AUTHORISED = (13, 33)
AUTHENTICATION_FAILED = (18, 11)
ATLAS = 8000  # hosted MongoDB's own errors; only the words tell them apart
NOT_PRIMARY = (10058, 10107, 13435, 11602, 13436, 189, 11600, 91)
NO_MAJORITY = (64, 79, 100)
DISK_FULL = (14031, 39)
VALIDATION = 121
BAD_NAME = (73,)
NOT_HERE = (59, 115, 238)  # a command or an option that this server does not have

# What getaddrinfo says, on Linux (its numbers are negative) and on macOS.
NAME_UNKNOWN = re.compile(r"\[Errno -\d+\]|nodename nor servname|getaddrinfo failed")

GOES_ON = "The journal holds the posts meanwhile."


def explain(error: Exception, address: Address, seen: Iterable[Exception] = (), *, known: bool = False) -> Failure:
    """The failure to raise for the driver's `error`.

    `seen` are the errors that the driver's monitors last met at each server: the real cause when no server could
    be chosen. `known` says that this address was connected to before, so that a name that does not resolve just
    now is no typing error.
    """
    if isinstance(error, BulkWriteError):
        return _of_bulk(error, address)
    if isinstance(error, InvalidOperation):
        return Unavailable("the connection to MongoDB was closed")
    if isinstance(error, NotPrimaryError):
        return _not_primary(address)
    if isinstance(error, OperationFailure):
        return _of_server(error.code, _words(error, address), address)
    if isinstance(error, ConfigurationError):
        return _of_configuration(error, address, known)
    if isinstance(error, ConnectionFailure | OSError):
        causes = [error, *seen] if isinstance(error, ServerSelectionTimeoutError) else [error]
        return _of_connection(error, address, causes)
    return Unavailable(f"MongoDB at {address.hosts} cannot be used just now: {_words(error, address)}. {GOES_ON}")


def duplicate_indexes(error: BulkWriteError, address: Address) -> list[int]:
    """The places, within the insert, of the documents whose `_id` was there before.

    Raises the failure if anything else went wrong as well: then nothing of that insert may be counted.
    """
    details: Mapping[str, Any] = error.details or {}
    faults: Sequence[Mapping[str, Any]] = details.get("writeErrors", ())
    other_keys = [fault for fault in faults if "_id" not in fault.get("keyPattern", {"_id": 1})]
    if (
        not faults
        or other_keys
        or details.get("writeConcernErrors")
        or any(fault.get("code") != DUPLICATE_KEY for fault in faults)
    ):
        raise _of_bulk(error, address)
    return [int(fault["index"]) for fault in faults]


def takes_doubles(collection: str, address: Address) -> Unavailable:
    """The failure to raise for a collection that would take a post twice."""
    where = f"the collection {address.database}.{collection} at {address.hosts}"
    return Unavailable(
        f"{where} has no index on _id and would take a post twice: it is a time-series collection, or the server "
        "(FerretDB) was killed while it made the collection. Drop it if nothing in it is needed "
        f"(db.{collection}.drop()), or name another one with mongodb.collection. {GOES_ON}"
    )


def _of_bulk(error: BulkWriteError, address: Address) -> Failure:
    details: Mapping[str, Any] = error.details or {}
    for fault in details.get("writeErrors", ()):
        if fault.get("code") != DUPLICATE_KEY:
            return _of_server(fault.get("code"), _safe(str(fault.get("errmsg", "")), address), address)
    for fault in details.get("writeConcernErrors", ()):
        return _of_server(fault.get("code") or 64, _safe(str(fault.get("errmsg", "")), address), address)
    for fault in details.get("writeErrors", ()):
        if "_id" not in fault.get("keyPattern", {"_id": 1}):
            fields = ", ".join(fault["keyPattern"])
            return StoreRefused(
                f"the collection has a unique index on {fields}, which refuses posts that are not stored yet",
                "Drop that index, or name another collection with mongodb.collection.",
            )
    return Unavailable(f"MongoDB at {address.hosts} did not say what became of the posts; they are sent again.")


def _of_server(code: int | None, said: str, address: Address) -> Failure:
    """What a server answered with an error code means."""
    atlas_auth = code == ATLAS and "auth" in said.lower()
    if code in AUTHENTICATION_FAILED or atlas_auth:
        return StoreRefused(
            f"MongoDB at {address.hosts} does not accept the user name or the password ({said})",
            "Check both in the store's address (percent-encoded: @ is %40), and the database where the user is "
            "defined: ?authSource=admin is usual."
            + (" In Atlas they are under Database Access, not the ones of the web site." if address.atlas else ""),
        )
    if code in NOT_AUTHORISED or (code == ATLAS and "not allowed" in said.lower()):
        return StoreRefused(
            f"the user of the store's address may not write to the database {address.database!r} ({said})",
            f"Give it the role readWrite on {address.database!r}"
            + (", in Atlas under Database Access." if address.atlas else ": db.grantRolesToUser(...)."),
        )
    if code in DISK_FULL or "quota" in said.lower() or "no space left" in said.lower():
        return Unavailable(
            f"the database at {address.hosts} has no room left ({said}). Free space there, or give it more; "
            f"delivery then goes on by itself. {GOES_ON}"
        )
    if code in NOT_PRIMARY:
        return _not_primary(address)
    if code in NO_MAJORITY:
        return Unavailable(
            f"MongoDB at {address.hosts} took posts but not on a majority of its members in time ({said}). "
            f"Check that the members are up and in step; the posts are sent again. {GOES_ON}"
        )
    if code == VALIDATION:
        return StoreRefused(
            f"the collection in {address.database!r} has a validation rule that refuses posts ({said})",
            "Remove the rule (collMod with validator: {}), or name another collection with mongodb.collection.",
        )
    if code in BAD_NAME:
        return StoreRefused(
            f"MongoDB does not accept the name of the database or the collection ({said})",
            "The database is the path of the store's address, the collection the setting mongodb.collection.",
        )
    if code in NOT_HERE:
        return StoreRefused(
            f"the server at {address.hosts} lacks what the store needs ({said})",
            "It must be MongoDB 4.2 or newer, or FerretDB.",
        )
    return Unavailable(f"MongoDB at {address.hosts} answered with error {code}: {said}. {GOES_ON}")


def _of_configuration(error: ConfigurationError, address: Address, known: bool) -> Failure:
    """What the driver found wrong while it connected: mostly the SRV record of a mongodb+srv:// name."""
    said = _words(error, address)
    cause = type(error.__cause__).__name__
    missing = cause in ("NXDOMAIN", "NoAnswer", "LabelTooLong", "EmptyLabel")
    if address.srv and missing and not known:
        return StoreRefused(
            f"there is no MongoDB cluster of the name {address.hosts} (DNS has no SRV record for it)",
            "Check the name for a typing error, and that the cluster was not deleted or paused: its connection "
            "string is shown under Connect. A plain server is addressed by mongodb://, not mongodb+srv://.",
        )
    if address.srv and error.__cause__ is not None:
        return Unavailable(
            f"the name {address.hosts} cannot be looked up just now ({said}). Check the DNS and the network of "
            f"this machine. {GOES_ON}"
        )
    return StoreRefused(
        f"MongoDB at {address.hosts} cannot be used with this address: {said}", "Mend the store's address."
    )


def _of_connection(error: Exception, address: Address, causes: Sequence[Exception]) -> Failure:
    """Why no connection was to be had, or why one broke."""
    text = " ".join(map(str, causes))  # all that the driver keeps of what the system said is its text
    said = _words(error, address)
    where = f"MongoDB at {address.hosts}"
    access_list = (
        " In Atlas, also check under Network Access that the IP access list has this machine's address."
        if address.atlas
        else ""
    )
    if isinstance(error, ServerSelectionTimeoutError) and re.match(
        r"No (primary|replica set members match)", said
    ):
        return Unavailable(
            f"the replica set at {address.hosts} has no primary just now; it usually elects one within seconds. "
            f"If not, check its members. {GOES_ON}"
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        found = re.search(r"certificate verify failed: ([^(]+)", text)
        return StoreRefused(
            f"{where} shows a TLS certificate that cannot be trusted ({found[1].strip() if found else said})",
            "Check that the host's name in the address is the certificate's, and this machine's clock; for an "
            "authority of your own add tlsCAFile=/path/ca.pem to the address.",
        )
    if "[SSL" in text or "SSL handshake failed" in text:
        return Unavailable(
            f"the TLS handshake with {where} fails ({said}). Check whether that server speaks TLS at that port, "
            f"and tls= in the address.{access_list} {GOES_ON}"
        )
    if NAME_UNKNOWN.search(text):
        return Unavailable(
            f"the host name of {where} cannot be resolved. Check it for a typing error, and this machine's DNS "
            f"and network. {GOES_ON}"
        )
    if "replica set name" in text:
        return StoreRefused(
            f"{where} is no member of the replica set that the address names ({said})",
            "Mend or leave out replicaSet= in the address.",
        )
    if "refused" in text:
        return Unavailable(
            f"{where} does not listen: the connection was refused. Start the server, or check host and port."
            f"{access_list} {GOES_ON}"
        )
    silent = isinstance(error, ServerSelectionTimeoutError) and len(causes) == 1  # no server has said anything yet
    if silent or isinstance(error, NetworkTimeout) or "timed out" in text:
        return Unavailable(
            f"{where} does not answer in time (mongodb.timeout). Check that the server is well, that no "
            f"firewall is in between, and that tls= in the address suits the server.{access_list} {GOES_ON}"
        )
    return Unavailable(
        f"the connection to {where} broke ({said}). Check the server and the network; a server that wants TLS "
        f"needs tls=true in the address.{access_list} {GOES_ON}"
    )


def _not_primary(address: Address) -> Unavailable:
    return Unavailable(
        f"the server at {address.hosts} is not the primary any more, or is shutting down; a new one is usually "
        f"elected within seconds. {GOES_ON}"
    )


def _words(error: Exception, address: Address) -> str:
    """The driver's own words, without the state of its pools and the server's whole answer."""
    text = str(error)
    for tail in (" (configured timeouts:", ", Timeout:", ", full error:", ", Topology Description:"):
        text = text.partition(tail)[0]
    return _safe(text, address)


def _safe(text: str, address: Address) -> str:
    """One line of `text`, at most 200 characters, or its absence when it repeats a secret."""
    if address.hides(text):
        return "its words are not shown, they hold a secret"
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "…"
