"""A line of X's stream as a Post.

Two ways to the same result. The fast one reads the line straight into typed structs. When that fails, the line
is read as plain JSON and each field that has the wrong type is dropped on its own: a post whose id and text can
be used is a post, whatever else is wrong in it. No input raises anything but Undecodable.

Reading into structs is a tenth of the price of a Post. `glance` does only that, for whoever can tell from the
words that the rest is not needed.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from core.errors import Undecodable
from core.post import Author, Content, Post, Ref, RefKind

SOURCE = "x"
LONGEST_ID = 100  # characters; X's ids have 19 digits
MOST_DIGITS = 4300  # of a whole number
LONGEST_LANGUAGE = 100  # characters; RFC 5646 asks for 35
LARGEST_NUMBER = 2**63 - 1  # what every store can hold


# gc=False: what is read of JSON holds no cycle, and the collector need not look for one in every line.


class _Tag(msgspec.Struct, gc=False):
    tag: str | None = None


class _Mention(msgspec.Struct, gc=False):
    username: str | None = None


class _Link(msgspec.Struct, gc=False):
    url: str | None = None
    expanded_url: str | None = None
    unwound_url: str | None = None


class _Entities(msgspec.Struct, gc=False):
    hashtags: list[_Tag] | None = None
    mentions: list[_Mention] | None = None
    urls: list[_Link] | None = None


class _Note(msgspec.Struct, gc=False):
    text: str | None = None
    entities: _Entities | None = None


class _Reference(msgspec.Struct, gc=False):
    type: str | None = None
    id: int | str | None = None


class _Tweet(msgspec.Struct, gc=False):
    id: int | str | None = None
    text: str | None = None
    author_id: int | str | None = None
    created_at: str | None = None
    lang: str | None = None
    entities: _Entities | None = None
    note_tweet: _Note | None = None
    public_metrics: dict[str, int] | None = None
    referenced_tweets: list[_Reference] | None = None
    edit_history_tweet_ids: list[int | str] | None = None


class _User(msgspec.Struct, gc=False):
    id: int | str | None = None
    username: str | None = None
    name: str | None = None


class _Includes(msgspec.Struct, gc=False):
    users: list[_User] | None = None
    tweets: list[_Tweet] | None = None


_NOTHING = _Includes()

C = TypeVar("C", bound=Content)


class _Item(msgspec.Struct, gc=False):
    data: _Tweet | None = None
    includes: _Includes | None = None


class _Rule(msgspec.Struct, gc=False):
    id: int | str | None = None


class _Matched(msgspec.Struct, gc=False):
    matching_rules: list[_Rule] | None = None


_fast = msgspec.json.Decoder(_Item)
_rules = msgspec.json.Decoder(_Matched)


def decode(raw: bytes) -> Post:
    """The post of a line. Pure. Raises Undecodable with the reason in words, and nothing else."""
    item = _read(raw)
    if item is None:
        item = _salvage(_Item, _plain(raw)) or _Item()
    tweet = item.data
    if tweet is None:
        raise Undecodable("the line holds no post: `data` is missing or no object")
    id = _id(tweet.id)
    if not id:
        raise Undecodable("the post has no id, or one that is too long")
    return _post(id, _text(tweet), tweet, item.includes or _NOTHING)


def _read(raw: bytes) -> _Item | None:
    """The fast way; None when it cannot be gone."""
    try:
        if not raw.isascii():
            raw.decode("utf-8")  # msgspec looks only into the strings that it keeps
        return _fast.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        return None


class _Glance(msgspec.Struct, gc=False):
    """See Glance of the contract."""

    id: str
    text: str
    words: str
    tweet: _Tweet
    includes: _Includes | None

    def content(self) -> Content:
        return _content(self.id, self.text, self.tweet, self.includes or _NOTHING, Content)

    def post(self) -> Post:
        return _post(self.id, self.text, self.tweet, self.includes or _NOTHING)


def glance(raw: bytes) -> _Glance | None:
    """A cheap look at a line. Pure; None when only `decode` can tell what it is."""
    item = _read(raw)
    if item is None or item.data is None:
        return None
    tweet, includes = item.data, item.includes
    id, text = _id(tweet.id), _text(tweet)
    if not id or not text:
        return None
    words = text
    if tweet.entities is not None or tweet.note_tweet is not None or "://" in text or includes is not None:
        told = [text]
        _add_marked(told, tweet, text)
        for other in (includes.tweets if includes is not None else None) or ():
            told.append(its_text := _text(other))
            _add_marked(told, other, its_text)
        words = "\n".join(told)
    return _Glance(id, text, words, tweet, includes)


def _add_marked(told: list[str], tweet: _Tweet, text: str) -> None:
    """Add tags, mentions and links of all entities.

    Where a Post takes them from the text, they stand in it already; only a link may begin within a word there.
    """
    note, entities = tweet.note_tweet, tweet.entities
    if "://" in text and (entities is None or (note is not None and note.entities is None)):
        for words in extract(text):
            told += words
    if entities is not None:
        _add_entities(told, entities)
    if note is not None and note.entities is not None:
        _add_entities(told, note.entities)


def _add_entities(told: list[str], entities: _Entities) -> None:
    if entities.hashtags:
        told += [item.tag for item in entities.hashtags if item.tag]
    if entities.mentions:
        told += [item.username for item in entities.mentions if item.username]
    for item in entities.urls or ():
        told += [address for address in _addresses(item) if address]


def matching_rules(raw: bytes) -> list[str]:
    """The ids of the rules that X sent a line for; none when it does not say, or not in the documented form."""
    try:
        return [_id(rule.id) for rule in _rules.decode(raw).matching_rules or ()]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        return []


def _post(id: str, text: str, tweet: _Tweet, includes: _Includes) -> Post:
    first = _id(tweet.edit_history_tweet_ids[0]) if tweet.edit_history_tweet_ids else ""
    post = partial(
        Post,
        source=SOURCE,
        created_at=_moment(tweet.created_at),
        metrics=_metrics(tweet.public_metrics),
        edit_of=first if first != id else "",
    )
    return _content(id, text, tweet, includes, post)


def _content(id: str, text: str, tweet: _Tweet, includes: _Includes, make: Callable[..., C]) -> C:
    """What `make` makes of the content, which it gets by name."""
    refs = _refs(tweet)
    others = {_id(other.id): other for other in includes.tweets or ()} if refs else {}
    told = tweet  # the post whose words these are: a retweet's are the original's
    quoting = refs
    for ref in refs:
        if ref.kind == "retweeted" and (original := others.get(ref.id)) and (its_text := _text(original)):
            told, text = original, its_text
            quoting = refs + _refs(original)
            break
    if not text:
        raise Undecodable("the post has no text")
    tags, mentions, links = _words(told, text)
    if told is not tweet and tweet.entities is not None:
        outer = (item.username for item in tweet.entities.mentions or ())
        mentions = tuple(dict.fromkeys([*filter(None, outer), *mentions]))
    quoted = next((others.get(ref.id) for ref in quoting if ref.kind == "quoted"), None) if quoting else None
    return make(
        id=id,
        text=text,
        author=_author(_id(tweet.author_id), includes),
        lang=tweet.lang if tweet.lang and len(tweet.lang) <= LONGEST_LANGUAGE else "",
        tags=tags,
        mentions=mentions,
        links=links,
        refs=refs,
        quoted_text=_text(quoted) if quoted is not None else "",
    )


def _id(value: int | str | None) -> str:
    """An id as a string (older captures hold numbers); empty when it is too long to be one."""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**LONGEST_ID else ""
    id = value.strip() if value else ""
    return id if len(id) <= LONGEST_ID else ""


def _text(tweet: _Tweet) -> str:
    """The whole text, HTML entities resolved once."""
    text = (tweet.note_tweet.text if tweet.note_tweet else "") or tweet.text or ""
    if "&" not in text:
        return text
    if text.count("&") > text.count("&amp;") + text.count("&lt;") + text.count("&gt;"):  # more than X escapes
        with suppress(ValueError):  # a reference of thousands of digits
            return html.unescape(text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _refs(tweet: _Tweet) -> tuple[Ref, ...]:
    if not tweet.referenced_tweets:
        return ()
    kinds: tuple[RefKind, ...] = ("retweeted", "quoted", "replied_to")
    return tuple(
        Ref(kind, id)
        for item in tweet.referenced_tweets
        for kind in kinds
        if item.type == kind and (id := _id(item.id))
    )


def _author(id: str, includes: _Includes) -> Author:
    if id:
        for user in includes.users or ():
            if _id(user.id) == id:
                return Author(id, user.username or "", user.name or "")
    return Author(id)


def _metrics(given: dict[str, int] | None) -> dict[str, int]:
    if not given:
        return {}
    return {name: value for name, value in given.items() if abs(value) <= LARGEST_NUMBER}


def _moment(given: str | None) -> datetime | None:
    """An aware moment in UTC; None when it is missing, is none, or names no time zone."""
    if not given:
        return None
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is UTC:  # X writes Z
            return moment
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


Words = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _words(tweet: _Tweet, text: str) -> Words:
    """Tags, mentions and links, from the entities that X gives; from the text only where it gives none.

    The entities of a long post that lie beyond its short text are in its note.
    """
    note = tweet.note_tweet if tweet.note_tweet and tweet.note_tweet.text else None
    entities = (note and note.entities) or tweet.entities
    if entities is None:
        return extract(text)
    tags = _unique(item.tag for item in entities.hashtags or ())
    mentions = _unique(item.username for item in entities.mentions or ())
    links = _unique(address for item in entities.urls or () for address in _addresses(item))
    if note is None or note.entities is not None:
        return tags, mentions, links
    more = extract(text)
    return _unique((*tags, *more[0])), _unique((*mentions, *more[1])), links


def _addresses(link: _Link) -> tuple[str | None, ...]:
    return (link.expanded_url or link.url, link.unwound_url)


def _unique(words: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, words)))


# What stands before the sign is asked after it: `re` finds a sign at once, and would ask that everywhere. It finds
# one sign much faster than either of two.
_HASHTAG, _WIDE_HASHTAG = (re.compile(rf"{sign}(?<![\w&/#＃].)(\w+)") for sign in ("#", "[#＃]"))
_MENTION, _WIDE_MENTION = (
    re.compile(rf"{sign}(?<![\w/.@＠].)([A-Za-z0-9_]{{1,15}})(?![\w@＠])") for sign in ("@", "[@＠]")
)
_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)


def extract(text: str) -> Words:
    """Tags, mentions and links as a reader sees them in a text. Linear in its length.

    A tag needs a letter (#1 is none), a mention is a name that X allows, a link ends before closing punctuation.
    """
    links: tuple[str, ...] = ()
    if "://" in text:  # most texts have none, and looking for one character is a hundred times as fast
        links = _unique(address.rstrip(".,;:!?'…)]}") for address in _ADDRESS.findall(text))
        text = _ADDRESS.sub(" ", text)
    tags, mentions = (
        _after(text, "#", _HASHTAG, "＃", _WIDE_HASHTAG),
        _after(text, "@", _MENTION, "＠", _WIDE_MENTION),
    )
    if tags:
        tags = tuple([tag for tag in tags if tag.isalpha() or any(map(str.isalpha, tag))])
    return tags, mentions, links


def _after(
    text: str, sign: str, narrow: re.Pattern[str], wide_sign: str, wide: re.Pattern[str]
) -> tuple[str, ...]:
    """What stands behind one of two signs, each once."""
    if wide_sign in text:
        return tuple(dict.fromkeys(wide.findall(text)))
    return tuple(dict.fromkeys(narrow.findall(text))) if sign in text else ()


# The lenient way.

_SURROGATE = re.compile("[\ud800-\udfff]")


def _plain(raw: bytes) -> Any:
    """The line as plain JSON, or Undecodable with the reason."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_whole_number)
    except UnicodeDecodeError:
        raise Undecodable("the line is not valid UTF-8") from None
    except RecursionError:
        raise Undecodable("the JSON is nested too deeply") from None
    except ValueError as error:
        raise Undecodable(f"the line is not valid JSON: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _whole_number(digits: str) -> int | None:
    """None for a number that Python would refuse, and the whole line with it; msgspec draws the line there too."""
    return int(digits) if len(digits.lstrip("-")) <= MOST_DIGITS else None


def _salvage(kind: Any, value: Any) -> Any:
    """`value` as `kind`, without what does not fit: None when nothing does."""
    if get_origin(kind) is UnionType:
        return next(
            (
                found
                for part in get_args(kind)
                if part is not NoneType and (found := _salvage(part, value)) is not None
            ),
            None,
        )
    if get_origin(kind) is list:
        if not isinstance(value, list):
            return None
        found = (_salvage(get_args(kind)[0], item) for item in value)
        return [item for item in found if item is not None]
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            return None
        pairs = ((_clean(key), _salvage(int, item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None}
    if kind is str:
        return _clean(value) if isinstance(value, str) else None
    if kind is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if not isinstance(value, dict):
        return None
    return kind(**{name: _salvage(hint, value.get(name)) for name, hint in _hints(kind).items()})


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(kind: type) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind)
    return _HINTS[kind]


def _clean(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
