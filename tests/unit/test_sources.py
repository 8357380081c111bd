"""The registry of sources."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.errors import ConfigError
from core.secret import SecretStr
from core.settings import Settings, XSettings
from core.sources import SOURCES, create, decoder


def test_a_source_is_made_by_its_name():
    assert create("x", Settings(x=XSettings(bearer_token=SecretStr("t"))), "bieber").name == "x"


@pytest.mark.parametrize("ask", [lambda: create("mysapce", Settings(), "k"), lambda: decoder("mysapce")])
def test_an_unknown_name_is_refused_with_the_known_ones(ask):
    with pytest.raises(ConfigError) as caught:
        ask()
    assert "mysapce" in str(caught.value)
    assert all(name in caught.value.hint for name in SOURCES)


def test_a_reader_of_stored_lines_loads_no_network_client():
    code = "from core.sources import decoder; decoder('x'); import sys; print(sorted({'tweepy','requests'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
