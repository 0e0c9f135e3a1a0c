"""The report of a trial, in Markdown: the traffic, the verdict, every group of incidents, what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np

from pipeline.lab.intervals import quantile, wilson
from pipeline.lab.market import DAY, START, STEPS, WEEK, segments
from pipeline.lab.scenes import told, words
from pipeline.lab.score import GRACE_MINUTES, Answer, Group, Scores, Summary
from pipeline.lab.traffic import Traffic
from pipeline.lab.trial import Page, Trial

LISTED_MAX: Final = 40
"""So many false pages and missed incidents are named; the others are counted."""
NOTHING: Final = "-"
SIGMAS: Final = 8.0
"""What stands out so much in its own segment is plain to see, also for one test among thousands."""
SEEN_SHARE: Final = 0.8
"""A rule sees a size when it finds at least this share of the incidents."""


class Bar(NamedTuple):
    """One thing that was asked for."""

    name: str
    asked: str
    got: str
    met: bool | None  # None where nothing could be measured


def markdown(trial: Trial, scores: Scores, budget: float, picture: str = "") -> str:
    """The whole report; `picture` is the name of the file beside it."""
    parts = [
        "# Alert lab\n",
        _how(trial, scores),
        *_table(("asked for", "asked", "got", "met"), map(_bar_row, bars(scores, budget))),
        *_traffic(trial),
        *_groups(scores),
        *_steps(scores),
        *_smallest(scores),
        *_verdicts(scores),
        *_listed("False pages", _page_rows(trial, scores.false_pages), PAGE_HEAD),
        *_listed("Missed", [_missed_row(one) for one in scores.answers if not one.pages], MISSED_HEAD),
    ]
    if picture:
        parts += [f"\n![a week: expected, seen, incidents and episodes]({picture})"]
    return "\n".join(parts) + "\n"


def bars(scores: Scores, budget: float) -> Iterator[Bar]:
    """What is asked of a detector; times are counted from the end of the horizon, of drops of everybody."""
    rate, low, high = scores.false_a_week
    got = f"{rate:.2f} (95 %: {low:.2f} to {high:.2f}; {len(scores.false_pages)} in {scores.weeks:.1f} weeks)"
    yield Bar("false pages a week", f"≤ {budget:g}", got, rate <= budget)
    for share, when, most in ((0.5, "peak", 5), (0.25, "peak", 25), (1.0, "night", 75)):
        one = scores.summary(_whole_drop(share, when))
        median = one.median if one.found * 2 > one.all else None  # a median that was missed is endless
        met = None if not one.all else median is not None and median <= most
        name = f"{share:.0%} drop, {when}: median minutes"
        yield Bar(name, f"≤ {most}", f"{_number(median)} ({one.found} of {one.all} found)", met)
    right, asked = scores.right_segment()
    yield _share_bar("right segment, of drops above the detectable size", right, asked)
    tracking = scores.verdicts("tracking")
    yield _share_bar("tracking called tracking", tracking.get("tracking", 0), sum(tracking.values()))


def _whole_drop(share: float, when: str) -> Callable[[Answer], bool]:
    return lambda one: one.group == ("drop", share, when, True)


def _share_bar(name: str, hits: int, tries: int) -> Bar:
    low, high = wilson(hits, tries)
    got = (
        f"{hits / tries:.0%} ({hits} of {tries}; 95 %: {low:.0%} to {high:.0%})" if tries else "none to judge"
    )
    return Bar(name, "≥ 90 %", got, hits >= 0.9 * tries if tries else None)


def _bar_row(bar: Bar) -> tuple[str, ...]:
    return bar.name, bar.asked, bar.got, {True: "yes", False: "**no**", None: NOTHING}[bar.met]


def _how(trial: Trial, scores: Scores) -> str:
    settings = trial.settings
    count, names = len(scores.answers), len(segments(settings.pairs))
    minutes, rows = settings.weeks * WEEK, len(trial.trace.scopes) * names
    return " ".join(
        (
            f"{settings.weeks} simulated weeks, seed {settings.seed}, mix `{trial.mix}`: {STEPS} steps ×",
            f"{names - 1} segments and everybody. The first {trial.learning_weeks} weeks are for learning,",
            f"not scored (pages in them: {scores.pages_while_learning}). {count} incidents, each alone in",
            f"its time. {_shares(scores)}{scores.echoes} more pages for incidents already paged for,",
            f"{scores.echoes_after} of them when those were over.",
            "A page belongs to an incident when it comes while that lasts or within",
            f"{GRACE_MINUTES} minutes after, at its step or the one before or after, in a segment that has",
            f"somebody in common with it. {_plain(scores)} The detector took",
            f"{trial.seconds_detecting / minutes * 1e3:.2f} ms per minute of {rows} scopes.\n",
        )
    )


def _shares(scores: Scores) -> str:
    if scores.precision is None or scores.recall is None:
        return ""
    return f"Precision {scores.precision:.0%}, recall {scores.recall:.0%}; "


def _plain(scores: Scores) -> str:
    """What anybody could have found who knew where to look."""
    plain = [one for one in scores.answers if one.truth.sigmas >= SIGMAS]
    found = sum(bool(one.pages) for one in plain)
    return (
        f"Of the {len(plain)} that stand out by {SIGMAS:g} standard deviations or more in their own segment "
        f"{found} were found."
    )


def _traffic(trial: Trial) -> Iterator[str]:
    """What volume all that is told of."""
    yield "\n## Traffic\n\nEntrants in five minutes, everybody: busiest and quietest hour of the mean week.\n"
    rows = []
    for scope in trial.trace.scopes:
        entered = trial.trace.entered(scope)
        weeks = (
            entered[: len(entered) // WEEK * WEEK].reshape(-1, WEEK // 60, 60).sum(axis=2).mean(axis=0) / 12
        )
        settled, went_on = trial.trace.cohorts(scope)
        rate = went_on.sum() / max(1, settled.sum())
        rows.append(
            (
                f"{scope.rank} {scope.stage}",
                f"{weeks.max():,.1f}",
                f"{weeks.min():,.1f}",
                f"{entered.sum() / max(1, len(entered)) * DAY:,.0f}",
                f"{rate:.1%}" if went_on.any() else NOTHING,
                f"{trial.trace.horizon(scope)} min" if went_on.any() else NOTHING,
            )
        )
    yield from _table(("step", "busiest", "quietest", "a day", "go on", "80 % of them within"), rows)


def _groups(scores: Scores) -> Iterator[str]:
    yield (
        "\n## Found, by kind\n\nMinutes from the end of the horizon (below 0 where those told who had "
        "entered before); in brackets from the beginning.\n"
    )
    rows = []
    for name, one in scores.groups().items():
        what = f"{name.kind} {name.share:.0%}, {name.when}, {'everybody' if name.whole else 'a segment'}"
        rows.append((what, *_summary(one)))
    yield from _table(("incident", "found", "median", "p90"), rows)


def _steps(scores: Scores) -> Iterator[str]:
    yield "\n## Drops of everybody, by step\n"
    rows = []
    drops = [one for one in scores.answers if one.group.kind == "drop" and one.group.whole]
    for rank in sorted({one.truth.incident.rank for one in drops}):
        for when in ("peak", "night"):
            chosen = scores.summary(_step_drop(rank, when))
            stage = next(one.truth.incident.stage for one in drops if one.truth.incident.rank == rank)
            if chosen.all:
                rows.append((f"{rank} {stage}, {when}", *_summary(chosen)))
    yield from _table(("step", "found", "median", "p90"), rows)


def _step_drop(rank: int, when: str) -> Callable[[Answer], bool]:
    def belongs(one: Answer) -> bool:
        incident = one.truth.incident
        return one.group.kind == "drop" and one.group.whole and (incident.rank, incident.when) == (rank, when)

    return belongs


def _summary(one: Summary) -> tuple[str, str, str]:
    waited = f" ({_number(one.median_waited)})" if one.median_waited is not None else ""
    return f"{one.found} of {one.all}", f"{_number(one.median)}{waited}", _number(one.p90)


def _smallest(scores: Scores) -> Iterator[str]:
    """By the rule's own word, and by what was found."""
    yield (
        "\n## The smallest that is seen\n\nWhat the rule says of itself when it pages (median), and the "
        f"smallest size, of everybody, of which it found {SEEN_SHARE:.0%} or more.\n"
    )
    rows = []
    for rule in ("drop", "silence"):
        for when in ("peak", "night"):
            said = [
                one.pages[0].first.smallest
                for one in scores.found
                if one.pages[0].first.rule == rule and one.truth.incident.when == when
            ]
            says = f"{quantile(said, 0.5):.0%}" if said else NOTHING
            rows.append((f"{rule}, {when}", says, _seen(scores, rule, when)))
    yield from _table(("rule", "says", "found"), rows)


def _seen(scores: Scores, rule: str, when: str) -> str:
    """`rule` is the kind of incident it is for."""
    for share in sorted({one.group.share for one in scores.answers}):
        group = Group(rule, share, when, True)
        chosen = [one for one in scores.answers if one.group == group]
        found = [one for one in chosen if one.pages]
        if chosen and len(found) >= SEEN_SHARE * len(chosen):
            return f"{share:.0%} ({len(found)} of {len(chosen)})"
    return NOTHING


def _verdicts(scores: Scores) -> Iterator[str]:
    yield "\n## Shop or tracking?\n"
    kinds = sorted({one.group.kind for one in scores.answers})
    rows = [
        (
            kind,
            ", ".join(f"{name} {count}" for name, count in sorted(scores.verdicts(kind).items()))
            or "none found",
        )
        for kind in kinds
    ]
    yield from _table(("incidents", "called, in the end"), rows)


PAGE_HEAD: Final = ("told at", "step", "what", "smallest", "what went on")
MISSED_HEAD: Final = ("began", "step", "what", "lasted")


def _page_rows(trial: Trial, pages: Sequence[Page]) -> list[tuple[str, ...]]:
    traffic = Traffic(trial.settings)
    rows: list[tuple[str, ...]] = []
    for page in pages:
        first = page.first
        about = "; ".join(traffic.about(first.detected_at - START)) or NOTHING
        step = f"{first.scope.rank} {first.scope.stage}"
        rows.append((_time(first.detected_at), step, told(page), f"{first.smallest:.0%}", about))
    return rows


def _missed_row(one: Answer) -> tuple[str, ...]:
    incident = one.truth.incident
    what = f"{incident.kind} {incident.share:.0%} of {words(incident.segment)}: {one.truth.hit.sum():,} hit"
    seen = f"{one.truth.share_in(()):.1%} of everybody's, {one.truth.sigmas:.0f} standard deviations there"
    return (
        _time(incident.begin),
        f"{incident.rank} {incident.stage}",
        f"{what}, {seen}",
        f"{incident.minutes} min, {incident.when}",
    )


def _listed(name: str, rows: Sequence[tuple[str, ...]], head: tuple[str, ...]) -> Iterator[str]:
    if rows:
        yield f"\n## {name}\n"
        yield from _table(head, rows[:LISTED_MAX])
        if len(rows) > LISTED_MAX:
            yield f"\nand {len(rows) - LISTED_MAX} more."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _time(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, UTC):%a %Y-%m-%d %H:%M}"


def _number(value: float | None) -> str:
    return NOTHING if value is None or not np.isfinite(value) else f"{value:g}"
