"""The few lines that people write to keep posts with tweepy: what ours is compared with.

    python tests/reliability/tweepy_capture.py http://127.0.0.1:8099 posts.jsonl

Only the adapter is not theirs: tweepy has no setting for the host (docs/simulator.md).
"""

import json
import sys

import requests
import tweepy

address, path = sys.argv[1:]


class Here(requests.adapters.HTTPAdapter):
    def send(self, request, **how):
        request.url = request.url.replace("https://api.twitter.com", address, 1)
        return super().send(request, **how)


class Keep(tweepy.StreamingClient):
    def on_tweet(self, tweet):
        with open(path, "a") as file:  # noqa: PTH123 - as people write it
            file.write(json.dumps(tweet.data) + "\n")


keep = Keep("simulator-bearer-token")
keep.session.mount("https://api.twitter.com", Here())
keep.add_rules(tweepy.StreamRule('"justin bieber"', tag="jb"))
keep.filter()
