"""What the journal costs: opening it, a post in it, removing posts, recovering it. Prints a table.

python bench/journal.py --posts 350000 --size 4700
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from core.journal import FILE_NAME, Batch, Entry, Journal, Retention
from core.journal.recover import recover
from core.opinion import text_hash
from core.units import Keep, size_words

DAMAGED_PAGES = 40


def fill(folder: Path, posts: int, size: int) -> tuple[float, float]:
    """CPU seconds a post, and bytes a post."""
    noise = os.urandom(2 * size)
    with Journal(folder) as journal:
        session = journal.begin_session(0.0, "x")
        used = 0.0
        for start in range(0, posts, 1000):
            entries = []
            for number in range(start, min(start + 1000, posts)):
                raw = noise[number % size :][:size]
                entries.append(Entry(str(1_500_000_000_000_000_000 + number * 4_194_304), float(number),
                                     text_hash(str(number)), ("music",), False, raw))  # fmt: skip
            began = time.process_time()
            journal.commit(Batch("x", len(entries), len(entries), entries), session)
            used += time.process_time() - began
        journal.end_session(session, float(posts), "filled")
        return used / posts, journal.used_bytes() / posts


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def opened(folder: Path) -> float:
    return statistics.median(timed(lambda: Journal(folder).close()) for _ in range(5))


def recovered(folder: Path) -> float:
    path = folder / FILE_NAME
    pages = path.stat().st_size // 4096
    chosen = random.Random(1)
    with path.open("r+b") as file:
        for _ in range(DAMAGED_PAGES):
            file.seek(chosen.randrange(1, pages) * 4096)
            file.write(bytes(4096))
    return timed(lambda: recover(folder, lambda source, raw: None, time.time()))


def removed(folder: Path, posts: int) -> tuple[float, float, float]:
    """Bytes that a removed post leaves, posts removed a second, and the slowest step in seconds."""
    with Journal(folder) as journal:
        retention = Retention(journal, Keep(age=1.0))
        steps: list[float] = []
        began = time.perf_counter()
        while True:
            start = time.perf_counter()
            if not retention.step(1e12):
                break
            steps.append(time.perf_counter() - start)
        return journal.used_bytes() / posts, posts / (time.perf_counter() - began), max(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--posts", type=int, default=60_000)
    parser.add_argument("--size", type=int, default=4700, help="bytes of a raw line")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        folder = work / "journal"
        cpu, size = fill(folder, args.posts, args.size)
        file = (folder / FILE_NAME).stat().st_size
        print(f"{args.posts:,} posts of {args.size:,} bytes, {size_words(file)}")
        print(f"commit          {cpu * 1e6:8.1f} µs of CPU a post")
        print(f"in the journal  {size:8.0f} bytes a post")
        print(f"opening         {opened(folder) * 1e3:8.1f} ms")
        shutil.copytree(folder, work / "damaged")
        print(f"recovering      {recovered(work / 'damaged'):8.1f} s, {DAMAGED_PAGES} pages damaged")
        left, rate, slowest = removed(folder, args.posts)
        print(f"removing        {rate:8,.0f} posts/s, slowest step {slowest * 1e3:.0f} ms")
        print(f"a removed post  {left:8.1f} bytes")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
