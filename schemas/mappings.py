"""Mappings: what is read from where, so that any JSON, CSV or Parquet record becomes a canonical event.

`load_mapping` gives a frozen `Mapping`, or everything that is wrong with the definition at once. A mapping
only says what is to be done; doing it on bytes is the decoder's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from schemas.conditions import read_condition
from schemas.documents import BadDefinition, Document, read_definition, shipped_names
from schemas.events import FIELDS
from schemas.field_maps import (
    TIMES,
    Constant,
    FieldMap,
    Path,
    TimeFormat,
    read_field,
    read_path,
    read_time,
    read_values,
)
from schemas.journeys import Journey
from schemas.nodes import Node
from schemas.orders import USUAL, Orders, read_orders
from schemas.predicates import Predicate

__all__ = [
    "Constant",
    "FieldMap",
    "Filter",
    "Mapping",
    "Path",
    "TimeFormat",
    "load_mapping",
    "shipped_mappings",
]

FILTERS_MAX: Final = 32
"""They are tested as rules are: a bit each in a uint32."""

REST: Final = "rest"
"""A path of one key that is called so is written as a list: [rest]."""

_FOLDER: Final = "mappings"
_KEYS: Final = (
    "mapping",
    "fields",
    "event_names",
    "time",
    "passive_events",
    "filters",
    "orders",
    "properties",
)
_NEEDED: Final = ("event_at", "visitor_id", "event")


@dataclass(frozen=True)
class Filter:
    """Records whose canonical event matches are *filtered*: counted, and left out."""

    name: str
    predicate: Predicate


@dataclass(frozen=True)
class Mapping:
    """A checked mapping. A canonical field that `fields` lacks is missing in every event.

    - `fields`: by canonical field, `properties` not among them; event_at, visitor_id and event always are.
      What a path of `products` leads to may be a list or a single text; `value` is in currency units.
    - `event_at`, `received_at`: how these times are written.
    - `passive_events`: names, after mapping, of events that are passive whatever the field `passive` says.
    - `filters`: in order; the first that matches names the reason.
    - `properties`: the path of the object with the properties, or 'rest': all top-level keys that are the
      first key of no field's path.
    - `orders`: which events are orders, refunds and cancellations; None: none are followed.
    """

    name: str
    fields: dict[str, FieldMap]
    event_at: TimeFormat
    received_at: TimeFormat
    passive_events: frozenset[str]
    filters: tuple[Filter, ...]
    properties: Path | Literal["rest"]
    orders: Orders | None = USUAL


def load_mapping(name_or_path: str) -> Mapping:
    """The mapping that comes with Pathline under a NAME, or stands in the file at a path.

    Raises BadDefinition with all that is wrong with it.
    """
    document, root = read_definition(name_or_path, _FOLDER, "mapping")
    mapping = _mapping(document, root) if root else None
    if mapping is None:
        raise BadDefinition(document.in_order)
    return mapping


def shipped_mappings() -> list[str]:
    """The names of the mappings that come with Pathline."""
    return shipped_names(_FOLDER)


def orders_missing(journeys: Sequence[Journey], mapping: Mapping) -> list[str]:
    """What is wrong where journeys have objects that no order could complete: all would be called
    abandoned.
    """
    with_objects = [journey.name for journey in journeys if journey.objects]
    if mapping.orders is not None or not with_objects:
        return []
    whose = ", ".join(with_objects)
    message = f"--mapping: {mapping.name} says orders: none, but they alone complete the objects of {whose}"
    return [f"{message}\n  hint: say in it which events are orders, or take the objects out of the journey"]


def _mapping(document: Document, root: Node) -> Mapping | None:
    """The mapping; None where the document has problems."""
    entries = document.expect_mapping(root, "a mapping", _KEYS, required=("mapping", "fields"))
    if entries is None:
        return None
    name = document.expect_name(entries.get("mapping"), "the mapping's name")
    nodes = _field_nodes(document, entries.get("fields"))
    fields = _fields(document, nodes)
    if "event_names" in entries:
        _event_names(document, entries["event_names"], fields)
    event_at, received_at = _times(document, entries.get("time"), nodes)
    passive = _passive_events(document, entries.get("passive_events"))
    filters = _filters(document, entries.get("filters"))
    orders = read_orders(document, entries.get("orders"))
    properties = _properties(document, entries.get("properties"))
    if document.problems:
        return None
    assert name is not None
    return Mapping(name, fields, event_at, received_at, passive, filters, properties, orders)


def _field_nodes(document: Document, node: Node | None) -> dict[str, Node]:
    """The entries of `fields:` whose names are canonical."""
    if node is None:
        return {}
    if isinstance(node.value, dict) and "properties" in node.value:
        line = node.value["properties"].line
        document.problem(line, "'properties' is no field of its own", "write properties: at the top level")
    known = [name for name in FIELDS if name != "properties"]
    # `properties` was told above, with a better hint than a list of names.
    nodes = document.expect_mapping(node, "fields", [*known, "properties"], required=_NEEDED) or {}
    return {name: nodes[name] for name in known if name in nodes}


def _fields(document: Document, nodes: dict[str, Node]) -> dict[str, FieldMap]:
    found = {name: read_field(document, name, node) for name, node in nodes.items()}
    return {name: field for name, field in found.items() if field is not None}


def _event_names(document: Document, node: Node, fields: dict[str, FieldMap]) -> None:
    """Puts the map of names into the field `event`."""
    values = read_values(document, "event", node)
    event = fields.get("event")
    if event is None:
        return
    if event.values is not None or event.const is not None:
        has = "values" if event.values is not None else "const"
        document.problem(node.line, f"event_names beside {has} of the field event", "keep one of them")
    fields["event"] = replace(event, values=values)


def _times(document: Document, node: Node | None, nodes: dict[str, Node]) -> tuple[TimeFormat, TimeFormat]:
    """The formats of event_at and received_at: the field's own, else `time:`, else iso in UTC."""
    common = TimeFormat()
    if node is not None:
        common = read_time(document, document.expect_mapping(node, "time", ("format", "zone")) or {}, common)
    own: list[TimeFormat] = []
    for name in TIMES:
        field = nodes.get(name)
        entries = field.value if field and isinstance(field.value, dict) else {}
        own.append(read_time(document, entries, common))
    return own[0], own[1]


def _passive_events(document: Document, node: Node | None) -> frozenset[str]:
    items = document.expect_list(node, "passive_events") or ()
    names = [document.expect_text(item, "the name of a passive event") for item in items]
    return frozenset(name for name in names if name)


def _filters(document: Document, node: Node | None) -> tuple[Filter, ...]:
    items = document.expect_list(node, "filters") or ()
    if node and len(items) > FILTERS_MAX:
        document.problem(
            node.line,
            f"{len(items)} filters, and at most {FILTERS_MAX} are possible",
            "join some with any",
        )
    filters: list[Filter] = []
    for item in items:
        entries = document.expect_mapping(item, "a filter", ("name", "when"), required=("name", "when")) or {}
        name = document.expect_name(entries.get("name"), "the name of a filter")
        if name in [known.name for known in filters]:
            document.problem(entries["name"].line, f"the filter '{name}' is here twice", "names must differ")
        what = f"'when' of filter {name or ''}".rstrip()
        when = read_condition(document, entries["when"], what) if "when" in entries else None
        if name and when:
            filters.append(Filter(name, when))
    return tuple(filters)


def _properties(document: Document, node: Node | None) -> Path | Literal["rest"]:
    if node is None:
        return ("properties",)
    if node.value == REST:
        return "rest"
    return read_path(document, node, "properties") or ()
