"""Two tables beside each other: what a story expects, what was found, with the cells that differ marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final, TypeAlias

from rich.text import Text

Cells: TypeAlias = tuple[str, ...]
Marked: TypeAlias = tuple[Cells, tuple[bool, ...]]
"""A row, and which of its cells are marked."""

MARK: Final = "≠ "
GAP: Final = "  "
BETWEEN: Final = "  │  "
DIFFERS: Final = "bold red"


def beside(
    columns: Cells, expected: Sequence[Cells], found: Sequence[Cells], width: int | None = None
) -> list[Text]:
    """The lines of both tables; one below the other where `width` is not enough. A row that only one of them
    has stands beside an empty place.
    """
    pairs = list(_pairs(expected, found))
    left = [_head("expected", expected), *_lines(columns, [_marked(one, other) for one, other in pairs])]
    right = [_head("found", found), *_lines(columns, [_marked(other, one) for one, other in pairs])]
    longest = max(map(len, left))
    if width is not None and longest + len(BETWEEN) + max(map(len, right)) > width:
        return [line for line in (*left, *right) if line]
    lines = [
        one + Text(" " * (longest - len(one)) + BETWEEN) + other
        for one, other in zip(left, right, strict=True)
    ]
    for line in lines:
        line.rstrip()
    return lines


def _head(word: str, rows: Sequence[Cells]) -> Text:
    return Text(word if rows else f"{word}: nothing")


def _pairs(expected: Sequence[Cells], found: Sequence[Cells]) -> Iterator[tuple[Cells | None, Cells | None]]:
    """Rows that belong to each other: equal ones where there are such, the others between them in order."""
    matcher = SequenceMatcher(None, expected, found, autojunk=False)
    for _, begin, end, other, other_end in matcher.get_opcodes():
        for k in range(max(end - begin, other_end - other)):
            yield (
                expected[begin + k] if begin + k < end else None,
                found[other + k] if other + k < other_end else None,
            )


def _marked(row: Cells | None, other: Cells | None) -> Marked | None:
    """The row with marks where the other is different; at its begin where there is none."""
    if row is None:
        return None
    if other is None:
        return row, (True, *[False] * (len(row) - 1))
    return row, tuple(cell != there for cell, there in zip(row, other, strict=True))


def _lines(columns: Cells, rows: Sequence[Marked | None]) -> list[Text]:
    """A table, its columns aligned; an empty line for no row."""
    cells = [[_shown(*cell) for cell in zip(*row, strict=True)] if row else [] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *filter(None, cells), strict=True)]
    lines = [Text(GAP.join(name.ljust(width) for name, width in zip(columns, widths, strict=True)))]
    for row, shown in zip(rows, cells, strict=True):
        line = Text()
        for text, width, differs in zip(shown, widths, row[1] if row else (), strict=False):
            line.append(text.ljust(width) + GAP, DIFFERS if differs else None)
        lines.append(line)
    for line in lines:
        line.rstrip()
    return lines


def _shown(cell: str, differs: bool) -> str:
    return MARK + cell if differs else cell
