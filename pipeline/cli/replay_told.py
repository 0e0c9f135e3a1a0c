"""What a replay says: what it was begun for, and what came of that."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from pipeline.cli import apart
from pipeline.cli.replay_begun import Begun
from pipeline.cli.replay_rejects import Range, compare, report, told_before
from pipeline.cli.story.words import duration
from pipeline.run import Plan
from pipeline.runtime.board import Board


def told(begun: Begun) -> Iterator[str]:
    """What the database has set aside, and what that means for the replay."""
    of = begun.wish.of
    if begun.wish.late:
        if begun.late_records:
            lateness_ms = begun.allowed_lateness_ms
            how = (
                "in order" if lateness_ms is None else f"with an allowed lateness of {duration(lateness_ms)}"
            )
            latest = duration(begun.most_behind_ms)
            yield (
                f"{begun.late_records:,} records in {of} were late, the latest by {latest} at most: "
                f"read again {how}"
            )
        else:
            yield f"no record in {of} was late"
    if begun.rejects is not None:
        yield from told_before(begun.rejects, of)


def conclude(plan: Plan, begun: Begun, console: Console) -> None:
    """What became of them, once all is read."""
    if not plan.state.board.exists():
        return
    board = Board.open(plan.state.board, len(plan.inputs.origins))
    if not board.all_finished():
        return
    if begun.wish.late:
        _conclude_late(board.total().late, begun, console)
    if begun.rejects is not None:
        now, late = apart.answers(plan.settings.clickhouse, ("rejects", "late_positions"))
        report(compare(begun.rejects, now, late, _read(plan)))


def _conclude_late(late: int, begun: Begun, console: Console) -> None:
    console.print(f"late now: {late:,} records, of {begun.late_records:,} before", highlight=False)
    if late:
        console.print(
            "  hint: --late-within leaves some out; else the run had another --allowed-lateness than this "
            "command: begin anew (`pathline reset`) with that of the run",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _read(plan: Plan) -> dict[tuple[str, int], Range]:
    """What was read of each partition."""
    inputs = plan.inputs
    if inputs.place is None:
        return {(origin.source, origin.number): Range() for origin in inputs.origins}
    return {(part.topic, part.partition): Range(part.offset, part.end) for part in inputs.parts}
