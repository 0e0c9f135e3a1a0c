"""From settings to a running flow: everything meets here, and in `flow.py` it is put in order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Final, TypeVar

from pipeline.core.admit.admit import Admission, Admit, Partition
from pipeline.core.admit.unknown import names_asked_for
from pipeline.core.count.cohorts import Moves
from pipeline.core.count.count import Count
from pipeline.core.decode.aside import AsideDecoder
from pipeline.core.decode.decoder import TimeBounds
from pipeline.core.detect import Detector
from pipeline.core.detect import Settings as Detection
from pipeline.core.detect.episodes import DROP, SILENCE
from pipeline.core.detect.gather import Gather, Settled, by_journey
from pipeline.core.enrich.enrich import Enrich, needed_fields
from pipeline.core.facts.tables import Tables
from pipeline.core.follow.follow import Follow
from pipeline.core.orders.orders import Orders
from pipeline.core.seen import MINUTE_MS, Seen
from pipeline.core.snapshot import FORMAT
from pipeline.core.stored import STORED_FIELDS, StoredEvents
from pipeline.core.track.layout import Limits
from pipeline.core.track.objects.objects import Objects
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import Track
from pipeline.flow import Dataflow, Parts, build
from pipeline.inputs import Inputs, problems_of_input
from pipeline.runtime import aside, members
from pipeline.runtime.board import Board
from pipeline.runtime.deployment import StateFolder, Stream, open_state
from pipeline.runtime.intake import Idle, Intake
from pipeline.runtime.items import Time
from pipeline.runtime.output import Output
from pipeline.settings import BadSettings, Settings
from pipeline.sources import quarantine
from pipeline.sources.blocks import LiveReader, Reader
from pipeline.sources.kafka.place import is_kafka, parse_place
from pipeline.versions import active_versions
from schemas.alerts import ABANDONMENT, Alerts, load_alerts
from schemas.documents import BadDefinition
from schemas.journeys import Journey, load_journeys
from schemas.mappings import Mapping, load_mapping, orders_missing
from schemas.predicates import fields_of
from sinks.base import Deployment, Sink, SinkRefused
from sinks.both import Fanout
from sinks.registry import open_sink

FOREVER_MS: Final = 1 << 62
"""A live record has its broker's time beside its own; where it has none nothing is too late."""
Argument = TypeVar("Argument")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Plan:
    """A checked run: settings with all they name loaded."""

    settings: Settings
    journeys: tuple[Journey, ...]
    mapping: Mapping
    state: StateFolder
    active: dict[str, int]
    """The version of each journey that the default views show."""
    alerts: Alerts
    rehearses: Callable[[Detection], Detector] | None = None
    """Makes a detector for each version of a journey, active or not, as if that ran alone. None: there is one
    for all that is active.
    """

    @cached_property
    def inputs(self) -> Inputs:
        return Inputs(self.settings, self.state)

    @property
    def closes(self) -> bool:
        """Whether all time passes at the end of the input."""
        return not (self.settings.until_drained or self.inputs.place)

    @property
    def deployment(self) -> Deployment:
        return Deployment(self.state.id, self.settings.shards, FORMAT)

    @property
    def waits_for_orders(self) -> bool:
        """Whether `track` must know which orders are repeats, and so goes by the time of all partitions."""
        return self.mapping.orders is not None

    @property
    def shares_time(self) -> bool:
        """Whether the slowest partition decides how far all are."""
        return self.waits_for_orders or not self.lanes_per_partition

    @property
    def lanes_per_partition(self) -> bool:
        return self.settings.partitioned_by == "visitor"


def plan(settings: Settings, given: tuple[Journey, ...] = ()) -> Plan:
    """Loads and checks everything before anything starts. Journeys that are `given` run instead of those
    that the settings name: in this process only, as others load theirs by name.

    Raises BadSettings with all that is wrong with the settings and with what they name, or else, where the
    state folder does not fit them, DeploymentRefused or StateUnusable.
    """
    problems = problems_of_input(settings)
    journeys = given or _noting(problems, BadDefinition, load_journeys, settings.journey)
    mapping = _noting(problems, BadDefinition, load_mapping, settings.mapping)
    as_of_ms = _noting(problems, BadSettings, _as_of_ms, settings)
    alerts = _noting(problems, BadDefinition, load_alerts, settings.alerts)
    if alerts and (alerts.routes or alerts.heartbeat) and not settings.clickhouse.startswith(DATABASES):
        problems.append(NO_DATABASE)
    for sink in filter(None, (settings.clickhouse, settings.announce)):
        _noting(problems, SinkRefused, open_sink, sink)
    wanted = partial(active_versions, wanted=settings.active)
    active = _noting(problems, BadSettings, wanted, journeys) if journeys else None
    if journeys and mapping:
        problems += orders_missing(journeys, mapping)
    if problems or None in (journeys, mapping, as_of_ms, active, alerts):
        raise BadSettings(problems)
    assert journeys
    assert mapping
    assert alerts
    assert as_of_ms is not None
    assert active is not None
    members.await_first(settings.state, settings.process_id)
    stream = Stream(
        inputs=_named(settings),
        mapping=_digest(mapping.name, repr(mapping)),
        journeys=[_digest(f"{journey.name} {journey.version}", repr(journey)) for journey in journeys],
        shards=settings.shards,
        partitioned_by=settings.partitioned_by,
        sessions={name: getattr(settings, name) for name in STREAM_SETTINGS},
    )
    return Plan(settings, journeys, mapping, open_state(settings.state, stream, as_of_ms), active, alerts)


def _named(settings: Settings) -> list[str]:
    """What is read, by names that stay: brokers may move."""
    if is_kafka(settings.input[0]):
        which = f" from {settings.start} to {settings.until}" if settings.until is not None else ""
        return [f"kafka topic {topic}{which}" for topic in parse_place(settings.input[0]).topics]
    return [str(Path(name).resolve()) for name in settings.input]


DATABASES: Final = ("chdb:", "clickhouse:", "http:", "https:")
NO_DATABASE: Final = (
    "--alerts: its routes and its heartbeat go by what a database says, and --clickhouse names none\n"
    "  hint: write into ClickHouse, or leave routes and heartbeat out"
)

STREAM_SETTINGS: Final = (
    "session_gap_ms",
    "session_length_max_ms",
    "split_at_midnight",
    "split_on_campaign",
    "allowed_lateness_ms",
    "dedup_window_ms",
    "dedup_ids_max",
    "sort",
)
"""What decides over rows, so that it must not change while a state lives."""


def _digest(name: str, text: str) -> str:
    return f"{name} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _noting(
    problems: list[str], kind: type[Exception], load: Callable[[Argument], Result], what: Argument
) -> Result | None:
    """What `load` gives, or None with its complaint among the problems: they are all told at once."""
    try:
        return load(what)
    except kind as error:
        hint = getattr(error, "hint", "")
        problems.append(f"{getattr(error, 'message', error)}" + (f"\n  hint: {hint}" if hint else ""))
        return None


def _as_of_ms(settings: Settings) -> int:
    if settings.as_of is None:
        return int(datetime.now(UTC).timestamp() * 1000)
    try:
        at = datetime.fromisoformat(settings.as_of)
    except ValueError:
        raise BadSettings(
            [f"--as-of: {settings.as_of!r} is no time\n  hint: write it like 2026-01-31T12:00:00Z"]
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def parts(plan: Plan) -> Parts:
    """The parts of the flow for this process. Every process of a run makes the same."""
    settings, journeys = plan.settings, plan.journeys
    origins, folder = plan.inputs.origins, plan.state.path
    named = [quarantine.positions_of(folder, origin.source, origin.number) for origin in origins]
    aside.name(aside.Named(named, [origin.source for origin in origins]))
    rules = compile_rules(journeys)
    limits = Limits(
        settings.session_gap_ms,
        settings.session_length_max_ms,
        settings.split_at_midnight,
        settings.split_on_campaign,
    )
    inputs = plan.inputs
    partitions = len(inputs.origins)
    time = Time(partitions, settings.shards, plan.lanes_per_partition, plan.closes, inputs.first_partitions)

    def track() -> Track:
        copies = partitions > 1 and not plan.lanes_per_partition
        seen = Seen(settings.dedup_window_ms, settings.dedup_ids_max) if copies else None
        return Track(rules, limits, time.lanes, seen, _objects(journeys))

    return Parts(
        intake=_intake(plan),
        enrich=Enrich(journeys, plan.mapping.orders),
        time=time,
        track=track,
        tables=Tables(journeys),
        orders=Orders if plan.waits_for_orders else None,
        follow=partial(Follow, journeys) if any(journey.objects for journey in journeys) else None,
        count=partial(Count, journeys),
        moves=Moves(
            journeys,
            [_is_watched(plan, one) for one in journeys],
            kinds=ABANDONMENT in plan.alerts.rules,
        ),
        gather=partial(Gather, journeys, settings.shards),
        detector=partial(plan.rehearses or Detector, _detection(plan.alerts)),
        detects=partial(by_journey, len(journeys)) if plan.rehearses else _together,
        output=Output(
            _sink(settings),
            plan.deployment,
            1 if _single_writer(settings) else settings.processes,
            settings.clickhouse_retry_ms / 1000,
            settings.serve_port,
            settings.serve_password,
        ),
        stored=StoredEvents([origin.source for origin in inputs.origins]) if settings.store_events else None,
        segments=_segments(plan),
    )


def _is_watched(plan: Plan, journey: Journey) -> bool:
    return plan.rehearses is not None or plan.active[journey.name] == journey.version


def _together(settled: Settled) -> list[tuple[str, Settled]]:
    return [("detect", settled)]


def _detection(alerts: Alerts) -> Detection:
    """The settings of the detector that a definition of alerts asks for. A rule that is off has no budget."""
    usual = Detection()
    return replace(
        usual,
        false_pages_per_week=alerts.false_pages_per_week,
        history_minutes=alerts.history_ms // MINUTE_MS,
        share_whole=usual.share_whole if DROP in alerts.rules else 0.0,
        share_segments=usual.share_segments if DROP in alerts.rules else 0.0,
        share_silence=usual.share_silence if SILENCE in alerts.rules else 0.0,
        warning_value_e4_per_hour=alerts.warning_value_e4_per_hour,
        critical_value_e4_per_hour=alerts.critical_value_e4_per_hour,
    )


def _segments(plan: Plan) -> Path | None:
    """Where large states are logged: in files of one machine."""
    return None if plan.settings.addresses else plan.state.segments


def _objects(journeys: Sequence[Journey]) -> list[Objects]:
    """Those of the journeys that have some; their intents are columns in this order."""
    numbered = [(j, journey) for j, journey in enumerate(journeys) if journey.objects]
    return [Objects(journey, j, column) for column, (j, journey) in enumerate(numbered)]


def _single_writer(settings: Settings) -> bool:
    """An embedded engine locks its folder, and Parquet files are numbered by who writes them."""
    return settings.clickhouse.startswith(("chdb:", "parquet:"))


def _sink(settings: Settings) -> Callable[[int], Sink]:
    def opened(part: int) -> Sink:
        stored = open_sink(settings.clickhouse, settings.clickhouse_retry_ms / 1000)
        return Fanout([stored, open_sink(settings.announce)]) if settings.announce else stored

    return opened


def _intake(plan: Plan) -> Intake:
    settings = plan.settings
    needed, kept = _needed(plan), STORED_FIELDS if settings.store_events else ()
    admission = Admission(
        settings.allowed_lateness_ms,
        settings.dedup_window_ms,
        settings.dedup_ids_max,
        plan.mapping.filters,
        names_asked_for(plan.journeys, plan.mapping.orders),
        plan.mapping.orders,
    )
    inputs = plan.inputs
    bounds = TimeBounds(FOREVER_MS if inputs.place else plan.state.as_of_ms)

    def reader(number: int) -> Reader | LiveReader:
        decoder, origin = AsideDecoder(plan.mapping, needed, bounds, kept), inputs.origins[number]
        own = inputs.open(number, decoder)
        named = quarantine.positions_of(plan.state.path, origin.source, origin.number)
        return quarantine.QuarantineReader(own, decoder, named) if len(named) else own

    def admit(number: int) -> Admit:
        origin, lane = inputs.origins[number], number if plan.lanes_per_partition else 0
        return Admit(Partition(origin.source, origin.number, lane), admission)

    board = Board.open(plan.state.board, len(inputs.origins))
    return Intake(
        origins=inputs.origins,
        open_reader=reader,
        open_admit=admit,
        board=board,
        look_ahead_ms=settings.look_ahead_ms,
        rows_max=settings.batch_rows,
        epoch_bytes_max=settings.epoch_bytes_max,
        idle=Idle(settings.idle_after_ms, settings.allowed_lateness_ms, plan.state.lulls),
        ordered=settings.sort,
        closes=plan.closes,
        cuts=None if plan.lanes_per_partition else plan.state.cuts,
        segments=_segments(plan),
    )


def _needed(plan: Plan) -> tuple[str, ...]:
    """The fields that decide: those of sessions, views and journeys, and those that filters look at."""
    asked = {name for rule in plan.mapping.filters for name in fields_of(rule.predicate)}
    return (*needed_fields(plan.journeys, plan.mapping.orders), *sorted(asked))


def dataflow(plan: Plan) -> Dataflow:
    """The flow of a checked run."""
    return build(parts(plan))


def epoch(settings: Settings) -> timedelta:
    """How often a snapshot is taken: what a crash costs at most is read again."""
    return timedelta(milliseconds=settings.epoch_ms)


__all__ = ["Plan", "dataflow", "epoch", "parts", "plan"]
