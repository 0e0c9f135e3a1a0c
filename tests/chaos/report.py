"""The report of a chaos run as Markdown."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from textwrap import fill

from tests.benchmarks.__main__ import commit, machine
from tests.chaos.killer import SOON_SECONDS_MAX, VICTIMS
from tests.chaos.trial import PARTITIONS, PROCESSES, Asked, Outcome

WHAT = {
    "worker": "one of the worker processes",
    "cluster": "every process of the run, or the one that the others hang on",
    "broker": "the only broker, away for up to 4 s",
    "bridge": "the worker that has the database open, while it answers a question",
}


def write(path: Path, outcome: Outcome, asked: Asked) -> None:
    """Writes it. Only an outcome that was found equal is reported."""
    path.write_text("\n".join([*_head(outcome, asked), *_kills(outcome), *_found(outcome)]) + "\n")


def _prose(*sentences: str, mark: str = "") -> str:
    """A paragraph, or with a `mark` an item of a list."""
    return fill(" ".join(sentences), 110, initial_indent=mark, subsequent_indent=" " * len(mark))


def _head(outcome: Outcome, asked: Asked) -> list[str]:
    kills, records = outcome.victims.total(), outcome.records
    return [
        "# Killed at random",
        "",
        f"**{kills} kills -9, {records:,} records: nothing lost, nothing doubled.**",
        "",
        f"`{_command(asked)}`; {machine()}; commit {commit()}.",
        "",
        _prose(
            f"`checkout` with objects and orders, {PROCESSES} processes, a topic of {PARTITIONS} partitions",
            "on a real broker, embedded ClickHouse, events stored; producers produce and readers ask while",
            "the run is killed. Epochs of 100 ms, blocks of 40 records, and segments of states from 2 KiB",
            "on, so that kills meet work of every kind. In the end it drains in one process. The fault-free",
            "run reads the same topic in one process, in the usual sizes.",
        ),
        "",
    ]


def _command(asked: Asked) -> str:
    """What does it again."""
    words = [f"python -m tests.chaos --kills {asked.kills} --seed {asked.seed}"]
    for field in fields(Asked)[2:]:
        value = getattr(asked, field.name)
        words += [f"--{field.name.replace('_', '-')} {value}"] * (value != field.default)
    return " ".join(words)


def _kills(outcome: Outcome) -> list[str]:
    soon = sum(dealt.kill.at_records is None for dealt in outcome.dealt)
    return [
        "| killed | what | times |",
        "|---|---|--:|",
        *(f"| {victim} | {WHAT[victim]} | {outcome.victims[victim]} |" for victim in VICTIMS),
        "",
        _prose(
            f"The first in the midst of migrations, the second in the first epoch; {soon} within",
            f"{SOON_SECONDS_MAX:g} s of the kill before: into a start, a recovery, an outage.",
            mark="- ",
        ),
        _prose(
            f"The command was started {outcome.starts:,} times, found no broker {outcome.refused:,} times,",
            f"and started its processes again {outcome.restarts:,} times by itself. It took a record for the",
            f"cause and ended {outcome.gave_up:,} times, killed again and again in one place.",
            mark="- ",
        ),
        _prose(
            f"Readers had {outcome.answers['answers']:,} answers from the bridge meanwhile: in each of them",
            "every minute balanced, and `received` never fell.",
            f"{outcome.lost_questions:,} questions died with who was answering.",
            mark="- ",
        ),
        f"- Killing took {outcome.killing_seconds:,.0f} s, the fault-free run {outcome.calm_seconds:,.0f} s.",
        "",
    ]


def _found(outcome: Outcome) -> list[str]:
    poison = sum(count for kind, count in outcome.kinds.items() if kind.startswith("poison"))
    others = [f"{count:,} {kind}" for kind, count in sorted(outcome.kinds.items()) if "poison" not in kind]
    return [
        _prose(
            f"Records by partition: {', '.join(f'{count:,}' for count in outcome.partitions)}. Of these",
            f"{', '.join(others)}; {poison:,} can be no event (cut, HTML, null bytes, not UTF-8, wrong type,",
            "no visitor, no time, no such day, empty, tombstones, two in one, over 1 MB). Shoppers, too,",
            "send copies, to the same partition or another, and come late. `bi.conservation` balances to 0",
            "in every minute, and its `received` is exactly what was produced, partition by partition.",
        ),
        "",
        "| view, equal to the fault-free run | rows |",
        "|---|--:|",
        *(f"| `bi.{view}` | {rows:,} |" for view, rows in sorted(outcome.views.items())),
        "",
        "`bi.freshness` tells the wall clock and is left out. Nothing may be in `bi.incidents`, `bi.limits`.",
        "",
        "| tables of the killed run, equal to the oracle | rows |",
        "|---|--:|",
        *(f"| {table} | {rows:,} |" for table, rows in sorted(outcome.tables.items())),
    ]
