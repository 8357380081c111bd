"""Every way out of the session is a socket that the breaker can cut; no redirect is followed, no token shown."""

from __future__ import annotations

import functools
import traceback

import pytest
import requests

from core.clock import SystemClock
from core.errors import ConfigError
from core.secret import SecretStr
from core.settings import XSettings
from core.sources.x.answers import Failed
from core.sources.x.source import XSource
from core.sources.x.stream import XClient
from core.sources.x.transport import Bearer, Breaker, Session


def _adapter():
    return Session(Breaker(), 1.0).get_adapter("https://api.x.com")


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:3128", "https://127.0.0.1:3128"])
def test_connections_of_every_scheme_and_through_every_proxy_are_watched(proxy):
    adapter = _adapter()
    manager = adapter.proxy_manager_for(proxy) if proxy else adapter.poolmanager
    assert set(manager.pool_classes_by_scheme) == {"http", "https"}
    for url in ("http://127.0.0.1:1", "https://127.0.0.1:1"):
        made = manager.connection_from_url(url).ConnectionCls
        assert isinstance(made, functools.partial)
        assert made.args == (adapter,)


def test_a_redirect_leads_nowhere():
    answer = requests.Response()
    answer.status_code = 302
    answer.headers["Location"] = "http://127.0.0.1:1/elsewhere"
    assert Session(Breaker(), 1.0).get_redirect_target(answer) is None


def test_the_token_is_in_no_representation_of_what_carries_it():
    token = "TOKEN-THAT-NOBODY-MAY-SEE"
    settings = XSettings(bearer_token=SecretStr(token))
    source = XSource(settings, "bieber")
    client = XClient("http://127.0.0.1:1", Breaker(), SystemClock(), connect_timeout=1.0, stall_after=1.0)
    client.authorize(token)
    with pytest.raises(Failed) as refused, client:
        client.request("GET", "/2/tweets/search/stream/rules")
    with pytest.raises(ConfigError) as unusable:
        XSource(XSettings(bearer_token=SecretStr(token + " and more")), "bieber")
    shown = [Bearer(token), client, client.session, source, settings, refused.value, refused.value.ending]
    for one in [*shown, unusable.value, unusable.value.hint]:
        assert token not in repr(one) + str(one)
    assert token not in "".join(traceback.format_exception(refused.value))
    assert token not in "".join(traceback.format_exception(unusable.value))
