"""From rows to messages: which rows are told, in which words, under which key and which id.

`message_id` is a hash of the table, the row's key and its version: a row that is written again after a crash
is told again with the id that it had. That holds for ever, so what goes into it must never change.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.messages import TOPICS, Abandonment, Message, Reject, Retraction, Transition
from schemas.tables import KEYS
from sinks.kafka.columns import identity, ids, money, plain, times, times_after_epoch

ID_BYTES: Final = 16

Column = Callable[[pa.RecordBatch, str], list[Any]]


class Told(NamedTuple):
    """Messages of one shape for one topic (named without its prefix); the lists go together."""

    topic: str
    schema: str
    keys: list[str]
    values: list[bytes]
    message_ids: list[str]


def topic_of(table: str) -> str | None:
    """The topic on which rows of `table` are told, without its prefix; None where none are."""
    teller = _TELLERS.get(table)
    return _TOPIC_OF[teller.shape] if teller else None


def tell(table: str, batch: pa.RecordBatch) -> Told:
    """What is to be told of rows that have the pinned schema of `table`, a table with a topic."""
    teller = _TELLERS[table]
    batch = teller.chosen(batch)
    columns = [_column(teller, batch, name) for name in teller.shape.__struct_fields__]
    encode = msgspec.json.Encoder().encode
    return Told(
        _TOPIC_OF[teller.shape],
        teller.shape.SCHEMA,
        [":".join(map(str, key)) for key in _rows([identity(batch.column(name)) for name in teller.key])],
        [encode(message) for message in map(teller.shape, *columns)],
        _message_ids(table, batch),
    )


def _message_ids(table: str, batch: pa.RecordBatch) -> list[str]:
    names = [*KEYS[table], *(["version"] if "version" in batch.schema.names else [])]
    encode = msgspec.json.Encoder().encode
    return [
        blake2b(encode((table, *row)), digest_size=ID_BYTES).hexdigest()
        for row in _rows([identity(batch.column(name)) for name in names])
    ]


def _rows(columns: Sequence[list[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*columns, strict=True))


def _column(teller: _Teller, batch: pa.RecordBatch, name: str) -> list[Any]:
    own = teller.own.get(name)
    if own is not None:
        return own(batch)
    array = batch.column(name)
    if pa.types.is_fixed_size_binary(array.type):
        return ids(array)
    return times(array) if pa.types.is_timestamp(array.type) else plain(array)


def _all(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def _abandoned(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Only what was abandoned itself: those that it superseded have `abandoned` as their final state."""
    return batch.filter(pc.equal(batch.column("state"), "abandoned"))


def _retracted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`expired` takes nothing back: what was abandoned stays so."""
    words = pa.array(["recovered", "void"])
    return batch.filter(pc.is_in(batch.column("state").cast(pa.string()), words))


def _skipped(batch: pa.RecordBatch) -> list[list[str]]:
    return [word.split(">") if word else [] for word in plain(batch.column("skipped"))]


def _seconds_in_stage(batch: pa.RecordBatch) -> list[float]:
    stayed_ms = pc.subtract(
        batch.column("at").view(pa.int64()), batch.column("from_entered_at").view(pa.int64())
    ).to_numpy(zero_copy_only=False)
    left = pc.not_equal(batch.column("from_stage"), "").to_numpy(zero_copy_only=False)
    seconds: list[float] = np.where(left, stayed_ms / 1000, 0.0).tolist()
    return seconds


def _payloads(batch: pa.RecordBatch) -> list[tuple[str, str]]:
    """Each payload, and how it is written."""
    out = []
    for payload in batch.column("payload").to_pylist():
        try:
            out.append((payload.decode(), "utf-8"))
        except UnicodeDecodeError:
            out.append((base64.b64encode(payload).decode(), "base64"))
    return out


def _money(name: str) -> Callable[[pa.RecordBatch], list[str]]:
    return lambda batch: money(batch.column(name))


def _same(name: str) -> Callable[[pa.RecordBatch], list[Any]]:
    return lambda batch: plain(batch.column(name))


class _Teller(NamedTuple):
    """How rows of a table become messages; `own` are the fields that are not just the column of that name."""

    shape: type[Message]
    key: tuple[str, ...]
    """Messages with equal keys are in one partition, in the order in which they were told."""
    chosen: Callable[[pa.RecordBatch], pa.RecordBatch]
    own: dict[str, Callable[[pa.RecordBatch], list[Any]]]


_TOPIC_OF: Final = {shape: topic for topic, shapes in TOPICS.items() for shape in shapes}

_TELLERS: Final = {
    "transitions": _Teller(
        Transition,
        ("site", "visitor_id"),
        _all,
        {"skipped": _skipped, "seconds_in_stage": _seconds_in_stage, "value": _money("value_e4")},
    ),
    "objects": _Teller(
        Abandonment,
        ("site", "chain_id"),
        _abandoned,
        {
            "value_at_risk": _money("value_e4"),
            "deadline_at": lambda batch: times_after_epoch(batch.column("deadline_at")),
        },
    ),
    "outcomes": _Teller(
        Retraction,
        ("site", "chain_id"),  # a row of outcomes knows no visitor; what it takes back knows its chain
        _retracted,
        {
            "reason": _same("state"),
            "recovered_value": _money("recovered_value_e4"),
            "recovered_currency": _same("currency"),
        },
    ),
    "rejected_events": _Teller(
        Reject,
        ("source", "partition"),
        _all,
        {
            "payload": lambda batch: [payload for payload, _ in _payloads(batch)],
            "payload_encoding": lambda batch: [encoding for _, encoding in _payloads(batch)],
        },
    ),
}
