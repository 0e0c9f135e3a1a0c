"""The real core in process, from the bytes of records to the final rows, comparable with the oracle's.

`run_core` drives scan, decode, admit, enrich, route, track, facts and count as the runtime does: any cuts
of the partitions into batches, any interleaving, any number of shards, stopped and started anywhere.
`expected` is what the oracle says of the same records; `differences.py` compares the two.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import mmh3
import numpy as np
import pyarrow as pa

from pipeline.core.admit.admit import NO_WATERMARK, Admission, Admit, Partition
from pipeline.core.count.count import Count
from pipeline.core.count.tallies import Increments
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.enrich.enrich import Enrich, channel, needed_fields
from pipeline.core.events import Slice
from pipeline.core.facts.tables import Tables
from pipeline.core.follow.follow import Follow, abandoned_of, bought_of
from pipeline.core.orders.orders import Orders, claims
from pipeline.core.route import route
from pipeline.core.seen import Seen
from pipeline.core.snapshot import pack, unpack
from pipeline.core.track.caps import Caps
from pipeline.core.track.layout import Limits
from pipeline.core.track.objects.objects import Objects, Spoken
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import ALL_TIME, Emitted, Track
from schemas.journeys import Journey
from schemas.mappings import Filter, load_mapping
from schemas.predicates import matches
from schemas.tables import CONSERVATION_COUNTS, DIMS, FUNNEL_COUNTS, KEYS
from sinks.memory import MemorySink
from tests.oracle import Rows, Settings, final_rows
from tests.oracle_walk import Row

SOURCE = "s"
AS_OF_MS = 4_102_444_800_000  # 2100: nothing here is in the future
IDS_MAX = 1_000_000
CAPS = Caps()
BAD_LINES = (
    b"not json",
    b"{",
    b"{}",
    b'"text"',
    b"\xff",
    b'{"visitor_id":"a"}',
    b'{"visitor_id":"a","event_at":"soon"}',
    b'{"event_at":"2026-01-01T00:00:00Z"}',
    b'{"visitor_id":{},"event_at":"2026-01-01T00:00:00Z"}',
)

CANONICAL = load_mapping("canonical")


@dataclass(frozen=True)
class Way:
    """How the records are read, which must not matter.

    `batches` are (partition, number of records), in an order; None: each partition at once. Every `apart`-th
    batch the shards get what was read since. After every `told`-th they tell of the sessions that are open.
    Before the batches in `saves` everything stateful is dumped, before those in `restarts` also thrown away
    and loaded. Before batch `crash` all is lost since the last of these (or the start), but for the rows that
    were written, and what is left is read in pieces of `then`.
    """

    batches: Sequence[tuple[int, int]] | None = None
    shards: int = 1
    apart: int = 1
    told: int = 1
    saves: Collection[int] = ()
    restarts: Collection[int] = ()
    crash: int | None = None
    then: int = 1
    ids_max: int = IDS_MAX
    caps: Caps = CAPS
    filters: tuple[Filter, ...] = ()


DEFAULTS = Settings()
PLAIN = Way()


# --- records as they are sent ---------------------------------------------------------------------------


def line(record: Row | None, number: int = 0) -> bytes:
    """A canonical record as a line of JSON; some line that cannot be an event for None."""
    if record is None:
        return BAD_LINES[number % len(BAD_LINES)]
    told = dict(record)
    for name in ("event_at", "received_at"):
        if told.get(name) is not None:
            told[name] = iso(told[name])
    if "value" in told:
        whole, rest = divmod(told["value"], 10_000)
        told["value"] = float(f"{whole}.{rest:04}")
    if told.get("passive"):
        told["passive"] = True  # stories write passive=1
    return json.dumps(told, ensure_ascii=number % 2 == 0).encode()


def iso(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"


def block(lines: Iterable[bytes]) -> Any:
    return np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8)


def position_id(partition: int, position: int) -> str:
    return f"{SOURCE}:{partition}:{position:012}"


# --- the core ---------------------------------------------------------------------------------------------


class Core:
    """Every step of the house between the bytes and the rows, for one deployment."""

    def __init__(
        self, lines: Sequence[Sequence[bytes]], journeys: Sequence[Journey], settings: Settings, way: Way
    ) -> None:
        self.lines, self.journeys, self.settings, self.way = lines, journeys, settings, way
        partitions = len(lines)
        self.is_laned = settings.partitioned_by == "visitor"
        self.lanes = max(partitions, 1) if self.is_laned else 1
        mapping = replace(CANONICAL, filters=way.filters, orders=settings.orders)
        needed = needed_fields(journeys, settings.orders)
        self.decoder = Decoder(mapping, needed, TimeBounds(AS_OF_MS))
        self.enrich = Enrich(journeys, settings.orders)
        self.tables = Tables(journeys)
        self.sink = MemorySink()
        admission = Admission(
            settings.allowed_lateness_ms,
            settings.dedup_window_ms,
            way.ids_max,
            mapping.filters,
            orders=settings.orders,
        )
        self.admits = [
            Admit(Partition(SOURCE, number, number if self.is_laned else 0), admission)
            for number in range(partitions)
        ]
        self.done = [0] * partitions
        self.waiting: list[list[Slice]] = [[] for _ in range(way.shards)]
        limits = Limits(
            settings.gap_ms, settings.length_max_ms, settings.split_at_midnight, settings.split_on_campaign
        )
        rules = compile_rules(journeys)
        drops_copies = not self.is_laned and partitions > 1
        seen = [
            Seen(settings.dedup_window_ms, way.ids_max) if drops_copies else None for _ in range(way.shards)
        ]
        with_objects = [(j, journey) for j, journey in enumerate(journeys) if journey.objects]
        self.tracks = [
            Track(
                rules,
                limits,
                self.lanes,
                own,
                [Objects(one, j, k) for k, (j, one) in enumerate(with_objects)],
                way.caps,
            )
            for own in seen
        ]
        self.orders = Orders()
        self.claimed: list[Any] = []
        self.follows = [Follow(journeys) for _ in range(way.shards)]
        self.counts = [Count(journeys, shard) for shard in range(way.shards)]

    @property
    def finished(self) -> set[int]:
        """The partitions that are read to their end."""
        return {number for number, own in enumerate(self.lines) if self.done[number] == len(own)}

    def read(self, partition: int, size: int) -> None:
        """At most so many records of a partition, up to the doors of the shards."""
        lines = self.lines[partition][self.done[partition] : self.done[partition] + size]
        data = block(lines)
        at = 0
        while at < len(data):
            decoded, taken = self.decoder.lines(data, at, len(lines))
            at += taken
            position = np.arange(decoded.records) + self.done[partition] + self.settings.first_position
            self.done[partition] += decoded.records
            admitted = self.admits[partition].apply(decoded, position)
            for table, rows in admitted.rows.items():
                self.sink.write(table, rows)
            events = self.enrich.apply(admitted, partition)
            self.claimed.append(claims(events, range(self.way.shards)))
            pieces = route(events, self.way.shards)
            for waiting, piece in zip(self.waiting, pieces, strict=True):
                waiting.append(piece)

    def time(self) -> Any:
        """How far the time of each lane has come."""
        watermarks = [admit.watermark for admit in self.admits] or [NO_WATERMARK]
        if self.is_laned:
            return np.array(watermarks, np.int64)
        finished = self.finished
        running = [mark for number, mark in enumerate(watermarks) if number not in finished]
        return np.array([min(running) if running else max(watermarks)], np.int64)

    def advance(self, to: Any) -> None:
        """The shards take what waits at their doors, and time passes."""
        repeats: dict[int, Any] = {}
        if self.settings.orders is not None or any(journey.objects for journey in self.journeys):
            decided = self.orders.apply(self.claimed, int(to.min()))
            repeats, to = decided.repeats, np.full_like(to, decided.watermark)
        self.claimed = []
        for shard, track in enumerate(self.tracks):
            told = track.apply(self.waiting[shard], to, [repeats[shard]] if shard in repeats else [])
            self.waiting[shard] = []
            self.write(shard, told, int(to.min()))

    def write(self, shard: int, told: Iterable[Emitted | Spoken], watermark: int) -> None:
        """What a shard's sessions and objects say, and what `follow` and `count` make of it."""
        increments, abandoned, bought = [], [], []
        for one in told:
            known = self.tracks[shard].state.words.known
            increments.append(Increments(one.counts.copy(), known))
            for name, part in self.tables.rows(one, self.tracks[shard].state.words):
                self.sink.write(name, part)
            if isinstance(one, Spoken):
                ranks = self.tables.objects.ranks(one.journey)
                abandoned += [part for part in [abandoned_of(one, ranks, known)] if part]
            else:
                bought += [part for part in [bought_of(one)] if part]
        rows, more = self.follows[shard].apply(abandoned, bought, watermark)
        for outcomes in rows:
            self.sink.write("outcomes", outcomes)
        counted = self.counts[shard].apply([*increments, *more], watermark)
        if counted is not None:
            self.sink.write("funnel_minute", counted)

    def tell(self, *, stale: bool = False) -> None:
        """The shards tell of their open sessions."""
        for track in self.tracks:
            for one in track.tell(stale=stale, blocks_max=None if stale else 1):
                for name, part in self.tables.rows(one, track.state.words):
                    self.sink.write(name, part)

    def save(self) -> list[bytes]:
        """All state at the end of an epoch: nothing waits at the doors."""
        self.advance(self.time())
        return [pack("done", {"done": self.done}), *(pack("step", step.dump()) for step in self.steps())]

    def load(self, saved: list[bytes]) -> None:
        """Everything anew, from these bytes. The rows that were written stay."""
        fresh = type(self)(self.lines, self.journeys, self.settings, self.way)
        self.done = unpack("done", saved[0])["done"]
        for step, dumped in zip(fresh.steps(), saved[1:], strict=True):
            step.load(unpack("step", dumped))
        self.adopt(fresh)

    def adopt(self, fresh: Core) -> None:
        """Goes on with the steps of another."""
        self.admits, self.tracks, self.counts = fresh.admits, fresh.tracks, fresh.counts
        self.waiting, self.claimed = fresh.waiting, []
        self.orders, self.follows = fresh.orders, fresh.follows

    def steps(self) -> list[Any]:
        """Whatever has a state."""
        return [*self.admits, self.orders, *self.tracks, *self.follows, *self.counts]


def run_core(
    partitions: Sequence[Sequence[Row | None]],
    journeys: Sequence[Journey],
    settings: Settings = DEFAULTS,
    way: Way = PLAIN,
    make: type[Core] = Core,
) -> Rows:
    """The final rows of the core for the records of each partition in its order, read in this way."""
    return rows_of(drive(partitions, journeys, settings, way, make))


def drive(
    partitions: Sequence[Sequence[Row | None]],
    journeys: Sequence[Journey],
    settings: Settings = DEFAULTS,
    way: Way = PLAIN,
    make: type[Core] = Core,
) -> Core:
    """The core at the end of the records."""
    lines = [[line(record, number) for number, record in enumerate(own)] for own in partitions]
    core = make(lines, journeys, settings, way)
    saved = core.save()
    batches = way.batches if way.batches is not None else [*enumerate(map(len, lines))]
    for step, (partition, size) in enumerate(batches, start=1):
        if step in way.saves or step in way.restarts:
            saved = core.save()
        if step in way.restarts:
            core.load(saved)
        if step == way.crash:
            core.load(saved)
            break
        core.read(partition, size)
        if step % way.apart == 0:
            core.advance(core.time())
        if step % way.told == 0:
            core.tell()
    while len(core.finished) < len(lines):
        for partition in range(len(lines)):
            core.read(partition, way.then)
        core.advance(core.time())
    core.load(core.save())
    if settings.end == "replay":
        core.advance(np.full(core.lanes, ALL_TIME))
    core.tell(stale=True)
    return core


# --- its rows in the oracle's form ------------------------------------------------------------------------


def session_id(home: int, site: str, visitor_id: str, started_at: int) -> bytes:
    """The id by its definition: murmurHash3_128 of site, visitor, start and lane."""
    text = site.encode() + b"\0" + visitor_id.encode() + b"\0"
    return mmh3.hash_bytes(text + started_at.to_bytes(8, "little") + max(home, 0).to_bytes(2, "little"))


def table(sink: MemorySink, name: str) -> Iterator[Row]:
    """Final rows with times in milliseconds."""
    rows = sink.rows(name)
    for column, kind in zip(rows.schema.names, rows.schema.types, strict=True):
        if pa.types.is_timestamp(kind):
            in_ms = rows[column].cast(pa.timestamp("ms", "UTC")).cast(pa.int64())
            rows = rows.set_column(rows.schema.get_field_index(column), column, in_ms)
        elif pa.types.is_list(kind) and pa.types.is_timestamp(kind.value_type):
            in_ms = rows[column].cast(pa.list_(pa.int64()))
            rows = rows.set_column(rows.schema.get_field_index(column), column, in_ms)
    yield from rows.to_pylist()


def rows_of(core: Core) -> Rows:
    """What a reader sees in the end, after what was written on the way has been checked."""
    check_writes(core.sink)
    rows = Rows()
    homes = range(len(core.admits)) if core.is_laned else [-1]
    names: dict[bytes, Row] = {}
    for row in table(core.sink, "sessions"):
        by = (row["site"], row["visitor_id"], row["started_at"])
        (home,) = (home for home in homes if session_id(home, *by) == row["session_id"])
        names[row["session_id"]] = {"partition": home} | dict(
            zip(("site", "visitor_id", "started_at"), by, strict=True)
        )
        rows.sessions.append(_session(row, names[row["session_id"]]))
    for row in table(core.sink, "transitions"):
        name = names[row.pop("session_id")]
        assert (name["site"], name["visitor_id"]) == (row["site"], row["visitor_id"])
        assert row.pop("time") == row["at"] // 1000 * 1000
        rows.transitions.append(name | row)
    rows.visits = list(_visits(rows))
    for row in table(core.sink, "funnel_minute"):
        _count(row, core.journeys, rows)
    for row in table(core.sink, "conservation"):
        counts = Counter({name: row[name] for name in CONSERVATION_COUNTS})
        assert row["source"] == SOURCE
        rows.conservation[row["partition"], row["time"]] = counts
    rows.late = [(row["partition"], row["position"]) for row in table(core.sink, "late_events")]
    rows.rejected = [(row["partition"], row["position"]) for row in table(core.sink, "rejected_events")]
    _read_objects(core, names, rows)
    rows.copies = [(-1, -1)] * sum(track.copies for track in core.tracks)
    return rows


def _read_objects(core: Core, names: dict[bytes, Row], rows: Rows) -> None:
    """Rows of orders and objects, their ids as names: (partition, visitor, start of the session, number)."""
    nothing, things = bytes(16), {bytes(16): None}
    objects = [*table(core.sink, "objects")]
    for row in objects:
        session = names[row.pop("session_id")]
        things[row["object_id"]] = (
            *(session[n] for n in ("partition", "visitor_id", "started_at")),
            row.pop("number"),
        )
    for row in objects:
        assert row.pop("time") == row["opened_at"] // 1000 * 1000
        row |= {"chain": things[row.pop("chain_id")], "object": things[row.pop("object_id")]}
        rows.objects.append(row | {"successor": things[row.pop("successor_id")]})
    for row in table(core.sink, "participations"):
        session = names[row.pop("session_id")]["started_at"]
        assert row.pop("time") == session // 1000 * 1000
        rows.participations.append(row | {"session": session, "chain": things[row.pop("chain_id")]})
    for row in table(core.sink, "outcomes"):
        chain = things[row.pop("chain_id")]
        row["abandoned_at"] = row.pop("time")
        rows.outcomes.append(row | {"chain": chain})
    for row in table(core.sink, "orders"):
        assert row.pop("time") == row["at"] // 1000 * 1000
        session = row.pop("session_id")
        rows.orders.append(row | {"session": None if session == nothing else names[session]["started_at"]})
    rows.order_changes = [*table(core.sink, "order_changes")]


def check_writes(sink: MemorySink) -> None:
    """A row that was written twice was the same row: facts always, others of one version."""
    versioned = ("sessions", "objects", "participations", "outcomes")
    facts = ("transitions", "late_events", "rejected_events", "orders", "order_changes")
    for name in (*versioned, *facts):
        keys = (*KEYS[name], "version") if name in versioned else KEYS[name]
        first: dict[tuple[Any, ...], Row] = {}
        for written in sink.blocks[name]:
            for row in written.to_pylist():
                key = tuple(row[column] for column in keys)
                assert first.setdefault(key, row) == row, f"{name}: two rows are {key}"


def _session(row: Row, name: Row) -> Row:
    """A row of the table with its parallel lists as a row per journey."""
    assert row.pop("time") == row["started_at"] // 1000 * 1000
    for later in ("orders", "value_e4", "currency", "is_bot"):
        assert not row.pop(later)
    assert row.pop("partition") == max(name["partition"], 0)
    del row["session_id"]
    lists = [key for key in row if key.startswith("journeys.")]
    columns = {key.removeprefix("journeys."): row.pop(key) for key in lists}
    entries = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return name | row | {"journeys": entries}


def _visits(rows: Rows) -> Iterator[Row]:
    """Stays as bi.stage_visits tells them: those that a transition ended, and the one where a session stands.
    Whose stay it is was said by the transition that began it.
    """
    begun: dict[tuple[Any, ...], Row] = {}
    keys = ("partition", "site", "visitor_id", "started_at")
    names = (*keys, "journey", "journey_version")
    for row in sorted(rows.transitions, key=lambda row: row["sequence"]):
        key = tuple(row[name] for name in names)
        if row["from_stage"]:
            left = {
                "stage": row["from_stage"],
                "rank": row["from_rank"],
                "entered_at": row["from_entered_at"],
                "deadline_at": row["from_deadline_at"],
                "left_at": row["at"],
                "left_by": "regressed" if row["kind"] == "regress" else "advanced",
                "settled": True,
                "person_id": begun[key]["person_id"],
            }
            yield dict(zip(names, key, strict=True)) | left | {dim: row["from_" + dim] for dim in DIMS}
        begun[key] = row
    for session in rows.sessions:
        for entry in session["journeys"]:
            key = (*(session[name] for name in keys), entry["journey"], entry["journey_version"])
            stay = {
                name.removeprefix("visit_"): value
                for name, value in entry.items()
                if name.startswith("visit_")
            }
            stay["person_id"] = begun[key]["person_id"]
            yield dict(zip(names, key, strict=True)) | stay


def _count(row: Row, journeys: Sequence[Journey], rows: Rows) -> None:
    (journey,) = (one for one in journeys if one.name == row["journey"])
    assert journey.stages[row["rank"] - 1].name == row["stage"]
    names = ("site", "journey", "journey_version", "time", "stage", "device", "channel", "currency")
    key = tuple(row[name] for name in names)
    rows.funnel[key].update({name: row[name] for name in (*FUNNEL_COUNTS, "value_e4")})


# --- what the oracle says ---------------------------------------------------------------------------------


def expected(
    partitions: Sequence[Sequence[Row | None]],
    journeys: Sequence[Journey],
    settings: Settings = DEFAULTS,
    way: Way = PLAIN,
) -> Rows:
    """The oracle's rows. It leaves the channel to `enrich`, and ids and filters to the settings."""
    told = [[record and with_channel(record) for record in own] for own in partitions]
    own = replace(
        settings,
        position_id=position_id,
        is_filtered=lambda record: any(matches(rule.predicate, record) for rule in way.filters),
    )
    return final_rows(told, journeys, own)


def with_channel(record: Row) -> Row:
    named = record.get("channel") or channel(record.get("source", ""), record.get("medium", ""), "")
    return record | {"channel": named}
