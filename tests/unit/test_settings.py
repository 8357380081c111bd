"""Every setting has one name and three spellings, and a wrong one is refused in words, never with a secret."""

import json
import pickle
import re
from operator import attrgetter
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import settings
from core.errors import ConfigError
from tests.strategies import TEXT


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    for name in [name for name in __import__("os").environ if name.startswith("BIEBER_TUI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "config_dir", lambda: tmp_path)


def test_the_defaults_are_the_capture_that_the_program_was_born_for():
    loaded = settings.load()
    assert (loaded.source, loaded.keywords, loaded.topic) == ("x", '"justin bieber"', "music OR #music")
    assert loaded.x.base_url == "https://api.x.com"
    assert loaded.store is None


def test_the_command_line_wins_over_the_environment_and_that_over_the_profile(monkeypatch, tmp_path):
    profile = tmp_path / "lab.toml"
    profile.write_text(
        'topic = "profile"\nkeywords = "profile"\n[x]\nbase_url = "http://profile"\nbackfill = true\n'
    )
    monkeypatch.setenv("BIEBER_TUI_X__BASE_URL", "http://environment")
    monkeypatch.setenv("BIEBER_TUI_KEYWORDS", "environment")
    loaded = settings.load({"keywords": "line"}, "lab")
    assert (loaded.topic, loaded.keywords) == ("profile", "line")
    assert loaded.x.base_url == "http://environment"
    assert loaded.x.backfill is True


def test_a_default_profile_is_read_when_it_is_there(tmp_path):
    (tmp_path / "config.toml").write_text('topic = "jazz"')
    assert settings.load().topic == "jazz"


def test_a_missing_or_broken_profile_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no profile 'nowhere'"):
        settings.load({}, "nowhere")
    (tmp_path / "bad.toml").write_text("= =")
    with pytest.raises(ConfigError, match=r"bad\.toml cannot be read"):
        settings.load({}, "bad")


@pytest.mark.parametrize("name", ["x.basurl", "nothing", "topic.x", "x.base_url.deeper"])
def test_an_unknown_setting_is_refused(name):
    with pytest.raises(ConfigError):
        settings.load({name: "1"})


def test_a_wrong_value_is_refused_with_the_setting_and_its_spellings():
    with pytest.raises(ConfigError) as caught:
        settings.load({"mongodb.timeout": "soon"})
    assert "mongodb.timeout" in str(caught.value)
    assert "BIEBER_TUI_MONGODB__TIMEOUT" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "wrong", "right", "allowed"),
    [
        ("ui.fps", ["0", "61", "fast", "9.5", 9.5, True, None, "", {}], {"60": 60, 1: 1, " 5\r": 5}, "a whole number from 1 to 60"),
        ("x.backfill_wait", ["-1", "nan", "soon", [1]], {"0": 0.0, "1e3": 1000.0, 7: 7.0}, "a number from 0 to 86400"),
        ("mongodb.timeout", ["0", 0, -1.5, "inf", 1e30, 10**400], {"0.5": 0.5}, "a number above 0, up to 86400"),
        ("x.backfill_max_posts", ["-1", "9" * 400], {"0": 0}, "a whole number from 0 to 1000000000"),
        ("mongodb.collection", ["", 5], {"posts": "posts"}, "a text that is not empty"),
        ("topic", [5, ["jazz"], {}], {"": "", " jazz ": " jazz "}, "a text"),
        ("log.format", ["xml", "JSON", 1], {"json ": "json"}, "text or json"),
        ("x.backfill", ["maybe", 2, ""], {"yes ": True, "Off": False, "1": True, 0: False, "TRUE": True}, "true or false"),
        ("ui.keys.star", [5, ["s", 5], {}], {"s": {"star": "s"}}, "a text or a list of texts"),
        ("ui.keys", [3, "s", []], {}, "a table (keys of an action: ui.keys.freeze=f,space)"),
        ("data_dir", [5, None, "", " "], {"a/b": Path("a/b"), "~/b": Path.home() / "b"}, "the path of a folder"),
        ("topic", ["a\0b", "caf\udce9"], {"café": "café"}, "a text in UTF-8, without NUL"),
        ("data_dir", ["a\0b"], {}, "a text in UTF-8, without NUL"),
        ("x.bearer_token", ["file:a\0b"], {}, "a text in UTF-8, without NUL"),
    ],
)  # fmt: skip
def test_a_value_that_a_setting_cannot_have_is_refused_with_those_that_it_can(name, wrong, right, allowed):
    for value in wrong:
        with pytest.raises(ConfigError, match=re.escape(f"the setting {name!r} is wrong: it must be {allowed}\n")):
            settings.load({name: value})
    for value, taken in right.items():
        assert attrgetter(name.removesuffix(".star"))(settings.load({name: value})) == taken


def test_sizes_and_ages_are_read_as_people_write_them():
    assert settings.load({"journal.min_free": "1.5 GB"}).journal.min_free == 1_500_000_000
    assert settings.load({"journal.min_free": 7}).journal.min_free == 7
    for name, value in (
        ("min_free", "-1"), ("min_free", "much"), ("min_free", "9" * 5000), ("min_free", "9" * 400 + "TB"),
        ("keep", "90"), ("keep", 90), ("keep", "0d"), ("keep", "9" * 400 + "d"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"'journal\.{name}' is wrong: '{value}'"):
            settings.load({f"journal.{name}": value})


def test_everything_that_is_wrong_is_told_at_once(monkeypatch, tmp_path):
    (tmp_path / "lab.toml").write_text("x = 1\n[journal]\nscop = 'all'\n[[ui.keys]]\n")
    monkeypatch.setenv("BIEBER_TUI_UI__FPS", "0")
    with pytest.raises(ConfigError) as caught:
        settings.load({"log.format": "xml"}, "lab")
    for name in ("'x'", "'journal.scop'", "'ui.keys'", "'ui.fps'", "'log.format'"):
        assert name in caught.value.message
    assert "--set ui.keys=…" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[jurnal]", "there is no setting 'jurnal': do you mean journal?"),
        ("[journal]\nscop = 'all'", "there is no setting 'journal.scop': do you mean journal.scope?"),
        ("bearer_token = 's3cret'", "there is no setting 'bearer_token': do you mean x.bearer_token?"),
        ("x = 5", "'x' is no setting but a section: x.base_url is a setting in it"),
        ("[topic]\na = 1", "the setting 'topic' is wrong: it must be a text"),
        ("[x.bearer_token]\ns3cret = 1", "the setting 'x.bearer_token' is wrong: it must be a text"),
        ("[ui.keys.star]\na = 's'", "the setting 'ui.keys.star' is wrong: it must be a text or a list of texts"),
    ],
)
def test_a_table_in_the_wrong_place_or_under_a_wrong_name_is_told(tmp_path, text, told):
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings.load()
    assert caught.value.message == told
    assert settings.SEE_LIST in caught.value.hint


def test_a_profile_may_begin_with_the_mark_of_windows_editors(tmp_path):
    (tmp_path / "config.toml").write_bytes(b'\xef\xbb\xbftopic = "jazz"\r\n')
    assert settings.load().topic == "jazz"


def test_a_secret_with_a_wrong_separator_is_not_repeated():
    for written in ("x.consumer_secret:s3cret", "store:mongodb://u:s3cret@h/db?w", "mongodb://u:s3cret@h/db?w"):
        with pytest.raises(ConfigError) as caught:
            settings.load({written: "1"})
        assert "s3cret" not in str(caught.value)


def test_settings_of_a_running_capture_cannot_change():
    loaded = settings.load()
    with pytest.raises(AttributeError):
        loaded.topic = "jazz"
    with pytest.raises(AttributeError):
        loaded.x.backfill = True


def test_a_misspelt_variable_is_told(monkeypatch):
    monkeypatch.setenv("BIEBER_TUI_X__BEARER_TOKN", "s3cret")
    monkeypatch.setenv("BIEBER_TUI_TOPIC", "jazz")
    values, unknown = settings.read_environment()
    assert unknown == ["BIEBER_TUI_X__BEARER_TOKN"]
    assert values == {"topic": "jazz"}


def test_a_secret_is_read_from_its_file_and_never_shown(tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    loaded = settings.load({"x.bearer_token": f"file:{tmp_path / 'token'}", "store": "mongodb://u:s3cret@h/db"})
    assert loaded.x.bearer_token is not None
    assert loaded.x.bearer_token.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(loaded) + str(loaded)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"s3cret\xff", "it is not UTF-8"),
        ("s3cret".encode("utf-16"), "it is not UTF-8"),
        (b"s3cret" * 20_000, "it is too long for a secret"),
    ],
)
def test_a_secrets_file_that_holds_none_is_named_without_a_value(tmp_path, content, fault):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    for name in ("x.bearer_token", "store"):  # a store that is silently none would get no post
        with pytest.raises(ConfigError) as caught:
            settings.load({name: f"file:{path}"})
        assert f"the secret's file {path} cannot be read: {fault}\n" in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_an_empty_secret_is_none(tmp_path):
    (tmp_path / "config.toml").write_text('store = "mongodb://h/db"')
    assert settings.load({"store": ""}).store is None


def test_every_setting_is_described():
    rows = settings.describe()
    names = [name for name, _, _ in rows]
    fixed = {"source", "keywords", "topic", "store", "data_dir", "x.base_url", "x.bearer_token", "x.backfill"}
    assert fixed <= {*names}
    assert all(words for _, _, words in rows)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x.bearer_token", "s3cret"),
        ("x.consumer_key", "s3cret"),
        ("x.consumer_secret", "s3cret"),
        ("store", "mongodb://user:s3cret@h/db"),
        ("store", "mongodb://user:s3/cret@h/db"),
        ("store", "mongodb://h/db?tls=true&tlsCertificateKeyFilePassword=s3cret"),
    ],
)
def test_a_secret_is_refused_on_the_command_line_without_repeating_it(name, value):
    with pytest.raises(ConfigError) as caught:
        settings.refuse_secrets({name: value})
    assert "s3cret" not in str(caught.value)
    assert f"BIEBER_TUI_{name.upper().replace('.', '__')}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x.bearer_token", "file:/run/secrets/token"),
        ("store", "file:/run/secrets/store"),
        ("store", "mongodb://127.0.0.1:27017/db?authSource=admin"),
        ("topic", "a://b:c@d"),
        ("x.nothing", "1"),
        ("store", None),
    ],
)
def test_what_holds_no_secret_may_be_given_on_the_command_line(name, value):
    settings.refuse_secrets({name: value})


def test_settings_are_not_written_out_by_pickle_and_errors_show_no_value():
    loaded = settings.load({"x.bearer_token": "s3cret"})
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(loaded)
    assert "s3cret" not in f"{loaded} {loaded!r} {msgspec.structs.asdict(loaded)} {loaded.x.bearer_token}"
    for write in (msgspec.json.encode, msgspec.msgpack.encode, json.dumps):
        with pytest.raises(TypeError) as caught:
            write(loaded.x.bearer_token)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError) as refused:
        settings.load(
            {"x.bearer_token": ["s3cret"], "x.backfill": "s3cret", "log.format": "s3cret", "ui.fps": "s3cret"}
        )
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('topic = "jazz"\n[x]\nbearer_token = "s3cret"', True),
        ('store = "mongodb://u:s3cret@h/db"', True),
        ('store = "mongodb://h/db"\n[x]\nbearer_token = "file:/run/secrets/token"', False),
        ('topic = "jazz"', False),
        ("= =", False),
    ],
)
def test_a_profile_with_a_secret_that_others_can_read_is_told(tmp_path, text, told):
    path = tmp_path / "lab.toml"
    path.write_text(text)
    path.chmod(0o644)
    words = settings.open_secrets("lab")
    assert bool(words) is told
    assert "s3cret" not in words
    assert not told or f"chmod 600 {path}" in words
    path.chmod(0o600)
    assert settings.open_secrets("lab") == ""
    assert settings.open_secrets(None) == settings.open_secrets("nowhere") == ""


SECRETS = ["store", "x.bearer_token", "x.consumer_key", "x.consumer_secret", "privacy.key"]
OTHERS = [name for name, _, _ in settings.describe() if name not in SECRETS]
SCALARS = st.booleans() | st.integers() | st.floats() | st.datetimes() | st.dates() | st.times() | TEXT


def tables(scalars, names):
    return st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=6)


@given(
    st.dictionaries(
        st.sampled_from([*OTHERS, "x", "ui", "ui.keys.star", "ui.keys."]) | TEXT, tables(SCALARS, TEXT)
    ),
    st.dictionaries(
        st.sampled_from(SECRETS),
        tables(SCALARS.map(lambda value: f"s3cret{value}") | SCALARS, TEXT.map(lambda name: f"s3cret{name}")),
    ),
)
@example({"log.format": "\udcff"}, {})
@example({}, {"store": {"mongodb://u:s3cret@h": 1}})
def test_any_table_gives_settings_or_words_and_no_secret(others, secrets):
    try:
        loaded = settings.load(settings._flat(others | secrets))
    except ConfigError as error:
        assert error.message
        assert error.hint
        assert "s3cret" not in str(error)
    else:
        assert "s3cret" not in repr(loaded)
