"""Events to their sessions, and why each session ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pipeline.cli.story.asked import Row
from pipeline.cli.story.lines import FAINT, Effect, Line
from pipeline.cli.story.words import duration
from pipeline.settings import Settings

SECOND: Final = timedelta(seconds=1)
MS: Final = timedelta(milliseconds=1)


def lines_of(events: Sequence[Row], dedup_window_ms: int) -> list[Line]:
    """A line per event; copies that came by another partition are marked."""
    lines = []
    first: dict[str, Row] = {}
    window = timedelta(milliseconds=dedup_window_ms)
    for row in events:
        line = Line(row["at"], event=row)
        seen = first.get(row["event_id"])
        if seen and _place(seen) != _place(row) and row["at"] - seen["at"] <= window:
            line.is_copy = True
            where = f"{seen['input']}:{seen['position']}"
            line.effects.append(Effect(f"a copy of the event from {where}: not counted again", FAINT))
        else:
            first[row["event_id"]] = row
        if row["is_passive"]:
            line.effects.append(Effect("passive: not done by the visitor, so it enters no stage", FAINT))
        lines.append(line)
    return lines


def _place(row: Row) -> tuple[str, int]:
    return row["input"], row["partition"]


def assign(lines: Sequence[Line], sessions: Sequence[Row]) -> None:
    """Gives each event the number of its session. The views tell its begin and end in whole seconds, so that
    two may share one: the first then takes as many events as it has.
    """
    left = [session["events"] for session in sessions]
    for line in lines:
        if line.event is None or line.is_copy or line.event["is_passive"]:
            continue
        for number, session in enumerate(sessions):
            within = session["started_at"] <= line.at < session["ended_at"] + SECOND
            if within and left[number]:
                left[number] -= 1
                line.session = number + 1
                break
        else:
            line.effects.append(Effect("in no session yet: it waits until its time has passed", FAINT))


def why_ended(session: Row, after: Row | None, settings: Settings) -> str:
    """Why a session is over, from the one that came after it. The rows do not say by which settings they were
    made: those of here and now are named where they explain it.
    """
    if not session["is_closed"]:
        return "still open"
    gap = duration(settings.session_gap_ms)
    if after is None:
        return f"ended: no event for more than {gap} (session_gap)"
    silence = after["started_at"] - session["ended_at"]
    if silence > timedelta(milliseconds=settings.session_gap_ms):
        return f"ended: no event for {duration(silence // MS)} (session_gap {gap})"
    if after["is_continuation"]:
        return "ended: as long as a session may be (session_length_max)"
    if settings.split_at_midnight and after["started_at"].date() != session["ended_at"].date():
        return "ended: midnight (split_at_midnight)"
    if settings.split_on_campaign:
        return "ended: another campaign brought the visitor back (split_on_campaign)"
    return f"ended: no event for {duration(silence // MS)} (a session_gap shorter than {gap})"
