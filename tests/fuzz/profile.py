"""A TOML profile and values of settings: taken, or refused in words."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from core.errors import ConfigError
from core.settings import load


def loads(overrides: dict[str, object], profile: str | None = None) -> None:
    """Settings, or ConfigError with words and a hint."""
    try:
        load(overrides, profile)
    except ConfigError as error:
        assert error.message
        assert error.hint


def check(data: bytes) -> None:
    """As a file, and as `NAME=VALUE`."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        loads({}, file.name)
    name, _, value = data.decode("utf-8", "replace").partition("=")
    loads({name.strip(): value})


def seeds() -> Iterator[bytes]:
    """Profiles and settings."""
    yield b'topic = "jazz"\n[x]\nbase_url = "http://127.0.0.1:1"\nbearer_token = "file:/none"\nbackfill = true\n'
    yield b"ui.fps = 5\n[mongodb]\ntimeout = 1e3\nbatch_size = 7\n[[journal]]\n"
    yield b"x.base_url=http://a"
    yield b"x.bearer_token=file:~nobody/x"
