"""Where posts come from: one part a source, base.py is their contract, and this registry is all that names them.

A source is one line in SOURCES: its name, and the three modules that hold `create(settings, keywords) -> Source`,
`decode(raw) -> Post`, and what People in base.py names. They are imported when they are asked for, so that a
capture loads only what it uses and a reader of stored lines loads no network client at all. The second one may
also hold `glance(raw) -> Glance | None`: a cheap look at a line, which refuses most posts before they are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import cast

from core.errors import ConfigError
from core.post import Post
from core.settings import Settings
from core.sources.base import Glance, People, Source

SOURCES: dict[str, tuple[str, str, str]] = {
    "x": ("core.sources.x.source", "core.sources.x.decode", "core.sources.x.people"),
}


def create(name: str, settings: Settings, keywords: str) -> Source:
    """The source of that name, ready to run; nothing is connected yet.

    Raises ConfigError for an unknown name, and when the source's own settings cannot work.
    """
    module = import_module(_modules(name)[0])
    return cast(Callable[[Settings, str], Source], module.create)(settings, keywords)


@cache
def decoder(name: str) -> Callable[[bytes], Post]:
    """The function that decodes that source's lines: pure, and raises nothing but Undecodable.

    Raises ConfigError for an unknown name.
    """
    return cast(Callable[[bytes], Post], import_module(_modules(name)[1]).decode)


def glance(name: str) -> Callable[[bytes], Glance | None] | None:
    """The cheap look at that source's lines: pure, raises nothing, None for a line that has to be decoded.

    None when the source has no such look. Raises ConfigError for an unknown name.
    """
    return cast(Callable[[bytes], Glance | None] | None, getattr(import_module(_modules(name)[1]), "glance", None))


def people(name: str) -> People:
    """Where people are in that source's lines.

    Raises ConfigError for an unknown name.
    """
    return cast(People, import_module(_modules(name)[2]))


def _modules(name: str) -> tuple[str, str, str]:
    try:
        return SOURCES[name]
    except KeyError:
        known = ", ".join(sorted(SOURCES))
        raise ConfigError(f"there is no source {name!r}", f"Set `source` to one of: {known}.") from None
