"""What may not be asked: X's restrictions on rules, and the fewer ones on a topic.

A topic is decided here, so it need not spare X's index: it may be longer, may look for a stopword and may consist
of `has:links` alone. But it must be decidable from a Post. Errors use X's own words where X documents them.
"""

from __future__ import annotations

import re

from core.errors import QueryError
from core.query.operators import OPERATORS, answers_locally
from core.query.tree import And, Entity, Node, Not, Operator, Or, Words, first_position, terms

RULE_LENGTH = 1024  # X, pay per use; Enterprise allows 2,048
TOPIC_LENGTH = 32_768  # some thousand terms; read and compiled in well under a second

_SHOWN = 40

STOPWORDS = frozenset(
    "a an and at but by com from http https if in is it its me my not or rt the this to too via we www you".split()  # noqa: SIM905
)

_X_NAME = re.compile(r"@?\w{1,64}")
_USER_OPERATORS = frozenset(
    {"from", "to", "retweets_of", "retweets_of_user", "from_affiliate_of", "to_affiliate_of"}
)
_NOT_ALONE = "is/has/lang cannot be used as a standalone operator"


def short(text: str) -> str:
    """`text` as an error message can quote it."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def check_length(text: str, limit: int) -> None:
    """Refuse the empty and the overlong query, before anything is read."""
    if not text:
        raise QueryError("the query is empty", 0, text, "write at least one word to look for")
    if len(text) > limit:
        message = f"the query has {len(text):,} characters and {limit:,} are allowed"
        raise QueryError(message, 0, short(text), "shorten it; every character counts, spaces too")


def check_rule(text: str, node: Node) -> None:
    """Refuse what X refuses in a rule."""
    check_positive(text, node)
    if not _anchored(node):
        weak = _weak(node)
        if all(isinstance(term, Operator) for term in terms(weak)):
            message = "is/has/lang cannot be used as a standalone operator"
            hint = "add a word, a tag, a mention or from: to it; each alternative needs one"
        else:
            message = "Rules must contain at least one positive, non-stopword clause"
            hint = "X does not index this word alone: add another, or put it into a phrase"
        raise QueryError(message, first_position(weak), text, hint)
    for term in terms(node, negated=True):
        user = term.name if isinstance(term, Entity) and term.kind == "@" else ""
        if isinstance(term, Operator) and term.name in _USER_OPERATORS:
            user = term.value
        if user and not _X_NAME.fullmatch(user):
            raise QueryError(
                f"'{short(user)}' is no name of a user of X", term.position, text, "letters, digits and _ only"
            )


def check_topic(text: str, node: Node) -> None:
    """Refuse what no Post can answer."""
    check_positive(text, node)
    for term in terms(node, negated=True):
        if isinstance(term, Operator) and not answers_locally(term.name, term.value):
            raise undecidable(term, text)


def undecidable(term: Operator, text: str) -> QueryError:
    """The error for an operator that only X can decide."""
    message = f"{short(term.written)} cannot be decided from a post here"
    return QueryError(message, term.position, text, "use it in the keywords, where X decides")


def check_positive(text: str, node: Node) -> None:
    """Refuse a query that a post could match without having anything of it."""
    wanting = _without_positive(node)
    if wanting is not None:
        hint = "- only narrows what another term found: each alternative needs a term without -"
        raise QueryError("Rules must contain a non-negation term", first_position(wanting), text, hint)


def _without_positive(node: Node) -> Node | None:
    """The first part that asks for nothing positive, if the whole can match by it."""
    match node:
        case Not():
            return node
        case And(children):
            return children[0] if all(_without_positive(child) for child in children) else None
        case Or(children):
            return next((found for child in children if (found := _without_positive(child))), None)
        case _:
            return None


def _anchored(node: Node) -> bool:
    """Whether each way to match asks for something that X's index can be asked for."""
    match node:
        case Not():
            return False
        case And(children):
            return any(map(_anchored, children))
        case Or(children):
            return all(map(_anchored, children))
        case Operator():
            return OPERATORS[node.name].standalone
        case Words():
            return node.quoted or node.written.lower() not in STOPWORDS
        case _:
            return True


def _weak(node: Node) -> Node:
    """The first alternative that is not anchored."""
    if isinstance(node, Or):
        return next(_weak(child) for child in node.children if not _anchored(child))
    return node
