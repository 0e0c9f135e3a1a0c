"""Columns grow as chunks are decoded: arrays with room, seldom copied."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item", bound=np.generic)


def grown(array: NDArray[Item], used: int, need: int) -> NDArray[Item]:
    """An array with room for `need` items that begins with the first `used` of `array`: itself if it can."""
    if len(array) >= need:
        return array
    larger = np.empty(max(need, 2 * len(array)), array.dtype)
    larger[:used] = array[:used]
    return larger
