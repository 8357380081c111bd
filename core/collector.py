"""Python's collector of cycles, asked to look less often.

It looks after every 700 new objects, and now and then in all that was ever imported. A line makes dozens that die
at once and hold no cycle: this was an eighth of the price of a post.
"""

from __future__ import annotations

import gc

OBJECTS = 20_000  # that are made until the collector looks at them: some megabytes


def look_less_often() -> None:
    """From now on, for this process. Twice is harmless."""
    if not gc.get_freeze_count():
        gc.freeze()
        gc.set_threshold(OBJECTS, 10, 10)
