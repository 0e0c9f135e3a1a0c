"""Which process a shard lives in. bytewax places a key by its hash; the keys of shards are chosen so that
shard s lands on worker s modulo their number. By chance alone two processes would share eight shards
six to two.

The rule of bytewax 0.21 (`stateful_batch`, `partition` in its src/): the SipHash-1-3 of the key with keys of
zero, as Rust's standard library hashes a string, modulo the number of workers.
"""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Final

EVEN_UP_TO: Final = 24
"""Shards are spread evenly over any number of workers that divides this; over others by chance."""

_MASK: Final = (1 << 64) - 1
_SEED: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


@cache
def shard_key(shard: int) -> str:
    """The key of a shard: its number and whatever makes its hash come out right."""
    keys = (f"{shard}.{salt}" for salt in count())
    return next(key for key in keys if _rust_hash(key) % EVEN_UP_TO == shard % EVEN_UP_TO)


def shard_of(key: str) -> int:
    """The shard that `shard_key` named."""
    return int(key.split(".")[0])


def _rust_hash(text: str) -> int:
    """What Rust's `DefaultHasher::default()` makes of a `String`: its bytes and 0xff."""
    return _siphash13(text.encode() + b"\xff")


def _siphash13(data: bytes) -> int:
    """SipHash (Aumasson and Bernstein, 2012) with one and three rounds and a key of zero."""
    v = list(_SEED)
    tail = len(data) - len(data) % 8
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, tail, 8)]
    words.append(int.from_bytes(data[tail:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        _round(v)
        v[0] ^= word
    v[2] ^= 0xFF
    for _ in range(3):
        _round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _round(v: list[int]) -> None:
    for a, b, turn in ((0, 1, 13), (2, 3, 16)):
        v[a] = (v[a] + v[b]) & _MASK
        v[b] = _turned(v[b], turn) ^ v[a]
    v[0] = _turned(v[0], 32)
    for a, b, turn in ((2, 1, 17), (0, 3, 21)):
        v[a] = (v[a] + v[b]) & _MASK
        v[b] = _turned(v[b], turn) ^ v[a]
    v[2] = _turned(v[2], 32)


def _turned(word: int, by: int) -> int:
    return (word << by | word >> 64 - by) & _MASK
