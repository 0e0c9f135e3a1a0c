"""Shards as bytewax knows them: keyed steps around the core, with snapshots as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from bytewax.operators import StatefulBatchLogic
from numpy.typing import NDArray

from pipeline.core.count.cohorts import Cohorts, Moves
from pipeline.core.count.count import Count
from pipeline.core.count.tallies import Increments
from pipeline.core.decode.columns import NO_TIME
from pipeline.core.detect import Detector
from pipeline.core.detect.gather import ENDED, Gather, Settled
from pipeline.core.detect.rows import rows
from pipeline.core.facts.tables import Tables
from pipeline.core.follow.follow import Follow, abandoned_of, bought_of
from pipeline.core.limits import Hits
from pipeline.core.orders.orders import Orders
from pipeline.core.seen import MINUTE_MS
from pipeline.core.snapshot import pack, unpack
from pipeline.core.track.objects.objects import Spoken
from pipeline.core.track.track import ALL_TIME, Emitted, Track
from pipeline.runtime import aside, meters
from pipeline.runtime.items import Claims, Counted, Fact, Routed, Time, Tracked, Verdict
from pipeline.runtime.kept import Kept, Promised
from pipeline.runtime.placing import shard_key
from pipeline.runtime.steps import snapshot, step

TELL_EVERY = timedelta(seconds=1)
"""How old a row about an open session may be: in a replay a session changes many times a second, and each row
that is left out costs neither the sink nor the database anything.
"""
TELL_BLOCKS_MAX: Final = 2
"""Blocks of 2,048 rows that a shard tells at once of open sessions, and of the objects of each journey. Where
more change, rows of what has happened go first, and those of how it stands are older: with 8 shards 33,000
sessions a second are told of, a third of what one core can start.
"""


def _limits(hits: Hits, count: int) -> list[Fact]:
    """What is to be said of a limit."""
    rows = hits.rows(count)
    return [Fact("limits", rows)] if rows is not None else []


def _put_known(watermark: NDArray[np.int64], known: NDArray[np.int64]) -> None:
    """How far partitions were: a topic may have more of them now."""
    watermark[: len(known)] = known


class OrdersLogic(StatefulBatchLogic[Claims, "tuple[str, Verdict] | Fact", bytes]):
    """The step `orders`: one for all, because its time is that of all partitions."""

    def __init__(
        self, orders: Orders, time: Time, resume_state: bytes | None, segments: Path | None = None
    ) -> None:
        self._orders = orders
        self._kept = Kept("orders", segments)
        self._forgotten = Hits("orders", 0)
        self._time = time
        self._watermark = np.full(time.partitions, NO_TIME, np.int64)
        self._finished = np.zeros(time.partitions, np.bool_)
        if resume_state is not None:
            state = self._kept.load(resume_state, self._orders)
            _put_known(self._watermark, state["watermark"])

    def on_batch(self, values: list[Claims]) -> tuple[Iterable[tuple[str, Verdict] | Fact], bool]:
        self._kept.settle()
        for claims in values:
            self._watermark[claims.partition] = claims.watermark
            self._finished[claims.partition] = claims.finished
        least = int(self._time.lanes_at(self._watermark, self._finished).min())
        with step("orders"):
            claimed = [claims.claims for claims in values if len(claims.claims)]
            decided = self._orders.apply(claimed, least)
        verdicts = [
            (shard_key(shard), Verdict(shard, decided.watermark, decided.repeats.get(shard)))
            for shard in range(self._time.shards)
        ]
        return [*verdicts, *_limits(self._forgotten, self._orders.seen.evicted)], StatefulBatchLogic.RETAIN

    @snapshot("orders")
    def snapshot(self) -> Promised:
        return self._kept.dump(self._orders, "orders", {"watermark": self._watermark})


class TrackLogic(StatefulBatchLogic["Routed | Verdict", "Fact | Tracked", bytes]):
    """The step `track` of one shard. With `waits` it applies nothing that `orders` has not decided."""

    def __init__(
        self,
        track: Track,
        tables: Tables,
        time: Time,
        moves: Moves,
        waits: bool,
        resume_state: bytes | None,
        segments: Path | None = None,
    ) -> None:
        self._track = track
        self._moves = moves
        self._kept = Kept("track", segments)
        self._tables = tables
        self._time = time
        self._waits = waits
        self._limits: dict[str, Hits] = {}
        self._decided = NO_TIME
        self._watermark = np.full(time.partitions, NO_TIME, np.int64)
        self._finished = np.zeros(time.partitions, np.bool_)
        self._shard = 0
        self._tell_at: datetime | None = None
        self._dropped: pa.RecordBatch | None = None
        if resume_state is not None:
            state = self._kept.load(resume_state, self._track)
            self._shard = state["shard"]
            self._dropped = aside.drop(self._track)
            _put_known(self._watermark, state["watermark"])  # finished or not is said anew in every run
            self._decided = state["decided"]

    def on_batch(self, values: list[Routed | Verdict]) -> tuple[Iterable[Fact | Tracked], bool]:
        self._kept.settle()
        pieces, repeats = [], []
        for value in values:
            self._shard = value.shard
            if isinstance(value, Verdict):
                self._decided = value.watermark
                repeats += [value.repeats] if value.repeats is not None else []
                continue
            self._watermark[value.partition] = value.watermark
            self._finished[value.partition] = value.finished
            pieces += [value.piece] if value.piece is not None else []
        lanes = self._lanes()
        out: list[Fact | Tracked] = []
        tracked = Tracked(self._shard, [], [], [], [], self._time.least(lanes, self._shard))
        with step("track"), aside.suspected(self._track, pieces, lanes):
            for told in self._track.apply(pieces, lanes, repeats):
                with step("facts"):
                    self._tell(told, out, tracked)
        out.append(tracked)
        if self._dropped is not None:
            out.append(Fact("rejected_events", self._dropped))
            self._dropped = None
        for limit, count in self._track.forgotten().items():
            hits = self._limits.setdefault(limit, Hits(limit, self._shard))
            out += _limits(hits, count)
        if self._tell_at is None:
            self._tell_at = datetime.now(UTC) + TELL_EVERY
        return out, StatefulBatchLogic.RETAIN

    def _lanes(self) -> NDArray[np.int64]:
        """How far each lane may go: where orders must be decided, as far as all have come that are."""
        lanes = self._time.lanes_at(self._watermark, self._finished)
        if self._waits:
            lanes = np.full_like(lanes, min(self._decided, self._time.least(lanes, self._shard)))
        return np.maximum(lanes, self._track.watermarks)

    def _tell(self, told: Emitted | Spoken, out: list[Fact | Tracked], tracked: Tracked) -> None:
        """Rows of what happened, and what the next steps must know of it."""
        known = self._track.state.words.known
        tracked.increments.append(Increments(told.counts.copy(), known))
        out += [Fact(table, rows) for table, rows in self._tables.rows(told, self._track.state.words)]
        if isinstance(told, Spoken):
            ranks = self._tables.objects.ranks(told.journey)
            abandoned = abandoned_of(told, ranks, known)
            tracked.abandoned.extend([abandoned] if abandoned else [])
            moved = self._moves.of_objects(told, known)
            tracked.cohorts.extend([moved] if moved else [])
            return
        if len(told.transitions):
            tracked.cohorts.append(self._moves.count(told))
        if len(told.intents):
            bought = bought_of(told)
            tracked.bought.extend([bought] if bought else [])

    def notify_at(self) -> datetime | None:
        return self._tell_at

    def on_notify(self) -> tuple[Iterable[Fact | Tracked], bool]:
        self._tell_at = None
        told = self._told(stale=False, blocks_max=TELL_BLOCKS_MAX)
        if not self._track.all_told:
            meters.put_off()
            self._tell_at = datetime.now(UTC) + TELL_EVERY
        return told, StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[Fact | Tracked], bool]:
        """A stop, or the end of what there is: sessions that are open are told as they stand."""
        return self._told(stale=True), StatefulBatchLogic.RETAIN

    def _told(self, *, stale: bool, blocks_max: int | None = None) -> list[Fact | Tracked]:
        self._kept.settle()
        with step("track"):
            return [
                Fact(table, rows)
                for told in self._track.tell(stale=stale, blocks_max=blocks_max)
                for table, rows in self._tables.rows(told, self._track.state.words)
            ]

    @snapshot("track")
    def snapshot(self) -> Promised:
        track = self._track
        objects = sum(objects.open for objects in track.objects)
        meters.kept_open(self._shard, track.state.open_sessions, objects, len(track.waiting))
        beside = {"shard": self._shard, "watermark": self._watermark, "decided": self._decided}
        return self._kept.dump(track, f"track-{self._shard}", beside)


class FollowLogic(StatefulBatchLogic[Tracked, "Fact | Counted", bytes]):
    """The step `follow` of one shard."""

    def __init__(self, follow: Follow, resume_state: bytes | None, segments: Path | None = None) -> None:
        self._follow = follow
        self._kept = Kept("follow", segments)
        self._forgotten: Hits | None = None
        self._shard = 0
        if resume_state is not None:
            self._shard = self._kept.load(resume_state, self._follow)["shard"]

    def on_batch(self, values: list[Tracked]) -> tuple[Iterable[Fact | Counted], bool]:
        self._kept.settle()
        out: list[Fact | Counted] = []
        for tracked in values:
            self._shard = tracked.shard
            with step("follow"):
                rows, more = self._follow.apply(tracked.abandoned, tracked.bought, tracked.watermark)
            out += [Fact("outcomes", outcomes) for outcomes in rows]
            increments = [*tracked.increments, *more]
            out.append(Counted(tracked.shard, increments, tracked.cohorts, tracked.watermark))
            self._forgotten = self._forgotten or Hits("abandoned", tracked.shard)
            out += _limits(self._forgotten, self._follow.evicted)
        return out, StatefulBatchLogic.RETAIN

    @snapshot("follow")
    def snapshot(self) -> Promised:
        return self._kept.dump(self._follow, f"follow-{self._shard}", {"shard": self._shard})


class CountLogic(StatefulBatchLogic["Counted | Tracked", "Fact | Settled", bytes]):
    """The step `count` of one shard: its minutes, and its cohorts."""

    def __init__(self, count: Count, resume_state: bytes | None) -> None:
        self._count = count
        self._cohorts = Cohorts()
        self._passed = -1  # minute that the step after this one knows has passed
        if resume_state is not None:
            state = unpack("count", resume_state)
            self._count.load(state["count"])
            self._cohorts.load(state["cohorts"])
            self._passed = state["passed"]

    def on_batch(self, values: list[Counted | Tracked]) -> tuple[Iterable[Fact | Settled], bool]:
        self._count.shard = values[0].shard
        watermark = max(counted.watermark for counted in values)
        with step("count"):
            increments = [increment for counted in values for increment in counted.increments]
            rows = self._count.apply(increments, watermark)
            moves = [increment for counted in values for increment in counted.cohorts]
            settled = self._cohorts.apply(moves, watermark)
        out: list[Fact | Settled] = [Fact("funnel_minute", rows)] if rows is not None else []
        passed = ENDED if watermark >= ALL_TIME else watermark // MINUTE_MS - 1
        if passed > self._passed:
            self._passed = passed
            out.append(Settled(self._count.shard, settled, self._cohorts.tallies.words.known, passed))
        return out, StatefulBatchLogic.RETAIN

    @snapshot("count")
    def snapshot(self) -> bytes:
        state = {"count": self._count.dump(), "cohorts": self._cohorts.dump(), "passed": self._passed}
        return pack("count", state)


class DetectLogic(StatefulBatchLogic[Settled, Fact, bytes]):
    """The step `detect`: one for all, because a spike is looked for in what all shards counted."""

    def __init__(self, gather: Gather, detector: Detector, resume_state: bytes | None) -> None:
        self._gather, self._detector = gather, detector
        self._left_out = Hits("segments", 0)
        if resume_state is not None:
            state = unpack("detect", resume_state)
            self._gather.load(state["gather"])
            self._detector.load(state["detector"])

    def on_batch(self, values: list[Settled]) -> tuple[Iterable[Fact], bool]:
        with step("detect"):
            minutes = self._gather.apply(values)
            changed = [episode for minute in minutes for episode in self._detector.apply(minute)]
        out = [Fact("alerts", rows(changed))] if changed else []
        out += _limits(self._left_out, self._gather.left_out + self._detector.refused)
        return out, StatefulBatchLogic.RETAIN

    @snapshot("detect")
    def snapshot(self) -> bytes:
        return pack("detect", {"gather": self._gather.dump(), "detector": self._detector.dump()})
