"""The same person has the same pseudonym under one key, nobody has one without it, and a lost key is told."""

from __future__ import annotations

import re
import stat

import pytest

from core import sources
from core.errors import ConfigError, Undecodable
from core.journal import Batch, Deletion, Forgetting, Journal
from core.privacy import Privacy, open_pseudonyms
from core.pseudonyms import KEY_FILE, Pseudonyms, given_key
from core.secret import SecretStr
from core.settings import PrivacySettings

KEY = "0123456789abcdef" * 2
ON = PrivacySettings(pseudonymise=True)


def test_a_pseudonym_is_a_name_that_x_would_allow_and_follows_from_the_key_alone():
    one, same, other = Pseudonyms(KEY), Pseudonyms(KEY), Pseudonyms(KEY[::-1])
    for kind, value in (("id", "44196397"), ("username", "anna"), ("username", "ünï\ud800")):
        assert re.fullmatch(r"[au]_[a-z2-7]{13}", one(kind, value))
        assert one(kind, value) == same(kind, value) != other(kind, value)
    assert one("username", "Anna") == one("username", "aNNa")
    assert one("id", "anna")[2:] != one("username", "anna")[2:]
    assert len({one("id", str(number)) for number in range(20_000)}) == 20_000
    assert KEY not in repr(one)


def test_the_key_file_is_made_once_private_and_apart_from_the_data(tmp_path):
    config, data = tmp_path / "config", tmp_path / "data"
    first = given_key(None, config, data, create=True)
    again = given_key(None, config, data, create=True)
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint
    assert stat.S_IMODE((config / KEY_FILE).stat().st_mode) == 0o600
    assert given_key(None, tmp_path / "other", data, create=False) is None
    with pytest.raises(ConfigError, match="lie in the data folder"):
        given_key(None, data / "config", data, create=True)


def test_a_key_that_could_be_guessed_is_refused_and_never_overwritten(tmp_path):
    with pytest.raises(ConfigError, match="could be guessed") as caught:
        given_key("hunter2", tmp_path, tmp_path / "data", create=True)
    assert "hunter2" not in str(caught.value)
    (tmp_path / KEY_FILE).write_text("short")
    with pytest.raises(ConfigError, match="could be guessed"):
        given_key(None, tmp_path, tmp_path / "data", create=True)
    assert (tmp_path / KEY_FILE).read_text() == "short"
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept"):
        given_key(None, tmp_path / "file" / "config", tmp_path / "data", create=True)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "data") as journal:
        yield journal


def opened(settings: PrivacySettings, journal: Journal, tmp_path):
    return open_pseudonyms(settings, journal, tmp_path / "config", tmp_path / "data")


def test_off_is_off(journal, tmp_path):
    assert opened(PrivacySettings(), journal, tmp_path) is None
    assert not (tmp_path / "config").exists()


def test_a_folder_has_pseudonyms_from_its_first_post_or_never(journal, tmp_path):
    journal.commit(Batch("x", delivered=1, consumed=1), journal.begin_session(0.0, "x"))
    with pytest.raises(ConfigError, match="with their authors' names"):
        opened(ON, journal, tmp_path)
    assert opened(PrivacySettings(), journal, tmp_path) is None


def test_a_folder_of_pseudonyms_takes_no_plain_posts(journal, tmp_path):
    first = opened(ON, journal, tmp_path)
    journal.commit(Batch("x", delivered=1, consumed=1), journal.begin_session(0.0, "x"))
    again = opened(ON, journal, tmp_path)
    assert first is not None
    assert again is not None
    assert first.fingerprint == again.fingerprint
    with pytest.raises(ConfigError, match="under pseudonyms"):
        opened(PrivacySettings(), journal, tmp_path)


def test_a_lost_or_another_key_is_told_and_no_new_one_is_made(journal, tmp_path):
    opened(ON, journal, tmp_path)
    key = tmp_path / "config" / KEY_FILE
    kept = key.read_text()
    key.unlink()
    with pytest.raises(ConfigError, match="is not there") as caught:
        opened(ON, journal, tmp_path)
    assert "If it is lost" in str(caught.value)
    assert not key.exists()
    key.write_text(kept[::-1].strip())
    with pytest.raises(ConfigError, match="is another one"):
        opened(ON, journal, tmp_path)
    with pytest.raises(ConfigError, match="is another one"):
        opened(PrivacySettings(pseudonymise=True, key=SecretStr(KEY)), journal, tmp_path)
    assert opened(PrivacySettings(pseudonymise=True, key=SecretStr(kept.strip())), journal, tmp_path) is not None


def privacy(journal, pseudonyms) -> Privacy:
    return Privacy("x", sources.decoder("x"), sources.people("x"), Forgetting(journal).tombstones(), pseudonyms)


LINE = (
    b'{"data":{"id":"1","text":"for @anna","author_id":"7"},"includes":{"users":[{"id":"7","username":"bert"}]}}'
)


def test_a_post_is_judged_as_it_came_and_kept_under_pseudonyms(journal):
    names = Pseudonyms(KEY)
    taken = privacy(journal, names).take(LINE)
    assert taken.kept is not None
    assert taken.judged.author.username == "bert"
    assert taken.judged.text == "for @anna"
    assert taken.kept == sources.decoder("x")(taken.raw)
    assert taken.kept.author.username == names("username", "bert")
    assert taken.kept.text == f"for @{names('username', 'anna')}"


def test_the_forgotten_are_known_under_their_pseudonyms(journal):
    names = Pseudonyms(KEY)
    Forgetting(journal).ask("x", [("author", names("id", "7"))], 1.0)
    assert privacy(journal, names).take(LINE).kept is None
    assert privacy(journal, names).deletion(Deletion(1.0, author="7")) == Deletion(1.0, author=names("id", "7"))
    assert privacy(journal, names).deletion(Deletion(1.0, post="7")) == Deletion(1.0, post="7")


def test_of_a_line_that_nobody_can_read_no_person_is_kept(journal):
    with_names = privacy(journal, Pseudonyms(KEY))
    assert with_names.unreadable(b'{"data":{"author_id":"7","text":"no id"') == b""
    told = with_names.unreadable(b'{"data":{"author_id":"7","text":"no id @anna"}}')
    assert b"anna" not in told
    assert b'"7"' not in told
    assert b"no id" in told
    assert privacy(journal, None).unreadable(b"{broken") == b"{broken"
    with pytest.raises(Undecodable):
        with_names.take(b"{broken")
