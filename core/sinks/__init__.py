"""Where posts go after the journal: one file a sink, base.py is their contract, and here the list of them.

A new sink is one file and one line in SINKS. A sink's module, and with it its driver, is imported only when a
store of its kind is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from core.errors import ConfigError
from core.settings import Settings
from core.sinks.base import Sink

# the scheme of a store's address -> "module:function", where function(url, settings) makes the sink
SINKS = {
    "mongodb": "core.sinks.mongodb:from_settings",
    "mongodb+srv": "core.sinks.mongodb:from_settings",
}


def open_sink(url: str, settings: Settings) -> Sink:
    """The sink for a store's address, not connected yet: that is what its open() is for.

    Raises ConfigError for an address that no sink understands, or that its sink finds wrong. The address may hold
    a password, so no message repeats more of it than its scheme.
    """
    scheme, found, _ = url.strip().partition("://")
    place = SINKS.get(scheme.lower()) if found else None
    if place is None:
        what = f"there is no store of the kind {scheme!r}" if found else "the store's address has no scheme"
        raise ConfigError(what, f"A store's address begins with {' or '.join(f'{known}://' for known in SINKS)}.")
    module, _, function = place.partition(":")
    return cast(Sink, getattr(import_module(module), function)(url, settings))
