"""The rows that the pipeline writes: one pinned Arrow schema per table of database `pathline`.

A sink checks every batch against these before anything is sent (ClickHouse's Arrow path casts
silently). Ids are raw bytes here and hex text in the views; money is an integer of 1/10,000 of the
currency unit (`*_e4`), so that sums do not depend on their order.

`KEYS` names the columns that make a row the same row: written twice, a row replaces itself. Where a
row has a history, `version` counts the changes that records caused to it, and the highest wins.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

WORD: Final = pa.dictionary(pa.int32(), pa.string())
"""A word of small cardinality (device, channel, stage, ...); LowCardinality(String) in ClickHouse."""

AT: Final = pa.timestamp("ms", "UTC")
SECOND: Final = pa.timestamp("s", "UTC")
ID128: Final = pa.binary(16)

DIMS: Final = ("device", "channel", "source", "medium", "campaign", "country")
"""The dimensions of a session or an event, '' when not known."""


def _fields(prefix: str, names: tuple[str, ...], type_: pa.DataType) -> list[pa.Field]:
    return [pa.field(prefix + name, type_, nullable=False) for name in names]


def _schema(*fields: pa.Field | list[pa.Field] | tuple[str, pa.DataType]) -> pa.Schema:
    flat: list[pa.Field] = []
    for field in fields:
        if isinstance(field, list):
            flat += field
        elif isinstance(field, tuple):
            flat.append(pa.field(*field, nullable=False))
        else:
            flat.append(field)
    return pa.schema(flat)


SESSIONS: Final = _schema(
    ("site", WORD),
    ("visitor_id", pa.string()),
    ("person_id", pa.string()),
    ("session_id", ID128),
    ("started_at", AT),
    ("ended_at", AT),
    ("time", SECOND),  # started_at in whole seconds: the sorting key that dashboards filter on
    ("events", pa.uint32()),
    ("entry_url", pa.string()),
    ("exit_url", pa.string()),
    ("orders", pa.uint32()),
    ("value_e4", pa.int64()),
    ("currency", WORD),
    _fields("", DIMS, WORD),
    ("is_bot", pa.bool_()),
    ("is_continuation", pa.bool_()),  # began because the session before reached session_length_max
    ("is_closed", pa.bool_()),
    ("partition", pa.int32()),  # whose time the visitor follows; 0 where that is the least of all
    ("version", pa.uint32()),
    # One entry per session-scoped journey that the session entered; all lists have one length.
    ("journeys.journey", pa.list_(pa.field("item", WORD, nullable=False))),
    ("journeys.journey_version", pa.list_(pa.field("item", pa.uint16(), nullable=False))),
    ("journeys.entry_stage", pa.list_(pa.field("item", WORD, nullable=False))),
    ("journeys.furthest_stage", pa.list_(pa.field("item", WORD, nullable=False))),
    ("journeys.furthest_rank", pa.list_(pa.field("item", pa.uint8(), nullable=False))),
    ("journeys.outcome", pa.list_(pa.field("item", WORD, nullable=False))),
    ("journeys.abandoned_stage", pa.list_(pa.field("item", WORD, nullable=False))),
    ("journeys.path", pa.list_(pa.field("item", WORD, nullable=False))),  # stages joined by '>'
    ("journeys.value_e4", pa.list_(pa.field("item", pa.int64(), nullable=False))),
    ("journeys.currency", pa.list_(pa.field("item", WORD, nullable=False))),
    # The stay in the stage where the session stands (or ended); the stays before it are in transitions.
    ("journeys.visit_stage", pa.list_(pa.field("item", WORD, nullable=False))),
    ("journeys.visit_rank", pa.list_(pa.field("item", pa.uint8(), nullable=False))),
    ("journeys.visit_entered_at", pa.list_(pa.field("item", AT, nullable=False))),
    ("journeys.visit_left_at", pa.list_(pa.field("item", AT, nullable=False))),  # epoch 0: not left
    ("journeys.visit_deadline_at", pa.list_(pa.field("item", AT, nullable=False))),  # epoch 0: none
    ("journeys.visit_left_by", pa.list_(pa.field("item", WORD, nullable=False))),
    ("journeys.visit_settled", pa.list_(pa.field("item", pa.bool_(), nullable=False))),
    *[(f"journeys.visit_{dim}", pa.list_(pa.field("item", WORD, nullable=False))) for dim in DIMS],
)
"""A session and where it stands in each session-scoped journey."""

TRANSITIONS: Final = _schema(
    ("site", WORD),
    ("journey", WORD),
    ("journey_version", pa.uint16()),
    ("visitor_id", pa.string()),
    ("person_id", pa.string()),
    ("session_id", ID128),
    ("sequence", pa.uint16()),  # 1, 2, 3, ... within session and journey
    ("at", AT),
    ("time", SECOND),
    ("from_stage", WORD),  # '' on the first
    ("from_rank", pa.uint8()),  # 0 on the first
    ("to_stage", WORD),
    ("to_rank", pa.uint8()),
    ("kind", WORD),  # enter advance skip regress reenter
    ("skipped", WORD),  # stages joined by '>'
    ("event_id", pa.string()),
    ("value_e4", pa.int64()),
    ("currency", WORD),
    _fields("", DIMS, WORD),  # of the event; where it says nothing, of its session
    # The stay that this transition ended (from_stage): together with the open stay of each session
    # (sessions.journeys.visit_*) these are all stage visits, without a row of their own.
    ("from_entered_at", AT),  # epoch 0 on the first
    ("from_deadline_at", AT),  # epoch 0: no timer
    _fields("from_", DIMS, WORD),
)
"""A change of stage. Final when it appears."""

FUNNEL_COUNTS: Final = (
    "entered",
    "advanced",
    "abandoned",
    "recovered",
    "voided",
    "converted",
)
FUNNEL_MINUTE: Final = _schema(
    ("site", WORD),
    ("journey", WORD),
    ("journey_version", pa.uint16()),
    ("time", SECOND),  # start of the minute in which it occurred
    ("stage", WORD),
    ("rank", pa.uint8()),
    ("device", WORD),
    ("channel", WORD),
    ("currency", WORD),
    ("shard", pa.uint16()),
    _fields("", FUNNEL_COUNTS, pa.uint64()),
    ("value_e4", pa.int64()),
)
"""Counters of a minute: absolute, each only grows, so the highest of several writes is right."""

CONSERVATION_COUNTS: Final = ("received", "accepted", "duplicate", "late", "rejected", "filtered")
CONSERVATION: Final = _schema(
    ("source", WORD),  # topic or file
    ("partition", pa.int32()),
    ("time", SECOND),  # minute of the partition's watermark before the record
    _fields("", CONSERVATION_COUNTS, pa.uint64()),
)
"""What became of every record: absolute, each only grows."""

SET_ASIDE: Final = _schema(
    ("reason", WORD),
    ("source", WORD),  # topic or file
    ("partition", pa.int32()),
    ("position", pa.int64()),  # Kafka offset, or line (row) number from 1
    pa.field("event_at", AT, nullable=True),
    pa.field("received_at", AT, nullable=True),
    ("payload", pa.binary()),
    ("headers", pa.string()),  # JSON list of [name, value], empty without
)
"""A record that was late or rejected, with its bytes."""

FRESHNESS: Final = _schema(
    ("site", WORD),
    ("source", WORD),
    ("partition", pa.int32()),
    ("watermark", AT),
    ("updated_at", AT),  # wall clock: outside the law
)
"""How far each source partition has come."""

UNKNOWN_EVENTS: Final = _schema(
    ("source", WORD),  # topic or file
    ("partition", pa.int32()),
    ("event", WORD),
    ("events", pa.uint64()),
)
"""Accepted events whose name no running journey asks for: absolute since the beginning, only grows."""

EVENTS: Final = _schema(
    ("site", WORD),
    ("visitor_id", pa.string()),
    ("event_at", AT),
    pa.field("received_at", AT, nullable=True),
    ("event", WORD),
    ("event_id", pa.string()),
    ("user_id", pa.string()),
    ("url", pa.string()),
    ("referrer", pa.string()),
    _fields("", DIMS, WORD),  # the channel where the producer gave none is that of the channel rules
    ("cart_id", pa.string()),
    ("order_id", pa.string()),
    ("products", pa.list_(pa.field("item", pa.string(), nullable=False))),
    ("quantity", pa.int64()),
    ("value_e4", pa.int64()),
    ("currency", WORD),
    ("passive", pa.bool_()),
    ("properties", pa.string()),  # JSON of an object, '' for none
    ("flags", pa.uint8()),  # a sum of schemas.events.FLAG_*
    ("input", WORD),  # topic or file: elsewhere `source`, which here is that of the campaign
    ("partition", pa.int32()),
    ("position", pa.int64()),  # Kafka offset, or line (row) number from 1
)
"""An accepted event with all its canonical fields. Final when it appears."""

OBJECTS: Final = _schema(
    ("site", WORD),
    ("journey", WORD),
    ("journey_version", pa.uint16()),
    ("visitor_id", pa.string()),
    ("person_id", pa.string()),  # as known at the last activity
    ("session_id", ID128),  # that opened it
    ("object_id", ID128),
    ("chain_id", ID128),  # the object_id of the first of those that followed each other
    ("number", pa.uint32()),  # the how-manyth event of its session opened it
    ("kind", WORD),  # browse cart checkout payment
    ("stage", WORD),
    ("rank", pa.uint8()),
    ("state", WORD),  # open at_risk completed withdrawn superseded abandoned
    ("final_state", WORD),  # how its chain ended: completed withdrawn abandoned; open before
    ("opened_at", AT),
    ("time", SECOND),  # opened_at in whole seconds: the sorting key that dashboards filter on
    ("deadline_at", AT),  # epoch 0: none
    ("abandoned_at", AT),  # epoch 0: not
    ("resolved_at", AT),  # epoch 0: open
    ("successor_id", ID128),  # zeros: none
    ("order_id", pa.string()),  # that completed it
    ("cart_id", pa.string()),
    ("products", pa.list_(pa.field("item", pa.string(), nullable=False))),
    ("value_e4", pa.int64()),  # at risk
    ("currency", WORD),
    _fields("", DIMS, WORD),  # of the event that opened it; where it says nothing, of its session
    ("version", pa.uint32()),
)
"""A visit's browsing, a cart, a checkout or a payment, whatever became of it up to being abandoned."""

PARTICIPATIONS: Final = _schema(
    ("site", WORD),
    ("journey", WORD),
    ("journey_version", pa.uint16()),
    ("session_id", ID128),
    ("time", SECOND),  # start of the session
    ("chain_id", ID128),
    ("state", WORD),  # of the chain: open completed withdrawn abandoned
    ("stage", WORD),  # of the chain's last object
    ("rank", pa.uint8()),
    ("version", pa.uint32()),
)
"""A session that took part in the life of a cart, a checkout or a payment: its outcome hangs on theirs."""

OUTCOMES: Final = _schema(
    ("site", WORD),
    ("journey", WORD),
    ("journey_version", pa.uint16()),
    ("chain_id", ID128),
    ("time", SECOND),  # when it was abandoned
    ("state", WORD),  # recovered expired void
    ("resolved_at", AT),
    ("order_id", pa.string()),
    ("recovered_value_e4", pa.int64()),
    ("currency", WORD),
    ("is_evicted", pa.bool_()),  # expired early, because too many were kept
    ("version", pa.uint32()),
)
"""What became of a chain of objects after it was abandoned."""

ORDERS: Final = _schema(
    ("site", WORD),
    ("order_id", pa.string()),
    ("visitor_id", pa.string()),
    ("person_id", pa.string()),
    ("session_id", ID128),  # zeros: outside any session
    ("event_id", pa.string()),
    ("at", AT),
    ("time", SECOND),
    ("value_e4", pa.int64()),
    ("currency", WORD),
    ("products", pa.list_(pa.field("item", pa.string(), nullable=False))),
    ("cart_id", pa.string()),
    ("is_late", pa.bool_()),
    _fields("", DIMS, WORD),
)
"""An order, once per order_id; final when it appears."""

ORDER_CHANGES: Final = _schema(
    ("site", WORD),
    ("order_id", pa.string()),
    ("change_id", pa.string()),  # the id of the event that said so
    (
        "partition",
        pa.int32(),
    ),  # where that lay, and where in it: two copies are two rows, and one in the view
    ("position", pa.int64()),
    ("kind", WORD),  # refunded cancelled
    ("at", AT),
    ("value_e4", pa.int64()),  # 0: all of it
    ("currency", WORD),
    ("is_late", pa.bool_()),
)
"""A refund or a cancellation; final when it appears."""

ACTIVE_VERSIONS: Final = _schema(
    ("journey", WORD),
    ("version", pa.uint16()),
)
"""Which version of each journey the default views show. The row written last holds."""

STAGES: Final = _schema(
    ("journey", WORD),
    ("journey_version", pa.uint16()),
    ("rank", pa.uint8()),  # from 1
    ("stage", WORD),
    ("is_optional", pa.bool_()),
    ("is_conversion", pa.bool_()),
    ("has_objects", pa.bool_()),  # of the journey
)
"""The stages of a definition, as a run says them at its start. The row written last holds."""

LIMITS: Final = _schema(
    ("limit", WORD),  # schemas.limits
    ("place", pa.int32()),  # partition or shard
    ("hits", pa.uint64()),
    ("meaning", WORD),
    ("remedy", WORD),
)
"""A limit that was hit: absolute since the beginning, only grows."""

INCIDENTS: Final = _schema(
    ("kind", WORD),  # schemas.incidents
    ("source", WORD),
    ("partition", pa.int32()),
    ("first", pa.int64()),  # position
    ("until", pa.int64()),  # the position after the last
    ("found_at", AT),  # wall clock: outside the law
    ("meaning", WORD),
    ("remedy", WORD),
)
"""What happened to a source that its records do not tell. The row written last holds."""

ALERTS: Final = _schema(
    ("alert_id", ID128),
    ("version", pa.uint32()),  # how often it has been told of
    ("journey", WORD),
    ("journey_version", pa.uint16()),
    ("rule", WORD),  # drop silence
    ("rank", pa.uint8()),
    ("stage", WORD),
    ("scope", pa.string()),  # 'device=mobile'; '': everybody
    ("site", WORD),  # where the scope is one of a site; '': all
    ("state", WORD),  # firing resolved
    ("time", SECOND),  # when it started
    ("detected_at", SECOND),
    ("resolved_at", SECOND),  # epoch 0: not yet
    _fields("", ("observed", "expected", "low", "high"), pa.float64()),
    ("entrants", pa.uint64()),
    _fields("", ("lost_orders", "lost_orders_low", "lost_orders_high"), pa.float64()),
    _fields("", ("lost_value_e4", "lost_value_low_e4", "lost_value_high_e4"), pa.int64()),
    ("cause", pa.string()),  # the smallest scope that explains it
    ("mix", pa.float64()),
    ("mix_dimension", WORD),
    ("unaffected", pa.list_(pa.field("item", pa.string(), nullable=False))),
    ("verdict", WORD),  # shop tracking unsure
    ("severity", WORD),  # info warning critical
    ("smallest_drop", pa.float64()),
    ("reason", pa.string()),
)
"""A change of an episode of alerts; final when it appears. The highest version is how it stands."""

TABLES: Final[dict[str, pa.Schema]] = {
    "sessions": SESSIONS,
    "transitions": TRANSITIONS,
    "funnel_minute": FUNNEL_MINUTE,
    "conservation": CONSERVATION,
    "late_events": SET_ASIDE,
    "rejected_events": SET_ASIDE,
    "freshness": FRESHNESS,
    "unknown_events": UNKNOWN_EVENTS,
    "active_versions": ACTIVE_VERSIONS,
    "stages": STAGES,
    "events": EVENTS,
    "objects": OBJECTS,
    "participations": PARTICIPATIONS,
    "outcomes": OUTCOMES,
    "orders": ORDERS,
    "order_changes": ORDER_CHANGES,
    "limits": LIMITS,
    "incidents": INCIDENTS,
    "alerts": ALERTS,
}

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "sessions": ("site", "time", "visitor_id", "session_id"),
    "transitions": ("site", "journey", "journey_version", "time", "visitor_id", "session_id", "sequence"),
    "funnel_minute": (
        "site",
        "journey",
        "journey_version",
        "time",
        "stage",
        "device",
        "channel",
        "currency",
        "shard",
    ),
    "conservation": ("source", "partition", "time"),
    "late_events": ("source", "partition", "position"),
    "rejected_events": ("source", "partition", "position"),
    "freshness": ("site", "source", "partition"),
    "unknown_events": ("source", "partition", "event"),
    "active_versions": ("journey",),
    "stages": ("journey", "journey_version", "rank"),
    "events": ("site", "visitor_id", "event_at", "input", "partition", "position"),
    "objects": ("site", "journey", "journey_version", "time", "visitor_id", "object_id"),
    "participations": ("site", "journey", "journey_version", "time", "session_id", "chain_id"),
    "outcomes": ("site", "journey", "journey_version", "time", "chain_id"),
    "orders": ("site", "time", "order_id"),
    "order_changes": ("site", "order_id", "change_id", "at", "partition", "position"),
    "limits": ("limit", "place", "meaning", "remedy"),
    "incidents": ("kind", "source", "partition", "first"),
    "alerts": ("alert_id", "version"),
}
