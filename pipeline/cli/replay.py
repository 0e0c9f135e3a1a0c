"""`pathline replay`: the same input into a new database, with set-aside records where they belong."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipeline.cli import apart, replay_begun
from pipeline.cli.execute import execute
from pipeline.cli.house import EMBEDDED_OR_SERVER
from pipeline.cli.options import Given, takes_options
from pipeline.cli.replay_begun import Begun, Wish
from pipeline.cli.replay_late import Late
from pipeline.cli.replay_told import conclude, told
from pipeline.cli.watch import console_of
from pipeline.inputs import problems_of_input
from pipeline.run import plan
from pipeline.settings import BadSettings, Settings
from pipeline.sources.kafka.partitions import time_ms
from pipeline.sources.kafka.place import is_kafka
from schemas.documents import parse_duration_ms
from sinks.base import mask_dsn
from sinks.clickhouse.client import same_place, target


@takes_options(without=("start", "process_id", "addresses"))
def replay(
    given: Given,
    late: Annotated[
        bool, typer.Option("--late", help="Wait for records as long as the latest of those in --of was late")
    ] = False,
    rejects: Annotated[
        bool, typer.Option("--rejects", help="Tell what becomes of the records that are rejected in --of")
    ] = False,
    of: Annotated[str | None, typer.Option(help="Database that has set records aside: a DSN")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="Read a topic from its first message of this time or later")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Read a topic before its first message of this time or later")
    ] = None,
    late_within: Annotated[
        str | None, typer.Option(help="With --late: not those that were late by more, like 1h")
    ] = None,
) -> None:
    """Read the input of a run again, into a new database, with late or rejected records in their places.

    Give it the options of the run, but a --clickhouse and a --state of its own: the database of the run
    stays as it is. A topic is read to where it ends, or in a range of time. A replay that was stopped or
    killed goes on where it was when the same command is given again.
    """
    wish = Wish(mask_dsn(of) if of else "", late, rejects)
    _check(wish, since, to)
    settings = _settings(given, wish, since, to)
    within_ms = _within_ms(late_within, wish)
    if of is not None:
        _keep_apart(settings, of)
    console = Console(stderr=True)
    begun = replay_begun.read(settings.state, wish)
    if begun is None:
        begun = _ask(settings, of, wish, within_ms)
        for line in told(begun):
            console_of(settings, console).print(line, highlight=False, markup=False, soft_wrap=True)
        if not (since or to or begun.finds_something):
            return
        replay_begun.write(settings.state, begun)
    if begun.allowed_lateness_ms is not None:
        settings = settings.model_copy(update={"allowed_lateness_ms": begun.allowed_lateness_ms})
    planned = plan(settings)
    code = execute(planned, console, tells=False)
    if code == 0:
        conclude(planned, begun, console_of(settings, console))
    raise typer.Exit(code)


def _check(wish: Wish, since: str | None, to: str | None) -> None:
    """Raises BadSettings where the command makes no sense, whatever the settings are."""
    if not (wish.asks or since or to):
        hint = (
            "--late or --rejects with --of, the database of the run; or --from and --to, a range of a topic"
        )
        raise BadSettings([f"nothing to replay\n  hint: {hint}"])
    if wish.asks and not wish.of:
        hint = "name the database of the run, which has set the records aside"
        raise BadSettings([f"--late and --rejects need --of\n  hint: {hint}"])
    for option, text in (("--from", since), ("--to", to)):
        try:
            time_ms(text or "2000-01-01")
        except ValueError:
            raise BadSettings(
                [f"{option}: {text!r} is no time\n  hint: write it like 2026-01-31T12:00:00Z"]
            ) from None
    if since and to and time_ms(since) >= time_ms(to):
        raise BadSettings([f"--to: {to} is not after --from\n  hint: what is read is [from, to)"])


def _settings(given: Given, wish: Wish, since: str | None, to: str | None) -> Settings:
    """Those of the replay. Raises BadSettings."""
    settings = given.settings(**{"start": since} if since else {}, **{"until": to} if to else {})
    problems = problems_of_input(settings)
    from_topics = not problems and is_kafka(settings.input[0])
    if (since or to) and not problems and not from_topics:
        problems.append("--from, --to: only a topic has a range\n  hint: files are read whole: leave it out")
    if settings.addresses:
        problems.append("--addresses: a replay runs on one machine\n  hint: --workers for several processes")
    if wish.rejects and not settings.clickhouse.startswith(EMBEDDED_OR_SERVER):
        shown = mask_dsn(settings.clickhouse)
        problems.append(f"--clickhouse: {shown} cannot be asked what is rejected now\n  hint: chdb:///path")
    if problems:
        raise BadSettings(problems)
    return settings.model_copy(update={"until_drained": True}) if from_topics else settings


def _within_ms(text: str | None, wish: Wish) -> int | None:
    if text is None:
        return None
    ms = parse_duration_ms(text)
    if ms is None or not wish.late:
        raise BadSettings([f"--late-within: {text!r}\n  hint: a duration like 1h, together with --late"])
    return ms


def _keep_apart(settings: Settings, of: str) -> None:
    """Raises BadSettings where rows would go into the database that is replayed."""
    if settings.clickhouse.startswith(EMBEDDED_OR_SERVER) and same_place(
        target(of), target(settings.clickhouse)
    ):
        problem = f"--clickhouse: {mask_dsn(settings.clickhouse)} is the database that is replayed"
        hint = "that one stays as it is: name a new database, and with --state a new folder"
        raise BadSettings([f"{problem}\n  hint: {hint}"])


def _ask(settings: Settings, of: str | None, wish: Wish, within_ms: int | None) -> Begun:
    """What the database has set aside. Raises NotAnswered, or BadSettings where it is too late for us."""
    if of is None or not wish.asks:
        return Begun(wish)
    behind, minutes, rejects = apart.ask(of, ("late", "minutes", "rejects"))
    kept = rejects if wish.rejects else None
    if not wish.late:
        return Begun(wish, rejects=kept)
    late = Late.of(behind, minutes)
    lateness_ms = None  # sorted, none is late
    if not settings.sort:
        sortable = not settings.until_drained
        lateness_ms = late.lateness_ms(settings.allowed_lateness_ms, within_ms, sortable=sortable)
    return Begun(wish, late.total, late.most_behind_ms, lateness_ms, kept)
