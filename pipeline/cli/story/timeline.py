"""One visitor's story put together: events, what came of them, and how all of it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.cli.story import objects, orders, sessions, stages
from pipeline.cli.story.asked import Row, Told
from pipeline.cli.story.definitions import Definition, Named, nearest
from pipeline.cli.story.lines import FAINT, Effect, Line
from pipeline.cli.story.words import moment
from pipeline.settings import Settings
from schemas.orders import Orders


@dataclass(frozen=True)
class How:
    """How the rows were made, as far as they do not say it themselves."""

    definitions: Mapping[Named, Definition]
    orders: Orders | None
    settings: Settings


@dataclass(frozen=True)
class Story:
    """Lines in order of time; `headings[n - 1]` is that of session n."""

    told: Told
    lines: list[Line]
    headings: list[str]
    ends: list[tuple[str, str]]
    """What it is about, and what became of it."""


def story(told: Told, how: How, wanted: Sequence[Named]) -> Story:
    """The story of a visitor in the journeys that are wanted."""
    lines = sessions.lines_of(told.events, how.settings.dedup_window_ms)
    sessions.assign(lines, told.sessions)
    orders.explain(lines, told.orders, how.orders, told.whose.visitor_id)
    made: list[Line] = []
    numbers = {session["session_id"]: number for number, session in enumerate(told.sessions, start=1)}
    for journey, version in wanted:
        definition = nearest(how.definitions, (journey, version))
        name = f"{journey}: " if len(wanted) > 1 else ""
        for session_id, number in numbers.items():
            of_session = [line for line in lines if line.session == number]
            moved = _rows(told.transitions, journey, version, session_id)
            stages.explain(of_session, moved, definition, name)
            made += stages.timers(_rows(told.timers, journey, version, session_id), definition, name)
    lines += made
    for journey, version in wanted:
        name = f"{journey}: " if len(wanted) > 1 else ""
        of_journey = _rows(told.objects, journey, version)
        objects.explain(lines, of_journey, told.orders, nearest(how.definitions, (journey, version)), name)
    if all(nearest(how.definitions, one) for one in wanted):
        _say_nothing_came(lines)
    lines.sort(key=lambda line: (line.at.replace(microsecond=0) if line.order else line.at, line.order))
    after = [*told.sessions[1:], None]
    headings = [
        f"session {number}: {_heading(one, sessions.why_ended(one, following, how.settings))}"
        for number, (one, following) in enumerate(zip(told.sessions, after, strict=False), start=1)
    ]
    return Story(told, lines, headings, list(_ends(told, how, wanted, numbers)))


def _say_nothing_came(lines: Sequence[Line]) -> None:
    """Of an event that did nothing in any journey."""
    for line in lines:
        if line.has_session and not line.effects:
            line.effects.append(Effect("enters no stage", FAINT))


def _rows(rows: Sequence[Row], journey: str, version: int, session_id: str = "") -> list[Row]:
    return [
        row
        for row in rows
        if (row["journey"], row["journey_version"]) == (journey, version)
        and (not session_id or row["session_id"] == session_id)
    ]


def _heading(session: Row, why: str) -> str:
    began, ended = session["started_at"], session["ended_at"]
    events = f"{session['events']} event{'s' if session['events'] > 1 else ''}"
    known = [session[name] for name in ("device", "channel") if session[name]]
    return ", ".join((f"{moment(began)} to {moment(ended, began)}", events, *known, why))


def _ends(
    told: Told, how: How, wanted: Sequence[Named], numbers: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    for row in told.outcomes:
        if (row["journey"], row["journey_version"]) in wanted:
            stage = f" in {row['abandoned_stage']}" if row["abandoned_stage"] else ""
            path = " > ".join(row["path"])
            about = (
                f"session {numbers.get(row['session_id'], '?')}, {row['journey']} {row['journey_version']}"
            )
            yield about, f"{row['outcome']}{stage} ({path})"
    for journey, version in wanted:
        for row in _rows(told.timers, journey, version):
            if row["left_by"] == "open":
                yield "open", f"{journey}: stage {row['stage']}, deadline {moment(row['deadline_at'])}"
        definition = nearest(how.definitions, (journey, version))
        for text in objects.still_open(_rows(told.objects, journey, version), definition):
            yield "open", f"{journey}: {text}"
