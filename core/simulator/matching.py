"""Which posts a rule or a search query means: the one place where the simulator meets the query language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.errors import QueryError
from core.post import Author, Post, Ref
from core.query import Query, parse_keywords
from core.query.tree import And, Entity, Node, Not, Operator, Or, Words
from core.simulator.posts import Item


class BadRule(ValueError):
    """A rule that X would refuse, in X's words."""


@dataclass(frozen=True)
class Rule:
    """A compiled rule. `subject` is what a post has to say to match, as people write it; "" if there are no words.

    `simple` means that every post which says the subject matches, whatever else it is.
    """

    subject: str
    simple: bool
    matches: Callable[[Item], bool]


def compile_rule(value: str) -> Rule:
    """Read a rule. Raises BadRule with the words of X's own answer."""
    try:
        query = parse_keywords(value)
    except QueryError as error:
        raise BadRule(f"{error.message} (at position {error.position or 1})") from None
    subject = " ".join(_said(query.tree))
    plain = bool(subject) and not _conditions(query.tree)
    return Rule(subject, plain and _holds(query, _saying(subject)), lambda item: _holds(query, post_of(item)))


def post_of(item: Item) -> Post:
    """A generated post as the query language sees posts."""
    data = item.data
    author = item.users[data["author_id"]]
    return Post(
        source="x",
        id=data["id"],
        text=item.full_text,
        author=Author(author["id"], author["username"], author["name"]),
        lang=data["lang"],
        tags=item.tags,
        mentions=item.mentions,
        links=item.links,
        refs=tuple(Ref(one["type"], one["id"]) for one in data.get("referenced_tweets", ())),
        quoted_text=item.quoted_text,
    )


def _holds(query: Query, post: Post) -> bool:
    """X's filtered stream looks into quoted posts too. What only X can decide is taken as fulfilled."""
    try:
        return query.match(post, quoted=True) is not None
    except QueryError:
        return True


def _conditions(node: Node) -> bool:
    """Whether anything but words, tags and mentions decides."""
    match node:
        case And(children) | Or(children):
            return any(_conditions(child) for child in children)
        case _:
            return isinstance(node, Not | Operator)


def _said(node: Node) -> list[str]:
    """The words, phrases, tags and mentions of the first alternative that has any."""
    match node:
        case Or(children):
            return next((said for child in children if (said := _said(child))), [])
        case And(children):
            return [word for child in children for word in _said(child)]
        case Entity(_, _, kind, name):
            return [kind + name]
        case Words(_, _, parts):
            words = " ".join(parts)
            return [words.title() if words.isascii() and words.islower() else words]
        case _:
            return []


def _saying(subject: str) -> Post:
    """The least post that says it."""
    words = subject.split()
    tags, mentions = ([word[1:] for word in words if word[0] == sign] for sign in "#@")
    return Post(source="x", id="0", text=subject, tags=tuple(tags), mentions=tuple(mentions))
