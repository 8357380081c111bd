"""Pseudonyms for people: another name for an id or a username, always the same under the same key.

The key is kept apart from the data: in the settings (`privacy.key`, itself or as `file:PATH`), or in a file of the
config folder that is made when it is first needed. Promises: without the key nobody gets from a pseudonym to the
person, not even by trying every id that X has given; with it, the same person has the same pseudonym in every run
and in every capture. A data folder knows a fingerprint of its key, so that a lost or another key is told, and does
not give everybody a second name. What a pseudonym is made of: BLAKE2b, keyed, 65 bits of it.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from core.errors import ConfigError, JournalError
from core.private import open_private

KEY_FILE = "pseudonyms.key"
KEEP = "A key may also be given as privacy.key = file:PATH, or in the variable BIEBER_TUI_PRIVACY__KEY."
SHORTEST_KEY = 32  # characters of privacy.key
_LETTERS = 13  # base 32: 65 bits, so that ten million people meet no namesake (1 in 700,000)


class Pseudonyms:
    """The pseudonyms of one key. Calling it is a pure function."""

    def __init__(self, key: str) -> None:
        self._key = blake2b(key.encode(), digest_size=32, person=b"bieber-tui").digest()

    def __repr__(self) -> str:
        return f"Pseudonyms({self.fingerprint})"

    def __call__(self, kind: Literal["id", "username"], value: str) -> str:
        """The pseudonym of a person by their id, or by their username (upper and lower case are the same)."""
        if kind == "id":
            return "a_" + self._code(b"id", value)
        return "u_" + self._code(b"username", value.casefold())

    @property
    def fingerprint(self) -> str:
        """Tells one key from another, and nothing about either."""
        return self._code(b"fingerprint", "")

    def _code(self, purpose: bytes, value: str) -> str:
        digest = blake2b(
            value.encode("utf-8", "surrogatepass"), key=self._key, person=purpose, digest_size=10
        ).digest()
        return base64.b32encode(digest).decode("ascii").lower()[:_LETTERS]


def given_key(key: str | None, config_dir: Path, data_dir: Path, *, create: bool) -> Pseudonyms | None:
    """The pseudonyms of the key in the settings, or of the key file; None when there is no file and none is made.

    Raises ConfigError for a key that could be guessed, and for a key file that lies with the data.
    """
    if key is not None:
        return Pseudonyms(_long_enough(key, "privacy.key"))
    path = config_dir / KEY_FILE
    if path.resolve().is_relative_to(data_dir.resolve()):
        raise ConfigError(
            f"the key of the pseudonyms would lie in the data folder, in {path}",
            f"Name another folder with --data-dir. {KEEP}",
        )
    if not path.exists() and not create:
        return None
    return Pseudonyms(_long_enough(_read_or_make(path), str(path)))


def _long_enough(key: str, where: str) -> str:
    if len(key) < SHORTEST_KEY:
        raise ConfigError(
            f"the key in {where} could be guessed: it needs {SHORTEST_KEY} characters",
            "Make one: python3 -c 'import secrets; print(secrets.token_hex(32))'. Keep a copy of it.",
        )
    return key


def _read_or_make(path: Path) -> str:
    """The key in a file; a new one when it is empty or not there, durable before anybody uses it."""
    try:
        descriptor = open_private(path)
    except JournalError as error:
        raise ConfigError(f"the key of the pseudonyms cannot be kept in {path}: {error.message}", KEEP) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # of two captures that start, one makes it
        key = os.read(descriptor, 4096).decode("ascii", "replace").strip()
        if not key:
            key = secrets.token_hex(32)
            os.pwrite(descriptor, f"{key}\n".encode(), 0)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return key
