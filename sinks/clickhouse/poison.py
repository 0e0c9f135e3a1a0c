"""Rows that a database refuses for what is in them: found by halving their block, and set aside as rejects.

One such row would otherwise hold up all others for ever: the same bytes come back after every restart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from schemas.rejects import PAYLOAD_BYTES_MAX, RejectReason
from schemas.tables import KEYS, TABLES
from sinks.check import conform

DATA_CODES: Final = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        16,  # NO_SUCH_COLUMN_IN_TABLE
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        53,  # TYPE_MISMATCH
        117,  # INCORRECT_DATA
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        469,  # VIOLATED_CONSTRAINT
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)
"""The database judged the rows, not the moment: the same rows will be refused again."""

REFUSED_ROWS_MAX: Final = 1_000
"""So many a process sets aside; more are no matter of single rows, and somebody must look."""

WHOLE_BLOCK_ROWS: Final = 100
"""Of a block of so many rows and more one at least must be good, or it is the table that does not fit."""

SOURCE_PREFIX: Final = "pathline."
"""Their source is a table of ours, no topic or file: what is replayed from rejects leaves them out."""


class Refusal(Exception):  # noqa: N818 - reads as what it is
    """The database refused a block for its data."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class TooManyRefused(Exception):  # noqa: N818 - reads as what it is
    """No matter of single rows: somebody must look."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def insert_around(
    batch: pa.RecordBatch, insert: Callable[[pa.RecordBatch], None], room: int
) -> list[tuple[pa.RecordBatch, Refusal]]:
    """Inserts all rows that the database takes, in their order, and returns the others, each alone.

    `insert` raises Refusal. Of more than `room` rows, or of a whole block, TooManyRefused is raised.
    """
    refused: list[tuple[pa.RecordBatch, Refusal]] = []
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        try:
            insert(part)
        except Refusal as refusal:
            if part.num_rows > 1:
                half = part.num_rows // 2
                waiting += [part.slice(half), part.slice(0, half)]
                continue
            refused.append((part, refusal))
            if len(refused) > room:
                raise TooManyRefused(
                    f"too many rows were refused for what is in them, the last one with: {refusal}",
                    "bi.rejected_events has the first ones, with reason refused_by_database",
                ) from None
    if len(refused) == batch.num_rows >= WHOLE_BLOCK_ROWS:
        raise TooManyRefused(
            f"every row of a block was refused: {refused[0][1]}",
            "the table is not as Pathline made it: was it changed by hand?",
        )
    return refused


def rejects(table: str, refused: list[tuple[pa.RecordBatch, Refusal]]) -> pa.RecordBatch:
    """The refused rows of `table` as rows of rejected_events. The same row gets the same place every time."""
    made = [_reject(table, row.to_pylist()[0], refusal) for row, refusal in refused]
    columns = {field.name: [row[field.name] for row in made] for field in TABLES["rejected_events"]}
    words = {name: pa.array(columns.pop(name), pa.string()) for name in ("reason", "source")}
    others = {
        name: pa.array(values, TABLES["rejected_events"].field(name).type) for name, values in columns.items()
    }
    return conform("rejected_events", pa.RecordBatch.from_pydict(words | others))


def _reject(table: str, row: dict[str, Any], refusal: Refusal) -> dict[str, Any]:
    told = {"table": table, "code": refusal.code, "error": str(refusal), "row": row}
    key = json.dumps([row[name] for name in KEYS[table]], default=_plain).encode()
    return {
        "reason": RejectReason.REFUSED_BY_DATABASE.value,
        "source": SOURCE_PREFIX + table,
        "partition": 0,
        "position": int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1,  # an Int64
        "event_at": next((row[name] for name in ("event_at", "at", "time") if row.get(name)), None),
        "received_at": None,
        "payload": json.dumps(told, default=_plain, ensure_ascii=False).encode()[:PAYLOAD_BYTES_MAX],
        "headers": "",
    }


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, datetime) else str(value)
