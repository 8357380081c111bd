"""Chance that replays: what is chosen depends on the seed, a purpose and a number, and on nothing else."""

from __future__ import annotations

import random
from functools import lru_cache


def chosen(seed: int, purpose: str, n: int, share: float) -> bool:
    """Whether post `n` is one of the share (0 to 1) that is meant; exact over all hundreds so far."""
    return share > 0 and n % 100 in _picked(seed, purpose, n // 100, share)


def dice(seed: int, purpose: str, n: int) -> random.Random:
    """A generator of random numbers for one decision about post `n`."""
    return random.Random(f"{seed}/{purpose}/{n}")  # noqa: S311 - replayable on purpose


@lru_cache(maxsize=1024)
def _picked(seed: int, purpose: str, block: int, share: float) -> frozenset[int]:
    """Which of a hundred posts are meant."""
    size = round((block + 1) * 100 * share) - round(block * 100 * share)
    return frozenset(random.Random(f"{seed}/{purpose}/{block}").sample(range(100), size))  # noqa: S311
