"""The whole way of an event, in order. Each step has the word that docs, metrics and tests use.

    read · decode · admit → enrich → route → orders → track → follow → count → detect → write

The first three share one state per source partition and run inside the input (`runtime/intake.py`). With
`--store-events` the events are rows as well, after `enrich` and beside the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bytewax.operators as op
import numpy as np
from bytewax.dataflow import Dataflow

from pipeline.core.count.cohorts import Moves
from pipeline.core.count.count import Count
from pipeline.core.detect import Detector
from pipeline.core.detect.gather import Gather, Settled
from pipeline.core.enrich.enrich import Enrich
from pipeline.core.events import Events
from pipeline.core.facts.tables import Tables
from pipeline.core.follow.follow import Follow
from pipeline.core.orders.orders import CLAIM, Orders, claims
from pipeline.core.route import route
from pipeline.core.stored import StoredEvents
from pipeline.core.track.track import Track
from pipeline.runtime.intake import Arrived, Intake
from pipeline.runtime.items import Claims, Counted, Fact, Routed, Time, Tracked
from pipeline.runtime.output import Output
from pipeline.runtime.placing import shard_key
from pipeline.runtime.shards import CountLogic, DetectLogic, FollowLogic, OrdersLogic, TrackLogic
from pipeline.runtime.steps import step

__all__ = ["Dataflow", "Parts", "build"]

NO_CLAIMS = np.zeros(0, CLAIM)


@dataclass(frozen=True)
class Parts:
    """What a flow is made of; `runtime/build.py` makes them from settings."""

    intake: Intake
    enrich: Enrich
    time: Time
    track: Callable[[], Track]
    tables: Tables
    orders: Callable[[], Orders] | None  # None: no event is an order, and no journey has objects
    follow: Callable[[], Follow] | None  # None: no journey has objects, and nothing is to be followed
    count: Callable[[int], Count]
    moves: Moves
    gather: Callable[[], Gather]
    detector: Callable[[], Detector]
    detects: Callable[[Settled], list[tuple[str, Settled]]]  # which detectors hear of it, by key
    output: Output
    stored: StoredEvents | None  # None: events are not kept
    segments: Path | None = None  # where large states are logged; None: every snapshot holds them whole


def build(parts: Parts) -> Dataflow:
    """The dataflow. Items are batches, never single events."""

    def enriched(arrived: Arrived) -> tuple[Arrived, Events | None]:
        with step("enrich"):
            events = parts.enrich.apply(arrived.admitted, arrived.partition) if arrived.admitted else None
        return arrived, events

    def routed(item: tuple[Arrived, Events | None]) -> list[tuple[str, Routed]]:
        arrived, events = item
        shards = parts.time.shards_of(arrived.partition)
        with step("route"):
            pieces = route(events, len(shards)) if events else [None] * len(shards)
        return [
            (shard_key(shard), Routed(shard, arrived.partition, arrived.watermark, arrived.finished, piece))
            for shard, piece in zip(shards, pieces, strict=True)
        ]

    def claimed(item: tuple[Arrived, Events | None]) -> tuple[str, Claims]:
        arrived, events = item
        with step("orders"):
            own = claims(events, parts.time.shards_of(arrived.partition)) if events else NO_CLAIMS
        return "orders", Claims(arrived.partition, arrived.watermark, arrived.finished, own)

    def set_aside(arrived: Arrived) -> list[tuple[str, Fact]]:
        rows = {**arrived.found, **(arrived.admitted.rows if arrived.admitted else {})}
        return [(str(arrived.partition), Fact(table, batch)) for table, batch in rows.items()]

    def kept(item: tuple[Arrived, Events | None]) -> list[tuple[str, Fact]]:
        arrived, events = item
        if parts.stored is None or events is None or arrived.admitted is None or not len(events):
            return []
        with step("store"):
            rows = parts.stored.rows(arrived.admitted, events, arrived.partition)
        return [(str(arrived.partition), Fact("events", rows))]

    flow = Dataflow("pathline")
    arrived = op.input("intake", flow, parts.intake)
    events = op.map("enrich", arrived, enriched)
    shards = op.flat_map("route", events, routed)
    orders = parts.orders
    if orders is not None:
        claims_ = op.map("claims", events, claimed)
        decided = op.stateful_batch(
            "orders", claims_, lambda state: OrdersLogic(orders(), parts.time, state, parts.segments)
        )
        verdicts = op.filter_map(
            "verdicts", decided, lambda item: None if isinstance(item[1], Fact) else item[1]
        )
        shards = op.merge("decided", shards, verdicts)
    tracked = op.stateful_batch(
        "track",
        shards,
        lambda state: TrackLogic(
            parts.track(), parts.tables, parts.time, parts.moves, orders is not None, state, parts.segments
        ),
    )
    happened = op.filter("happened", tracked, lambda item: isinstance(item[1], Tracked))
    counted, follow = happened, parts.follow
    if follow is not None:
        followed = op.stateful_batch(
            "follow", happened, lambda state: FollowLogic(follow(), state, parts.segments)
        )
        counted = op.filter("counted", followed, lambda item: isinstance(item[1], Counted))
    counts = op.stateful_batch("count", counted, lambda state: CountLogic(parts.count(0), state))
    settled = op.flat_map(
        "settled", counts, lambda item: parts.detects(item[1]) if isinstance(item[1], Settled) else []
    )
    alerts = op.stateful_batch(
        "detect", settled, lambda state: DetectLogic(parts.gather(), parts.detector(), state)
    )
    minutes = op.filter("minutes", counts, lambda item: isinstance(item[1], Fact))
    facts = op.filter("facts", tracked, lambda item: isinstance(item[1], Fact))
    others = op.flat_map("set_aside", arrived, set_aside)
    rows = [facts, minutes, alerts, others]
    if follow is not None:
        rows.append(op.filter("outcomes", followed, lambda item: isinstance(item[1], Fact)))
    if orders is not None:
        rows.append(op.filter("forgotten", decided, lambda item: isinstance(item[1], Fact)))
    if parts.stored is not None:
        rows.append(op.flat_map("store", events, kept))
    op.output("write", op.merge("rows", *rows), parts.output)
    return flow
