"""Finds the rows of a damaged journal: by its tables' trees where these hold, and page by page where they do not.

A row is handed out only if it has the shape of a row of its table. Pages that no tree leads to any more are looked
at too (in a whole file there are none), unless they are on the list of free pages: what was deleted stays deleted
as long as that list can be read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from core.journal.pages import INDEX_INNER, INDEX_LEAF, TABLE_INNER, TABLE_LEAF, Cell, Damaged, Node, Pages, Value
from core.journal.schema import STEPS

_TYPES: dict[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int), "BLOB": (bytes,)}
_FIRST, _LAST = -(2**63), 2**63 - 1


class Column(msgspec.Struct, frozen=True):
    """A column as it is declared."""

    name: str
    type: str
    required: bool
    is_key: bool  # INTEGER PRIMARY KEY: null in the record, the row's number stands for it


class Table(msgspec.Struct, frozen=True):
    """A table of the journal: its columns in the order in which a record has them."""

    name: str
    columns: tuple[Column, ...]
    least: int  # columns that the table had at first: older rows end there
    is_index: bool  # WITHOUT ROWID: kept like an index

    def fits(self, cell: Cell) -> bool:
        """Whether the cell has the shape of a row of this table."""
        values = cell.record
        if not self.least <= len(values) <= len(self.columns):
            return False
        for column, value in zip(self.columns, values, strict=False):
            if column.is_key:
                if value is not None:
                    return False
            elif value is None:
                if column.required:
                    return False
            elif type(value) not in _TYPES[column.type]:
                return False
        return True

    def values(self, cell: Cell) -> tuple[Value, ...]:
        """The row's values as SQLite would give them, for as many columns as the row has."""
        return tuple(
            cell.key if column.is_key else float(value) if column.type == "REAL" and value is not None else value
            for column, value in zip(self.columns, cell.record, strict=False)
        )


def tables() -> dict[str, Table]:
    """The tables of a journal of this program's version."""
    found: dict[str, Table] = {}
    db = sqlite3.connect(":memory:")
    for step in STEPS:
        db.executescript(step)
        for name, flat in db.execute(
            "SELECT name, wr FROM pragma_table_list"
            " WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall():
            rows = db.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (name,)).fetchall()
            if flat:
                rows.sort(key=lambda row: row[3] or 1000)  # a record begins with the primary key
            keys = sum(row[3] > 0 for row in rows)
            columns = tuple(
                Column(
                    column,
                    type_,
                    required=bool(not_null or (flat and key)),
                    is_key=not flat and keys == 1 and key == 1 and type_ == "INTEGER",
                )
                for column, type_, not_null, key in rows
            )
            least = found[name].least if name in found else len(columns)
            found[name] = Table(name, columns, least, bool(flat))
    db.close()
    return found


SEQUENCE = Table(
    "sqlite_sequence",
    (Column("name", "TEXT", True, False), Column("seq", "INTEGER", True, False)),
    least=2,
    is_index=False,
)
_SCHEMA = Table(
    "sqlite_master",
    (
        Column("type", "TEXT", True, False),
        Column("name", "TEXT", True, False),
        Column("tbl_name", "TEXT", True, False),
        Column("rootpage", "INTEGER", True, False),
        Column("sql", "TEXT", False, False),
    ),
    least=5,
    is_index=False,
)
_POSTS_INDEX = Table(
    "sqlite_autoindex_posts_1",
    (
        Column("source", "TEXT", True, False),
        Column("id", "TEXT", True, False),
        Column("seq", "INTEGER", True, False),
    ),
    least=3,
    is_index=True,
)


class Salvage:
    """The readable rows of the journal at `path`. Use `rows` once for each table, then `strays`, and close it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.damaged_pages = 0
        self.damaged_rows = 0
        self.holes: dict[str, list[tuple[int, int]]] = {}  # table -> spans of row numbers with rows not read
        self.pages = Pages(path)
        self.tables = tables()
        self._seen: set[int] = set()
        self._roots: dict[str, int] = {}
        self.schema_read = True
        for cell in self._walk(1, _SCHEMA):
            if isinstance(cell.record[3], int):
                self._roots[str(cell.record[1])] = cell.record[3]
        if "posts" not in self._roots or self.damaged_pages or self.damaged_rows:
            self.schema_read = False

    def close(self) -> None:
        """Let go of the files."""
        self.pages.close()

    @property
    def has_our_tables(self) -> bool:
        """Whether the schema names the tables that a journal has had from its first version on."""
        return {"posts", "counters", "sink_cursors", "quarantine"} <= self._roots.keys()

    def lost_rows_of(self, name: str) -> bool:
        """Whether rows of a table may be missing."""
        return name in self.holes or name not in self._roots

    def rows(self, name: str) -> Iterator[tuple[Value, ...]]:
        """The rows of a table that its tree leads to; newer columns may be missing at a row's end."""
        table = SEQUENCE if name == SEQUENCE.name else self.tables[name]
        root = self._roots.get(name)
        if root is None:
            return
        for cell in self._walk(root, table):
            yield table.values(cell)

    def known_posts(self) -> Iterator[tuple[Value, ...]]:
        """(source, id, seq) of every post as the unique index has it, whether or not the post is readable."""
        root = self._roots.get(_POSTS_INDEX.name)
        if root is not None:
            for cell in self._walk(root, _POSTS_INDEX):
                yield cell.record

    def strays(self) -> Iterator[tuple[str, tuple[Value, ...]]]:
        """(table, row) of rows on pages that no tree leads to any more. Call it when every table was read."""
        free: set[int] = set()
        if self.schema_read:  # else page 1 is damaged, and with it where that list begins
            with suppress(Damaged):
                free = self.pages.free_pages()
        shapes = [*self.tables.values(), SEQUENCE, _POSTS_INDEX]
        for number in range(2, self.pages.count + 1):
            if number in self._seen or number in free:
                continue
            if self.pages.kind(number) not in (TABLE_LEAF, INDEX_LEAF):
                continue
            try:
                node = self.pages.node(number)
            except Damaged:
                continue
            fitting = [
                table
                for table in shapes
                if table.is_index == (node.kind == INDEX_LEAF) and node.cells and all(map(table.fits, node.cells))
            ]
            if len(fitting) == 1 and fitting[0] is not _POSTS_INDEX:
                self.damaged_rows += node.damaged
                for cell in node.cells:
                    yield fitting[0].name, fitting[0].values(cell)

    def _walk(self, root: int, table: Table) -> Iterator[Cell]:
        """The cells of a tree, in order; notes what cannot be read as holes."""
        stack: list[tuple[int, int, int] | Cell] = [(root, _FIRST, _LAST)]
        while stack:
            item = stack.pop()
            if isinstance(item, Cell):
                yield item
                continue
            number, low, high = item
            node = self._node(number, table)
            if node is None or node.damaged:
                self._hole(table, low, high)
            if node is None:
                continue
            below: list[tuple[int, int, int] | Cell] = []
            last = low - 1
            for cell in node.cells:
                if node.kind in (TABLE_INNER, INDEX_INNER) and cell.child is not None:
                    below.append((cell.child, last + 1, cell.key if cell.key is not None else high))
                if node.kind != TABLE_INNER:
                    below.append(cell)
                last = cell.key if cell.key is not None else last
            if node.last_child is not None:
                below.append((node.last_child, last + 1, high))
            stack += reversed(below)

    def _node(self, number: int, table: Table) -> Node | None:
        """The page with the cells that are of that table; None when it is none of its pages."""
        try:
            if number in self._seen:
                raise Damaged  # two ways to one page
            node = self.pages.node(number)
            if (node.kind in (INDEX_INNER, INDEX_LEAF)) is not table.is_index:
                raise Damaged
        except Damaged:
            self.damaged_pages += 1
            return None
        # Whether the rows are within the bounds is not asked: a bound may be what is damaged.
        good = [cell for cell in node.cells if node.kind == TABLE_INNER or table.fits(cell)]
        damaged = node.damaged + len(node.cells) - len(good)
        if node.cells and not good:
            self.damaged_pages += 1
            return None
        self._seen.add(number)
        if damaged:
            self.damaged_rows += damaged
        return node._replace(cells=good, damaged=damaged)

    def _hole(self, table: Table, low: int, high: int) -> None:
        self.holes.setdefault(table.name, []).append((low, high))
