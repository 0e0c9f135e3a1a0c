"""Two simulated weeks: the records of all shoppers, in the order in which they reach two partitions."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from tests.independent.shopper import DAY, Shopper

START: Final = 1_767_571_200_000  # 2026-01-05, a Monday
DAYS: Final = 14
JUNK: Final = (b"<html>502 Bad Gateway</html>", b'{"event": "page_view"}', b"{")


def weeks(seed: int, visitors: int) -> list[list[bytes]]:
    """The lines of both partitions. Visits begun in the two weeks go on beyond them."""
    partitions: list[list[tuple[int, bytes]]] = [[], []]
    random = Random(seed)
    for number in range(visitors):
        for sent in Shopper(seed, number, START + random.randrange(DAYS * DAY)).live():
            partitions[sent.partition].append((sent.arrival, sent.line))
    for records in partitions:  # some that are no events
        records += [(START + random.randrange(DAYS * DAY), random.choice(JUNK)) for _ in range(20)]
    return [[line for _, line in sorted(records)] for records in partitions]


def write(folder: Path, partitions: list[list[bytes]]) -> tuple[Path, ...]:
    """A file of JSON lines for each partition."""
    paths = tuple(folder / f"events-{number}.jsonl" for number in range(len(partitions)))
    for path, lines in zip(paths, partitions, strict=True):
        path.write_bytes(b"".join(line + b"\n" for line in lines))
    return paths
