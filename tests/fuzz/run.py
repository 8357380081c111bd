"""Fuzz every target for a bounded time, and say in JSON what was found: `make fuzz FUZZ_SECONDS=60`.

Each target runs in a process of its own under atheris (coverage-guided, libFuzzer). What it learns is kept in the
cache and is where the next run starts. A finding is written to tests/fuzz/cases/TARGET/; it stays there as a case
that every run of the tests replays, and ends this run with exit code 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = HERE / "cases"
TARGETS = ("post_line", "control", "framing", "chunks", "query", "shown", "profile")
CACHE = Path(os.environ.get("BIEBER_TUI_CACHE") or Path.home() / ".cache" / "bieber-tui") / "fuzz"

LONGEST_INPUT = 2000  # bytes
SLOWEST_INPUT = 30  # seconds for one input, after which it is a finding
MOST_MEMORY = 3000  # MiB


def fuzz(target: str, seconds: int) -> dict[str, Any]:
    """Run one target; its figures."""
    corpus = CACHE / target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in importlib.import_module(f"tests.fuzz.{target}").seeds():
        (corpus / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    cases = CASES / target
    cases.mkdir(parents=True, exist_ok=True)
    before = set(cases.iterdir())
    began = time.monotonic()
    command = [
        *(sys.executable, "-m", "tests.fuzz.drive", target),
        *(
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST_INPUT}",
            f"-timeout={SLOWEST_INPUT}",
            f"-report_slow_units={SLOWEST_INPUT}",
        ),
        *(f"-rss_limit_mb={MOST_MEMORY}", f"-artifact_prefix={cases}/", "-print_final_stats=1"),
        *(str(corpus), str(cases)),
    ]
    done = subprocess.run(command, cwd=HERE.parent.parent, capture_output=True, text=True, errors="replace")
    found = sorted(path.name for path in set(cases.iterdir()) - before)
    if done.returncode and not found:
        raise SystemExit(f"the target {target} did not run:\n{done.stderr[-3000:]}")
    if not any(cases.iterdir()):
        cases.rmdir()
    return {
        "executions": _number(r"stat::number_of_executed_units:\s*(\d+)", done.stderr),
        "edges": _number(r"cov: (\d+)", done.stderr),
        "corpus": len(list(corpus.iterdir())),
        "slowest_s": _number(r"stat::slowest_unit_time_sec:\s*(\d+)", done.stderr),
        "seconds": round(time.monotonic() - began, 1),
        "findings": found,
        **({"error": _error(done.stdout + done.stderr)} if found else {}),
    }


def _number(pattern: str, text: str) -> int:
    """The last number that was told."""
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def _error(text: str) -> str:
    trace = re.search(r"Traceback.*?(?=\n==)", text, re.DOTALL)
    return (trace.group() if trace else text)[-2000:]


def main() -> int:
    """Fuzz the targets one after the other."""
    parser = argparse.ArgumentParser(description="Fuzz decoders and parsers; figures as JSON on stdout.")
    parser.add_argument("targets", nargs="*", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    figures: dict[str, Any] = {}
    for target in arguments.targets or TARGETS:
        print(f"fuzzing {target} for {arguments.seconds} s", file=sys.stderr, flush=True)
        figures[target] = fuzz(target, arguments.seconds)
    total = {name: sum(one[name] for one in figures.values()) for name in ("executions", "edges")}
    findings = sum(len(one["findings"]) for one in figures.values())
    print(json.dumps({"targets": figures, **total, "findings": findings}, indent=1))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
