"""YAML text as plain nodes that know their line.

Only the composer of ruamel.yaml is used (never its constructors): scalars are resolved here, so that a
number with a point stays as written, a date stays text, and nothing in a file can build an object.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

FILE_BYTES_MAX: Final = 1_000_000
NODES_MAX: Final = 20_000
"""Aliases are expanded, so a small file could otherwise fill the memory."""
DEPTH_MAX: Final = 50
DIGITS_MAX: Final = 40
"""A number of more digits is a mistake, and `1e999999999` would never finish."""

Scalar = str | int | bool | Decimal | None
Report = Callable[[int, str, str], None]
"""Called with line, message and hint of whatever is wrong."""


@dataclass(frozen=True)
class Node:
    """A value of the document with its line (from 1); in a mapping that is the line of its key.

    Numbers with a point are `Decimal`, as written: money must not pass through a float. Dates stay text.
    """

    line: int
    value: Scalar | tuple[Node, ...] | dict[str, Node]

    @property
    def kind(self) -> str:
        """What the value is, in words for a message."""
        match self.value:
            case None | "":
                return "empty"
            case bool():
                return "true or false"
            case str():
                return "text"
            case int() | Decimal():
                return "a number"
            case tuple():
                return "a list"
            case _:
                return "a mapping"


def parse(raw: bytes, report: Report) -> Node | None:
    """The root of a YAML file; None, and a report, where it has none.

    Of a key that is there twice the first counts, and it is reported.
    """
    text = _decode(raw, report)
    if text is None:
        return None
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        if root is None:
            report(1, "the file is empty", "")
            return None
        return _Converter(report).node(root, root.start_mark.line + 1, 0)
    except _TooMuchError as error:
        report(error.line, str(error), "")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        report(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}", "")
    except YAMLError as error:
        report(1, f"not YAML: {str(error).splitlines()[0]}", "")
    except RecursionError:
        report(1, f"nested more than {DEPTH_MAX} levels deep", "")
    return None


def _decode(raw: bytes, report: Report) -> str | None:
    if len(raw) > FILE_BYTES_MAX:
        report(1, f"the file is larger than {FILE_BYTES_MAX:,} bytes", "")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report(raw.count(b"\n", 0, error.start) + 1, "not UTF-8", "save the file as UTF-8")
        return None


class _TooMuchError(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Converter:
    """ruamel's nodes as ours: scalars resolved by the YAML 1.2 core schema (so `NO` is Norway)."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.count = 0

    def node(self, raw: Any, line: int, depth: int) -> Node:
        self.count += 1
        if depth > DEPTH_MAX:
            raise _TooMuchError(line, f"nested more than {DEPTH_MAX} levels deep")
        if self.count > NODES_MAX:
            raise _TooMuchError(line, f"more than {NODES_MAX:,} values")
        if raw.id == "mapping":
            return Node(line, self._entries(raw, depth))
        if raw.id == "sequence":
            return Node(
                line, tuple(self.node(item, item.start_mark.line + 1, depth + 1) for item in raw.value)
            )
        return Node(line, self._scalar(str(raw.tag), raw.value, line))

    def _entries(self, raw: Any, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in raw.value:
            line = key.start_mark.line + 1
            if key.id != "scalar":
                self.report(line, "a key must be text", "")
                continue
            # A key stands as it is written: `404: not_found` maps the text '404'.
            if key.value in entries:
                first = entries[key.value].line
                self.report(line, f"the key '{key.value}' is here twice", f"the first is on line {first}")
                continue
            entries[key.value] = self.node(value, line, depth + 1)
        return entries

    def _scalar(self, tag: str, text: str, line: int) -> Scalar:
        kind = tag.removeprefix("tag:yaml.org,2002:")
        try:
            match kind:
                case "str" | "timestamp":
                    return text
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    return _integer(text)
                case "float":
                    number = Decimal(text.replace("_", ""))
                    if number.is_finite() and abs(number.adjusted()) <= DIGITS_MAX:
                        return number
        except (ValueError, ArithmeticError):
            pass
        if kind in ("int", "float"):
            self.report(line, f"'{text}' is not a number", "")
        else:
            self.report(line, f"the tag {tag} means nothing here", "leave it out")
        return text


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    if len(digits) > DIGITS_MAX:
        raise ValueError(digits)
    return int(digits, 0) if re.match(r"[-+]?0[xob]", digits) else int(digits)
