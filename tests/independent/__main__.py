"""The comparison at any size: `python -m tests.independent --visitors 50000 --seed 3`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.independent.answer import answer
from tests.independent.compare import differences, expected
from tests.independent.flow import OBJECTS, SESSIONS, answers, run
from tests.independent.weeks import weeks, write


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.independent", description=__doc__)
    asked.add_argument("--visitors", type=int, default=4_000)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--workers", default="1")
    asked.add_argument("--show", type=int, default=20, help="rows to show of what differs")
    asked.add_argument("--lines", metavar="VISITOR", help="show the records of a visitor instead")
    told = asked.parse_args()
    lines = weeks(told.seed, told.visitors)
    if told.lines:
        show_lines(lines, told.lines)
        return 0
    print(f"{sum(map(len, lines)):,} records of {told.visitors:,} visitors, seed {told.seed}", flush=True)
    mine = answer(lines)
    with TemporaryDirectory() as folder:
        dsn = run(write(Path(folder), lines), Path(folder), "--workers", told.workers)
        found = answers(dsn, SESSIONS | OBJECTS)
    found_odd = found.pop("odd_rates")
    words = [differences(name, rows, expected(name, mine), told.show) for name, rows in found.items()]
    for name, differs in zip(found, words, strict=True):
        print("\n".join(differs) if differs else f"{name}: {len(found[name]):,} rows, the same")
    if found_odd:
        print(f"{len(found_odd)} rates do not follow from their counts: {found_odd[0]}")
    return int(any(words) or bool(found_odd))


def show_lines(partitions: list[list[bytes]], visitor: str) -> None:
    """What a visitor sent, by partition and position."""
    for partition, lines in enumerate(partitions):
        for position, line in enumerate(lines, 1):
            if f'"visitor_id": "{visitor}"'.encode() in line:
                print(partition, position, line.decode())


sys.exit(main())
