"""`pathline simulate`: seeded shoppers into files, or live at the speed of time."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from pipeline.cli.outlets import Outlets, outlets
from pipeline.runtime import stop
from pipeline.settings import BadSettings
from pipeline.simulate import Settings, story_of
from pipeline.simulate import simulate as told

MINUTE_MS: Final = 60_000
TICK_SECONDS: Final = 0.25
"""How often a live stream goes on: often enough to look alive, and to notice Ctrl-C."""

CHUNKS_MS: Final = (250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, MINUTE_MS)
"""Lengths of simulated time that divide a minute, as the simulator wants them."""

START: Final = "2026-01-05T06:00:00Z"
"""A Monday morning. Fixed, so that the same command writes the same bytes."""


def simulate(
    out: Annotated[Path | None, typer.Option(help="File to write: .jsonl or .jsonl.gz")] = None,
    files: Annotated[int, typer.Option(min=1, max=1024, help="Split by visitor into so many files")] = 1,
    live: Annotated[bool, typer.Option("--live", help="As time passes, to the terminal or --out")] = False,
    speed: Annotated[float, typer.Option(min=0.01, max=10_000, help="With --live: times faster")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other shoppers")] = 1,
    visitors: Annotated[int, typer.Option(min=1, max=50_000_000, help="Shoppers who come")] = 10_000,
    start: Annotated[str | None, typer.Option(help=f"First moment (default {START}; live: now)")] = None,
    hours: Annotated[float, typer.Option(min=0.02, max=9_000, help="Hours of simulated time")] = 8.0,
    poison: Annotated[float, typer.Option(min=0, max=1, help="Broken records per good one")] = 0.0,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of records sent twice")] = 0.01,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there")] = False,
) -> None:
    """Write a clickstream of simulated shoppers, each with a story; the same options, the same bytes.

    Ctrl-C stops after a whole record.
    """
    _check(out, live)
    settings = Settings(
        seed=seed,
        visitors=visitors,
        start_ms=int(time.time() * 1000) if start is None and live else start_ms(start or START),
        duration_ms=max(1, round(hours * 60)) * MINUTE_MS,
        duplicates=duplicates,
        poison=poison,
        chunk_ms=_chunk_ms(speed) if live else MINUTE_MS,
    )
    console = Console(stderr=True)
    stop.on_signals()
    with outlets(out, files, force=force, flush=live) as opened:
        written = write(settings, opened, console, speed if live else None)
    _conclude(settings, written, opened, console)


def _check(out: Path | None, live: bool) -> None:
    problems = []
    if out is None and not live:
        problems.append("--out: nowhere to write to\n  hint: --out shop.jsonl, or --live for the terminal")
    if out is not None and out.suffix == ".gz" and live:
        problems.append("--live: nobody can read along in a .gz file\n  hint: --out shop.jsonl")
    if problems:
        raise BadSettings(problems)


class Written:
    """What was written so far."""

    def __init__(self) -> None:
        self.records = 0
        self.shoppers = 0
        self.began = time.monotonic()

    def add(self, lines: list[bytes]) -> None:
        self.records += len(lines)
        self.shoppers = max(self.shoppers, max(map(_number, lines), default=-1) + 1)


def _number(line: bytes) -> int:
    """The shopper's number, which the id of every record tells that was not broken there; else -1."""
    try:
        return int(line[17:25], 16) if line.startswith(b'{"event_id":"') else -1
    except ValueError:
        return -1


def write(settings: Settings, opened: Outlets, console: Console, speed: float | None = None) -> Written:
    """Writes until the simulated time is over or a stop is asked for; with `speed` as time passes."""
    written = Written()
    with _progress(console) as progress:
        task = progress.add_task("simulating", total=settings.duration_ms)
        for lines in _paced(told(settings), settings.chunk_ms, speed):
            opened.write(lines)
            written.add(lines)
            progress.update(task, advance=settings.chunk_ms)
            if opened.closed:
                break
    return written


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _paced(chunks: Iterator[list[bytes]], chunk_ms: int, speed: float | None) -> Iterator[list[bytes]]:
    """Each chunk once its time is over, so that nothing comes from the future; until a stop is asked for."""
    due = time.monotonic()
    for chunk in chunks:
        if speed is not None:
            due += chunk_ms / 1000 / speed
            while not stop.stopping() and (wait := due - time.monotonic()) > 0:
                time.sleep(min(wait, TICK_SECONDS))
        if stop.stopping():
            return
        yield chunk


def _chunk_ms(speed: float) -> int:
    """Simulated time between two writes of a live stream."""
    return max(chunk for chunk in CHUNKS_MS if chunk <= max(CHUNKS_MS[0], speed * TICK_SECONDS * 1000))


def start_ms(text: str) -> int:
    """Milliseconds of a time as people write it; UTC where it says nothing."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadSettings([f"--start: {text!r} is no time\n  hint: write it like {START}"]) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _conclude(settings: Settings, written: Written, opened: Outlets, console: Console) -> None:
    seconds = time.monotonic() - written.began
    where = ", ".join(map(str, opened.paths[:3])) + (", ..." if len(opened.paths) > 3 else "")
    how = "stopped after" if stop.stopping() else "wrote"
    console.print(
        f"{how} {written.records:,} records of {written.shoppers:,} shoppers in {seconds:.1f} s"
        + (f": {where}" if where else ""),
        highlight=False,
        soft_wrap=True,
    )
    for story, shoppers in stories(settings, written.shoppers).most_common():
        console.print(f"{shoppers:>12,}  {story}", highlight=False)
    if opened.closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at the end
    elif opened.paths:
        one_each = " --partitioned-by visitor" if len(opened.paths) > 1 else ""
        inputs = " ".join(f"--input {shlex.quote(str(path))}" for path in opened.paths)
        console.print(f"next: pathline run {inputs}{one_each}", highlight=False, soft_wrap=True)


def stories(settings: Settings, shoppers: int) -> Counter[str]:
    """How many of the first `shoppers` tell which story."""
    return Counter(story_of(settings, f"v0000{number:08x}1") for number in range(shoppers))
