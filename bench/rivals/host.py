"""Sends what is meant for X's host to the simulator: the packages compared with have no setting for it."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter


def redirect(address: str) -> None:
    """From now on, for every session of requests in this process."""
    plain = HTTPAdapter.send

    def send(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace("https://api.twitter.com", address, 1)
        return plain(self, request, *args, **kwargs)

    HTTPAdapter.send = send  # type: ignore[method-assign]
