"""`pathline explain`: the story of a visitor, an order or a cart, and why each thing in it happened."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import typer
from rich.console import Console
from rich.text import Text

from pipeline.cli.execute import execute
from pipeline.cli.story.asked import EVENTS_MAX, Found, Told, ask, find, tell
from pipeline.cli.story.definitions import Definition, Named, load, nearest
from pipeline.cli.story.page import Part, show
from pipeline.cli.story.timeline import How, story
from pipeline.cli.story.words import moment, plain
from pipeline.run import plan
from pipeline.runtime import stop
from pipeline.settings import BadSettings, Settings, load_settings
from schemas.mappings import load_mapping
from sinks.clickhouse.query import Reader

VISITORS_MAX: Final = 5
"""Stories told at once: an id of more visitors is a shared one."""
CALLED: Final = {"visitor": "a visitor", "order": "an order", "cart": "a cart", "user": "an account"}
NOTHING_FOUND: Final = 1
INTERRUPTED: Final = 130


def explain(
    wanted: Annotated[str, typer.Argument(metavar="VISITOR|ORDER|CART", help="Id of one, or of an account")],
    clickhouse: Annotated[str | None, typer.Option(help="Where the rows are: a DSN")] = None,
    input: Annotated[  # noqa: A002
        list[Path] | None, typer.Option(help="Tell it from this file instead; repeat for more")
    ] = None,
    mapping: Annotated[str | None, typer.Option(help="Name or file of the mapping")] = None,
    journey: Annotated[
        list[str] | None, typer.Option(help="Name or file of a journey; repeat for more")
    ] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Read each file in order of event time")] = False,
    until_drained: Annotated[
        bool, typer.Option("--until-drained", help="Let no time pass after the end of the files")
    ] = False,
    since: Annotated[str | None, typer.Option("--from", help="Show nothing before this time")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Show nothing after this time")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Events shown of each visitor")] = 200,
) -> None:
    """Tell the story of a visitor, an order or a cart, and which rule or deadline made each thing happen.

    It reads the events that a run has kept (--store-events), or those of files: these go through the real
    pipeline into a database that is gone afterwards. Records that came late are kept without a visitor, in
    bi.late_events: orders among them are told, others not. It tells the active version of each journey, or
    the one that --journey defines.
    """
    flags = {
        "clickhouse": clickhouse,
        "input": tuple(input or ()),
        "mapping": mapping,
        "journey": tuple(journey or ()),
        "sort": sort or None,
        "until_drained": until_drained or None,
    }
    settings = load_settings(flags)
    part = Part(_time("--from", since), _time("--to", until), limit, wanted)
    how = How(load(settings.journey), load_mapping(settings.mapping).orders, settings)
    chosen = set(how.definitions) if journey else set[Named]()
    names = {name for name, _ in chosen}
    console = Console()
    with _database(settings, from_files=bool(input)) as dsn, Reader(dsn) as reader:
        if input:
            _set_aside(reader, console)
        found = find(reader, wanted)
        if not found:
            raise typer.Exit(_nothing(reader, wanted, from_files=bool(input)))
        _introduce(wanted, found, console)
        warned: set[str] = set()
        for one in found[:VISITORS_MAX]:
            told = tell(reader, one.whose, chosen)
            journeys = [named for named in told.journeys if not names or named[0] in names]
            _head(told, console)
            for warning in _warnings(told, journeys, how.definitions):
                if warning not in warned:
                    console.print(Text(warning, "yellow"), soft_wrap=True)
                warned.add(warning)
            show(story(told, how, journeys), part, console)


@contextmanager
def _database(settings: Settings, *, from_files: bool) -> Iterator[str]:
    """Where the rows are: made from the files where there are some, for as long as it is needed."""
    if not from_files:
        yield settings.clickhouse
        return
    with tempfile.TemporaryDirectory(prefix="pathline-explain-") as folder:
        dsn = f"chdb://{quote(folder)}/clickhouse"
        own = {"clickhouse": dsn, "state": Path(folder) / "state", "store_events": True, "workers": 1}
        own |= {"listen": "none", "announce": None}
        # for a person who waits: what it says of a place that is gone soon is no news for anybody else
        console = Console(stderr=True, quiet=not sys.stderr.isatty())
        code = execute(plan(settings.model_copy(update=own)), console, tells=False)
        if code or stop.stopping():
            raise typer.Exit(code or INTERRUPTED)
        yield dsn


def _set_aside(reader: Reader, console: Console) -> None:
    """What the files say and no story can tell."""
    (counts,) = ask(reader, "aside")
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if said:
        hint = "\n  hint: --sort, where the files are not in order of time" if counts["late"] else ""
        console.print(Text(f"warning: not told, for they were set aside: {said}{hint}", "yellow"))


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{option}: {text!r} is no time\n  hint: write it like 2026-01-31T12:00:00Z"
        raise BadSettings([problem]) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _nothing(reader: Reader, wanted: str, *, from_files: bool) -> int:
    (there,) = ask(reader, "stored", id=wanted)
    lines = [f"nothing found: no event of a visitor, order, cart or account '{wanted}'"]
    if from_files:
        lines.append(
            f"  hint: the files have {there['events']:,} accepted events; is the --mapping the right one?"
        )
    elif there["events"] == 0:
        lines.append(
            "  hint: this database keeps no events: run with --store-events, or tell it from --input FILE"
        )
    elif there["sessions"]:
        lines.append(
            "  hint: it has sessions of this visitor, but not their events: tell it from --input FILE"
        )
    else:
        lines.append("  hint: ids are compared as they are written; --input FILE tells it from files")
    Console(stderr=True).print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    return NOTHING_FOUND


def _introduce(wanted: str, found: Sequence[Found], console: Console) -> None:
    """What the id is, and whose."""
    said = []
    for kind, called in CALLED.items():
        of = [one.whose.visitor_id for one in found if kind in one.kinds]
        if of:
            named = ", ".join(of[:VISITORS_MAX]) + (", ..." if len(of) > VISITORS_MAX else "")
            said.append(called if kind == "visitor" else f"{called} of {named}")
    text = f"{wanted} is {' and '.join(said)}"
    if len(found) > 1:
        told = "" if len(found) <= VISITORS_MAX else f", of which the first {VISITORS_MAX} are told"
        text += f": {len(found)} visitors{told}"
    console.print(Text(plain(text), "bold"), soft_wrap=True)


def _head(told: Told, console: Console) -> None:
    first, last = told.events[0]["at"], told.events[-1]["at"]
    site = f" on {told.whose.site}" if told.whose.site else ""
    users = sorted({row["user_id"] for row in told.events} - {""})
    known = f", known as {', '.join(users)}" if users else ""
    count = f"{len(told.events):,} event{'s' if len(told.events) > 1 else ''}"
    span = f"{moment(first)} to {moment(last, first)}"
    head = plain(f"visitor {told.whose.visitor_id}{site}{known}: {count}, {span}")
    console.print(Text(f"\n{head}", "bold"), soft_wrap=True)


def _warnings(
    told: Told, journeys: Sequence[Named], definitions: Mapping[Named, Definition]
) -> Iterator[str]:
    """Where the rules that are named may not be those that were at work."""
    if len(told.events) == EVENTS_MAX:
        yield f"warning: only the first {EVENTS_MAX:,} events are told"
    for name, version in journeys:
        definition = nearest(definitions, (name, version))
        if definition is None:
            yield f"warning: no rules are named for {name} {version}\n  hint: --journey with its definition"
        elif definition.journey.version != version:
            yield (
                f"warning: these rows are of {name} {version}, and {definition.file} is version "
                f"{definition.journey.version}: rules and lines may differ\n"
                f"  hint: --journey with the definition that was used"
            )
