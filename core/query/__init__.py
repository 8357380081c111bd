"""The query language: what to capture (keywords, sent to X as a rule) and what to keep (topic, matched here).

    parse_topic('music OR #music')     -> Query, or QueryError with position and hint
    parse_keywords('"justin bieber"')  -> the same, held to X's rules for rules as well
    query.match(post)                  -> the terms that matched, as written; None when the post does not match
    query.spans(text)                  -> where they stand in a text

grammar.py reads the language into the nodes of tree.py, operators.py lists the operators, rules.py says what may
not be asked; text.py defines the words of a post with NLTK's TweetTokenizer, match.py decides, highlight.py finds
the places. Knows Post and nothing else of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from core.post import Content, Post
from core.query.grammar import parse
from core.query.highlight import Highlighter
from core.query.match import Matcher
from core.query.rules import RULE_LENGTH, TOPIC_LENGTH, check_length, check_rule, check_topic
from core.query.tree import Node
from core.query.tree import terms as positive_terms

__all__ = ["LONGEST_POST", "Query", "parse_keywords", "parse_topic"]

# Characters of a post that are looked at: four times what X allows. The tokenizer needs up to 60 µs for one of
# the worst, so that no post takes longer than some seconds.
LONGEST_POST = 100_000


class Query:
    """A query that was read and found good. Never changes; may be used from any thread."""

    def __init__(self, text: str, tree: Node) -> None:
        self.text = text
        self.tree = tree

    def __repr__(self) -> str:
        return f"Query({self.text!r})"

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The terms that no negation holds, as the user wrote them, each once, in the query's order."""
        return tuple(dict.fromkeys(term.written for term in positive_terms(self.tree)))

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self.text, self.tree, positive_terms(self.tree))

    @cached_property
    def _highlighter(self) -> Highlighter:
        return Highlighter(positive_terms(self.tree))

    def match(self, post: Post, *, quoted: bool = False) -> tuple[str, ...] | None:
        """Those of `terms` that made the post match, or None; with `quoted`, a quoted post's text counts too.

        Raises QueryError only if these are keywords with an operator that X alone can decide.
        """
        return self._matcher.match(post.within(LONGEST_POST), quoted=quoted)

    @cached_property
    def lacks(self) -> Callable[[str, bytes], bool]:
        """Whether surely no post matches whose texts, tags, mentions and links are all parts of `words`.

        Called with `words` and `lowered(words)`. No letter, digit or `_` of ASCII may touch such a part, and the
        post is one that `match` looks at as a whole (LONGEST_POST). Much cheaper than `match`; False says nothing.
        """
        return self._matcher.lacks

    @cached_property
    def match_rest(self) -> Callable[[Content, bytes, bool], tuple[str, ...] | None]:
        """The same as `match` for what `lacks` has let through: what it asked is not asked a second time.

        Called with a post's content, `lowered(text)` of it, and `quoted`.
        """
        return self._matcher.match_rest

    def match_plain(self, post: Post, *, quoted: bool = False) -> tuple[str, ...] | None:
        """The same verdict by the definition itself, every text tokenized: what `match` is tested against."""
        return self._matcher.match_plain(post.within(LONGEST_POST), quoted=quoted)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The ranges (start, end) of code points of `text` that terms matched, in order and apart."""
        return self._highlighter.spans(text)


def parse_topic(text: str) -> Query:
    """Read what to keep. Raises QueryError; also for what no Post can answer, such as `place:`."""
    text = text.strip()
    check_length(text, TOPIC_LENGTH)
    tree = parse(text)
    check_topic(text, tree)
    return Query(text, tree)


def parse_keywords(text: str) -> Query:
    """Read what to capture. Raises QueryError; also for what X refuses in a rule."""
    text = text.strip()
    check_length(text, RULE_LENGTH)
    tree = parse(text)
    check_rule(text, tree)
    return Query(text, tree)
