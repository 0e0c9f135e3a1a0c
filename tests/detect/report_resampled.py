"""False pages and minutes to detect on real visits, scaled up: `python -m tests.detect.report_resampled`.

What is run is in `resampled_trial.py`; this is how it is told of, in RESAMPLED.md.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.cli.compiled import keep_compiled
from pipeline.lab.incidents import When
from pipeline.lab.intervals import garwood, wilson
from pipeline.lab.trial import Page
from tests.benchmarks.__main__ import commit, machine
from tests.detect.forks import Answer, quantile
from tests.detect.prose import flowing, table
from tests.detect.resampled import PILE, START, Resampled, otto_visits
from tests.detect.resampled_trial import (
    EVERY_DAYS,
    LEARNING_WEEKS,
    LENGTHS,
    MOBILE,
    SHARES,
    WORLDS,
    Seen,
    seen,
)
from tests.detect.visits import DAY, FILE, MISSING, STAGES, STEPS, Segment, read

HERE: Final = Path(__file__).parent
MEANT: Final = ("shop", "otto")
"""Worlds that are as uneven as the data, as far as these tell."""


def minutes_text(minutes: float) -> str:
    return "-" if not np.isfinite(minutes) else f"{minutes:.0f}"


def found_table(runs: list[Seen]) -> str:
    """By time, size and step: how many were found, how soon, and what the detector said that it could see."""
    rows = []
    for world, when, rank, share in product(WORLDS, LENGTHS, range(1, STEPS + 1), SHARES):
        answers = [
            one
            for run in runs
            for one in run.answers
            if run.world == world
            and (one.drop.when, one.drop.rank, one.drop.share, one.drop.segment) == (when, rank, share, ())
        ]
        if not answers:
            continue
        came = np.mean(
            [run.entrants[when, rank] for run in runs if (when, rank) in run.entrants and run.world == world]
        )
        minutes = [one.minutes for one in answers if one.minutes is not None]
        waited = [one.waited for one in answers if one.waited is not None]
        all_of = len(answers)
        sees = float(np.median([one.smallest for one in answers]))
        half, most = (minutes_text(quantile(minutes, all_of, share)) for share in (0.5, 0.9))
        rows.append(
            [
                world, when, f"{rank} {STAGES[rank - 1]}", f"{came:.0f}", f"{share:.0%}",
                f"{len(minutes)}/{all_of}", f"{half}, {most}", minutes_text(quantile(waited, all_of, 0.5)),
                "nothing" if sees >= 1 else f"{sees:.0%}",
            ]
        )  # fmt: skip
    head = [
        "world", "when", "step", "entrants in 5 min", "drop", "found",
        "minutes from the end of the horizon: median, p90", "from the beginning: median",
        "said it sees in 30 min",
    ]  # fmt: skip
    return table(head, rows, 3)


def false_table(runs: list[Seen]) -> str:
    """By world and seed: pages after learning, and while learning."""
    rows = [
        [
            run.world, str(run.seed), f"{run.weeks:.0f}", str(len(run.false_pages)), str(run.learning_pages),
            str(run.left_out),
        ]
        for run in runs
    ]  # fmt: skip
    head = [
        "world",
        "seed",
        "weeks",
        "false pages",
        f"in {LEARNING_WEEKS} weeks of learning",
        "moments left out",
    ]
    return table(head, rows)


def a_week(runs: list[Seen]) -> str:
    weeks, pages = sum(run.weeks for run in runs), sum(len(run.false_pages) for run in runs)
    low, high = garwood(pages, weeks)
    rate = f"{pages / weeks:.2f} false pages a week"
    return f"{rate} ({pages} in {weeks:.0f} weeks; 95 %: {low:.2f} to {high:.2f})"


def false_list(runs: list[Seen]) -> str:
    """What the false pages were about, most frequent first, each with an example."""
    groups: dict[tuple[str, ...], list[tuple[int, Page]]] = defaultdict(list)
    for run in runs:
        for page in run.false_pages:
            where = ", ".join(value for _, value in page.first.scope.segment) or "everybody"
            hour = page.first.detected_at % DAY // 60
            near = f"{hour:02d}:00 to {hour + 1:02d}:00" if page.first.rule == "silence" else "any time"
            key = (run.world, page.first.rule, page.first.scope.stage, where, near)
            groups[key].append((run.seed, page))
    rows = []
    for key, pages in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]))):
        world, rule, stage, where, near = key
        seed, one = pages[0][0], pages[0][1].first
        seen_then = f"{one.observed:.1%} instead of {one.expected:.1%}"
        if rule == "silence":
            seen_then = f"{one.observed:.1f} entrants a minute instead of {one.expected:.1f}"
        example = f"seed {seed}, day {(one.detected_at - START) // DAY}: {seen_then}, {one.entrants} entrants"
        rows.append([world, f"{rule} at {stage}, {where}", near, example, str(len(pages))])
    return table(["world", "what", "when", "for example", "pages"], rows, 4)


def chosen(runs: list[Seen], when: When, share: float, segment: Segment = ()) -> list[Answer]:
    """Drops at the first step, of the worlds as they are meant: what is uneven on purpose is left out."""
    return [
        one
        for run in runs
        for one in run.answers
        if run.world in MEANT
        and (one.drop.when, one.drop.rank, one.drop.share, one.drop.segment) == (when, 1, share, segment)
    ]


def asked_table(runs: list[Seen]) -> str:
    """What was asked for, and whether it is so on this traffic."""
    meant = [run for run in runs if run.world in MEANT]
    rate = sum(len(run.false_pages) for run in meant) / sum(run.weeks for run in meant)
    rows = [["false pages a week, at most 1", a_week(meant), yes(rate <= 1)]]
    for what, when, share, most in (
        ("50 % drop at peak, median at most 5 minutes after the horizon", "peak", 0.5, 5),
        ("25 % drop at peak, at most 25", "peak", 0.25, 25),
        ("total loss at night, at most 75", "night", 1.0, 75),
    ):
        answers = chosen(runs, when, share)  # type: ignore[arg-type]
        minutes = [one.minutes for one in answers if one.minutes is not None]
        half = quantile(minutes, len(answers), 0.5)
        rows.append(
            [what, f"{minutes_text(half)} ({len(minutes)} of {len(answers)} found)", yes(half <= most)]
        )
    return table(
        ["asked, at the first step", "found in " + " and ".join(f"`{w}`" for w in MEANT), ""], rows, 2
    )


def yes(holds: bool) -> str:
    return "yes" if holds else "**no**"


def segments_text(runs: list[Seen], when: When = "peak") -> str:
    lines = []
    for share in (0.5, 1.0):
        answers = [
            one
            for run in runs
            for one in run.answers
            if one.drop.segment and (one.drop.share, one.drop.when) == (share, when)
        ]
        found = [one.page for one in answers if one.page is not None]
        named = sum((page.last.cause or page.last.scope).segment == MOBILE for page in found)
        low, high = wilson(named, len(found))
        minutes = [one.minutes for one in answers if one.minutes is not None]
        waited = quantile(minutes, len(answers), 0.5)
        lines.append(
            f"- {share:.0%} of `view` in `device=mobile` at the peak: {len(found)} of {len(answers)} found, "
            f"median {minutes_text(waited)} min; {named} of {len(found)} name exactly that segment "
            f"({low:.0%} to {high:.0%})."
        )
    return "\n".join(lines)


def waits_text(runs: list[Seen]) -> str:
    """The horizons that each world's first detector has learnt."""
    first = {run.world: run.horizons for run in reversed(runs) if run.horizons}
    return "; ".join(
        f"`{world}`: " + ", ".join(f"{STAGES[rank - 1]} {wait}" for rank, wait in sorted(waits.items()))
        for world, waits in first.items()
    )


def page(runs: list[Seen], weeks: int, command: str, seconds: float) -> str:
    """The report."""
    by_world = [
        f"- `{world}`, {WORLDS[world].what}: {a_week([run for run in runs if run.world == world])}"
        for world in WORLDS
        if any(run.world == world for run in runs)
    ]
    real = read()
    one, few = (Resampled(real, 1, "shop", pile=pile) for pile in (PILE, WORLDS["uneven"].pile))
    return flowing(f"""# The detector on real visits, scaled up

{machine()}; commit {commit()}; `{command}`,
{seconds / 60:.0f} minutes.

Traffic is made by resampling ([`resampled.py`](resampled.py)): {len(real):,} real visits of
{len(set(real.visitor.tolist()))}
visitors of a shop, drawn with all their visits; days are {PILE} real days on top of each other; no rate,
no
distribution and no detector in it. Scaled to {one.entrants_peak:.0f} visits in five minutes of the
busiest hour. {weeks} weeks a
seed, the first {LEARNING_WEEKS} for learning. Nothing was tuned on these seeds; how many days lie on top
of each other was
chosen on another one.

{asked_table(runs)}

## Without an incident

The budget is 1. By world:

{chr(10).join(by_world)}

{false_table(runs)}

What they were:

{false_list(runs)}

## With drops

At a random moment every {EVERY_DAYS} days of the measured weeks the detector goes on from its state with
a drop: of
{LENGTHS["peak"]} minutes at the peak, of {LENGTHS["night"]} at night (that begin between 1 and 4 UTC). A
dash is "not in so many of
them"; all are counted, found or not. Moments near a page of the run without drops are left out.

Horizons that were learnt, in minutes (of the first seed): {waits_text(runs)}.

{found_table(runs)}

A segment:

{segments_text(runs)}

## What this says and what not

- The visits are those of one shop, some 20 a day, copied some two thousand times: what each does is real;
  that people do it independently of one another (beyond the visits of one visitor) is assumed by drawing.
- The real data show no bursts beyond chance: variance over mean of visits a day, with the trend taken
out, is
  {one.days_dispersion:.2f}. Of {one.pile} days on top of each other an hour is uneven by
±{one.unevenness():.0%}, of {few.pile} (`uneven`) by
  ±{few.unevenness():.0%}, with ten minutes now and then in which hardly anybody comes: that is the chance
of a few small
  days made large, and what is called there is really missing.
- A crowd anew each day (`crowds`) is more than the data show, too. Small segments are then a few people,
copied
  hundreds of times, and their rates differ from day to day accordingly.
- `half past` is a shop whose visitors stop coming in the middle of an hour of the clock. What is usual of
  arrivals is learnt by whole hours, and an hour in which silence looked possible is not learnt at all: so
it is
  called every night, and never learnt.
- The shop's file has nobody from ten at night to eight. The night comes from the {len(otto_visits())}
visits of OTTO's file,
  smoothed over five hours. The web server's log has no hours: all of its lines lie in one minute of each.
- Weekdays are those of the shop, nearly flat. There is no holiday; growth and the half year's trend in
rates
  are taken out, and its own trouble with payments (ECOM.md) is in the pool, spread over all weeks.
""")


def main() -> None:
    """Runs all seeds and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=15)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--worlds", nargs="+", choices=[*WORLDS], default=[*WORLDS])
    parser.add_argument("--report", type=Path, default=HERE / "RESAMPLED.md")
    arguments = parser.parse_args()
    if not FILE.exists():
        parser.error(MISSING)
    began, runs = time.monotonic(), []
    for world, seed in product(arguments.worlds, arguments.seeds):
        runs.append(seen(world, seed, arguments.weeks))
        print(world, seed, a_week(runs[-1:]), f"{time.monotonic() - began:.0f} s", flush=True)
    seeds = " ".join(map(str, arguments.seeds))
    command = f"python -m tests.detect.report_resampled --weeks {arguments.weeks} --seeds {seeds}"
    arguments.report.write_text(page(runs, arguments.weeks, command, time.monotonic() - began))
    print(arguments.report.read_text())


if __name__ == "__main__":
    keep_compiled()
    main()
