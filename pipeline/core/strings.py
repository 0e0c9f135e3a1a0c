"""Arrow strings as offsets and bytes, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def string_array(offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> pa.Array:
    """An Arrow string array over int32 offsets and valid UTF-8 bytes, without a copy."""
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def string_buffers(array: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The int32 offsets (of its rows) and bytes of an Arrow string array, without a copy."""
    _, offsets, data = array.buffers()
    offsets = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return offsets, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
