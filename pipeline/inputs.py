"""What a run reads: files, or the topics of a Kafka; checked, and opened partition by partition."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from pipeline.core.decode.decoder import Decoder
from pipeline.runtime import members
from pipeline.runtime.board import Board
from pipeline.runtime.deployment import StateFolder
from pipeline.runtime.incidents import partition_added
from pipeline.runtime.intake import Origin
from pipeline.runtime.lulls import Lull, Lulls
from pipeline.settings import Settings
from pipeline.sources import quarantine
from pipeline.sources.blocks import LiveReader, Reader
from pipeline.sources.files import UnknownFileType, is_lines, open_reader
from pipeline.sources.kafka.consumer import Brokers
from pipeline.sources.kafka.partitions import (
    EARLIEST,
    LATEST,
    STORED,
    Partitions,
    TopicPart,
    Unreachable,
    discover,
    time_ms,
)
from pipeline.sources.kafka.place import BadPlace, KafkaPlace, is_kafka, parse_place
from pipeline.sources.kafka.reader import KafkaReader
from schemas.documents import BadDefinition
from schemas.mappings import load_mapping


def problems_of_input(settings: Settings) -> list[str]:
    """All that is wrong with what the settings name to read, and with who reads it."""
    members_ = members.problems(
        settings.process_id, settings.addresses, settings.workers, settings.clickhouse
    )
    return [*_problems_of_what(settings), *members_]


def _problems_of_what(settings: Settings) -> list[str]:
    if not settings.input:
        return ["--input: nothing to read\n  hint: name the files: --input FILE, again for more"]
    kafka = [name for name in settings.input if is_kafka(name)]
    if kafka and len(settings.input) > 1:
        problem = "--input: topics and files, or topics of two places, cannot be read together"
        return [f"{problem}\n  hint: one kafka://host:port/topic,topic alone, or files"]
    return list(_problems_of_topics(settings) if kafka else _problems_of_files(settings))


def _problems_of_topics(settings: Settings) -> Iterator[str]:
    try:
        parse_place(settings.input[0], settings.kafka_config)
    except BadPlace as error:
        yield f"{error.message}\n  hint: {error.hint}"
    if settings.sort:
        yield "--sort: a topic cannot be sorted\n  hint: leave it out; --allowed-lateness bounds disorder"
    if not settings.kafka_timestamps and not _maps_received_at(settings.mapping):
        yield (
            "--kafka-timestamps: without them the mapping must say when a record was received\n"
            "  hint: map received_at, or one fast clock would make all others late"
        )
    if settings.start not in (EARLIEST, LATEST, STORED):
        try:
            time_ms(settings.start)
        except ValueError:
            yield (
                f"--start: {settings.start!r} is no place to begin\n"
                "  hint: earliest, latest, stored, or a time like 2026-01-31T12:00:00Z"
            )
    if settings.until is not None:
        yield from _problems_of_end(settings.until)


def _problems_of_end(until: str) -> Iterator[str]:
    try:
        if time_ms(until) > time.time() * 1000:
            yield f"--to: {until} is to come\n  hint: leave it out, to read what is there"
    except ValueError:
        yield f"--to: {until!r} is no time\n  hint: write it like 2026-01-31T12:00:00Z"


def _maps_received_at(mapping: str) -> bool:
    with suppress(BadDefinition):
        return "received_at" in load_mapping(mapping).fields
    return True  # what is wrong with it is told elsewhere


def _problems_of_files(settings: Settings) -> Iterator[str]:
    files = [Path(name) for name in settings.input]
    for path in files:
        yield from _problems_of_file(path)
    resolved = [path.resolve() for path in files]
    for path in sorted({path for path in resolved if resolved.count(path) > 1}):
        yield f"--input: {path} is given twice\n  hint: every file is a partition of its own: name it once"
    if settings.until_drained and settings.sort:
        yield "--until-drained: not together with --sort\n  hint: a file that still grows cannot be sorted"
    yield from quarantine.problems(
        settings.quarantine, [(path.name, number) for number, path in enumerate(files)]
    )


def _problems_of_file(path: Path) -> Iterator[str]:
    if path.is_dir():
        yield f"--input: {path} is a folder\n  hint: name the files in it, each with its own --input"
        return
    try:
        path.open("rb").close()
        is_lines(path)
    except FileNotFoundError:
        yield f"--input: {path}: no such file\n  hint: paths count from {Path.cwd()}"
    except OSError as error:
        yield f"--input: {path}: {error.strerror}\n  hint: it must be a file that this user can read"
    except UnknownFileType as error:
        yield str(error)


@dataclass(frozen=True)
class Inputs:
    """What a deployment reads. Which partitions a topic has is known once `begin` has asked."""

    settings: Settings
    state: StateFolder

    @cached_property
    def place(self) -> KafkaPlace | None:
        """The topics; None for files."""
        name = self.settings.input[0]
        return parse_place(name, self.settings.kafka_config) if is_kafka(name) else None

    @property
    def is_live(self) -> bool:
        """Whether there may be more at any time, and the run has no end of its own."""
        return self.place is not None and not self.settings.until_drained

    @property
    def group(self) -> str:
        """Under which the broker is told how far we are."""
        return self.settings.group or f"pathline-{self.state.id[:12]}"

    @property
    def _partitions(self) -> Partitions:
        return Partitions(self.state.path / "partitions.json")

    def begin(self) -> list[TopicPart]:
        """Asks which partitions there are, and writes them down; returns those that are new to a deployment
        that had begun. Raises Unreachable or BadPlace.
        """
        if self.place is None:
            return []
        known = self._partitions.read()
        try:
            found = discover(self.place, known, self.settings.start, self.group, self.settings.until)
        except (Unreachable, BadPlace):
            if not known:
                self.state.unbegin()  # a slip in a name is no deployment
            raise
        if found != known:
            self._partitions.write(found)
        return found[len(known) :] if known else []

    def welcome(self, new: list[TopicPart], *, shares_time: bool) -> list[pa.RecordBatch]:
        """Rows that tell of partitions that are `new` to a deployment which has begun. Where all partitions
        share one time, what has passed has passed for them too: what they bring from before is late. To be
        called before the board of the last run is gone.
        """
        known = len(self._partitions.read()) - len(new)
        board = self.state.board
        reached = min(Board.open(board, known).column("watermark_ms")) if board.exists() and known else 0
        if shares_time and reached > 0:
            for number, part in enumerate(new, start=known):
                Lulls.of(self.state.lulls, number).add(Lull(0, part.offset, reached))
        return [partition_added(part.topic, part.partition, part.offset) for part in new]

    def has_grown(self) -> bool:
        """Whether the topics have partitions that nobody reads yet."""
        assert self.place is not None
        known = self._partitions.read()
        return len(discover(self.place, known, self.settings.start, self.group)) > len(known)

    @cached_property
    def parts(self) -> list[TopicPart]:
        """The partitions of the topics, as they were written down."""
        return self._partitions.read() if self.place else []

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """All partitions, in their order."""
        if self.place:
            return tuple(Origin(part.topic, part.partition, None) for part in self.parts)
        files = [Path(name) for name in self.settings.input]
        return tuple(Origin(path.name, number, path) for number, path in enumerate(files))

    @property
    def first_partitions(self) -> int:
        """How many there were when the deployment began: where visitors live was settled then."""
        return sum(not part.is_new for part in self.parts) if self.place else len(self.settings.input)

    @cached_property
    def _brokers(self) -> Brokers:
        assert self.place is not None
        return Brokers(self.place, self.group)

    def open(self, number: int, decoder: Decoder) -> Reader | LiveReader:
        """The reader of a partition. All of one process share a consumer."""
        settings = self.settings
        if self.place is None:
            path = Path(settings.input[number])
            return open_reader(path, decoder, growing=settings.until_drained, ordered=settings.sort)
        return KafkaReader(
            self.parts[number],
            self._brokers,
            decoder,
            until_end=settings.until_drained,
            takes_timestamps=settings.kafka_timestamps,
        )
