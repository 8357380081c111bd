"""Which posts a rule or a search query means: the one place where the simulator meets the query language."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import QueryError
from core.query import parse_keywords
from core.simulator.posts import Item

_TERM = re.compile(r'(?P<not>-)?(?P<term>"[^"]*"|[^\s()]+)')


class BadRule(ValueError):
    """A rule that X would refuse, in X's words."""


@dataclass(frozen=True)
class Rule:
    """A compiled rule. `subject` is its first positive phrase, word or tag: what a post has to say to match.

    `simple` means that a post which says the subject matches, whatever else it is.
    """

    subject: str
    simple: bool
    matches: Callable[[Item], bool]


def compile_rule(value: str) -> Rule:
    """Read a rule. Raises BadRule with the words of X's own answer."""
    try:
        parse_keywords(value)
    except QueryError as error:
        raise BadRule(f"{error.message} (at position {error.position or 1})") from None
    terms = [(bool(found["not"]), found["term"]) for found in _TERM.finditer(value) if found["term"] != "OR"]
    positive = [term for negated, term in terms if not negated]
    subjects = [subject for term in positive if (subject := _subject(term))]
    if not subjects:
        raise BadRule("is/has/lang cannot be used as a standalone operator (at position 1)")
    alternatives = [part.split() for part in value.replace("(", "").replace(")", "").split(" OR ")]
    simple = len(positive) == len(terms) and (len(terms) == 1 or len(alternatives) == len(terms))
    folded = [subject.casefold().lstrip("#@") for subject in subjects]
    return Rule(subjects[0], simple, lambda item: any(one in item.full_text.casefold() for one in folded))


def _subject(term: str) -> str:
    """A term as people write it: a phrase with capitals, a tag or a name as it stands; "" for an operator."""
    if term.startswith('"'):
        words = term.strip('"').strip()
    elif ":" in term:
        return ""
    else:
        words = term
    return words.title() if words.isascii() and words.islower() and words[0].isalpha() else words
