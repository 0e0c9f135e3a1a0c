"""Rows of the tables from what the kernel emitted: codes become words, references become text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.core.columns import string_array
from pipeline.core.events import take_text
from pipeline.core.layout import (
    CURRENCY,
    DEVICE,
    KINDS,
    NO_DEADLINE,
    REF_BITS,
    SESSION_CLOSED,
    SESSION_CONTINUATION,
    SITE,
    VISIT_CONVERTED,
    VISIT_FIRED,
)
from pipeline.core.raw import copy_bytes
from pipeline.core.slots import session_id
from pipeline.core.track import Emitted
from pipeline.core.words import Words
from schemas.journeys import Journey
from schemas.tables import AT, DIMS, ID128, SECOND, SESSIONS, TRANSITIONS

OUTCOMES = ("open", "converted", "abandoned", "bounced", "browsed")
LEFT_BY = ("open", "converted", "abandoned")


class FactTables:
    """Makes rows of `sessions` and `transitions` for the journeys of a deployment."""

    def __init__(self, journeys: Sequence[Journey]) -> None:
        self.journeys = journeys
        self.names = pa.array([journey.name for journey in journeys])
        self.versions = np.array([journey.version for journey in journeys], np.uint16)
        # Stage names of all journeys in one list: code = journey * 16 + rank, rank 0 is ''.
        table = [""] * (16 * len(journeys))
        for j, journey in enumerate(journeys):
            for stage in journey.stages:
                table[16 * j + stage.rank] = stage.name
        self._stages = table
        self.stages = pa.array(table)
        self.conversion = np.array([journey.conversion for journey in journeys], np.uint8)

    def stage(self, journey: NDArray[Any], rank: NDArray[Any]) -> pa.DictionaryArray:
        """The names of stages by journey number and rank."""
        codes = journey.astype(np.int32) * 16 + rank
        return pa.DictionaryArray.from_arrays(pa.array(codes), self.stages)

    def transitions(self, emitted: Emitted) -> pa.RecordBatch:
        """One row per transition of this call."""
        moved, events, words = emitted.transitions, emitted.events, emitted.state.words
        assert events is not None
        rows = moved["row"].astype(np.int64)
        contexts = emitted.state.slots.contexts
        journey = moved["journey"]
        at = events.at[rows]
        columns: dict[str, pa.Array] = {
            "site": words.column(events.words[rows, SITE]),
            "journey": pa.DictionaryArray.from_arrays(pa.array(journey.astype(np.int32)), self.names),
            "journey_version": pa.array(self.versions[journey]),
            "visitor_id": take_text([(events.visitor, rows)]).arrow(),
            "person_id": _texts(emitted, moved["person"]),
            "session_id": _id128(moved["session_h1"], moved["session_h2"]),
            "sequence": pa.array(moved["sequence"]),
            "at": _at(at),
            "time": _second(at),
            "from_stage": self.stage(journey, moved["from_rank"]),
            "from_rank": pa.array(moved["from_rank"]),
            "to_stage": self.stage(journey, moved["to_rank"]),
            "to_rank": pa.array(moved["to_rank"]),
            "kind": pa.DictionaryArray.from_arrays(pa.array(moved["kind"].astype(np.int32)), pa.array(KINDS)),
            "skipped": self._skipped(journey, moved["skipped"]),
            "event_id": take_text([(events.event_id, rows)]).arrow(),
            "value_e4": pa.array(events.value_e4[rows]),
            "currency": words.column(events.words[rows, CURRENCY]),
            **_dims(words, contexts, moved["context"], ""),
            "from_entered_at": _at(moved["from_entered_at"]),
            "from_deadline_at": _at(moved["from_deadline_at"]),
            **_dims(words, contexts, np.where(moved["from_rank"] > 0, moved["from_context"], -1), "from_"),
        }
        return pa.record_batch([columns[name] for name in TRANSITIONS.names], schema=TRANSITIONS)

    def _skipped(self, journey: NDArray[Any], mask: NDArray[Any]) -> pa.DictionaryArray:
        """The stages of a bit mask by rank, joined by '>'."""
        codes, local = np.unique(journey.astype(np.int32) << 16 | mask, return_inverse=True)
        texts = [
            ">".join(self._stages[16 * (code >> 16) + rank] for rank in range(16) if code >> rank & 1)
            for code in codes.tolist()
        ]
        return pa.DictionaryArray.from_arrays(pa.array(local.astype(np.int32)), pa.array(texts, pa.string()))

    def sessions(self, emitted: Emitted) -> pa.RecordBatch:
        """One row per session of this call, with an entry for each journey it entered."""
        session, words = emitted.sessions, emitted.state.words
        contexts = emitted.state.slots.contexts
        closed = (session["flags"] & SESSION_CLOSED) != 0
        person = np.where(session["user"] != 0, session["user"], session["visitor"])
        zeros = np.zeros(len(session), np.int64)
        columns: dict[str, pa.Array] = {
            "site": words.column(contexts[session["context"], SITE]),
            "visitor_id": _texts(emitted, session["visitor"]),
            "person_id": _texts(emitted, person),
            "session_id": self._session_ids(emitted),
            "started_at": _at(session["started_at"]),
            "ended_at": _at(session["ended_at"]),
            "time": _second(session["started_at"]),
            "events": pa.array(session["events"]),
            "entry_url": _texts(emitted, session["entry_url"]),
            "exit_url": _texts(emitted, session["exit_url"]),
            "orders": pa.array(zeros.astype(np.uint32)),
            "value_e4": pa.array(zeros),
            "currency": words.column(zeros.astype(np.int32)),
            **_dims(words, contexts, session["context"], ""),
            "is_bot": pa.array(zeros.astype(np.bool_)),
            "is_continuation": pa.array((session["flags"] & SESSION_CONTINUATION) != 0),
            "is_closed": pa.array(closed),
            "version": pa.array(session["version"]),
            **self._entered(emitted, closed),
        }
        return pa.record_batch([columns[name] for name in SESSIONS.names], schema=SESSIONS)

    def _session_ids(self, emitted: Emitted) -> pa.Array:
        session = emitted.sessions
        site = emitted.state.slots.contexts[session["context"], SITE]
        site_bytes, site_offsets = emitted.state.words.utf8()
        out = np.empty((len(session), 2), np.uint64)
        _hash_sessions(session, emitted.state.slots.heap, site, site_bytes, site_offsets, out)
        return _id128(out[:, 0], out[:, 1])

    def _entered(self, emitted: Emitted, closed: NDArray[np.bool_]) -> dict[str, pa.Array]:
        """The parallel lists `journeys.*`."""
        visits = emitted.visits
        entered = visits["current"] > 0
        row, j = np.nonzero(entered)
        offsets = pa.array(np.concatenate([[0], np.cumsum(entered.sum(1))]).astype(np.int32))
        session = emitted.sessions[row]
        visit = visits[row, j]
        words, contexts = emitted.state.words, emitted.state.slots.contexts
        converted = (visit["flags"] & VISIT_CONVERTED) != 0
        fired = (visit["flags"] & VISIT_FIRED) != 0
        arrived = visit["current"] >= self.conversion[j]
        ended = closed[row]
        outcome = np.where(
            converted,
            1,
            np.where(
                ~ended,
                0,
                np.where(fired | (visit["furthest"] > 1), 2, np.where(session["events"] == 1, 3, 4)),
            ),
        )
        entered_at = session["started_at"] + visit["entered_ms"]
        timed = visit["deadline_ms"] != NO_DEADLINE
        deadline = np.where(timed, session["started_at"] + visit["deadline_ms"].astype(np.int64), 0)
        left_by = np.where(arrived, 1, np.where(fired | ended, 2, 0))
        left_at = np.where(
            arrived, entered_at, np.where(fired, deadline, np.where(ended, session["ended_at"], 0))
        )
        flat: dict[str, pa.Array] = {
            "journey": pa.DictionaryArray.from_arrays(pa.array(j.astype(np.int32)), self.names),
            "journey_version": pa.array(self.versions[j]),
            "entry_stage": self.stage(j, visit["entry"]),
            "furthest_stage": self.stage(j, visit["furthest"]),
            "furthest_rank": pa.array(visit["furthest"]),
            "outcome": _named(outcome, OUTCOMES),
            "abandoned_stage": self.stage(j, np.where(outcome == 2, visit["current"], 0)),
            "path": self._paths(j, visit["path"]),
            "value_e4": pa.array(visit["value_e4"]),
            "currency": words.column(visit["currency"]),
            "visit_stage": self.stage(j, visit["current"]),
            "visit_rank": pa.array(visit["current"]),
            "visit_entered_at": _at(entered_at),
            "visit_left_at": _at(left_at),
            "visit_deadline_at": _at(deadline),
            "visit_left_by": _named(left_by, LEFT_BY),
            "visit_settled": pa.array(left_by > 0),
            **_dims(words, contexts, visit["context"], "visit_"),
        }
        return {
            f"journeys.{name}": pa.ListArray.from_arrays(
                offsets, values, type=SESSIONS.field(f"journeys.{name}").type
            )
            for name, values in flat.items()
        }

    def _paths(self, journey: NDArray[Any], path: NDArray[np.uint64]) -> pa.DictionaryArray:
        """The first 16 stages that a session walked, joined by '>'."""
        keys = np.rec.fromarrays([path, journey.astype(np.int64)], names="path,journey")
        found, local = np.unique(keys, return_inverse=True)
        texts = []
        for steps, j in found.tolist():
            ranks = [steps >> 4 * k & 15 for k in range(16)]
            texts.append(">".join(self._stages[16 * j + rank] for rank in ranks if rank))
        return pa.DictionaryArray.from_arrays(pa.array(local.astype(np.int32)), pa.array(texts, pa.string()))


@njit(cache=True, nogil=True)
def _hash_sessions(sessions, heap, site, site_bytes, site_offsets, out):  # type: ignore[no-untyped-def]
    longest = 0
    for r in range(sessions.shape[0]):
        size = site_offsets[site[r] + 1] - site_offsets[site[r]]
        longest = max(longest, size + (sessions[r].visitor & ((1 << REF_BITS) - 1)))
    scratch = np.empty(longest + 16, np.uint8)
    for r in range(sessions.shape[0]):
        out[r] = session_id(
            sessions[r], heap, site_bytes, site_offsets[site[r]], site_offsets[site[r] + 1], scratch
        )


@njit(cache=True, nogil=True)
def _gather_refs(heap, refs, offsets, data):  # type: ignore[no-untyped-def]
    for r in range(refs.shape[0]):
        at = refs[r] >> REF_BITS
        copy_bytes(data, offsets[r], heap, at, offsets[r + 1] - offsets[r])


def _texts(emitted: Emitted, refs: NDArray[np.int64]) -> pa.Array:
    """The strings that references into the shard's heap name."""
    offsets = np.zeros(len(refs) + 1, np.int32)
    np.cumsum(refs & ((1 << REF_BITS) - 1), out=offsets[1:])
    data = np.empty(offsets[-1], np.uint8)
    _gather_refs(emitted.state.slots.heap, np.ascontiguousarray(refs), offsets, data)
    return string_array(offsets, data)


def _dims(words: Words, contexts: Any, context: NDArray[Any], prefix: str) -> dict[str, pa.Array]:
    """The six dimensions of a column of contexts; '' everywhere where the context is -1."""
    used, local = np.unique(context, return_inverse=True)
    local = pa.array(local.astype(np.int32))
    out: dict[str, pa.Array] = {}
    for k, name in enumerate(DIMS):
        values = ["" if c < 0 else words.known[contexts[c, DEVICE + k]] for c in used.tolist()]
        out[prefix + name] = pa.DictionaryArray.from_arrays(local, pa.array(values, pa.string()))
    return out


def _named(codes: NDArray[Any], names: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names))


def _id128(h1: NDArray[np.uint64], h2: NDArray[np.uint64]) -> pa.Array:
    both = np.ascontiguousarray(np.column_stack([h1, h2]))
    return pa.FixedSizeBinaryArray.from_buffers(ID128, len(both), [None, pa.py_buffer(both)])


def _at(ms: NDArray[Any]) -> pa.Array:
    return pa.array(np.ascontiguousarray(ms, np.int64)).view(AT)


def _second(ms: NDArray[Any]) -> pa.Array:
    return pa.array(np.ascontiguousarray(ms // 1000, np.int64)).view(SECOND)
