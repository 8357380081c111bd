"""Do the tests see? `make mutation` changes the modules that carry the promises, one small change at a time.

mutmut makes the changes and runs, for each, the tests that reach the changed function. A change that no test notices
survives. Every survivor is explained, one by one, in survivors.toml; one that is not ends this run with exit code 1.
Each part works on a copy of the tree in the cache and starts anew; its log stays there. Figures are JSON on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("BIEBER_TUI_CACHE") or Path.home() / ".cache" / "bieber-tui") / "mutation"
COPIED = ("core", "tui", "tests", "scripts", "pyproject.toml")

ANY = "tests/unit/test_any_input.py"

# A part: modules that are changed, and the tests, fast ones, that must notice.
PARTS: dict[str, tuple[list[str], list[str]]] = {
    "counters": (["core/ledger.py", "core/counters.py"], ["tests/unit/test_ledger.py"]),
    "framing": (["core/sources/x/framing.py"], ["tests/unit/test_x_framing.py", f"{ANY}::test_a_line_of_any_length_is_handed_out_once"]),
    "backoff": (["core/sources/x/backoff.py"], ["tests/unit/test_x_backoff.py"]),
    "answers": (["core/sources/x/answers.py"], ["tests/unit/test_x_answers.py"]),
    "connection": (["core/connection.py"], ["tests/unit/test_connection.py", "tests/unit/test_last_durable_byte.py"]),
    "ingest": (["core/ingest.py", "core/draft.py"], ["tests/unit/test_ingest.py"]),
    "delivery": (["core/delivery.py"], ["tests/unit/test_delivery.py"]),
    "documents": (["core/sinks/mongodb_document.py"], ["tests/unit/test_mongodb_document.py"]),
    "addresses": (["core/sinks/mongodb_address.py"], ["tests/unit/test_mongodb_address.py"]),
    "failures": (["core/sinks/mongodb_failure.py"], ["tests/unit/test_mongodb_failure.py"]),
    "mongodb": (["core/sinks/mongodb.py"], ["tests/contract/test_sinks.py", "tests/integration/test_mongodb_words.py"]),
    "journal": (
        ["core/journal/journal.py", "core/journal/schema.py", "core/journal/gaps.py", "core/journal/progress.py"],
        ["tests/unit/test_journal.py", "tests/unit/test_gap_records.py", "tests/unit/test_last_durable_byte.py"],
    ),
    "source": (["core/sources/x/source.py"], ["tests/contract/test_sources.py", "tests/integration/test_x_source.py"]),
}  # fmt: skip

SURVIVED, NO_TEST = 0, 33  # mutmut's exit codes of a change that nothing noticed


@dataclass(frozen=True)
class Change:
    """One change that no test noticed: the lines before and after, without their indentation."""

    module: str
    before: str
    after: str

    @classmethod
    def read(cls, module: str, diff: str) -> Change:
        """From a unified diff."""

        def lines(sign: str) -> str:
            return "\n".join(
                line[1:].strip() for line in diff.splitlines() if line[:1] == sign and line[:3] != 3 * sign
            )

        return cls(module, lines("-"), lines("+"))


def explained() -> dict[Change, str]:
    """The survivors that somebody has looked at, and why each is none of a test's business."""
    entries = tomllib.loads((HERE / "survivors.toml").read_text()).get("survivor", [])
    return {Change(one["module"], one["before"].strip(), one["after"].strip()): one["why"] for one in entries}


def mutate(part: str, workers: int) -> tuple[int, list[Change]]:
    """Run mutmut over one part; how many changes were made, and those that survived."""
    modules, tests = PARTS[part]
    work = CACHE / part
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, work / name)
    with (work / "pyproject.toml").open("a") as config:
        config.write(
            f"\n[tool.mutmut]\nsource_paths = ['core']\nonly_mutate = {modules}\nalso_copy = ['tui', 'scripts']\n"
            f"pytest_add_cli_args_test_selection = {tests}\n"
        )
    log = work / "log"
    with log.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", str(workers)],
            cwd=work, env={**os.environ, "CI": "true"}, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    codes = {name: code for module in modules for name, code in _codes(work, module).items()}
    if done.returncode or not codes or None in codes.values():
        raise SystemExit(f"the part {part} did not run to its end, see {log}:\n{log.read_text()[-2000:]}")
    survivors = []
    for module in modules:
        for name, code in _codes(work, module).items():
            if code in (SURVIVED, NO_TEST):
                shown = subprocess.run(
                    [sys.executable, "-m", "mutmut", "show", name],
                    cwd=work,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                survivors.append(Change.read(module, shown.stdout))
    return len(codes), survivors


def _codes(work: Path, module: str) -> dict[str, int | None]:
    """The exit code of the tests for each change of a module."""
    notes = work / "mutants" / f"{module}.meta"
    codes: dict[str, int | None] = json.loads(notes.read_text())["exit_code_by_key"] if notes.exists() else {}
    return codes


def main() -> int:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description="Mutation testing; figures as JSON on stdout.")
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    reasons = explained()
    figures: dict[str, Any] = {}
    unexplained: list[Change] = []
    met: set[Change] = set()
    for part in arguments.parts or PARTS:
        print(f"changing {part}: {', '.join(PARTS[part][0])}", file=sys.stderr, flush=True)
        began = time.monotonic()
        mutants, survivors = mutate(part, arguments.workers)
        known = [change for change in survivors if change in reasons]
        met |= set(known)
        unexplained += [change for change in survivors if change not in reasons]
        figures[part] = {
            "mutants": mutants,
            "killed": mutants - len(survivors),
            "survived": len(survivors),
            "explained": len(known),
            "seconds": round(time.monotonic() - began, 1),
        }
        print(json.dumps(figures[part]), file=sys.stderr, flush=True)
    changed = {module for part in figures for module in PARTS[part][0]}
    report = {
        "parts": figures,
        **{
            name: sum(one[name] for one in figures.values())
            for name in ("mutants", "killed", "survived", "explained")
        },
        "unexplained": [vars(change) for change in unexplained],
        "explained_but_killed": [vars(one) for one in reasons if one.module in changed and one not in met],
    }
    print(json.dumps(report, indent=1))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
