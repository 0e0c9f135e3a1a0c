"""What came of the resampled weeks, as tables."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from typing import Final

import numpy as np

from pipeline.lab.incidents import When
from pipeline.lab.intervals import garwood, wilson
from pipeline.lab.trial import Page
from tests.detect.forks import quantile
from tests.detect.prose import table
from tests.detect.resampled import START
from tests.detect.resampled_trial import LEARNING_WEEKS, LENGTHS, MOBILE, SHARES, WORLDS, Seen
from tests.detect.visits import DAY, STAGES, STEPS

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


def pages_a_week(runs: list[Seen]) -> float:
    return sum(len(run.false_pages) for run in runs) / sum(run.weeks for run in runs)


def a_week(runs: list[Seen]) -> str:
    """The rate with its 95 % bounds, in words."""
    weeks, pages = sum(run.weeks for run in runs), sum(len(run.false_pages) for run in runs)
    low, high = garwood(pages, weeks)
    rate = f"{pages_a_week(runs):.2f} false pages a week"
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


ASKED: Final[tuple[tuple[str, When, float, int], ...]] = (
    ("50 % drop at peak, median at most 5 minutes after the horizon", "peak", 0.5, 5),
    ("25 % drop at peak, at most 25", "peak", 0.25, 25),
    ("total loss at night, at most 75", "night", 1.0, 75),
)


def asked_table(runs: list[Seen]) -> str:
    """What was asked for, and whether it is so: world by world, drops at the first step."""
    rows = []
    for world in MEANT:
        mine = [run for run in runs if run.world == world]
        if mine:
            rows.append([world, "false pages a week, at most 1", a_week(mine), yes(pages_a_week(mine) <= 1)])
        for what, when, share, most in ASKED:
            key = (when, 1, share, ())
            answers = [
                one
                for run in mine
                for one in run.answers
                if (one.drop.when, one.drop.rank, one.drop.share, one.drop.segment) == key
            ]
            if not answers:
                continue
            minutes = [one.minutes for one in answers if one.minutes is not None]
            half = quantile(minutes, len(answers), 0.5)
            found = f"{minutes_text(half)} ({len(minutes)} of {len(answers)} found)"
            rows.append([world, what, found, yes(half <= most)])
    return table(["world", "asked, at the first step", "found", ""], rows, 3)


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
