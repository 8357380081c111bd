"""The address of a MongoDB store is judged before anything connects, and its secrets stay in it."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings

import pytest

from core.errors import ConfigError
from core.secret import SecretStr
from core.settings import MongodbSettings, Settings
from core.sinks import open_sink
from core.sinks.mongodb import MongodbSink
from tests.conftest import ROOT

PASSWORD = "hunter2/@:%Ω"
ENCODED = "hunter2%2F%40%3A%25%CE%A9"


def sink_of(url: str) -> MongodbSink:
    return MongodbSink(url, MongodbSettings())


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("mongodb://h", "h/bieber_tui.posts"),
        ("mongodb://h:27018/other", "h:27018/other.posts"),
        (f"mongodb://user:{ENCODED}@a:1,b:2/?replicaSet=rs0", "a:1,b:2/bieber_tui.posts"),
        ("mongodb://user:x@h/tweets?authSource=admin&w=0&retryWrites=true&appName=a@b", "h/tweets.posts"),
        ("mongodb+srv://user:x@cluster0.example.mongodb.net/", "cluster0.example.mongodb.net/bieber_tui.posts"),
        ("mongodb://[::1]:27017/six", "[::1]:27017/six.posts"),
        ("  mongodb://h/db\n", "h/db.posts"),
    ],
)
def test_the_target_names_the_place_without_who_goes_there(url: str, target: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sink = sink_of(url)
    assert sink.target == target
    assert repr(sink) == f"MongodbSink({target})"


def test_the_collection_is_a_setting() -> None:
    assert MongodbSink("mongodb://h", MongodbSettings(collection="seen")).target == "h/bieber_tui.seen"


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://user:hunter2@x@h/db",
        "mongodb://user:hunter2/x@h/db",
        "mongodb://user:hunter2?x@h/db",
        "mongodb://user:hunter2?x=y@h/db",
        "mongodb://user:hunter2:x@h/db",
        "mongodb://user:hunter2%x@h/db",
        "mongodb://user@x/hunter2@h/db",
        "mongodb+srv://user:hunter2@x@h.example.net/db",
    ],
)
def test_an_unescaped_password_is_told_from_other_faults_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        sink_of(url)
    assert "percent-encoded" in refused.value.hint
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mongodb://", "cannot be used"),
        ("mongodb://h:99999/db", "Port must be"),
        ("mongodb://h/db?foo=1", "foo"),
        ("mongodb://h/db?tls=perhaps", "tls"),
        ("mongodb://h/db?tls=true&tlsCAFile=/not/there.pem", "/not/there.pem"),
        ("mongodb://h/db?compressors=snappy", "snappy"),
        ("mongodb://user:@h/db", "password is required"),
        ("mongodb://h/posts.old", "dot"),
        ("mongodb://h/a$b", "cannot be read"),
        ("mongodb+srv://h.example.net:27017/db", "port"),
        ("mongodb+srv://a.example.net,b.example.net/db", "one"),
        ("mongodb://user:x@h/admin", "authSource=admin"),
        ("mongodb://h/db?tlsAllowInvalidCertificates=true", "verification"),
        ("mongodb://h/db?tls=true&TLSINSECURE=true", "verification"),
        ("mongodb://h/db?tls=true&tlsAllowInvalidHostnames=true", "verification"),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_wrong(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        sink_of(url)
    assert said in str(refused.value)
    assert refused.value.hint
    assert refused.value.exit_code == 2


def test_a_secret_in_an_option_is_not_repeated() -> None:
    url = f"mongodb://user:{ENCODED}@h/db?tls=true&tlsCertificateKeyFile=/not/s3cret.pem"
    with pytest.raises(ConfigError) as refused:
        sink_of(f"{url}&tlsCertificateKeyFilePassword=s3cret")
    assert "s3cret" not in str(refused.value)


def test_no_password_in_anything_that_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sink = sink_of(f"mongodb://user:{ENCODED}@127.0.0.1:1/db")
    shown = f"{sink!r} {sink} {sink.target} {sink._address!r} {caplog.text}"
    for secret in (PASSWORD, ENCODED, "hunter2"):
        assert secret not in shown


@pytest.mark.parametrize("url", ["mongo://h/db", "posts.sqlite", "", "user:hunter2@h", "file:///hunter2"])
def test_an_address_of_no_known_store_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_sink(url, Settings())
    assert "mongodb://" in refused.value.hint
    assert "hunter2" not in str(refused.value)


def test_the_registry_makes_the_sink_from_the_settings() -> None:
    settings = Settings(store=SecretStr("mongodb://h/db"), mongodb=MongodbSettings(collection="c"))
    assert settings.store is not None
    sink = open_sink(settings.store.get_secret_value(), settings)
    assert (sink.name, sink.target) == ("mongodb", "h/db.c")
    assert open_sink("MongoDB://h/db", settings).target == "h/db.c"


def test_the_driver_is_imported_only_for_a_mongodb_store() -> None:
    code = """
import sys
from core.errors import ConfigError
from core.settings import Settings
from core.sinks import open_sink
try:
    open_sink("other://h", Settings())
except ConfigError:
    pass
assert "pymongo" not in sys.modules and "bson" not in sys.modules
open_sink("mongodb://h", Settings())
assert "pymongo" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
