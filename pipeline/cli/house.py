"""`pathline check`, `migrate` and `reset`: looking after definitions, the database and the state."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipeline.settings import BadSettings, Settings, load_settings
from pipeline.versions import active_versions
from schemas.alerts import load_alerts
from schemas.documents import BadDefinition
from schemas.journeys import load_journeys
from schemas.mappings import load_mapping, orders_missing
from sinks.base import mask_dsn

EMBEDDED_OR_SERVER = ("chdb:", "clickhouse:", "http:", "https:")


def check(
    journey: Annotated[
        list[str] | None, typer.Option(help="Name or file of a journey; repeat for more")
    ] = None,
    mapping: Annotated[str | None, typer.Option(help="Name or file of a mapping")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (default ./pathline.toml)")] = None,
) -> None:
    """Check journeys, a mapping and the settings; every mistake at once, each with file and line."""
    console = Console(stderr=True)
    problems: list[str] = []
    settings = Settings()
    try:
        settings = load_settings({"journey": tuple(journey or ()), "mapping": mapping}, config)
    except BadSettings as error:
        problems.append(str(error))
    loads: tuple[Callable[[], object], ...] = (
        lambda: active_versions(load_journeys(settings.journey), settings.active),
        lambda: load_mapping(settings.mapping),
        lambda: load_alerts(settings.alerts),
    )
    for load in loads:
        try:
            load()
        except (BadDefinition, BadSettings) as error:
            problems.append(str(error))
    if not problems:
        problems += orders_missing(load_journeys(settings.journey), load_mapping(settings.mapping))
    if problems:
        console.print("\n".join(problems), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2)
    Console().print(_summary(settings), highlight=False)


def _summary(settings: Settings) -> str:
    journeys = load_journeys(settings.journey)
    lines = [
        f"journey {journey.name} version {journey.version}: "
        + " → ".join(stage.name for stage in journey.stages)
        for journey in journeys
    ]
    return "\n".join([*lines, f"mapping {settings.mapping}", "settings are in order"])


def migrate(
    clickhouse: Annotated[str | None, typer.Option(help="Which database: a DSN")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done")] = False,
) -> None:
    """Bring the tables and views of a database up to date (a run does it by itself at its start)."""
    from sinks.clickhouse.client import connect, target
    from sinks.clickhouse.migrate import migrate as bring_up_to_date

    settings = _database(clickhouse)
    place = target(settings.clickhouse)
    client = connect(place)
    try:
        applied = bring_up_to_date(client, embedded=place.embedded, dry_run=dry_run)
    finally:
        client.close()
    console = Console()
    for script in applied:
        console.print(f"{'would apply' if dry_run else 'applied'} {script.name}", highlight=False)
        if dry_run:
            console.print(script.text, markup=False, highlight=False)
    if not applied:
        console.print("up to date")


def reset(
    clickhouse: Annotated[str | None, typer.Option(help="Which database: a DSN")] = None,
    state: Annotated[Path | None, typer.Option(help="Which state folder")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
) -> None:
    """Empty the database and the state folder, to begin anew. Asks first."""
    from sinks.clickhouse.reset import reset as empty

    settings = _database(clickhouse, state)
    what = f"all rows in {mask_dsn(settings.clickhouse)} and the state in {settings.state}"
    if not yes:
        typer.confirm(f"Delete {what}?", abort=True)
    if settings.state.exists() and not _is_state(settings.state):
        raise BadSettings(
            [
                (
                    f"--state: {settings.state} holds something else than state\n"
                    "  hint: delete it yourself if that is what you want"
                )
            ]
        )
    empty(settings.clickhouse)
    shutil.rmtree(settings.state, ignore_errors=True)
    Console().print(f"deleted {what}", highlight=False)


def _is_state(folder: Path) -> bool:
    """Whether a folder is one of ours, or empty: nothing else is ever deleted."""
    return (
        (folder / "deployment.json").exists() or (folder / "recovery").is_dir() or not any(folder.iterdir())
    )


def _database(clickhouse: str | None, state: Path | None = None) -> Settings:
    settings = load_settings({"clickhouse": clickhouse, "state": state})
    if not settings.clickhouse.startswith(EMBEDDED_OR_SERVER):
        raise BadSettings(
            [
                f"--clickhouse: {mask_dsn(settings.clickhouse)} is no database\n  hint: chdb:///path or clickhouse://..."
            ]
        )
    return settings
