"""Ask every question: python -m bench [--quick]. Writes docs/performance.md, its plots and the results as JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import curves, growth, latency, machine, painted, report, screen, stages, start, throughput
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
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the posts and seconds of each measurement (default: 1)"
    )
    args = parser.parse_args()
    built = subprocess.run([ROOT / "scripts" / "build-ferretdb"], stdout=subprocess.PIPE, text=True, check=True)
    about = machine.describe()
    quick = args.quick
    scale, repetitions = (0.1, 1) if quick else (args.share, args.repetitions)
    with tempfile.TemporaryDirectory() as name:
        server = FerretDB(Path(built.stdout.strip()), Path(name))
        server.start()
        try:
            cells = throughput.ask(server.address, scale=scale, repetitions=repetitions, say=_say)
        finally:
            server.kill()
    answers = report.Answers(
        about,
        " ".join(sys.argv[1:]),
        cells,
        growth.ask(quick=quick, repetitions=repetitions, say=_say),
        latency.ask(seconds=5 if quick else 30 * scale),
        painted.ask(seconds=5 if quick else 30 * scale),
        stages.ask(quick=quick),
        stages.ask_terms(quick=quick),
        start.ask(repetitions=3 if quick else 10, idle_seconds=5 if quick else 30 * scale),
        screen.ask(seconds=10 if quick else 60 * scale, repetitions=repetitions),
        curves.ask_rates(seconds=5 if quick else 20 * scale),
        curves.ask_payloads(seconds=5 if quick else 20 * scale),
        curves.ask_viewers(seconds=5 if quick else 20 * scale),
    )
    for words in (trouble := throughput.broken(cells)):
        _say(f"SLOWER THAN IT WAS: {words}")
    if quick:
        print(report.page(answers))
    else:
        folder = ROOT / "docs" / "performance"
        folder.mkdir(exist_ok=True)
        (folder / "results.json").write_text(
            json.dumps(report.results(answers), indent=1, ensure_ascii=False) + "\n"
        )
        (folder / "throughput.svg").write_text(report.plot(cells))
        (folder / "growth.svg").write_text(report.plot_growth(answers.growth))
        folder.with_suffix(".md").write_text(report.page(answers))
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
