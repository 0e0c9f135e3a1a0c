"""Journey definitions: YAML as a frozen `Journey`, or everything that is wrong with it at once.

One event enters at most one stage per journey: the highest whose rule holds. Only `regress` rules, explicit
evidence such as an emptied cart, move a journey back. Reaching the conversion stage converts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schemas.conditions import read_condition
from schemas.documents import BadDefinition, Document, Problem, read_definition, shipped_names
from schemas.entries import NEVER, Entry, read_entries, stage_rank
from schemas.nodes import Node
from schemas.objects import Objects, read_objects
from schemas.predicates import Predicate

STAGES_MAX: Final = 15
"""A session keeps the path that it walked in 4 bits a step, and 0 means no stage."""
RULES_MAX: Final = 32
"""Stages and regress rules of one journey in all: a bit each in a uint32 per event."""
JOURNEYS_MAX: Final = 8
"""At once: every open session holds a slot for each."""
VERSION_MAX: Final = 65_535
ABANDON_AFTER_MS_MAX: Final = 24 * 3_600_000
"""As long as a session can be: what takes longer is not abandoned within one."""

_FOLDER: Final = "journeys"
_REQUIRED: Final = ("journey", "version", "conversion", "stages")
_KEYS: Final = (*_REQUIRED, "key", "regress", "objects")


@dataclass(frozen=True)
class Stage:
    """A step of the journey; `rank` counts from 1. One that is `optional` is never called skipped."""

    name: str
    rank: int
    optional: bool
    entries: tuple[Entry, ...]
    """Any one of them will do."""
    abandon_after_ms: int | None
    """Event time in the stage after which it counts as abandoned; None: only the end of the session tells."""


@dataclass(frozen=True)
class Regress:
    """Evidence that moves a journey which is beyond `to_rank` back to it."""

    to_rank: int
    predicate: Predicate


@dataclass(frozen=True)
class Rule:
    """A predicate that every event is tested with; bit `bit` of its rule bits says whether it holds."""

    bit: int
    kind: Literal["enter", "regress"]
    rank: int
    predicate: Predicate
    entry: Entry | None = None
    """What it asks for beside the predicate; None: nothing."""


@dataclass(frozen=True)
class Journey:
    """A checked definition. `stages[rank - 1]` has rank `rank`; `conversion` is the rank of the goal."""

    name: str
    version: int
    key: Literal["visitor"]
    stages: tuple[Stage, ...]
    conversion: int
    regress: tuple[Regress, ...]
    objects: Objects | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules by bit: first those that enter a stage, by rank, then those that move back."""
        entries = [(stage.rank, entry) for stage in self.stages for entry in stage.entries]
        enter = [
            Rule(bit, "enter", rank, entry.predicate, None if entry.is_stateless else entry)
            for bit, (rank, entry) in enumerate(entries)
        ]
        back = [
            Rule(len(enter) + k, "regress", rule.to_rank, rule.predicate)
            for k, rule in enumerate(self.regress)
        ]
        return (*enter, *back)

    @property
    def is_stateless(self) -> bool:
        """Whether each event alone tells the stage that it enters."""
        return all(entry.is_stateless for stage in self.stages for entry in stage.entries)


def load_journeys(names_or_paths: Sequence[str]) -> tuple[Journey, ...]:
    """The journeys that come with Pathline under a NAME, or stand in the file at a path; in that order.

    Raises BadDefinition with the problems of all files.
    """
    problems: list[Problem] = []
    journeys: list[Journey] = []
    first_file: dict[tuple[str, int], str] = {}
    for nth, name in enumerate(names_or_paths, start=1):
        document, root = read_definition(name, _FOLDER, "journey")
        if nth == JOURNEYS_MAX + 1:
            document.problem(
                1,
                f"{len(names_or_paths)} journeys at once, and at most {JOURNEYS_MAX} can run",
                "every open session holds a slot for each journey",
            )
        journey = _journey(document, root) if root else None
        if journey:
            _check_twice(document, journey, first_file)
            journeys.append(journey)
        problems += document.in_order
    if problems:
        raise BadDefinition(problems)
    return tuple(journeys)


def shipped_journeys() -> list[str]:
    """The names of the journeys that come with Pathline."""
    return shipped_names(_FOLDER)


def _check_twice(document: Document, journey: Journey, first_file: dict[tuple[str, int], str]) -> None:
    key = (journey.name, journey.version)
    if key in first_file:
        document.problem(
            1,
            f"journey {journey.name} version {journey.version} is here twice",
            f"the first is in {first_file[key]}; raise the newer version",
        )
    first_file.setdefault(key, document.file)


def _journey(document: Document, root: Node) -> Journey | None:
    """The journey; None where the document has problems."""
    entries = document.expect_mapping(root, "a journey", _KEYS, _REQUIRED)
    if entries is None:
        return None
    name = document.expect_name(entries.get("journey"), "the journey's name")
    version = document.expect_integer(entries.get("version"), "version", 1, VERSION_MAX)
    _check_key(document, entries.get("key"))
    stages, ranks = _stages(document, entries.get("stages"))
    conversion = stage_rank(document, entries.get("conversion"), "conversion", ranks)
    regress = _regress_rules(document, entries.get("regress"), ranks)
    objects = read_objects(document, entries.get("objects"), ranks, conversion)
    _check_rules(document, entries, sum(len(stage.entries) for stage in stages) + len(regress))
    _check_timers(document, entries, stages, conversion)
    if document.problems:
        return None
    assert name is not None
    assert version is not None
    return Journey(name, version, "visitor", stages, conversion, regress, objects)


def _check_key(document: Document, node: Node | None) -> None:
    key = document.expect_text(node, "key")
    if node is None or key is None or key == "visitor":
        return
    if key == "person":
        document.problem(node.line, "person-scoped journeys are not available yet", "use key: visitor")
    else:
        document.problem(node.line, f"key '{key}' is not known", "use key: visitor")


def _check_rules(document: Document, entries: Mapping[str, Node], count: int) -> None:
    if count > RULES_MAX:
        document.problem(
            entries["regress" if "regress" in entries else "stages"].line,
            f"{count} rules in all (stages and regress), and at most {RULES_MAX} are possible",
            "an event carries a bit per rule in 32 bits; join rules with any: [..]",
        )


def _check_timers(
    document: Document, entries: Mapping[str, Node], stages: tuple[Stage, ...], conversion: int
) -> None:
    """A stage may be abandoned unless it is the conversion, or objects say what is."""
    items = entries["stages"].value if "stages" in entries else ()
    for stage in stages:
        if stage.abandon_after_ms is None:
            continue
        assert isinstance(items, tuple)
        keys = items[stage.rank - 1].value
        assert isinstance(keys, dict)
        line = keys["abandon_after"].line
        if stage.rank == conversion:
            message = f"'{stage.name}' is the conversion: whoever reached it cannot abandon it"
            document.problem(line, message, "leave abandon_after out")
        elif "objects" in entries:
            message = (
                f"'{stage.name}' has a timer, and the journey has objects: one visit would be abandoned twice"
            )
            document.problem(line, message, "put abandon_after to the object that stands for the stage")


def _stages(document: Document, node: Node | None) -> tuple[tuple[Stage, ...], dict[str, int]]:
    """The stages, and their ranks by name (of broken stages too, so that one mistake is told once)."""
    items = document.expect_list(node, "stages") or ()
    if node and len(items) > STAGES_MAX:
        document.problem(
            node.line,
            f"{len(items)} stages, and at most {STAGES_MAX} are possible",
            "the path of a session is kept as 4 bits a step",
        )
    named = [_named(document, item, rank) for rank, item in enumerate(items, start=1)]
    ranks: dict[str, int] = {}
    for rank, (name, entries) in enumerate(named, start=1):
        if name in ranks:
            document.problem(entries["name"].line, f"the stage '{name}' is here twice", "names must differ")
        ranks.setdefault(name, rank)
    stages = (_stage(document, rank, *stage, ranks) for rank, stage in enumerate(named, start=1))
    return tuple(stages), ranks


def _named(document: Document, node: Node, rank: int) -> tuple[str, dict[str, Node]]:
    """A stage's name and its entries: rules may name any stage, so that all names come first."""
    known = ("name", "when", "optional", "abandon_after")
    entries = document.expect_mapping(node, f"stage {rank}", known, required=("name", "when")) or {}
    return document.expect_name(entries.get("name"), f"the name of stage {rank}") or "", entries


def _stage(
    document: Document, rank: int, name: str, entries: Mapping[str, Node], ranks: Mapping[str, int]
) -> Stage:
    when = read_entries(document, entries.get("when"), f"'when' of stage {name or rank}", ranks)
    optional = document.expect_flag(entries.get("optional"), "optional")
    abandon_after_ms = document.expect_duration_ms(
        entries.get("abandon_after"), "abandon_after", ABANDON_AFTER_MS_MAX
    )
    return Stage(name, rank, bool(optional), when, abandon_after_ms)


def _regress_rules(document: Document, node: Node | None, ranks: Mapping[str, int]) -> tuple[Regress, ...]:
    items = document.expect_list(node, "regress") or ()
    return tuple(_regress(document, item, ranks) for item in items)


def _regress(document: Document, node: Node, ranks: Mapping[str, int]) -> Regress:
    entries = document.expect_mapping(node, "a regress rule", ("to", "when"), required=("to", "when")) or {}
    to_rank = stage_rank(document, entries.get("to"), "to", ranks)
    if ranks and to_rank == max(ranks.values()):
        line = entries["to"].line
        document.problem(line, "nothing can go back to the last stage", "name the stage it goes back to")
    when = (
        read_condition(document, entries["when"], "'when' of a regress rule") if "when" in entries else None
    )
    return Regress(to_rank, when or NEVER)
