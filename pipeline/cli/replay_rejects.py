"""What becomes of records that were rejected in a replay with today's mapping and settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.ask import WIDE
from pipeline.cli.story.words import plain
from schemas.rejects import RejectReason

NOT_DECODED: Final = (RejectReason.QUARANTINED, RejectReason.REFUSED_BY_DATABASE)
"""Set aside by somebody, or a row of ours: no mapping makes anything of them."""
NAMED_MAX: Final = 5


class Position(NamedTuple):
    """A record, by where it lies."""

    source: str
    partition: int
    position: int

    def __str__(self) -> str:
        return plain(f"{self.source}:{self.partition}:{self.position}")


@dataclass(frozen=True)
class Range:
    """What a replay reads of a partition: from `first` on, before `end` where it has one."""

    first: int = 0
    end: int | None = None

    def __contains__(self, position: int) -> bool:
        return self.first <= position and (self.end is None or position < self.end)


@dataclass
class Reason:
    """The records that had been rejected for one reason, and what they are now."""

    before: int = 0
    accepted: int = 0
    late: int = 0
    rejected: int = 0
    not_read: int = 0
    example: str = ""


@dataclass
class Compared:
    """By reason; and the records that are rejected now and were not before."""

    reasons: dict[str, Reason] = field(default_factory=lambda: defaultdict(Reason))
    new: int = 0
    example_of_new: str = ""


def positions(table: pa.Table) -> Iterator[Position]:
    """The records of an answer."""
    columns = (table.column(name).to_pylist() for name in Position._fields)
    return map(Position._make, zip(*columns, strict=True))


def reasons(table: pa.Table) -> list[str]:
    """Why each of them was rejected."""
    return [str(reason) for reason in table.column("reason").to_pylist()]


def compare(
    before: pa.Table, now: pa.Table, late_now: pa.Table, read: dict[tuple[str, int], Range]
) -> Compared:
    """What was rejected `before`, beside what is rejected and late `now` of what was `read`."""
    compared = Compared()
    rejected = dict(zip(positions(now), reasons(now), strict=True))
    late = set(positions(late_now))
    known = set()
    for at, why in zip(positions(before), reasons(before), strict=True):
        known.add(at)
        if why in NOT_DECODED:
            continue
        row = compared.reasons[why]
        row.before += 1
        partition = read.get((at.source, at.partition))
        if partition is None or at.position not in partition:
            row.not_read += 1
        elif at in rejected:
            row.rejected += 1
            row.example = row.example or _example(at, rejected[at], why)
        elif at in late:
            row.late += 1
        else:
            row.accepted += 1
    fresh = [at for at, why in rejected.items() if at not in known and why not in NOT_DECODED]
    if fresh:
        compared.new, compared.example_of_new = len(fresh), _example(fresh[0], rejected[fresh[0]])
    return compared


def _example(at: Position, now: str, before: str = "") -> str:
    return str(at) if now == before else f"{at} ({now})"


def told_before(before: pa.Table, of: str) -> list[str]:
    """What a database has set aside, for whoever begins to replay it."""
    count: dict[str, int] = defaultdict(int)
    why = reasons(before)
    for reason in why:
        count[reason] += 1
    quarantined = count.pop(RejectReason.QUARANTINED, 0)
    refused = count.pop(RejectReason.REFUSED_BY_DATABASE, 0)
    lines = [] if why else [f"no record in {of} was rejected"]
    if count:
        listed = ", ".join(f"{records:,} {reason}" for reason, records in sorted(count.items()))
        lines.append(f"{sum(count.values()):,} records in {of} were rejected ({listed}): read again")
    if quarantined:
        named = [at for at, reason in zip(positions(before), why, strict=True) if reason == "quarantined"]
        lines.append(
            f"{quarantined:,} more were quarantined, and are read again: {_few(named)}\n"
            "  hint: --quarantine SOURCE:PARTITION:POSITION sets one aside here as well"
        )
    if refused:
        lines.append(f"{refused:,} rows that the database refused are no records: they are made anew")
    return lines


def _few(named: Sequence[Position]) -> str:
    return ", ".join(map(str, named[:NAMED_MAX])) + (", ..." if len(named) > NAMED_MAX else "")


def report(compared: Compared) -> None:
    """The table by reason, on stdout."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    rows = dict(sorted(compared.reasons.items(), key=lambda one: (-one[1].before, one[0])))
    columns = ["before", "accepted", "late", "rejected", *_not_read(rows.values())]
    table = Table("rejected for", box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(
            {"before": "before", "not_read": "not read"}.get(name, f"{name} now"), justify="right"
        )
    table.add_column("for example")
    for reason, row in rows.items():
        table.add_row(reason, *(f"{getattr(row, name):,}" for name in columns), Text(row.example))
    total = [sum(getattr(row, name) for row in rows.values()) for name in columns]
    table.add_row("all", *(f"{count:,}" for count in total), "", style="bold")
    console.print(table)
    if compared.new:
        told = (
            f"{compared.new:,} that were not rejected before are now, for example {compared.example_of_new}"
        )
        console.print(Text(told), soft_wrap=True)


def _not_read(rows: Iterable[Reason]) -> list[str]:
    return ["not_read"] if any(row.not_read for row in rows) else []
