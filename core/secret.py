"""A secret: a text that is not shown by accident.

Printed or formatted it is asterisks, and nothing writes it out: msgspec and json refuse what they do not know, and
pickle is refused here.
"""

from __future__ import annotations

from typing import NoReturn


class SecretStr:
    """A text that is a secret. `get_secret_value()` is the text, for the one who needs it; false when empty."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """The secret in clear."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"SecretStr({'*' * 10 if self._text else ''!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
