"""Rows of two origins compared: equal, or the differences in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.oracle import Rows
from tests.oracle_walk import Row


def assert_same(found: Rows, wanted: Rows) -> None:
    """Equal but for the order, else a failure that says which rows are missing, too much or different."""
    differences = [*_differences(as_tables(found), as_tables(wanted))]
    assert not differences, "\n" + "\n".join(differences)


Tables = dict[str, dict[tuple[Any, ...], Row]]


def as_tables(rows: Rows) -> Tables:
    """Rows by key; counts that are 0 are left out."""
    session = ("partition", "site", "visitor_id", "started_at")
    step = (*session, "journey", "journey_version")
    return {
        "conservation": {key: dict(+counts) for key, counts in rows.conservation.items() if +counts},
        "late": {key: {} for key in rows.late},
        "rejected": {key: {} for key in rows.rejected},
        "copies": {(): {"count": len(rows.copies)}},
        "orders": by_key(rows.orders, ("site", "order_id", "at")),
        "order_changes": by_key(
            rows.order_changes, ("site", "order_id", "change_id", "at", "partition", "position")
        ),
        "objects": by_key(rows.objects, ("site", "journey", "journey_version", "object")),
        "participations": by_key(
            rows.participations, ("site", "journey", "journey_version", "chain", "session")
        ),
        "outcomes": by_key(rows.outcomes, ("site", "journey", "journey_version", "chain")),
        "sessions": by_key(rows.sessions, session),
        "transitions": by_key(rows.transitions, (*step, "sequence")),
        "visits": by_key(rows.visits, (*step, "entered_at", "rank", "left_at", "left_by")),
        "funnel": {key: dict(+counts) for key, counts in rows.funnel.items() if +counts},
    }


def by_key(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[Any, ...], Row]:
    """Rows by the values of these columns, and the how-manyth of these values it is."""
    keyed: dict[tuple[Any, ...], Row] = {}
    times: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        key = tuple(row[name] for name in names)
        keyed[(*key, times[key])] = row
        times[key] += 1
    return keyed


def _differences(found: Tables, wanted: Tables) -> Iterator[str]:
    for name in wanted:
        for key in sorted(wanted[name].keys() | found[name].keys()):
            here, there = found[name].get(key), wanted[name].get(key)
            if here is None:
                yield f"{name} {key}: missing {there}"
            elif there is None:
                yield f"{name} {key}: too much {here}"
            elif here != there:
                columns = [c for c in here.keys() | there.keys() if here.get(c) != there.get(c)]
                told = ", ".join(f"{c} is {here.get(c)!r}, not {there.get(c)!r}" for c in sorted(columns))
                yield f"{name} {key}: {told}"
