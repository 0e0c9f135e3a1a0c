"""JSON lines to spans: one pass over the bytes that finds the needed fields of every line.

A line leaves here as spans (where each needed field's value starts, how long it is, what kind of JSON
value it is) or as *odd*: anything that this scanner is not certain about (escapes in a needed field,
repeated keys, deep nesting, invalid UTF-8, broken JSON). Odd lines go to the exact decoder
(`exact.py`), which is slow and right; the scanner only has to be right where it says yes.
A property test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.raw import borrowed

MISSING, STRING, NUMBER, TRUE, FALSE, NULL, OBJECT, ARRAY = range(8)
"""Kinds of a span."""

DEPTH_MAX: Final = 30
"""Nesting beyond this is odd: the stacks have so many places."""
KEYS_MAX: Final = 60
"""Needed keys (of all levels) fit one bitmask that finds repeated ones."""
BUCKETS: Final = 256

_PLAIN, _QUOTE, _ESCAPE, _CONTROL, _HIGH = range(5)
CLASS = np.zeros(256, np.uint8)
CLASS[:32] = _CONTROL
CLASS[ord('"')] = _QUOTE
CLASS[ord("\\")] = _ESCAPE
CLASS[128:] = _HIGH

SIMPLE_ESCAPE = np.zeros(256, np.bool_)
SIMPLE_ESCAPE[[ord(c) for c in '"\\/bfnrt']] = True


@dataclass(frozen=True)
class Plan:
    """Which keys to look for: the paths of needed fields as a trie, flat for the kernel."""

    fields: int
    table: NDArray[np.int16]  # [node, bucket] -> key or -1
    key_offset: NDArray[np.int32]
    key_length: NDArray[np.int32]
    key_field: NDArray[np.int16]  # the field whose path ends here, or -1
    key_child: NDArray[np.int16]  # the node below, or -1
    key_bytes: NDArray[np.uint8]


def _bucket(key: bytes) -> int:
    n = len(key)
    return (n * 37 + key[0] * 7 + key[-1] * 131 + key[n >> 1] * 17) & (BUCKETS - 1) if n else 0


def plan(paths: Sequence[tuple[str, ...]]) -> Plan:
    """The plan for `paths`: one per field, each a tuple of keys from the top. Paths are distinct."""
    nodes: list[dict[bytes, int]] = [{}]
    keys: list[bytes] = []
    field: list[int] = []
    child: list[int] = []
    for number, path in enumerate(paths):
        node = 0
        for depth, part in enumerate(path):
            key = part.encode()
            if key not in nodes[node]:
                nodes[node][key] = len(keys)
                keys.append(key)
                field.append(-1)
                child.append(-1)
            index = nodes[node][key]
            if depth == len(path) - 1:
                assert field[index] < 0, f"path {path} twice"
                field[index] = number
            else:
                if child[index] < 0:
                    child[index] = len(nodes)
                    nodes.append({})
                node = child[index]
    assert len(keys) <= KEYS_MAX, f"{len(keys)} needed keys, at most {KEYS_MAX}"
    table = np.full((len(nodes), BUCKETS), -1, np.int16)
    for node, members in enumerate(nodes):
        for key, index in members.items():
            bucket = _bucket(key)
            while table[node, bucket] >= 0:
                bucket = (bucket + 1) & (BUCKETS - 1)
            table[node, bucket] = index
    lengths = [len(key) for key in keys]
    return Plan(
        fields=len(paths),
        table=table,
        key_offset=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32),
        key_length=np.array(lengths, np.int32),
        key_field=np.array(field, np.int16),
        key_child=np.array(child, np.int16),
        key_bytes=np.frombuffer(b"".join(keys) or b"\0", np.uint8),
    )


@dataclass(frozen=True)
class Spans:
    """Where the needed fields of some lines are: int32 [field, row] starts and lengths in the block."""

    rows: int
    consumed: int  # bytes of the block that these lines take, newlines included
    start: NDArray[np.int32]  # of the line
    end: NDArray[np.int32]  # of the line, before its newline
    odd: NDArray[np.bool_]
    pos: NDArray[np.int32]
    length: NDArray[np.int32]
    kind: NDArray[np.uint8]


def scan(plan: Plan, block: NDArray[np.uint8], begin: int, rows_max: int, line_bytes_max: int) -> Spans:
    """Spans of at most `rows_max` lines of `block` from byte `begin`; `block` must end in a newline.

    Blank lines are no records and leave no row. A line over `line_bytes_max` is odd.
    """
    start = np.empty(rows_max, np.int32)
    end = np.empty(rows_max, np.int32)
    odd = np.zeros(rows_max, np.bool_)
    pos = np.empty((plan.fields, rows_max), np.int32)
    length = np.empty((plan.fields, rows_max), np.int32)
    kind = np.zeros((plan.fields, rows_max), np.uint8)
    rows, stop = _scan(
        block, begin, plan.table, plan.key_offset, plan.key_length, plan.key_field, plan.key_child,
        plan.key_bytes, CLASS, SIMPLE_ESCAPE, line_bytes_max, start, end, odd, pos, length, kind,
    )  # fmt: skip
    return Spans(
        rows,
        stop - begin,
        start[:rows],
        end[:rows],
        odd[:rows],
        pos[:, :rows],
        length[:, :rows],
        kind[:, :rows],
    )


@njit(nogil=True, forceinline=True)
def _space(c):  # type: ignore[no-untyped-def]
    return c == 32 or c == 9 or c == 13


@njit(cache=True, nogil=True)
def utf8_valid(buf, at, stop):  # type: ignore[no-untyped-def]
    """Whether bytes [at, stop) are valid UTF-8 (RFC 3629: no surrogates, no overlong forms)."""
    while at < stop:
        c = buf[at]
        if c < 0x80:
            at += 1
            continue
        if 0xC2 <= c <= 0xDF:
            more = 1
        elif 0xE0 <= c <= 0xEF:
            more = 2
        elif 0xF0 <= c <= 0xF4:
            more = 3
        else:
            return False
        if at + more >= stop:
            return False
        d = buf[at + 1]
        if (
            (c == 0xE0 and d < 0xA0)
            or (c == 0xED and d > 0x9F)
            or (c == 0xF0 and d < 0x90)
            or (c == 0xF4 and d > 0x8F)
        ):
            return False
        for j in range(1, more + 1):
            if buf[at + j] & 0xC0 != 0x80:
                return False
        at += more + 1
    return True


@njit(nogil=True, forceinline=True)
def _number(buf, i):  # type: ignore[no-untyped-def]
    """End of the JSON number at `i`, or -1 (exponents and over 18 digits are left to the exact decoder)."""
    if buf[i] == 45:
        i += 1
    first = i
    if buf[i] == 48:
        i += 1
    else:
        while 48 <= buf[i] <= 57:
            i += 1
        if i == first:
            return -1
    if buf[i] == 46:
        i += 1
        fraction = i
        while 48 <= buf[i] <= 57:
            i += 1
        if i == fraction:
            return -1
    if i - first > 18 or buf[i] == 101 or buf[i] == 69:
        return -1
    return i


@njit(nogil=True, forceinline=True)
def _literal(buf, i):  # type: ignore[no-untyped-def]
    """(kind, length) of true, false or null at `i`, or (MISSING, 0)."""
    c = buf[i]
    if c == 116 and buf[i + 1] == 114 and buf[i + 2] == 117 and buf[i + 3] == 101:
        return TRUE, 4
    if c == 110 and buf[i + 1] == 117 and buf[i + 2] == 108 and buf[i + 3] == 108:
        return NULL, 4
    if c == 102 and buf[i + 1] == 97 and buf[i + 2] == 108 and buf[i + 3] == 115 and buf[i + 4] == 101:
        return FALSE, 5
    return MISSING, 0


@njit(nogil=True, forceinline=True)
def _find_key(buf, a, n, node, table, key_offset, key_length, key_bytes):  # type: ignore[no-untyped-def]
    h = (n * 37 + buf[a] * 7 + buf[a + n - 1] * 131 + buf[a + (n >> 1)] * 17) & 255 if n > 0 else 0
    while True:
        key = table[node, h]
        if key < 0:
            return -1
        if key_length[key] == n:
            o = key_offset[key]
            same = True
            for k in range(n):
                if key_bytes[o + k] != buf[a + k]:
                    same = False
                    break
            if same:
                return key
        h = (h + 1) & 255


@njit(nogil=True, forceinline=True)
def _line(buf, i, row, table, key_offset, key_length, key_field, key_child, key_bytes, classes, escapes,
          pos, length, kind, node_stack, field_stack, close_stack):  # type: ignore[no-untyped-def]  # fmt: skip
    """Scans the object at `i`; returns (end, whether non-ASCII was met), end -1 where the line is odd.

    Never reads past the newline that ends the line: a newline is a control byte, allowed nowhere here.
    """
    if buf[i] != 123:
        return -1, False
    high = False
    depth = 0
    seen = np.uint64(0)
    one = np.uint64(1)
    node_stack[0] = 0
    field_stack[0] = -1
    close_stack[0] = 125
    node = 0
    i += 1
    closing = 125
    opened = True  # just after an opening bracket: a closing one may follow
    while True:
        # Before a member: in an object a key, in an array a value.
        field = -1
        child = -1
        while _space(buf[i]):
            i += 1
        if not (opened and buf[i] == closing):
            if closing == 125:
                if buf[i] != 34:
                    return -1, high
                i += 1
                a = i
                while classes[buf[i]] == 0:
                    i += 1
                while classes[buf[i]] != 1:
                    if classes[buf[i]] != 4:
                        return -1, high
                    high = True
                    i += 1
                if node >= 0:
                    key = _find_key(buf, a, i - a, node, table, key_offset, key_length, key_bytes)
                    if key >= 0:
                        bit = one << np.uint64(key)
                        if seen & bit:
                            return -1, high
                        seen |= bit
                        field = key_field[key]
                        child = key_child[key]
                i += 1
                while _space(buf[i]):
                    i += 1
                if buf[i] != 58:
                    return -1, high
                i += 1
                while _space(buf[i]):
                    i += 1
            c = buf[i]
            if c == 34:
                i += 1
                a = i
                while classes[buf[i]] == 0:
                    i += 1
                while classes[buf[i]] != 1:
                    c = classes[buf[i]]
                    if c == 4:
                        high = True
                    elif c == 2 and field < 0 and escapes[buf[i + 1]]:
                        i += 1
                    elif c != 0:
                        return -1, high
                    i += 1
                if field >= 0:
                    pos[field, row] = a
                    length[field, row] = i - a
                    kind[field, row] = STRING
                i += 1
            elif c == 123 or c == 91:
                if depth + 1 >= DEPTH_MAX:
                    return -1, high
                depth += 1
                if c == 91:
                    closing = 93
                    child = -1
                else:
                    closing = 125
                close_stack[depth] = closing
                node_stack[depth] = child
                field_stack[depth] = field
                node = child
                if field >= 0:
                    pos[field, row] = i
                    kind[field, row] = ARRAY if c == 91 else OBJECT
                i += 1
                opened = True
                continue
            elif c == 45 or 48 <= c <= 57:
                a = i
                i = _number(buf, i)
                if i < 0:
                    return -1, high
                if field >= 0:
                    pos[field, row] = a
                    length[field, row] = i - a
                    kind[field, row] = NUMBER
            else:
                what, size = _literal(buf, i)
                if size == 0:
                    return -1, high
                if field >= 0:
                    pos[field, row] = i
                    length[field, row] = size
                    kind[field, row] = what
                i += size
            while _space(buf[i]):
                i += 1
            if buf[i] == 44:
                i += 1
                opened = False
                continue
        # Here a container must close, perhaps several.
        while True:
            if buf[i] != closing:
                return -1, high
            i += 1
            field = field_stack[depth]
            if field >= 0:
                length[field, row] = i - pos[field, row]
            if depth == 0:
                return i, high
            depth -= 1
            node = node_stack[depth]
            closing = close_stack[depth]
            while _space(buf[i]):
                i += 1
            if buf[i] == 44:
                i += 1
                opened = False
                break


@njit(cache=True, nogil=True)
def _scan(buf, begin, table, key_offset, key_length, key_field, key_child, key_bytes, classes, escapes,
          line_bytes_max, start, end, odd, pos, length, kind):  # type: ignore[no-untyped-def]  # fmt: skip
    buf, table, classes, escapes = borrowed(buf), borrowed(table), borrowed(classes), borrowed(escapes)
    key_offset, key_length, key_bytes = borrowed(key_offset), borrowed(key_length), borrowed(key_bytes)
    key_field, key_child = borrowed(key_field), borrowed(key_child)
    pos, length, kind = borrowed(pos), borrowed(length), borrowed(kind)
    size = buf.shape[0]
    rows_max = start.shape[0]
    node_stack = np.empty(DEPTH_MAX, np.int16)
    field_stack = np.empty(DEPTH_MAX, np.int16)
    close_stack = np.empty(DEPTH_MAX, np.uint8)
    row = 0
    i = begin
    while i < size and row < rows_max:
        first = i
        while _space(buf[i]):
            i += 1
        if buf[i] == 10:
            i += 1
            continue
        stop, high = _line(
            buf, i, row, table, key_offset, key_length, key_field, key_child, key_bytes, classes, escapes,
            pos, length, kind, node_stack, field_stack, close_stack,
        )  # fmt: skip
        if stop >= 0:
            while _space(buf[stop]):
                stop += 1
        if stop < 0 or buf[stop] != 10:
            odd[row] = True
            stop = i
            while buf[stop] != 10:
                stop += 1
        elif stop - first > line_bytes_max or (high and not utf8_valid(buf, first, stop)):
            odd[row] = True
        start[row] = first
        end[row] = stop
        i = stop + 1
        row += 1
    return row, i
