"""Sequences of stages as words: the paths of sessions, and the stages that a transition skipped.

A kernel numbers what it meets (the bits that the state keeps, and whose journey they are); here the numbers
get their texts. Both are kept from batch to batch, because sessions walk the same few paths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numba import int32, int64, njit, uint64
from numpy.typing import NDArray

from pipeline.core.hashing import combine

KEPT_MAX: Final = 256
"""More sequences than this are forgotten with the next batch: rare ones must not travel for ever."""


class Met(NamedTuple):
    """Distinct pairs of bits and journey, numbered as they are met."""

    places: NDArray[np.int32]  # open addressing: 1 + number
    bits: NDArray[np.uint64]
    journey: NDArray[np.int32]
    used: NDArray[np.int64]  # [1] how many


@njit(nogil=True, forceinline=True)
def number(places, bits, journeys, used, value, journey):  # type: ignore[no-untyped-def]
    """The number of a pair; a new one when it is new."""
    mask = uint64(places.shape[0] - 1)
    at = int64(combine(value, uint64(journey)) & mask)
    while True:
        found = places[at] - 1
        if found < 0:
            break
        if bits[found] == value and journeys[found] == journey:
            return found
        at = int64((uint64(at) + uint64(1)) & mask)
    found = int32(used[0])
    used[0] += 1
    bits[found] = value
    journeys[found] = journey
    places[at] = found + 1
    return found


class Sequences:
    """Stages joined by '>'. `names[journey][rank]` are the stages' names, `ranks(bits)` those in a value."""

    def __init__(self, names: list[list[str]], ranks: Callable[[int], list[int]]) -> None:
        self._names = names
        self._ranks = ranks
        self._met = _room(0)
        self._codes: list[int] = []  # of each number
        self._texts: dict[str, int] = {}
        self._array = pa.array([], pa.string())

    def open(self, rows: int) -> Met:
        """What a kernel numbers the sequences of so many rows with."""
        count = int(self._met.used[0])
        if count > KEPT_MAX or count + rows > len(self._met.bits):
            self._forget(rows)
        return self._met

    def array(self, numbers: NDArray[np.int32]) -> pa.Array:
        """The dictionary of a column of `numbers`, which it turns into codes: they differ where two journeys
        have the same text, because a dictionary holds a text once.
        """
        count = int(self._met.used[0])
        for k in range(len(self._codes), count):
            names = self._names[int(self._met.journey[k])]
            text = ">".join(names[rank] for rank in self._ranks(int(self._met.bits[k])))
            self._codes.append(self._texts.setdefault(text, len(self._texts)))
        if len(self._array) != len(self._texts):
            self._array = pa.array(list(self._texts), pa.string())
        if len(self._texts) < count:
            numbers[:] = np.array(self._codes, np.int32)[numbers]
        return self._array

    def _forget(self, rows: int) -> None:
        self._met = _room(rows)
        self._codes.clear()
        self._texts.clear()
        self._array = pa.array([], pa.string())


def _room(rows: int) -> Met:
    room = KEPT_MAX + max(rows, 4096)
    return Met(
        np.zeros(1 << (2 * room).bit_length(), np.int32),
        np.empty(room, np.uint64),
        np.empty(room, np.int32),
        np.zeros(1, np.int64),
    )


def walked(path: int) -> list[int]:
    """The ranks of a path, 4 bits a step."""
    steps = (path >> 4 * step & 15 for step in range(16))
    return [rank for rank in steps if rank]


def masked(mask: int) -> list[int]:
    """The ranks of a mask, a bit each."""
    return [rank for rank in range(16) if mask >> rank & 1]
