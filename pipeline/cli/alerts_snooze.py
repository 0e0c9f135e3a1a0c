"""`pathline alerts snooze`: nothing new of an alert, a step or a segment for a while."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.alerts.deliveries import FILE, Deliveries, Snooze
from pipeline.alerts.words import moment
from pipeline.settings import BadSettings, load_settings
from schemas.documents import DURATION_HINT, parse_duration_ms


def snooze(
    alert: Annotated[
        str | None, typer.Option(help="Id of an alert, as `pathline alerts list` has it")
    ] = None,
    journey: Annotated[str | None, typer.Option(help="All alerts of this journey")] = None,
    stage: Annotated[str | None, typer.Option(help="All alerts of this stage")] = None,
    segment: Annotated[
        str | None, typer.Option(help="All alerts of this segment, like device=mobile")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="How long, like 30m, 8h or 2d")] = None,
    until: Annotated[str | None, typer.Option(help="Until when instead: 2026-11-27T18:00 (UTC)")] = None,
    note: Annotated[str, typer.Option(help="Why, for others")] = "",
    remove: Annotated[int | None, typer.Option(help="End the snooze of this number instead")] = None,
    state: Annotated[Path | None, typer.Option(help="Which state folder")] = None,
) -> None:
    """Tell nothing new of what has all that is named here; that it is over is told all the same.

    Without any option it shows which snoozes last.
    """
    folder = load_settings({"state": state}).state
    if not folder.is_dir():
        raise BadSettings([f"--state: {folder}: no such folder\n  hint: name the one that the run was given"])
    log, now, console = Deliveries(folder / FILE), time.time(), Console()
    try:
        if remove is not None:
            if not log.unsnooze(remove):
                raise BadSettings(
                    [f"--remove: there is no snooze {remove}\n  hint: `pathline alerts snooze` shows them"]
                )
            console.print(f"snooze {remove} is over", highlight=False)
        elif any((alert, journey, stage, segment, for_, until)):
            if not any((alert, journey, stage, segment)):
                hint = "--alert, --journey, --stage or --segment; for ever is `ignore` in the definition"
                raise BadSettings([f"what to snooze is missing\n  hint: {hint}"])
            number = log.snooze(alert, journey, stage, segment, _end(for_, until, now), now, note)
            console.print(
                f"snooze {number}: {shown(log.snoozes(now), number)}", highlight=False, soft_wrap=True
            )
        else:
            lines = [f"snooze {one.number}: {words(one)}" for one in log.snoozes(now)]
            console.print("\n".join(lines) or "nothing is snoozed", highlight=False, soft_wrap=True)
    finally:
        log.close()


def shown(snoozes: list[Snooze], number: int) -> str:
    """The snooze of this number in words."""
    return next((words(one) for one in snoozes if one.number == number), "over")


def words(one: Snooze) -> str:
    """What, until when and why."""
    named = {"alert": one.alert_id, "journey": one.journey, "stage": one.stage, "segment": one.segment}
    what = ", ".join(f"{key} {value}" for key, value in named.items() if value)
    return f"{what} until {moment(one.until)}" + (f": {one.note}" if one.note else "")


def _end(for_: str | None, until: str | None, now: float) -> float:
    if (for_ is None) == (until is None):
        raise BadSettings(["how long is missing, or there twice\n  hint: either --for 2h, or --until TIME"])
    if for_ is not None:
        ms = parse_duration_ms(for_)
        if ms is None:
            raise BadSettings([f"--for: {for_!r} is no duration\n  hint: {DURATION_HINT}"])
        return now + ms / 1000
    assert until is not None
    try:
        at = datetime.fromisoformat(until)
    except ValueError:
        raise BadSettings(
            [f"--until: {until!r} is no time\n  hint: such as 2026-11-27T18:00, in UTC"]
        ) from None
    end = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    if end <= now:
        raise BadSettings([f"--until: {until} is over\n  hint: name a time to come, in UTC"])
    return end
