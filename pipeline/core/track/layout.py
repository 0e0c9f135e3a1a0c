"""How a shard keeps its open sessions: packed records, so that an event touches few cache lines, and the
records in which a call says what became of them.

Times inside a session are milliseconds since its start (`*_ms`, 32 bits: 49 days), words are codes of the
shard's word list, and the dimensions of a session are one number: a row of the table of contexts.

Text lies in the shard's heap, each with its length before it. A session knows where (`TEXT_UNIT` bytes a step
from the heap's begin, 0: no text); what is emitted says where and how long (offset << REF_BITS | length).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SESSION: Final = np.dtype(
    [
        ("key", np.uint64),  # hash of lane, site and visitor; 0 where the slot is free
        ("started_at", np.int64),
        ("ended_ms", np.uint32),
        ("visitor", np.uint32),  # text; where SESSION_HAS_USER the user's follows
        ("entry_url", np.uint32),  # text
        ("exit_url", np.uint32),  # text
        ("events", np.uint32),
        ("context", np.int32),  # of a free slot: the next free one, or -1
        ("fired", np.uint16),  # timers that have
        ("lane", np.uint16),
        ("flags", np.uint16),
    ]
)
"""An open session. Its version is `events + fired`, and one more once it is closed."""
VISIT: Final = np.dtype(
    [
        ("path", np.uint64),  # 4 bits a step, oldest lowest
        ("amount", np.int32),  # of the conversion: a row of the table of amounts, 0 for none
        ("context", np.int32),  # dimensions on entering the current stage
        ("entered_ms", np.uint32),
        ("deadline_ms", np.uint32),
        ("sequence", np.uint16),
        ("ranks", np.uint8),  # current (0 where the journey was not entered) | furthest << 4
        ("flags", np.uint8),
    ]
)
"""Where an open session stands in one journey."""
AMOUNT: Final = np.dtype([("value_e4", np.int64), ("currency", np.int32)])
"""What a conversion was worth: few sessions have one, so it lies apart."""

SESSION_OUT: Final = np.dtype(
    [
        ("started_at", np.int64),
        ("ended_at", np.int64),
        ("visitor", np.int64),
        ("user", np.int64),
        ("entry_url", np.int64),
        ("exit_url", np.int64),
        ("version", np.uint32),
        ("events", np.uint32),
        ("context", np.int32),
        ("lane", np.uint16),
        ("flags", np.uint16),
    ]
)
VISIT_OUT: Final = np.dtype(
    [
        ("path", np.uint64),
        ("value_e4", np.int64),
        ("currency", np.int32),
        ("context", np.int32),
        ("entered_ms", np.uint32),
        ("deadline_ms", np.uint32),
        ("current", np.uint8),
        ("furthest", np.uint8),
        ("entry", np.uint8),
        ("flags", np.uint8),
    ]
)
TRANSITION_OUT: Final = np.dtype(
    [
        ("session_h1", np.uint64),
        ("session_h2", np.uint64),
        ("person", np.int64),
        ("from_entered_at", np.int64),
        ("from_deadline_at", np.int64),
        ("row", np.int32),
        ("context", np.int32),
        ("from_context", np.int32),
        ("sequence", np.uint16),
        ("skipped", np.uint16),
        ("journey", np.uint8),
        ("kind", np.uint8),
        ("from_rank", np.uint8),
        ("to_rank", np.uint8),
    ]
)
COUNT_OUT: Final = np.dtype(
    [
        ("minute", np.int64),  # milliseconds, start of the minute
        ("value_e4", np.int64),
        ("site", np.int32),
        ("device", np.int32),
        ("channel", np.int32),
        ("currency", np.int32),
        ("journey", np.uint8),
        ("rank", np.uint8),
        ("what", np.uint8),
        ("pad", np.uint8),
    ]
)

INTENT: Final = np.dtype(
    [
        ("key", np.uint64),
        ("h1", np.uint64),  # session_id; of what comes from outside a session: 0
        ("h2", np.uint64),
        ("at", np.int64),
        ("started_at", np.int64),  # of the session
        ("person", np.int64),
        ("row", np.int32),  # the event; -1: a session was closed
        ("context", np.int32),
        ("seq", np.int32),  # where the event stands in its visitor's order
        ("number", np.uint32),  # the how-manyth event of its session it is, from 1; 0: outside any
        ("visitor", np.uint32),  # text of its session
        ("lane", np.uint16),
        ("flags", np.uint16),  # of its session
    ]
)
"""An event that is an order or means something to objects, or the close of a session that had such events."""

NO_DEADLINE: Final = np.uint32(0xFFFFFFFF)
NEVER: Final = np.iinfo(np.int64).max
NO_DUE: Final = np.uint32(0xFFFFFFFF)
DUE_MS: Final = 1000
"""When a session is due is kept in whole seconds, rounded down: who is due is then looked at exactly."""
REF_BITS: Final = 24
TEXT_UNIT: Final = 4
TEXT_MAX: Final = (1 << 32) * TEXT_UNIT
"""Bytes of text that a shard can keep."""
PATH_STEPS_MAX: Final = 16
"""A path keeps its first 16 steps (4 bits each in one word); a longer one says so by its flag."""
SEQUENCE_MAX: Final = 65_535
"""Transitions per session and journey: beyond that only a robot regresses; no more are recorded."""
FIRED_MAX: Final = 65_520
"""So many timers of a session have fired: then none is wound any more (up to 8 may be running)."""

SESSION_CLOSED: Final = 1
SESSION_CONTINUATION: Final = 2
SESSION_HAS_USER: Final = 4
SESSION_MEANT: Final = 16  # an event of it meant something to objects
SESSION_STALE: Final = 8  # events came that changed no stage, and no row tells of them yet

VISIT_FIRED: Final = 1  # the timer of the current stage has fired
VISIT_CONVERTED: Final = 2
VISIT_PATH_CUT: Final = 4

ENTER, ADVANCE, SKIP, REGRESS, REENTER = range(5)
KINDS: Final = ("enter", "advance", "skip", "regress", "reenter")
ENTERED, ADVANCED, ABANDONED, RECOVERED, VOIDED, CONVERTED = range(6)
"""Columns of schemas.tables.FUNNEL_COUNTS, in that order."""


ASKED: Final = np.dtype(
    [
        ("bit", np.uint32),  # whether its predicate holds, in Rows.bits
        ("rank", np.uint8),
        ("at_least", np.uint8),
        ("count", np.int16),  # the note of how many, or -1
        ("after", np.int16),  # the note of a stage that must have been entered, or -1
        ("unless", np.int16),  # the note of one that must not, or -1
        ("not_before_ms", np.uint32),
    ]
)
"""A rule that enters a stage (schemas.entries.Entry). A *note* is a column of Slots.notes."""


class Rules(NamedTuple):
    """The journeys of a deployment as the kernel reads them: J journeys, ranks from 1 to 15."""

    conversion: NDArray[np.uint8]  # [J] rank
    optional: NDArray[np.uint16]  # [J] bit `rank` where the stage is optional
    abandon_after_ms: NDArray[np.int64]  # [J, 16]; 0: no timer
    asked: NDArray[np.void]  # ASKED: the rules of the journeys that look back, journey by journey
    first: NDArray[np.int64]  # [J + 1] where those of each journey begin: none where each event alone tells
    column: NDArray[np.int64]  # [J] of Rows.bits
    mark: NDArray[np.int64]  # [J, 16] the note of when a stage was first entered, or -1
    has_objects: NDArray[np.bool_]  # [J] then they say what is abandoned


class Limits(NamedTuple):
    """Settings of sessions."""

    gap_ms: int
    length_max_ms: int
    split_at_midnight: bool
    split_on_campaign: bool


class Slots(NamedTuple):
    """The state of a shard as arrays, with room for what one call can add (`state.py` makes it)."""

    sessions: NDArray[np.void]  # SESSION[capacity]
    visits: NDArray[np.void]  # VISIT[capacity, J]
    notes: NDArray[
        np.uint32
    ]  # [capacity, N] counts of events, and 1 + ms after the start that a stage was entered
    due: NDArray[np.uint32]  # [capacity] second in which time alone next changes the session
    due_least: NDArray[np.uint32]  # [blocks] no session of the block is due before
    untold: NDArray[np.uint64]  # a bit per slot: the session has changed since a row told of it
    dirty: NDArray[np.uint64]  # a bit per slot: it has changed, or was freed, since `changes` was asked for
    key_index: NDArray[np.int32]  # open addressing: key -> 1 + slot
    heap: NDArray[np.uint8]  # text
    contexts: NDArray[np.int32]  # [n, CONTEXT_WORDS]
    context_index: NDArray[np.int32]  # open addressing: words -> 1 + context
    amounts: NDArray[np.void]  # AMOUNT[n], the first of nothing
    sizes: NDArray[np.int64]  # FREE, FREE_HEAD, HEAP_USED, CONTEXTS_USED, AMOUNTS_USED


FREE, FREE_HEAD, HEAP_USED, CONTEXTS_USED, AMOUNTS_USED = range(5)
"""Free slots and the first of them; bytes and rows in use."""
DUE_BLOCK: Final = 256


class Out(NamedTuple):
    """What one call of the kernel emits; `sizes` counts the rows used: sessions, transitions, counts,
    intents.
    """

    sessions: NDArray[np.void]  # SESSION_OUT
    visits: NDArray[np.void]  # VISIT_OUT[rows, J]
    transitions: NDArray[np.void]
    counts: NDArray[np.void]
    intents: NDArray[np.void]  # INTENT
    sizes: NDArray[np.int64]


OUT_SESSIONS, OUT_TRANSITIONS, OUT_COUNTS, OUT_INTENTS, OUT_COPIES = range(5)
