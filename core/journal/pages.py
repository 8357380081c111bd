"""A SQLite file read page by page, without SQLite: for a journal that SQLite will not open any more.

Shows the last committed state: pages of the write-ahead log, as far as its checksums hold, lie over the file's.
Reads only. Whatever a damaged file holds, a page or a record is returned as it is there or refused by Damaged, and
nothing loops. Source of the format: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from core.journal.examine import MAGIC, page_size, wal_of

INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
USUAL_PAGE = 4096

Value = None | int | float | str | bytes


class Damaged(Exception):
    """This page or record is not what it should be."""


class Cell(NamedTuple):
    """One cell of a b-tree's page. What a kind of page does not have is None, or an empty record."""

    child: int | None  # the page with everything before this cell
    key: int | None  # the row's number, in tables
    record: tuple[Value, ...]


class Node(NamedTuple):
    """One page of a b-tree, as far as it can be read."""

    kind: int
    cells: list[Cell]
    last_child: int | None
    damaged: int  # cells that cannot be read


class Pages:
    """The pages of the database at `path`, numbered from 1. Close it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when there is no such file."""
        self._file: BinaryIO = path.open("rb")
        header = self._file.read(100)
        self.has_header = len(header) == 100 and header[:16] == MAGIC
        self.size = page_size(header) if self.has_header else USUAL_PAGE
        if self.size < 512 or self.size & (self.size - 1):
            self.has_header, self.size = False, USUAL_PAGE
        self._usable = self.size - (header[20] if self.has_header and header[20] <= 32 else 0)
        self._log: BinaryIO | None = None
        self._logged: dict[int, int] = {}  # page -> where it is in the log
        self.count = -(-self._file.seek(0, 2) // self.size)
        if wal_of(path).exists():
            self._log = wal_of(path).open("rb")
            self._read_log(self._log)

    def close(self) -> None:
        """Let go of the files."""
        self._file.close()
        if self._log is not None:
            self._log.close()

    def header_number(self, offset: int) -> int:
        """A number of the file's header, from page 1."""
        return int(struct.unpack_from(">I", self.page(1), offset)[0])

    def page(self, number: int) -> bytes:
        """The page. Raises Damaged when there is none of that number, or only a part of it."""
        if not 1 <= number <= self.count:
            raise Damaged
        if number in self._logged and self._log is not None:
            self._log.seek(self._logged[number])
            data = self._log.read(self.size)
        else:
            self._file.seek((number - 1) * self.size)
            data = self._file.read(self.size)
        if len(data) < self.size:
            raise Damaged
        return data

    def kind(self, number: int) -> int:
        """The first byte of the page's b-tree header; 0 when it cannot be read."""
        try:
            return self.page(number)[100 if number == 1 else 0]
        except Damaged:
            return 0

    def node(self, number: int) -> Node:
        """The page as a page of a b-tree. Raises Damaged when it is none."""
        data = self.page(number)
        start = 100 if number == 1 else 0
        kind = data[start]
        inner = kind in (INDEX_INNER, TABLE_INNER)
        if not inner and kind not in (INDEX_LEAF, TABLE_LEAF):
            raise Damaged
        count = struct.unpack_from(">H", data, start + 3)[0]
        first = start + (12 if inner else 8)
        if first + 2 * count > self._usable:
            raise Damaged
        cells: list[Cell] = []
        damaged = 0
        for place in struct.unpack_from(f">{count}H", data, first):
            try:
                cells.append(self._cell(data, place, kind))
            except (Damaged, IndexError, struct.error, UnicodeDecodeError):
                damaged += 1
        last = struct.unpack_from(">I", data, start + 8)[0] if inner else None
        return Node(kind, cells, last, damaged)

    def free_pages(self) -> set[int]:
        """The pages that are in use by nothing. Raises Damaged when the list of them cannot be followed."""
        free: set[int] = set()
        trunk = self.header_number(32)
        while trunk:
            if trunk in free:
                raise Damaged
            data = self.page(trunk)
            following, count = struct.unpack_from(">II", data)
            if count > self._usable // 4 - 2:
                raise Damaged
            free |= {trunk, *struct.unpack_from(f">{count}I", data, 8)}
            trunk = following
        return free

    def _cell(self, data: bytes, place: int, kind: int) -> Cell:
        child: int | None = None
        key: int | None = None
        if kind in (INDEX_INNER, TABLE_INNER):
            child = struct.unpack_from(">I", data, place)[0]
            place += 4
        if kind == TABLE_INNER:
            key, _ = _varint(data, place)
            return Cell(child, _signed(key), ())
        length, place = _varint(data, place)
        if kind == TABLE_LEAF:
            number, place = _varint(data, place)
            key = _signed(number)
        return Cell(child, key, _record(self._payload(data, place, length, leaf=kind == TABLE_LEAF)))

    def _payload(self, data: bytes, place: int, length: int, *, leaf: bool) -> bytes:
        """A record of `length` bytes that begins at `place`, with the pages that it overflows into."""
        usable = self._usable
        most = usable - 35 if leaf else (usable - 12) * 64 // 255 - 23
        if length <= most:
            if place + length > usable:
                raise Damaged
            return data[place : place + length]
        if length > self.count * self.size:
            raise Damaged
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        if local > most:
            local = least
        if place + local + 4 > usable:
            raise Damaged
        parts = [data[place : place + local]]
        following = struct.unpack_from(">I", data, place + local)[0]
        rest = length - local
        while rest > 0:
            page = self.page(following)
            parts.append(page[4 : 4 + min(rest, usable - 4)])
            rest -= len(parts[-1])
            following = struct.unpack_from(">I", page)[0]
        if following:
            raise Damaged  # the chain must end with the record
        return b"".join(parts)

    def _read_log(self, log: BinaryIO) -> None:
        """Find the newest committed version of each page in the write-ahead log, as SQLite itself would."""
        header = log.read(32)
        if len(header) < 32:
            return
        magic, _, size, _, salt1, salt2, sum1, sum2 = struct.unpack(">8I", header)
        order = ">" if magic & 1 else "<"
        sums = _sums(header[:24], (0, 0), order)
        if magic & ~1 != 0x377F0682 or sums != (sum1, sum2):
            return
        if not self.has_header and 512 <= size <= 65_536:
            self.size = self._usable = size
        begun: dict[int, int] = {}
        while True:
            head, data = log.read(24), log.read(self.size)
            if len(head) < 24 or len(data) < self.size:
                return
            number, commit, *found = struct.unpack(">6I", head)
            sums = _sums(data, _sums(head[:8], sums, order), order)
            if found != [salt1, salt2, *sums] or number == 0:
                return
            begun[number] = log.tell() - self.size
            if commit:
                self._logged.update(begun)
                begun.clear()
                self.count = commit


def _sums(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    for left, right in struct.iter_unpack(f"{order}II", data):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return first, second


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for count in range(8):
        byte = data[place + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + count + 1
    return value << 8 | data[place + 8], place + 9


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


_INTEGER_BYTES = (0, 1, 2, 3, 4, 6, 8)


def _record(payload: bytes) -> tuple[Value, ...]:
    """The values of a record. Its length must be exactly what its header says."""
    end, place = _varint(payload, 0)
    if end > len(payload):
        raise Damaged
    kinds = []
    while place < end:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    if place != end:
        raise Damaged
    return tuple(_values(payload, place, kinds))


def _values(payload: bytes, place: int, kinds: list[int]) -> Iterator[Value]:
    for kind in kinds:
        if kind >= 12:
            size = (kind - 12) // 2
        elif kind == 7:
            size = 8
        elif kind <= 6:
            size = _INTEGER_BYTES[kind]
        elif kind in (8, 9):
            size = 0
        else:
            raise Damaged
        data = payload[place : place + size]
        if len(data) < size:
            raise Damaged
        place += size
        if kind == 0:
            yield None
        elif kind >= 12:
            yield data.decode() if kind % 2 else data
        elif kind == 7:
            yield float(struct.unpack(">d", data)[0])
        elif kind >= 8:
            yield kind - 8
        else:
            yield int.from_bytes(data, "big", signed=True)
    if place != len(payload):
        raise Damaged
