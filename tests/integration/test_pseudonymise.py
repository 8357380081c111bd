"""Under pseudonyms nothing that a run leaves anywhere tells who somebody is, and every number is as without."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest

from core.simulator.posts import user
from core.simulator.server import Simulator
from tests.conftest import FerretDB, wait_until
from tests.integration.test_forget import forget
from tests.integration.test_main_job import Program, balanced, expected, journal_ids, options, whole

ON = ("--set", "privacy.pseudonymise=true")
FAULTS = ("50:odd-text", "60:no-id", "70:no-text", "80:nulls", "90:no-includes", "100:invalid-json", "120:edit")


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch) -> Path:
    """A config folder of the test's own, also for the programs that it starts."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "bieber-tui"


def people_in(journal: Path) -> dict[str, dict[str, str]]:
    """Every person that the lines of a plain journal give, by id."""
    people: dict[str, dict[str, str]] = {}
    with sqlite3.connect(journal) as db:
        for table in ("posts", "filtered", "versions"):
            for (raw,) in db.execute(f"SELECT raw FROM {table}"):
                for person in (json.loads(raw).get("includes") or {}).get("users") or ():
                    people[person["id"]] = person
    return people


@pytest.mark.needs_go
def test_no_id_username_or_name_of_anybody_is_left_in_folder_store_or_log(
    tmp_path, config, own_ferretdb: FerretDB
):
    """Two runs of one simulator: a plain one tells who is in the posts, then the same under pseudonyms."""
    flags = ("--set", "journal.scope=all", "--set", "mongodb.raw=true", "--max-posts", "500")
    how = {"posts": 500, "match": 0.5, "payload": "rich", "duplicates": 0.05, "edits": 0.05, "faults": FAULTS}
    with Simulator(options(**how)) as sim:
        plain = Program(sim, tmp_path / "plain", *flags).end()[1]
    people = people_in(tmp_path / "plain" / "journal.sqlite")
    url = f"{own_ferretdb.address}/posts"
    with Simulator(options(**how)) as sim:
        program = Program(sim, tmp_path / "data", *flags, *ON, "--store", url, "--log-format", "json")
        code, report = program.end()
        matched = expected(sim)
    assert code == 0, program.said()
    balanced(report)
    assert report["run"] == plain["run"]
    assert set(journal_ids(tmp_path / "data")) <= matched
    assert len(people) > 300

    own_ferretdb.kill()
    left = [*(tmp_path / "data").iterdir(), *own_ferretdb.folder.rglob("*"), program.log]
    everything = b"".join(path.read_bytes() for path in left if path.is_file()) + json.dumps(report).encode()
    assert len(everything) > 500_000
    before = (tmp_path / "plain" / "journal.sqlite").read_bytes()
    numbers, numbers_before = (set(re.findall(rb"\d+", content)) for content in (everything, before))
    for person in people.values():
        assert person["id"].encode() in numbers_before - numbers
        assert person["username"].lower().encode() in before.lower()
        assert person["username"].lower().encode() not in everything.lower()
        if len(person["name"].split()) > 1 and person["name"] not in SAID:
            assert person["name"].encode() not in everything
    key = (config / "pseudonyms.key").read_bytes().strip()
    assert key not in everything


# Names of outlets that generated texts speak of are in texts by right.
SAID = {user(index)["name"] for index in range(0, 5000, 23)}


def test_the_same_person_has_the_same_pseudonym_after_a_restart_and_a_lost_key_is_told(tmp_path, config):
    data = tmp_path / "data"
    seen: list[set[str]] = []
    for _ in range(2):
        with Simulator(options(posts=200, match=1.0, payload="rich", duplicates=0)) as sim:
            code, report = Program(sim, data, *ON, "--max-posts", "200").end()
            assert code == 0
        with sqlite3.connect(data / "journal.sqlite") as db:
            lines = [json.loads(raw) for (raw,) in db.execute("SELECT raw FROM posts")]
        seen.append({line["data"]["author_id"] for line in lines})
    assert seen[0] == seen[1]
    assert report["life"]["unique"] == 200
    assert report["life"]["duplicate"] == 200
    for flags, what in (((), "under pseudonyms"), (ON, "is not there")):
        with Simulator(options(posts=1)) as sim:
            program = Program(sim, data, *flags)
            if flags:
                program.kill()
                (config / "pseudonyms.key").unlink()
                program = Program(sim, data, *flags)
            assert program.end()[0] == 2
            assert what in program.said()


def test_the_feed_and_forgetting_know_people_under_their_pseudonyms(tmp_path):
    """Somebody is forgotten by the name that everybody knows; the journal only has the other one."""
    data = tmp_path / "data"
    with Simulator(options(posts=100, match=1.0, payload="rich")) as sim:
        Program(sim, tmp_path / "plain", "--max-posts", "100").end()
        first = whole(sim)[0].post
    with Simulator(options(posts=100, match=1.0, payload="rich")) as sim:
        program = Program(sim, data, *ON)
        wait_until(lambda: len(whole(sim)) == 100 and (data / "journal.sqlite").exists())
        program.stop()
    people = people_in(tmp_path / "plain" / "journal.sqlite")
    with sqlite3.connect(tmp_path / "plain" / "journal.sqlite") as db:
        line = json.loads(db.execute("SELECT raw FROM posts WHERE id = ?", (first,)).fetchone()[0])
    name = people[line["data"]["author_id"]]["username"]
    assert first in journal_ids(data)
    said = forget(data, *ON, "--author", f"@{name}")
    assert "is the author a_" in said
    assert first not in journal_ids(data)
