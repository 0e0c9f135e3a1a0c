"""Rows of the tables from what the kernel emitted: codes become words, references become text.

The kernels of `spread.py` write the columns, `frames.py` makes Arrow arrays of them without a copy; here they
get their names. Every dictionary holds each word once: ClickHouse refuses others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.core.facts import spread
from pipeline.core.facts.frames import ZERO, Plan, lists
from pipeline.core.facts.sequences import Sequences, masked, walked
from pipeline.core.track.layout import KINDS
from pipeline.core.track.track import Emitted
from schemas.journeys import Journey
from schemas.tables import DIMS, SESSIONS, TRANSITIONS

LIST: Final = "journeys."


def _dims(prefix: str, first: int) -> dict[str, int]:
    return {prefix + name: first + k for k, name in enumerate(DIMS)}


_PLAIN: Final = {field.name: field.type for field in SESSIONS if not field.name.startswith(LIST)}
_LISTS: Final = {
    field.name.removeprefix(LIST): field.type for field in SESSIONS if field.name.startswith(LIST)
}
_SESSIONS: Final = Plan(
    _PLAIN,
    {
        "started_at": spread.S_STARTED,
        "ended_at": spread.S_ENDED,
        "time": spread.S_TIME,
        "events": spread.S_EVENTS,
        "version": spread.S_VERSION,
        "site": spread.S_SITE,
        **_dims("", spread.S_DIMS),
        "visitor_id": spread.S_VISITOR,
        "person_id": spread.S_PERSON,
        "entry_url": spread.S_ENTRY,
        "exit_url": spread.S_EXIT,
        "session_id": 0,
        "is_closed": spread.S_CLOSED,
        "partition": spread.S_LANE,
        "is_continuation": spread.S_CONTINUATION,
        **dict.fromkeys(("orders", "value_e4", "currency", "is_bot"), ZERO),
    },
    {},
)
_VISITS: Final = Plan(
    {name: type_.value_type for name, type_ in _LISTS.items()},
    {
        "journey": spread.V_JOURNEY,
        "journey_version": 0,
        "entry_stage": spread.V_ENTRY,
        "furthest_stage": spread.V_FURTHEST,
        "furthest_rank": spread.V_FURTHEST_RANK,
        "outcome": spread.V_OUTCOME,
        "abandoned_stage": spread.V_ABANDONED,
        "path": spread.V_PATH,
        "value_e4": spread.V_VALUE,
        "currency": spread.V_CURRENCY,
        "visit_stage": spread.V_STAGE,
        "visit_rank": spread.V_RANK,
        "visit_entered_at": spread.V_ENTERED,
        "visit_left_at": spread.V_LEFT,
        "visit_deadline_at": spread.V_DEADLINE,
        "visit_left_by": spread.V_LEFT_BY,
        "visit_settled": 0,
        **_dims("visit_", spread.V_DIMS),
    },
    {
        **dict.fromkeys(("entry_stage", "furthest_stage", "abandoned_stage", "visit_stage"), "stage"),
        "visit_left_by": "left_by",
        **{f"visit_{name}": name for name in DIMS},
    },
)
_TRANSITIONS: Final = Plan(
    {field.name: field.type for field in TRANSITIONS},
    {
        "site": spread.T_SITE,
        "journey": spread.T_JOURNEY,
        "journey_version": spread.T_VERSION,
        "visitor_id": spread.T_VISITOR,
        "person_id": spread.T_PERSON,
        "session_id": 0,
        "sequence": spread.T_SEQUENCE,
        "at": spread.T_AT,
        "time": spread.T_TIME,
        "from_stage": spread.T_FROM,
        "from_rank": spread.T_FROM_RANK,
        "to_stage": spread.T_TO,
        "to_rank": spread.T_TO_RANK,
        "kind": spread.T_KIND,
        "skipped": spread.T_SKIPPED,
        "event_id": spread.T_EVENT_ID,
        "value_e4": spread.T_VALUE,
        "currency": spread.T_CURRENCY,
        **_dims("", spread.T_DIMS),
        "from_entered_at": spread.T_FROM_ENTERED,
        "from_deadline_at": spread.T_FROM_DEADLINE,
        **_dims("from_", spread.T_FROM_DIMS),
    },
    {"from_stage": "stage", "to_stage": "stage", **{f"from_{name}": name for name in DIMS}},
)


class FactTables:
    """Makes rows of `sessions` and `transitions` for the journeys of a deployment."""

    def __init__(self, journeys: Sequence[Journey]) -> None:
        ranks = [[""] * 16 for _ in journeys]
        for j, journey in enumerate(journeys):
            for stage in journey.stages:
                ranks[j][stage.rank] = stage.name
        stages = list(dict.fromkeys(name for row in ranks for name in row))
        names = list(dict.fromkeys(journey.name for journey in journeys))
        self._rules = spread.Stages(
            stage=np.array([[stages.index(name) for name in row] for row in ranks], np.int32),
            journey=np.array([names.index(journey.name) for journey in journeys], np.int32),
            version=np.array([journey.version for journey in journeys], np.uint16),
            conversion=np.array([journey.conversion for journey in journeys], np.uint8),
            has_objects=np.array([journey.objects is not None for journey in journeys]),
        )
        self._fixed = {
            "stage": _array(stages),
            "journey": _array(names),
            "outcome": _array(spread.OUTCOMES),
            "left_by": _array(spread.LEFT_BY),
            "kind": _array(KINDS),
        }
        self._paths, self._skips = Sequences(ranks, walked), Sequences(ranks, masked)

    def transitions(self, emitted: Emitted) -> pa.RecordBatch:
        """One row per transition of this call."""
        moved, state = emitted.transitions, emitted.state
        assert emitted.events is not None, "transitions come of events"
        n, rows, slots = len(moved), emitted.events.rows(), state.slots
        text_bytes = spread.measure_transitions(moved, rows.visitor_offsets, rows.event_id_offsets)
        out = _TRANSITIONS.room(n, text_bytes)
        known, skips = state.words.naming.open(), self._skips.open(n)
        spread.spread_transitions(moved, rows, slots.contexts, slots.heap, self._rules, known, skips, out)
        skipped = self._skips.array(out.i32[spread.T_SKIPPED])
        words = {**self._fixed, **state.words.naming.arrays(), "skipped": skipped}
        return pa.record_batch(_TRANSITIONS.arrays(out, n, words), schema=TRANSITIONS)

    def sessions(self, emitted: Emitted) -> pa.RecordBatch:
        """One row per session of this call, with an entry for each journey it entered."""
        sessions, visits, state = emitted.sessions, emitted.visits, emitted.state
        n, slots = len(sessions), state.slots
        entered, *text_bytes, longest = spread.measure_sessions(sessions, visits)
        out, visited = _SESSIONS.room(n, text_bytes), _VISITS.room(entered)
        offsets = np.empty(n + 1, np.int32)
        known, paths = state.words.naming.open(), self._paths.open(entered)
        site_bytes, site_offsets = state.words.utf8()
        scratch = np.empty(int(np.diff(site_offsets).max()) + longest + 16, np.uint8)
        spread.spread_sessions(
            sessions, slots.contexts, slots.heap, site_bytes, site_offsets, scratch, known, out
        )
        spread.spread_visits(sessions, visits, slots.contexts, self._rules, known, paths, offsets, visited)
        path = self._paths.array(visited.i32[spread.V_PATH])
        words = {**self._fixed, **state.words.naming.arrays(), "path": path}
        plain = _SESSIONS.arrays(out, n, words)
        listed = lists(_LISTS.values(), offsets, _VISITS.arrays(visited, entered, words))
        return pa.record_batch([*plain, *listed], schema=SESSIONS)


def _array(words: Iterable[str]) -> pa.Array:
    return pa.array(list(words), pa.string())
