"""Sizes and ages as people write them."""

import pytest

from core.errors import ConfigError
from core.settings import load
from core.units import Keep, age_words, parse_keep, parse_size, size_words


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("all", Keep()),
        ("90d", Keep(age=90 * 86_400)),
        ("10GB", Keep(size=10_000_000_000)),
        ("90d or 10 GB", Keep(90 * 86_400, 10_000_000_000)),
        ("500 mb OR 1.5h", Keep(5400, 500_000_000)),
    ],
)
def test_what_is_kept(text, keep):
    assert parse_keep(text) == keep


@pytest.mark.parametrize("text", ["", "90", "90 days", "10GB or 5GB", "-1d", "0d", "all or 10GB", "d", "1e9GB"])
def test_what_cannot_be_read_is_refused_by_the_setting_too(text):
    with pytest.raises(ValueError, match=r"keeps nothing|is not|is no"):
        parse_keep(text)
    with pytest.raises(ConfigError, match=r"journal\.keep"):
        load({"journal.keep": text})


def test_sizes():
    assert [parse_size(text) for text in ("0", "200MB", "1.5 kB", "7b")] == [0, 200_000_000, 1500, 7]
    assert load({"journal.min_free": "1GB"}).journal.min_free == 10**9
    with pytest.raises(ConfigError, match=r"journal\.min_free.*200MB"):
        load({"journal.min_free": "plenty"})


def test_words():
    assert [size_words(size) for size in (0, 999, 1000, 999_600, 4_212_346, 10**12)] == [
        "0 B", "999 B", "1 kB", "1 MB", "4.21 MB", "1 TB",
    ]  # fmt: skip
    assert [age_words(seconds) for seconds in (3, 3600, 2 * 3600, 86_400 * 400)] == [
        "1 min", "60 min", "2 h", "400 days",
    ]  # fmt: skip
