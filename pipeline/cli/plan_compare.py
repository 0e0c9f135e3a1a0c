"""Two definitions of a journey over the same records: the rows of both, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, Final

from schemas.journeys import Journey, Stage
from schemas.predicates import Predicate
from sinks.clickhouse.query import Reader

QUERIES: Final = files("sinks.clickhouse") / "sql" / "plan"
ALWAYS: Final = ("furthest", "outcomes", "transitions", "dropoff", "sessions")
OF_OBJECTS: Final = ("abandonments", "abandonment_rates")

Row = dict[str, Any]


@dataclass(frozen=True)
class Stages:
    """What becomes of the stages themselves."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: dict[str, str]

    @property
    def same(self) -> bool:
        """Whether nothing becomes of them."""
        return not (self.added or self.removed or self.renamed)


@dataclass(frozen=True)
class Pair:
    """A journey as it is and as it would be, as they run, and what people call them."""

    old: Journey
    new: Journey
    labels: tuple[str, str]

    @property
    def journeys(self) -> tuple[Journey, Journey]:
        """Both."""
        return self.old, self.new

    @cached_property
    def stages(self) -> Stages:
        """What becomes of the stages."""
        return stage_changes(self.old.stages, self.new.stages)

    @property
    def parameters(self) -> dict[str, Any]:
        """Which they are, to a query."""
        return {
            "old_journey": self.old.name,
            "old_version": self.old.version,
            "new_journey": self.new.name,
            "new_version": self.new.version,
        }


@dataclass(frozen=True)
class Compared:
    """What came of both: the rows of each query, in which `*before` and `*after` stand side by side."""

    pair: Pair
    rows: dict[str, list[Row]]

    @property
    def sessions(self) -> int:
        """Sessions that entered a stage of either."""
        return sum(row["sessions"] for row in self.rows["sessions"])

    @property
    def moved(self) -> list[Row]:
        """Rows of `sessions` that come out otherwise, the most frequent change first."""
        return [row for row in self.rows["sessions"] if is_changed(row)]

    @property
    def same(self) -> bool:
        """Whether nothing at all would change."""
        moved = any(is_changed(row) for rows in self.rows.values() for row in rows)
        return self.pair.stages.same and not moved


def is_changed(row: Row) -> bool:
    """Whether anything in it is other than before."""
    return any(
        value != row[f"{name.removesuffix('before')}after"]
        for name, value in row.items()
        if name.endswith("before")
    )


def compare(reader: Reader, pair: Pair) -> Compared:
    """Asks a database in which both have run."""
    parameters = _parameters(pair)
    (objects,) = reader.query(read_sql("has_abandonments")).to_pylist()
    names = (*ALWAYS, *(OF_OBJECTS if objects["there"] else ()))
    return Compared(pair, {name: reader.query(read_sql(name), parameters).to_pylist() for name in names})


def stage_changes(old: Sequence[Stage], new: Sequence[Stage]) -> Stages:
    """A stage is renamed where one of another name has taken over its conditions."""
    kept = {stage.name for stage in old} & {stage.name for stage in new}
    added = {stage.name: _conditions(stage) for stage in new if stage.name not in kept}
    removed = {stage.name: _conditions(stage) for stage in old if stage.name not in kept}
    renamed: dict[str, str] = {}
    for name, conditions in removed.items():
        heirs = [heir for heir, own in added.items() if own == conditions and heir not in renamed.values()]
        if heirs:
            renamed[name] = heirs[0]
    return Stages(
        tuple(name for name in added if name not in renamed.values()),
        tuple(name for name in removed if name not in renamed),
        renamed,
    )


def _conditions(stage: Stage) -> tuple[Predicate, ...]:
    return tuple(entry.predicate for entry in stage.entries)


def _parameters(pair: Pair) -> dict[str, Any]:
    stages = pair.stages
    before = [stage.name for stage in pair.old.stages]
    after = [stage.name for stage in pair.new.stages]
    return {
        **pair.parameters,
        "old_stages": before,
        "called": [stages.renamed.get(name, name) for name in before],
        "order": _in_order(before, after, stages),
    }


def _in_order(before: list[str], after: list[str], stages: Stages) -> list[str]:
    """The stages of the new definition, and those that are gone, each before what used to follow it."""
    order = [*after, ""]
    follower = ""
    for name in reversed(before):
        if name in stages.removed:
            order.insert(order.index(follower), name)
        follower = stages.renamed.get(name, name)
    return order[:-1]


def read_sql(name: str) -> str:
    """A query of a plan."""
    return (QUERIES / f"{name}.sql").read_text("utf-8")
