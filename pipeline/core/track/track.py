"""Sessions, stages and timers of one shard: `(state, slices, watermarks) -> (state', facts)`.

Events wait here until the watermark of their time passes them, then they are applied per visitor in
total order (`kernel.py`). Nothing that leaves depends on where a batch ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.events import TEXTS, Events, Slice, gather, room
from pipeline.core.orders.orders import REPEAT
from pipeline.core.rows import OUTSIDE
from pipeline.core.seen import ENTRY, LONG_AGO, MINUTE_MS, Seen
from pipeline.core.track import kernel
from pipeline.core.track.caps import Caps, Chunk, at_once, by_minutes, forget_sessions, quiet_sessions
from pipeline.core.track.due import next_due, set_due
from pipeline.core.track.intents import work_out
from pipeline.core.track.layout import (
    COUNT_OUT,
    INTENT,
    OUT_COPIES,
    OUT_INTENTS,
    SESSION_OUT,
    TRANSITION_OUT,
    VISIT_OUT,
    Limits,
    Out,
    Rules,
)
from pipeline.core.track.objects.layout import NOTHING_CLAIMED, PRODUCTS_MAX, Claimed
from pipeline.core.track.objects.match import read_orders
from pipeline.core.track.objects.objects import Intents, Objects, Spoken
from pipeline.core.track.rules import notes_of
from pipeline.core.track.state import ShardState
from pipeline.core.track.waiting import Waiting
from schemas.orders import PLACED

ALL_TIME: int = np.iinfo(np.int64).max - 1
"""The watermark at the end of a replay: everything is past."""


class SessionIds(NamedTuple):
    """What a session's id is hashed from, beside its own record."""

    site_bytes: NDArray[np.uint8]
    site_offsets: NDArray[np.int64]
    scratch: NDArray[np.uint8]
    words: NDArray[np.int32]  # scratch


@dataclass(frozen=True)
class Emitted:
    """What one call has to say, still in the shard's codes: `facts.py` makes rows of it at once,
    because text references hold only until the next call.
    """

    sessions: NDArray[np.void]  # SESSION_OUT
    visits: NDArray[np.void]  # VISIT_OUT[n, J]
    transitions: NDArray[np.void]  # TRANSITION_OUT
    counts: NDArray[np.void]  # COUNT_OUT
    intents: NDArray[np.void]  # INTENT: orders, refunds and cancellations
    claimed: Claimed  # what these were about
    events: Events  # that the transitions' rows point into
    state: ShardState


class Track:
    """One shard. `lanes` is the number of source partitions whose time visitors follow (1 where a
    visitor's records may lie in any partition: then time is the least of all).
    """

    def __init__(
        self,
        rules: Rules,
        limits: Limits,
        lanes: int,
        seen: Seen | None,
        objects: Sequence[Objects] = (),
        caps: Caps = Caps(),  # noqa: B008 (it cannot change)
    ) -> None:
        self.rules = rules
        self.caps = caps
        self.objects = list(objects)
        self.limits = limits
        self.state = ShardState(len(rules.conversion), notes_of(rules))
        self.state.lodgers = [*self.objects]
        self.repeats = np.zeros(0, REPEAT)
        self.seen = seen
        self.waiting = Waiting()
        self.watermarks = np.full(lanes, np.iinfo(np.int64).min, np.int64)
        self.copies = 0
        self.sessions_forgotten = 0
        self._told_to = 0  # the word of `untold` with which `tell` goes on

    def forgotten(self) -> dict[str, int]:
        """How much was forgotten early, by the name of the limit (schemas.limits)."""
        return {
            "copy_ids": self.seen.evicted if self.seen else 0,
            "open_sessions": self.sessions_forgotten,
            "open_objects": sum(objects.forgotten for objects in self.objects),
        }

    @property
    def held(self) -> Events | None:
        """A copy of the events that wait; None for nothing."""
        return self.waiting.all(self._recode)

    def apply(
        self,
        slices: Sequence[Slice],
        watermarks: NDArray[np.int64],
        repeats: Sequence[NDArray[np.void]] = (),
    ) -> Iterable[Emitted | Spoken]:
        """Takes in `slices`, applies what lies before `watermarks` (per lane, never falling) and lets
        time pass. `repeats` are the orders before these that only repeat one; they may come before their
        events. Each result must be used up before the next is asked for.
        """
        if repeats:
            self.repeats = np.concatenate([self.repeats, *repeats])
        assert (watermarks >= self.watermarks).all(), "a watermark never falls"
        before, self.watermarks = self.watermarks, watermarks.copy()
        batch, order = self._ready(slices)
        for chunk in self._chunks(batch, order, before):
            done, left = False, chunk.rows
            while not done:
                out, done = self._advance(batch, left, chunk.until)
                yield from self._emit(out, batch)
                yield from self._live(out, batch, int(chunk.until.min()) if done else LONG_AGO)
                left = left[:0]
            if len(chunk.turned):
                yield from self._forget(chunk)
        if len(self.repeats):
            self.repeats = self.repeats[self.repeats["at"] >= watermarks.min()]
        self.state.tidy()

    def tell(self, *, stale: bool = False, blocks_max: int | None = None) -> Iterable[Emitted | Spoken]:
        """The open sessions and objects that have changed since a row told of them: by a start, a transition
        or a timer; with `stale` also the sessions that have only had more events.

        What is closed is told at once. How often the others are is the caller's choice, as long as the stale
        ones are told in the end. With `blocks_max` at most so many blocks of EXPIRE_ROWS of each are told,
        and the next call goes on behind them: `all_told` says whether that is so.
        """
        nothing = self._no_events()
        word, blocks = 0 if blocks_max is None else self._told_to, 0
        while word >= 0 and blocks != blocks_max:
            out = _out(kernel.EXPIRE_ROWS, 0, self.state.journeys)
            word, blocks = kernel.tell(self.state.slots, out, word, stale), blocks + 1
            yield from self._emit(out, nothing)
        self._told_to = max(word, 0)
        for objects in self.objects:
            yield from objects.tell(blocks_max)

    @property
    def all_told(self) -> bool:
        """Whether the last `tell` came to the end of what is open."""
        return not (self._told_to or any(objects.told_to for objects in self.objects))

    def _ready(self, slices: Sequence[Slice]) -> tuple[Events, NDArray[np.int64]]:
        """All events that are due as one batch in the shard's words, and its rows by visitor."""
        due = self.waiting.turn(slices, int(self.watermarks.max()), self._is_due, self._recode)
        if not due:
            return self._no_events(), np.empty(0, np.int64)
        batch = gather(due, self._recode)
        self._forget_repeats(batch)
        return batch, np.argsort(batch.key)

    def _is_due(self, at: NDArray[np.int64], partition: NDArray[np.int32]) -> NDArray[np.bool_]:
        lanes = self.watermarks[partition] if len(self.watermarks) > 1 else self.watermarks[0]
        due: NDArray[np.bool_] = at < lanes
        return due

    def _no_events(self) -> Events:
        looking_back = int((self.rules.column >= 0).sum())
        widths = (self.state.journeys, looking_back, int(self.rules.has_objects.sum()))
        return room(0, widths, (0,) * len(TEXTS), [""])

    def _forget_repeats(self, batch: Events) -> None:
        """A repeated order is an event like any other: no order, and it enters no stage."""
        if not len(self.repeats):
            return
        placed = np.flatnonzero(batch.order == PLACED)
        told = set(zip(self.repeats["partition"].tolist(), self.repeats["position"].tolist(), strict=True))
        where = zip(batch.partition[placed].tolist(), batch.position[placed].tolist(), strict=True)
        rows = placed[[at in told for at in where]]
        batch.fate[rows] &= OUTSIDE
        for column in (batch.match, batch.bits, batch.back):
            column[rows] = 0

    def _recode(self, events: Events) -> tuple[list[str], NDArray[np.int32] | None]:
        if events.known is self.state.words.known:
            return events.known, None
        return self.state.words.known, self.state.words.codes(events.known)

    def _lanes(self, batch: Events) -> NDArray[np.int32]:
        if len(self.watermarks) == 1:
            return np.zeros(len(batch), np.int32)
        return batch.partition

    def _chunks(self, batch: Events, order: NDArray[np.int64], before: NDArray[np.int64]) -> Iterable[Chunk]:
        """What to apply at once, or minute by minute where something may have to be forgotten."""
        if self.seen is not None and len(order):
            self.seen.forget(int(before.min()) // MINUTE_MS * MINUTE_MS)
            self.seen.reserve(len(order))
        if self._has_room(len(order)):
            if self.seen is not None and len(order):
                self.seen.turned(int(batch.at[order].max()) // MINUTE_MS * MINUTE_MS)
            yield at_once(order, self.watermarks)
            return
        for chunk in by_minutes(batch, order, before, self.watermarks):
            if self.seen is not None and len(chunk.rows):
                self.seen.turn(chunk.turned_at - MINUTE_MS)
            yield chunk

    def _has_room(self, events: int) -> bool:
        """Whether nothing can become too much, whatever the events are."""
        return (
            (self.seen is None or self.seen.alive + events <= self.seen.ids_max)
            and self.state.open_sessions + events <= self._sessions_max
            and all(objects.open + events <= self.caps.objects for objects in self.objects)
        )

    @property
    def _sessions_max(self) -> int:
        """Of a lane."""
        return max(1, self.caps.sessions // len(self.watermarks))

    def _forget(self, chunk: Chunk) -> Iterable[Emitted | Spoken]:
        """At the turn of a minute: of too many open sessions and objects the quietest."""
        for lane in chunk.turned.tolist():
            slots = self.state.slots
            places = quiet_sessions(slots, lane, self._sessions_max)
            self.sessions_forgotten += len(places)
            for first in range(0, len(places), kernel.EXPIRE_ROWS):
                piece = places[first : first + kernel.EXPIRE_ROWS]
                keys = slots.sessions["key"][piece]
                out = _out(len(piece), 0, self.state.journeys)
                forget_sessions(slots, out, piece)
                yield from self._emit(out, self._no_events())
                for objects in self.objects:
                    yield from objects.forget_browsing(keys, chunk.turned_at)
        for objects in self.objects:
            yield from objects.forget_quietest(self.caps.objects, chunk.turned_at)

    def _advance(self, batch: Events, order: NDArray[np.int64], until: NDArray[np.int64]) -> tuple[Out, bool]:
        """One call of the kernel; True with the last."""
        n, journeys = len(order), self.state.journeys
        slots = self.state.reserve(batch.key, order, batch.text_bytes if n else 0)
        out = _out(2 * n + kernel.EXPIRE_ROWS, n, journeys)
        site_bytes, site_offsets = self.state.words.utf8()
        longest = int(np.diff(site_offsets).max()) + _longest(batch.visitor.offsets) + 16
        ids = SessionIds(site_bytes, site_offsets, np.empty(longest, np.uint8), np.empty(8, np.int32))
        seen = self.seen or Seen(0, 0, np.zeros(1, ENTRY))
        done = kernel.advance(
            slots, self.rules, self.limits, out, batch.rows(), order, self._lanes(batch),
            seen.entries, seen.sizes, seen.window_ms if self.seen else -1, ids, until,
        )  # fmt: skip
        intents = out.intents[: out.sizes[OUT_INTENTS]]
        if len(intents):
            work_out(slots, intents, batch.rows(), ids)
        self.copies += int(out.sizes[OUT_COPIES])
        return out, bool(done)

    def _emit(self, out: Out, events: Events) -> Iterable[Emitted]:
        sessions, transitions, counts, intents = out.sizes[:OUT_COPIES].tolist()
        orders = _orders(out.intents[:intents], events)
        if sessions or counts or len(orders):
            yield Emitted(
                out.sessions[:sessions],
                out.visits[:sessions],
                out.transitions[:transitions],
                out.counts[:counts],
                orders,
                _claimed(orders, events),
                events,
                self.state,
            )

    def _live(self, out: Out, events: Events, until: int) -> Iterable[Spoken]:
        """What a call of the kernel means to the objects."""
        if not self.objects:
            return
        rows = out.intents[: out.sizes[OUT_INTENTS]]
        orders = np.flatnonzero(rows["row"] >= 0)
        orders = orders[events.order[rows["row"][orders]] == PLACED]
        order_of = np.full(len(rows), -1, np.int32)
        order_of[orders] = np.arange(len(orders))
        intents = Intents(rows, order_of, _claimed(rows[orders], events))
        slots = self.state.slots
        for objects in self.objects:
            yield from objects.apply(intents, events, slots.contexts, slots.heap, self.state.words, until)

    # --- snapshots ---

    def dump(self) -> dict[str, Any]:
        """The state for a snapshot: what is open, what waits, and how far time has come."""
        return {
            "frames": [
                {
                    "state": self.state.dump(),
                    "held": self.waiting.dump(whole=True),
                    "objects": [objects.dump(self.state.words) for objects in self.objects],
                }
            ],
            "rest": self.rest(),
        }

    def rest(self) -> dict[str, Any]:
        """All of the state but what `changes` tells of."""
        return {
            "seen": self.seen.dump() if self.seen else None,
            "watermarks": self.watermarks,
            "copies": self.copies,
            "sessions_forgotten": self.sessions_forgotten,
            "repeats": self.repeats,
            "objects_forgotten": [objects.forgotten for objects in self.objects],
        }

    @property
    def bytes(self) -> int:
        """About what `changes` tells of has in memory."""
        sessions = self.state.bytes_without_text + self.state.bytes_of_text
        return sessions + self.waiting.bytes + sum(objects.bytes for objects in self.objects)

    @property
    def rows(self) -> int:
        """What a sweep has to pass: as it begins with all that waits, it must take its time where that is
        more than there are sessions.
        """
        places = (len(objects.kept.records) for objects in self.objects)
        return max(len(self.state.slots.sessions), len(self.waiting), *places)

    @property
    def dirty(self) -> int:
        """Rows that have changed since `changes` was asked for."""
        return self.state.dirty + self.waiting.untold + sum(objects.dirty for objects in self.objects)

    @property
    def moved(self) -> bool:
        """A session stays in its slot."""
        return False

    def changes(self, first: int, stop: int) -> dict[str, Any]:
        """Sessions and objects that have changed and events that have begun to wait since this was last asked
        for, and all in the places from `first` to `stop`; with the first place also all events that wait.
        """
        begins = first == 0
        held = self.waiting.dump(whole=begins)
        objects = [one.changes(self.state.words, first, stop) for one in self.objects]
        return {
            "begins": begins,
            "state": self.state.changes(first, stop),
            "held": held,
            "objects": objects,
        }

    def take_out(self, which: NDArray[np.bool_]) -> Events:
        """Takes some of the waiting events out of a state that was just loaded."""
        held = self.held
        assert held is not None
        self.waiting.replace(held.take(np.flatnonzero(~which)))
        return held.take(np.flatnonzero(which))

    def load(self, dumped: dict[str, Any]) -> None:
        """Goes on, under the same settings, from what `dump` wrote, or `rest` and `changes`."""
        rest = dumped["rest"]
        self.waiting = Waiting()
        known = np.array(rest["watermarks"])
        self.watermarks[: len(known)] = known  # the topic may have more partitions now
        self.state = ShardState.load(
            self.state.journeys,
            self.state.notes,
            self._sessions_of(dumped["frames"]),
            lambda slots: _refile(slots, self.limits.gap_ms),
        )
        if self.seen is not None:
            self.seen = Seen.load(self.seen.window_ms, self.seen.ids_max, rest["seen"])
        self.copies = rest["copies"]
        self.sessions_forgotten = rest["sessions_forgotten"]
        self.repeats = np.array(rest["repeats"])
        self.state.lodgers = [*self.objects]
        for objects, forgotten in zip(self.objects, rest["objects_forgotten"], strict=True):
            objects.settle(self.state.words, forgotten)

    def _sessions_of(self, frames: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
        """The sessions of each frame; the rest of it goes where it belongs. All events that wait are in the
        frame that begins the last sweep, or in later ones.
        """
        for frame in frames:
            if frame.get("begins"):
                self.waiting = Waiting()
            self.waiting.load(frame["held"], self._is_due)
            for objects, own in zip(self.objects, frame["objects"], strict=True):
                objects.take_in(own)
            yield frame["state"]


@njit(cache=True, nogil=True)
def _refile(slots, gap_ms):  # type: ignore[no-untyped-def]
    """Files when the sessions just loaded are due."""
    for slot in range(slots.sessions.shape[0]):
        if slots.sessions[slot].key != 0:
            when, _ = next_due(slots, slot, gap_ms)
            set_due(slots, slot, when)


def _longest(offsets: NDArray[np.int32]) -> int:
    return int(np.diff(offsets).max()) if len(offsets) > 1 else 0


def _orders(intents: NDArray[np.void], events: Events) -> NDArray[np.void]:
    """Those that are orders, refunds or cancellations."""
    if not len(intents):
        return intents
    of_events = intents[intents["row"] >= 0]
    return np.asarray(of_events[events.order[of_events["row"]] > 0])


def _claimed(orders: NDArray[np.void], events: Events) -> Claimed:
    """What these orders were about."""
    n = len(orders)
    if not n:
        return NOTHING_CLAIMED
    claimed = Claimed(
        np.zeros(n, np.uint64),
        np.zeros((n, PRODUCTS_MAX), np.uint32),
        np.zeros(n, np.uint8),
        np.zeros(n, np.int64),
    )
    read_orders(events.detail.offsets, events.detail.data, orders["row"].astype(np.int64), *claimed)
    return claimed


def _out(sessions: int, events: int, journeys: int) -> Out:
    """Room for so many rows. An event counts at most a timer or an end, and four more with its transition."""
    transitions = events * journeys
    return Out(
        np.empty(sessions, SESSION_OUT),
        np.empty((sessions, journeys), VISIT_OUT),
        np.empty(transitions, TRANSITION_OUT),
        np.empty(6 * transitions + 2 * sessions * journeys, COUNT_OUT),
        np.empty(events + sessions, INTENT),
        np.zeros(5, np.int64),
    )
