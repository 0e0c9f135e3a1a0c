"""The benchmark's report as Markdown."""

from __future__ import annotations

from typing import Any

BATCH = "batch query (chDB)"


def markdown(medians: dict[str, Any], events: int, rounds: int, machine: str, commit: str) -> str:
    """Ratios, figures and where the time goes."""
    batch = medians[BATCH]
    lines = [
        "# How fast",
        "",
        f"W1 with {events:,} events in two files split by visitor; medians of {rounds} rounds in one run,",
        f"net of start-up. {machine}; commit {commit}; `python -m tests.benchmarks`.",
        "",
        (
            "| contestant | k events/s | k events per CPU second | × batch, by the clock "
            "| × batch, per CPU second | rows written |"
        ),
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, took in medians.items():
        lines.append(
            f"| {name} | {events / took.wall / 1000:,.0f} | {events / took.cpu / 1000:,.0f} | "
            f"{batch.wall / took.wall:.2f} | {batch.cpu / took.cpu:.2f} | "
            + (f"{took.rows:,} |" if took.rows else "|")
        )
    lines += [
        "",
        "## Where the time goes",
        "",
        "CPU nanoseconds per event, by step (the rest: bytewax, the sink's",
        "own thread, and Python between the steps).",
        "",
    ]
    runs = {name: took for name, took in medians.items() if took.steps}
    steps = list(dict.fromkeys(step for took in runs.values() for step in took.steps))
    lines += ["| run | " + " | ".join(steps) + " | rest | all |", "|---|" + "--:|" * (len(steps) + 2)]
    for name, took in runs.items():
        own = [took.steps.get(step, 0.0) for step in steps]
        rest = took.cpu - sum(own) + took.steps.get("facts", 0.0)
        cells = [f"{seconds / events * 1e9:,.0f}" for seconds in (*own, rest, took.cpu)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
