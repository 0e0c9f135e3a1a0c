"""YAML definitions read with their line numbers, and everything that is wrong with them said at once.

A definition is written by hand, so its mistakes come several at a time: a reader notes a `Problem` with
file, line and a hint, goes on, and only at the end is `BadDefinition` raised with all of them. Nothing
that a file can contain ends in a traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Final

from schemas.nodes import Node, parse

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""What journeys, stages, mappings and filters may be called: safe in SQL, URLs and file names."""

_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})(ms|s|m|h|d)")
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION_HINT: Final = "durations look like 500ms, 10s, 30m, 24h, 7d"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a definition: where (line counts from 1), what, and what to do about it."""

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}: {self.message}{hint}"


class BadDefinition(Exception):  # noqa: N818 - the word the user reads; it carries many errors
    """Definitions that cannot be used; `problems` has all that is wrong with all of them, in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Final = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass
class Document:
    """A file under examination.

    Every `expect_*` notes a Problem and returns None where a node is not so; for no node (a key that is not
    there) it returns None silently: `expect_mapping` has noted those that are required.
    """

    file: str
    problems: list[Problem] = field(default_factory=list)

    @property
    def in_order(self) -> list[Problem]:
        """The problems by line."""
        return sorted(self.problems, key=lambda problem: problem.line)

    def problem(self, line: int, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, line, message, hint))

    def expect_mapping(
        self, node: Node, what: str, known: Collection[str], required: Sequence[str] = ()
    ) -> dict[str, Node] | None:
        """The entries of a mapping with only `known` keys; unknown and missing ones are noted."""
        if not isinstance(node.value, dict):
            self.problem(node.line, f"{what} must be a mapping, not {node.kind}")
            return None
        for key, item in node.value.items():
            if key not in known:
                self.problem(item.line, f"{what} has no key '{key}'", closest(key, known))
        for key in required:
            if key not in node.value:
                self.problem(node.line, f"{what} lacks '{key}'")
        return {key: item for key, item in node.value.items() if key in known}

    def expect_list(self, node: Node | None, what: str) -> tuple[Node, ...] | None:
        """The items of a list that has at least one."""
        if node is None:
            return None
        if not isinstance(node.value, tuple):
            self.problem(node.line, f"{what} must be a list, not {node.kind}")
        elif not node.value:
            self.problem(node.line, f"{what} is empty")
        else:
            return node.value
        return None

    def expect_text(self, node: Node | None, what: str) -> str | None:
        """A text that is not ''."""
        if node is None:
            return None
        if isinstance(node.value, str) and node.value:
            return node.value
        quotes = isinstance(node.value, (int, Decimal))
        self.problem(node.line, f"{what} must be text, not {node.kind}", "put it in quotes" if quotes else "")
        return None

    def expect_name(self, node: Node | None, what: str) -> str | None:
        """A text of lower-case letters, digits and '_' (`NAME`)."""
        text = self.expect_text(node, what)
        if node is None or text is None or NAME.fullmatch(text):
            return text
        self.problem(
            node.line, f"{what} '{text}' is not a name", "lower-case letters, digits and _; a letter first"
        )
        return None

    def expect_flag(self, node: Node | None, what: str) -> bool | None:
        if node is None:
            return None
        if isinstance(node.value, bool):
            return node.value
        self.problem(node.line, f"{what} must be true or false, not {node.kind}")
        return None

    def expect_integer(self, node: Node | None, what: str, low: int, high: int) -> int | None:
        if node is None:
            return None
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool):
            if low <= value <= high:
                return value
            self.problem(node.line, f"{what} must be from {low} to {high}, not {value}")
        else:
            self.problem(node.line, f"{what} must be a whole number, not {node.kind}")
        return None

    def expect_duration_ms(self, node: Node | None, what: str, high_ms: int) -> int | None:
        """A duration such as 30m in milliseconds, longer than nothing and at most `high_ms`."""
        if node is None:
            return None
        duration_ms = parse_duration_ms(node.value) if isinstance(node.value, str) else None
        if duration_ms is None:
            self.problem(
                node.line, f"{what} must be a duration, not {_shown(node) or node.kind}", DURATION_HINT
            )
        elif duration_ms > high_ms:
            unit = "d" if high_ms > _UNIT_MS["d"] else "h"
            limit = f"at most {high_ms // _UNIT_MS[unit]}{unit}"
            self.problem(node.line, f"{what} is too long: {node.value}", limit)
        else:
            return duration_ms
        return None


def parse_duration_ms(text: str) -> int | None:
    """`500ms 10s 30m 24h 7d` in milliseconds; None where the text is not of that form."""
    match = _DURATION.fullmatch(text)
    return int(match[1]) * _UNIT_MS[match[2]] if match else None


def closest(word: str, known: Collection[str]) -> str:
    """A hint: the known word that was probably meant, or all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


def _shown(node: Node) -> str:
    return f"'{node.value}'" if isinstance(node.value, (str, int, Decimal)) and node.value != "" else ""


def read_definition(name_or_path: str, folder: str, what: str) -> tuple[Document, Node | None]:
    """The definition shipped under NAME in `schemas/definitions/<folder>`, or the file at a path.

    Whatever has the form of a name is one: a file of the working directory is `./file`.
    """
    shipped = resources.files("schemas") / "definitions" / folder
    if not NAME.fullmatch(name_or_path):
        document = Document(name_or_path)
        try:
            return document, parse(Path(name_or_path).read_bytes(), document.problem)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            document.problem(1, f"cannot read this {what}: {reason}")
            return document, None
    document = Document(f"schemas/definitions/{folder}/{name_or_path}.yaml")
    entry = shipped / f"{name_or_path}.yaml"
    if entry.is_file():
        return document, parse(entry.read_bytes(), document.problem)
    document = Document(name_or_path)
    document.problem(
        1,
        f"no {what} of this name comes with Pathline",
        f"there are {', '.join(shipped_names(folder))}; a file of your own is a path: ./{name_or_path}.yaml",
    )
    return document, None


def shipped_names(folder: str) -> list[str]:
    """The names of the definitions that come with Pathline, sorted."""
    entries = (resources.files("schemas") / "definitions" / folder).iterdir()
    return sorted(entry.name[:-5] for entry in entries if entry.name.endswith(".yaml"))
