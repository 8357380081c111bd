"""The grammar of X's rules: text to tree, by recursive descent. X's documents (filtered stream, build a rule).

    query   = either
    either  = all { "OR" all }          OR in upper case only; a space binds tighter
    all     = factor { factor }
    factor  = ["-"] ( term | "(" either ")" )
    term    = word | emoji | "phrase" | "phrase"~N | #tag | @mention | $cashtag | operator:value

An error names the character that is to blame, counted from 1, and what to write instead; its words are X's own
where X documents them. A word may hold or end with punctuation (`hello?`, `coca-cola`), which counts as a space.
"""

from __future__ import annotations

import re
from typing import NoReturn

from core.errors import QueryError
from core.query.operators import OPERATORS, choices, nearest
from core.query.rules import short
from core.query.text import is_emoji, normalise, parts, words
from core.query.tree import And, Entity, Node, Not, Operator, Or, Term, Words

MAX_DEPTH = 50  # of parentheses: more than any person writes, and far from Python's limit

_SPACE = re.compile(r"\s*")
_BARE = re.compile(r'[^\s()"]+')
_FIELD = re.compile(r"([A-Za-z][A-Za-z_]*):")
_DISTANCE = re.compile(r"[^\s()]*")
_BRACKET = re.compile(r"\[[^\]]*\]?")
_CASHTAG = re.compile(r"[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?")
_MENTION = re.compile(r"\w+(?:[.\-@]+\w+)*")
_CURLY = "“”„‟«»″＂"

_AMBIGUOUS = {
    "and": "Use a space to logically join two clauses",
    "or": "Use OR to logically disjoin two clauses",
}


def parse(text: str) -> Node:
    """The tree of a query that is neither empty nor longer than the caller allows. Raises QueryError."""
    parser = _Parser(text)
    node = parser.either(0)
    if parser.peek() == ")":
        parser.fail(
            "missing EOF at ')'", parser.at, "this parenthesis closes nothing: remove it, or open one before"
        )
    return node


class _Parser:
    """A place in the text (`at`, from 0), and what may stand there."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, message: str, at: int, hint: str = "") -> NoReturn:
        raise QueryError(message, at + 1, self.text, hint)

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        space = _SPACE.match(self.text, self.at)
        self.at = space.end() if space else self.at
        return self.text[self.at : self.at + 1]

    def at_or(self) -> bool:
        """Whether `OR` stands here as a word of its own."""
        if not self.text.startswith("OR", self.at):
            return False
        after = self.text[self.at + 2 : self.at + 3]
        return not after or after.isspace() or after in '()"'

    def either(self, depth: int) -> Node:
        children = [self.all(depth)]
        while self.peek() and self.at_or():
            found_at = self.at
            self.at += 2
            if self.peek() in ("", ")"):
                self.fail(
                    "OR has nothing on its right",
                    found_at,
                    'write another term after it, or "or" to find the word',
                )
            children.append(self.all(depth))
        return children[0] if len(children) == 1 else Or(tuple(children))

    def all(self, depth: int) -> Node:
        children: list[Node] = []
        while (char := self.peek()) and char != ")":
            if self.at_or():
                if not children:
                    self.fail(
                        "OR has nothing on its left", self.at, 'write a term before it, or "or" to find the word'
                    )
                break
            children.append(self.factor(depth))
        if not children:
            self.fail("nothing to look for here", self.at, "write at least one term")
        return children[0] if len(children) == 1 else And(tuple(children))

    def factor(self, depth: int) -> Node:
        start = self.at
        negated = self.text[start] == "-"
        if negated:
            self.at += 1
            after = self.text[self.at : self.at + 1]
            if not after or after.isspace() or after in "-)":
                hint = "put - directly before the term that must not be there: -grumpy"
                self.fail("no viable alternative at character '-'", start, hint)
            if self.at_or():
                self.fail("- negates no term here", start, 'put - before a term; "OR" in quotes finds the word')
        node: Node = self.group(depth + 1) if self.text[self.at] == "(" else self.term()
        return Not(start + 1, node) if negated else node

    def group(self, depth: int) -> Node:
        opened = self.at
        if depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} parentheses inside of each other", opened, "write the query flatter")
        self.at += 1
        if self.peek() == ")":
            self.fail("these parentheses hold nothing", opened, "remove them, or write a term between them")
        if not self.peek():
            self.unclosed(opened)
        node = self.either(depth)
        if self.peek() != ")":
            self.unclosed(opened)
        self.at += 1
        return node

    def unclosed(self, opened: int) -> NoReturn:
        self.fail("this parenthesis is never closed", opened, "add the missing ), or remove this one")

    def term(self) -> Term:
        char = self.text[self.at]
        if char == '"':
            return self.phrase()
        if char in "#@$":
            return self.entity(char)
        field = _FIELD.match(self.text, self.at)
        if field:
            return self.operator(field.group(1), field.end())
        return self.word(char)

    def quoted(self) -> str:
        """The text between two quotes; `at` ends behind the second."""
        opened = self.at
        closed = self.text.find('"', opened + 1)
        if closed < 0:
            self.fail("this quote is never closed", opened, 'add the missing ", or remove this one')
        self.at = closed + 1
        return self.text[opened + 1 : closed]

    def phrase(self) -> Words:
        start = self.at
        looked_for = self.parts(self.quoted(), start)
        within = None
        if self.text.startswith("~", self.at):
            tilde = self.at
            distance = _DISTANCE.match(self.text, tilde + 1)
            number = distance.group() if distance else ""
            if number not in ("1", "2", "3", "4", "5", "6"):
                self.fail(
                    "~ needs a number from 1 to 6",
                    tilde,
                    'write how far apart the words may be: "happy birthday"~3',
                )
            self.at = tilde + 2
            within = int(number)
        return Words(self.text[start : self.at], start + 1, looked_for, quoted=True, within=within)

    def parts(self, text: str, start: int) -> tuple[str, ...]:
        found = parts(text)
        if not found:
            self.fail(
                "there is no word or emoji in this", start, "punctuation alone cannot be found: write a word"
            )
        return found

    def entity(self, sign: str) -> Entity:
        start = self.at
        bare = _BARE.match(self.text, start)
        written = bare.group() if bare else sign
        name = written[1:]
        self.at = start + len(written)
        example = {"#": "#music", "@": "@justinbieber", "$": "$TWTR"}[sign]
        if not name:
            hint = f"write a name directly after it: {example}"
            self.fail(f"no viable alternative at character '{sign}'", start, hint)
        if sign == "#":
            normal = normalise(name)
            whole = words(normal) == [normal]
        else:
            whole = (_CASHTAG if sign == "$" else _MENTION).fullmatch(name) is not None
        if not whole:
            self.fail(
                f"{short(written)} is no name of that kind",
                start,
                f'write it like {example}, or "{short(written)}" to find its words',
            )
        return Entity(written, start + 1, sign, name)

    def operator(self, name: str, value_at: int) -> Operator:
        start = self.at
        self.at = value_at
        char = self.text[value_at : value_at + 1]
        if char == '"':
            value = self.quoted()
        else:
            form = _BRACKET if char == "[" else _BARE
            bare = form.match(self.text, value_at)
            value = bare.group() if bare else ""
            self.at = value_at + len(value)
        written = self.text[start : self.at]
        spec = OPERATORS.get(name)
        if spec is None:
            hint = nearest(name, value) or f'"{short(written)}" in quotes finds it in the text'
            self.fail(f"Reference to invalid field '{short(name)}'", start, hint)
        if not normalise(value).strip() or (name == "url" and not parts(value)):
            self.fail(f"{name}: needs a value", start, f"write it directly after the colon: {spec.example}")
        if not spec.value.fullmatch(value):
            if known := choices(name):
                self.fail(
                    f"Reference to invalid operator '{name}:{short(value)}'.",
                    start,
                    f"{name}: takes {', '.join(known)}",
                )
            self.fail(f"'{short(value)}' is no value for {name}:", value_at, f"write it like {spec.example}")
        return Operator(written, start + 1, name, value)

    def word(self, char: str) -> Words:
        start = self.at
        bare = _BARE.match(self.text, start)
        written = bare.group() if bare else char
        if reason := _AMBIGUOUS.get(written.lower()):
            word = written.lower()
            find = f'"{word}" to find occurrences of {word} in text'
            message = f"Ambiguous use of {word} as a keyword. {reason}, or {find}"
            self.fail(message, start)
        if char in _CURLY:
            self.fail(
                f"no viable alternative at character '{char}'",
                start,
                'use straight quotes for a phrase: "coca cola"',
            )
        first = normalise(written)[:1]
        if not first or not (words(first) or is_emoji(first)):
            self.fail(f"no viable alternative at character '{char}'", start, self.no_start(char, written))
        self.at = start + len(written)
        return Words(written, start + 1, self.parts(written, start))

    def no_start(self, char: str, written: str) -> str:
        """What to write instead of a word that begins with punctuation."""
        if char == "'":
            return 'use double quotes for a phrase: "coca cola"'
        if char == "!":
            return f"a term that must not be there begins with -: -{short(written[1:])}"
        if char in "+&|":
            return "a space means AND; alternatives are joined by OR"
        return f'no term begins with this character: put it in quotes, "{short(written)}", or leave it out'
