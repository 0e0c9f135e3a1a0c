"""Which alerts a plan found to differ, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.alerts.words import minutes, moment, money, number, scope
from pipeline.cli.plan_alerts import AlertsCompared, Difference, Watched
from pipeline.cli.plan_compare import Pair
from pipeline.cli.plan_table import plain_table, printable
from pipeline.core.detect.episodes import DROP
from schemas.alerts import RULES
from schemas.journeys import Journey

ALERTS_MAX: Final = 10
"""So many alerts that differ are listed; the others are counted."""


def report_alerts(compared: AlertsCompared, pair: Pair, console: Console) -> None:
    """Prints which alerts differ, that none does, or that none could have been called."""
    for line in (*_differences(compared, pair), *_doubts(compared, pair)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if compared.differences:
        console.print()
        console.print(_table(compared.differences[:ALERTS_MAX], pair))


def _differences(compared: AlertsCompared, pair: Pair) -> Iterator[str]:
    differences, same = compared.differences, compared.same
    if not compared.is_watched:
        yield f"No alert could be called under either: {_why(compared)}"
        return
    if not differences:
        how = f"{same:,} would be called under both, alike" if same else "none would be called under either"
        yield f"No alert differs: {how}."
        return
    old = sum(one.new is None for one in differences)
    new = sum(one.old is None for one in differences)
    before, after = pair.labels
    parts = (
        (old, f"{old:,} only under {before}"),
        (new, f"{new:,} only under {after}"),
        (len(differences) - old - new, f"{len(differences) - old - new:,} under both, but otherwise"),
    )
    told = ", ".join(text for count, text in parts if count)
    shown = f"; the {ALERTS_MAX} most costly are listed" if len(differences) > ALERTS_MAX else ""
    verb = "alert differs" if len(differences) == 1 else "alerts differ"
    yield f"{len(differences):,} {verb}: {told}; {same:,} the same under both{shown}."


def _doubts(compared: AlertsCompared, pair: Pair) -> Iterator[str]:
    """What this comparison does not see: what came before a stage was watched, and what nobody is told of."""
    if compared.is_watched:
        for label, journey, watched in zip(pair.labels, pair.journeys, compared.watched, strict=True):
            if not watched:
                yield f"Under {label} no alert could be called: {_why(compared)}"
                continue
            yield from (
                f"Watched for {rule} under {label}: {_since(journey, watched, rule)}." for rule in RULES
            )
    for label, count in zip(pair.labels, compared.ignored, strict=True):
        if count:
            yield f"Left out: {count:,} under {label} that the definition of alerts ignores."


def _since(journey: Journey, watched: Watched, rule: str) -> str:
    """From when alerts of each stage could be called, stages of the same hour together; whatever came before
    was learnt from.
    """
    names = [stage.name for stage in journey.stages]
    begins = {name: watched.get((rule, name)) for name in (names[:-1] if rule == DROP else names)}
    parts = []
    for at in sorted({at for at in begins.values() if at is not None}):
        together = ", ".join(name for name, begin in begins.items() if begin == at)
        parts.append(f"{together} from {moment(60 * at)} on")
    never = ", ".join(name for name, begin in begins.items() if begin is None)
    return "; ".join([*parts, f"{never} never" if parts else "nothing"] if never else parts)


def _why(compared: AlertsCompared) -> str:
    return (
        f"the records cover {minutes(compared.seconds)}, and a stage is watched only when enough people have "
        f"gone on from it to know how long they take, and {minutes(60 * compared.history_minutes)} more have "
        "been learnt. Give more records to see which alerts would differ."
    )


def _table(differences: tuple[Difference, ...], pair: Pair) -> Table:
    table = plain_table(
        "alerts that differ", "since", "called", "what", "severity", "lost orders", "lost value", "change",
        right=("lost orders", "lost value"),
    )  # fmt: skip
    for one in differences:
        under = "both"
        if one.old is None or one.new is None:
            under = f"only {pair.labels[one.old is None]}"
        alert = one.known
        what = f"{alert.rule} at {alert.stage}, {scope(alert.cause or alert.segment)}"
        cells = (
            under, moment(alert.started_at), moment(alert.detected_at), what, alert.severity,
            number(alert.lost_orders), money(alert.lost_value, ""), "; ".join(one.changes),
        )  # fmt: skip
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
