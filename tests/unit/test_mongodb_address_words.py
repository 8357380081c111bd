"""What the person reads of an address that is wrong, word by word, and what is kept of one that is right."""

from __future__ import annotations

import warnings

import pytest

from core.errors import ConfigError
from core.sinks import mongodb_address
from core.sinks.mongodb_address import ENCODE, parse_address

NO_ADDRESS = (
    "the store's address is no MongoDB address",
    "It looks like mongodb://host:27017/database or mongodb+srv://user:password@cluster.example.net/.",
)
AT = ("the MongoDB address cannot be read: it has an @ that does not end the password", ENCODE)
UNREADABLE = ("the MongoDB address cannot be read", ENCODE)
DOT = (
    "the path of the MongoDB address has a dot in it",
    "The path names the database alone; the collection is the setting mongodb.collection.",
)
TAKE_OUT = "Take that option out. A certificate of your own is trusted by tls=true&tlsCAFile=/path/ca.pem."
MANUAL = "The options after ? are listed in MongoDB's manual under 'Connection Strings'."


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mongo://h/db", NO_ADDRESS),
        ("h/db", NO_ADDRESS),
        ("mongodb://user:hunter2@x@h/db", AT),
        ("mongodb://user:hunter2/x@h/db", AT),
        ("mongodb://user:hunter2?x@h/db", AT),
        ("mongodb://user:hunter2:x@h/db", UNREADABLE),
        ("mongodb://h/a$b", UNREADABLE),
        ("mongodb://user:65535@h:99999/db", UNREADABLE),  # the driver's words repeat the password

        ("mongodb://user:hunter2@h:88888/db", ("the MongoDB address cannot be used: Port must be an integer between 0 and 65535", MANUAL)),
        ("mongodb://h/posts.old", DOT),
        ("mongodb://h/db?tlsInsecure=true&tls=true", ("the MongoDB address switches off the verification of the server (tlsinsecure)", TAKE_OUT)),
        ("mongodb://h/admin", ("the MongoDB address would store posts in 'admin', a database of the server's own", "If that is where the user is defined, write /bieber_tui?authSource=admin instead.")),
    ],
)  # fmt: skip
def test_a_wrong_address_is_told_word_by_word(url, said):
    with pytest.raises(ConfigError) as refused:
        parse_address(url, {})
    assert (refused.value.message, refused.value.hint) == said


def test_an_option_that_the_sink_sets_is_judged_too():
    with pytest.raises(ConfigError, match="cannot be used"):
        parse_address("mongodb://h/db", {"timeoutMS": "soon"})


def test_verification_that_is_not_switched_off_is_no_fault():
    assert parse_address("mongodb://h/db?tls=true&tlsInsecure=false", {}).database == "db"


def test_what_the_driver_will_change_one_day_is_no_fault_of_the_address(monkeypatch):
    made = mongodb_address.MongoClient

    def client(*values, **options):
        warnings.warn("this will go", DeprecationWarning, stacklevel=2)
        return made(*values, **options)

    monkeypatch.setattr(mongodb_address, "MongoClient", client)
    assert parse_address("mongodb://h/db", {}).hosts == "h"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("mongodb://h/db", set()),
        ("mongodb://h/db?appName=a://b", set()),
        ("mongodb://user@h/db?authMechanism=MONGODB-X509&tls=true", set()),
        ("mongodb://user:a%2Fb@h/db", {"a%2Fb", "a/b"}),
        ("mongodb://user:plain@h/db", {"plain"}),
        ("mongodb://u:k@h/db?authMechanism=MONGODB-AWS&authSource=$external&AUTHMECHANISMPROPERTIES=AWS_SESSION_TOKEN:t1",
         {"k", "AWS_SESSION_TOKEN:t1"}),
    ],
)  # fmt: skip
def test_every_secret_of_an_address_is_known_and_nothing_else_is_one(url, secrets):
    address = parse_address(url, {})
    assert set(address.secrets) == secrets
    assert not address.hides("a text without any")
    for secret in secrets:
        assert address.hides(f"it is {secret}!")


def test_an_srv_name_is_told_from_a_host():
    assert parse_address("mongodb+srv://c0.ab1.mongodb.net/", {}).srv
    assert parse_address("MongoDB+SRV://c0.ab1.mongodb.net/", {}).srv
    assert not parse_address("mongodb://h/", {}).srv
