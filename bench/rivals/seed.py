"""The proof of concept that the project began with, rebuilt from its description.

    python -m bench.rivals.seed ADDRESS POSTS MONGODB_URL

tweepy's `on_tweet`, NLTK's TweetTokenizer on every text, a list of the ids seen so far, and one `insert_one` for
each post about music. It stops after so many posts, which the original did not.
"""

from __future__ import annotations

import sys
from typing import Any

import tweepy
from nltk.tokenize import TweetTokenizer
from pymongo import MongoClient

from bench.rivals.host import redirect
from bench.stream import TOKEN

FIELDS = {
    "tweet_fields": ["author_id", "created_at", "entities", "lang", "public_metrics"],
    "expansions": ["author_id"],
}


class Listener(tweepy.StreamingClient):  # type: ignore[misc]
    """Counts, filters, removes duplicates and stores, post by post."""

    def __init__(self, posts: int, collection: Any) -> None:
        super().__init__(TOKEN)
        self.left = posts
        self.collection = collection
        self.tokenizer = TweetTokenizer(preserve_case=False)
        self.seen: list[int] = []

    def on_tweet(self, tweet: tweepy.Tweet) -> None:
        self.left -= 1
        if self.left == 0:
            self.disconnect()
        if tweet.id in self.seen:
            return
        self.seen.append(tweet.id)
        tokens = self.tokenizer.tokenize(tweet.text)
        if "music" in tokens or "#music" in tokens:
            self.collection.insert_one({"_id": str(tweet.id), "text": tweet.text})

    def on_exception(self, exception: Exception) -> None:
        raise exception


def main() -> None:
    """The command."""
    address, posts, url = sys.argv[1:]
    redirect(address)
    with MongoClient(url) as client:
        listener = Listener(int(posts), client.get_default_database()["posts"])
        listener.filter(**FIELDS)


if __name__ == "__main__":
    main()
