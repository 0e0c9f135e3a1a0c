"""What the detector makes of half a year of a small shop: `python -m tests.detect.ecom` writes ECOM.md.

It runs the pipeline over `../shared/data/ecom` into an embedded database, takes the minutes from its tables,
and tells what would have fired; what the file itself says went wrong; and how long drops go unseen.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.cli.compiled import keep_compiled
from tests.benchmarks.__main__ import commit, machine
from tests.detect.ecom_trial import (
    BEFORE,
    DAYS,
    DROP_DAYS,
    HOURS,
    Found,
    entrants,
    find,
    history,
    moments,
    troubles,
    words_of,
)
from tests.detect.forks import Answer, can_see, is_tested, quantile
from tests.detect.prose import flowing, table
from tests.detect.visits import DAY, FILE, MISSING, SCOPES, SEGMENTS, STAGES, STEPS, Visits

HERE: Final = Path(__file__).parent


def fired(found: Found) -> str:
    """Every episode of the half year."""
    rows = []
    for page in found.base.pages.all():
        one, last = page.first, page.last
        until = "firing at the end" if page.until is None else words_of(page.until)
        rows.append(
            [
                words_of(one.detected_at),
                words_of(one.started_at),
                until,
                f"{one.rule} at {one.scope.stage}",
                f"{last.verdict}, {last.severity}", f"{last.observed:.1%}", f"{last.expected:.1%}",
                str(last.entrants), f"{last.lost:.0f} ({last.lost_low:.0f} to {last.lost_high:.0f})",
            ]
        )  # fmt: skip
    head = ["called", "began", "until", "what", "verdict", "seen", "expected", "entrants", "lost"]
    return table(head, rows, 5)


def see_text(share: float) -> str:
    return "none" if share >= 1 else f"{share:.0%}"


def volume(found: Found) -> str:
    """What there is to see, and what the detector can, in the month before the last moment."""
    at = max(found.base.states)
    state, days, rows = found.base.states[at], BEFORE / DAY, []
    for rank, (n, rate) in enumerate(entrants(found.visits, at - BEFORE, at)[:STEPS], 1):
        sees = [see_text(can_see(state, rank, n / days * span)) for span in (0.5 / 14, 1, 3, 7)]
        least = math.log(n / days * 7) / -math.log(1 - rate)
        rows.append(
            [
                f"{rank} {STAGES[rank - 1]}", f"{n / days:.1f}", f"{n / days / (14 * 60):.3f}", f"{rate:.0%}",
                *(sees if is_tested(state, rank) else ["not tested"] * len(sees)),
                f"{least:.0f} entrants, {days_text(least / (n / days) * DAY)}",
            ]
        )  # fmt: skip
    return table(
        [
            "step", "entrants a day", "a minute (8 to 22)", "go on", "least drop seen in 30 min", "1 day",
            "3 days", "7 days", "a total loss, at best",
        ],
        rows,
    )  # fmt: skip


def waits(found: Found) -> str:
    """How long drops that were put in went unseen."""
    rows = []
    for kind, rank, share in sorted({(a.drop.kind, a.drop.rank, a.drop.share) for a in found.answers}):
        answers = [
            a for a in found.answers if (a.drop.kind, a.drop.rank, a.drop.share) == (kind, rank, share)
        ]
        minutes = [a.waited for a in answers if a.waited is not None]
        met = [entered(found.visits, a) for a in answers if a.waited is not None]
        what = f"{STAGES[rank - 1]}: {share:.0%} do not go on" if kind == "drop" else "nobody comes at all"
        rows.append(
            [
                what,
                f"{sum(a.tested for a in answers)}" if kind == "drop" else "-",
                f"{len(minutes)}/{len(answers)}",
                days_text(min(minutes, default=np.inf)),
                days_text(quantile(minutes, len(answers), 0.5)),
                days_text(quantile(minutes, len(answers), 1.0)),
                f"{np.median(met):.0f}" if met and kind == "drop" else "-",
            ]
        )  # fmt: skip
    head = [
        "put in",
        "step was tested",
        "found in 14 days",
        "soonest",
        "median",
        "latest",
        "entrants until then, median",
    ]
    return table(head, rows)


def entered(visits: Visits, answer: Answer) -> int:
    """Who entered the step between the beginning of a drop and its page."""
    at = visits.entered[answer.drop.rank - 1]
    return int(((at >= answer.drop.begin) & (at < answer.drop.begin + (answer.waited or 0))).sum())


def days_text(minutes: float) -> str:
    if not np.isfinite(minutes):
        return "not found"
    return f"{minutes / DAY:.1f} d" if minutes >= DAY else f"{minutes / 60:.1f} h"


def own_troubles(found: Found) -> str:
    """What the file says went wrong, and whether it was called."""
    lines = []
    for name, minutes in troubles().items():
        stage = "payment" if name == "payment_error" else "checkout"
        before, since = (
            entrants(found.visits, begin, end)[STAGES.index(stage)]
            for begin, end in ((minutes[0] - BEFORE, minutes[0]), (minutes[0], minutes[-1] + 60))
        )
        pages = [
            page.first
            for page in found.base.pages.all()
            if page.first.scope.stage == stage and minutes[0] <= page.first.detected_at <= minutes[-1]
        ]
        called = "**not called**"
        if pages:
            one, wait = pages[0], days_text(pages[0].detected_at + 1 - minutes[0])
            called = f"**called** {words_of(one.detected_at)}, {wait} after the first,"
            called += f" as since {words_of(one.started_at)}"
        lines.append(
            f"- `{name}`: {len(minutes)} times from {words_of(minutes[0])} to {words_of(minutes[-1])}."
            f" Of those at {stage} {since[1]:.0%} went on ({since[0]} entrants),"
            f" against {before[1]:.0%} in the 30 days before ({before[0]}): {called}."
        )
    return "\n".join(lines)


def report(found: Found, command: str) -> str:
    """The report."""
    pages, visits = found.base.pages.all(), found.visits
    weeks = (found.last - found.first) / DAY / 7
    hours = " and ".join(f"{hour}:00" for hour in HOURS)
    return flowing(f"""# Half a year of a small shop

{machine()}; commit {commit()}; `{command}`.

The shop of `../shared/data/ecom`: {len(set(visits.visitor.tolist()))} visitors and {len(visits):,} visits
from {words_of(found.first)} to
{words_of(found.last)} ({weeks:.1f} weeks), nobody between 22:00 and 8:00. Run by the pipeline with the
journey
`checkout`; minutes by `pathline alerts history`: {len(SCOPES)} scopes ({len(SEGMENTS) - 1} segments of
each step). Settings are the
default ones, and were not chosen on this file.

## What would have fired

{len(pages)} episodes, {len(pages) / weeks:.2f} a week:

{fired(found)}

## What the file itself says went wrong

Two kinds of events tell of trouble; the detector does not see them.

{own_troubles(found)}

## What the volume lets it see

In the 30 days before {words_of(max(found.base.states))}; and the least drop of a whole step that the
detector
would call with as many entrants as come in such a time:

{volume(found)}

"At best" is a rule that knows the rate exactly, has only this one step to look at, and pages when so many
in
a row have not gone on that chance does it about once a week. **With some 30 visits a day nothing can be
called within minutes, by any rule**: until somebody has come, nobody is missing. This is a shop for a
look at a
chart once a day.

## Drops that were put in

For {DROP_DAYS} days from each of {len(moments())} moments ({", ".join(DAYS)},
at {hours}), on top of what really happened; in none of these times is anything else called. From the
beginning
to the page, nights included:

{waits(found)}

A step is tested once it has shown 50 goers; those of past weeks fade, and what has been called for three
days
(`accept_minutes`) is taken for normal, which scales what was learnt down. While a step is not tested, a
loss is
learnt as what is usual. At this volume that decides whether `payment` is seen at all.
""")


def main() -> None:
    """Runs all of it and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, default=HERE / "ECOM.md")
    parser.add_argument("--minutes", type=Path, help="by `pathline alerts history`, where that has been done")
    arguments = parser.parse_args()
    if not FILE.exists():
        parser.error(MISSING)
    with tempfile.TemporaryDirectory(prefix="pathline-ecom-") as folder:
        found = find(arguments.minutes or history(Path(folder)))
    arguments.report.write_text(report(found, "python -m tests.detect.ecom"))
    print(arguments.report.read_text())


if __name__ == "__main__":
    keep_compiled()
    main()
