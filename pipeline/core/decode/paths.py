"""The keys to look for in a JSON object: paths of fields as a trie, flat for the scanner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.raw import borrowed, byte_at

BUCKETS_MIN: Final = 256


class Trie(NamedTuple):
    """Keys by the node (object) that they lie in; node 0 is the record."""

    table: NDArray[np.int16]  # [node, bucket] -> key or -1
    key_offset: NDArray[np.int32]
    key_length: NDArray[np.int32]
    key_field: NDArray[np.int16]  # the field whose path ends here, or -1
    key_child: NDArray[np.int16]  # the node below, or -1
    key_bytes: NDArray[np.uint8]


def trie(paths: Sequence[tuple[str, ...]]) -> Trie:
    """Field k is what `paths[k]` leads to, from the top. Paths are distinct."""
    assert len(set(paths)) == len(paths), "a path twice"
    nodes: list[dict[bytes, int]] = [{}]
    keys: list[bytes] = []
    field: list[int] = []
    child: list[int] = []
    for number, path in enumerate(paths):
        members = nodes[0]
        for depth, part in enumerate(path):
            key = part.encode()
            if key not in members:
                members[key] = len(keys)
                keys.append(key)
                field.append(-1)
                child.append(-1)
            index = members[key]
            if depth == len(path) - 1:
                field[index] = number
                break
            if child[index] < 0:
                child[index] = len(nodes)
                nodes.append({})
            members = nodes[child[index]]
    lengths = [len(key) for key in keys]
    return Trie(
        table=_table(nodes),
        key_offset=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32),
        key_length=np.array(lengths, np.int32),
        key_field=np.array(field, np.int16),
        key_child=np.array(child, np.int16),
        key_bytes=np.frombuffer(b"".join(keys) or b"\0", np.uint8),
    )


def _table(nodes: Sequence[dict[bytes, int]]) -> NDArray[np.int16]:
    buckets = BUCKETS_MIN
    while buckets < 4 * max(len(members) for members in nodes):
        buckets *= 2
    table = np.full((len(nodes), buckets), -1, np.int16)
    for node, members in enumerate(nodes):
        for key, index in members.items():
            bucket = _bucket(np.frombuffer(key + b"\0", np.uint8), 0, len(key), buckets - 1)
            while table[node, bucket] >= 0:
                bucket = (bucket + 1) & (buckets - 1)
            table[node, bucket] = index
    return table


@njit(cache=True, nogil=True)
def _bucket(buf, at, n, mask):  # type: ignore[no-untyped-def]
    if n == 0:
        return 0
    ends = byte_at(buf, at) * 7 + byte_at(buf, at + n - 1) * 131
    return (n * 37 + ends + byte_at(buf, at + (n >> 1)) * 17) & mask


@njit(nogil=True, forceinline=True)
def lend_trie(x):  # type: ignore[no-untyped-def]
    """The same with every array borrowed."""
    return Trie(
        borrowed(x.table),
        borrowed(x.key_offset),
        borrowed(x.key_length),
        borrowed(x.key_field),
        borrowed(x.key_child),
        borrowed(x.key_bytes),
    )


@njit(nogil=True, forceinline=True)
def find_key(buf, at, n, node, trie):  # type: ignore[no-untyped-def]
    """The key of `node` that the `n` bytes from `at` are, or -1."""
    mask = trie.table.shape[1] - 1
    bucket = _bucket(buf, at, n, mask)
    while True:
        key = int(trie.table[node, bucket])
        if key < 0:
            return key
        if trie.key_length[key] == n:
            begin = int(trie.key_offset[key])
            k = 0
            while k < n and byte_at(trie.key_bytes, begin + k) == byte_at(buf, at + k):
                k += 1
            if k == n:
                return key
        bucket = (bucket + 1) & mask
