"""Two tables beside each other: what a story expects and what was found, with the cells that differ marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final, TypeAlias

from rich.text import Text

Cells: TypeAlias = tuple[str, ...]

MARK: Final = "≠ "
GAP: Final = "  "
BETWEEN: Final = "  │  "
DIFFERS: Final = "bold red"


def beside(columns: Cells, expected: Sequence[Cells], found: Sequence[Cells]) -> list[Text]:
    """The lines of both tables. A row that only one of them has stands beside an empty place."""
    pairs = list(_pairs(expected, found))
    left = _table(columns, [pair[0] for pair in pairs], [None] * len(pairs))
    right = _table(columns, [pair[1] for pair in pairs], [pair[0] for pair in pairs])
    width = max(len(line) for line in (Text("expected"), *left))
    lines = [Text("expected".ljust(width)) + Text(BETWEEN) + Text("found")]
    for one, other in zip(left, right, strict=True):
        line = one.copy()
        line.append(" " * (width - len(one)) + BETWEEN)
        lines.append(line + other)
    for line in lines:
        line.rstrip()
    return lines


def _pairs(expected: Sequence[Cells], found: Sequence[Cells]) -> Iterator[tuple[Cells | None, Cells | None]]:
    """Rows that belong to each other: equal ones where there are such, the others between them in order."""
    matcher = SequenceMatcher(None, expected, found, autojunk=False)
    for _, begin, end, other, other_end in matcher.get_opcodes():
        for k in range(max(end - begin, other_end - other)):
            yield (
                expected[begin + k] if begin + k < end else None,
                found[other + k] if other + k < other_end else None,
            )


def _table(columns: Cells, rows: Sequence[Cells | None], beside: Sequence[Cells | None]) -> list[Text]:
    """Aligned lines; cells that differ from those `beside` them are marked, all of a row that has none there."""
    marks_any = any(other is not None for other in beside) or not rows
    marked = [
        [(cell, marks_any and (other is None or other[k] != cell)) for k, cell in enumerate(row)]
        if row
        else None
        for row, other in zip(rows, beside, strict=True)
    ]
    widths = [
        max([len(name), *(len(_shown(*row[k])) for row in marked if row)]) for k, name in enumerate(columns)
    ]
    lines = [Text(GAP.join(name.ljust(width) for name, width in zip(columns, widths, strict=True)))]
    for row in marked:
        line = Text()
        for k, (cell, differs) in enumerate(row or ()):
            shown = _shown(cell, differs).ljust(widths[k]) + (GAP if k + 1 < len(widths) else "")
            line.append(shown, DIFFERS if differs else None)
        lines.append(line)
    return lines


def _shown(cell: str, differs: bool) -> str:
    return MARK + cell if differs else cell
