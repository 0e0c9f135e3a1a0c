"""How far time has come in a story, line by line: a record out of order must be meant to be so."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from schemas.documents import Document
from schemas.story_cells import show_time
from schemas.story_steps import Expect, Record, Step, TheEnd, TimePasses

TIME_PASSES: Final = "(time passes)"
THE_END: Final = "(the end)"
LATENESS_MS: Final = 10_000
"""Unless a story says otherwise; the same as in the settings of a run."""


class Arrivals:
    """Takes the steps of a story in their order, and notes those that cannot come then."""

    def __init__(self, document: Document, lateness_ms: int) -> None:
        self.document = document
        self.lateness_ms = lateness_ms
        self.passed_ms = 0
        self.latest_ms = 0
        self.watermarks: dict[int, int] = {}
        self.is_over = False

    def take(self, step: Step) -> Step:
        """The step; an expectation with the time until which it lets time pass."""
        if self.is_over and not isinstance(step, Expect):
            self.document.problem(step.line, f"nothing happens after {THE_END}", "tell it before")
        match step:
            case Record():
                self._record(step)
            case TimePasses():
                self._pass(step)
            case TheEnd():
                self.is_over = True
            case Expect():
                # just after the last record: one that comes at the very same time would be late
                self.passed_ms = max(self.passed_ms, self.latest_ms + 1)
                return replace(step, to_ms=self.passed_ms)
        return step

    def _pass(self, step: TimePasses) -> None:
        come = max(self.passed_ms, self.latest_ms)
        if step.to_ms < come:
            self.document.problem(step.line, "time does not go back", f"it has come to {show_time(come)}")
        self.passed_ms = max(self.passed_ms, step.to_ms)

    def _record(self, step: Record) -> None:
        watermark = max(self.passed_ms, self.watermarks.get(step.partition, 0))
        is_late = step.at_ms < watermark
        if is_late and not step.comes_late:
            self.document.problem(
                step.line,
                f"time has come to {show_time(watermark)}: this record is late",
                f"where that is meant, write '{show_time(step.at_ms)} late'",
            )
        elif step.comes_late and not is_late:
            self.document.problem(
                step.line,
                "this record is not late",
                f"put it after a line {TIME_PASSES}, or leave out 'late'",
            )
        seen_ms = min(step.at_ms, step.fields.get("received_at") or step.at_ms)
        # a late one comes when time is so far
        self.latest_ms = max(self.latest_ms, watermark if is_late else seen_ms)
        self.watermarks[step.partition] = max(watermark, seen_ms - self.lateness_ms)
