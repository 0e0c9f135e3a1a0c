"""Which events kept an object open: what its deadline counts from."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.cli.story.asked import Row
from pipeline.cli.story.definitions import Definition
from pipeline.cli.story.lines import Line
from pipeline.cli.story.rules import canonical
from schemas.objects import CART, Object
from schemas.predicates import matches


class Act(NamedTuple):
    """An event that says something of objects: the highest kind whose condition it meets, 0 for none."""

    second: datetime
    line: Line
    kind: int
    removes: bool

    def is_on(self, kind: int) -> bool:
        """Whether it is activity on an open cart or higher. Looking at products is none."""
        return CART <= self.kind <= kind or (not self.kind and self.removes)


class Acts:
    """The events of a visitor that sessions count, by what they say of the objects of one journey."""

    def __init__(self, lines: Sequence[Line], definition: Definition | None) -> None:
        objects = definition.journey.objects if definition else None
        self._acts: dict[datetime, list[Act]] = defaultdict(list)
        for line in lines if objects else ():
            if line.has_session and line.event:
                act = _act(line, line.event, objects.kinds if objects else ())
                self._acts[act.second].append(act)
        self._seconds = sorted(self._acts)

    def on(self, kind: int, began: datetime, ended: datetime | None) -> Iterator[Act]:
        """The activity on an object while it was open. What ended it may be of the same second: that is
        left out with it.
        """
        until = len(self._seconds) if ended is None else bisect_left(self._seconds, ended)
        for second in self._seconds[bisect_left(self._seconds, began) : until]:
            yield from (act for act in self._acts[second] if act.is_on(kind))

    def last(self, kind: int, opened: datetime, deadline: datetime, after_ms: int) -> Act | None:
        """The activity that the deadline counts from; none where the definition had another one then."""
        second = deadline - timedelta(milliseconds=after_ms)
        acts = [act for act in self._acts.get(second, ()) if act.is_on(kind)]
        return acts[-1] if acts and second >= opened else None


def _act(line: Line, event: Row, kinds: Sequence[Object]) -> Act:
    asked = canonical(event)
    kind = max((one.kind for one in kinds if matches(one.when, asked)), default=0)
    removes = any(one.removes and matches(one.removes, asked) for one in kinds)
    return Act(line.second, line, kind, removes)
