"""The comparison with other clients: it runs them for real, and its verdicts follow from what is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.simulator.faults import FAULTS
from tests.reliability.rivals import Outcome, cell, compare, faults_of, group_of, markdown

FINE = Outcome(
    client="bieber-tui", fault="cut", group="ending", state="went on", code=0, stored=60, holes=0, unrecorded=0, twice=0,
    invented=0, junk=0, seconds=0.2,
)  # fmt: skip


def test_a_broken_line_ends_the_others_and_a_cut_loses_a_post_that_only_we_record() -> None:
    found = {
        (one.client, one.fault): one for one in compare(faults_of(["invalid-json", "cut-mid-json"]), workers=3)
    }
    for fault in ("invalid-json", "cut-mid-json"):
        ours = found["bieber-tui", fault]
        assert ours.good, ours
        assert ours.state == "went on"
    for rival in ("twarc2", "tweepy"):
        assert found[rival, "invalid-json"].state == "ended"
        cut = found[rival, "cut-mid-json"]
        assert cut.state == "went on"
        assert cut.unrecorded == cut.holes >= 1
    assert found["bieber-tui", "cut-mid-json"].holes >= 1


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"holes": 3}, True),
        ({"holes": 3, "unrecorded": 1}, False),
        ({"twice": 1}, False),
        ({"invented": 1}, False),
        ({"junk": 1}, False),
        ({"state": "ended"}, False),
        ({"state": "waiting"}, False),
        ({"state": "waiting", "fault": "http-429"}, True),
        ({"state": "ended", "fault": "http-401"}, True),
        ({"state": "waiting", "fault": "http-401"}, False),
    ],
)
def test_what_counts_as_good(change: dict[str, object], good: bool) -> None:
    assert replace(FINE, **change).good is good  # type: ignore[arg-type]


def test_every_fault_that_can_be_scheduled_is_compared_and_has_a_class() -> None:
    faults = faults_of()
    assert {fault.name for fault in faults} == {name for name, one in FAULTS.items() if one.how != "option"} | {
        "sigkill"
    }
    assert {group_of(fault) for fault in faults} == {
        "connect", "HTTP", "ending", "stalls", "framing", "content", "order and time", "kill",
    }  # fmt: skip


def test_the_table_adds_up_by_class_and_names_every_trouble() -> None:
    rival = replace(FINE, client="twarc2", state="ended", holes=5, unrecorded=5, junk=1)
    table = markdown([FINE, rival, replace(FINE, client="tweepy", twice=2)])
    assert (
        "| ending | 1 | 1; 0 lost, 0 twice, 0 no posts | 0; 5 lost, 0 twice, 1 no posts | 0; 0 lost, 2 twice, 0 no posts |"
        in table
    )
    assert cell(rival) == "✗ ended (0); 5 lost, 5 unrecorded; 1 no posts"
    assert cell(replace(FINE, holes=2)) == "went on after 0.2 s; 2 lost, in its gap"
