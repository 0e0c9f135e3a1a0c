"""Journey definitions as the kernel reads them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from pipeline.core.track.layout import ASKED, Rules
from schemas.journeys import Journey, Rule


def compile_rules(journeys: Sequence[Journey]) -> Rules:
    """The journeys as the kernel reads them. Stages from the conversion on have no timer: nothing is
    abandoned there.
    """
    conversion = np.array([journey.conversion for journey in journeys], np.uint8)
    optional = np.zeros(len(journeys), np.uint16)
    abandon = np.zeros((len(journeys), 16), np.int64)
    for j, journey in enumerate(journeys):
        for stage in journey.stages:
            optional[j] |= stage.optional << stage.rank
            if stage.rank < journey.conversion:
                abandon[j, stage.rank] = stage.abandon_after_ms or 0
    has_objects = np.array([journey.objects is not None for journey in journeys])
    return Rules(conversion, optional, abandon, *_looking_back(journeys), has_objects)


def notes_of(rules: Rules) -> int:
    """How many notes a session keeps for the rules that look back."""
    named = (rules.asked["count"], rules.mark.ravel())
    return 1 + int(max((notes.max(initial=-1) for notes in named), default=-1))


def _looking_back(journeys: Sequence[Journey]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rules.asked, first, column and mark."""
    asked: list[tuple[int, ...]] = []
    first, column = np.zeros(len(journeys) + 1, np.int64), np.full(len(journeys), -1)
    mark = np.full((len(journeys), 16), -1)
    notes, columns = count(), count()
    for j, journey in enumerate(journeys):
        if not journey.is_stateless:
            column[j] = next(columns)
            entering = [rule for rule in journey.rules if rule.kind == "enter"]
            for rule in entering:
                for rank in {rule.entry.after, rule.entry.unless} - {0} if rule.entry else ():
                    if mark[j, rank] < 0:
                        mark[j, rank] = next(notes)
            asked += [_asked(rule, mark[j], notes) for rule in entering]
        first[j + 1] = len(asked)
    return np.array(asked, ASKED), first, column, mark


def _asked(rule: Rule, mark: np.ndarray, notes: count[int]) -> tuple[int, ...]:
    entry = rule.entry
    if entry is None:
        return 1 << rule.bit, rule.rank, 1, -1, -1, -1, 0
    return (
        1 << rule.bit,
        rule.rank,
        entry.at_least,
        next(notes) if entry.at_least > 1 else -1,
        mark[entry.after] if entry.after else -1,
        mark[entry.unless] if entry.unless else -1,
        entry.not_before_ms,
    )
