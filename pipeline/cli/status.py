"""`pathline status`: whether a run lives, how fresh its rows are, and what it last failed of."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.cli.progress import lag_in_words
from pipeline.runtime import metrics
from pipeline.runtime.exposition import Exposition, Samples
from pipeline.runtime.health import Verdict, look
from pipeline.runtime.log import describe
from pipeline.runtime.meters import RESULTS
from pipeline.runtime.metrics import Metric
from pipeline.runtime.record import LastError, Record, Run
from pipeline.settings import BadSettings, load_settings

EXIT_HEALTHY: Final = 0
EXIT_NOT: Final = 1

WIDE: Final = 200
"""Columns where the output is no terminal."""


@dataclass(frozen=True)
class Status:
    """What is known of a deployment from outside. `numbers` are those of the run that runs, or ran last."""

    is_running: bool
    is_healthy: bool
    says: str
    reasons: tuple[str, ...]
    run: Run | None
    numbers: dict[str, Any]
    last_error: LastError | None


def status(
    state: Annotated[Path | None, typer.Option(help="Which state folder")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines")] = False,
) -> None:
    """Say how a run is doing, from outside: exit code 0 where it runs and is healthy, else 1."""
    folder = load_settings({"state": state}).state
    if not (folder / "deployment.json").exists():
        hint = "--state names the folder that `pathline run` was given"
        raise BadSettings([f"--state: {folder} holds no state\n  hint: {hint}"])
    found = examine(Record(folder), time.time())
    if as_json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
    else:
        console = Console()
        Console(width=None if console.is_terminal else WIDE).print(_page(found, time.time()), highlight=False)
    raise typer.Exit(EXIT_HEALTHY if found.is_healthy else EXIT_NOT)


def examine(record: Record, now: float) -> Status:
    """The status of the deployment in a state folder, at time `now`."""
    run, error, is_held = record.run(), record.last_error(), record.is_held()
    exposition = Exposition(record)
    verdict, samples = look(exposition, now)
    is_running = is_held and run is not None and run.how is None
    return Status(
        is_running=is_running,
        is_healthy=is_running and verdict.alive and verdict.ready,
        says=_in_words(run, verdict, is_running, _last_seen(samples, now), now),
        reasons=verdict.reasons if is_running else (),
        run=run,
        numbers=_numbers(samples, now, is_running),
        last_error=error,
    )


def _in_words(
    run: Run | None, verdict: Verdict, is_running: bool, last_seen: float | None, now: float
) -> str:
    if run is None:
        return "never run"
    if is_running:
        how = "healthy" if verdict.alive and verdict.ready else "not ready" if verdict.alive else "stuck"
        return f"running since {_at(run.started_at)} ({lag_in_words(now - run.started_at)}), {how}"
    if run.how is None:
        seen = f" about {_at(last_seen)}" if last_seen else ""
        return f"not running: it was killed, or lost its machine{seen}"
    return f"not running since {_at(run.ended_at or 0)}: {WHY[run.how]}"


WHY: Final = {
    "finished": "it had read all there was",
    "drained": "it had read all there was; the same command goes on when there is more",
    "stopped": "it was asked to stop; the same command goes on",
    "failed": "it failed, see the last error",
}


def _last_seen(samples: Samples, now: float) -> float | None:
    """When any process last did something."""
    ages = samples.get(metrics.MOVED_AGE.name, {})
    return now - min(ages.values()) if ages else None


def _numbers(samples: Samples, now: float, is_running: bool) -> dict[str, Any]:
    """The numbers of the run, as in its log but since it began; those that age only while it runs."""
    out = describe({}, samples, now)
    out["epoch_seconds"] = out.pop("seconds")
    out |= {
        "epoch_age_seconds": _most(samples, metrics.EPOCH_AGE),
        "rejected_by_reason": _by(samples, metrics.REJECTED),
        "lost": _total(samples, metrics.LOST),
        "retries_by_code": _by(samples, metrics.SINK_RETRIES),
        "rows_by_table": _by(samples, metrics.SINK_ROWS),
        "limits": _by(samples, metrics.FORGOTTEN),
        "state_bytes": _total(samples, metrics.STATE_BYTES),
        "disk_free_bytes": _total(samples, metrics.DISK_FREE),
    }
    if not is_running:
        for name in ("epoch_age_seconds", "unacknowledged_seconds", "lag_seconds"):
            out.pop(name, None)
    return out


def _by(samples: Samples, metric: Metric) -> dict[str, int]:
    """By the only label of a metric."""
    return {labels[0]: int(value) for labels, value in sorted(samples.get(metric.name, {}).items())}


def _total(samples: Samples, metric: Metric) -> int:
    return int(sum(samples.get(metric.name, {}).values()))


def _most(samples: Samples, metric: Metric) -> float:
    return round(max(samples.get(metric.name, {}).values(), default=0.0), 1)


def _page(found: Status, now: float) -> Table:
    page = Table(box=None, show_header=False, pad_edge=False)
    page.add_column(style="bold")
    page.add_column(overflow="fold")
    colour = "green" if found.is_healthy else "yellow" if found.is_running else "red"
    page.add_row("pathline", f"[{colour}]{found.says}[/]")
    for reason in found.reasons:
        page.add_row("", f"[yellow]{escape(reason)}[/]")
    if found.run:
        numbers = found.numbers
        page.add_row("freshness", _freshness(numbers))
        page.add_row("input", _input(numbers))
        page.add_row("epoch", _epoch(numbers))
        page.add_row("open", _open(numbers))
        page.add_row("sink", _sink(found.run, numbers))
        page.add_row("state", f"{_size(numbers['state_bytes'])}, {_size(numbers['disk_free_bytes'])} free")
        if numbers["limits"]:
            page.add_row("limits hit", f"[yellow]{_counts(numbers['limits'])}: see bi.limits[/]")
        if found.run.listens and found.is_running:
            page.add_row("serves", f"http://{found.run.listens}/metrics, /healthz, /readyz")
    page.add_row("last error", _error(found.last_error, now))
    return page


def _freshness(numbers: dict[str, Any]) -> str:
    if "watermark" not in numbers:
        return "at the end of the input"
    behind = f", {lag_in_words(numbers['lag_seconds'])} behind" if "lag_seconds" in numbers else ""
    waiting = f"; {numbers['consumer_lag']:,} records wait in Kafka" if "consumer_lag" in numbers else ""
    return f"events up to {numbers['watermark']}{behind}{waiting}"


def _input(numbers: dict[str, Any]) -> str:
    parts = [f"{numbers['received']:,} records in this run"]
    parts += [f"{numbers[result]:,} {result}" for result in RESULTS if numbers[result]]
    if reasons := numbers["rejected_by_reason"]:
        parts.append(f"rejected for {_counts(reasons)}")
    if numbers["lost"]:
        parts.append(f"[red]{numbers['lost']:,} lost: the broker had deleted them[/]")
    return " · ".join(parts)


def _epoch(numbers: dict[str, Any]) -> str:
    age = numbers.get("epoch_age_seconds")
    return f"{numbers['epoch']:,}, the last took {numbers['epoch_seconds']:.1f} s" + (
        f" and ended {age:.0f} s ago" if age is not None else ""
    )


def _open(numbers: dict[str, Any]) -> str:
    parts = [f"{numbers[name]:,} {words}" for name, words in OPEN.items()]
    return " · ".join(parts)


OPEN: Final = {
    "open_sessions": "sessions",
    "open_objects": "carts, checkouts and payments",
    "events_held": "events held",
}


def _sink(run: Run, numbers: dict[str, Any]) -> str:
    parts = [escape(run.sink), f"{numbers['sink_rows']:,} rows in {numbers['sink_batches']:,} inserts"]
    if numbers["retries_by_code"]:
        parts.append(f"[yellow]retries: {_counts(numbers['retries_by_code'])}[/]")
    if waited := numbers.get("unacknowledged_seconds"):
        parts.append(f"oldest row unacknowledged for {waited:.0f} s")
    return " · ".join(parts)


def _error(error: LastError | None, now: float) -> str:
    if error is None:
        return "none"
    hint = f"\nhint: {error.hint}" if error.hint else ""
    return f"{_at(error.at)} ({lag_in_words(now - error.at)} ago) {error.kind}: " + escape(
        f"{error.message}{hint}"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
