"""JSON lines as records: chunks of spans on the way in, single lines for what is odd in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.decode.parse import parse_json
from pipeline.core.decode.paths import Trie
from pipeline.core.decode.scan import Scanner
from pipeline.core.decode.spans import Spans
from schemas.rejects import RECORD_BYTES_MAX

CHUNK_ROWS: Final = 4096
CHUNK_BYTES: Final = 1 << 19
"""A chunk, its spans and what columns make of them stay within the L2 cache of a core."""


class Lines:
    """At most `rows_max` lines of a block, from byte `begin`; the block ends in a newline. Blank lines are no
    records, unless `blanks` are.
    """

    received_ms: NDArray[np.int64] | None = None

    def __init__(
        self, trie: Trie, block: NDArray[np.uint8], begin: int, rows_max: int, *, blanks: bool = False
    ) -> None:
        self._block = block
        self._left = rows_max
        self._scanner = Scanner(trie, block, min(rows_max, CHUNK_ROWS), blanks=blanks)
        self._start: list[NDArray[np.int64]] = []
        self._end: list[NDArray[np.int64]] = []
        self.stop = begin
        self._first = self._next()
        taken = max(self.stop - begin, 1)
        self.expected = min(rows_max, self._first.rows * (len(block) - begin) // taken + 1)

    def spans(self) -> Iterator[Spans]:
        yield self._first
        while self._left > 0 and self.stop < len(self._block):
            yield self._next()

    def _next(self) -> Spans:
        scanned = self._scanner.scan(self.stop, self._left, RECORD_BYTES_MAX, CHUNK_BYTES)
        self.stop = scanned.stop
        self._left -= scanned.spans.rows
        self._start.append(scanned.start)
        self._end.append(scanned.end)
        return scanned.spans

    def exact(self, row: int) -> dict[str, Any]:
        return parse_json(self.payload(row))

    def payload(self, row: int) -> bytes:
        chunk = 0
        while row >= len(self._start[chunk]):
            row -= len(self._start[chunk])
            chunk += 1
        return self._block[self._start[chunk][row] : self._end[chunk][row]].tobytes()
