"""The main job, proved: 20,000 posts of the simulator over HTTP into a MongoDB-protocol server, compared one by one.

5 % are delivered twice, 10 % are about the topic, and the stream is cut twice in the middle of a line. Prints what
the simulator's own log says, what the program's report says and what the collection holds, and fails if they differ.
Run it with `make proof`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import pymongo  # noqa: E402

from core.simulator.options import SimulatorOptions  # noqa: E402
from core.simulator.server import Simulator  # noqa: E402
from tests.conftest import FerretDB, wait_until  # noqa: E402
from tests.integration.test_main_job import POSTS, Program, collection  # noqa: E402

TOTAL = 20_000


def main() -> int:
    """Run and compare; returns 0 when all three agree."""
    build = subprocess.run([ROOT / "scripts" / "build-ferretdb"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "db").mkdir()
        server = FerretDB(Path(build.stdout.strip()), folder / "db")
        server.start()
        try:
            return _prove(folder, f"{server.address}/proof")
        finally:
            server.kill()


def _prove(folder: Path, url: str) -> int:
    log = folder / "sent.ndjson"
    options = SimulatorOptions(
        rate=0,
        posts=TOTAL,
        duplicates=0.05,
        match=0.1,
        faults=("7000:cut-mid-json", "14000:reset-mid-json"),
        log=log,
    )
    began = time.monotonic()
    with Simulator(options) as sim:
        program = Program(sim, folder / "data", "--store", url)
        wait_until(lambda: len({sent.post for sent in sim.sent if sent.kind in POSTS}) >= TOTAL, 300)
        wanted = {sent.post for sent in sim.sent if sent.kind in POSTS and sent.whole and sent.matches_topic}
        wait_until(lambda: collection(url).count_documents({}) >= len(wanted), 300)
        seconds = time.monotonic() - began
        code, report = program.stop()
    records = [json.loads(line) for line in log.read_text().splitlines()]
    whole = [record for record in records if record["kind"] in POSTS and record["whole"]]
    lines = Counter(record["post"] for record in whole)
    topical = {record["post"] for record in whole if record["matches_topic"]}
    stored = [document["id"] for document in pymongo.MongoClient(url).get_default_database()["posts"].find()]
    print("the report:", json.dumps(report))
    print(
        f"the simulator's log: {len(whole):,} whole lines of {len(lines):,} posts "
        f"({len(whole) - len(lines):,} second deliveries), {len(topical):,} posts about the topic, "
        f"{sum(not record['whole'] for record in records if record['kind'] in POSTS)} lines cut"
    )
    print(f"the collection: {len(stored):,} documents, {len(set(stored)):,} different posts")
    agree = (
        code == 0
        and len(stored) == len(set(stored))
        and set(stored) == topical
        and report["run"]["consumed"] == len(whole)
        and report["run"]["matched"] == sum(lines[post] for post in topical)
        and report["run"]["unique"] == len(topical)
        and len(report["gaps"]) == 2
    )
    print(f"{'all three agree, post by post' if agree else 'THEY DIFFER'}; {seconds:.1f} s")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
