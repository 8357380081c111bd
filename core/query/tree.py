"""What a query is read into: plain nodes. Positions count characters from 1, as X does.

A term is a leaf; `written` is how the user wrote it (without the `-` before it). The user's words stay as they
are: what they mean is match.py's business.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Words(msgspec.Struct, frozen=True):
    """A word, an emoji or a "phrase": `parts` in consecutive order, or `within` so many words of each other."""

    written: str
    position: int
    parts: tuple[str, ...]
    quoted: bool = False
    within: int | None = None


class Entity(msgspec.Struct, frozen=True):
    """A whole `#tag`, `@mention` or `$cashtag`: `kind` is the sign, `name` what follows it."""

    written: str
    position: int
    kind: str
    name: str


class Operator(msgspec.Struct, frozen=True):
    """`name:value`; a quoted value comes without its quotes."""

    written: str
    position: int
    name: str
    value: str


class Not(msgspec.Struct, frozen=True):
    """`-` and what it negates."""

    position: int
    child: Node


class And(msgspec.Struct, frozen=True):
    """Terms next to each other: all must match."""

    children: tuple[Node, ...]


class Or(msgspec.Struct, frozen=True):
    """Alternatives: one must match."""

    children: tuple[Node, ...]


Term = Words | Entity | Operator
Node = Term | Not | And | Or


def terms(node: Node, *, negated: bool = False) -> Iterator[Term]:
    """The terms that stand in no negation, in the query's order; with `negated`, those inside of one too."""
    match node:
        case And(children) | Or(children):
            for child in children:
                yield from terms(child, negated=negated)
        case Not(_, child):
            if negated:
                yield from terms(child, negated=True)
        case _:
            yield node


def first_position(node: Node) -> int:
    """Where a node begins in the query."""
    match node:
        case And(children) | Or(children):
            return first_position(children[0])
        case _:
            return node.position
