"""X's operators, once: how a value looks, whether X takes the operator alone, whether a Post can answer it.

From X's list of operators for rules (docs.x.com, filtered stream, operators), older names included.
"""

from __future__ import annotations

import re

import msgspec


class Spec(msgspec.Struct, frozen=True):
    """One operator. `standalone`: X takes a rule of it alone; `local`: a Post carries what it asks for."""

    value: re.Pattern[str]
    example: str
    standalone: bool = True
    local: bool = False


_ANY = re.compile(r".*\S.*", re.DOTALL)
_USER = re.compile(r"@?\w[\w.:@\-]*")  # also handles and DIDs of other networks; rules.py is stricter
_ID = re.compile(r"\d{1,19}")
_RANGE = re.compile(r"\d+(?:\.\.\d+)?")
_COUNT = Spec(_RANGE, "followers_count:1000..10000")
_NUMBER = r"-?\d+(?:\.\d+)?"
_CONTEXT = re.compile(r"(?:\d+|\*)\.(?:\d+|\*)(?<!\*\.\*)")


def _one_of(*values: str) -> re.Pattern[str]:
    return re.compile("|".join(values))


_IS = ("retweet", "reply", "quote", "verified", "nullcast")
_HAS = (
    *("hashtags", "links", "mentions", "media", "images", "video_link", "geo", "cashtags"),
    *("symbols", "videos"),  # older names
)
# The values that a Post can answer.
LOCAL_IS = frozenset({"retweet", "reply", "quote"})
LOCAL_HAS = frozenset({"hashtags", "cashtags", "symbols", "links", "mentions"})

OPERATORS: dict[str, Spec] = {
    "from": Spec(_USER, "from:XDevelopers", local=True),
    "to": Spec(_USER, "to:XDevelopers"),
    "retweets_of": Spec(_USER, "retweets_of:XDevelopers"),
    "retweets_of_user": Spec(_USER, "retweets_of_user:XDevelopers"),
    "from_affiliate_of": Spec(_USER, "from_affiliate_of:XDevelopers"),
    "to_affiliate_of": Spec(_USER, "to_affiliate_of:XDevelopers"),
    "url": Spec(_ANY, 'url:"https://developer.x.com"', local=True),
    "url_title": Spec(_ANY, "url_title:snow"),
    "url_description": Spec(_ANY, "url_description:weather"),
    "url_contains": Spec(_ANY, "url_contains:photos", local=True),
    "context": Spec(_CONTEXT, "context:47.*"),
    "entity": Spec(_ANY, 'entity:"Michael Jordan"'),
    "conversation_id": Spec(_ID, "conversation_id:1334987486343299072"),
    "in_reply_to_tweet_id": Spec(_ID, "in_reply_to_tweet_id:1539382664746020864", local=True),
    "retweets_of_tweet_id": Spec(_ID, "retweets_of_tweet_id:1539382664746020864", local=True),
    "bio": Spec(_ANY, 'bio:"data engineer"'),
    "user_bio": Spec(_ANY, 'user_bio:"data engineer"'),
    "bio_name": Spec(_ANY, "bio_name:phd"),
    "bio_location": Spec(_ANY, 'bio_location:"big apple"'),
    "user_bio_location": Spec(_ANY, 'user_bio_location:"big apple"'),
    "place": Spec(_ANY, 'place:"new york city"'),
    "place_country": Spec(re.compile(r"[A-Za-z]{2}"), "place_country:US"),
    "point_radius": Spec(
        re.compile(rf"\[\s*{_NUMBER}\s+{_NUMBER}\s+\d+(?:\.\d+)?(?:mi|km)\s*\]"),
        "point_radius:[2.355128 48.861118 16km]",
    ),
    "bounding_box": Spec(
        re.compile(rf"\[\s*{_NUMBER}(?:\s+{_NUMBER}){{3}}\s*\]"),
        "bounding_box:[-105.301758 39.964069 -105.178505 40.09455]",
    ),
    "embedding": Spec(_ANY, 'embedding:"electric cars"'),
    "embedding_threshold": Spec(
        re.compile(r"0?\.\d+|[01](?:\.0+)?"), "embedding_threshold:0.45", standalone=False
    ),
    "is": Spec(_one_of(*_IS), "is:retweet", standalone=False, local=True),
    "has": Spec(_one_of(*_HAS), "has:links", standalone=False, local=True),
    "lang": Spec(re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{2,8})*"), "lang:en", standalone=False, local=True),
    "sample": Spec(re.compile(r"[1-9]\d?|100"), "sample:15", standalone=False),
    "source": Spec(_ANY, 'source:"X for iPhone"'),
    "min_followers": _COUNT,
    "followers_count": _COUNT,
    "tweets_count": _COUNT,
    "statuses_count": _COUNT,
    "following_count": _COUNT,
    "friends_count": _COUNT,
    "listed_count": _COUNT,
}


def nearest(name: str, value: str) -> str:
    """The known operator that a wrong one was probably meant to be, as a hint; empty when none is near."""
    lower = name.lower()
    if lower in OPERATORS:
        return f"operators are written in lower case: {lower}:{value}"
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    begins = [known for known in OPERATORS if known.startswith(lower)]
    close = begins or get_close_matches(lower, OPERATORS, n=1, cutoff=0.6)
    return f"did you mean {min(close, key=len)}:?" if close else ""


def choices(name: str) -> tuple[str, ...]:
    """The values that `is:` and `has:` take."""
    return {"is": _IS, "has": _HAS}.get(name, ())


def answers_locally(name: str, value: str) -> bool:
    """Whether a Post carries what `name:value` asks for."""
    if name == "is":
        return value in LOCAL_IS
    if name == "has":
        return value in LOCAL_HAS
    return OPERATORS[name].local
