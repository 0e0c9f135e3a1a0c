"""The grammar of `when:`: a YAML mapping as a predicate, with its mistakes said where they are.

A key is a canonical field or `properties.NAME`; its value is a scalar (eq), a list (in) or a mapping of
operators. Several keys mean all of them; `all: [..]`, `any: [..]` and `not: {..}` nest.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from schemas.documents import Document, closest
from schemas.events import FIELDS, PROPERTY_PREFIX
from schemas.nodes import Node
from schemas.predicates import OPS, All, Any_, Compare, Literal_, Not, Predicate

E4: Final = 10_000
INT64_MAX: Final = 2**63 - 1

_NESTS: Final = ("all", "any", "not")
_TEXT_OPS: Final = ("prefix", "suffix", "contains")
_ORDER_OPS: Final = ("gt", "gte", "lt", "lte")
_EQUAL_OPS: Final = ("eq", "ne", "in")
PROPERTY: Final = "property"
"""The kind of a `properties.NAME` column here, beside those of `schemas.events.Kind`."""
OPS_OF: Final[dict[str, tuple[str, ...]]] = {
    "word": (*_EQUAL_OPS, *_TEXT_OPS, "exists"),
    "text": (*_EQUAL_OPS, *_TEXT_OPS, "exists"),
    "money": (*_EQUAL_OPS, *_ORDER_OPS, "exists"),
    "number": (*_EQUAL_OPS, *_ORDER_OPS, "exists"),
    "flag": ("eq", "ne", "exists"),
    "list": ("contains", "exists"),
    "time": ("exists",),
    "json": ("exists",),
    PROPERTY: OPS,
}


def read_condition(document: Document, node: Node, what: str) -> Predicate | None:
    """The predicate that the mapping `node` writes; None, and Problems, where it writes none."""
    if not isinstance(node.value, dict):
        document.problem(
            node.line, f"{what} must be a mapping, not {node.kind}", "such as {event: page_view}"
        )
        return None
    if not node.value:
        document.problem(node.line, f"{what} is empty", "such as {event: page_view}")
        return None
    parts = [_entry(document, key, item, what) for key, item in node.value.items()]
    return _together(parts)


def _together(parts: Sequence[Predicate | None]) -> Predicate | None:
    good = tuple(part for part in parts if part is not None)
    if len(good) < len(parts):
        return None
    return good[0] if len(good) == 1 else All(good)


def _entry(document: Document, key: str, node: Node, what: str) -> Predicate | None:
    match key:
        case "not":
            part = read_condition(document, node, f"'not' of {what}")
            return Not(part) if part else None
        case "all" | "any":
            items = document.expect_list(node, f"'{key}' of {what}")
            if items is None:
                return None
            parts = [read_condition(document, item, f"a part of '{key}' of {what}") for item in items]
            good = tuple(part for part in parts if part is not None)
            if len(good) < len(parts):
                return None
            return All(good) if key == "all" else Any_(good)
        case _:
            return _on_field(document, key, node, what)


def _on_field(document: Document, name: str, node: Node, what: str) -> Predicate | None:
    if name.startswith(PROPERTY_PREFIX) and len(name) > len(PROPERTY_PREFIX):
        kind = PROPERTY
    elif name in FIELDS:
        kind = FIELDS[name].kind
    else:
        hint = closest(name, [*FIELDS, *_NESTS])
        if not hint.startswith("did"):
            hint += "; anything else is properties.NAME"
        document.problem(node.line, f"{what} asks for '{name}', which is no field of an event", hint)
        return None
    match node.value:
        case dict() as operators if operators:
            parts = [_compare(document, name, kind, op, item) for op, item in operators.items()]
            return _together(parts)
        case dict():
            document.problem(node.line, f"'{name}' is compared with nothing", "such as {exists: true}")
            return None
        case tuple():
            return _compare(document, name, kind, "in", node)
        case _:
            return _compare(document, name, kind, "eq", node)


def _compare(document: Document, name: str, kind: str, op: str, node: Node) -> Compare | None:
    if op not in OPS:
        document.problem(node.line, f"'{op}' on {name} is no operator", closest(op, OPS))
        return None
    if op not in OPS_OF[kind]:
        document.problem(
            node.line,
            f"'{op}' does not apply to {name}, which is of kind {kind}",
            f"what does: {', '.join(OPS_OF[kind])}",
        )
        return None
    literal: Literal_ | tuple[Literal_, ...] | None
    if op == "exists":
        literal = document.expect_flag(node, f"'exists' on {name}")
    elif op == "in":
        literal = _literals(document, name, kind, node)
    else:
        literal = _literal(document, name, kind, op, node)
    return None if literal is None else Compare(name, op, literal)


def _literals(document: Document, name: str, kind: str, node: Node) -> tuple[Literal_, ...] | None:
    items = document.expect_list(node, f"the list for {name}")
    if items is None:
        return None
    literals = [_literal(document, name, kind, "in", item) for item in items]
    good = tuple(literal for literal in literals if literal is not None)
    return good if len(good) == len(literals) else None


def _literal(document: Document, name: str, kind: str, op: str, node: Node) -> Literal_ | None:
    """The literal in the type that its field is compared in."""
    value = node.value
    if value is None or value == "":
        document.problem(node.line, f"{name} is compared with nothing", "a missing field is {exists: false}")
        return None
    if kind == "flag":
        return document.expect_flag(node, f"{name} is a flag: what it is compared with")
    if kind == "money":
        return read_money_e4(document, node, name)
    if kind == "number":
        return document.expect_integer(node, f"{name} is compared with what", -INT64_MAX, INT64_MAX)
    if kind == PROPERTY and op not in _TEXT_OPS:
        return _property_literal(document, name, op, node)
    return document.expect_text(node, f"what {name} is compared with")


def _property_literal(document: Document, name: str, op: str, node: Node) -> Literal_ | None:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        if op in _ORDER_OPS:
            document.problem(
                node.line, f"'{op}' on {name} needs a number, not {node.kind}", "texts have no order here"
            )
            return None
        return (
            value if isinstance(value, bool) else document.expect_text(node, f"{name} is compared with what")
        )
    return float(value)


def read_money_e4(document: Document, node: Node, what: str) -> int | None:
    """An amount in currency units as an integer of 1/10,000 of them; exact, or a Problem."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        document.problem(
            node.line, f"{what} is money: a number is needed, not {node.kind}", "in currency units: 19.99"
        )
        return None
    value_e4 = Decimal(value) * E4
    if value_e4 != int(value_e4):
        document.problem(node.line, f"{what}: {value} has more than 4 decimal places")
        return None
    if abs(value_e4) > INT64_MAX:
        document.problem(node.line, f"{what}: {value} is out of range")
        return None
    return int(value_e4)
