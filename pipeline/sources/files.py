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

from pipeline.core.decode import Decoder
from pipeline.sources.blocks import Block, Reader
from pipeline.sources.sorting import SortedReader
from schemas.rejects import RECORD_BYTES_MAX

BLOCK_BYTES: Final = 8 << 20
"""Read at once: large enough that Python costs nothing per record, small enough to stay in the cache."""

PADDING: Final = 64
"""Bytes after a block, so that kernels may look a word ahead."""

HEAD_BYTES: Final = 256
"""Of a file's beginning, kept to know it again: a name may come to mean another file (rotated logs)."""


class BadInput(Exception):  # noqa: N818  the word that users read
    """A file that cannot be read on: damaged, or not the one that was begun with."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class JsonLinesReader:
    """JSON lines. With `growing` a last line without its newline is left for later: it is being written."""

    def __init__(self, path: Path, decoder: Decoder, *, growing: bool) -> None:
        self._decoder = decoder
        self._growing = growing
        self._plain = path.open("rb", buffering=0)
        self._file = self._plain if path.suffix != ".gz" else gzip.GzipFile(fileobj=self._plain)
        self._block = np.zeros(PADDING, np.uint8)
        self._begin = 0
        self._end = 0  # of the whole lines in the block
        self._rest = b""
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
        pieces = [self._rest]
        size = len(self._rest)
        while True:
            piece = self._more(BLOCK_BYTES)
            if not piece:
                self._done = True
                break
            cut = piece.rfind(b"\n")
            pieces.append(piece)
            size += len(piece)
            if cut >= 0:
                break
            if size > 4 * RECORD_BYTES_MAX:
                pieces, size = self._drop_middle(pieces)
        data = b"".join(pieces)
        cut = len(data) if self._done and not self._growing else data.rfind(b"\n") + 1
        whole, self._rest = data[:cut], data[cut:]
        if not self._head:
            self._head = whole[:HEAD_BYTES]
        self._lent = int(whole != b"" and not whole.endswith(b"\n"))
        whole += b"\n" * self._lent
        self._block = np.frombuffer(whole + bytes(PADDING), np.uint8)
        self._begin, self._end = 0, len(whole)

    def _more(self, size: int) -> bytes:
        try:
            return self._file.read(size) or b""
        except (OSError, EOFError, zlib.error) as error:
            raise BadInput(
                f"--input: {self._path}: cannot be read: {error}",
                "mend the file, then give the same command again: it goes on from its last snapshot",
            ) from None

    def _drop_middle(self, pieces: list[bytes]) -> tuple[list[bytes], int]:
        """A line that is far too long will be rejected: its beginning is all that is kept of it."""
        kept = b"".join(pieces)
        self._dropped += len(kept) - 2 * RECORD_BYTES_MAX
        return [kept[: 2 * RECORD_BYTES_MAX]], 2 * RECORD_BYTES_MAX

    def dump(self) -> dict[str, Any]:
        return {"offset": self._offset, "line": self._line, "head": self._head}

    def load(self, state: dict[str, Any]) -> None:
        self._offset, self._line, head = state["offset"], state["line"], state["head"]
        found = self._more(len(head))
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
        reader: Reader = JsonLinesReader(path, decoder, growing=growing)
    else:
        from pipeline.sources.tables import TabularReader

        reader = TabularReader(path, decoder)
    return SortedReader(path, reader) if ordered else reader
