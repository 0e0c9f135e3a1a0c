"""The rows of a rehearsal as stories tell them: by people's words, ordered by time, without ids.

A row is a dict with the columns of `schemas/story_cells.py`; times are in ms, money in 1/10,000.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import pyarrow as pa

from pipeline.rehearse import Rehearsal
from schemas.story_cells import EXPECTED_COLUMNS, show_cell
from schemas.tables import CONSERVATION_COUNTS, FUNNEL_COUNTS

Row = dict[str, Any]

STATE_OF_END: Final = "abandoned"
"""The state, as track knows it, of an object whose chain may yet be recovered, expire or be void."""


def found(rehearsal: Rehearsal, table: str, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """What is there now, in the cells of these columns."""
    kinds = EXPECTED_COLUMNS[table]
    rows = ROWS[table](rehearsal, columns)
    return [tuple(show_cell(kinds[name], row[name]) for name in columns) for row in rows]


def rows_of(rehearsal: Rehearsal, table: str) -> list[Row]:
    """The final rows of a table."""
    rows = rehearsal.rows(table)
    for number, kind in enumerate(rows.schema.types):
        if pa.types.is_timestamp(kind):
            in_ms = rows.column(number).cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
            rows = rows.set_column(number, rows.schema.names[number], in_ms)
    told: list[Row] = rows.to_pylist()
    return told


def _sessions(rehearsal: Rehearsal, columns: Sequence[str]) -> list[Row]:
    numbers = _session_numbers(rehearsal)
    part = _participations(rehearsal)
    orders = Counter(row["session_id"] for row in rows_of(rehearsal, "orders"))
    rows = [
        row
        | _journey(row)
        | {"session": numbers[row["session_id"]], "orders": orders[row["session_id"]]}
        | _outcome(_journey(row), part[row["session_id"]])
        for row in rows_of(rehearsal, "sessions")
    ]
    return sorted(rows, key=lambda row: (row["started_at"], row["visitor_id"]))


JOURNEY_OF_SESSION: Final = (
    "outcome", "abandoned_stage", "entry_stage", "furthest_stage", "path", "value_e4", "currency",
)  # fmt: skip


def _journey(row: Row) -> Row:
    """What a session's row says of the journey; nothing where it did not enter it."""
    told = {name: (row[f"journeys.{name}"] or [""])[0] for name in JOURNEY_OF_SESSION}
    return told | {"value": told.pop("value_e4") or 0}


def _outcome(told: Row, states: Sequence[Row]) -> Row:
    """The outcome as bi.session_stages has it: by the fate of the objects that the session took part in."""
    known = {row["state"] for row in states}
    if told["outcome"] == "converted" or known & {"completed", "void"}:
        return {"outcome": "converted", "abandoned_stage": ""}
    if told["outcome"] == "open" or "open" in known:
        return {"outcome": "open", "abandoned_stage": ""}
    given_up = [row for row in states if row["state"] == STATE_OF_END]
    if given_up:
        return {
            "outcome": "abandoned",
            "abandoned_stage": max(given_up, key=lambda row: int(row["rank"]))["stage"],
        }
    return {"outcome": told["outcome"], "abandoned_stage": told["abandoned_stage"]}


def _participations(rehearsal: Rehearsal) -> dict[bytes, list[Row]]:
    """By session; a chain that turned out never to have been abandoned is void."""
    ends = _ends(rehearsal)
    states: dict[bytes, list[Row]] = defaultdict(list)
    for row in rows_of(rehearsal, "participations"):
        is_void = ends.get(row["chain_id"], {}).get("state") == "void"
        states[row["session_id"]].append(row | ({"state": "void"} if is_void else {}))
    return states


def _ends(rehearsal: Rehearsal) -> dict[bytes, Row]:
    """What became of abandoned chains later."""
    return {row["chain_id"]: row for row in rows_of(rehearsal, "outcomes")}


def _abandonments(rehearsal: Rehearsal, columns: Sequence[str]) -> list[Row]:
    """Objects as bi.abandonments has them."""
    ends, numbers = _ends(rehearsal), _session_numbers(rehearsal)
    rows = sorted(
        rows_of(rehearsal, "objects"),
        key=lambda row: (row["opened_at"], row["visitor_id"], row["rank"], row["number"]),
    )
    kinds = {row["object_id"]: row["kind"] for row in rows}
    chains: dict[bytes, list[bytes]] = {}
    for row in rows:
        chains.setdefault(row["chain_id"], []).append(row["object_id"])
    order = list(chains)
    return [
        row
        | _after(row, ends.get(row["chain_id"], {}))
        | {
            "session": numbers.get(row["session_id"], 0),
            "chain": order.index(row["chain_id"]) + 1,
            "number": chains[row["chain_id"]].index(row["object_id"]) + 1,
            "successor": kinds.get(row["successor_id"], ""),
            "value_at_risk": row["value_e4"],
        }
        for row in rows
    ]


def _after(row: Row, end: Row) -> Row:
    """What its chain's end changes of an object: the final state of all, and the last one's own fate."""
    if not end:
        return {"recovered_value": 0}
    if row["state"] != STATE_OF_END:
        return {"final_state": end["state"], "recovered_value": 0}
    return {
        "state": end["state"],
        "final_state": end["state"],
        "resolved_at": end["resolved_at"],
        "order_id": end["order_id"],
        "recovered_value": end["recovered_value_e4"],
    }


def _orders(rehearsal: Rehearsal, columns: Sequence[str]) -> list[Row]:
    numbers = _session_numbers(rehearsal)
    changes: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for change in rows_of(rehearsal, "order_changes"):
        changes[change["site"], change["order_id"]].append(change)
    rows = [
        row
        | _changed(row, changes[row["site"], row["order_id"]])
        | {"value": row["value_e4"], "session": numbers.get(row["session_id"], 0)}
        for row in rows_of(rehearsal, "orders")
    ]
    return sorted(rows, key=lambda row: (row["at"], row["order_id"]))


def _changed(order: Row, changes: Sequence[Row]) -> Row:
    """What was taken back of an order: all of it by a cancellation, or by a refund without a value."""
    refunds = [change["value_e4"] or order["value_e4"] for change in changes if change["kind"] == "refunded"]
    is_cancelled = any(change["kind"] == "cancelled" for change in changes)
    whole = order["value_e4"]
    return {"refunded": whole if is_cancelled else min(sum(refunds), whole), "is_cancelled": is_cancelled}


def _transitions(rehearsal: Rehearsal, columns: Sequence[str]) -> list[Row]:
    numbers = _session_numbers(rehearsal)
    rows = [
        row | {"value": row["value_e4"], "session": numbers[row["session_id"]]}
        for row in rows_of(rehearsal, "transitions")
    ]
    return sorted(rows, key=lambda row: (row["at"], row["visitor_id"], row["sequence"]))


def _funnel(rehearsal: Rehearsal, columns: Sequence[str]) -> list[Row]:
    """Counts by whatever columns are told that are no counts."""
    counts = (*FUNNEL_COUNTS, "value_e4")
    names = [
        name for name in columns if name in EXPECTED_COLUMNS["funnel"] and name not in (*counts, "value")
    ]
    sums: dict[tuple[Any, ...], Row] = {}
    rows = sorted(rows_of(rehearsal, "funnel_minute"), key=lambda row: (row["time"], row["rank"]))
    if "time" not in names:
        rows.sort(key=lambda row: int(row["rank"]))
    for row in rows:
        key = tuple(row[name] for name in names)
        total = sums.setdefault(key, {name: row[name] for name in names} | dict.fromkeys(counts, 0))
        for name in counts:
            total[name] += row[name]
    return [row | {"value": row["value_e4"]} for row in sums.values()]


def _records(rehearsal: Rehearsal, columns: Sequence[str]) -> list[Row]:
    """What became of all records."""
    rows = rows_of(rehearsal, "conservation")
    return [{name: sum(row[name] for row in rows) for name in CONSERVATION_COUNTS}]


def _session_numbers(rehearsal: Rehearsal) -> dict[bytes, int]:
    """The how-manyth of its visitor a session is."""
    numbers: dict[bytes, int] = {}
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for row in _by_start(rows_of(rehearsal, "sessions")):
        seen[row["site"], row["visitor_id"]] += 1
        numbers[row["session_id"]] = seen[row["site"], row["visitor_id"]]
    return numbers


def _by_start(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: int(row["started_at"]))


ROWS: Final[dict[str, Callable[[Rehearsal, Sequence[str]], list[Row]]]] = {
    "sessions": _sessions,
    "transitions": _transitions,
    "abandonments": _abandonments,
    "orders": _orders,
    "funnel": _funnel,
    "records": _records,
}
