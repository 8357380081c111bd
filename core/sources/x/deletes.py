"""Messages in which X announces that something is to be kept no longer.

Source: X's documentation of its compliance streams ("Compliance data objects"), and of the standard stream of
version 1.1 for messages of archives. The filtered stream sends none of them today; where one arrives, it is
recognised, is no post, and is honoured.

What X asks for is deletion of a deleted post, and "suppress or delete" for all others. Nothing here can suppress:
the store is open to whoever reads it. So a post that X drops from public view, and the posts of an account that is
deleted, protected or suspended, are deleted too. A post that is withheld in some countries, a changed profile and
geodata (which we do not ask for) need nothing, nor does what is taken back: it is not stored any more.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from core.sources.x.decode import LONGEST_ID

_OF_POST = ("delete", "drop")
_OF_AUTHOR = ("user_delete", "user_protect", "user_suspend")
_NOTHING_TO_DO = (
    "undrop", "withheld", "status_withheld", "tweet_edit", "scrub_geo", "user_withheld",
    "user_undelete", "user_unprotect", "user_unsuspend", "user_profile_modification",
)  # fmt: skip

# Such a message is all that its line holds.
_announces = re.compile(
    rb'\s*\{\s*(?:"data"\s*:\s*\{\s*)?"(%s)"\s*:\s*\{'
    % "|".join((*_OF_POST, *_OF_AUTHOR, *_NOTHING_TO_DO)).encode()
).match

# A first look that settles nearly every line: `data` is there, and begins as no message does.
surely_a_post = re.compile(
    rb'\s*\{\s*"data"\s*:\s*\{\s*"(?!(?:%s)")' % "|".join((*_OF_POST, *_OF_AUTHOR, *_NOTHING_TO_DO)).encode()
).match


class Announced(NamedTuple):
    """What X announced: the id of a post or of an author whose posts are to go; neither when nothing is to."""

    post: str = ""
    author: str = ""


def announced(line: bytes) -> Announced | None:
    """What a line announces; None for any other line, which is then delivered."""
    found = _announces(line)
    if found is None:
        return None
    try:
        message = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    kind = found[1].decode("ascii")
    if kind in _NOTHING_TO_DO:
        return Announced()
    body = _part(_part(message, "data") or message, kind)
    if kind in _OF_POST:
        id = _id(_part(body, "tweet") or _part(body, "status"))  # "status" is version 1.1's
        return Announced(post=id) if id else None
    id = _id(_part(body, "user"))
    return Announced(author=id) if id else None


def _part(of: Any, name: str) -> dict[str, Any]:
    part = of.get(name) if isinstance(of, dict) else None
    return part if isinstance(part, dict) else {}


def _id(about: dict[str, Any]) -> str:
    id = str(about.get("id_str") or about.get("id") or "")
    return id if id.isascii() and id.isdecimal() and len(id) <= LONGEST_ID else ""
