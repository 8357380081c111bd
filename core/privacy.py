"""What privacy does to a line on its way in: the forgotten are not taken again, and people may get other names.

`Privacy.take` stands in the place of a source's `decode`. The topic judges a post as it came; what is stored and
shown is what `take` gives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from core.errors import ConfigError
from core.journal import Deletion, Journal, Tombstones, Visit
from core.journal.pseudonym_key import note_pseudonym_key, read_pseudonym_key
from core.post import Post
from core.pseudonyms import Pseudonyms, given_key
from core.settings import PrivacySettings
from core.sources.base import Glance, People

OTHER_FOLDER = "name another data folder with --data-dir"


class Taken(NamedTuple):
    """A post. `judged` is as it came, `kept` as it is stored and shown (None: it is forgotten), `raw` its line."""

    judged: Post
    kept: Post | None
    raw: bytes


class Privacy:
    """For one source. `tombstones` may be exchanged at any time; `pseudonyms` None: people keep their names."""

    def __init__(
        self,
        source: str,
        decode: Callable[[bytes], Post],
        people: People,
        tombstones: Tombstones,
        pseudonyms: Pseudonyms | None = None,
        glance: Callable[[bytes], Glance | None] | None = None,
    ) -> None:
        self._source = source
        self._decode = decode
        self._people = people
        self._pseudonyms = pseudonyms
        self._glance = glance
        self.tombstones = tombstones

    def take(self, raw: bytes) -> Taken:
        """A line as a post. Raises Undecodable."""
        post = self._decode(raw)
        if self.tombstones:
            gone = self.author(post.author.id) or self._has_gone(post)
            left = None if gone else self._people.without(raw, self)
            if left is None:
                return Taken(post, None, b"")
            if left is not raw:
                raw, post = left, self._decode(left)
        if self._pseudonyms is None:
            return Taken(post, post, raw)
        raw = self._people.disguise(raw, self._pseudonyms)
        return Taken(post, self._decode(raw), raw)

    @property
    def intervenes(self) -> bool:
        """Whether `take` may leave something out of a line, or give somebody another name."""
        return bool(self.tombstones) or self._pseudonyms is not None

    def glance(self) -> Callable[[bytes], Glance | None]:
        """The source's cheap look at a line, as long as `take` changes nothing: else a look that sees nothing."""
        if self._glance is None or self.intervenes:
            return lambda _: None
        return self._glance

    def read(self, raw: bytes) -> Post:
        """The post of a line that `take` has given. Pure."""
        return self._decode(raw)

    def unreadable(self, raw: bytes) -> bytes:
        """As much of a line that is no post as may be kept in quarantine."""
        left = self._people.without(raw, self) if self.tombstones else raw
        if self._pseudonyms is None:
            return left or b""
        return self._people.disguise(left or b"", self._pseudonyms)

    def deletion(self, deletion: Deletion) -> Deletion:
        """An announced deletion in the names under which people are stored."""
        if self._pseudonyms is None or not deletion.author:
            return deletion
        return Deletion(deletion.at, author=self._pseudonyms("id", deletion.author))

    def is_forgotten(self, kept: Post) -> bool:
        """Whether a post that was taken is forgotten by now."""
        return self.tombstones.has("author", self._source, kept.author.id) or self._has_gone(kept)

    # -- Gone, for lines that arrive

    def author(self, id: str) -> bool:
        """Whether that author is forgotten."""
        if self._pseudonyms is not None and id:
            id = self._pseudonyms("id", id)
        return self.tombstones.has("author", self._source, id)

    def post(self, id: str) -> bool:
        """Whether that post is forgotten."""
        return self.tombstones.has("post", self._source, id)

    def _has_gone(self, post: Post) -> bool:
        return any(self.post(id) for id in (post.id, post.edit_of, post.ref("retweeted")))


def open_pseudonyms(
    settings: PrivacySettings, journal: Journal | Visit, config_dir: Path, data_dir: Path
) -> Pseudonyms | None:
    """The pseudonyms of a capture; None when they are off. A data folder has them from its first post, or never.

    Raises ConfigError in words: a folder of plain posts, a folder of pseudonyms with the setting off, a lost key.
    """
    known = read_pseudonym_key(journal)
    if not settings.pseudonymise:
        if known is None:
            return None
        raise ConfigError(
            f"the data folder {data_dir} holds posts under pseudonyms, and privacy.pseudonymise is off",
            f"Switch it on, or {OTHER_FOLDER}: names and pseudonyms of the same people must not lie side by side.",
        )
    if known is None and any(tally.delivered for tally in journal.tallies().values()):
        raise ConfigError(
            f"privacy.pseudonymise is on, and the data folder {data_dir} holds posts with their authors' names",
            f"What was stored cannot be disguised afterwards: {OTHER_FOLDER}.",
        )
    key = settings.key.get_secret_value() if settings.key else None
    found = given_key(key, config_dir, data_dir, create=known is None)
    if found is None or (known is not None and found.fingerprint != known):
        what = "is not there" if found is None else "is another one"
        raise ConfigError(
            f"the key that made the pseudonyms of the data folder {data_dir} {what}",
            f"Put it back into {config_dir} or into privacy.key. If it is lost, {OTHER_FOLDER}: under another key"
            " everybody would be somebody else, and nobody can tell any more who stands behind the old names.",
        )
    if known is None and isinstance(journal, Journal):
        note_pseudonym_key(journal, found.fingerprint)
    return found
