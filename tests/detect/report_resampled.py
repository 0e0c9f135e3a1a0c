"""False pages and minutes to detect on real visits, scaled up: `python -m tests.detect.report_resampled`.

What is run is in `resampled_trial.py`; this is how it is told of, in RESAMPLED.md.
"""

from __future__ import annotations

import argparse
import shlex
import time
from itertools import product
from pathlib import Path
from typing import Final

from pipeline.cli.compiled import keep_compiled
from tests.benchmarks.__main__ import commit, machine
from tests.detect.prose import flowing
from tests.detect.resampled import PILE, Resampled, otto_visits
from tests.detect.resampled_tables import (
    a_week,
    asked_table,
    false_list,
    false_table,
    found_table,
    segments_text,
)
from tests.detect.resampled_trial import EVERY_DAYS, LEARNING_WEEKS, LENGTHS, WORLDS, Seen, seen
from tests.detect.visits import FILE, MISSING, STAGES, read

HERE: Final = Path(__file__).parent


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
{len(set(real.visitor.tolist()))} visitors of a shop, drawn with all their visits; days are {PILE} real days
on top of each other; no rate, no distribution and no detector in it. Scaled to {one.entrants_peak:.0f} visits
in five minutes of the busiest hour. {weeks} weeks a seed, the first {LEARNING_WEEKS} for learning. Nothing
was tuned on these seeds. How many days lie on top of each other was chosen on seed 7: {few.pile} days were
tried first, and are `uneven` below.

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
- The real data show no bursts beyond chance: variance over mean of visits a day, with the trend taken out,
  is {one.days_dispersion:.2f}. Of {one.pile} days on top of each other an hour is uneven by
  ±{one.unevenness():.0%}, of {few.pile} (`uneven`) by ±{few.unevenness():.0%}, with ten minutes now and then
  in which hardly anybody comes: that is the chance of a few small days made large, and what is called there
  is really missing.
- A crowd anew each day (`crowds`) is more than the data show, too. Small segments are then a few people,
  copied hundreds of times, and their rates differ from day to day accordingly.
- Two faults of the detector that these worlds brought to light are mended: arrivals were one figure for a
  whole hour, so that a shop that closes at half past was called every night; and an hour that looked silent
  was never learnt.
- The shop's file has nobody from ten at night to eight. The night comes from the {len(otto_visits())} visits
  of OTTO's file, smoothed over five hours. The web server's log has no hours: all of its lines lie in one
  minute of each.
- Weekdays are those of the shop, nearly flat. There is no holiday; growth and the half year's trend in rates
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
    if arguments.worlds != [*WORLDS]:
        command += f" --worlds {shlex.join(arguments.worlds)}"
    arguments.report.write_text(page(runs, arguments.weeks, command, time.monotonic() - began))
    print(arguments.report.read_text())


if __name__ == "__main__":
    keep_compiled()
    main()
