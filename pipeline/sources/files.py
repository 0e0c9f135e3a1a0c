"""Files as source partitions: JSON lines (also gzipped), CSV and Parquet, one file one partition.

A reader hands out decoded blocks with the number of every record (from 1), and can say where it is so
that a later one goes on there.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.decode.decoder import Decoder
from pipeline.sources.blocks import Block, Reader
from pipeline.sources.sorting import SortedReader
from schemas.rejects import RECORD_BYTES_MAX

BLOCK_BYTES: Final = 8 << 20
"""Read at once: large enough that Python costs nothing per record, small enough to stay in the cache."""

PADDING: Final = 64
"""Bytes after a block, so that kernels may look a word ahead."""

STRETCH_BYTES: Final = 1 << 16
"""A block's end is searched for its last newline in stretches of so many."""

NEWLINE: Final = 10

HEAD_BYTES: Final = 256
"""Of a file's beginning, kept to know it again: a name may come to mean another file (rotated logs)."""


class BadInput(Exception):  # noqa: N818  the word that users read
    """A file that cannot be read on: damaged, or not the one that was begun with."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class JsonLinesReader:
    """JSON lines. With `growing` a last line without its newline is left for later: it is being written.

    With `reuse` the bytes of a block are good only until the next one is read.
    """

    def __init__(self, path: Path, decoder: Decoder, *, growing: bool, reuse: bool = True) -> None:
        self._decoder = decoder
        self._growing = growing
        self._reuse = reuse
        self._plain = path.open("rb", buffering=0)
        self._file = self._plain if path.suffix != ".gz" else gzip.GzipFile(fileobj=self._plain)
        self._block = np.empty(0, np.uint8)
        self._begin = 0
        self._end = 0  # of the whole lines in the block
        self._filled = 0  # bytes of it that were read: after the whole lines the beginning of one more
        self._offset = 0
        self._line = 1
        self._done = False
        self._dropped = 0  # bytes of the first line in the block that were left out
        self._lent = 0  # a newline at the end that the file does not have
        self._path = path
        self._head = b""

    @property
    def bytes_read(self) -> int:
        """Of the file as it lies on the disk, so that it compares with its size."""
        return self._offset if self._file is self._plain else self._plain.tell()

    @property
    def next_position(self) -> int:
        """Of the record that comes next."""
        return self._line

    def read(self, rows_max: int) -> Block | None:
        while self._begin >= self._end:
            if self._done:
                return None
            self._fill()
        decoded, taken = self._decoder.lines(self._block[: self._end], self._begin, rows_max)
        position = np.arange(self._line, self._line + decoded.records)
        self._begin += taken
        self._offset += taken + self._dropped
        self._dropped = 0
        if self._begin >= self._end:
            self._offset -= self._lent
        self._line += decoded.records
        return Block(decoded, position)

    def _fill(self) -> None:
        """Reads on until there is at least one whole line, or the end."""
        filled = self._start_block()
        whole = 0
        while not whole:
            size = self._more(filled, BLOCK_BYTES)
            if not size:
                self._done = True
                break
            whole = _end_of_lines(self._block, filled, filled + size)
            filled += size
            if not whole and filled > 4 * RECORD_BYTES_MAX:  # a line far too long will be rejected:
                self._dropped += filled - 2 * RECORD_BYTES_MAX  # its beginning is all that is kept of it
                filled = 2 * RECORD_BYTES_MAX
        if self._done and not self._growing:
            self._lent = int(filled > 0 and self._block[filled - 1] != NEWLINE)
            self._block[filled : filled + self._lent] = NEWLINE
            filled += self._lent
            whole = filled
        if not self._head:
            self._head = self._block[: min(whole, HEAD_BYTES)].tobytes()
        self._begin, self._end, self._filled = 0, whole, filled

    def _start_block(self) -> int:
        """A block that begins with what was left of the last one; returns the bytes of that."""
        rest = self._block[self._end : self._filled].copy()
        if not (self._reuse and len(self._block)):
            self._block = np.zeros(4 * RECORD_BYTES_MAX + BLOCK_BYTES + PADDING, np.uint8)
        self._block[: len(rest)] = rest
        return len(rest)

    def _more(self, at: int, size: int) -> int:
        """Reads at most `size` bytes to `at` of the block."""
        try:
            return self._file.readinto(self._block[at : at + size].data) or 0
        except (OSError, EOFError, zlib.error) as error:
            raise BadInput(
                f"--input: {self._path}: cannot be read: {error}",
                "mend the file, then give the same command again: it goes on from its last snapshot",
            ) from None

    def dump(self) -> dict[str, Any]:
        return {"offset": self._offset, "line": self._line, "head": self._head}

    def load(self, state: dict[str, Any]) -> None:
        self._offset, self._line, head = state["offset"], state["line"], state["head"]
        self._start_block()
        found = self._block[: self._more(0, len(head))].tobytes()
        ends_before = self._file is self._plain and self._path.stat().st_size < self._offset
        if found != head or ends_before:
            raise BadInput(
                f"--input: {self._path} is not the file that was read up to here: "
                + ("it is shorter" if found == head else "it begins otherwise"),
                "a file may only grow; another one is another --input, with a --state of its own",
            )
        self._head = head
        self._file.seek(self._offset)

    def close(self) -> None:
        self._file.close()
        self._plain.close()


def _end_of_lines(block: NDArray[np.uint8], begin: int, end: int) -> int:
    """Where the last whole line among the bytes from `begin` to `end` ends, or 0."""
    for stop in range(end, begin, -STRETCH_BYTES):
        start = max(begin, stop - STRETCH_BYTES)
        found = block[start:stop].tobytes().rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0


LINES: Final = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
TABLES: Final = (".csv", ".csv.gz", ".parquet")


class UnknownFileType(Exception):  # noqa: N818  the word that users read
    """A file whose name does not say what it holds."""


def is_lines(path: Path) -> bool:
    """Whether a file holds JSON lines (else rows). Raises UnknownFileType."""
    if path.name.lower().endswith(LINES):
        return True
    if path.name.lower().endswith(TABLES):
        return False
    raise UnknownFileType(
        f"--input: {path}: its name does not say what it holds\n"
        f"  hint: it should end in one of {' '.join((*LINES, *TABLES))}"
    )


def open_reader(path: Path, decoder: Decoder, *, growing: bool, ordered: bool) -> Reader:
    """The reader for a file by its name; `ordered` hands its records out in order of event time."""
    if is_lines(path):
        reader: Reader = JsonLinesReader(path, decoder, growing=growing, reuse=not ordered)
    else:
        from pipeline.sources.tables import TabularReader

        reader = TabularReader(path, decoder)
    return SortedReader(path, reader) if ordered else reader
