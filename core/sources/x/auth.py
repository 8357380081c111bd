"""The bearer token: given, or exchanged for the app's key and secret.

Promises that no secret appears in a message, a repr or a log. Source of the exchange: X's documentation of
"OAuth 2.0 bearer token (app-only)": key and secret are URL-encoded (RFC 1738), joined by a colon, and sent as
basic credentials to POST /oauth2/token.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from core.errors import ConfigError
from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x.answers import PORTAL, Ending, Failed, Kind
from core.sources.x.backoff import Schedule

KEY_PAIR = "BIEBER_TUI_X__CONSUMER_KEY and BIEBER_TUI_X__CONSUMER_SECRET"
WHERE = f"You find them in {PORTAL}. `bieber-tui demo` needs none."

# Sends a POST with an Authorization header and a form, and returns the body of a 200.
Exchange = Callable[[str, dict[str, str]], bytes]


class Credentials:
    """Where the token comes from. Raises ConfigError when the settings hold none, or half a pair."""

    def __init__(self, x: XSettings) -> None:
        self._given = _clean(x.bearer_token, "BIEBER_TUI_X__BEARER_TOKEN")
        self._key = _clean(x.consumer_key, "BIEBER_TUI_X__CONSUMER_KEY")
        self._secret = _clean(x.consumer_secret, "BIEBER_TUI_X__CONSUMER_SECRET")
        self._exchanged = ""
        self._renewed = False
        if self._given:
            return
        if bool(self._key) != bool(self._secret):
            missing = "SECRET" if self._key else "KEY"
            raise ConfigError(
                "half of the app's key pair is missing",
                f"Set BIEBER_TUI_X__CONSUMER_{missing} too, or BIEBER_TUI_X__BEARER_TOKEN alone. {WHERE}",
            )
        if not self._key:
            raise ConfigError(
                "X needs credentials, and none are set",
                f"Set BIEBER_TUI_X__BEARER_TOKEN, or {KEY_PAIR}. {WHERE}",
            )

    def __repr__(self) -> str:
        return "Credentials(bearer token)" if self._given else "Credentials(key and secret)"

    def token(self, exchange: Exchange) -> str:
        """The token, exchanged when there is none yet. Raises Failed."""
        if self._given or self._exchanged:
            return self._given or self._exchanged
        pair = f"{quote(self._key, safe='')}:{quote(self._secret, safe='')}"
        basic = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        try:
            body = exchange(basic, {"grant_type": "client_credentials"})
        except Failed as failure:
            ending = failure.ending
            if ending.kind is Kind.UNAUTHORIZED or "verify your credentials" in ending.reason:
                raise Failed(
                    Ending(
                        Kind.REFUSED,
                        f"X does not accept the app's key and secret ({ending.reason})",
                        f"Set {KEY_PAIR} to a valid pair. {WHERE}",
                    )
                ) from None
            raise
        self._exchanged = _token_in(body)
        return self._exchanged

    def renew(self) -> bool:
        """X did not accept the token: whether it is worth another try with a new one, once."""
        if self._given or self._renewed:
            return False
        self._exchanged = ""
        self._renewed = True
        return True

    def confirm(self) -> None:
        """X accepted the token."""
        self._renewed = False


def _clean(secret: SecretStr | None, variable: str) -> str:
    value = secret.get_secret_value().strip() if secret else ""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ConfigError(
            f"the value of {variable} is no token: it holds blanks or characters that no token has",
            f"Copy it again, without quotes and in one line. {WHERE}",
        )
    return value


def _token_in(body: bytes) -> str:
    try:
        answer: Any = json.loads(body)
        token = answer["access_token"]
        if isinstance(token, str) and token and token.isascii() and token.isprintable() and " " not in token:
            return token
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise Failed(Ending(Kind.RETRY, "X's answer to the token exchange holds no token", schedule=Schedule.HTTP))
