"""What the screen needs of the query language: is this query good, and where in a text are its terms.

The query package brings NLTK with it, so it is imported when it is first needed, never before the first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from core.errors import QueryError

RULE_LENGTH = 1024  # X's limit for one rule, in characters


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a query. `position` counts characters from 1; 0 is the whole query."""

    message: str
    position: int
    hint: str


def _fault(parse: Callable[[str], object], query: str) -> Fault | None:
    try:
        parse(query)
    except QueryError as error:
        return Fault(error.message, error.position, error.hint)
    return None


def keywords_fault(query: str) -> Fault | None:
    """What X would not take in these keywords, or None."""
    from core.query import parse_keywords  # noqa: PLC0415

    return _fault(parse_keywords, query)


def topic_fault(query: str) -> Fault | None:
    """What is wrong with this topic, or None."""
    from core.query import parse_topic  # noqa: PLC0415

    return _fault(parse_topic, query)


def term_finder(topic: str) -> Callable[[str], Iterable[tuple[int, int]]] | None:
    """A function that finds the topic's terms in a text; None for a topic that cannot be read.

    It has been used once, since the first use loads the tokenizer, and takes longer than a frame may.
    """
    from core.query import parse_topic  # noqa: PLC0415

    try:
        find = parse_topic(topic).spans
    except QueryError:
        return None
    find(f"{topic} \N{MUSICAL NOTE}")
    return find


def is_one_term(query: str) -> bool:
    """Whether it can be read, and is one term and nothing else: what a name may hold must not become a query."""
    from core.query import parse_topic  # noqa: PLC0415

    try:
        return parse_topic(query).terms == (query,)
    except QueryError:
        return False
