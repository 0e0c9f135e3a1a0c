"""Two answers to one question, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.independent.answer import Answer, Row

Lines = Iterable[tuple[str, ...]]

TIMES = ("opened_at", "abandoned_at", "resolved_at", "started_at", "ended_at")
NAMES = {
    "objects": ("site", "visitor_id", "kind", "opened_at"),
    "visits": ("site", "visitor_id", "started_at"),
    "sessions": ("site", "visitor_id", "started_at"),
    "orders": ("site", "currency"),
    "rates": ("site", "day", "kind"),
}
"""The columns that say what a row is about; the others say something about it."""


def expected(name: str, answer: Answer) -> list[Row]:
    """Rows of the independent answer as the views tell them: times in whole seconds."""
    rows: list[Row] = getattr(answer, name)
    return [{key: value // 1_000 if key in TIMES else value for key, value in row.items()} for row in rows]


def differences(name: str, found: Sequence[Row], wanted: Sequence[Row], show: int = 12) -> list[str]:
    """Empty where the rows are the same; else how many differ, in what, and the first of them side by side.

    Columns that only one side has are left out.
    """
    if not found or not wanted:
        return [] if len(found) == len(wanted) else [f"{name}: {len(found)} rows for {len(wanted)}"]
    columns = [column for column in wanted[0] if column in found[0]]
    ours, theirs = (Counter(tuple(str(row[c]) for c in columns) for row in rows) for rows in (found, wanted))
    more, less = ours - theirs, theirs - ours
    if not more and not less:
        return []
    lines = sorted([(*row, "+") for row in more.elements()] + [(*row, "-") for row in less.elements()])
    return [
        f"{name}: {len(found)} rows for {len(wanted)}; {more.total()} more (+), {less.total()} less (-)",
        f"  {_in_what(NAMES.get(name, ()), columns, more, less)}",
        f"    {' '.join(columns)}",
        *(f"  {line[-1]} {' '.join(line[:-1])}" for line in lines[:show]),
    ]


def _in_what(names: Sequence[str], columns: Sequence[str], more: Lines, less: Lines) -> str:
    """In which columns rows about the same thing differ, and how many have no counterpart."""
    places = [columns.index(name) for name in names]
    ours, theirs = ({tuple(row[at] for at in places): row for row in rows} for rows in (more, less))
    differ: Counter[str] = Counter()
    for name in ours.keys() & theirs.keys():
        both = zip(columns, ours[name], theirs[name], strict=True)
        differ.update(column for column, mine, other in both if mine != other)
    told = [f"{column} {count}" for column, count in differ.most_common()]
    return ", ".join([*told, f"without counterpart {len(ours.keys() ^ theirs.keys())}"])
