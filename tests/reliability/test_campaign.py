"""A short campaign of kills at random moments; `make kills` is the long one."""

from __future__ import annotations

import pytest

from tests.reliability import campaign


@pytest.mark.needs_go
@pytest.mark.timeout(1800)
def test_ten_kills_at_random_moments_lose_nothing_that_no_gap_names(tmp_path, own_ferretdb):
    figures = campaign.run(10, seed=3, folder=tmp_path, server=own_ferretdb, check_every=5)
    assert figures["kills"] == 10
    assert figures["posts_missing"] == 0
    assert figures["life"]["inserted"] == figures["documents"] > 0
