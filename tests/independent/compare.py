"""Two answers to one question, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.independent.answer import Answer, Row

TIMES = ("opened_at", "abandoned_at", "resolved_at", "started_at", "ended_at")


def expected(name: str, answer: Answer) -> list[Row]:
    """Rows of the independent answer as the views tell them: times in whole seconds."""
    rows: list[Row] = getattr(answer, name)
    return [{key: value // 1_000 if key in TIMES else value for key, value in row.items()} for row in rows]


def differences(name: str, found: Iterable[Row], wanted: Iterable[Row], show: int = 12) -> list[str]:
    """Empty where the rows are the same; else how many differ and the first of them, side by side.

    Columns that only one side has are left out.
    """
    found, wanted = list(found), list(wanted)
    if not found or not wanted:
        return [] if len(found) == len(wanted) else [f"{name}: {len(found)} rows for {len(wanted)}"]
    columns = [column for column in wanted[0] if column in found[0]]
    ours, theirs = (Counter(tuple(str(row[c]) for c in columns) for row in rows) for rows in (found, wanted))
    more, less = ours - theirs, theirs - ours
    if not more and not less:
        return []
    lines = sorted([(*row, "+") for row in more.elements()] + [(*row, "-") for row in less.elements()])
    head = f"{name}: {len(found)} rows for {len(wanted)}; {more.total()} more (+), {less.total()} less (-)"
    return [
        head,
        "    " + " ".join(columns),
        *(f"  {line[-1]} " + " ".join(line[:-1]) for line in lines[:show]),
    ]
