"""Events that wait in `track` for their time: which of them a failure is about, and those that are set aside.

What fails there fails long after its record was read: another record made time pass. In a narrow run
(`underway.py`) few events are due at once, often one, so these are named. And one that somebody has named
may lie in the snapshot already, where no reader passes it again: it is taken out when the snapshot is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.events import Events, Slice
from pipeline.core.track.track import Track
from pipeline.runtime import failure, underway
from schemas.rejects import RejectReason
from schemas.tables import SET_ASIDE


@dataclass(frozen=True)
class Named:
    """What is set aside: the positions of each partition, in order; the partitions' names."""

    positions: Sequence[NDArray[np.int64]] = ()
    sources: Sequence[str] = ()


_NAMED: list[Named] = [Named()]


def name(named: Named) -> None:
    """From now on these are taken out of what is loaded in this process."""
    _NAMED[:] = [named]


def drop(track: Track) -> pa.RecordBatch | None:
    """Takes what is named out of the events that wait; rows that tell of it, for `rejected_events`.

    Such an event was counted as accepted when it was read, and stays so counted. Its bytes are gone: the row
    has what is known of it.
    """
    named = _NAMED[0]
    if not any(len(positions) for positions in named.positions) or (held := track.held) is None:
        return None
    is_named = np.zeros(len(held), np.bool_)
    for partition, positions in enumerate(named.positions):
        is_named |= (held.partition == partition) & np.isin(held.position, positions)
    if not is_named.any():
        return None
    return _rows(track.take_out(is_named), named.sources)


def _rows(events: Events, sources: Sequence[str]) -> pa.RecordBatch:
    n = len(events)
    known = zip(events.event_id.arrow().to_pylist(), events.visitor.arrow().to_pylist(), strict=True)
    at = SET_ASIDE.field("event_at").type
    columns = {
        "reason": pa.array([RejectReason.QUARANTINED.value] * n, pa.string()).dictionary_encode(),
        "source": pa.array([sources[k] for k in events.partition.tolist()], pa.string()).dictionary_encode(),
        "partition": pa.array(events.partition),
        "position": pa.array(events.position),
        "event_at": pa.array(events.at).view(at),
        "received_at": pa.nulls(n, at),
        "payload": pa.array(
            [json.dumps({"event_id": id_, "visitor_id": visitor}).encode() for id_, visitor in known],
            pa.binary(),
        ),
        "headers": pa.array([""] * n, pa.string()),  # long gone
    }
    return pa.record_batch([columns[column] for column in SET_ASIDE.names], schema=SET_ASIDE)


@contextmanager
def suspected(track: Track, pieces: Sequence[Slice], until: NDArray[np.int64]) -> Iterator[None]:
    """Should applying what is due before `until` fail inside, the events that were due are named. In a narrow
    run only: else they are many.
    """
    if not underway.is_narrow():
        yield
        return
    due = list(_due(track, pieces, until))
    try:
        yield
    except Exception:
        failure.suspect(due)
        raise


def _due(track: Track, pieces: Sequence[Slice], until: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    parts = [(piece.events, piece.index) for piece in pieces]
    if (held := track.held) is not None:
        parts.append((held, np.arange(len(held))))
    for events, index in parts:
        at, partition, position = events.at[index], events.partition[index], events.position[index]
        due = at < (until[partition] if len(until) > 1 else until[0])
        yield from zip(partition[due].tolist(), position[due].tolist(), strict=True)
