"""Every finding of the fuzzer stays mended, and every target takes its own seeds."""

from __future__ import annotations

import importlib

import pytest

from tests.fuzz.run import CASES, TARGETS

FOUND = sorted(path for path in CASES.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name[:20]}")
def test_a_finding_stays_mended(path):
    importlib.import_module(f"tests.fuzz.{path.parent.name}").check(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_takes_its_seeds(target):
    module = importlib.import_module(f"tests.fuzz.{target}")
    for seed in module.seeds():
        module.check(seed)
        module.check(seed[: len(seed) // 2])
