"""A post's page on the web: built by us from its id and its author's name, never an address out of a post."""

from __future__ import annotations

import re

from core.post import Post

_X_NAME = re.compile(r"[A-Za-z0-9_]{1,15}", re.ASCII)
_X_ID = re.compile(r"[0-9]{1,19}", re.ASCII)


def address(post: Post) -> str:
    """The post's page; empty when its source has none that is known, or its id cannot be one."""
    if post.source != "x" or not _X_ID.fullmatch(post.id):
        return ""
    name = post.author.username
    # X finds a post by its id alone; `i` stands for an author who is not known.
    return f"https://x.com/{name if _X_NAME.fullmatch(name) else 'i'}/status/{post.id}"
