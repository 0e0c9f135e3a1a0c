"""Messages of a broker as records: one each, whatever its bytes are, with the broker's time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.decode.lines import Lines
from pipeline.core.decode.paths import Trie

PADDING: Final = bytes(64)
"""After the last message, so that kernels may look a word ahead."""


class Messages(Lines):
    """Payloads as lines of one block; `received_ms` is when each came to the broker (NO_TIME: unknown).

    One with a newline in it is a blank line of the block, and left to the exact decoder: that is slow, but
    whoever sends JSON over several lines sends few of them.
    """

    def __init__(
        self, trie: Trie, values: Sequence[bytes | None], received_ms: NDArray[np.int64] | None
    ) -> None:
        self._values = values
        super().__init__(trie, _block(values), 0, len(values), blanks=True)
        self.received_ms = received_ms

    def payload(self, row: int) -> bytes:
        return self._values[row] or b""


def _block(values: Sequence[bytes | None]) -> NDArray[np.uint8]:
    """One line per message. All bytes are copied once: that is a good part of what a message costs."""
    try:
        joined = b"\n".join((*values, PADDING))  # type: ignore[arg-type]
    except TypeError:  # messages without a payload
        joined = b"\n".join((*(value or b"" for value in values), PADDING))
    if joined.count(b"\n") > len(values):
        one_line = (value if value and b"\n" not in value else b"" for value in values)
        joined = b"\n".join((*one_line, PADDING))
    return np.frombuffer(joined, np.uint8)[: -len(PADDING)]
