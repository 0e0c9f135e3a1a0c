"""The speed of the production path beside a batch query in the same run: `python -m tests.benchmarks`.

Rounds alternate between all contestants, so that a machine that drifts drifts for all; figures are medians
over the rounds, and what counts are the ratios. Everything is measured net of start-up (imports, loading
compiled kernels, opening the database), for the batch query as well. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

from tests import w1
from tests.benchmarks.report import BATCH, markdown

HERE = Path(__file__).parent
QUERIES = {BATCH: "specified", "the same, leaner": "lean"}
ANYWHERE = {"visitor": "", "none": ", visitors in any file"}


@dataclass(frozen=True)
class Took:
    """One run: seconds by the clock, CPU seconds of all processes, CPU seconds per step, rows written."""

    wall: float
    cpu: float
    steps: dict[str, float]
    rows: int = 0


def batch_query(kind: str, files: list[Path], events: int) -> Took:
    """The answers to W1 by chDB in one process, timed by itself."""
    out = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.batch", kind, *map(str, files)],
        check=True,
        capture_output=True,
        text=True,
    )
    took = json.loads(out.stdout)
    assert took["events"] == events, took
    return Took(took["wall"], took["cpu"], {})


def without_objects(folder: Path) -> str:
    """A file with checkout without its objects: what sessions and stages cost alone."""
    text = (resources.files("schemas") / "definitions" / "journeys" / "checkout.yaml").read_text()
    path = folder / "checkout-without-objects.yaml"
    path.write_text(text[: text.index("\nobjects:")])
    return str(path)


def pathline(
    files: list[Path], *, journey: str, sink: str, workers: int, shards: int, by: str = "visitor",
    mapping: str = "w1",
) -> Callable[[], Took]:  # fmt: skip
    """A contestant: the command line on `files`, in a fresh folder each time."""

    def run() -> Took:
        folder = Path(tempfile.mkdtemp(prefix="pathline-bench-"))
        try:
            dsn = f"chdb://{folder}/db" if sink == "chdb" else "null:"
            inputs = [argument for file in files for argument in ("--input", str(file))]
            subprocess.run(
                [
                    sys.executable, "-c", "from pipeline.cli import main; main()", "run", *inputs,
                    "--mapping", mapping, "--journey", journey, "--clickhouse", dsn, "--partitioned-by", by,
                    "--state", str(folder / "state"), "--workers", str(workers), "--shards", str(shards),
                ],
                check=True, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            return _took(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return run


def _took(folder: Path) -> Took:
    found = [json.loads(file.read_text()) for file in sorted((folder / "state").glob("steps-*.json"))]
    steps: dict[str, float] = {}
    for each in found:
        for name, seconds in each["steps"].items():
            steps[name] = steps.get(name, 0.0) + seconds
    wall = max(each["ended"] for each in found) - min(each["began"] for each in found)
    rows = sum(sum(each["rows"].values()) for each in found)
    return Took(wall, sum(each["cpu_seconds"] for each in found), steps, rows)


def main() -> None:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--only", help="contestants whose name contains this (the batch queries always run)")
    parser.add_argument("--report", type=Path, default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pathline-w1-") as folder:
        files = [Path(folder) / f"w1-{k}.jsonl" for k in range(2)]
        events = w1.write(files, arguments.sessions)
        with_orders = w1.mapping_with_orders(Path(folder))
        contestants = {name: partial(batch_query, kind, files, events) for name, kind in QUERIES.items()}
        for journey, sink, workers, by in itertools.product(
            ("w1", "checkout"), ("null", "chdb"), (1, 2), ("visitor", "none")
        ):
            name = f"{journey}, {sink}, {workers} process{'es' if workers > 1 else ''}{ANYWHERE[by]}"
            asked = arguments.only is None or arguments.only in name
            if asked and (by == "visitor" or (journey, sink) == ("w1", "null")):
                contestants[name] = pathline(
                    files, journey=journey, sink=sink, workers=workers, shards=arguments.shards, by=by,
                    mapping="w1" if journey == "w1" else with_orders,
                )  # fmt: skip
        others = {
            "w1 with orders, null": ("w1", "null", with_orders),
            "checkout without objects and orders, null": (without_objects(Path(folder)), "null", "w1"),
            "checkout without objects and orders, chdb": (without_objects(Path(folder)), "chdb", "w1"),
        }
        for name, (journey, sink, mapping) in others.items():
            if arguments.only is None or arguments.only in name:
                contestants[f"{name}, 1 process"] = pathline(
                    files, journey=journey, sink=sink, workers=1, shards=arguments.shards, mapping=mapping
                )
        taken: dict[str, list[Took]] = {name: [] for name in contestants}
        for number in range(arguments.rounds + 1):
            for name, run in contestants.items():
                took = run()
                print(f"round {number}: {name}: {took.wall:.2f} s, {took.cpu:.2f} CPU s", flush=True)
                if number:  # the first warms caches and is not counted
                    taken[name].append(took)
    text = markdown(
        {name: median(runs) for name, runs in taken.items()}, events, arguments.rounds, machine(), commit()
    )
    arguments.report.write_text(text)
    print(text)


def median(runs: list[Took]) -> Took:
    """The median of each figure."""
    return Took(
        statistics.median(run.wall for run in runs),
        statistics.median(run.cpu for run in runs),
        {name: statistics.median(run.steps[name] for run in runs) for name in runs[0].steps},
        int(statistics.median(run.rows for run in runs)),
    )


def machine() -> str:
    """The machine in a line."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}"


def commit() -> str:
    """The commit that was measured, and the day."""
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    return f"{head or 'no commit'}, {dt.datetime.now(dt.UTC):%Y-%m-%d}"


if __name__ == "__main__":
    main()
