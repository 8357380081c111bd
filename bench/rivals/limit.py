"""The limit: the same bytes, read with urllib3 and put raw into SQLite in the same batches. Nothing else is done.

    python -m bench.rivals.limit ADDRESS LINES FILE EVERY

It decodes, matches and compares nothing. EVERY says which lines are put in: 1 all of them, 10 every tenth (as many
as there would be with 10 % matches, though not the same ones).
"""

from __future__ import annotations

import sqlite3
import sys

import urllib3

from bench.stream import TOKEN

BATCH = 1000  # lines in one transaction: the default of journal.batch_size


def main() -> None:
    """The command."""
    address, lines, path, every = sys.argv[1:]
    left, step = int(lines), int(every)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE posts (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)")
    answer = urllib3.PoolManager().request(
        "GET",
        f"{address}/2/tweets/search/stream",
        headers={"authorization": f"Bearer {TOKEN}"},
        preload_content=False,
    )
    rest, batch = b"", []
    while left:
        *whole, rest = (rest + answer.read1(65536)).split(b"\r\n")
        batch += whole[:left]
        left -= min(len(whole), left)
        if len(batch) >= BATCH or not left:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO posts (raw) VALUES (?)", [(line,) for line in batch[::step]])
            db.execute("COMMIT")
            batch = []
    db.close()
    answer.close()


if __name__ == "__main__":
    main()
