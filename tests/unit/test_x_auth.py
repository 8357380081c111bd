"""Where the token comes from."""

from __future__ import annotations

import json

import pytest

from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x.answers import Ending, Failed, Kind
from core.sources.x.auth import Credentials

PAIR = XSettings(consumer_key=SecretStr("key"), consumer_secret=SecretStr("secret"))


def test_a_given_token_is_used_as_it_is_and_never_renewed():
    credentials = Credentials(XSettings(bearer_token=SecretStr(" given\n"), consumer_key=SecretStr("key")))
    assert credentials.token(lambda *_: pytest.fail("nothing to exchange")) == "given"
    assert not credentials.renew()


def test_a_pair_is_exchanged_once_and_renewed_once_until_it_proves_good():
    tokens = iter("abc")
    credentials = Credentials(PAIR)

    def exchange(authorization: str, form: dict[str, str]) -> bytes:
        return json.dumps({"access_token": next(tokens)}).encode()

    assert [credentials.token(exchange) for _ in range(3)] == ["a", "a", "a"]
    assert credentials.renew()
    assert credentials.token(exchange) == "b"
    assert not credentials.renew()
    credentials.confirm()
    assert credentials.renew()
    assert credentials.token(exchange) == "c"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"access_token":3}',
        b'{"access_token":""}',
        b'{"access_token":"a\\nb"}',
        b"[" * 10**5,
    ],
)
def test_an_answer_without_a_token_is_tried_again(body):
    with pytest.raises(Failed) as caught:
        Credentials(PAIR).token(lambda *_: body)
    assert caught.value.ending.kind is Kind.RETRY


@pytest.mark.parametrize(
    "ending",
    [
        Ending(Kind.UNAUTHORIZED, "X does not accept the token"),
        Ending(Kind.REFUSED, "X answered 403 Forbidden: Unable to verify your credentials"),
    ],
)
def test_a_pair_that_x_refuses_is_named(ending):
    def exchange(*_: object) -> bytes:
        raise Failed(ending)

    with pytest.raises(Failed) as caught:
        Credentials(PAIR).token(exchange)
    assert caught.value.ending.kind is Kind.REFUSED
    assert "BIEBER_TUI_X__CONSUMER_KEY and BIEBER_TUI_X__CONSUMER_SECRET" in caught.value.ending.hint


def test_an_exchange_that_fails_otherwise_is_that_failure():
    def exchange(*_: object) -> bytes:
        raise Failed(Ending(Kind.RETRY, "X answered 503"))

    with pytest.raises(Failed, match="503"):
        Credentials(PAIR).token(exchange)


def test_the_credentials_do_not_show_themselves():
    for x in (PAIR, XSettings(bearer_token=SecretStr("given"))):
        shown = repr(Credentials(x))
        assert "given" not in shown
        assert "secret)" in shown or "token)" in shown
