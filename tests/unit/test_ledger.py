"""The three equations hold at every reading, for the run and for the life, whoever keeps the record."""

from hypothesis import given
from hypothesis import strategies as st

from core.counters import Counters
from core.journal import Settled, Tally
from core.ledger import Ledger


def balanced(ledger: Ledger) -> None:
    totals = ledger.totals
    for counters in (totals.run, totals.life, *totals.per_source.values()):
        assert counters.imbalance() == ""


def test_without_a_sink_the_journal_keeps_the_record():
    ledger = Ledger({"x": Tally(10, 9, 1, 4, 3, 1)}, None)
    ledger.committed("x", Tally(5, 5, 0, 2, 1, 1))
    assert ledger.totals.run == Counters(5, 5, 0, 2, 3, unique=1, duplicate=1, pending=0)
    assert ledger.totals.life == Counters(15, 14, 1, 6, 8, unique=4, duplicate=2, pending=0)
    balanced(ledger)


def test_a_matched_post_is_pending_until_the_store_of_record_has_answered():
    ledger = Ledger({}, {})
    ledger.committed("x", Tally(5, 5, 0, 4, 3, 1))
    assert (ledger.totals.run.unique, ledger.totals.run.duplicate, ledger.totals.run.pending) == (0, 1, 3)
    ledger.settled({"x": Settled(2, 1)}, {})
    assert (ledger.totals.run.unique, ledger.totals.run.duplicate, ledger.totals.run.pending) == (2, 2, 0)
    balanced(ledger)


def test_what_an_earlier_run_left_pending_counts_for_the_life_only():
    ledger = Ledger({"x": Tally(9, 9, 0, 5, 5, 0)}, {"x": Settled(2, 0)})
    assert ledger.totals.life.pending == 3
    assert ledger.totals.run == Counters()
    ledger.settled({}, {"x": Settled(3, 0)})
    assert ledger.totals.life.pending == 0
    assert ledger.totals.life.unique == 5
    assert ledger.totals.run == Counters()


def test_sources_are_counted_apart_and_together():
    ledger = Ledger({}, None)
    ledger.committed("x", Tally(2, 2, 0, 1, 1, 0))
    ledger.committed("bluesky", Tally(3, 2, 1, 1, 0, 1))
    assert ledger.totals.per_source["bluesky"].quarantined == 1
    assert ledger.totals.run.delivered == 5
    balanced(ledger)


counts = st.integers(0, 50)
commits = st.tuples(st.sampled_from(["x", "y"]), counts, counts, counts, counts)


@given(st.lists(commits, max_size=20), st.data())
def test_the_equations_hold_after_every_commit_and_every_answer(steps, data):
    ledger = Ledger({"x": Tally(7, 6, 1, 3, 2, 1)}, {"x": Settled(1, 0)})
    waiting = {"x": 0, "y": 0}
    for source, quarantined, filtered, inserted, repeated in steps:
        matched = inserted + repeated
        consumed = matched + filtered
        ledger.committed(source, Tally(consumed + quarantined, consumed, quarantined, matched, inserted, repeated))
        balanced(ledger)
        waiting[source] += inserted
        stored = data.draw(st.integers(0, waiting[source]))
        duplicate = data.draw(st.integers(0, waiting[source] - stored))
        waiting[source] -= stored + duplicate
        ledger.settled({source: Settled(stored, duplicate)}, {})
        balanced(ledger)
        assert ledger.totals.run.pending == sum(waiting.values())


def test_an_imbalance_is_told_in_words():
    assert "delivered 2" in Counters(delivered=2).imbalance()
    assert "consumed 1" in Counters(1, 1).imbalance()
    assert "matched 1" in Counters(1, 1, 0, 1).imbalance()


def test_what_is_forgotten_is_told_beside_the_equations():
    """By source, in this run and over the life; what was unique stays counted."""
    ledger = Ledger({"x": Tally(9, 9, 0, 5, 5, 0)}, {"x": Settled(5, 0)}, {"x": 2})
    assert (ledger.totals.life.forgotten, ledger.totals.run.forgotten) == (2, 0)
    ledger.committed("y", Tally(1, 1, 0, 1, 1, 0))
    ledger.forgotten("x", 1)
    ledger.forgotten("x", 1)
    assert (ledger.totals.life.forgotten, ledger.totals.run.forgotten) == (4, 2)
    assert ledger.totals.per_source["x"].forgotten == 2
    assert ledger.totals.per_source["y"].forgotten == 0
    assert ledger.totals.life.unique == 5
    balanced(ledger)


def test_answers_add_up_over_several_sources_and_batches():
    ledger = Ledger({"x": Tally(9, 9, 0, 5, 5, 0), "y": Tally(1, 1, 0, 1, 1, 0)}, {})
    ledger.settled({}, {"x": Settled(2, 1), "y": Settled(0, 1)})
    ledger.settled({}, {"x": Settled(1, 0)})
    assert (ledger.totals.life.unique, ledger.totals.life.duplicate, ledger.totals.life.pending) == (3, 2, 1)
    ledger.committed("x", Tally(3, 3, 0, 3, 3, 0))
    ledger.settled({"x": Settled(1, 0)}, {})
    ledger.settled({"x": Settled(0, 1)}, {"x": Settled(1, 0)})
    assert (ledger.totals.run.unique, ledger.totals.run.duplicate, ledger.totals.run.pending) == (1, 1, 1)
    assert (ledger.totals.life.unique, ledger.totals.life.duplicate, ledger.totals.life.pending) == (5, 3, 1)
    assert ledger.inserted == 9
    balanced(ledger)


def test_the_share_of_matched_posts():
    assert Counters(10, 8, 2, 2, 6).match_rate == 0.25
    assert Counters().match_rate is None
