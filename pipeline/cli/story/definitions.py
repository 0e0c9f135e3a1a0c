"""Journeys with the lines on which their rules stand: what is told names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.documents import read_definition
from schemas.journeys import Journey, load_journeys
from schemas.nodes import Node


@dataclass(frozen=True)
class Definition:
    """A journey, and where each of its parts stands: `rule 3` (by bit), `cart.abandon_after` (of a stage),
    `objects.cart.when`.
    """

    journey: Journey
    file: str = ""
    lines: dict[str, int] = field(default_factory=dict)

    def at(self, part: str) -> str:
        """`checkout.yaml:32`; the file alone where the line is not known."""
        line = self.lines.get(part)
        return f"{self.file}:{line}" if line else self.file


Named = tuple[str, int]
"""A journey by its name and version."""


def load(names_or_paths: Sequence[str]) -> dict[Named, Definition]:
    """The definitions by what they define. Raises BadDefinition."""
    found = {}
    for name, journey in zip(names_or_paths, load_journeys(names_or_paths), strict=True):
        document, root = read_definition(name, "journeys", "journey")
        assert root is not None, "it has just been read"
        found[journey.name, journey.version] = Definition(
            journey, Path(document.file).name, dict(_lines(root))
        )
    return found


def nearest(definitions: Mapping[Named, Definition], wanted: Named) -> Definition | None:
    """The definition of a journey; where there is none of this version, the highest of its name."""
    versions = [named for named in definitions if named[0] == wanted[0]]
    named = wanted if wanted in definitions else max(versions, default=None)
    return definitions[named] if named else None


def _lines(root: Node) -> Iterator[tuple[str, int]]:
    number = 0
    for stage in _items(root, "stages"):
        keys = _keys(stage)
        name = str(keys["name"].value)
        for key in keys:
            yield f"{name}.{key}", keys[key].line
        when = keys["when"]
        for rule in when.value if isinstance(when.value, tuple) else (when,):
            yield f"rule {number}", rule.line
            number += 1
    for rule in _items(root, "regress"):
        yield f"rule {number}", _keys(rule)["when"].line
        number += 1
    yield from _lines_below(_keys(root).get("objects"), "objects")


def _lines_below(node: Node | None, path: str) -> Iterator[tuple[str, int]]:
    for key, item in _keys(node).items():
        yield f"{path}.{key}", item.line
        yield from _lines_below(item, f"{path}.{key}")


def _items(node: Node, key: str) -> tuple[Node, ...]:
    found = _keys(node).get(key)
    return found.value if found and isinstance(found.value, tuple) else ()


def _keys(node: Node | None) -> dict[str, Node]:
    return node.value if node and isinstance(node.value, dict) else {}
