"""JSON lines to spans: one pass over the bytes that finds the needed fields of every line.

A line leaves here as spans, or as *odd*: anything that this scanner is not certain about (repeated keys,
deep nesting, invalid UTF-8, broken JSON). Odd lines go to the exact decoder (`exact.py`), which is slow
and right; the scanner only has to be right where it says yes. A property test holds the two equal.

Two things make it fast. Texts are searched 32 bytes at a time for what can end them. And lines resemble
each other: the key that stood at the same place in an earlier line is compared first, from its quote to its
value at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.decode.paths import Trie, find_key, lend_trie
from pipeline.core.decode.spans import ARRAY, ESCAPED, MISSING, NUMBER, OBJECT, STRING, Spans, frozen
from pipeline.core.decode.tokens import (
    after_escape,
    after_space,
    has_high,
    literal,
    newline,
    number_end,
    text_stop,
)
from pipeline.core.decode.utf8 import utf8_valid
from pipeline.core.raw import VECTOR, borrowed, byte_at, copy32, differing32

__all__ = ["DEPTH_MAX", "STRING", "Scanned", "Scanner"]

DEPTH_MAX: Final = 30
"""Nesting beyond this is odd: the stacks have so many places."""
MEMBERS_MAX: Final = 128
"""So many of a line's keys are expected where they were; those after them are looked up."""

ZERO: Final[Any] = np.int64(0)
"""For a plain 0 among the arguments of a function numba compiles it once more."""

_UNKNOWN: Final = -2
"""The node of a member that no line has had yet (-1 is an object without needed keys)."""


class Expected(NamedTuple):
    """The member that was met at each place of a line, in the order of the bytes."""

    node: NDArray[np.int64]  # the object's
    key: NDArray[np.int64]  # or -1
    length: NDArray[np.int64]  # bytes from its quote to its value
    need: NDArray[np.uint64]  # as many bits
    bytes: NDArray[np.uint8]  # VECTOR per place


class Open(NamedTuple):
    """The objects and arrays around a value by depth, and the row that last had each key."""

    node: NDArray[np.int64]  # in the trie, or -1
    field: NDArray[np.int64]  # that it is, or -1
    close: NDArray[np.int64]  # its closing bracket
    seen: NDArray[np.int64]


class Found(NamedTuple):
    """What is known of each line: its bytes, whether it is odd, and where its fields are [field, row]."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    odd: NDArray[np.bool_]
    pos: NDArray[np.int32]
    length: NDArray[np.int32]
    kind: NDArray[np.uint8]


@dataclass(frozen=True)
class Scanned:
    """Some lines: their spans, where they begin and end (before the newline), and where the next begins."""

    spans: Spans
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    stop: int


class Scanner:
    """Finds the fields of a trie in the lines of one block, some at a time, in arrays that it reuses."""

    def __init__(self, trie: Trie, block: NDArray[np.uint8], rows: int, *, blanks: bool = False) -> None:
        """`block` ends in a newline; `rows` lines at most are scanned at once. With `blanks` a blank line is
        an odd one, else none.
        """
        self._blanks = blanks
        self._trie = trie
        self._size = len(block)
        padding = np.full(max(VECTOR - len(block), 0), 10, np.uint8)
        self._block = frozen(np.concatenate([block, padding]) if len(padding) else block)
        shape = (int(trie.key_field.max(initial=-1)) + 1, rows)
        self._fields = np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape, np.uint8)
        node, field, close = np.empty((3, DEPTH_MAX), np.int64)
        self._open = Open(node, field, close, seen=np.empty(len(trie.key_field), np.int64))
        node, key, length = np.full((3, MEMBERS_MAX + 1), _UNKNOWN)
        need, members = np.empty(MEMBERS_MAX + 1, np.uint64), np.empty((MEMBERS_MAX + 1) * VECTOR, np.uint8)
        self._expected = Expected(node, key, length, need, members)

    def scan(self, begin: int, rows_max: int, line_bytes_max: int, bytes_enough: int) -> Scanned:
        """At most `rows_max` lines from byte `begin`, none after `bytes_enough` bytes.

        Blank lines are no records and leave no row. A line over `line_bytes_max` is odd.
        """
        rows_max = min(rows_max, self._fields[0].shape[1])
        lines = np.empty((2, rows_max), np.int64)
        found = Found(lines[0], lines[1], np.zeros(rows_max, np.bool_), *self._fields)
        found.kind.fill(MISSING)
        self._open.seen.fill(-1)
        rows, stop = _scan(
            self._block, begin, self._size, bytes_enough, line_bytes_max, self._trie, self._expected,
            self._open, found, self._blanks,
        )  # fmt: skip
        spans = Spans(self._block, found.odd[:rows], found.pos, found.length, found.kind)
        return Scanned(spans, found.start[:rows], found.end[:rows], stop)


@njit(nogil=True)
def _learn_member(buf, i, place, node, trie, expected):  # type: ignore[no-untyped-def]
    """(value's start or -1, key or -1) of the member whose quote should be at `i`: looked up, and expected
    here from now on.
    """
    if byte_at(buf, i) != 34:
        return -1, -1
    stop = text_stop(buf, i + 1)
    if byte_at(buf, stop) != 34:
        return -1, -1
    key = find_key(buf, i + 1, stop - i - 1, node, trie) if node >= 0 else -1
    colon = after_space(buf, stop + 1)
    if byte_at(buf, colon) != 58:
        return -1, -1
    value = after_space(buf, colon + 1)
    if place < MEMBERS_MAX:
        known = value - i <= VECTOR and i + VECTOR <= buf.shape[0]
        expected.node[place] = node if known else _UNKNOWN
        if known:
            copy32(expected.bytes, place * VECTOR, buf, i)
            expected.need[place] = (np.uint64(1) << np.uint64(value - i)) - np.uint64(1)
            expected.length[place] = value - i
            expected.key[place] = key
    return value, key


@njit(nogil=True, forceinline=True)
def _is_expected(buf, i, place, node, expected):  # type: ignore[no-untyped-def]
    """Whether the member at `i` is the one that was at this place before."""
    if expected.node[place] != node or i + VECTOR > buf.shape[0]:
        return False
    return differing32(buf, i, expected.bytes, place * VECTOR) & expected.need[place] == 0


@njit(nogil=True, forceinline=True)
def _line(buf, i, row, trie, expected, around, found):  # type: ignore[no-untyped-def]
    """Scans the object at `i`; returns its end, or -1 where the line is odd.

    Never reads past the newline that ends the line: a newline is allowed nowhere here.
    """
    if byte_at(buf, i) != 123:
        return -1
    depth = 0
    around.node[0] = 0
    around.field[0] = -1
    around.close[0] = 125
    node = ZERO
    closing = 125
    opened = True  # just after an opening bracket: a closing one may follow
    place = ZERO
    i += 1
    while True:
        # Before a member: in an object a key, in an array a value.
        field = -1
        child = -1
        i = after_space(buf, i)
        if not (opened and byte_at(buf, i) == closing):
            if closing == 125:
                if _is_expected(buf, i, place, node, expected):
                    key = expected.key[place]
                    i += expected.length[place]
                else:
                    i, key = _learn_member(buf, i, place, node, trie, expected)
                    if i < 0:
                        return -1
                place = min(place + 1, MEMBERS_MAX)
                if key >= 0:
                    if around.seen[key] == row:
                        return -1
                    around.seen[key] = row
                    field = int(trie.key_field[key])
                    child = int(trie.key_child[key])
            c = byte_at(buf, i)
            first = i
            if c == 34:
                first += 1
                i = text_stop(buf, first)
                what = STRING
                while byte_at(buf, i) == 92:
                    what = ESCAPED
                    i = after_escape(buf, i)
                    if i < 0:
                        return -1
                    i = text_stop(buf, i)
                if byte_at(buf, i) != 34:
                    return -1
                size = i - first
                i += 1
            elif c == 123 or c == 91:
                depth += 1
                if depth == DEPTH_MAX:
                    return -1
                closing = c + 2
                node = child if c == 123 else -1
                around.close[depth] = closing
                around.node[depth] = node
                around.field[depth] = field
                if field >= 0:
                    found.pos[field, row] = i
                    found.kind[field, row] = OBJECT if c == 123 else ARRAY
                i += 1
                opened = True
                continue
            elif c == 45 or 48 <= c <= 57:
                what = NUMBER
                i = number_end(buf, i)
                if i < 0:
                    return -1
                size = i - first
            else:
                what, size = literal(buf, i)
                if size == 0:
                    return -1
                i += size
            if field >= 0:
                found.pos[field, row] = first
                found.length[field, row] = size
                found.kind[field, row] = what
            i = after_space(buf, i)
            if byte_at(buf, i) == 44:
                i += 1
                opened = False
                continue
        # Here an object or array must close, perhaps several.
        while True:
            if byte_at(buf, i) != closing:
                return -1
            i += 1
            field = around.field[depth]
            if field >= 0:
                found.length[field, row] = i - found.pos[field, row]
            if depth == 0:
                return i
            depth -= 1
            node = around.node[depth]
            closing = around.close[depth]
            i = after_space(buf, i)
            if byte_at(buf, i) == 44:
                i += 1
                opened = False
                break


@njit(nogil=True, forceinline=True)
def _lend(expected, around, found):  # type: ignore[no-untyped-def]
    """The same with every array borrowed."""
    e, a, f = expected, around, found
    return (
        Expected(borrowed(e.node), borrowed(e.key), borrowed(e.length), borrowed(e.need), borrowed(e.bytes)),
        Open(borrowed(a.node), borrowed(a.field), borrowed(a.close), borrowed(a.seen)),
        Found(
            borrowed(f.start),
            borrowed(f.end),
            borrowed(f.odd),
            borrowed(f.pos),
            borrowed(f.length),
            borrowed(f.kind),
        ),
    )


@njit(cache=True, nogil=True)
def _scan(buf, begin, size, bytes_enough, line_bytes_max, trie, expected, around, found, blanks):  # type: ignore[no-untyped-def]
    """(lines found, where the next begins)."""
    buf, trie = borrowed(buf), lend_trie(trie)
    expected, around, found = _lend(expected, around, found)
    row = ZERO
    at = begin
    while at < size and row < found.start.shape[0] and at - begin < bytes_enough:
        i = after_space(buf, at)
        if byte_at(buf, i) == 10 and not blanks:
            at = i + 1
            continue
        stop = _line(buf, i, row, trie, expected, around, found)
        if stop >= 0:
            stop = after_space(buf, stop)
            if byte_at(buf, stop) != 10:
                stop = -1
        if stop < 0:
            found.odd[row] = True
            stop = newline(buf, i)
        elif stop - at > line_bytes_max or (has_high(buf, at, stop) and not utf8_valid(buf, at, stop)):
            found.odd[row] = True
        found.start[row] = at
        found.end[row] = stop
        at = stop + 1
        row += 1
    return row, at
