"""Accepted events as rows of the table `events`: every canonical field, and where the record lay.

The columns are those of the admitted batch as they are; what is new is the channel that `enrich` found, and
the name of the input. Nothing is made per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.core.admit.admit import Admitted
from pipeline.core.decode.columns import word_array
from pipeline.core.events import Events
from pipeline.core.rows import CHANNEL
from schemas.events import FIELDS
from schemas.tables import EVENTS

STORED_FIELDS: Final = tuple(FIELDS)
"""What a decoder must read for these rows: everything."""

_FIELD_OF: Final = {"value_e4": "value"}
"""Columns of the table that an event has under another name."""


class StoredEvents:
    """Makes the rows of a run; `inputs` are the names of its partitions: topics or files."""

    def __init__(self, inputs: Sequence[str]) -> None:
        self._inputs = tuple(inputs)

    def rows(self, admitted: Admitted, events: Events, partition: int) -> pa.RecordBatch:
        """The accepted events of a block, in their order; `events` are the same ones, enriched."""
        assert len(events) == len(admitted.batch), "enrich drops nothing"
        n, batch = admitted.accepted, admitted.batch.slice(0, admitted.accepted)
        made = {
            "channel": _channels(events, n),
            "input": word_array(np.zeros(n, np.int32), [self._inputs[partition]]),
            "partition": pa.array(events.partition[:n]),
            "position": pa.array(events.position[:n]),
        }
        columns = [made[name] if name in made else _field(batch, name) for name in EVENTS.names]
        return pa.record_batch(columns, schema=EVENTS)


def _field(batch: pa.RecordBatch, name: str) -> pa.Array:
    column, type_ = batch.column(_FIELD_OF.get(name, name)), EVENTS.field(name).type
    return column if column.type.equals(type_) else column.cast(type_)


def _channels(events: Events, n: int) -> pa.Array:
    """The channel of each of the first n events, without the words of other kinds."""
    used, codes = np.unique(events.words[:n, CHANNEL], return_inverse=True)
    return word_array(codes.astype(np.int32), [events.known[code] for code in used.tolist()])
