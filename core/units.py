"""Sizes and ages as people write them: "200 MB", "90d", and what the journal keeps: "90d or 10GB"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from core.snapshot import JournalStatus

SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
AGES = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 365.25 * 86_400.0}

# No more digits than a float tells apart.
_AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([a-z]+)", re.IGNORECASE)


class Keep(msgspec.Struct, frozen=True):
    """How much of its posts the journal keeps; None: no limit of that kind."""

    age: float | None = None  # seconds
    size: int | None = None  # bytes

    def __bool__(self) -> bool:
        return self.age is not None or self.size is not None


def parse_size(text: str | int) -> int:
    """Bytes of "200 MB" (decimal units; a bare number is bytes). Raises ValueError in words."""
    bare = str(text).strip()
    found = _AMOUNT.fullmatch(f"{bare}B" if bare.isdecimal() else bare)
    unit = SIZES.get(found[2].upper()) if found else None
    if found is None or unit is None:
        raise ValueError(f"{bare!r} is no size; write it like 200MB or 10GB")
    return round(float(found[1]) * unit)


def parse_keep(text: str) -> Keep:
    """What "all", "90d", "10GB" or "90d or 10GB" asks for. Raises ValueError in words."""
    words = text.strip()
    if words.lower() == "all":
        return Keep()
    age: float | None = None
    size: int | None = None
    for part in re.split(r"\s+or\s+", words, flags=re.IGNORECASE):
        found = _AMOUNT.fullmatch(part.strip())
        if found and found[2].lower() in AGES and age is None:
            age = float(found[1]) * AGES[found[2].lower()]
        elif found and found[2].upper() in SIZES and size is None:
            size = parse_size(part)
        else:
            raise ValueError(f"{words!r} is not 'all', an age (90d), a size (10GB) or both (90d or 10GB)")
    if age == 0 or size == 0:
        raise ValueError(f"{words!r} keeps nothing")
    return Keep(age, size)


def size_words(number: float) -> str:
    """A size for a person, rounded to three figures: 1.24 GB."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB"


def age_words(seconds: float) -> str:
    """A length of time for a person, in the one unit that fits: 40 min, 3 h, 12 days."""
    if seconds < 90 * 60:
        return f"{max(round(seconds / 60), 1)} min"
    if seconds < 48 * 3600:
        return f"{round(seconds / 3600)} h"
    return f"{round(seconds / 86_400):,} days"


def room_words(status: JournalStatus) -> str:
    """What is left: "150 MB free, about 3 h left at the present rate"."""
    words = f"{size_words(status.free or 0)} free"
    if status.seconds_left is not None:
        words += f", about {age_words(status.seconds_left)} left at the present rate"
    return words
