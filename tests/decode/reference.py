"""What the exact decoder makes of each line on its own, and the same of the fast path, to compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.core.decode.decoder import Decoded, TimeBounds
from pipeline.core.decode.exact import ExactDecoder
from pipeline.core.decode.parse import Rejected, parse_json
from schemas.events import FLAGS
from schemas.mappings import Mapping
from schemas.rejects import PAYLOAD_BYTES_MAX

Fate = dict[str, Any] | tuple[str, bytes]
"""The values of an event with its flags, or the reason of a reject with its payload."""


def block(lines: list[bytes]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Lines as a source hands them over: each ends in a newline."""
    return np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8)


def exact_fates(data: bytes, mapping: Mapping, needed: tuple[str, ...], bounds: TimeBounds) -> list[Fate]:
    """Of every line that is not blank, by the exact decoder alone."""
    lines = [line for line in data.split(b"\n") if line.strip(b" \t\r")]
    decoder = ExactDecoder(mapping, needed, bounds)
    return [_exact_fate(line, decoder) for line in lines]


def _exact_fate(line: bytes, decoder: ExactDecoder) -> Fate:
    try:
        event = decoder.decode(parse_json(line))
    except Rejected as rejected:
        return str(rejected.reason), line[:PAYLOAD_BYTES_MAX]
    return {**event.values, FLAGS: event.flags}


def fates(decoded: Decoded) -> list[Fate]:
    """Of every record, by a decoder."""
    found: list[Fate | None] = [None] * decoded.records
    for reject in decoded.rejects:
        assert found[reject.row] is None
        found[reject.row] = (str(reject.reason), reject.payload)
    assert decoded.batch.validate(full=True) is None
    for row, event in zip(decoded.rows.tolist(), rows(decoded.batch), strict=True):
        assert found[row] is None
        found[row] = event
    assert None not in found
    return found  # type: ignore[return-value]


def rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Events with times in ms; no word may be twice in a dictionary."""
    columns = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            known = column.dictionary.to_pylist()
            assert len(set(known)) == len(known), field.name
        columns[field.name] = (
            column.cast(pa.int64()) if pa.types.is_timestamp(field.type) else column
        ).to_pylist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
