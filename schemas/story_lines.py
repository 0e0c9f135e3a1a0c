"""The lines of a story file as `Story` objects; whatever is wrong with them is noted, and reading goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.documents import DURATION_HINT, Document, closest, parse_duration_ms
from schemas.story_cells import (
    DAY_MS,
    EVENT_COLUMNS,
    EXPECTED_COLUMNS,
    HINTS,
    NOTHING,
    SHORT,
    Kind,
    event_column,
    parse_time,
    read_cell,
    show_cell,
)
from schemas.story_steps import Expect, Record, Step, Story, TheEnd, TimePasses
from schemas.story_time import LATENESS_MS, THE_END, TIME_PASSES, Arrivals

PARTITIONS_MAX: Final = 16
LATE: Final = " late"
"""After the time of a record that comes when time has passed it: without it, that is a slip of the pen."""
SOMEBODY: Final = "anna"
"""The visitor where no column says who."""
CELLS_HINT: Final = "columns are at least two spaces apart, and '-' is nothing"

DURATIONS: Final = {
    "session_gap": (1, DAY_MS),
    "session_length_max": (60_000, 30 * DAY_MS),
    "allowed_lateness": (1, DAY_MS),
    "dedup_window": (1, DAY_MS),
}
"""What a story may set, from what to what; `_ms` is added in the settings of a run."""
FLAGS: Final = ("split_at_midnight", "split_on_campaign")


@dataclass
class _Draft:
    """A story that is being read."""

    title: str
    line: int
    settings: dict[str, int | bool]
    steps: list[Step] = field(default_factory=list)
    expects: bool = False


@dataclass
class _Table:
    """A table that is being read: of events, or what is expected (`expects` then names it)."""

    line: int
    expects: str = ""
    kinds: dict[str, Kind] | None = None
    """By column; None before its first line, and {} where that was no good: its rows are passed over."""
    rows: list[tuple[str, ...]] = field(default_factory=list)


class Reader:
    """Reads a file from its first line to its last, and notes what is wrong."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.settings: dict[str, int | bool] = {}
        self.drafts: list[_Draft] = []
        self.table: _Table | None = None

    def read(self, text: str) -> tuple[Story, ...]:
        for number, line in enumerate(text.split("\n"), start=1):
            self._line(number, line.rstrip())
        self._close()
        _check_titles(self.document, self.drafts)
        return tuple(self._story(draft) for draft in self.drafts)

    def _line(self, number: int, line: str) -> None:
        if "\t" in line:
            self.document.problem(number, "a tab in a story", "columns are lined up with spaces")
            return
        cells = tuple(re.split(r" {2,}", line.strip()))
        word, _, rest = line.partition(" ")
        if line.startswith(">"):
            return
        if not line:
            self._close()
        elif word == "#":
            self._close()
            self.drafts.append(_Draft(rest.strip(), number, dict(self.settings)))
        elif word == "with":
            self._close()
            self._setting(number, rest.split())
        else:
            self._in_story(number, word, rest.strip(), cells)

    def _in_story(self, number: int, word: str, rest: str, cells: tuple[str, ...]) -> None:
        told = tuple(cell for cell in cells if cell != NOTHING)
        if not self.drafts:
            hint = "a story begins with its title: # A cart is abandoned"
            self.document.problem(number, "this line stands before the first story", hint)
        elif word == "expect":
            self._close()
            self._expect(number, rest)
        elif told[-1:] in ((TIME_PASSES,), (THE_END,)):
            self._time(number, told)
        elif self.table and self.table.expects:
            self._expected(self.table, number, cells)
        elif cells[0] == "at":
            self._close()
            self.table = _Table(number, kinds=self._kinds(number, cells, ""))
        elif self.table:
            self._happens(self.table, number, cells)
        else:
            hint = "tables begin with a line of columns: at  visitor  event; or with: expect sessions"
            self.document.problem(number, "this line belongs to no table", hint)

    def _story(self, draft: _Draft) -> Story:
        """The story, with what no single line tells: that it expects something, and how far time has come."""
        if not draft.expects:
            self.document.problem(
                draft.line, f"the story '{draft.title}' expects nothing", "add: expect transitions"
            )
        time = Arrivals(self.document, int(draft.settings.get("allowed_lateness_ms", LATENESS_MS)))
        return Story(draft.title, draft.line, draft.settings, tuple(map(time.take, draft.steps)))

    def _setting(self, number: int, words: Sequence[str]) -> None:
        """`with session_gap 45m`: of the story; above the first, of all."""
        settings = self.drafts[-1].settings if self.drafts else self.settings
        name, text = (*words, "", "")[:2]
        if len(words) != 2 or name not in (*DURATIONS, *FLAGS):
            self.document.problem(
                number, f"'with {' '.join(words)}' is no setting", closest(name, (*DURATIONS, *FLAGS))
            )
        elif name in FLAGS:
            settings[name] = bool(self._value(number, name, "flag", text))
        else:
            duration_ms, (low_ms, high_ms) = parse_duration_ms(text), DURATIONS[name]
            if duration_ms is None or not low_ms <= duration_ms <= high_ms:
                self.document.problem(number, f"'{text}' cannot be the {name}", DURATION_HINT)
            else:
                settings[f"{name}_ms"] = duration_ms

    def _kinds(self, number: int, columns: tuple[str, ...], table: str) -> dict[str, Kind]:
        """The columns of a table by their full names; {}, and problems, where they are not such."""
        names = columns if table else columns[1:]
        known = EXPECTED_COLUMNS[table] if table else EVENT_COLUMNS
        kinds: dict[str, Kind] = {} if table else {"at": "time"}
        before = len(self.document.problems)
        for name in names:
            full = SHORT.get(name, name)
            kind = known.get(full) if table else event_column(full)
            if kind is None:
                of = f"of {table}" if table else "of events"
                self.document.problem(number, f"'{name}' is no column {of}", closest(name, tuple(known)))
            elif full in kinds:
                self.document.problem(number, f"the column '{name}' is here twice", "names must differ")
            else:
                kinds[full] = kind
        if len(self.document.problems) > before:
            return {}
        if not table and "event" not in kinds:
            self.document.problem(number, "a table of events lacks the column 'event'", "at  visitor  event")
            return {}
        return kinds

    def _expect(self, number: int, rest: str) -> None:
        self.drafts[-1].expects = True
        is_none = rest.startswith("no ")
        name = rest.removeprefix("no ").strip()
        if name not in EXPECTED_COLUMNS:
            self.document.problem(
                number, f"'{name}' is nothing that can be expected", closest(name, tuple(EXPECTED_COLUMNS))
            )
            self.table = _Table(number, name or "?", {})
        elif is_none:
            self.drafts[-1].steps.append(Expect(number, name, tuple(EXPECTED_COLUMNS[name])[:4], ()))
        else:
            self.table = _Table(number, name)

    def _expected(self, table: _Table, number: int, cells: tuple[str, ...]) -> None:
        """A line of a table of what is expected: its columns, or a row."""
        if table.kinds is None:
            table.kinds = self._kinds(number, cells, table.expects)
        elif table.kinds:
            if self._fits(number, table.kinds, cells):
                row = zip(table.kinds.items(), cells, strict=True)
                cells = tuple(
                    show_cell(kind, self._value(number, name, kind, cell)) for (name, kind), cell in row
                )
            table.rows.append(cells)

    def _fits(self, number: int, kinds: dict[str, Kind], cells: tuple[str, ...]) -> bool:
        if len(cells) != len(kinds):
            self.document.problem(number, f"{len(cells)} cells below {len(kinds)} columns", CELLS_HINT)
        return len(cells) == len(kinds)

    def _value(self, number: int, name: str, kind: Kind, cell: str) -> Any:
        value = read_cell(kind, cell)
        if value is None:
            self.document.problem(number, f"{name}: '{cell}' cannot be read", HINTS[kind])
        return value

    def _happens(self, table: _Table, number: int, cells: tuple[str, ...]) -> None:
        """A line of a table of events: a record, or time that passes."""
        at_ms = parse_time(cells[0].removesuffix(LATE))
        if at_ms is None:
            self.document.problem(number, f"'{cells[0]}' is no time", HINTS["time"])
        elif table.kinds and self._fits(number, table.kinds, cells):
            named = list(zip(table.kinds.items(), cells, strict=True))[1:]
            fields = {
                name: self._value(number, name, kind, cell) for (name, kind), cell in named if cell != NOTHING
            }
            self._record(number, at_ms, fields, cells[0].endswith(LATE))

    def _time(self, number: int, told: tuple[str, ...]) -> None:
        """A line that only lets time pass: it stands in a table of events, or by itself."""
        if self.table and self.table.expects:
            self._close()
        to_ms = parse_time(told[0])
        if told == (THE_END,):
            self.drafts[-1].steps.append(TheEnd(number))
        elif to_ms is not None and told[1:] == (TIME_PASSES,):
            self.drafts[-1].steps.append(TimePasses(number, to_ms))
        else:
            hint = f"write '11:00  {TIME_PASSES}', or '{THE_END}' alone"
            self.document.problem(number, "this line does not say how far time passes", hint)

    def _record(self, number: int, at_ms: int, fields: dict[str, Any], comes_late: bool) -> None:
        partition = fields.pop("partition", 0) or 0
        if not 0 <= partition < PARTITIONS_MAX:
            self.document.problem(
                number, f"there is no partition {partition}", f"from 0 to {PARTITIONS_MAX - 1}"
            )
            partition = 0
        if "event" not in fields:
            self.document.problem(number, "a record without an event", f"time alone is written {TIME_PASSES}")
        fields.setdefault("visitor_id", SOMEBODY)
        self.drafts[-1].steps.append(Record(number, partition, at_ms, fields, comes_late))

    def _close(self) -> None:
        """The table that was being read is whole."""
        table, self.table = self.table, None
        if table is None or not table.expects:
            return
        if table.kinds is None or (table.kinds and not table.rows):
            self.document.problem(
                table.line,
                f"expect {table.expects}: there is no row",
                f"nothing is: expect no {table.expects}",
            )
        elif table.kinds:
            expect = Expect(table.line, table.expects, tuple(table.kinds), tuple(table.rows))
            self.drafts[-1].steps.append(expect)


def _check_titles(document: Document, drafts: Sequence[_Draft]) -> None:
    first: dict[str, int] = {}
    for draft in drafts:
        if not draft.title:
            document.problem(draft.line, "a story without a title", "# A cart is abandoned")
        elif draft.title in first:
            hint = f"the first is on line {first[draft.title]}"
            document.problem(draft.line, f"the story '{draft.title}' is here twice", hint)
        first.setdefault(draft.title, draft.line)
