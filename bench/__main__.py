"""Ask every question: python -m bench [--quick]. Writes docs/performance.md, its plots and the results as JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import machine, report, throughput
from tests.conftest import FerretDB

ROOT = Path(__file__).parent.parent


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="once, a tenth of the posts; prints, writes no document"
    )
    parser.add_argument("--repetitions", type=int, default=5, help="of everything (default: 5)")
    parser.add_argument("--json", type=Path, default=ROOT / "docs/performance/results.json", help="where to write")
    args = parser.parse_args()
    built = subprocess.run([ROOT / "scripts" / "build-ferretdb"], stdout=subprocess.PIPE, text=True, check=True)
    about = machine.describe()
    with tempfile.TemporaryDirectory() as name:
        server = FerretDB(Path(built.stdout.strip()), Path(name))
        server.start()
        try:
            scale, repetitions = (0.1, 1) if args.quick else (1.0, args.repetitions)
            cells = throughput.ask(server.address, scale=scale, repetitions=repetitions, say=_say)
        finally:
            server.kill()
    for words in (trouble := throughput.broken(cells)):
        _say(f"SLOWER THAN IT WAS: {words}")
    if args.quick:
        print(report.page(about, cells))
        return 1 if trouble else 0
    args.json.parent.mkdir(exist_ok=True)
    args.json.write_text(json.dumps(report.results(about, cells), indent=1, ensure_ascii=False) + "\n")
    (ROOT / "docs/performance.md").write_text(report.page(about, cells))
    (ROOT / "docs/performance/throughput.svg").write_text(report.plot(cells))
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
