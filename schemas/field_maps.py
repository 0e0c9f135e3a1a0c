"""Where one canonical field comes from, and how its time is written: the entries of a mapping."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from dataclasses import dataclass
from typing import Final, Literal

from schemas.conditions import INT64_MAX, read_money_e4
from schemas.documents import Document, closest
from schemas.events import FIELDS, Kind
from schemas.nodes import Node

Path = tuple[str, ...]
"""The keys to follow into a record, outermost first."""

Constant = str | int | bool | tuple[str, ...]
"""A value in canonical form: money in 1/10,000 of the currency unit, a list as a tuple."""

TIMES: Final = ("event_at", "received_at")
_FORMATS: Final = ("iso", "epoch_s", "epoch_ms", "epoch_us")
_FIELD_KEYS: Final = ("path", "paths", "const", "values", "default")
_OWN: Final = ("event_id", "visitor_id", *TIMES)
"""Fields that must come from the record itself: a constant would make different records one."""


@dataclass(frozen=True)
class TimeFormat:
    """How a time is written; one without an offset is local time of `zone` (an IANA name).

    - `iso`: ISO 8601, 'T' or a space between date and time, fractions of a second and offset optional
    - `epoch_s`, `epoch_ms`, `epoch_us`: a number, or a text of one, since 1970-01-01 UTC; fractions allowed
    - `strptime`: as `strptime` (the text beside it, else None) has it in Python's notation
    """

    kind: Literal["iso", "epoch_s", "epoch_ms", "epoch_us", "strptime"] = "iso"
    strptime: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True)
class FieldMap:
    """Where a canonical field comes from: either `const`, or the first of `paths` that the record has.

    A path is there if it leads to something other than null or ''. What it leads to, as text (a number or
    boolean as its JSON text), is looked up in `values`; what is not in there stays as it is. `default` is
    the canonical value where no path is there.
    """

    field: str
    paths: tuple[Path, ...] = ()
    const: Constant | None = None
    values: dict[str, str | bool] | None = None
    default: Constant | None = None


def read_field(document: Document, name: str, node: Node) -> FieldMap | None:
    """One entry of `fields:`: a path as text, or a mapping; `format` and `zone` are left to `read_time`."""
    if isinstance(node.value, str) and node.value:
        path = read_path(document, node, name)
        return FieldMap(name, (path,)) if path else None
    if isinstance(node.value, tuple):
        document.problem(
            node.line,
            f"{name}: a list can mean two things",
            "path: [a, b] for keys within keys, paths: [a, b] for the first that is there",
        )
        return None
    known = (*_FIELD_KEYS, "format", "zone") if name in TIMES else _FIELD_KEYS
    entries = document.expect_mapping(node, name, known)
    if entries is None:
        return None
    _check_combination(document, name, node, entries)
    values = read_values(document, name, entries["values"]) if "values" in entries else None
    paths = _paths(document, name, entries)
    const = _constant(document, name, "const", entries.get("const"))
    return FieldMap(name, paths, const, values, _constant(document, name, "default", entries.get("default")))


def _check_combination(document: Document, name: str, node: Node, entries: dict[str, Node]) -> None:
    sources = [key for key in ("path", "paths", "const") if key in entries]
    if len(sources) != 1:
        has = f"has {' and '.join(sources)}" if sources else "does not say where it comes from"
        document.problem(node.line, f"{name} {has}", "exactly one of path, paths, const")
    for key in ("values", "default"):
        if key in entries and sources == ["const"]:
            document.problem(
                entries[key].line, f"{name}: '{key}' has no meaning beside const", "leave it out"
            )


def _paths(document: Document, name: str, entries: dict[str, Node]) -> tuple[Path, ...]:
    if "path" in entries:
        nodes: tuple[Node, ...] = (entries["path"],)
    else:
        nodes = document.expect_list(entries.get("paths"), f"paths of {name}") or ()
    paths = [read_path(document, node, name) for node in nodes]
    return tuple(path for path in paths if path)


def read_path(document: Document, node: Node, what: str) -> Path | None:
    """`a.b.c`, or a list of keys where a key has dots in it."""
    if isinstance(node.value, tuple):
        keys = [document.expect_text(item, f"a key in the path of {what}") for item in node.value]
        if not keys:
            document.problem(node.line, f"the path of {what} is empty")
        return tuple(key for key in keys if key) or None
    text = document.expect_text(node, f"the path of {what}")
    if text is None:
        return None
    path = tuple(text.split("."))
    if not all(path):
        document.problem(
            node.line, f"the path '{text}' has an empty key", 'keys with dots in them: path: [a, "b.c"]'
        )
    return path


def read_values(document: Document, name: str, node: Node) -> dict[str, str | bool] | None:
    """A map from the texts of the record to canonical values."""
    kind = FIELDS[name].kind
    if kind not in ("word", "text", "flag"):
        document.problem(node.line, f"{name} is of kind {kind}: its values cannot be mapped")
        return None
    if not isinstance(node.value, dict) or not node.value:
        document.problem(node.line, f"the values of {name} must be a mapping, not {node.kind}")
        return None
    values: dict[str, str | bool] = {}
    for theirs, item in node.value.items():
        what = f"what {name} '{theirs}' becomes"
        ours = document.expect_flag(item, what) if kind == "flag" else document.expect_text(item, what)
        if ours is not None:
            values[theirs] = ours
    return values


def _constant(document: Document, name: str, key: str, node: Node | None) -> Constant | None:
    if node is None:
        return None
    if name in _OWN:
        document.problem(node.line, f"{name} cannot have a {key}", "it has to come from the record")
        return None
    what = f"the {key} of {name}"
    kind: Kind = FIELDS[name].kind
    match kind:
        case "money":
            return read_money_e4(document, node, what)
        case "number":
            return document.expect_integer(node, what, -INT64_MAX, INT64_MAX)
        case "flag":
            return document.expect_flag(node, what)
        case "list" if isinstance(node.value, tuple):
            texts = [document.expect_text(item, what) for item in node.value]
            return tuple(text for text in texts if text)
    text = document.expect_text(node, what)
    return (text,) if text and kind == "list" else text


def read_time(document: Document, entries: dict[str, Node], fallback: TimeFormat) -> TimeFormat:
    """The format that the keys `format` and `zone` of `entries` give; the rest is `fallback`'s."""
    text = document.expect_text(entries.get("format"), "format")
    zone = document.expect_text(entries.get("zone"), "zone") or fallback.zone
    if "zone" in entries:
        _check_zone(document, entries["zone"].line, zone)
    result = TimeFormat(fallback.kind, fallback.strptime, zone)
    if text is not None:
        line = entries["format"].line
        if "%" in text:
            _check_strptime(document, line, text)
            result = TimeFormat("strptime", text, zone)
        else:
            kind = next((kind for kind in _FORMATS if kind == text), None)
            if kind is None:
                hint = f"{closest(text, _FORMATS)}; or a pattern such as '%d/%b/%Y:%H:%M:%S %z'"
                document.problem(line, f"'{text}' is no format of a time", hint)
            else:
                result = TimeFormat(kind, None, "UTC" if kind.startswith("epoch") else zone)
    if "zone" in entries and result.kind.startswith("epoch"):
        document.problem(
            entries["zone"].line, f"{result.kind} counts from 1970 in UTC: a zone changes nothing"
        )
    return result


def _check_zone(document: Document, line: int, zone: str) -> None:
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = closest(zone, sorted(zoneinfo.available_timezones()))
        hint = near if near.startswith("did") else "an IANA name such as Europe/Berlin"
        document.problem(line, f"there is no time zone '{zone}'", hint)


def _check_strptime(document: Document, line: int, pattern: str) -> None:
    probe = dt.datetime(2001, 12, 23, 14, 5, 6, tzinfo=dt.UTC)
    try:
        read = dt.datetime.strptime(probe.strftime(pattern), pattern)
    except (ValueError, re.error) as error:
        document.problem(line, f"'{pattern}' cannot be used: {error}", "see Python's strptime")
        return
    if read.date() != probe.date():
        document.problem(line, f"'{pattern}' leaves the day open", "it needs year, month and day")
