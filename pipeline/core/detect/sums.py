"""The rows of cohorts summed by scope: everybody in a step, one value of a dimension, one of each of two.

A scope's key is packed into an integer, so that rows are grouped by sorting integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.count.cohorts import NOW

DIMENSIONS: Final = ("channel", "country", "device", "site")
"""By which steps are cut into segments; one whose value is not known is no segment."""

KINDS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    *((name,) for name in DIMENSIONS),
    *combinations(DIMENSIONS, 2),
)
"""What a scope names: nobody in particular, a value of one dimension, or one of each of two."""

PAIRS_FROM: Final = 1 + len(DIMENSIONS)
_HALVES: Final = [tuple(1 + DIMENSIONS.index(name) for name in names) for names in KINDS]

DAY: Final = 24 * 60
"""Minutes that are summed at once."""
_DAY_BITS: Final = 11
_JOURNEY_BITS: Final = 8
_RANK_BITS: Final = 5
_KIND_BITS: Final = 4
_VALUE_BITS: Final = 32
_HORIZON_BITS: Final = 3
JOURNEYS_MAX: Final = 1 << _JOURNEY_BITS
RANK_MAX: Final = (1 << _RANK_BITS) - 1
assert DAY <= 1 << _DAY_BITS
assert len(KINDS) <= 1 << _KIND_BITS
assert NOW < 1 << _HORIZON_BITS
_ALL_BITS: Final = _DAY_BITS + _JOURNEY_BITS + _RANK_BITS + _KIND_BITS + _VALUE_BITS + _HORIZON_BITS
assert _ALL_BITS <= 63, "keys are int64"

Key = tuple[int, int, int, int, int]
"""Place of the journey, rank, place in KINDS, code of its first value and of its second; 0: there is none."""
KEY_COLUMNS: Final = 5


def summed(
    rows: NDArray[np.void], first: int, kinds: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of the rows of a day: minutes, ascending, keys (columns as in Key), and their sums: who settled and who
    went on by horizon (with NOW as the last of each), who skipped, and value.
    """
    step = (rows["minute"] - first) << _JOURNEY_BITS | rows["journey"].astype(np.int64)
    step = step << _RANK_BITS | rows["rank"].astype(np.int64)
    values = {name: _numbered(rows[name]) for name in DIMENSIONS}
    keys, places = [], []
    for kind in kinds:
        own = np.zeros(len(rows), np.int64)
        place = np.arange(len(rows))
        most = 1
        for name in KINDS[kind]:
            numbers, codes = values[name]
            place = place[numbers[place] > 0]
            own, most = own * len(codes) + numbers, most * len(codes)
        assert most <= 1 << _VALUE_BITS, "two dimensions with tens of thousands of values each"
        key = (step[place] << _KIND_BITS | kind) << _VALUE_BITS | own[place]
        keys.append(key << _HORIZON_BITS | rows["horizon"][place])
        places.append(place)
    packed = np.concatenate(keys)
    order = np.argsort(packed)
    packed, place = packed[order], np.concatenate(places)[order]
    begins = np.flatnonzero(np.diff(packed, prepend=-1))
    horizon, scope = packed[begins] & (1 << _HORIZON_BITS) - 1, packed[begins] >> _HORIZON_BITS
    is_new = np.diff(scope, prepend=-1) != 0
    found, own = scope[is_new], np.cumsum(is_new) - 1
    horizons = NOW + 1
    sums = np.zeros((len(found), 2 * horizons + 2), np.int64)
    if len(found):
        sums[own, horizon] = np.add.reduceat(rows["entered"][place], begins)
        sums[own, horizons + horizon] = np.add.reduceat(rows["went_on"][place], begins)
        now = horizon == NOW
        sums[own[now], 2 * horizons] = np.add.reduceat(rows["skipped"][place], begins)[now]
        sums[own[now], 2 * horizons + 1] = np.add.reduceat(rows["value_e4"][place], begins)[now]
    minutes, parted = _parted(found, {name: codes for name, (_, codes) in values.items()})
    return minutes + first, parted, sums


def _numbered(column: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The codes of a column as numbers without gaps, in their order and from 0 for '', and what each was."""
    used = np.zeros(int(column.max(initial=0)) + 1, np.bool_)
    used[0] = True
    used[column] = True
    numbers = np.cumsum(used) - 1
    return numbers[column], np.flatnonzero(used)


def _parted(
    packed: NDArray[np.int64], codes: Mapping[str, NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The minutes of packed keys, and the keys, with what the numbers of values were before."""
    keys = np.zeros((len(packed), KEY_COLUMNS), np.int64)
    values, rest = packed & (1 << _VALUE_BITS) - 1, packed >> _VALUE_BITS
    keys[:, 2], rest = rest & (1 << _KIND_BITS) - 1, rest >> _KIND_BITS
    keys[:, 1], rest = rest & (1 << _RANK_BITS) - 1, rest >> _RANK_BITS
    keys[:, 0], rest = rest & (1 << _JOURNEY_BITS) - 1, rest >> _JOURNEY_BITS
    for kind, names in enumerate(KINDS[1:], start=1):
        mine = np.flatnonzero(keys[:, 2] == kind)
        numbers = values[mine]
        for column in range(2 + len(names), 2, -1):
            own = codes[names[column - 3]]
            keys[mine, column], numbers = own[numbers % len(own)], numbers // len(own)
    return rest, keys


def halves(pair: Key) -> tuple[Key, Key]:
    """The two segments that a pair is of both."""
    journey, rank, kind, one, other = pair
    first, second = _HALVES[kind]
    return (journey, rank, first, one, 0), (journey, rank, second, other, 0)
