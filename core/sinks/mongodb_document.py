"""A post as a MongoDB document: the fields that the design names, in a form that no server refuses.

Whatever a post holds, it has a document: numbers are brought into 64 bits, dates that cannot be one are null,
names of metrics lose the characters that field names must not have, and what is too large is given up in a fixed
order and named in `cut`. Text from outside stays what it was: making it safe to show is the work of who shows it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import bson
from bson.errors import BSONError

from core.sinks.base import StoredRow

# A server takes 16 MiB a document; some room is left for what the protocol adds to one.
MAX_BYTES = 16 * 1024 * 1024 - 16 * 1024

# What a document gives up when it is too large, the least useful first; `text` loses its end, the others go whole.
GIVEN_UP = ("raw", "text", "links", "mentions", "tags", "refs", "metrics", "matched", "author", "lang", "edit_of")

# A server that is busy with one document for longer than mongodb.timeout is taken for hung, and gets it again and
# again. A list of 10,000 takes it 0.2 s; the names of an object may each be compared with all others.
MOST_ITEMS = 10_000
MOST_NAMES = 1000

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def document(row: StoredRow, *, raw: bool) -> dict[str, Any]:
    """The document of a row; with `raw` it holds the raw line too, as text if it is UTF-8."""
    post = row.post
    fields: dict[str, Any] = {
        "_id": post.key,
        "source": post.source,
        "id": post.id,
        "text": post.text,
        "created_at": _date(post.created_at),
        "received_at": _date(row.received_at),
        "author": {"id": post.author.id, "username": post.author.username, "name": post.author.name},
        "lang": post.lang,
        "tags": list(post.tags[:MOST_ITEMS]),
        "mentions": list(post.mentions[:MOST_ITEMS]),
        "links": list(post.links[:MOST_ITEMS]),
        "metrics": {_name(name): _int64(count) for name, count in islice(post.metrics.items(), MOST_NAMES)},
        "refs": [{"kind": ref.kind, "id": ref.id} for ref in post.refs[:MOST_ITEMS]],
        "edit_of": post.edit_of,
        "matched": list(row.matched),
        "backfilled": row.backfilled,
        "capture": row.capture,
        "seq": _int64(row.seq),
    }
    cut = [name for name in ("links", "mentions", "tags", "refs") if len(getattr(post, name)) > MOST_ITEMS]
    cut += ["metrics"] if len(post.metrics) > MOST_NAMES else []
    if cut:
        fields["cut"] = cut
    if raw:
        try:
            fields["raw"] = row.raw.decode()
        except UnicodeDecodeError:
            fields["raw"] = row.raw
    return fields


def encode(row: StoredRow, *, raw: bool) -> bytes:
    """The document of a row as BSON, at most MAX_BYTES long."""
    fields = document(row, raw=raw)
    encoded = _bson(fields)
    for name in GIVEN_UP:
        if len(encoded) <= MAX_BYTES:
            break
        if not fields.get(name):
            continue
        fields["cut"] = list(dict.fromkeys([*fields.get("cut", ()), name]))
        if name == "raw":
            del fields["raw"]
        elif name == "text":
            # 64 bytes more than the excess: room for the entry in `cut`
            keep = len(fields["text"].encode("utf-8", "replace")) - (len(encoded) - MAX_BYTES) - 64
            fields["text"] = fields["text"].encode("utf-8", "replace")[: max(keep, 0)].decode("utf-8", "ignore")
        else:
            fields[name] = type(fields[name])()
        encoded = _bson(fields)
    return encoded


def _bson(fields: dict[str, Any]) -> bytes:
    try:
        return bson.encode(fields)
    except (BSONError, UnicodeError, OverflowError):
        return bson.encode(_plain(fields))


def _plain(value: Any) -> Any:
    """`value` without what BSON cannot say: half surrogates become `?`, foreign types their text."""
    if isinstance(value, dict):
        return {_name(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bool | bytes | datetime) or value is None:
        return value
    if isinstance(value, int):
        return _int64(value)
    return str(value).encode("utf-8", "replace").decode()


def _int64(number: int) -> int:
    return max(_INT64_MIN, min(_INT64_MAX, number))


def _date(moment: datetime | float | None) -> datetime | None:
    """A moment in UTC; None for one that no calendar has."""
    if moment is None:
        return None
    try:
        if not isinstance(moment, datetime):
            return datetime.fromtimestamp(moment, UTC)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _name(name: str) -> str:
    """A name that may be a field's: no dot, no NUL, no leading dollar, not empty."""
    if name.isidentifier():  # as nearly all are
        return name
    clean = name.replace(".", "_").replace("\0", "_").encode("utf-8", "replace").decode()
    return "_" + clean[1:] if clean.startswith("$") else clean or "_"
