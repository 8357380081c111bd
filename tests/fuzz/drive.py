"""One target under atheris, in this process: `python -m tests.fuzz.drive TARGET [libFuzzer's flags and folders]`.

Only the program's own packages and the tokenizer are instrumented: that is where new paths count.
"""

from __future__ import annotations

import importlib
import logging
import sys

import atheris


def main() -> None:
    """Run until libFuzzer's limits end it."""
    target = sys.argv.pop(1)
    logging.disable()
    with atheris.instrument_imports(include=["core", "tui"], enable_loader_override=False):
        module = importlib.import_module(f"tests.fuzz.{target}")
    atheris.Setup(sys.argv, module.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
