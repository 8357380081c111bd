"""`recover` saves every post whose pages are undamaged, invents none, and leaves a journal whose numbers agree."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from core.errors import JournalError
from core.journal import Batch, Entry, Forgetting, GapMark, Journal, Rejected, Settled, Tally
from core.journal import recover as recover_module
from core.journal.pages import TABLE_LEAF, Damaged, Pages
from core.journal.progress import FILE_NAME as PROGRESS
from core.journal.recover import UNPROVEN, recover
from core.journal.salvage import tables
from core.journal.schema import VERSION
from core.opinion import text_hash
from core.owner import Owner
from core.recovery import _text_hash
from tests.conftest import ROOT
from tui import cli

NAME, WAL = "journal.sqlite", "journal.sqlite-wal"
POSTS = 120
NOW = 1_800_000_000.0
PAGE = 4096


def raw(number: int) -> bytes:
    return b"%d " % number + random.Random(number).randbytes((number * 977) % 9000)


def hash_of(source: str, line: bytes) -> int | None:
    """As the capture's decoder and text hash would: here a line's text is the line."""
    return text_hash(line.decode("latin-1")) if line.split(b" ")[0].isdigit() else None


def entries(numbers) -> list[Entry]:
    return [
        Entry(f"id{n}", 1000.0 + n, text_hash(raw(n).decode("latin-1")), ("music",), n % 2 == 0, raw(n))
        for n in numbers
    ]


def write(folder: Path, *, end: bool) -> None:
    """A journal with everything in it: posts of two sources, versions, quarantine, gaps, a store in mid-delivery."""
    with Journal(folder) as journal:
        session = journal.begin_session(1000.0, "x")
        for at in range(0, POSTS, 8):
            batch = Batch("x", 10, 9, entries(range(at, at + 8)), last_byte_at=1000.0 + at + 8, cursor=str(at))
            batch.quarantined.append(Rejected("", 1000.0 + at, "not JSON", b"{broken %d" % at))
            journal.commit(batch, session)
            if at == 64:
                journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        journal.commit(Batch("bluesky", 3, 3, entries(range(5000, 5003))), session)
        later = [Entry("id7", 2000.0, 99, ("music",), False, b"7 edited")]
        journal.commit(Batch("x", 1, 1, later, gaps=[GapMark(1500.0, "X 503"), GapMark(1501.0)]), session)
        journal.settle("mongo", 50, {"x": Settled(47, 3)})
        if end:
            journal.end_session(session, 3000.0, "stopped")
        journal._note_progress(at_once=True)
        if not end:
            kept = folder.with_name("killed")
            kept.mkdir()
            for name in (NAME, WAL, PROGRESS):
                shutil.copy(folder / name, kept)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended") / "data"
    write(folder, end=True)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed") / "data"
    write(folder, end=False)
    return folder.with_name("killed")


def everything() -> dict[tuple[str, str], bytes]:
    posts = {("x", f"id{n}"): raw(n) for n in range(POSTS)}
    return posts | {("bluesky", f"id{n}"): raw(n) for n in range(5000, 5003)}


def posts_of(folder: Path) -> dict[tuple[str, str], bytes]:
    with closing(sqlite3.connect(folder / NAME)) as db, db:
        return {(source, id_): line for source, id_, line in db.execute("SELECT source, id, raw FROM posts")}


def agrees(folder: Path) -> None:
    """The new journal is whole, its equations hold, and a capture can go on with it."""
    with closing(sqlite3.connect(folder / NAME)) as db, db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counted = Counter(source for source, _ in db.execute("SELECT source, seq FROM posts"))
        cursor = dict(db.execute("SELECT target, seq FROM sink_cursors")).get("mongo")
        waiting = Counter(
            source
            for source, seq in db.execute("SELECT source, seq FROM posts")
            if cursor is not None and seq > cursor
        )
        newest = db.execute("SELECT max(seq) FROM posts").fetchone()[0] or 0
    with Journal(folder) as journal:
        settled = journal.settled("mongo")
        for source, tally in journal.tallies().items():
            assert tally.delivered == tally.consumed + tally.quarantined
            assert tally.consumed >= tally.matched
            assert tally.matched == tally.inserted + tally.repeated
            answered = settled.get(source, Settled())
            pending = tally.inserted - answered.stored - answered.duplicate
            assert pending == waiting[source] if answered.stored else tally.inserted == counted[source]
        assert journal.last_seq() >= newest
        session = journal.begin_session(NOW, "x")
        assert journal.commit(Batch("x", 1, 1, [Entry("new", NOW, 1, (), False, b"1 new")]), session) == [True]


def test_a_whole_journal_is_left_alone(ended, killed, tmp_path):
    for number, source in enumerate((ended, killed)):
        folder = shutil.copytree(source, tmp_path / str(number))
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert recover(folder, hash_of, NOW).whole
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name in before} == before


def test_without_a_journal_there_is_nothing_to_recover(tmp_path):
    with pytest.raises(JournalError, match="no journal"):
        recover(tmp_path, hash_of, NOW)
    (tmp_path / NAME).write_bytes(random.Random(1).randbytes(50_000))
    with pytest.raises(JournalError, match="nothing in"):
        recover(tmp_path, hash_of, NOW)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


class Noting(Pages):
    """Notes the pages that each cell is on: its own, and those that it overflows into."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read: set[int] = set()
        self.of_cell: list[set[int]] = []

    def page(self, number: int) -> bytes:
        self.read.add(number)
        return super().page(number)

    def _cell(self, data: bytes, place: int, kind: int):
        self.read.clear()
        cell = super()._cell(data, place, kind)
        self.of_cell.append(set(self.read))
        return cell


def page_map(folder: Path) -> dict[tuple[str, str], set[int]]:
    """The pages that each post is on. That they are read rightly is seen by comparing with SQLite's own rows."""
    pages = Noting(folder / NAME)
    table = tables()["posts"]
    found: dict[tuple[str, str], set[int]] = {}
    rows: dict[tuple[str, str], bytes] = {}
    for number in range(1, pages.count + 1):
        pages.of_cell.clear()
        with suppress(Damaged):
            node = pages.node(number)
            if node.kind == TABLE_LEAF and node.cells and all(map(table.fits, node.cells)):
                for cell, more in zip(node.cells, pages.of_cell, strict=True):
                    _, source, id_, *_, line, _ = table.values(cell)
                    found[source, id_] = {number, *more}
                    rows[source, id_] = line
    pages.close()
    assert rows == posts_of(folder)
    return found


@pytest.fixture(scope="module")
def pages_of(ended):
    return page_map(ended)


def damage(folder: Path, kind: str, rng: random.Random) -> set[int]:
    """Do something to the file; the numbers of the pages that are not as they were."""
    path = folder / NAME
    data = bytearray(path.read_bytes())
    pages = len(data) // PAGE
    hit: set[int] = set()
    if kind == "cut":
        length = rng.randrange(len(data))
        path.write_bytes(data[:length])
        return set(range(length // PAGE + 1, pages + 1))
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        page = rng.choice([1, 2, 3, 4, 5, rng.randrange(pages) + 1])
        start = (page - 1) * PAGE
        if kind == "zeros":
            data[start : start + PAGE] = bytes(PAGE)
        elif kind == "noise":
            data[start : start + PAGE] = rng.randbytes(PAGE)
        elif kind == "bit":
            data[start + rng.randrange(PAGE)] ^= 1 << rng.randrange(8)
        elif kind == "span":
            length = rng.randrange(3 * PAGE)
            data[start : start + length] = rng.randbytes(min(length, len(data) - start))
            hit |= set(range(page, min(pages, (start + length) // PAGE + 1) + 1))
        elif kind == "copied":  # a page written to the wrong place
            other = rng.randrange(pages) * PAGE
            data[start : start + PAGE] = data[other : other + PAGE]
        hit.add(page)
    path.write_bytes(data)
    return hit


KINDS = ("cut", "zeros", "noise", "bit", "span", "copied")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere_saves_what_is_undamaged_and_invents_nothing(ended, pages_of, tmp_path, kind):
    """RECOVER_CASES sets of random damage of each kind; the seed of a case that fails is in its message."""
    for seed in range(int(os.environ.get("RECOVER_CASES", "16"))):
        one_case(ended, pages_of, tmp_path / str(seed), kind, seed)


def one_case(ended, pages_of, folder, kind, seed):
    shutil.copytree(ended, folder)
    hit = damage(folder, kind, random.Random(seed))
    before = (folder / NAME).read_bytes()
    try:
        recovered = recover(folder, hash_of, NOW)
    except JournalError as error:
        # A bit of the version's own number: then it is a newer one for all that can be told, and left untouched.
        assert "newer" in str(error)
        assert (folder / NAME).read_bytes() == before
        return
    if not recovered.whole and recovered.aside is not None:
        assert recovered.aside.read_bytes() == before
    found, all_posts = posts_of(folder), everything()
    invented = {key for key, line in found.items() if all_posts.get(key) != line}
    assert not invented, f"{kind} {seed}: posts that were never written"
    missing = {key for key, pages in pages_of.items() if not pages & hit} - set(found)
    assert not missing, f"{kind} {seed}: posts on undamaged pages are missing"
    agrees(folder)
    if not recovered.whole:
        assert sum(recovered.lost.values()) >= len(all_posts) - len(found) - 50  # the store has the first 50
    shutil.rmtree(folder)


@pytest.mark.parametrize("seed", range(8))
def test_damage_in_the_write_ahead_log_costs_no_more_than_sqlite_would_lose(killed, tmp_path, seed):
    folder = shutil.copytree(killed, tmp_path / "data")
    rng = random.Random(seed)
    log = bytearray((folder / WAL).read_bytes())
    at = rng.randrange(len(log))
    if seed % 2:
        log = log[:at]
    else:
        log[at] ^= 1 << rng.randrange(8)
    (folder / WAL).write_bytes(log)
    for_sqlite = shutil.copytree(folder, tmp_path / "for sqlite")
    recovered = recover(folder, hash_of, NOW)
    assert not recovered.whole
    assert posts_of(folder) == posts_of(for_sqlite)
    assert recovered.lost["x"] == POSTS - len([key for key in posts_of(folder) if key[0] == "x"])
    agrees(folder)


def test_exact_numbers_for_a_page_that_is_gone(ended, pages_of, tmp_path):
    """Three posts of one page, two of them in the store already: what is lost, where the gap is, which ids."""
    folder = shutil.copytree(ended, tmp_path / "data")
    by_leaf: dict[int, list[int]] = {}
    for (source, id_), pages in pages_of.items():
        if source == "x":
            by_leaf.setdefault(min(pages), []).append(int(id_[2:]))
    leaf = next(page for page, numbers in by_leaf.items() if len(numbers) == 3 and min(numbers) > 60)
    gone = sorted(by_leaf[leaf])
    with (folder / NAME).open("r+b") as file:
        file.seek((leaf - 1) * PAGE)
        file.write(bytes(PAGE))
    before = tally_of(ended)
    recovered = recover(folder, hash_of, NOW)
    assert recovered.lost == {"x": 3, "bluesky": 0}
    assert recovered.saved == {
        "posts": POSTS, "versions": 1, "filtered": 0, "quarantine": 15, "gaps": 1, "sessions": 1,
    }  # fmt: skip
    assert recovered.lost_ids is not None
    assert recovered.lost_ids.read_text().split() == [f"x:id{n}" for n in gone]
    tally = recovered.tallies["x"]
    assert tally == before - Tally(delivered=3, consumed=3, matched=3, inserted=3)
    with Journal(folder) as journal:
        gap = next(gap for gap in journal.gaps() if gap.reason == "journal damaged")
        assert (gap.source, gap.start, gap.end) == ("x", 1000.0 + gone[0] - 1, 1000.0 + gone[-1] + 1)
        assert journal.sink_cursor("mongo") == 50
        assert journal.settled("mongo") == {"x": Settled(47, 3)}
        assert journal.cursor("x") == str(POSTS - 8)
        assert journal.last_seq() == last_number(ended)
        with Journal(shutil.copytree(ended, tmp_path / "other")) as other:
            assert journal.capture_id == other.capture_id
        # Given again by the source, a lost post is taken as new.
        assert journal.commit(Batch("x", 1, 1, entries(gone[:1])), 1) == [True]


def tally_of(folder: Path) -> Tally:
    with closing(sqlite3.connect(folder / NAME)) as db, db:
        return Tally(*db.execute(
            "SELECT delivered, consumed, quarantined, matched, inserted, repeated FROM counters WHERE source = 'x'"
        ).fetchone())  # fmt: skip


def last_number(folder: Path) -> int:
    with closing(sqlite3.connect(folder / NAME)) as db, db:
        return db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'posts'").fetchone()[0]


def test_a_lost_post_that_the_store_has_stays_counted(ended, pages_of, tmp_path):
    folder = shutil.copytree(ended, tmp_path / "data")
    leaf = min(pages_of["x", "id10"])
    with (folder / NAME).open("r+b") as file:
        file.seek((leaf - 1) * PAGE)
        file.write(bytes(PAGE))
    recovered = recover(folder, hash_of, NOW)
    assert recovered.lost["x"] == 0
    assert recovered.known_lost > 0
    assert recovered.tallies["x"] == tally_of(ended)
    agrees(folder)


@pytest.mark.parametrize("table", ["sink_cursors", "settled"])
def test_a_stores_position_survives_the_loss_of_its_page(ended, tmp_path, table):
    """What was noted beside the journal stands in; without it the store is sent everything again."""
    folder = shutil.copytree(ended, tmp_path / "data")
    with closing(sqlite3.connect(folder / NAME)) as db:
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    with (folder / NAME).open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(bytes(PAGE))
    without = shutil.copytree(folder, tmp_path / "without")
    (without / PROGRESS).unlink()
    recover(folder, hash_of, NOW)
    with Journal(folder) as journal:
        assert (journal.sink_cursor("mongo"), journal.settled("mongo")) == (50, {"x": Settled(47, 3)})
    agrees(folder)
    notes = recover(without, hash_of, NOW).notes
    assert "everything is sent to them again" in notes[0]
    with Journal(without) as journal:
        assert (journal.sink_cursor("mongo"), journal.settled("mongo")) == (0, {})


def test_posts_that_were_forgotten_are_not_lost(ended, tmp_path):
    folder = shutil.copytree(ended, tmp_path / "data")
    with Journal(folder) as journal:
        forgetting = Forgetting(journal)
        forgetting.erase("posts", forgetting.lines_of_post("posts", "x", "id70"), [])
        forgetting.erase("posts", forgetting.lines_of_post("posts", "x", "id10"), [])
        tally = journal.tallies()["x"]
    with (folder / NAME).open("r+b") as file:
        file.seek(30)
        file.write(b"\xff\xff")
    recovered = recover(folder, hash_of, NOW)
    assert recovered.lost == {"x": 0, "bluesky": 0}
    assert recovered.tallies["x"] == tally
    assert ("x", "id70") not in posts_of(folder)


def test_a_lost_end_is_an_open_gap_and_no_number_is_given_twice(killed, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "data")
    (folder / WAL).write_bytes((folder / WAL).read_bytes()[:40_000])
    with pytest.raises(JournalError, match="lost its end"):
        Journal(folder)
    recovered = recover(folder, hash_of, NOW)
    with Journal(folder) as journal:
        assert recovered.lost["x"] == POSTS - recovered.saved["posts"] > 0
        gap = journal.gaps()[-1]
        assert (gap.start, gap.end, gap.reason) == (1000.0 + recovered.saved["posts"] - 1, None, "journal damaged")
        assert journal.last_seq() > POSTS + 3  # the highest number that was given
    agrees(folder)


@pytest.mark.parametrize("content", [None, b""])
def test_a_journal_that_is_gone_is_begun_anew_as_the_same_capture(ended, tmp_path, content):
    folder = shutil.copytree(ended, tmp_path / "data")
    with Journal(folder) as journal:
        name = journal.capture_id
    (folder / NAME).unlink()
    if content is not None:
        (folder / NAME).write_bytes(content)
    recovered = recover(folder, hash_of, NOW)
    assert recovered.aside is None
    assert recovered.lost == {"x": POSTS, "bluesky": 3}
    with Journal(folder) as journal:
        assert journal.capture_id == name
        assert journal.tallies()["x"].inserted == 0
        assert journal.tallies()["x"].quarantined == 15
        assert journal.last_seq() > POSTS
        assert [gap.end for gap in journal.gaps()] == [None, None]


def test_a_journal_whose_own_number_is_damaged_is_recovered_and_a_foreign_file_is_not(ended, tmp_path):
    folder = shutil.copytree(ended, tmp_path / "data")
    with closing(sqlite3.connect(folder / NAME)) as db:
        db.execute("PRAGMA application_id = 7")
    assert recover(folder, hash_of, NOW).saved["posts"] == len(everything())
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with closing(sqlite3.connect(foreign / NAME)) as db, db:
        db.execute("CREATE TABLE posts (cookie)")
    before = (foreign / NAME).read_bytes()
    with pytest.raises(JournalError, match="not a journal"):
        recover(foreign, hash_of, NOW)
    assert (foreign / NAME).read_bytes() == before


def test_a_row_that_is_not_what_was_written_goes_to_quarantine(ended, tmp_path):
    """One changed byte in a raw line, which no page tells of; and one in a row of before there were checksums."""
    folder = shutil.copytree(ended, tmp_path / "data")
    with closing(sqlite3.connect(folder / NAME)) as db, db:
        db.execute("UPDATE posts SET raw = CAST('70 other' AS BLOB) WHERE id = 'id70'")
        db.execute("UPDATE posts SET checksum = NULL")
        db.execute("UPDATE posts SET raw = CAST('80 other' AS BLOB) WHERE id = 'id80'")
    page = Pages(folder / NAME)
    page.close()
    (folder / PROGRESS).unlink()
    # Something that is plainly wrong, so that there is anything to recover.
    with (folder / NAME).open("r+b") as file:
        file.seek(30)
        file.write(b"\xff\xff")
    recovered = recover(folder, hash_of, NOW)
    assert recovered.unproven == 2
    assert recovered.tallies["x"] == tally_of(ended) - Tally(0, 2, -2, 2, 2, 0)
    with closing(sqlite3.connect(folder / NAME)) as db, db:
        doubtful = db.execute("SELECT raw FROM quarantine WHERE reason = ?", (UNPROVEN,)).fetchall()
    assert doubtful == [(b"70 other",), (b"80 other",)]
    agrees(folder)


def test_a_journal_of_the_first_version_is_recovered_into_the_present_one(tmp_path):
    old = sqlite3.connect(tmp_path / NAME)
    old.executescript((ROOT / "tests" / "data" / "journal-v1.sql").read_text())
    ids = {id_ for (id_,) in old.execute("SELECT id FROM posts")}
    root = old.execute("SELECT rootpage FROM sqlite_master WHERE name = 'quarantine'").fetchone()[0]
    old.close()
    with (tmp_path / NAME).open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(bytes(PAGE))
    recovered = recover(tmp_path, _text_hash, NOW)
    assert (recovered.unproven, recovered.saved["quarantine"], recovered.lost) == (0, 0, {"x": 0})
    assert {id_ for _, id_ in posts_of(tmp_path)} == ids
    with closing(sqlite3.connect(tmp_path / NAME)) as db, db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


class Killed(BaseException):
    """The process ends here."""


STEPS = ("migrate", "rebuild", "_sync", "_write", "os.link", "Path.rename", "Path.replace")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("late", [False, True])
def test_a_recovery_that_is_killed_at_any_step_is_begun_again(killed, tmp_path, monkeypatch, step, late):
    folder = shutil.copytree(killed, tmp_path / "data")
    with (folder / NAME).open("r+b") as file:
        file.seek(30 * PAGE)
        file.write(bytes(10 * PAGE))
    before = {name: (folder / name).read_bytes() for name in (NAME, WAL)}
    wanted = recover(shutil.copytree(folder, tmp_path / "undisturbed"), hash_of, NOW)

    target = {"os": os, "Path": Path}.get(step.partition(".")[0], recover_module)
    name = step.rpartition(".")[2]
    real = getattr(target, name)

    def die(*arguments):
        if late:
            real(*arguments)
        raise Killed

    monkeypatch.setattr(target, name, die)
    with pytest.raises(Killed):
        recover(folder, hash_of, NOW)
    monkeypatch.undo()
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    for content in before.values():
        assert content in kept.values(), "a part of the old journal is gone"
    done = step == "Path.replace" and late
    if (folder / "journal.sqlite.recovering").exists():
        with pytest.raises(JournalError, match="interrupted"):
            Journal(folder)
    again = recover(folder, hash_of, NOW + 5)
    assert again.whole if done else again.saved == wanted.saved
    assert posts_of(folder) == posts_of(tmp_path / "undisturbed")
    asides = sorted(path.name for path in folder.glob("journal.damaged-*.sqlite*"))
    assert len([name for name in asides if name.endswith(".sqlite")]) == 1
    assert (folder / asides[0]).read_bytes() == before[NAME]
    assert (folder / asides[1]).read_bytes() == before[WAL]
    agrees(folder)


def test_a_recovery_that_is_killed_by_the_system_is_begun_again(ended, tmp_path):
    folder = shutil.copytree(ended, tmp_path / "data")
    damage(folder, "noise", random.Random(4))
    wanted = recover(shutil.copytree(folder, tmp_path / "undisturbed"), _text_hash, NOW)
    command = [sys.executable, "-m", "tui.cli", "recover", "--data-dir", str(folder), "--json"]
    for wait in (0.2, 0.3, 0.35, 0.4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["journal"] == str(folder / NAME)
    assert posts_of(folder) == posts_of(tmp_path / "undisturbed")
    assert wanted.saved["posts"] == len(posts_of(folder))


def test_the_command_says_what_was_saved_and_what_was_lost(ended, pages_of, tmp_path, capsys):
    folder = shutil.copytree(ended, tmp_path / "data")
    assert cli.main(["recover", "--data-dir", str(folder)]) == 0
    assert "is whole" in capsys.readouterr().out
    with (folder / NAME).open("r+b") as file:
        file.seek((min(pages_of["x", "id90"]) - 1) * PAGE)
        file.write(bytes(PAGE))
    with Owner(folder):
        assert cli.main(["recover", "--data-dir", str(folder)]) == 5
        assert "another capture owns" in capsys.readouterr().err
    assert cli.main(["recover", "--data-dir", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "posts of x, taken out of the counters" in said
    assert "is the old one" in said
    assert cli.main(["recover", "--data-dir", str(tmp_path / "nowhere")]) == 4
    assert "no journal" in capsys.readouterr().err
