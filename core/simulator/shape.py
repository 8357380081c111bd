"""What a client asked to see of a post, and the line that it gets: default fields only, unless asked for more."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from core.simulator.posts import Item, Json

Payload = Literal["rich", "small", "full"]

DEFAULT_TWEET = frozenset({"id", "text", "edit_history_tweet_ids"})
DEFAULT_USER = frozenset({"id", "name", "username"})
DEFAULT_MEDIA = frozenset({"media_key", "type"})

EXPANSIONS = frozenset({
    "author_id", "referenced_tweets.id", "referenced_tweets.id.author_id",
    "referenced_tweets.id.attachments.media_keys", "in_reply_to_user_id", "entities.mentions.username",
    "entities.note.mentions.username", "attachments.media_keys", "attachments.poll_ids",
    "attachments.media_source_tweet", "geo.place_id", "edit_history_tweet_ids", "article.cover_media",
    "article.media_entities",
})  # fmt: skip

_FIELDS = ("tweet.fields", "user.fields", "media.fields", "poll.fields", "place.fields")
_NAME = re.compile(r"[a-z_.]+")
_PUBLIC = ("id", "text", "edit_history_tweet_ids", "created_at", "author_id", "lang")  # a small post's fields

# Fields that an expansion adds to the post itself.
_BROUGHT = {
    "author_id": "author_id", "in_reply_to_user_id": "in_reply_to_user_id",
    "attachments.media_keys": "attachments", "referenced_tweets.id": "referenced_tweets",
    "referenced_tweets.id.author_id": "referenced_tweets", "entities.mentions.username": "entities",
}  # fmt: skip


class _Every(frozenset[str]):
    """Every field that there is."""

    def __contains__(self, _: object) -> bool:
        return True


_EVERY = _Every()


class BadParameter(ValueError):
    """A parameter that X would refuse: its name, its value, and why."""

    def __init__(self, name: str, value: str, why: str) -> None:
        super().__init__(why)
        self.name, self.value = name, value


@dataclass(frozen=True)
class Shape:
    """The fields and expansions of one request."""

    tweet: frozenset[str] = DEFAULT_TWEET
    user: frozenset[str] = DEFAULT_USER
    media: frozenset[str] = DEFAULT_MEDIA
    expansions: frozenset[str] = frozenset()
    small: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str], payload: Payload = "rich") -> Shape:
        """Read a request's parameters; a small or full payload has its own shape. Raises BadParameter."""
        lists: dict[str, frozenset[str]] = {}
        for name in (*_FIELDS, "expansions"):
            names = frozenset(filter(None, query.get(name, "").split(",")))
            for one in sorted(names):
                if not _NAME.fullmatch(one) or (name == "expansions" and one not in EXPANSIONS):
                    raise BadParameter(name, one, f"The `{name}` query parameter value [{one}] is not valid")
            lists[name] = names
        if payload == "full":
            return cls(_EVERY, _EVERY, _EVERY, EXPANSIONS)
        brought = frozenset(_BROUGHT[one] for one in lists["expansions"] if one in _BROUGHT)
        return cls(
            DEFAULT_TWEET | lists["tweet.fields"] | brought,
            DEFAULT_USER | lists["user.fields"],
            DEFAULT_MEDIA | lists["media.fields"],
            lists["expansions"],
            payload == "small",
        )

    def describe(self, item: Item) -> Json:
        """`data` and `includes` of one post."""
        if self.small:
            return {"data": {name: item.data[name] for name in _PUBLIC}}
        answer: Json = {"data": _pick(item.data, self.tweet)}
        includes = self.includes([item])
        if includes:
            answer["includes"] = includes
        return answer

    def includes(self, items: Sequence[Item]) -> Json:
        """The objects that the posts refer to, each once, as far as they were asked for."""
        users: dict[str, Json] = {}
        tweets: dict[str, Json] = {}
        media: dict[str, Json] = {}
        for item in items:
            wanted = self._users_of(item)
            users |= {one: _pick(about, self.user) for one, about in item.users.items() if one in wanted}
            if any(one.startswith("referenced_tweets.id") for one in self.expansions):
                tweets |= {one["id"]: _pick(one, self.tweet) for one in item.tweets}
            if "attachments.media_keys" in self.expansions:
                media |= {one["media_key"]: _pick(one, self.media) for one in item.media}
        parts = {"users": users, "tweets": tweets, "media": media}
        return {name: list(part.values()) for name, part in parts.items() if part}

    def _users_of(self, item: Item) -> set[str]:
        wanted: set[str] = set()
        if "author_id" in self.expansions:
            wanted.add(item.data["author_id"])
        if "in_reply_to_user_id" in self.expansions:
            wanted.add(item.data.get("in_reply_to_user_id", ""))
        if "referenced_tweets.id.author_id" in self.expansions:
            wanted |= {tweet["author_id"] for tweet in item.tweets}
        if "entities.mentions.username" in self.expansions:
            wanted |= {one["id"] for one in item.data.get("entities", {}).get("mentions", ())}
        return wanted


def encode(answer: Json) -> bytes:
    """JSON as X sends it: UTF-8, nothing escaped that need not be."""
    return msgspec.json.encode(answer)


def _pick(about: Json, fields: frozenset[str]) -> Json:
    return {name: value for name, value in about.items() if name in fields}
