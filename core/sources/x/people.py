"""Where people are in a line of X: to put pseudonyms in their place, or to take one of them out.

Both work on the line as it came and give a line that `decode` takes, so that what is stored never holds more than
what is shown. Pure functions over plain JSON; whatever a line holds, they raise nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from typing import Any

import msgspec

from core.sources.base import Gone, Pseudonym

Json = dict[str, Any]

_PLACES = frozenset({"i", "home", "search", "hashtag", "intent", "share", "explore", "settings", "messages"})

# What a line keeps when its people get pseudonyms. Anything else may name somebody in a way that nobody foresaw.
_POST = frozenset({
    "id", "created_at", "lang", "conversation_id", "edit_history_tweet_ids", "edit_controls", "referenced_tweets",
    "public_metrics", "possibly_sensitive", "reply_settings", "attachments", "withheld",
})  # fmt: skip
_PEOPLE = ("author_id", "in_reply_to_user_id")
_MEDIA = frozenset({"media_key", "type", "url", "preview_image_url", "width", "height", "duration_ms", "alt_text"})
_ENTITY = frozenset({
    "start", "end", "tag", "url", "expanded_url", "display_url", "unwound_url", "media_key", "status",
    "type", "probability", "normalized_text",
})  # fmt: skip
_RULE = frozenset({"id", "tag"})


def disguise(raw: bytes, pseudonym: Pseudonym) -> bytes:
    """The line with a pseudonym for every id, username and name of a person, and for @name and links in its texts.

    Only fields that are known keep their place. Of a line that is no JSON object nothing is left.
    """
    line = _read(raw)
    if line is None:
        return b""
    told: Json = {"data": _post(line.get("data"), pseudonym)}
    includes = line.get("includes")
    if isinstance(includes, dict):
        told["includes"] = {
            "users": [_user(user, pseudonym) for user in _objects(includes.get("users"))],
            "tweets": [_post(post, pseudonym) for post in _objects(includes.get("tweets"))],
            "media": [_named(_only(item, _MEDIA), pseudonym) for item in _objects(includes.get("media"))],
        }
    if rules := [_only(rule, _RULE) for rule in _objects(line.get("matching_rules"))]:
        told["matching_rules"] = rules
    return _write(told)


def without(raw: bytes, gone: Gone) -> bytes | None:
    """The line without what the people and posts in `gone` have said in it; None when nothing else is left.

    Nothing is left of a post of theirs, of a later version of it, and of a retweet of it: its words are not the
    retweeter's. Of a quote or a reply, the copies of their post and their account go, and their id; that somebody
    else wrote @name stays. The same object comes back when there is nothing to take out.
    """
    if _is_untouched(raw, gone):
        return raw
    line = _read(raw)
    data = line.get("data") if line else None
    if line is None or not isinstance(data, dict):
        return raw
    includes = line.get("includes")
    includes = includes if isinstance(includes, dict) else {}
    posts, users = list(_objects(includes.get("tweets"))), list(_objects(includes.get("users")))
    refs = _objects(data.get("referenced_tweets"))
    retweeted = {_id(ref.get("id")) for ref in refs if ref.get("type") == "retweeted"}
    originals = [post for post in posts if _id(post.get("id")) in retweeted]
    if any(_theirs(post, gone) for post in (data, *originals)) or any(map(gone.post, retweeted)):
        return None
    if retweeted and not originals and gone.author(_id(next(_mentions(data), {}).get("id"))):
        return None  # X did not give the original, but a retweet names its author first
    others = [post for post in posts if not _theirs(post, gone)]
    people = [user for user in users if not gone.author(_id(user.get("id")))]
    changed = [_drop_ids(post, gone) for post in (data, *others)]
    if len(others) < len(posts) or len(people) < len(users):
        line["includes"] = includes | {"tweets": others, "users": people}
    elif not any(changed):
        return raw
    line.pop("errors", None)  # they name posts and accounts that X could not give
    return _write(line)


class _Named(msgspec.Struct, gc=False):
    id: int | str | None = None


class _Entities(msgspec.Struct):
    mentions: list[_Named] | None = None


class _Note(msgspec.Struct):
    entities: _Entities | None = None


class _Said(msgspec.Struct):
    id: int | str | None = None
    author_id: int | str | None = None
    in_reply_to_user_id: int | str | None = None
    edit_history_tweet_ids: list[int | str] | None = None
    referenced_tweets: list[_Named] | None = None
    entities: _Entities | None = None
    note_tweet: _Note | None = None


class _Includes(msgspec.Struct):
    users: list[_Named] | None = None
    tweets: list[_Said] | None = None


class _Line(msgspec.Struct):
    data: _Said
    includes: _Includes | None = None


_quick = msgspec.json.Decoder(_Line)


def _is_untouched(raw: bytes, gone: Gone) -> bool:
    """A first look that settles nearly every line: True when it names nobody and nothing of `gone`."""
    try:
        line = _quick.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        return False
    includes = line.includes or _Includes()
    for said in (line.data, *(includes.tweets or ())):
        ids = (said.id, *(said.edit_history_tweet_ids or ()), *(ref.id for ref in said.referenced_tweets or ()))
        if any(gone.post(_id(id)) for id in ids):
            return False
        note = said.note_tweet.entities if said.note_tweet else None
        mentions = [mention.id for at in (said.entities, note) if at for mention in at.mentions or ()]
        if any(gone.author(_id(id)) for id in (said.author_id, said.in_reply_to_user_id, *mentions)):
            return False
    return not any(gone.author(_id(user.id)) for user in includes.users or ())


def accounts(raw: bytes) -> list[tuple[str, str]]:
    """The accounts that a line tells of, as (id, username): its author, and authors of posts that it holds."""
    line = _read(raw)
    includes = line.get("includes") if line else None
    users = _objects(includes.get("users")) if isinstance(includes, dict) else iter(())
    found = ((_id(user.get("id")), user.get("username")) for user in users)
    return [(id, name) for id, name in found if id and isinstance(name, str)]


def _theirs(post: Json, gone: Gone) -> bool:
    versions = post.get("edit_history_tweet_ids")
    ids = [post.get("id"), *(versions if isinstance(versions, list) else ())]
    return gone.author(_id(post.get("author_id"))) or any(gone.post(_id(id)) for id in ids)


def _drop_ids(post: Json, gone: Gone) -> bool:
    """Take the ids of `gone` out of whom a post answers and mentions, in place; whether there were any."""
    found = [mention for mention in _mentions(post) if gone.author(_id(mention.get("id")))]
    for mention in found:
        del mention["id"]
    if gone.author(_id(post.get("in_reply_to_user_id"))):
        del post["in_reply_to_user_id"]
        return True
    return bool(found)


def _mentions(post: Json) -> Iterator[Json]:
    """The mentions that X gives of a post, those of a long text included."""
    for holder in (post, post.get("note_tweet")):
        entities = holder.get("entities") if isinstance(holder, dict) else None
        if isinstance(entities, dict):
            yield from _objects(entities.get("mentions"))


def _post(post: Any, pseudonym: Pseudonym) -> Json:
    """A post as it may be kept, its texts and what is said of places in them included."""
    if not isinstance(post, dict):
        return {}
    kept: Json = _named(_only(post, _POST), pseudonym)
    kept |= {key: pseudonym("id", id) for key in _PEOPLE if (id := _id(post.get(key)))}
    kept |= _text(post, pseudonym)
    if isinstance(note := post.get("note_tweet"), dict):
        kept["note_tweet"] = _text(note, pseudonym)
    return kept


def _text(post: Json, pseudonym: Pseudonym) -> Json:
    """`text` and `entities`; the places that entities name are those of the new text."""
    kept: Json = {}
    moved: Callable[[int], int] = int
    if isinstance(text := post.get("text"), str):
        kept["text"], moved = _rename(text, pseudonym)
    entities = post.get("entities")
    if isinstance(entities, dict):
        kept["entities"] = {
            kind: [_entity(item, moved, pseudonym) for item in _objects(items)]
            for kind, items in entities.items()
            if kind in ("hashtags", "cashtags", "mentions", "urls", "annotations")
        }
    return kept


def _entity(item: Json, moved: Callable[[int], int], pseudonym: Pseudonym) -> Json:
    kept: Json = _named(_only(item, _ENTITY), pseudonym)
    for end in ("start", "end"):
        if isinstance(place := kept.get(end), int):
            kept[end] = moved(place)
    return kept | _identity(item, pseudonym)


def _user(user: Json, pseudonym: Pseudonym) -> Json:
    """An account: who it is under another name, and nothing of what it tells of itself."""
    kept = _identity(user, pseudonym)
    if isinstance(user.get("name"), str):
        kept["name"] = kept.get("username") or kept.get("id") or ""
    return kept


def _identity(person: Json, pseudonym: Pseudonym) -> Json:
    kept: Json = {}
    if id := _id(person.get("id")):
        kept["id"] = pseudonym("id", id)
    if isinstance(username := person.get("username"), str) and username:
        kept["username"] = pseudonym("username", username)
    return kept


# Compiled for the first of them: few captures have pseudonyms.
@cache
def _name() -> re.Pattern[str]:
    """@name as anybody writes it, and the name in a link to a profile or a post: x.com/name/status/1."""
    return re.compile(
        r"(?P<before>[@＠])(?P<name>[A-Za-z0-9_]+)"
        r"|(?P<host>(?:(?<![\w.])|(?<=%2F))(?:www\.|mobile\.|m\.)?(?:twitter|x)\.com(?:/|%2F)(?:[@＠]|%40)?)(?P<linked>[A-Za-z0-9_]+)",
        re.IGNORECASE,
    )


def _rename(text: str, pseudonym: Pseudonym) -> tuple[str, Callable[[int], int]]:
    """The text with pseudonyms for names, and where a place of the old text is in the new one (code points)."""
    ends: list[int] = []
    growth: list[int] = []

    def put(found: re.Match[str]) -> str:
        host = found["host"]
        name = found["linked"] if host else found["name"]
        if host and name.lower() in _PLACES:
            return found[0]
        new = (host or found["before"]) + pseudonym("username", name)
        ends.append(found.end())
        growth.append(len(new) - len(found[0]))
        return new

    renamed = _name().sub(put, text)
    sums = [0, *accumulate(growth)]
    return renamed, lambda place: place + sums[sum(end <= place for end in ends)]


def _named(value: Any, pseudonym: Pseudonym) -> Any:
    """Any JSON with pseudonyms for the names in its texts."""
    if isinstance(value, str):
        return _rename(value, pseudonym)[0]
    if isinstance(value, list):
        return [_named(item, pseudonym) for item in value]
    if isinstance(value, dict):
        return {key: _named(item, pseudonym) for key, item in value.items()}
    return value


def _only(value: Json, keys: frozenset[str]) -> Json:
    return {key: item for key, item in value.items() if key in keys}


def _objects(value: Any) -> Iterator[Json]:
    """The objects of a list; none when it is no list."""
    return (item for item in (value if isinstance(value, list) else ()) if isinstance(item, dict))


def _id(value: Any) -> str:
    """An id as `decode` reads it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def _read(raw: bytes) -> Json | None:
    try:
        line = json.loads(raw.decode("utf-8"), parse_int=_number, strict=False)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= 400 else 0  # what no field of X holds would take Python an hour to read


def _write(line: Json) -> bytes:
    # A lone surrogate has no bytes in UTF-8: it is written as JSON's own escape for it.
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
