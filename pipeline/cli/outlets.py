"""Where simulated records go: the terminal, a file, or several with each visitor in one of them."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final, cast
from zlib import crc32

from pipeline.settings import BadSettings

_VISITOR: Final = re.compile(rb'"visitor_id":"([^"]*)"')
SUFFIXES: Final = (".jsonl", ".jsonl.gz")


class Outlets:
    """Open files (or the terminal), each in the order in which it is written to."""

    def __init__(self, paths: list[Path], opened: list[IO[bytes]], *, flush: bool) -> None:
        self.paths = paths
        self.closed = False  # by who reads along
        self._opened = opened
        self._flush = flush

    def write(self, lines: list[bytes]) -> None:
        """Whole records; all of a visitor into one and the same file."""
        try:
            for file, own in zip(self._opened, self._split(lines), strict=True):
                if own:
                    file.write(b"\n".join(own) + b"\n")
                if self._flush:
                    file.flush()
        except BrokenPipeError:
            self.closed = True

    def _split(self, lines: list[bytes]) -> list[list[bytes]]:
        count = len(self._opened)
        if count == 1:
            return [lines]
        split: list[list[bytes]] = [[] for _ in range(count)]
        for line in lines:
            visitor = _VISITOR.search(line)
            split[crc32(visitor[1] if visitor else line) % count].append(line)
        return split


@contextmanager
def outlets(out: Path | None, files: int, *, force: bool, flush: bool = False) -> Iterator[Outlets]:
    """Opens what `--out` and `--files` name. Raises BadSettings with everything that is in the way."""
    if out is None:
        if files > 1:
            raise BadSettings(["--files: the terminal is one\n  hint: --out shop.jsonl"])
        yield Outlets([], [sys.stdout.buffer], flush=flush)
        return
    paths = numbered(out, files)
    problems = []
    if not out.name.endswith(SUFFIXES):
        problems.append(
            f"--out: {out}: what kind of file?\n  hint: a name that ends in {' or '.join(SUFFIXES)}"
        )
    if not out.parent.is_dir():
        problems.append(f"--out: {out.parent}: no such folder\n  hint: mkdir -p {out.parent}")
    problems += [
        f"--out: {path} is there already\n  hint: another name, or --force to overwrite it"
        for path in paths
        if path.exists() and not force
    ]
    if problems:
        raise BadSettings(problems)
    with ExitStack() as stack:
        yield Outlets(paths, [_open(path, stack) for path in paths], flush=flush)


def numbered(out: Path, files: int) -> list[Path]:
    """shop.jsonl, or shop-0.jsonl, shop-1.jsonl, ..."""
    if files == 1:
        return [out]
    suffix = next((suffix for suffix in SUFFIXES if out.name.endswith(suffix)), "")
    name = out.name.removesuffix(suffix)
    return [out.with_name(f"{name}-{number}{suffix}") for number in range(files)]


def _open(path: Path, stack: ExitStack) -> IO[bytes]:
    file = stack.enter_context(path.open("wb"))
    if path.suffix != ".gz":
        return file
    # Neither name nor time of day in the header: the same options, the same bytes.
    packed = gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=file, mtime=0)
    return cast("IO[bytes]", stack.enter_context(packed))
