"""Generated posts: from a seed and a number to a whole post as X would describe it.

A post is a pure function of (seed, what was produced): the same seed gives the same bytes, and a post that was
delivered an hour ago is made again for search instead of being kept. Promises: text is HTML-escaped as X's is,
entity offsets count code points of that escaped text, and the word *music* is in a post exactly when
`Produced.topic` says so (in the text, a tag, an expanded link, the tail of a long post or of a retweet's
original; never only in a quoted post).
"""

from __future__ import annotations

import html
import random
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from core.clock import iso
from core.simulator import texts

EPOCH_MS = 1_288_834_974_657  # where X's ids start to count
Json = dict[str, Any]
Form = Literal["plain", "retweet", "quote", "reply", "long"]

_LANGS = tuple(texts.LANGUAGES)
_WEIGHTS = tuple(phrases.weight for phrases in texts.LANGUAGES.values())
_FORMS: tuple[Form, ...] = ("plain", "retweet", "quote", "reply", "long")
_AUTHORS = 5000
_NO_SPACE = frozenset({"ja"})


def snowflake(seconds: float, sequence: int) -> int:
    """An id of X's kind for that moment: milliseconds, then 22 bits that the sequence number fills."""
    return ((int(seconds * 1000) - EPOCH_MS) << 22) | (sequence & 0xFFF)


def moment_of(post_id: int) -> float:
    """When the post with that id was made, in seconds since 1970."""
    return ((post_id >> 22) + EPOCH_MS) / 1000


@dataclass(frozen=True, slots=True)
class Produced:
    """All that is needed to make post number `n` again. `edit_of` is the first version's id and `n`."""

    n: int
    id: int
    created: float
    produced: float
    subject: str
    topic: bool
    edit_of: tuple[int, int] | None = None


@dataclass(slots=True)
class Item:
    """A post with everything that X could say about it; a client gets the part that it asked for."""

    data: Json
    users: dict[str, Json] = field(default_factory=dict)
    tweets: list[Json] = field(default_factory=list)
    media: list[Json] = field(default_factory=list)
    full_text: str = ""  # whole and unescaped
    tags: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    quoted_text: str = ""


class _Text:
    """Text under construction, in pieces that know what they are: offsets come out right wherever it is cut."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, str, Json]] = []

    def words(self, text: str) -> None:
        if text:
            self.pieces.append(("words", html.escape(text, quote=False), {}))

    def tag(self, tag: str) -> None:
        self.pieces.append(("hashtags", f"#{tag}", {"tag": tag}))

    def mention(self, user: Json) -> None:
        self.pieces.append(("mentions", f"@{user['username']}", {"username": user["username"], "id": user["id"]}))

    def sentence(self, before: str, subject: str, after: str) -> None:
        """Words around the subject, whose tags and mentions become entities."""
        if not any(sign in subject for sign in "#@"):
            self.words(before + subject + after)
            return
        self.words(before.rstrip())
        for word in subject.split():
            if word[0] == "#":
                self.tag(word[1:])
            elif word[0] == "@":
                self.mention({"username": word[1:], "id": str(zlib.crc32(word.encode()))})
            else:
                self.words(word)
        self.words(after.lstrip())

    def link(self, short: str, expanded: str, media_key: str = "") -> None:
        shown = expanded.split("://", 1)[1]
        display = shown if len(shown) <= 27 else shown[:26] + "…"
        about = {"url": short, "expanded_url": expanded, "display_url": display}
        self.pieces.append(("urls", short, about | ({"media_key": media_key} if media_key else {})))

    def render(self, limit: int = 0) -> tuple[str, Json]:
        """The text, cut with "…" when it is longer than `limit` code points, and its entities."""
        text, last = "", len(self.pieces) - 1
        entities: Json = {}
        for index, (kind, piece, about) in enumerate(self.pieces):
            gap = " " if text and text[-1] != "\n" else ""
            room = limit - 1 - len(text) - len(gap) if limit else len(piece)
            if len(piece) > room or (limit and index < last and room - len(piece) < 2):
                if kind == "words" and room > 0:
                    text += gap + _cut(piece, room)
                return text.rstrip() + "…", entities
            start = len(text) + len(gap)
            text += gap + piece
            if kind != "words":
                entities.setdefault(kind, []).append({"start": start, "end": len(text)} | about)
        return text.rstrip(), entities

    def all(self, kind: str, key: str) -> tuple[str, ...]:
        return tuple(about[key] for of, _, about in self.pieces if of == kind)


def _cut(escaped: str, room: int) -> str:
    """At most `room` code points of escaped text, never a part of a word or of an escape."""
    return escaped[: room + 1].rpartition(" ")[0]


@lru_cache(maxsize=_AUTHORS)
def user(index: int) -> Json:
    """One of the invented accounts, always the same for the same index; not to be changed."""
    rng = random.Random(index)  # noqa: S311 - not for secrets
    first, last, kind = rng.choice(texts.FIRST_NAMES), rng.choice(texts.LAST_NAMES), rng.choice(texts.HANDLES)
    press = index % 23 == 0
    name = (
        rng.choice(texts.OUTLETS)
        if press
        else f"{first} {rng.choice(('', last, texts.EMOJI[index % 12]))}".strip()
    )
    stem = "".join(letter for letter in (name if press else first) if letter.isascii() and letter.isalnum())
    followers = int(10 ** rng.uniform(0.5, 6.2 if press else 3.8))
    username = f"{stem.lower()[:8]}_{kind}{index % 1000}"[:15]
    return {
        "id": str(20_000_000 + index * 7919),
        "name": name,
        "username": username,
        "created_at": iso(1_230_768_000 + index * 90_000),
        "description": rng.choice(texts.BIOS),
        "location": rng.choice((*texts.CITIES, "", "earth")),
        "profile_image_url": f"https://images.example.com/{index}_normal.jpg",
        "protected": False,
        "verified": press,
        "verified_type": "business" if press else "none",
        "url": f"https://t.co/{index:010x}",
        "entities": {"url": {"urls": [{
            "start": 0, "end": 23, "url": f"https://t.co/{index:010x}",
            "expanded_url": f"https://pages.example.org/{username}",
            "display_url": f"pages.example.org/{username}",
        }]}},
        "public_metrics": {
            "followers_count": followers, "following_count": rng.randrange(10, 3000),
            "tweet_count": rng.randrange(5, 90_000), "listed_count": followers // 200,
            "like_count": rng.randrange(0, 90_000), "media_count": rng.randrange(0, 900),
        },
    }  # fmt: skip


def make(seed: int, produced: Produced, *, small: bool = False) -> Item:
    """The post that was produced, whole."""
    n = produced.n if produced.edit_of is None else produced.edit_of[1]
    rng = random.Random((seed << 40) + n)  # noqa: S311 - replayable on purpose
    item = _compose(rng, produced, small=small)
    if produced.edit_of is not None:
        item.data["edit_history_tweet_ids"] = [str(produced.edit_of[0]), str(produced.id)]
    return item


def _compose(rng: random.Random, produced: Produced, *, small: bool) -> Item:
    lang = rng.choices(_LANGS, _WEIGHTS)[0]
    form: Form = "plain" if small else rng.choices(_FORMS, (58, 15, 9, 11, 7))[0]
    if produced.edit_of is not None and form == "retweet":
        form = "plain"  # X has no edited retweets
    author = user(rng.randrange(_AUTHORS))
    text = _Text()
    item = Item(data={}, users={author["id"]: author})
    data = item.data = {
        "id": str(produced.id),
        "text": "",
        "edit_history_tweet_ids": [str(produced.id)],
        "created_at": iso(produced.created),
        "author_id": author["id"],
        "lang": lang,
        "conversation_id": str(produced.id),
        "possibly_sensitive": False,
        "reply_settings": "everyone",
        "edit_controls": {
            "edits_remaining": 4 if produced.edit_of else 5, "is_edit_eligible": form == "plain",
            "editable_until": iso(produced.created + 3600),
        },
        "public_metrics": _metrics(rng, quiet=True),
    }  # fmt: skip
    other = user(rng.randrange(_AUTHORS))
    earlier = str(produced.id - (rng.randrange(60_000, 7_200_000) << 22))
    if form == "retweet":
        _retweet(rng, item, produced, other, earlier)
    else:
        if form == "reply":
            text.mention(other)
            item.users[other["id"]] = other
            data["in_reply_to_user_id"] = other["id"]
            data["conversation_id"] = earlier
            data["referenced_tweets"] = [{"type": "replied_to", "id": earlier}]
            item.tweets.append(_earlier(rng, lang, other, earlier, "")[0])
        _say(rng, text, produced, lang, long=form == "long", small=small)
        if produced.edit_of is not None:
            text.words("(edit: typo)")
        if form == "quote":
            quoted, item.quoted_text = _earlier(rng, lang, other, earlier, produced.subject)
            item.tweets.append(quoted)
            item.users[other["id"]] = other
            data["referenced_tweets"] = [{"type": "quoted", "id": earlier}]
            text.link(_short(rng), f"https://x.com/{other['username']}/status/{earlier}")
        elif form == "plain" and not small and rng.random() < 0.3:
            _photo(rng, item, text, author["username"], data["id"])
        _close(item, text, long=form == "long")
    if not small:
        data["context_annotations"] = _context(rng)
    return item


def _close(item: Item, text: _Text, *, long: bool) -> None:
    """Turn the text under construction into the post's own fields."""
    whole, entities = text.render()
    data = item.data
    data["text"], shown = text.render(275) if long else (whole, entities)
    if shown:
        data["entities"] = shown
    if long and data["text"] != whole:
        data["note_tweet"] = {"text": whole} | ({"entities": entities} if entities else {})
    item.full_text = html.unescape(whole)
    item.tags, item.mentions = text.all("hashtags", "tag"), text.all("mentions", "username")
    item.links = text.all("urls", "expanded_url")


def _retweet(rng: random.Random, item: Item, produced: Produced, other: Json, earlier: str) -> None:
    """A retweet: its own text is cut, the whole is only in the original."""
    lang = item.data["lang"]
    original = _Text()
    _say(rng, original, produced, lang, long=rng.random() < 0.3, small=False)
    inner = Item(data={"id": earlier, "edit_history_tweet_ids": [earlier], "lang": lang, "author_id": other["id"]})
    inner.data |= {
        "created_at": iso(moment_of(int(earlier))), "conversation_id": earlier, "possibly_sensitive": False,
        "reply_settings": "everyone", "public_metrics": _metrics(rng, quiet=False),
    }  # fmt: skip
    _close(inner, original, long=True)
    outer = _Text()
    outer.words("RT")
    outer.mention(other)
    outer.pieces += original.pieces
    text, entities = outer.render(140)
    name = f"@{other['username']}"
    text = text.replace(name, name + ":", 1)
    after = 3 + len(name)
    for kind in entities.values():
        for entity in kind:
            if entity["start"] >= after:
                entity["start"] += 1
                entity["end"] += 1
    item.data |= {
        "text": text, "entities": entities, "referenced_tweets": [{"type": "retweeted", "id": earlier}],
        "public_metrics": inner.data["public_metrics"]
        | {"like_count": 0, "reply_count": 0, "impression_count": 0},
    }  # fmt: skip
    item.tweets.append(inner.data)
    item.users[other["id"]] = other
    item.full_text, item.tags, item.links = inner.full_text, inner.tags, inner.links
    item.mentions = (other["username"], *inner.mentions)


def _earlier(rng: random.Random, lang: str, author: Json, post_id: str, subject: str) -> tuple[Json, str]:
    """A post that another one answers or quotes; never about the topic. With its whole text."""
    text = _Text()
    _sentence(rng, text, lang, subject or "that")
    whole, entities = text.render()
    data: Json = {
        "id": post_id, "text": whole, "edit_history_tweet_ids": [post_id], "author_id": author["id"], "lang": lang,
        "created_at": iso(moment_of(int(post_id))), "conversation_id": post_id, "possibly_sensitive": False,
        "reply_settings": "everyone", "public_metrics": _metrics(rng, quiet=False),
    }  # fmt: skip
    if entities:
        data["entities"] = entities
    return data, html.unescape(whole)


def _sentence(rng: random.Random, text: _Text, lang: str, subject: str) -> None:
    phrases = texts.LANGUAGES[lang]
    glue = "" if lang in _NO_SPACE else " "
    opener = rng.choice(phrases.openers) if rng.random() < 0.6 else ""
    line = f"{opener}{glue}{rng.choice(phrases.cores)}".strip() + rng.choice(phrases.ends)
    before, after = line.split("{s}")
    fill = {"song": f"“{rng.choice(texts.SONGS)}”", "city": rng.choice(texts.CITIES)}
    text.sentence(before.format_map(fill), subject, after.format_map(fill))


def _say(rng: random.Random, text: _Text, produced: Produced, lang: str, *, long: bool, small: bool) -> None:
    """What the author has to say: the subject, the topic if it is about it, and what people add."""
    phrases = texts.LANGUAGES[lang]
    _sentence(rng, text, lang, produced.subject or "this")
    if long:
        for _ in range(rng.randrange(4, 9)):
            _sentence(rng, text, lang, produced.subject or "this")
    place = rng.choices(("words", "tag", "link"), (60, 28, 0 if small else 12))[0] if produced.topic else ""
    if place == "words":
        text.words(rng.choice(phrases.topic) + rng.choice(phrases.ends))
    text.words(rng.choice(phrases.closers))
    if rng.random() < 0.65:
        text.words("".join(rng.choices(texts.EMOJI, k=rng.choice((1, 1, 2, 3)))))
    if place == "tag":
        text.tag(rng.choice(texts.TOPIC_TAGS))
    if rng.random() < 0.2 and " " in produced.subject:
        text.tag("".join(letter for letter in produced.subject if letter.isalnum()))
    for tag in rng.sample(texts.TAGS, k=rng.choice((0, 0, 1, 1, 2))):
        text.tag(tag)
    if place == "link" or (not small and rng.random() < 0.18):
        link = rng.choice(texts.TOPIC_LINKS if place == "link" else texts.LINKS)
        text.link(
            _short(rng), link.format(slug=f"{rng.choice(texts.SONGS).lower().split()[0]}-{rng.randrange(9999)}")
        )


def _photo(rng: random.Random, item: Item, text: _Text, username: str, post_id: str) -> None:
    key = f"3_{rng.randrange(10**18, 2 * 10**18)}"
    text.link(_short(rng), f"https://x.com/{username}/status/{post_id}/photo/1", key)
    item.data["attachments"] = {"media_keys": [key]}
    item.media.append({
        "media_key": key, "type": "photo", "url": f"https://images.example.com/{key}.jpg", "width": 1200,
        "height": 800, "alt_text": "the stage from far away",
    })  # fmt: skip


def _short(rng: random.Random) -> str:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return "https://t.co/" + "".join(rng.choices(letters, k=10))


def _metrics(rng: random.Random, *, quiet: bool) -> Json:
    """Complete counts: an official client drops a post that lacks one of them."""
    seen = int(10 ** rng.uniform(0, 1.5 if quiet else 6))
    return {
        "retweet_count": seen // 200, "reply_count": seen // 500, "like_count": seen // 40,
        "quote_count": seen // 2000, "bookmark_count": seen // 900, "impression_count": seen,
        "repost_count": seen // 200,
    }  # fmt: skip


def _context(rng: random.Random) -> list[Json]:
    """What X believes a post to be about: it makes up most of a rich post's bytes."""
    return [
        {
            "domain": {"id": number, "name": name, "description": about},
            "entity": {
                "id": str(rng.randrange(10**17, 10**18)),
                "name": entity,
                "description": f"{entity}, on tour",
            },
        }
        for number, name, about in rng.choices(texts.DOMAINS, k=rng.randrange(8, 18))
        for entity in (rng.choice(texts.OUTLETS),)
    ]
