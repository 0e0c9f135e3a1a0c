"""Versions of a journey side by side: `bi.NAME_all` shows them all, `bi.NAME` the active one of each journey.

A view is written once, as `bi.NAME`. One with a column `journey_version` is made twice of that text, so that
columns, types and comments cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

ALL: Final = "_all"
_VERSIONED: Final = re.compile(r"^    `journey_version` ", re.MULTILINE)
_VIEW: Final = re.compile(
    r"(?P<above>(?:--[^\n]*\n)*)"
    r"CREATE OR REPLACE VIEW bi\.(?P<name>\w+)\n\((?P<columns>.*?)\n\)\n(?P<right>DEFINER[^\n]*)\n"
    r"AS (?P<body>.*)\nCOMMENT '(?P<comment>(?:[^'\\]|''|\\.)*)'\s*",
    re.DOTALL,
)
_COLUMN: Final = re.compile(r"^    `(\w+)`", re.MULTILINE)

_IS_ACTIVE: Final = """\
(journey, journey_version) IN (SELECT journey, version FROM pathline.active_versions FINAL)
    OR journey NOT IN (SELECT journey FROM pathline.active_versions)"""
"""A journey that no run has named has no active version: all of it shows, rather than nothing."""


def with_versions(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts of all views by name: those in `texts`, where versions matter in both forms."""
    versioned = [name for name, text in texts.items() if _VERSIONED.search(text)]
    made: dict[str, str] = {}
    for name, text in texts.items():
        if name in versioned:
            made[name + ALL] = _of_all(text, versioned)
            made[name] = _of_active(name, text)
        else:
            made[name] = text
    return made


def _of_all(text: str, versioned: Iterable[str]) -> str:
    """The text, reading all versions of whatever it reads."""
    names = "|".join(versioned)
    found = _parts(text)
    comment = f"{found['comment']} (all versions of each journey: never add them up)"
    text = text[: found.start("comment")] + comment + text[found.end("comment") :]
    return re.sub(rf"\bbi\.({names})\b", rf"bi.\1{ALL}", text)


def _of_active(name: str, text: str) -> str:
    """The same columns, of the active version only."""
    found = _parts(text)
    columns = ", ".join(_COLUMN.findall(found["columns"]))
    return (
        f"CREATE OR REPLACE VIEW bi.{name}\n({found['columns']}\n)\n{found['right']}\n"
        f"AS SELECT {columns}\nFROM bi.{name}{ALL}\nWHERE {_IS_ACTIVE}\n"
        f"COMMENT '{found['comment']} (active version of each journey; all: bi.{name}{ALL})'\n"
    )


def _parts(text: str) -> re.Match[str]:
    found = _VIEW.fullmatch(text)
    assert found, f"a view with versions is one statement, columns, right, AS, COMMENT: {text[:60]}"
    return found
